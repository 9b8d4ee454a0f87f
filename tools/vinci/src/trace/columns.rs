//! Rows with msprof's columns.

use serde_json::{Map, Value, json};
use vinci_device::trace::{CoresTrace, KernelTrace};

use crate::show;

/// Columns of a kind of core: name, and the pipe; in msprof's order.
type Columns = &'static [(&'static str, usize)];
const AIC: Columns = &[("mac", 2), ("scalar", 0), ("mte1", 3), ("mte2", 4), ("fixpipe", 6)];
const AIV: Columns = &[("vec", 1), ("scalar", 0), ("mte2", 4), ("mte3", 5)];

/// Launches of a kernel on as many blocks: sums, which are printed as averages.
#[derive(Clone, Debug, Default)]
pub struct Row {
    sum: KernelTrace,
    count: u32,
    task_ns: f64,
}

/// Rows in the order of the first launches; each launch by itself, or together.
pub fn rows(kernels: &[KernelTrace], each: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for k in kernels {
        let same = |r: &&mut Row| r.sum.name == k.name && r.sum.blocks == k.blocks;
        let row = match rows.iter_mut().find(same).filter(|_| !each) {
            Some(row) => row,
            None => {
                let sum = KernelTrace { name: k.name.clone(), blocks: k.blocks, ..KernelTrace::default() };
                rows.push(Row { sum, ..Row::default() });
                let last = rows.len() - 1;
                &mut rows[last]
            }
        };
        row.add(k);
    }
    rows
}

impl Row {
    fn add(&mut self, k: &KernelTrace) {
        self.count += 1;
        self.task_ns += k.end_ns.saturating_sub(k.start_ns) as f64;
        let sum = &mut self.sum;
        sum.clock_mhz = k.clock_mhz;
        for (to, from) in [(&mut sum.aic, &k.aic), (&mut sum.aiv, &k.aiv)] {
            to.cores = to.cores.max(from.cores);
            to.blocks += from.blocks;
            to.cycles += from.cycles;
            to.most += from.most;
            to.busy.iter_mut().zip(from.busy).for_each(|(to, from)| *to += from);
        }
        sum.loaded = sum.loaded.saturating_add(k.loaded);
        sum.missed = sum.missed.saturating_add(k.missed);
        sum.stored = sum.stored.saturating_add(k.stored);
        sum.written_back = sum.written_back.saturating_add(k.written_back);
        for race in k.races.iter().filter(|race| !sum.races.contains(race)).cloned().collect::<Vec<_>>() {
            sum.races.push(race);
        }
    }

    fn mean(&self, sum: u64) -> u64 {
        sum / u64::from(self.count.max(1))
    }

    /// Cycles of a launch as microseconds.
    fn us(&self, cycles: f64) -> f64 {
        cycles / f64::from(self.count.max(1)) / f64::from(self.sum.clock_mhz.max(1))
    }

    fn task_us(&self) -> f64 {
        self.task_ns / 1e3 / f64::from(self.count.max(1))
    }

    fn hit_ratio(&self) -> f64 {
        let missed = self.sum.missed.min(self.sum.loaded) as f64;
        if self.sum.loaded == 0 { 0.0 } else { 1.0 - missed / self.sum.loaded as f64 }
    }

    /// Name and value of the columns of a kind of core.
    fn cores(&self, kind: &str, cores: &CoresTrace, columns: Columns) -> Vec<(String, f64)> {
        let mut all = vec![(format!("{kind}_time(us)"), self.us(cores.cycles))];
        for (name, pipe) in columns {
            let busy = cores.busy[*pipe];
            let ratio = if cores.cycles > 0.0 { busy / cores.cycles } else { 0.0 };
            all.push((format!("{kind}_{name}_time(us)"), self.us(busy)));
            all.push((format!("{kind}_{name}_ratio"), ratio));
        }
        all
    }

    fn kinds(&self) -> impl Iterator<Item = (&'static str, &CoresTrace, Columns)> {
        [("aic", &self.sum.aic, AIC), ("aiv", &self.sum.aiv, AIV)]
            .into_iter()
            .filter(|(_, c, _)| c.blocks != 0)
    }

