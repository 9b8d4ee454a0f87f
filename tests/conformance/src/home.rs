//! The homes of the driver that need no other machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use crate::{Line, Workspace, report};

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(30);

/// Where the driver runs that a program uses.
pub struct Home {
    /// As the table calls it.
    pub name: &'static str,
    device: String,
    service: Option<Service>,
}

impl Home {
    /// Lets a program find the device of this home.
    pub fn set(&self, command: &mut Command) {
        command.env("VINCI_DEVICE", &self.device);
    }

    /// Whether several processes have the same device.
    pub fn is_shared(&self) -> bool {
        self.service.is_some()
    }
}

/// `vinci serve`, for one program after the other.
struct Service {
    process: Child,
    socket: PathBuf,
}

impl Service {
    fn start(workspace: &Workspace, chip: Option<&Path>) -> Self {
        let socket = env::temp_dir().join(format!("vinci-conformance-{}.sock", process::id()));
        let mut command = workspace.command(&workspace.lib.join("vinci"));
        command.arg("serve").arg("--socket").arg(&socket).env_remove("VINCI_DEVICE");
        if let Some(chip) = chip {
            command.env("VINCI_CHIP", chip);
        }
        // Who comes and goes is of no interest beside a table.
        if env::var_os("VINCI_LOG").is_none() {
            command.env("VINCI_LOG", "warn");
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("vinci serve starts");
        let mut service = Self { process, socket };
        let start = Instant::now();
        while !service.socket.exists() {
            let ended = service.process.try_wait().expect("a child can be waited for");
            assert!(ended.is_none() && start.elapsed() < START, "vinci serve does not listen: {ended:?}");
            thread::sleep(Duration::from_millis(5));
        }
        // It listens right after the name is there.
        thread::sleep(Duration::from_millis(50));
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

/// The embedded home, and a served one.
pub fn homes(workspace: &Workspace) -> [Home; 2] {
    [Home { name: "embedded", device: "embedded".into(), service: None }, served(workspace, None)]
}

/// A served home, of the chip of a profile's file if one is named.
pub fn served(workspace: &Workspace, chip: Option<&Path>) -> Home {
    let service = Service::start(workspace, chip);
    Home { name: "served", device: format!("unix:{}", service.socket.display()), service: Some(service) }
}

/// Prints the table of what ran in `homes`; if something failed, ends this process with 1, and their server before it,
/// which `exit` alone would leave behind.
pub fn conclude(title: &str, homes: [Home; 2], lines: &[Line]) {
    let passed = report(title, &homes.each_ref().map(|home| home.name), lines);
    drop(homes);
    if !passed {
        process::exit(1);
    }
}
