//! A short run in each home that needs no VM.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use vinci_device::Profile;
use vinci_driver::{Policy, Server};

fn fuzz(arguments: &[&str]) {
    let out =
        Command::new(env!("CARGO_BIN_EXE_fuzz-uapi")).args(arguments).output().expect("the fuzzer runs");
    let said = [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(out.status.success() && said.contains("nothing found"), "{}\n{said}", out.status);
    println!("{said}");
}

#[test]
fn an_embedded_device() {
    fuzz(&["--device", "embedded", "--calls", "200000", "--seed", "11"]);
}

#[test]
fn an_embedded_device_that_is_reset() {
    fuzz(&["--device", "embedded", "--calls", "60000", "--seed", "12", "--resets"]);
}

#[test]
fn processes_on_a_served_device_of_which_some_are_killed() {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("vinci-fuzz-{}-{n}.sock", std::process::id()));
    let server = Server::bind(&path, Profile::by_name("910c").unwrap(), Policy::default()).unwrap();
    let stopper = server.stopper();
    let thread = std::thread::spawn(move || server.run().unwrap());
    let device = format!("unix:{}", path.display());
    let own = std::process::id().to_string();
    fuzz(&["--device", &device, "--calls", "60000", "--workers", "3", "--seed", "13", "--server", &own]);
    stopper.stop();
    thread.join().unwrap();
}
