// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! vinci.ko: the Vinci accelerator's driver for Linux.
//!
//! The logic is `vinci_core`, the same source that runs in a process. Here are its surroundings in
//! the kernel: the PCI function ([`pci_driver`], [`power`]), registers, memory and time
//! ([`platform`]), sleeping ([`bell`]), the calls of the DRM accel node ([`entry`], [`range`]),
//! whose C half is `vinci_drm.c`, and what it shows of itself ([`show`], [`watchdog`]).

use kernel::{driver, prelude::*};

mod bell;
mod entry;
mod ffi;
mod npu;
mod pci_driver;
mod platform;
mod power;
mod range;
mod show;
mod watchdog;

#[pin_data]
struct VinciModule {
    #[pin]
    _driver: driver::Registration<power::Adapter>,
}

impl kernel::InPlaceModule for VinciModule {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _driver <- driver::Registration::new(<Self as kernel::ModuleMetadata>::NAME, module),
        })
    }
}

module! {
    type: VinciModule,
    name: "vinci",
    authors: ["The Vinci developers"],
    description: "Vinci: Da Vinci-class AI accelerators",
    license: "GPL",
    params: {
        hang_timeout_ms: u32 {
            default: 120000,
            description: "Milliseconds after which a kernel or copy that does not end is a hang \
                and its queue is taken; 0: never. An entry's own longer timeout holds instead",
        },
    },
}
