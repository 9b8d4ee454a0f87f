//! The library as a whole: initialisation, configuration, versions.

use std::ffi::c_char;

use parking_lot::Mutex;

use crate::abi::{Address, Out, Text, TextOut};
use crate::code::{
    Failure, INVALID_FILE, INVALID_PARAM, PARSE_FILE, REPEAT_FINALIZE, REPEAT_INITIALIZE, Result, invalid,
};
use crate::{context, dump, prof};

/// Calls of aclInit that nothing has answered yet.
static USES: Mutex<u64> = Mutex::new(0);
static CALLBACKS: Mutex<Callbacks> = Mutex::new(Callbacks { init: Vec::new(), finalize: Vec::new() });

/// The version of CANN whose interface this is, as `aclsys` functions answer it.
const VERSION: Version = Version { major: 9, minor: 0, patch: 0 };
const VERSION_ROOM: usize = 128;

struct Version {
    major: i32,
    minor: i32,
    patch: i32,
}

impl Version {
    fn text(&self) -> String {
        format!("{}.{}.{}", self.major, self.minor, self.patch)
    }

    /// Grows with the version.
    fn number(&self) -> i32 {
        self.major * 10_000_000 + self.minor * 100_000 + self.patch * 1000
    }
}

type InitCallback = extern "C" fn(*const c_char, usize, Address) -> i32;
type FinalizeCallback = extern "C" fn(Address) -> i32;

struct Callbacks {
    init: Vec<(u32, InitCallback, Address)>,
    finalize: Vec<(u32, FinalizeCallback, Address)>,
}

/// True from aclInit to aclFinalize.
pub fn is_initialised() -> bool {
    *USES.lock() > 0
}

/// A configuration file, as text and as JSON; an empty one says nothing.
pub fn read_json(path: &str) -> Result<(String, serde_json::Value)> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(INVALID_FILE, format!("configuration {path}: {error}")))?;
    if text.trim().is_empty() {
        return Ok((text, serde_json::Value::Null));
    }
    let wrong = |error| Failure::new(PARSE_FILE, format!("configuration {path}: {error}"));
    let json = serde_json::from_str(&text).map_err(wrong)?;
    Ok((text, json))
}

/// Takes the configuration file; what it can say to this library is a default device, and dumps.
fn configure(path: &str) -> Result<String> {
    let (text, json) = read_json(path)?;
    let wrong = |what: String| Failure::new(PARSE_FILE, format!("configuration {path}: {what}"));
    dump::configure_by_init(&json)?;
    if let Some(device) = json.pointer("/defaultDevice/default_device") {
        let number = device.as_i64().or_else(|| device.as_str().and_then(|text| text.trim().parse().ok()));
        let number = number.and_then(|number| i32::try_from(number).ok());
        let number = number.ok_or_else(|| wrong(format!("default_device {device} is not a number")))?;
        context::device(number)?;
        context::set_default_device(number);
    }
    Ok(text)
}

fn finalize() -> Result<()> {
    context::set_default_device(-1);
    dump::finalize();
    prof::finalize();
    for device in context::primaries() {
        context::release_primary(device, true)?;
    }
    let callbacks: Vec<_> = CALLBACKS.lock().finalize.clone();
    for (_, callback, data) in callbacks {
        check_callback("finalize", callback(data))?;
    }
    Ok(())
}

fn check_callback(what: &str, code: i32) -> Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(Failure::new(code, format!("the program's {what} callback answered {code}")))
    }
}

