// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! vinci.ko: the Vinci accelerator's driver for Linux.
//!
//! The logic is `vinci_core`, the same source that runs in a process. Here are its surroundings in the kernel:
//! the PCI function ([`pci_driver`]), registers, memory and time ([`platform`]), sleeping ([`bell`]), and the
//! calls of the DRM accel node ([`entry`]), whose C half is `vinci_drm.c`.

mod bell;
mod entry;
mod npu;
mod pci_driver;
mod platform;

kernel::module_pci_driver! {
    type: pci_driver::Vinci,
    name: "vinci",
    authors: ["The Vinci developers"],
    description: "Vinci: Da Vinci-class AI accelerators",
    license: "GPL",
}
