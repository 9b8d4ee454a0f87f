//! A die of the module: what AscendCL calls a device.

use std::time::Duration;

use crate::{ClockReading, DevicePtr, Error, Policy, Result};

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

/// One die. Copies name the same die.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    ordinal: u32,
}

impl Device {
    /// How many there are.
    pub fn count() -> Result<u32> {
        Err(Error::NotSupported("Device::count"))
    }

    /// The die `ordinal`.
    pub fn get(_ordinal: u32) -> Result<Device> {
        Err(Error::NotSupported("Device::get"))
    }

    /// Its number.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// What it is made of.
    pub fn info(&self) -> &'static DieInfo {
        unreachable!("no Device can be had yet")
    }

    /// Its memory.
    pub fn mem_info(&self) -> Result<MemInfo> {
        Err(Error::NotSupported("Device::mem_info"))
    }

    /// Sensors and counters.
    pub fn telemetry(&self) -> Result<Telemetry> {
        Err(Error::NotSupported("Device::telemetry"))
    }

    /// Both clocks.
    pub fn clock(&self) -> Result<ClockReading> {
        Err(Error::NotSupported("Device::clock"))
    }

    /// Waits until all streams of this process on the die are idle. `None` waits for ever.
    pub fn synchronize(&self, _timeout: Option<Duration>) -> Result<()> {
        Err(Error::NotSupported("Device::synchronize"))
    }

    /// Resets the die itself. Every stream on it, of every process, is lost; memory stays.
    pub fn reset(&self) -> Result<()> {
        Err(Error::NotSupported("Device::reset"))
    }

    /// Frees all memory that [`Device::malloc`] gave out on this die; answers how many bytes.
    /// What a [`crate::Buffer`], [`crate::Pool`] or [`crate::PhysicalMemory`] owns stays.
    pub fn free_all(&self) -> Result<u64> {
        Err(Error::NotSupported("Device::free_all"))
    }

    /// Allocates `bytes` of the die's memory, aligned to 512 bytes at least.
    pub fn malloc(&self, _bytes: u64, _policy: Policy) -> Result<DevicePtr> {
        Err(Error::NotSupported("Device::malloc"))
    }

    /// Frees what [`Device::malloc`] gave out, on whichever die. Work that was submitted before may go on
    /// using the memory: it is given out again only after that work.
    pub fn free(_ptr: DevicePtr) -> Result<()> {
        Err(Error::NotSupported("Device::free"))
    }
}
