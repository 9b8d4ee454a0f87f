//! The folder of a collection, in the shape that msprof leaves behind when it has exported one:
//! `PROF_<number>_<time>_<letters>/{host,device_N,mindstudio_profiler_output}`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use vinci::profile::{Task, Work};

use super::collect::{Data, Mark};
use super::mark::LABEL;
use super::{COLLECTED, KINDS, MSPROFTX, TASKS, names};

/// Writes a collection below `path`.
pub fn write(path: &Path, number: u32, settings: &BTreeMap<u32, String>, data: &Data) -> io::Result<()> {
    let time = local_time(data.epoch + data.ended);
    let stamp = format!("{time}{:03}", (data.epoch + data.ended) / 1_000_000 % 1000);
    let folder = path.join(format!("PROF_{number:06}_{stamp}_{}", letters()?));
    let output = folder.join("mindstudio_profiler_output");
    fs::create_dir_all(&output)?;
    fs::create_dir_all(folder.join("host/data"))?;
    let report = Report { data };
    fs::write(folder.join("host/start_info"), report.moment(data.begun))?;
    fs::write(folder.join("host/end_info"), report.moment(data.ended))?;
    let asked =
        json!({ "dataTypeConfig": data.config.data, "devices": data.config.devices, "settings": settings });
    fs::write(folder.join("host/sample.json"), asked.to_string())?;
    for device in &data.config.devices {
        let of_device = folder.join(format!("device_{device}"));
        fs::create_dir_all(of_device.join("data"))?;
        fs::write(of_device.join(format!("start_info.{device}")), report.moment(data.begun))?;
        fs::write(of_device.join(format!("end_info.{device}")), report.moment(data.ended))?;
    }
    // Clients throw away what was exported and have msprof export it anew: that is linking it again.
    let kept = folder.join("host/data/exported");
    fs::create_dir_all(&kept)?;
    let put = |name: &str, text: String| {
        fs::write(kept.join(name), text)?;
        fs::hard_link(kept.join(name), output.join(name))
    };
    put(&format!("msprof_{time}.json"), Value::Array(report.trace()).to_string())?;
    if data.config.data & TASKS != 0 {
        put(&format!("op_summary_{time}.csv"), report.op_summary())?;
        put(&format!("op_statistic_{time}.csv"), report.op_statistic())?;
        put(&format!("task_time_{time}.csv"), report.task_time())?;
    }
    if !data.calls.is_empty() {
        put(&format!("api_statistic_{time}.csv"), report.api_statistic())?;
    }
    if data.config.data & MSPROFTX != 0 {
        put(&format!("msprof_tx_{time}.csv"), report.msprof_tx())?;
    }
    if !data.steps.is_empty() {
        put(&format!("step_trace_{time}.csv"), report.step_trace())?;
    }
    put("README.txt", report.readme())
}

/// ns that CLOCK_MONOTONIC_RAW, which is not slewed, is ahead of CLOCK_MONOTONIC.
fn raw_less_monotonic() -> i64 {
    let mut raw = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place is live.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_RAW, &raw mut raw) };
    raw.tv_sec * 1_000_000_000 + raw.tv_nsec - vinci::profile::now_ns() as i64
}

/// Random letters that tell folders apart.
fn letters() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    // SAFETY: the buffer has that many bytes.
    if unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) } != 16 {
        return Err(io::Error::last_os_error());
    }
    Ok(bytes.iter().map(|b| char::from(b'A' + b % 26)).collect())
}

/// "20261231235959" of ns since 1970, in the machine's time zone.
pub fn local_time(ns: u64) -> String {
    let seconds = (ns / 1_000_000_000) as libc::time_t;
    // SAFETY: zeros are a valid `tm`.
    let mut t: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both places are live.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut t) };
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}",
        t.tm_year + 1900,
        t.tm_mon + 1,
        t.tm_mday,
        t.tm_hour,
        t.tm_min,
        t.tm_sec
    )
}

/// us with three digits.
fn us(ns: u64) -> String {
    format!("{}.{:03}", ns / 1000, ns % 1000)
}

/// A field of a table.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Shortest, longest and sum, of ns.
#[derive(Default)]
struct Statistic {
    all: Vec<u64>,
}

impl Statistic {
    fn sum(&self) -> u64 {
        self.all.iter().sum()
    }

