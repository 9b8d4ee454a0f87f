//! `vinci info`: the module and its dies.

use anyhow::Result;
use serde::Serialize;
use vinci::{Device, Driver};

use crate::show;

#[derive(Serialize)]
struct Info {
    module: String,
    home: String,
    pci_address: String,
    dies: Vec<Die>,
}

#[derive(Serialize)]
struct Die {
    device: u32,
    soc_name: String,
    aic_cores: u32,
    aiv_cores: u32,
    clock_mhz: u32,
    hbm_total: u64,
    hbm_used: u64,
    temperature_c: f32,
    power_w: f32,
    tasks: u64,
    model_ns: u64,
}

fn collect() -> Result<Info> {
    let driver = Driver::get()?;
    let module = driver.info();
    let mut dies = Vec::new();
    for device in 0..Device::count()? {
        let d = Device::get(device)?;
        let (i, t) = (d.info(), d.telemetry()?);
        dies.push(Die {
            device,
            soc_name: i.soc_name.clone(),
            aic_cores: i.aic_cores,
            aiv_cores: i.aiv_cores,
            clock_mhz: t.clock_mhz,
            hbm_total: t.hbm_total,
            hbm_used: t.hbm_used,
            temperature_c: t.temperature_c,
            power_w: t.power_w,
            tasks: t.tasks,
            model_ns: t.clock.model_ns,
        });
    }
    let home = format!("{:?}", module.home).to_lowercase();
    Ok(Info { module: module.name.clone(), home, pci_address: module.pci_address.clone(), dies })
}

/// Prints them.
pub fn print(json: bool) -> Result<()> {
    let info = collect()?;
    if json {
        return show::json(&info);
    }
    println!("{}, {} home, at {}", info.module, info.home, info.pci_address);
    let rows: Vec<Vec<String>> = info
        .dies
        .iter()
        .map(|d| {
            vec![
                d.device.to_string(),
                d.soc_name.clone(),
                format!("{} + {}", d.aic_cores, d.aiv_cores),
                d.clock_mhz.to_string(),
                format!("{} of {}", d.hbm_used >> 20, d.hbm_total >> 20),
                format!("{:.1} °C", d.temperature_c),
                format!("{:.1} W", d.power_w),
            ]
        })
        .collect();
    show::table(
        &["device", "SoC", "AIC + AIV", "MHz", "HBM, MiB", "temp.", "power"],
        &rows,
        &[0, 3, 4, 5, 6],
    );
    Ok(())
}
