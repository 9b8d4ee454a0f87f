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
            let dies = format!("{} × {}", c.dies, c.soc_name);
            let hbm = format!("{} GiB", c.hbm_gib);
            vec![
                c.name.into(),
                c.module.clone(),
                dies,
                cores,
                c.clock_mhz.to_string(),
                hbm,
                c.hbm_gbps.to_string(),
            ]
        })
        .collect();
    show::table(&["name", "module", "dies", "AIC+AIV", "MHz", "HBM", "GB/s"], &rows, &[4, 5, 6]);
    println!("cores, clock and memory are those of a die");
    println!("choose with {VARIABLE}=NAME (920 selects 950pr) or {VARIABLE}=FILE.toml");
    Ok(())
}