    fn average(&self) -> u64 {
        self.sum() / self.all.len().max(1) as u64
    }

    fn least(&self) -> u64 {
        self.all.iter().copied().min().unwrap_or(0)
    }

    fn most(&self) -> u64 {
        self.all.iter().copied().max().unwrap_or(0)
    }

    /// Of us.
    fn variance(&self) -> f64 {
        let mean = self.sum() as f64 / self.all.len().max(1) as f64;
        let square = |&ns: &u64| ((ns as f64 - mean) / 1e3).powi(2);
        self.all.iter().map(square).sum::<f64>() / self.all.len().max(1) as f64
    }
}

struct Report<'a> {
    data: &'a Data,
}

impl Report<'_> {
    /// us since 1970 of ns of CLOCK_MONOTONIC.
    fn when(&self, monotonic: u64) -> String {
        us(self.data.epoch + monotonic)
    }

    fn moment(&self, at: u64) -> String {
        let us = (self.data.epoch + at) / 1000;
        json!({
            "collectionTimeBegin": us.to_string(),
            "collectionDateBegin": local_time(self.data.epoch + at),
            "clockMonotonicRaw": at.saturating_add_signed(raw_less_monotonic()).to_string(),
        })
        .to_string()
    }

    /// The tasks of the device, but for those that marks left there.
    fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.data.tasks.iter().filter(|task| {
            !(task.work == Work::Placeholder
                && task.label.as_deref().is_some_and(|label| label.starts_with(LABEL)))
        })
    }

    fn op_summary(&self) -> String {
        let mut out = String::from(
            "Device_id,Model ID,Task ID,Stream ID,Op Name,OP Type,OP State,Task Type,Task Start Time(us),\
             Task Duration(us),Task Wait Time(us),Block Num,Mix Block Num,HF32 Eligible,Input Shapes,Input Data Types,\
             Input Formats,Output Shapes,Output Data Types,Output Formats,Context ID,Model Clock Duration(us)\n",
        );
        let mut before: BTreeMap<u32, u64> = BTreeMap::new();
        let mut tasks: Vec<_> = self.tasks().collect();
        tasks.sort_by_key(|task| task.start_ns);
        for task in tasks {
            let Work::Kernel { core, blocks, .. } = &task.work else { continue };
            let (kind, name) = names::operator(task);
            let end = before.insert(task.die, task.end_ns);
            let wait = end.map_or(0, |end| task.start_ns.saturating_sub(end));
            let _ = writeln!(
                out,
                "{},4294967295,{},{},{},{},N/A,{},{},{},{},{blocks},0,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,{}",
                task.die,
                task.entry,
                task.stream,
                field(&name),
                field(&kind),
                names::core(*core),
                self.when(task.start_ns),
                us(task.end_ns - task.start_ns),
                us(wait),
                us(task.model_end_ns - task.model_start_ns),
            );
        }
        out
    }

    fn op_statistic(&self) -> String {
        let mut out = String::from(
            "Device_id,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)\n",
        );
        let mut all: BTreeMap<(u32, String, &str), Statistic> = BTreeMap::new();
        for task in self.tasks() {
            if let Work::Kernel { core, .. } = &task.work {
                let key = (task.die, names::operator(task).0, names::core(*core));
                all.entry(key).or_default().all.push(task.end_ns - task.start_ns);
            }
        }
        let total =
            |die| all.iter().filter(|(key, _)| key.0 == die).map(|(_, s)| s.sum()).sum::<u64>().max(1);
        let mut rows: Vec<_> = all.iter().collect();
        rows.sort_by_key(|(key, s)| (key.0, std::cmp::Reverse(s.sum())));
        for ((die, kind, core), s) in rows {
            let ratio = s.sum() as f64 * 100.0 / total(*die) as f64;
            let _ = writeln!(
                out,
                "{die},{},{core},{},{},{},{},{},{ratio:.3}",
                field(kind),
                s.all.len(),
                us(s.sum()),
                us(s.least()),
                us(s.average()),
                us(s.most()),
            );
        }
        out
    }

    fn task_time(&self) -> String {
        let mut out = String::from(
            "Device_id,kernel_name,kernel_type,stream_id,task_id,task_time(us),task_start(us),task_stop(us)\n",
        );
        for task in self.tasks() {
            let name = match &task.work {
                Work::Kernel { .. } => names::operator(task).1,
                _ => "N/A".to_owned(),
            };
            let _ = writeln!(
                out,
                "{},{},{},{},{},{},{},{}",
                task.die,
                field(&name),
                names::task_type(&task.work),
                task.stream,
                task.entry,
                us(task.end_ns - task.start_ns),
                self.when(task.start_ns),
                self.when(task.end_ns),
            );
        }
        out
    }

    fn api_statistic(&self) -> String {
        let mut out =
            String::from("Device_id,Level,API Name,Time(us),Count,Avg(us),Min(us),Max(us),Variance\n");
        let mut all: BTreeMap<&str, Statistic> = BTreeMap::new();
        for call in &self.data.calls {
            all.entry(call.name).or_default().all.push(call.ended - call.begun);
        }
        for (name, s) in all {
            let _ = writeln!(
                out,
                "host,acl,{name},{},{},{},{},{},{:.3}",
                us(s.sum()),
                s.all.len(),
                us(s.average()),
                us(s.least()),
                us(s.most()),
                s.variance()
            );
        }
        out
    }

    /// The task of a mark, if it was made in a stream.
    fn task_of(&self, mark: &Mark) -> Option<&Task> {
        let label = format!("{LABEL}{}", mark.id);
        self.data.tasks.iter().find(|task| task.label.as_deref() == Some(&*label))
    }

    fn msprof_tx(&self) -> String {
        let mut out = String::from(
            "pid,tid,category,event_type,payload_type,payload_value,Start_time(us),End_time(us),message_type,message,\
             domain,Device Start_time(us),Device End_time(us)\n",
        );
        for mark in &self.data.marks {
            let task = self.task_of(mark);
            let device = |ns: fn(&Task) -> u64| task.map_or("N/A".to_owned(), |task| self.when(ns(task)));
            let _ = writeln!(
                out,
                "{},{},0,{},0,0,{},{},0,{},{},{},{}",
                std::process::id(),
                mark.thread,
                mark.kind,
                self.when(mark.begun),
                self.when(mark.ended),
                field(&mark.message),
                field(&mark.domain),
                device(|task| task.start_ns),
                device(|task| task.end_ns),
            );
        }
        out
    }

    fn step_trace(&self) -> String {
        let mut out = String::from(
            "Device_id,Iteration ID,FP Start(us),BP End(us),Iteration End(us),Iteration Time(us),\
             FP to BP Time(us),Iteration Refresh(us),Data Aug Bound(us),Model ID\n",
        );
        let mut starts: BTreeMap<(u32, u64), u64> = BTreeMap::new();
        for step in &self.data.steps {
            let key = (step.device, step.number);
            if step.start {
                starts.insert(key, step.at);
            } else if let Some(start) = starts.remove(&key) {
                let (end, time) = (self.when(step.at), us(step.at - start));
                let (device, number) = key;
                let _ = writeln!(out, "{device},{number},N/A,N/A,{end},{time},N/A,N/A,N/A,4294967295");
            }
        }
        out
    }

    /// Events for a trace viewer: calls and marks by thread, tasks by stream, arrows from a submission to its task.
    fn trace(&self) -> Vec<Value> {
        const CANN: u32 = 1;
        const MARKS: u32 = 2;
        const HARDWARE: u32 = 1000;
        let process = |pid: u32, name: &str, label: &str| {
            [
                json!({ "name": "process_name", "pid": pid, "tid": 0, "ph": "M", "args": { "name": name } }),
                json!({ "name": "process_labels", "pid": pid, "tid": 0, "ph": "M", "args": { "labels": label } }),
                json!({ "name": "process_sort_index", "pid": pid, "tid": 0, "ph": "M", "args": { "sort_index": pid } }),
            ]
        };
        let dur = |ns: u64| ns as f64 / 1e3;
        let mut out: Vec<Value> = process(CANN, "CANN", "CPU").into();
        for call in &self.data.calls {
            out.push(json!({
                "name": format!("AscendCL@{}", call.name), "pid": CANN, "tid": call.thread, "ph": "X",
                "ts": self.when(call.begun), "dur": dur(call.ended - call.begun),
                "args": { "Thread Id": call.thread, "level": "acl", "id": call.name },
            }));
        }
        if !self.data.marks.is_empty() {
            out.extend(process(MARKS, "MsTx", "CPU"));
        }
        for mark in &self.data.marks {
            out.push(json!({
                "name": mark.message, "pid": MARKS, "tid": mark.thread, "ph": "X",
                "ts": self.when(mark.begun), "dur": dur(mark.ended - mark.begun),
                "args": { "event_type": mark.kind, "domain": mark.domain },
            }));
        }
        for device in &self.data.config.devices {
            out.extend(process(HARDWARE + device, "Ascend Hardware", &format!("NPU {device}")));
        }
        let mut named = std::collections::BTreeSet::new();
        for (id, task) in self.data.tasks.iter().enumerate() {
            let (pid, kind) = (HARDWARE + task.die, names::task_type(&task.work));
            if named.insert((pid, task.stream)) {
                out.push(json!({
                    "name": "thread_name", "pid": pid, "tid": task.stream, "ph": "M",
                    "args": { "name": format!("Stream {}", task.stream) },
                }));
            }
            let mut args = json!({
                "Model Id": 4_294_967_295u32, "Task Type": kind, "Stream Id": task.stream, "Task Id": task.entry,
                "connection_id": id, "Model Clock Start(us)": dur(task.model_start_ns),
                "Model Clock Duration(us)": dur(task.model_end_ns - task.model_start_ns),
            });
            let name = match &task.work {
                Work::Kernel { core, blocks, .. } => {
                    args["Task Type"] = names::core(*core).into();
                    args["Block Num"] = (*blocks).into();
                    names::operator(task).1
                }
                Work::Copy { direction, bytes } => {
                    args["operation"] = names::direction(*direction).into();
                    args["size(B)"] = (*bytes).into();
                    kind.to_owned()
                }
                Work::Fill { bytes } => {
                    args["size(B)"] = (*bytes).into();
                    kind.to_owned()
                }
                _ => kind.to_owned(),
            };
            let (submitted, start) = (self.when(task.submitted_ns), self.when(task.start_ns));
            out.push(json!({
                "name": name, "pid": pid, "tid": task.stream, "ph": "X", "ts": start,
                "dur": dur(task.end_ns - task.start_ns), "args": args,
            }));
            let flow = format!("HostToDevice{id}");
            let host = (CANN, task.thread, submitted);
            out.push(json!({
                "name": "Node@launch", "pid": host.0, "tid": host.1, "ph": "X", "ts": host.2, "dur": 0.0,
                "args": { "Thread Id": task.thread, "level": "node", "id": name, "connection_id": id },
            }));
            out.push(json!({
                "name": flow, "ph": "s", "cat": "HostToDevice", "id": id.to_string(), "pid": host.0, "tid": host.1,
                "ts": host.2,
            }));
            out.push(json!({
                "name": flow, "ph": "f", "bp": "e", "cat": "HostToDevice", "id": id.to_string(), "pid": pid,
                "tid": task.stream, "ts": start,
            }));
        }
        out
    }

    /// What the files are, and what there is not.
    fn readme(&self) -> String {
        let data = self.data;
        let mut out = String::from(
            "Written by Vinci. Times without another word are the host's wall clock, as the device stamped them;\n\
             \"Model Clock\" is the time that the chip of the profile would have taken.\n\n\
             msprof_*.json        everything as events of a trace: open it in chrome://tracing or ui.perfetto.dev\n\
             op_summary_*.csv     each kernel\n\
             op_statistic_*.csv   kernels by type\n\
             task_time_*.csv      each task of a stream\n\
             api_statistic_*.csv  calls by function\n\
             msprof_tx_*.csv      marks and ranges of the program\n\
             step_trace_*.csv     steps\n\n",
        );
        let _ = writeln!(
            out,
            "{} tasks, {} calls, {} marks.",
            data.tasks.len(),
            data.calls.len(),
            data.marks.len()
        );
        if data.lost != 0 {
            let _ = writeln!(
                out,
                "{} tasks of the process were dropped or faulted: nothing is known of them.",
                data.lost
            );
        }
        if data.cut_short {
            let _ = writeln!(out, "Some tasks were still running when collecting ended; they are not here.");
        }
        let missing: Vec<_> =
            KINDS.iter().filter(|kind| data.config.data & kind.0 & !COLLECTED != 0).collect();
        if !missing.is_empty() {
            out.push_str("Asked for and not collected:\n");
            missing.iter().for_each(|(_, name, what)| {
                let _ = writeln!(out, "  ACL_PROF_{name}: {what}");
            });
        }
        out
    }
}
