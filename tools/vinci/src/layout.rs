//! The shape of an installation of CANN: folders and version files where clients look for them.

use std::path::Path;
use std::{fs, io};

/// The CANN release whose interface the headers describe.
pub const CANN_VERSION: &str = "8.5.0";

/// Makes the folders and version files of `home` that are not there; the libraries come to `home/lib64`.
pub fn shape(home: &Path) -> io::Result<()> {
    for folder in ["opp", "compiler", "runtime", "tools"] {
        fs::create_dir_all(home.join(folder))?;
    }
    let toolkit = format!("{}-linux", std::env::consts::ARCH);
    fs::create_dir_all(home.join(&toolkit))?;
    let version = format!("Version={CANN_VERSION}\n");
    let install = format!(
        "package_name=Ascend-cann-toolkit\nversion={CANN_VERSION}\narch={}\n",
        std::env::consts::ARCH
    );
    let files = [
        ("version.cfg".to_owned(), format!("runtime_running_version=[{CANN_VERSION}:{CANN_VERSION}]\n")),
        ("runtime/version.info".to_owned(), version.clone()),
        ("compiler/version.info".to_owned(), version.clone()),
        ("opp/version.info".to_owned(), version),
        (format!("{toolkit}/ascend_toolkit_install.info"), install),
    ];
    for (name, text) in files {
        let path = home.join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            fs::write(path, text)?;
        }
    }
    for place in ["runtime/lib64", "compiler/lib64"] {
        link("../lib64", &home.join(place))?;
    }
    Ok(())
}

/// A symbolic link, unless something is there. Others may make it at the same time.
pub fn link(to: impl AsRef<Path>, at: &Path) -> io::Result<()> {
    match std::os::unix::fs::symlink(to, at) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}
