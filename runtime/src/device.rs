//! A die of the module: what AscendCL calls a device.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vinci_uapi::*;

use crate::driver::{Driver, text};
use crate::event::slot::Place;
use crate::memory::alloc::DieMemory;
use crate::sys::Sys;
use crate::{AllocationKind, ClockReading, DevicePtr, Error, Policy, Result, Stream};

/// What a die is made of.
#[derive(Clone, Debug)]
pub struct DieInfo {
    /// Name that `aclrtGetSocName` answers.
    pub soc_name: String,
    /// NPU architecture number, such as 2201.
    pub arch: u32,
    /// Cube cores.
    pub aic_cores: u32,
    /// Vector cores.
    pub aiv_cores: u32,
    /// Control cores.
    pub aicpu_cores: u32,
    /// AI-core clock.
    pub clock_mhz: u32,
    /// Memory of the die.
    pub hbm_bytes: u64,
    /// Peak memory bandwidth, 10^9 bytes per second.
    pub hbm_gbps: u32,
    /// Bandwidth to the other die, 10^9 bytes per second; 0 without one.
    pub link_gbps: u32,
    /// Shared cache.
    pub l2_bytes: u64,
    /// L1 of an AIC.
    pub l1_bytes: u32,
    /// L0A of an AIC.
    pub l0a_bytes: u32,
    /// L0B of an AIC.
    pub l0b_bytes: u32,
    /// L0C of an AIC.
    pub l0c_bytes: u32,
    /// Unified buffer of an AIV.
    pub ub_bytes: u32,
    /// Dense float16 peak, 10^9 operations per second.
    pub fp16_gflops: u32,
}

/// Memory of a die, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemInfo {
    /// That an allocation could still take.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

/// How a die feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing to report.
    Ok,
    /// Something should be looked at.
    Warning,
    /// Something failed.
    Alarm,
    /// The die cannot be used.
    Critical,
}

/// Sensors and counters of a die.
#[derive(Clone, Copy, Debug)]
pub struct Telemetry {
    /// Overall.
    pub health: Health,
    /// Degrees Celsius.
    pub temperature_c: f32,
    /// Watts.
    pub power_w: f32,
    /// AI-core clock at present.
    pub clock_mhz: u32,
    /// Share of the last second that cube cores worked, 0 to 1.
    pub aic_util: f32,
    /// The same of vector cores.
    pub aiv_util: f32,
    /// Share of the peak memory bandwidth.
    pub hbm_util: f32,
    /// Memory of the die.
    pub hbm_total: u64,
    /// Allocated by all processes.
    pub hbm_used: u64,
    /// Held by this process, cached or in use.
    pub hbm_process: u64,
    /// Corrected memory errors.
    pub ecc_single: u64,
    /// Uncorrectable memory errors.
    pub ecc_double: u64,
    /// Tasks completed since the device came up.
    pub tasks: u64,
    /// Both clocks.
    pub clock: ClockReading,
}

/// A die, as the process knows it.
#[derive(Debug)]
pub(crate) struct Die {
    pub(crate) ordinal: u32,
    pub(crate) info: DieInfo,
    pub(crate) memory: DieMemory,
    /// Dies whose memory work here may reach, one bit each.
    pub(crate) peers: AtomicU64,
    /// Held while `peers` changes.
    pub(crate) peer_change: Mutex<()>,
    /// Streams for synchronous copies that are not in use.
    pub(crate) copiers: Mutex<Vec<Stream>>,
    /// The last launch of a kernel that the program brought along: its place, and when it was.
    pub(crate) launched: Mutex<Option<(Place, Instant)>>,
}

impl Die {
    pub(crate) fn open(sys: &Sys, ordinal: u32) -> Result<Die> {
        let raw = sys.die_info(ordinal)?;
        let info = DieInfo {
            soc_name: text(&raw.soc_name),
            arch: raw.arch,
            aic_cores: raw.aic_cores,
            aiv_cores: raw.aiv_cores,
            aicpu_cores: raw.aicpu_cores,
            clock_mhz: raw.clock_mhz,
            hbm_bytes: raw.hbm_bytes,
            hbm_gbps: raw.hbm_gbps,
            link_gbps: raw.link_gbps,
            l2_bytes: raw.l2_bytes,
            l1_bytes: raw.l1_bytes,
            l0a_bytes: raw.l0a_bytes,
            l0b_bytes: raw.l0b_bytes,
            l0c_bytes: raw.l0c_bytes,
            ub_bytes: raw.ub_bytes,
            fp16_gflops: raw.fp16_gflops,
        };
        Ok(Die {
            ordinal,
            info,
            memory: DieMemory::new(ordinal),
            peers: AtomicU64::new(0),
            peer_change: Mutex::new(()),
            copiers: Mutex::new(Vec::new()),
            launched: Mutex::new(None),
        })
    }
}

