//! What is there: the module, its dies, their memory and sensors.

use vinci::{Device, Driver, Result};

fn main() -> Result<()> {
    let module = Driver::get()?.info();
    println!("{} {} at {}, {:?} home", module.name, module.serial, module.pci_address, module.home);
    for ordinal in 0..Device::count()? {
        let device = Device::get(ordinal)?;
        let (info, memory, sensors) = (device.info(), device.mem_info()?, device.telemetry()?);
        println!(
            "device {ordinal}: {}, {} cube and {} vector cores at {} MHz, {} of {} GiB free, {:.0} °C, {:.0} W",
            info.soc_name,
            info.aic_cores,
            info.aiv_cores,
            info.clock_mhz,
            memory.free >> 30,
            memory.total >> 30,
            sensors.temperature_c,
            sensors.power_w,
        );
    }
    Ok(())
}
