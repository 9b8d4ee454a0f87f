//! `vinci chips`: the profiles that are built in.

use anyhow::Result;
use serde::Serialize;
use vinci_device::{Profile, VARIABLE, names};

use crate::show;

#[derive(Serialize)]
struct Chip {
    name: &'static str,
    module: String,
    dies: u32,
    soc_name: String,
    aic_cores: u32,
    aiv_cores: u32,
    clock_mhz: u32,
    hbm_gib: u64,
    hbm_gbps: u32,
}

/// Lists them.
pub fn print(json: bool) -> Result<()> {
    let mut chips = Vec::new();
    for name in names() {
        let p = Profile::by_name(name)?;
        chips.push(Chip {
            name,
            module: p.name,
            dies: p.dies,
            soc_name: p.die.soc_name,
            aic_cores: p.die.aic_cores,
            aiv_cores: p.die.aiv_cores,
            clock_mhz: p.die.clock_mhz,
            hbm_gib: p.die.hbm_bytes >> 30,
            hbm_gbps: p.die.hbm_gbps,
        });
    }
    if json {
        return show::json(&chips);
    }
    let rows: Vec<Vec<String>> = chips
        .iter()
        .map(|c| {
            let cores = format!("{} + {}", c.aic_cores, c.aiv_cores);
            let hbm = format!("{} GiB, {} GB/s", c.hbm_gib, c.hbm_gbps);
            vec![
                c.name.into(),
                c.module.clone(),
                c.dies.to_string(),
                c.soc_name.clone(),
                cores,
                c.clock_mhz.to_string(),
                hbm,
            ]
        })
        .collect();
    show::table(&["name", "module", "dies", "each die", "AIC + AIV", "MHz", "HBM of a die"], &rows, &[2, 5]);
    println!("choose with {VARIABLE}=NAME (920, the announced name, selects 950pr) or {VARIABLE}=FILE.toml");
    Ok(())
}