    /// As JSON: numbers are averages of a launch.
    pub fn json(&self) -> Value {
        let round = |x: f64| (x * 1e3).round() / 1e3;
        let mut all = Map::new();
        all.insert("Op Name".into(), json!(self.sum.name));
        all.insert("Count".into(), json!(self.count));
        all.insert("Block Num".into(), json!(self.sum.blocks));
        all.insert("Task Duration(us)".into(), json!(round(self.task_us())));
        for (kind, cores, columns) in self.kinds() {
            let cycles = cores.cycles * f64::from(cores.cores) / f64::from(self.count.max(1));
            all.insert(format!("{kind}_total_cycles"), json!(cycles.round()));
            for (name, value) in self.cores(kind, cores, columns) {
                all.insert(name, json!(round(value)));
            }
        }
        all.insert("read_bytes".into(), json!(self.mean(self.sum.loaded)));
        all.insert("write_bytes".into(), json!(self.mean(self.sum.stored)));
        all.insert("l2_hit_ratio".into(), json!(round(self.hit_ratio())));
        let hbm = self.sum.missed.saturating_add(self.sum.written_back);
        all.insert("hbm_bytes".into(), json!(self.mean(hbm)));
        all.insert("races".into(), json!(self.sum.races));
        Value::Object(all)
    }
}

/// Prints a table for each kind of core that worked.
pub fn print(rows: &[Row]) {
    if rows.is_empty() {
        println!("no kernel of the program's own has ended");
    }
    for (kind, columns) in [("aic", AIC), ("aiv", AIV)] {
        let mut header: Vec<String> =
            ["kernel", "count", "blocks", "cores", "task us"].map(String::from).into();
        header.push(format!("{kind}_time"));
        header.extend(columns.iter().flat_map(|(name, _)| [format!("{kind}_{name}_time"), "ratio".into()]));
        header.push("L2 hits".into());
        let of_kind = |row: &&Row| row.kinds().any(|(name, ..)| name == kind);
        let lines: Vec<Vec<String>> = rows.iter().filter(of_kind).map(|row| line(row, kind)).collect();
        if !lines.is_empty() {
            let right: Vec<usize> = (1..header.len()).collect();
            let header: Vec<&str> = header.iter().map(String::as_str).collect();
            show::table(&header, &lines, &right);
        }
    }
    for row in rows {
        for race in &row.sum.races {
            println!("race in {}: {race}", row.sum.name);
        }
    }
    if !rows.is_empty() {
        println!("us of model time, averages of a launch and of a core; ratios are parts of the core's time");
    }
}

fn line(row: &Row, kind: &str) -> Vec<String> {
    let Some((_, cores, columns)) = row.kinds().find(|(name, ..)| *name == kind) else { return Vec::new() };
    let mut cells = vec![
        row.sum.name.clone(),
        row.count.to_string(),
        row.sum.blocks.to_string(),
        cores.cores.to_string(),
        format!("{:.2}", row.task_us()),
    ];
    for (name, value) in row.cores(kind, cores, columns) {
        cells.push(if name.ends_with("ratio") { format!("{value:.3}") } else { format!("{value:.2}") });
    }
    cells.push(format!("{:.1} %", row.hit_ratio() * 100.0));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(name: &str, cycles: f64) -> KernelTrace {
        let aiv = CoresTrace {
            cores: 2,
            blocks: 2,
            cycles,
            most: cycles,
            busy: [1.0, cycles / 2.0, 0.0, 0.0, cycles, 0.0, 0.0],
        };
        let (end_ns, clock_mhz) = (2_000, 1000);
        KernelTrace {
            name: name.into(),
            blocks: 2,
            clock_mhz,
            end_ns,
            aiv,
            loaded: 100,
            missed: 25,
            ..KernelTrace::default()
        }
    }

    #[test]
    fn launches_of_a_kernel_are_averaged() {
        let kernels = [kernel("add", 1000.0), kernel("mul", 10.0), kernel("add", 3000.0)];
        assert_eq!(rows(&kernels, true).len(), 3);
        let rows = rows(&kernels, false);
        assert_eq!(rows.len(), 2);
        let add = rows[0].json();
        assert_eq!((&add["Op Name"], &add["Count"]), (&json!("add"), &json!(2)));
        assert_eq!((&add["Task Duration(us)"], &add["aiv_time(us)"]), (&json!(2.0), &json!(2.0)));
        assert_eq!((&add["aiv_vec_time(us)"], &add["aiv_vec_ratio"]), (&json!(1.0), &json!(0.5)));
        assert_eq!((&add["aiv_total_cycles"], &add["l2_hit_ratio"]), (&json!(4000.0), &json!(0.75)));
        assert!(add.get("aic_time(us)").is_none(), "no cube core worked");
    }
}