entry! {
    fn aclInit(path: Text) {
        {
            let mut uses = USES.lock();
            *uses += 1;
            if *uses > 1 {
                return Err(Failure::new(REPEAT_INITIALIZE, "AscendCL is initialised already"));
            }
        }
        let configured = path.maybe().filter(|path| !path.is_empty()).map_or(Ok(String::new()), |p| configure(&p));
        let text = configured.inspect_err(|_| *USES.lock() = 0)?;
        let callbacks: Vec<_> = CALLBACKS.lock().init.clone();
        for (_, callback, data) in callbacks {
            check_callback("init", callback(text.as_ptr().cast(), text.len(), data))?;
        }
        Ok(())
    }

    fn aclFinalize() {
        let uses = std::mem::take(&mut *USES.lock());
        if uses == 0 {
            return Err(Failure::new(REPEAT_FINALIZE, "AscendCL is not initialised"));
        }
        finalize()
    }

    fn aclFinalizeReference(count: Out<u64>) {
        let left = {
            let mut uses = USES.lock();
            if *uses == 0 {
                return Err(Failure::new(REPEAT_FINALIZE, "AscendCL is not initialised"));
            }
            *uses -= 1;
            *uses
        };
        if let Some(place) = count.maybe() {
            place.put(left);
        }
        if left == 0 { finalize() } else { Ok(()) }
    }

    fn aclInitCallbackRegister(kind: u32, callback: Option<InitCallback>, data: Address) {
        let callback = callback.ok_or_else(|| crate::abi::null("cbFunc"))?;
        let mut callbacks = CALLBACKS.lock();
        callbacks.init.push((kind, callback, data));
        Ok(())
    }

    fn aclInitCallbackUnRegister(kind: u32, callback: Option<InitCallback>) {
        let callback = callback.ok_or_else(|| crate::abi::null("cbFunc"))?;
        let mut callbacks = CALLBACKS.lock();
        let before = callbacks.init.len();
        callbacks.init.retain(|(k, known, _)| *k != kind || *known as usize != callback as usize);
        if callbacks.init.len() == before { Err(invalid("the callback is not registered")) } else { Ok(()) }
    }

    fn aclFinalizeCallbackRegister(kind: u32, callback: Option<FinalizeCallback>, data: Address) {
        let callback = callback.ok_or_else(|| crate::abi::null("cbFunc"))?;
        let mut callbacks = CALLBACKS.lock();
        callbacks.finalize.push((kind, callback, data));
        Ok(())
    }

    fn aclFinalizeCallbackUnRegister(kind: u32, callback: Option<FinalizeCallback>) {
        let callback = callback.ok_or_else(|| crate::abi::null("cbFunc"))?;
        let mut callbacks = CALLBACKS.lock();
        let before = callbacks.finalize.len();
        callbacks.finalize.retain(|(k, known, _)| *k != kind || *known as usize != callback as usize);
        if callbacks.finalize.len() == before { Err(invalid("the callback is not registered")) } else { Ok(()) }
    }

    fn aclrtGetVersion(major: Out<i32>, minor: Out<i32>, patch: Out<i32>) {
        let places = (major.need("majorVersion")?, minor.need("minorVersion")?, patch.need("patchVersion")?);
        // Of the interface, as acl_rt.h states it, not of the product.
        places.0.put(1);
        places.1.put(17);
        places.2.put(0);
        Ok(())
    }

    fn aclsysGetVersionStr(package: Text, version: TextOut) {
        check_package(&package.need("pkgName")?)?;
        version.put("versionStr", VERSION_ROOM, &VERSION.text())
    }

    fn aclsysGetVersionNum(package: Text, number: Out<i32>) {
        check_package(&package.need("pkgName")?)?;
        number.need("versionNum")?.put(VERSION.number());
        Ok(())
    }

    fn aclsysGetCANNVersion(package: u32, version: Out<PackageVersion>) {
        const LAST_PACKAGE: u32 = 7;
        let place = version.need("version")?;
        if package > LAST_PACKAGE {
            return Err(Failure::new(INVALID_PARAM, format!("there is no package {package}")));
        }
        let part = |number: i32| fixed(&number.to_string());
        place.put(PackageVersion {
            version: fixed(&VERSION.text()),
            major: part(VERSION.major),
            minor: part(VERSION.minor),
            release: part(VERSION.patch),
            patch: fixed(""),
            reserved: [0; 128],
        });
        Ok(())
    }

    fn aclrtGetRunMode(mode: Out<u32>) {
        const HOST: u32 = 1;
        mode.need("runMode")?.put(HOST);
        Ok(())
    }

    /// What was built for a chip of the same architecture runs here.
    fn aclrtCheckArchCompatibility(soc: Text, compatible: Out<i32>) {
        let soc = soc.need("socVersion")?;
        let place = compatible.need("canCompatible")?;
        let own = &context::device(0)?.info().soc_name;
        place.put(i32::from(family(&soc) == family(own)));
        Ok(())
    }
}

/// The packages that CANN is made of, by their names here and there.
fn check_package(name: &str) -> Result<()> {
    let known = [
        "cann",
        "runtime",
        "compiler",
        "hccl",
        "toolkit",
        "opp",
        "opp_kernel",
        "driver",
        "metadef",
        "nnopbase",
    ];
    if known.contains(&name) || name.starts_with("ops_") {
        return Ok(());
    }
    Err(Failure::new(INVALID_PARAM, format!("there is no package \"{name}\"")))
}

/// Chips whose instructions are the same: Ascend910B1..B4 and Ascend910_93xx; Ascend950.
fn family(soc: &str) -> &str {
    if soc.starts_with("Ascend910B") || soc.starts_with("Ascend910_93") {
        "Ascend910B"
    } else if soc.starts_with("Ascend950") {
        "Ascend950"
    } else {
        soc
    }
}

/// `aclCANNPackageVersion`.
#[repr(C)]
pub struct PackageVersion {
    version: [u8; 128],
    major: [u8; 64],
    minor: [u8; 64],
    release: [u8; 64],
    patch: [u8; 64],
    reserved: [u8; 128],
}

fn fixed<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}
