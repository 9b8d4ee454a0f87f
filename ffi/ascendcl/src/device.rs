//! Devices.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use vinci::{Device, Driver};

use crate::abi::{Address, Out, Text};
use crate::code::{Failure, INVALID_PARAM, RT_FEATURE_NOT_SUPPORT, RT_PARAM_INVALID, Result, invalid};
use crate::context::{self, device};
use crate::{capture, exception, stream};

/// Limits that programs set: device and kind of core to number of cores.
static LIMITS: Mutex<Option<HashMap<(u32, u32), u32>>> = Mutex::new(None);
/// Time that kernels may run and streams may wait for events; 0 until a program sets it.
static EXECUTE_TIMEOUT_US: AtomicU64 = AtomicU64::new(0);
static WAIT_TIMEOUT_S: AtomicU64 = AtomicU64::new(0);

const DEFAULT_EXECUTE_TIMEOUT_US: u64 = 547_000_000;
const INF_NAN_MODE: u32 = 1;
const CUBE: u32 = 0;
const VECTOR: u32 = 1;

/// Cores of a kind that the process may use on a device.
pub fn core_limit(device: &Device, kind: u32) -> Result<u32> {
    let all = all_cores(device, kind)?;
    let limits = LIMITS.lock();
    Ok(limits.as_ref().and_then(|limits| limits.get(&(device.ordinal(), kind)).copied()).unwrap_or(all))
}

/// Whether any device has a limit, so that launches look for one.
static LIMITED: AtomicBool = AtomicBool::new(false);

/// Limits of a launch on a device: cube and vector cores, 0 for all of them.
#[inline]
pub fn core_limits(device: impl FnOnce() -> u32) -> [u32; 2] {
    if !LIMITED.load(Ordering::Relaxed) {
        return [0; 2];
    }
    let (limits, device) = (LIMITS.lock(), device());
    [CUBE, VECTOR].map(|kind| limits.as_ref().and_then(|l| l.get(&(device, kind)).copied()).unwrap_or(0))
}

pub fn all_cores(device: &Device, kind: u32) -> Result<u32> {
    match kind {
        CUBE => Ok(device.info().aic_cores),
        VECTOR => Ok(device.info().aiv_cores),
        _ => Err(Failure::new(INVALID_PARAM, format!("there is no kind {kind} of cores"))),
    }
}

/// A pair of different devices.
fn pair(a: i32, b: i32) -> Result<(Device, Device)> {
    if a == b {
        return Err(invalid(format!("{a} is both devices")));
    }
    Ok((device(a)?, device(b)?))
}

/// The current device and another.
fn current_and(peer: i32) -> Result<(Device, Device)> {
    let (_, context) = context::current()?;
    pair(context.device.ordinal() as i32, peer)
}

fn reset(device_id: i32, all: bool) -> Result<()> {
    exception::device_state(device_id, exception::DEVICE_RESET_PRE);
    context::release_primary(device_id, all)?;
    exception::device_state(device_id, exception::DEVICE_RESET_POST);
    Ok(())
}

fn synchronize(timeout: i32) -> Result<()> {
    let timeout = stream::timeout_ms(timeout)?;
    let (handle, context) = context::current()?;
    capture::check_none(handle)?;
    Ok(context.device.synchronize(timeout)?)
}

/// Device numbers are the same for programs, the runtime and the module.
fn same_number(from: i32, to: Out<i32>, name: &str) -> Result<()> {
    let place = to.need(name)?;
    device(from)?;
    place.put(from);
    Ok(())
}

