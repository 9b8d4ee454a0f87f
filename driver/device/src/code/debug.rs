//! A kernel that waits for gdb: `vinci run --gdb-kernel` names it and a folder, in which it finds what gdb is to be told.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use vinci_code::{CodeObject, Kernel};
use vinci_jail::Jail;

/// The environment variable that names the kernel.
const KERNEL: &str = "VINCI_GDB_KERNEL";
/// The environment variable that names the folder.
const FOLDER: &str = "VINCI_GDB_FOLDER";
/// How long a kernel may be debugged.
pub(super) const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a debugger waits for.
pub(crate) struct Debug {
    kernel: String,
    folder: OsString,
}

impl Debug {
    /// What the environment asks for.
    pub(crate) fn from_env() -> Option<Self> {
        let kernel = env::var(KERNEL).ok().filter(|name| !name.is_empty())?;
        Some(Self { kernel, folder: env::var_os(FOLDER)? })
    }

    /// Whether it is this kernel: by its name, or what its name begins with before template arguments.
    pub(super) fn wants(&self, kernel: &str) -> bool {
        kernel == self.kernel || kernel.split(['<', '(']).next() == Some(&self.kernel)
    }

    /// Tells the debugger; the kernel waits in its jail meanwhile.
    pub(super) fn announce(self, jail: &Jail, object: &CodeObject, kernel: &Kernel) {
        let until = Instant::now() + Duration::from_secs(5);
        while jail.pid().is_none() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        if let Err(e) = self.write(jail, object, kernel) {
            log::error!("{KERNEL}: gdb cannot be told of kernel {}: {e}", kernel.name);
        }
    }

    fn write(&self, jail: &Jail, object: &CodeObject, kernel: &Kernel) -> io::Result<()> {
        let folder = PathBuf::from(&self.folder);
        let Some(pid) = jail.pid() else {
            return Err(io::Error::other("the process of the AI cores has not come up"));
        };
        let base = object.image.base;
        // SIGSEGV is how memory is mapped that is touched for the first time.
        let mut commands = String::from(
            "set pagination off\nset confirm off\nset breakpoint pending on\n\
             handle SIGSEGV SIGBUS SIGUSR1 SIGSYS nostop noprint pass\n",
        );
        match object.debug_file() {
            Some(file) => {
                let path = folder.join("kernel.o");
                fs::write(&path, file)?;
                commands += &format!("add-symbol-file {} -o {base:#x}\n", path.display());
            }
            None => commands += "echo compiled without -g: there are no lines\\n\n",
        }
        let (entry, go) = (base + kernel.entry, Jail::go_address());
        commands +=
            &format!("tbreak *{entry:#x}\nset *(unsigned int *){go:#x} = 1\nset confirm on\ncontinue\n");
        fs::write(folder.join("commands.gdb"), commands)?;
        // Last, and at once: whoever waits for it finds the rest complete.
        let name = folder.join("pid.new");
        fs::write(&name, pid.to_string())?;
        fs::rename(name, Path::new(&self.folder).join("pid"))
    }
}
