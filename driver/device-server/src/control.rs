//! The control socket: errors, removal and lies, made to happen from outside of the guest. One line of JSON each way.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vinci_device::Injection;

use crate::function::Function;
use crate::lie::Lie;

/// Bytes of a line at most.
const LINE: u64 = 4096;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do", deny_unknown_fields)]
pub enum Request {
    /// What the device is doing.
    Status,
    /// A corrected memory error, of which the driver hears.
    EccSingle {
        /// Where.
        die: u32,
    },
    /// An uncorrectable memory error: work that reads the 64 bytes there faults.
    EccDouble {
        /// Where.
        die: u32,
        /// In its HBM.
        offset: u64,
    },
    /// The die's next kernel does not end.
    Hang {
        /// Where.
        die: u32,
    },
    /// The die's firmware crashes at the next entry: its queue faults.
    Crash {
        /// Where.
        die: u32,
    },
    /// The link from this die to the others is lost.
    LinkDown {
        /// Which.
        die: u32,
    },
    /// The function is pulled out without a word.
    Remove,
    /// The guest is asked to give the function back.
    Unplug,
    /// A lie is told from now on; without one, the truth.
    Lie {
        /// Which.
        lie: Option<Lie>,
    },
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was done.
    Done,
    /// What the device is doing.
    Status(Status),
    /// It was not done, and why.
    Refused(String),
}

/// What the device is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether a client is connected.
    pub connected: bool,
    /// Whether the function was pulled out.
    pub removed: bool,
    /// Whether the driver has enabled it.
    pub enabled: bool,
    /// Bytes of guest memory that it can reach.
    pub guest_memory: u64,
    /// Vectors that go somewhere.
    pub vectors: u64,
    /// Reads of registers: exits of the guest, which it waited for.
    pub register_reads: u64,
    /// Writes of registers.
    pub register_writes: u64,
    /// Those of them that woke a scheduler.
    pub kicks: u64,
    /// Accesses to doorbells and HBM that were not made through a mapping.
    pub unmapped_accesses: u64,
    /// Accesses to the config space.
    pub config_accesses: u64,
    /// Interrupts.
    pub interrupts: u64,
    /// Resets of the function.
    pub resets: u64,
    /// Lies that were told.
    pub lies: u64,
}

/// Where the control socket of a device is, if nobody says otherwise.
pub fn beside(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".control");
    path.into()
}

/// Asks the device whose control socket is at `path`.
pub fn ask(path: &Path, request: &Request) -> io::Result<Answer> {
    let mut socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    writeln!(socket, "{}", serde_json::to_string(request)?)?;
    let mut line = String::new();
    BufReader::new(socket.take(LINE)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// Answers one request.
pub fn answer(socket: &UnixStream, function: Option<&Function>) -> io::Result<()> {
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.set_write_timeout(Some(Duration::from_secs(2)))?;
    let mut line = String::new();
    BufReader::new(socket.take(LINE)).read_line(&mut line)?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => carry_out(request, function),
        Err(e) => Answer::Refused(format!("not a request: {e}")),
    };
    let mut socket = socket;
    writeln!(socket, "{}", serde_json::to_string(&answer)?)
}

fn carry_out(request: Request, function: Option<&Function>) -> Answer {
    let Some(function) = function else {
        return match request {
            Request::Status => Answer::Status(Status::default()),
            _ => Answer::Refused("no machine is connected to this device".into()),
        };
    };
    let inject = |die, what| match function.device().inject(die, what) {
        Ok(()) => Answer::Done,
        Err(e) => Answer::Refused(e.to_string()),
    };
    log::info!("control: {request:?}");
    match request {
        Request::Status => Answer::Status(status(function)),
        _ if function.is_removed() => Answer::Refused("the function was pulled out".into()),
        Request::EccSingle { die } => inject(die, Injection::EccSingle { address: 0 }),
        Request::EccDouble { die, offset } => inject(die, Injection::EccDouble { offset }),
        Request::Hang { die } => inject(die, Injection::Hang),
        Request::Crash { die } => inject(die, Injection::Crash),
        Request::LinkDown { die } => inject(die, Injection::LinkDown),
        Request::Remove => {
            function.remove();
            Answer::Done
        }
        Request::Unplug if function.bus.interrupts.request() => Answer::Done,
        Request::Unplug => Answer::Refused("the machine does not listen for requests to unplug".into()),
        Request::Lie { lie } => {
            function.liar.set(lie);
            if lie == Some(Lie::FenceBackwards) {
                function.liar.turn_fences_back(function);
            }
            Answer::Done
        }
    }
}

/// What a function is doing.
pub fn status(function: &Function) -> Status {
    let (bus, counts) = (&function.bus, &function.bus.counts);
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Status {
        connected: true,
        removed: function.is_removed(),
        enabled: function.device().read(vinci_hw::regs::Reg::Control as u64) != 0,
        guest_memory: bus.memory.bytes(),
        vectors: bus.interrupts.routed() as u64,
        register_reads: read(&counts.reads),
        register_writes: read(&counts.writes),
        kicks: read(&counts.kicks),
        unmapped_accesses: read(&counts.unmapped),
        config_accesses: read(&counts.config),
        interrupts: read(&counts.interrupts),
        resets: read(&counts.resets),
        lies: function.liar.told(),
    }
}