entry! {
    fn aclrtSetDevice(device_id: i32) {
        device(device_id)?;
        exception::device_state(device_id, exception::DEVICE_SET_PRE);
        context::use_primary(device_id)?;
        exception::device_state(device_id, exception::DEVICE_SET_POST);
        Ok(())
    }

    fn aclrtResetDevice(device_id: i32) {
        reset(device_id, false)
    }

    fn aclrtResetDeviceForce(device_id: i32) {
        reset(device_id, true)
    }

    fn aclrtGetDevice(device_id: Out<i32>) {
        let place = device_id.need("deviceId")?;
        place.put(context::current()?.1.device.ordinal() as i32);
        Ok(())
    }

    fn aclrtGetDeviceCount(count: Out<u32>) {
        let place = count.need("count")?;
        place.put(Device::count()?);
        Ok(())
    }

    fn aclrtSynchronizeDevice() {
        synchronize(-1)
    }

    fn aclrtSynchronizeDeviceWithTimeout(timeout: i32) {
        synchronize(timeout)
    }

    fn aclrtSetTsDevice(scheduler: u32) {
        if scheduler > 1 {
            return Err(Failure::new(INVALID_PARAM, format!("there is no task scheduler {scheduler}")));
        }
        context::current().map(drop)
    }

    fn aclrtQueryDeviceStatus(device_id: i32, status: Out<u32>) {
        let place = status.need("deviceStatus")?;
        let health = device(device_id)?.telemetry()?.health;
        place.put(u32::from(health == vinci::Health::Critical));
        Ok(())
    }

    fn aclrtGetDeviceUtilizationRate(device_id: i32, info: Out<Utilization>) {
        const NOT_KNOWN: i32 = -1;
        let place = info.need("utilizationInfo")?;
        let telemetry = device(device_id)?.telemetry()?;
        let percent = |share: f32| (share * 100.0).round() as i32;
        place.put(Utilization {
            cube: percent(telemetry.aic_util),
            vector: percent(telemetry.aiv_util),
            aicpu: 0,
            memory: NOT_KNOWN,
            extension: 0,
        });
        Ok(())
    }

    fn aclrtGetDeviceInfo(device_id: u32, attribute: u32, value: Out<i64>) {
        let place = value.need("value")?;
        let device = device(device_id as i32)?;
        place.put(attribute_of(&device, attribute)?);
        Ok(())
    }

    fn aclrtGetDeviceCapability(device_id: i32, feature: u32, value: Out<i32>) {
        const NOT_SUPPORTED: i32 = 0;
        let place = value.need("value")?;
        device(device_id)?;
        match feature {
            1 | 21 => place.put(NOT_SUPPORTED),
            _ => return Err(Failure::new(INVALID_PARAM, format!("there is no feature {feature}"))),
        }
        Ok(())
    }

    /// A smaller number is more urgent.
    fn aclrtDeviceGetStreamPriorityRange(least: Out<i32>, greatest: Out<i32>) {
        let places = (least.need("leastPriority")?, greatest.need("greatestPriority")?);
        context::current()?;
        places.0.put(7);
        places.1.put(0);
        Ok(())
    }

    fn aclrtDeviceGetByPCIBusId(text: Text, device_id: Out<i32>) {
        let text = text.need("pciBusId")?;
        let place = device_id.need("deviceId")?;
        if text != Driver::get()?.info().pci_address {
            return Err(invalid(format!("there is no device at \"{text}\"")));
        }
        place.put(0);
        Ok(())
    }

    fn aclrtDeviceGetBareTgid(pid: Out<i32>) {
        pid.need("pid")?.put(std::process::id() as i32);
        Ok(())
    }

    fn aclrtDeviceCanAccessPeer(can: Out<i32>, device_id: i32, peer: i32) {
        let place = can.need("canAccessPeer")?;
        let (device, peer) = pair(device_id, peer)?;
        place.put(i32::from(device.can_access_peer(&peer)?));
        Ok(())
    }

    /// Repeating it is no error.
    fn aclrtDeviceEnablePeerAccess(peer: i32, flags: u32) {
        if flags != 0 {
            return Err(invalid(format!("flags {flags:#x} is not 0")));
        }
        let (device, peer) = current_and(peer)?;
        if device.peer_enabled(&peer) {
            return Ok(());
        }
        Ok(device.enable_peer(&peer)?)
    }

    fn aclrtDeviceDisablePeerAccess(peer: i32) {
        let (device, peer) = current_and(peer)?;
        Ok(device.disable_peer(&peer)?)
    }

    fn aclrtDevicePeerAccessStatus(device_id: i32, peer: i32, status: Out<i32>) {
        let place = status.need("status")?;
        let out_of_range = |failure: Failure| failure.code(RT_PARAM_INVALID);
        let (device, peer) = (device(device_id).map_err(out_of_range)?, device(peer).map_err(out_of_range)?);
        place.put(i32::from(device.peer_enabled(&peer)));
        Ok(())
    }

    fn aclrtGetDevicesTopo(device_id: u32, other: u32, value: Out<u64>) {
        const SIO: u64 = 0x20;
        let place = value.need("value")?;
        pair(device_id as i32, other as i32)?;
        // Dies of a module are joined directly.
        place.put(SIO);
        Ok(())
    }

    fn aclrtGetDeviceResLimit(device_id: i32, kind: u32, value: Out<u32>) {
        let place = value.need("value")?;
        place.put(core_limit(&device(device_id)?, kind)?);
        Ok(())
    }

    fn aclrtSetDeviceResLimit(device_id: i32, kind: u32, value: u32) {
        let device = device(device_id)?;
        let all = all_cores(&device, kind)?;
        if value == 0 || value > all {
            return Err(invalid(format!("{value} is not a number of cores from 1 to {all}")));
        }
        LIMITS.lock().get_or_insert_default().insert((device.ordinal(), kind), value);
        LIMITED.store(true, Ordering::Release);
        Ok(())
    }

    fn aclrtResetDeviceResLimit(device_id: i32) {
        let number = device(device_id)?.ordinal();
        if let Some(limits) = LIMITS.lock().as_mut() {
            limits.retain(|(device, _), _| *device != number);
        }
        Ok(())
    }

    fn aclrtSetDeviceSatMode(mode: u32) {
        if mode > 1 {
            return Err(Failure::new(INVALID_PARAM, format!("there is no overflow mode {mode}")));
        }
        context::current()?;
        if mode != INF_NAN_MODE {
            crate::unsupported::warn_once("aclrtSetDeviceSatMode", "there is no saturation mode");
            let text = "kernels compute with infinities and NaNs; there is no saturation mode";
            return Err(Failure::new(RT_FEATURE_NOT_SUPPORT, text));
        }
        Ok(())
    }

    fn aclrtGetDeviceSatMode(mode: Out<u32>) {
        let place = mode.need("mode")?;
        context::current()?;
        place.put(INF_NAN_MODE);
        Ok(())
    }

    fn aclrtRegDeviceStateCallback(name: Text, callback: Option<exception::DeviceStateCallback>, args: Address) {
        exception::register_device_state(name.need("regName")?, callback, args)
    }

    fn aclrtSetOpExecuteTimeOut(seconds: u32) {
        set_execute_timeout(u64::from(seconds) * 1_000_000).map(drop)
    }

    fn aclrtSetOpExecuteTimeOutWithMs(ms: u32) {
        set_execute_timeout(u64::from(ms) * 1000).map(drop)
    }

    fn aclrtSetOpExecuteTimeOutV2(us: u64, actual: Out<u64>) {
        let place = actual.need("actualTimeout")?;
        place.put(set_execute_timeout(us)?);
        Ok(())
    }

    fn aclrtGetOpExecuteTimeout(ms: Out<u32>) {
        let us = execute_timeout().map_or(DEFAULT_EXECUTE_TIMEOUT_US, |time| time.as_micros() as u64);
        ms.need("timeoutMs")?.put((us / 1000) as u32);
        Ok(())
    }

    fn aclrtGetOpTimeOutInterval(us: Out<u64>) {
        us.need("interval")?.put(1000);
        Ok(())
    }

    fn aclrtSetOpWaitTimeout(seconds: u32) {
        context::current()?;
        WAIT_TIMEOUT_S.store(seconds.into(), Ordering::Relaxed);
        Ok(())
    }

    /// Drops all work of the process on a device that has not run; its streams go on.
    fn aclrtDeviceTaskAbort(device_id: i32, _timeout_ms: u32) {
        let number = device(device_id)?.ordinal();
        for (_, stream) in stream::STREAMS.all() {
            if stream.stream.device().ordinal() == number {
                stream.stream.abort()?;
            }
        }
        Ok(())
    }

    fn aclrtGetLogicDevIdByUserDevId(from: i32, to: Out<i32>) {
        same_number(from, to, "logicDevId")
    }

    fn aclrtGetUserDevIdByLogicDevId(from: i32, to: Out<i32>) {
        same_number(from, to, "userDevid")
    }

    fn aclrtGetLogicDevIdByPhyDevId(from: i32, to: Out<i32>) {
        same_number(from, to, "logicDevId")
    }

    fn aclrtGetPhyDevIdByLogicDevId(from: i32, to: Out<i32>) {
        same_number(from, to, "phyDevId")
    }

    fn aclrtGetUserDevIdByPhyDevId(from: i32, to: Out<i32>) {
        same_number(from, to, "userDevId")
    }

    fn aclrtGetPhyDevIdByUserDevId(from: i32, to: Out<i32>) {
        same_number(from, to, "phyDevId")
    }
}

