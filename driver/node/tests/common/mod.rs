//! Both homes behind one face, and a queue as a runtime uses it.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;

use vinci_device::Profile;
use vinci_driver::uapi::*;
use vinci_driver::{
    Embedded, Errno, Handle, Mapping, Node, Policy, Served, Server, Stopper, is_forked_child,
};
use vinci_hw::{doorbell, sqe};

pub const RW: u32 = DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE;
pub const MIB: u64 = 1 << 20;

/// A device, and where its driver runs.
pub enum Home {
    Embedded(Embedded),
    Served(Service),
}

impl Home {
    pub fn embedded() -> Self {
        Self::Embedded(Embedded::new(Profile::by_name("910c").unwrap()).unwrap())
    }

    pub fn served() -> Self {
        Self::Served(Service::start(Policy::default()))
    }

    /// Another open file of the device.
    pub fn open(&self) -> Handle {
        let node: Arc<dyn Node> = match self {
            Self::Embedded(e) => Arc::new(e.reopen().unwrap()),
            Self::Served(s) => Arc::new(Served::connect(&s.path).unwrap()),
        };
        Handle::new(node)
    }

    pub fn number(&self) -> drm_vinci_home {
        match self {
            Self::Embedded(_) => DRM_VINCI_HOME_EMBEDDED,
            Self::Served(_) => DRM_VINCI_HOME_SERVED,
        }
    }
}

/// A server on a thread of this process.
pub struct Service {
    pub path: PathBuf,
    pub stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

/// A path that no other test has.
pub fn socket_path() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("vinci-test-{}-{n}.sock", std::process::id()))
}

impl Service {
    pub fn start(policy: Policy) -> Self {
        let path = socket_path();
        let server = Server::bind(&path, Profile::by_name("910c").unwrap(), policy).unwrap();
        let stopper = server.stopper();
        let thread = std::thread::spawn(move || server.run().unwrap());
        Self { path, stopper, thread: Some(thread) }
    }

    pub fn open(&self) -> Handle {
        Handle::new(Arc::new(Served::connect(&self.path).unwrap()))
    }

    /// Ends it and waits for the end.
    pub fn stop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // In a child this would end the parent's.
        if !is_forked_child() {
            self.stop();
        }
    }
}

/// Runs each test in both homes.
#[macro_export]
macro_rules! in_both_homes {
    ($($name:ident)*) => {
        mod embedded { $( #[test] fn $name() { super::$name(&super::Home::embedded()) } )* }
        mod served { $( #[test] fn $name() { super::$name(&super::Home::served()) } )* }
    };
}

pub struct Queue {
    dev: Handle,
    pub id: u32,
    ring: Mapping,
    bell: Mapping,
    fence: Mapping,
    pub tail: u64,
}

impl Queue {
    pub fn new(dev: &Handle, vm: u32, die: u32) -> Self {
        let q = dev.queue_create(vm, die, 3, 256).unwrap();
        let (ring, bell) =
            (dev.mmap(q.ring_offset, 256 * 64).unwrap(), dev.mmap(q.doorbell_offset, 4096).unwrap());
        let fence = dev.mmap(q.fence_offset, 4096).unwrap();
        Self { dev: dev.clone(), id: q.queue_id, ring, bell, fence, tail: 0 }
    }

    pub fn submit(&mut self, sqe: sqe::Sqe) {
        // SAFETY: the mappings are as large as the contract says.
        unsafe {
            self.ring.ptr().cast::<sqe::Sqe>().add((self.tail % 256) as usize).write_volatile(sqe);
            self.tail += 1;
            let bell = self.bell.ptr().cast::<drm_vinci_queue_doorbell>().as_ptr();
            let (tail, kick) =
                (AtomicU64::from_ptr(&raw mut (*bell).tail), AtomicU32::from_ptr(&raw mut (*bell).need_kick));
            if doorbell::ring(tail, kick, self.tail) {
                self.dev.queue_kick(self.id).unwrap();
            }
        }
    }

    pub fn wait(&self) -> Result<(), Errno> {
        self.dev.wait(self.id, self.tail, 10_000_000_000)
    }

    pub fn completed(&self) -> u64 {
        // SAFETY: the first word of the fence page.
        unsafe { AtomicU64::from_ptr(self.fence.ptr().cast().as_ptr()) }.load(Ordering::Acquire)
    }
}
