//! `npu-smi info`: the columns and the layout that scripts read. Six lines stand above the first device row,
//! whose third field names the chip; a module of several dies shows one chip per die.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;
use vinci::{Device, Driver};

/// Version that the title shows: Vinci's own.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A chip as the table shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Chip {
    /// Module.
    pub npu: u32,
    /// Die of the module.
    pub chip: u32,
    /// Device in AscendCL.
    pub phy_id: u32,
    /// Name of the chip.
    pub name: String,
    /// OK, Warning, Alarm or Critical.
    pub health: String,
    /// Bus address.
    pub bus_id: String,
    /// Watts; of the module, on its first chip.
    pub power_w: Option<f32>,
    /// Degrees Celsius.
    pub temperature_c: u32,
    /// Per cent.
    pub aicore: u32,
    /// MB.
    pub hbm_used_mb: u64,
    /// MB.
    pub hbm_total_mb: u64,
}

/// A process as the table shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Module.
    pub npu: u32,
    /// Die.
    pub chip: u32,
    /// Process.
    pub pid: u32,
    /// Command.
    pub name: String,
    /// MB.
    pub memory_mb: u64,
}

/// What the table shows.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Version of npu-smi.
    pub version: String,
    /// Chips.
    pub chips: Vec<Chip>,
    /// Processes that hold device memory or queues, on each chip where they do; this one left out.
    pub processes: Vec<Process>,
}

impl Snapshot {
    /// Reads all dies.
    pub fn take() -> Result<Self> {
        let driver = Driver::get()?;
        let module = driver.info();
        let mut chips = Vec::new();
        let mut power = 0.0;
        for ordinal in 0..Device::count()? {
            let t = Device::get(ordinal)?.telemetry()?;
            power += t.power_w;
            chips.push(Chip {
                npu: 0,
                chip: ordinal,
                phy_id: ordinal,
                name: module.profile.clone(),
                health: format!("{:?}", t.health).replace("Ok", "OK"),
                bus_id: module.pci_address.to_uppercase(),
                power_w: None,
                temperature_c: t.temperature_c.round() as u32,
                aicore: (t.aic_util.max(t.aiv_util) * 100.0).round() as u32,
                hbm_used_mb: t.hbm_used >> 20,
                hbm_total_mb: t.hbm_total >> 20,
            });
        }
        if let Some(first) = chips.first_mut() {
            first.power_w = Some(power);
        }
        let mut held = BTreeMap::new();
        for p in driver.processes()?.into_iter().filter(|p| p.pid != std::process::id()) {
            for chip in (0..chips.len() as u32).filter(|chip| p.die_mask & 1 << chip != 0) {
                // A process may have opened the device several times.
                let held = &mut held.entry((chip, p.pid)).or_insert((p.name.clone(), 0)).1;
                *held += p.hbm_die.get(chip as usize).copied().unwrap_or(0);
            }
        }
        let row = |((chip, pid), (name, bytes)): ((u32, u32), (String, u64))| Process {
            npu: 0,
            chip,
            pid,
            name,
            memory_mb: bytes >> 20,
        };
        let processes = held.into_iter().map(row).collect();
        Ok(Self { version: VERSION.into(), chips, processes })
    }

    /// The table.
    pub fn render(&self) -> String {
        let whole = format!("+{}+\n", "-".repeat(96));
        let rule = |c: &str| format!("+{}+{}+{}+\n", c.repeat(27), c.repeat(15), c.repeat(52));
        let row = |a: &str, b: &str, c: &str| format!("| {a:<26}| {b:<14}| {c:<51}|\n");
        let several = self.chips.len() > 1;
        let mut s = whole.clone();
        let title = format!("npu-smi {:<24} Version: {}", self.version, self.version);
        let _ = writeln!(s, "| {title:<95}|");
        s += &rule("-");
        s += &row("NPU   Name", "Health", "Power(W)    Temp(C)           Hugepages-Usage(page)");
        let second = if several { "Chip  Phy-ID" } else { "Chip" };
        s += &row(second, "Bus-Id", "AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)");
        s += &rule("=");
        for (i, c) in self.chips.iter().enumerate() {
            let power = c.power_w.map_or("-".into(), |w| format!("{w:.1}"));
            let name = format!("{:<6}{}", c.npu, c.name);
            s += &row(&name, &c.health, &format!("{power:<12}{:<18}0    / 0", c.temperature_c));
            let chip = if several { format!("{:<6}{}", c.chip, c.phy_id) } else { c.chip.to_string() };
            let hbm = format!("{:<5}/ {}", c.hbm_used_mb, c.hbm_total_mb);
            s += &row(&chip, &c.bus_id, &format!("{:<12}0    / 0          {hbm}", c.aicore));
            s += &(if self.chips.get(i + 1).is_some_and(|n| n.npu == c.npu) {
                whole.clone()
            } else {
                rule("=")
            });
        }
        s += &rule("-");
        let process = |a: &str, b: &str, c: &str, d: &str| format!("| {a:<26}| {b:<14}| {c:<25}| {d:<24}|\n");
        s += &process("NPU     Chip", "Process id", "Process name", "Process memory(MB)");
        s += &rule("=");
        for npu in 0..=self.chips.last().map_or(0, |c| c.npu) {
            let mut any = false;
            for p in self.processes.iter().filter(|p| p.npu == npu) {
                any = true;
                let place = format!("{:<8}{}", p.npu, p.chip);
                s += &process(&place, &p.pid.to_string(), &p.name, &p.memory_mb.to_string());
            }
            if !any {
                let _ = writeln!(s, "| {:<95}|", format!("No running processes found in NPU {npu}"));
            }
            s += &rule("=");
        }
        s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chip(chip: u32) -> Chip {
        Chip {
            npu: 0,
            chip,
            phy_id: chip,
            name: "Ascend910".into(),
            health: "OK".into(),
            bus_id: "0000:9D:00.0".into(),
            power_w: (chip == 0).then_some(180.6),
            temperature_c: 38,
            aicore: 7,
            hbm_used_mb: 3129,
            hbm_total_mb: 65536,
        }
    }

    #[test]
    fn the_layout_is_the_one_that_scripts_read() {
        let process = Process { npu: 0, chip: 1, pid: 4242, name: "python".into(), memory_mb: 512 };
        let s = Snapshot { version: "0.1.0".into(), chips: vec![chip(0), chip(1)], processes: vec![process] }
            .render();
        let expected = "\
+------------------------------------------------------------------------------------------------+
| npu-smi 0.1.0                    Version: 0.1.0                                                |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     Ascend910           | OK            | 180.6       38                0    / 0             |
| 0     0                   | 0000:9D:00.0  | 7           0    / 0          3129 / 65536         |
+------------------------------------------------------------------------------------------------+
| 0     Ascend910           | OK            | -           38                0    / 0             |
| 1     1                   | 0000:9D:00.0  | 7           0    / 0          3129 / 65536         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 0       1                 | 4242          | python                   | 512                     |
+===========================+===============+====================================================+
";
        assert_eq!(s, expected);
    }

    #[test]
    fn six_lines_stand_above_the_first_device() {
        let s = Snapshot { version: "0.1.0".into(), chips: vec![chip(0)], processes: vec![] }.render();
        let line = s.lines().nth(6).unwrap();
        assert_eq!(line.split_whitespace().nth(2), Some("Ascend910"));
        assert!(s.contains("| No running processes found in NPU 0 "));
        assert!(s.lines().all(|l| l.len() == 98), "all lines are equally long");
    }
}