/// `aclrtUtilizationInfo`.
#[repr(C)]
pub struct Utilization {
    cube: i32,
    vector: i32,
    aicpu: i32,
    memory: i32,
    extension: usize,
}

fn set_execute_timeout(us: u64) -> Result<u64> {
    let us = if us == 0 { DEFAULT_EXECUTE_TIMEOUT_US } else { us };
    EXECUTE_TIMEOUT_US.store(us, Ordering::Relaxed);
    Ok(us)
}

/// How long a kernel may run, if a program said so.
#[inline]
pub fn execute_timeout() -> Option<Duration> {
    let us = EXECUTE_TIMEOUT_US.load(Ordering::Relaxed);
    (us != 0).then(|| Duration::from_micros(us))
}

/// How long a stream may wait for an event, if a program said so.
pub fn wait_timeout() -> Option<Duration> {
    let seconds = WAIT_TIMEOUT_S.load(Ordering::Relaxed);
    (seconds != 0).then(|| Duration::from_secs(seconds))
}

fn attribute_of(device: &Device, attribute: u32) -> Result<i64> {
    let info = device.info();
    Ok(match attribute {
        1 => info.aicpu_cores.into(),
        101 | 102 => info.aic_cores.into(),
        201 => info.aiv_cores.into(),
        204 => info.ub_bytes.into(),
        301 => info.hbm_bytes as i64,
        302 => info.l2_bytes as i64,
        402 | 407 | 408 | 501 => 0,
        601 => info.arch.into(),
        202 | 203 | 205..=212 | 401 | 403..=406 | 409 => {
            let text = format!("attribute {attribute} does not exist on {}", info.soc_name);
            return Err(Failure::new(RT_FEATURE_NOT_SUPPORT, text));
        }
        _ => return Err(Failure::new(INVALID_PARAM, format!("there is no device attribute {attribute}"))),
    })
}