/// One die. Copies name the same die.
///
/// ```
/// for ordinal in 0..vinci::Device::count()? {
///     let device = vinci::Device::get(ordinal)?;
///     println!("{ordinal}: {}, {:?}", device.info().soc_name, device.mem_info()?);
/// }
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Device(&'static Die);

impl PartialEq for Device {
    fn eq(&self, other: &Device) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Device {}

impl Device {
    pub(crate) fn of(die: &'static Die) -> Device {
        Device(die)
    }

    pub(crate) fn die(self) -> &'static Die {
        self.0
    }

    /// How many there are.
    pub fn count() -> Result<u32> {
        Ok(Driver::get()?.info.die_count)
    }

    /// The die `ordinal`.
    pub fn get(ordinal: u32) -> Result<Device> {
        let driver = Driver::get()?;
        driver.dies.get(ordinal as usize).map(Device).ok_or_else(|| {
            Error::NoDevice(format!("there is no device {ordinal}; the module has {}", driver.dies.len()))
        })
    }

    /// Its number.
    pub fn ordinal(&self) -> u32 {
        self.0.ordinal
    }

    /// What it is made of.
    pub fn info(&self) -> &'static DieInfo {
        &self.0.info
    }

    /// Its memory.
    pub fn mem_info(&self) -> Result<MemInfo> {
        let driver = Driver::get()?;
        driver.reap(true);
        Ok(MemInfo { free: driver.free_bytes(self.0.ordinal), total: self.0.info.hbm_bytes })
    }

    /// Sensors and counters.
    pub fn telemetry(&self) -> Result<Telemetry> {
        let t = Driver::get()?.sys.telemetry(self.0.ordinal)?;
        let share = |per_mille: u32| per_mille as f32 / 1000.0;
        Ok(Telemetry {
            health: match t.health {
                0 => Health::Ok,
                1 => Health::Warning,
                2 => Health::Alarm,
                _ => Health::Critical,
            },
            temperature_c: t.temperature_mc as f32 / 1000.0,
            power_w: t.power_mw as f32 / 1000.0,
            clock_mhz: t.clock_mhz,
            aic_util: share(t.aic_util),
            aiv_util: share(t.aiv_util),
            hbm_util: share(t.hbm_util),
            hbm_total: t.hbm_total,
            hbm_used: t.hbm_used,
            hbm_process: t.hbm_file,
            ecc_single: t.ecc_single,
            ecc_double: t.ecc_double,
            tasks: t.tasks,
            clock: ClockReading { wall_ns: t.wall_ns, model_ns: t.model_ns },
        })
    }

    /// Both clocks.
    pub fn clock(&self) -> Result<ClockReading> {
        let c = Driver::get()?.sys.clock(self.0.ordinal)?;
        Ok(ClockReading { wall_ns: c.wall_ns, model_ns: c.model_ns })
    }

    /// Waits until all streams of this process on the die are idle. `None` waits for ever. The first
    /// stream that the device stopped is the error, after all others were waited for.
    pub fn synchronize(&self, timeout: Option<Duration>) -> Result<()> {
        let op = "synchronize device";
        let start = Instant::now();
        let queues: Vec<_> =
            Driver::get()?.queues.read().iter().filter(|q| q.die() == self.0.ordinal).cloned().collect();
        let mut result = Ok(());
        for queue in queues {
            let left = timeout.map(|t| t.saturating_sub(start.elapsed()));
            let one = queue.wait(queue.submitted(), left, op).and_then(|()| queue.check(op));
            // A stream that was destroyed since the list was made has nothing left to wait for.
            if one.is_err() && !queue.is_gone() && result.is_ok() {
                result = one;
            }
        }
        result
    }

    /// Resets the die itself. Every stream on it, of every process, is lost; memory stays.
    pub fn reset(&self) -> Result<()> {
        let driver = Driver::get()?;
        // Streams for synchronous copies are lost as all others are.
        self.0.copiers.lock().clear();
        driver.sys.reset_die(self.0.ordinal)
    }

    /// Frees all memory that [`Device::malloc`] gave out on this die; answers how many bytes.
    /// What a [`crate::Buffer`], [`crate::Pool`] or [`crate::PhysicalMemory`] owns stays.
    pub fn free_all(&self) -> Result<u64> {
        let driver = Driver::get()?;
        let freed = driver.registry.remove_all(AllocationKind::Device, self.0.ordinal);
        let bytes = freed.iter().map(|(_, record)| record.size).sum();
        for (_, record) in freed {
            driver.retire(record.backing);
        }
        Ok(bytes)
    }

    /// Allocates `bytes` of the die's memory, aligned to 512 bytes at least. Its content is not defined.
    ///
    /// ```
    /// # use vinci::{Device, Policy};
    /// let ptr = Device::get(0)?.malloc(1 << 20, Policy::default())?;
    /// Device::free(ptr)?;
    /// assert!(Device::free(ptr).is_err());
    /// # Ok::<(), vinci::Error>(())
    /// ```
    pub fn malloc(&self, bytes: u64, policy: Policy) -> Result<DevicePtr> {
        Driver::get()?.malloc(self.0.ordinal, bytes, policy, AllocationKind::Device)
    }

    /// Frees what [`Device::malloc`] gave out, on whichever die. Work that was submitted before may go on
    /// using the memory: it is given out again only after that work.
    pub fn free(ptr: DevicePtr) -> Result<()> {
        Driver::get()?.free(ptr, AllocationKind::Device)
    }

    /// Makes an error happen on the die, for tests of how it is dealt with.
    pub fn inject(&self, what: Injection) -> Result<()> {
        let driver = Driver::get()?;
        let (kind, address) = match what {
            Injection::EccSingle(ptr) => (DRM_VINCI_INJECT_ECC_SINGLE, ptr.0),
            Injection::EccDouble(ptr) => (DRM_VINCI_INJECT_ECC_DOUBLE, ptr.0),
            Injection::Hang => (DRM_VINCI_INJECT_HANG, 0),
            Injection::LinkDown => (DRM_VINCI_INJECT_LINK_DOWN, 0),
        };
        let vm_id = if address == 0 { 0 } else { driver.vm };
        driver.sys.inject(kind, self.0.ordinal, vm_id, address)
    }
}

/// An error to make happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injection {
    /// A memory error that is corrected.
    EccSingle(DevicePtr),
    /// A memory error that cannot be: the next access to the address faults.
    EccDouble(DevicePtr),
    /// The next kernel on the die does not end.
    Hang,
    /// The link between the dies is lost until the whole module is reset.
    LinkDown,
}
