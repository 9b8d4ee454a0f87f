//! Who sleeps in other processes: rings their words when the device or the driver has something to say.

use std::collections::HashMap;

use parking_lot::RwLock;
use vinci_core::DmaMemory;
use vinci_device::VECTORS;
use vinci_hw::regs::queue_vector;

use crate::host::{Dma, Listener};
use crate::served::sleep::{Alarm, IN_FENCE_PAGE};

/// See the module. Locked for an instant only, since the device's threads look in.
#[derive(Default)]
pub(crate) struct Sleepers {
    /// Fence pages by vector and queue.
    queues: RwLock<HashMap<u16, Vec<(u32, Dma)>>>,
    /// Pages of files.
    files: RwLock<HashMap<u32, Dma>>,
}

impl Sleepers {
    pub(crate) fn add_queue(&self, queue: u32, fence: Dma) {
        let mut queues = self.queues.write();
        let of_vector = queues.entry(queue_vector(queue, VECTORS)).or_default();
        of_vector.retain(|(id, _)| *id != queue);
        of_vector.push((queue, fence));
    }

    /// Forgets the queue of that number whose fence is `fence`, not the next one of that number.
    pub(crate) fn remove_queue(&self, queue: u32, fence: &Dma) {
        if let Some(of_vector) = self.queues.write().get_mut(&queue_vector(queue, VECTORS)) {
            of_vector.retain(|(id, of)| *id != queue || of.bus() != fence.bus());
        }
    }

    pub(crate) fn add_file(&self, file: u32, page: Dma) {
        self.files.write().insert(file, page);
    }

    pub(crate) fn remove_file(&self, file: u32) {
        self.files.write().remove(&file);
    }
}

fn ring(page: &Dma, offset: usize) {
    // SAFETY: the page is mapped as long as `page` lives.
    unsafe { Alarm::at(page.ptr(), offset) }.ring();
}

impl Listener for Sleepers {
    fn vector(&self, vector: u16) {
        let queues = self.queues.read();
        queues.get(&vector).into_iter().flatten().for_each(|(_, fence)| ring(fence, IN_FENCE_PAGE));
    }

    fn queue(&self, queue: u32) {
        let queues = self.queues.read();
        let of_vector = queues.get(&queue_vector(queue, VECTORS)).into_iter().flatten();
        of_vector.filter(|(id, _)| *id == queue).for_each(|(_, fence)| ring(fence, IN_FENCE_PAGE));
    }

    fn file(&self, file: u32) {
        if let Some(page) = self.files.read().get(&file) {
            ring(page, 0);
        }
    }
}
