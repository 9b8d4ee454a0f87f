//! The homes of the driver that need no other machine.

use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;

use vinci_device::Profile;
use vinci_driver::{Policy, Server, Stopper, VARIABLE};

/// Where the driver runs that a program uses.
pub struct Home {
    /// As the table calls it.
    pub name: &'static str,
    device: String,
    _service: Option<Service>,
}

impl Home {
    /// Lets a program find the device of this home.
    pub fn set(&self, command: &mut Command) {
        command.env(VARIABLE, &self.device);
    }

    /// Whether several processes have the same device.
    pub fn is_shared(&self) -> bool {
        self._service.is_some()
    }
}

/// A server on a thread of this process, for one program after the other.
struct Service {
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The embedded home, and a served one.
pub fn homes() -> [Home; 2] {
    let path: PathBuf = std::env::temp_dir().join(format!("vinci-conformance-{}.sock", std::process::id()));
    let profile = Profile::from_env().expect("VINCI_CHIP names a chip");
    let server = Server::bind(&path, profile, Policy::default()).expect("a device can be served");
    let stopper = server.stopper();
    let thread = Some(std::thread::spawn(move || server.run().expect("the server runs")));
    [
        Home { name: "embedded", device: "embedded".into(), _service: None },
        Home {
            name: "served",
            device: format!("unix:{}", path.display()),
            _service: Some(Service { stopper, thread }),
        },
    ]
}
