//! What an open device costs a process.

use vinci::{Device, Driver};

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn an_open_device_is_small() {
    let driver = Driver::get().unwrap();
    assert_eq!(Device::count().unwrap(), driver.info().die_count);
    let resident = resident_bytes();
    assert!(resident < 64 << 20, "{resident} bytes resident");
    let me = std::process::id();
    assert!(driver.processes().unwrap().iter().any(|process| process.pid == me));
}
