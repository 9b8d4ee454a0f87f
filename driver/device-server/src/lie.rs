//! A device that lies, for the tests of drivers: what it says is nonsense, while everything else works.

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use vinci_device::HostBus;
use vinci_hw::admin::{Command, Completion, Opcode, Outcome};
use vinci_hw::regs::{PAGE_SIZE, Reg, VECTOR_ADMIN};
use vinci_hw::uapi::drm_vinci_queue_fence;

use crate::function::Function;

/// A lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lie {
    /// Every register reads as all ones.
    AllOnes,
    /// Behind the completion of each command stands one that belongs to no command.
    UnknownCompletion,
    /// The fence of each queue goes back to 0 after each register that is written.
    FenceBackwards,
}

impl Lie {
    /// All there are, with what the command line calls them.
    pub const ALL: [(&'static str, Self); 3] = [
        ("all-ones", Self::AllOnes),
        ("unknown-completion", Self::UnknownCompletion),
        ("fence-backwards", Self::FenceBackwards),
    ];

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl FromStr for Lie {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(|(name, _)| name).join(", ");
        Self::ALL
            .into_iter()
            .find(|(name, _)| *name == text)
            .map(|(_, lie)| lie)
            .ok_or_else(|| format!("expected one of {}", names()))
    }
}

/// What a liar has to know to be believed.
#[derive(Default)]
struct Known {
    /// Index in the admin ring up to which commands were seen.
    head: u64,
    /// Commands since the device was enabled.
    commands: u64,
    /// Bus addresses of the fence pages of the queues.
    fences: Vec<(u32, u64)>,
}

/// See the module.
#[derive(Default)]
pub struct Liar {
    lies: AtomicU32,
    told: AtomicU64,
    known: Mutex<Known>,
}

impl Liar {
    /// Tells a lie from now on, or (`None`) the truth.
    pub fn set(&self, lie: Option<Lie>) {
        match lie {
            Some(lie) => self.lies.fetch_or(lie.bit(), Ordering::AcqRel),
            None => self.lies.swap(0, Ordering::AcqRel),
        };
    }

    fn tells(&self, lie: Lie) -> bool {
        self.lies.load(Ordering::Acquire) & lie.bit() != 0
    }

    /// How often it lied.
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// What a register is said to hold.
    pub fn register(&self, _offset: u64) -> Option<u64> {
        self.tells(Lie::AllOnes).then(|| {
            self.told.fetch_add(1, Ordering::Relaxed);
            u64::MAX
        })
    }

    /// A register is about to be written: notes where rings and fences are.
    pub fn before_write(&self, function: &Function, offset: u64, value: u64) {
        let known = &mut *self.known.lock();
        match Reg::from_offset(offset) {
            Some(Reg::Control) => (known.head, known.commands) = (0, 0),
            Some(Reg::AdminTail) => {
                let device = function.device();
                let size = device.read(Reg::AdminSize as u64);
                let at = |index| device.read(Reg::AdminSq as u64).wrapping_add(index * 64);
                while size != 0 && value < size && known.head != value {
                    let Some(p) = function.bus.translate(at(known.head), 64) else { return };
                    // SAFETY: the bytes were translated; every bit pattern is a command.
                    let command = unsafe { p.cast::<Command>().read_unaligned() };
                    known.note(&command);
                    known.head = (known.head + 1) % size;
                    known.commands += 1;
                }
            }
            _ => {}
        }
    }

    /// A register was written.
    pub fn after_write(&self, function: &Function, offset: u64) {
        if offset == Reg::AdminTail as u64 && self.tells(Lie::UnknownCompletion) {
            self.complete_nothing(function);
        }
        if self.tells(Lie::FenceBackwards) {
            self.turn_fences_back(function);
        }
    }

    /// The function was reset: its queues are gone.
    pub fn after_reset(&self) {
        *self.known.lock() = Known::default();
    }

    fn complete_nothing(&self, function: &Function) {
        let commands = self.known.lock().commands;
        let (device, bus) = (function.device(), &function.bus);
        let size = device.read(Reg::AdminSize as u64);
        let Some(slot) = commands.checked_rem(size) else { return };
        let at = device.read(Reg::AdminCq as u64).wrapping_add(slot * 16);
        let Some(p) = bus.translate(at, 16).filter(|_| at.is_multiple_of(16)) else { return };
        let phase = (commands / size).is_multiple_of(2);
        let status = Completion::pack_status(Outcome::Ok, phase);
        let lie = Completion { tag: 0xdead, status, ..Completion::default() };
        // SAFETY: the bytes were translated.
        unsafe { p.cast::<Completion>().write_volatile(lie) };
        self.told.fetch_add(1, Ordering::Relaxed);
        bus.interrupt(VECTOR_ADMIN);
    }

    /// Lets every fence that has moved begin again; whoever waits is woken to see it.
    pub fn turn_fences_back(&self, function: &Function) {
        for (queue, fence) in self.known.lock().fences.iter() {
            let Some(p) = function.bus.translate(*fence, PAGE_SIZE) else { continue };
            let p = p.cast::<drm_vinci_queue_fence>();
            // SAFETY: the page was translated, and is aligned to pages; shared words are only accessed as atomics.
            let completed = unsafe { AtomicU64::from_ptr(&raw mut (*p.as_ptr()).completed) };
            if completed.swap(0, Ordering::AcqRel) != 0 {
                self.told.fetch_add(1, Ordering::Relaxed);
                function.bus.interrupt(vinci_hw::regs::queue_vector(*queue, vinci_device::VECTORS));
            }
        }
    }
}

impl Known {
    fn note(&mut self, command: &Command) {
        match Opcode::from_raw(command.opcode) {
            Some(Opcode::QueueCreate) => {
                let setup = command.queue_setup();
                if setup.fence.is_multiple_of(PAGE_SIZE) && self.fences.len() < 1024 {
                    self.fences.push((setup.queue, setup.fence));
                }
            }
            Some(Opcode::QueueDestroy) => self.fences.retain(|(queue, _)| *queue != command.id),
            _ => {}
        }
    }
}
