//! The config space of the function: header, power management, MSI-X, PCI Express, AER, serial number.
//!
//! Three arrays say everything: what a byte is, which of its bits a write changes, and which a write of 1 clears.

use vinci_device::VECTORS;
use vinci_hw::regs::{BAR0_SIZE, pci};

/// Bytes of it.
pub const SIZE: usize = 4096;
/// Where in BAR0 the MSI-X table is, which the client emulates.
pub const MSIX_TABLE: u32 = 0x8000;
/// Where in BAR0 the pending bits are, likewise.
pub const MSIX_PENDING: u32 = 0xc000;

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const BARS: usize = 0x10;
const POWER: usize = 0x40;
const MSIX: usize = 0x50;
const EXPRESS: usize = 0x60;
const AER: usize = 0x100;
const SERIAL: usize = 0x150;
/// Where the serial number is, 8 bytes.
pub const SERIAL_NUMBER: usize = SERIAL + 4;

/// In [`COMMAND`]: memory may be accessed, the function may access the host's, no INTx.
const COMMAND_BITS: u16 = 1 << 1 | 1 << 2 | 1 << 6 | 1 << 8 | 1 << 10;
const BUS_MASTER: u8 = 1 << 2;
/// In the device control register of PCI Express: resets the function.
const INITIATE_FLR: u8 = 1 << 7;

/// A BAR of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Its number.
    pub index: u8,
    /// Bytes, a power of two.
    pub size: u64,
    /// 64-bit and prefetchable, or 32-bit and not.
    pub wide: bool,
}

/// What a write brought about besides itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// The function is to be reset.
    pub reset: bool,
}

/// See the module.
pub struct Config {
    value: Box<[u8; SIZE]>,
    writable: Box<[u8; SIZE]>,
    cleared: Box<[u8; SIZE]>,
}

impl Config {
    /// As after power-on.
    pub fn new(bars: &[Bar], serial: u64) -> Self {
        let zero = || Box::new([0; SIZE]);
        let mut c = Self { value: zero(), writable: zero(), cleared: zero() };
        c.set(0x00, pci::VENDOR.to_le_bytes());
        c.set(0x02, pci::DEVICE.to_le_bytes());
        c.allow(COMMAND, COMMAND_BITS.to_le_bytes());
        // There is a list of capabilities.
        c.set(STATUS, (1u16 << 4).to_le_bytes());
        c.clear(STATUS, 0xf900u16.to_le_bytes());
        // Revision 1.
        c.set(0x08, (pci::CLASS << 8 | 1).to_le_bytes());
        // Cache line and interrupt line are the host's notes.
        c.allow(0x0c, [0xff]);
        c.allow(0x3c, [0xff]);
        c.set(0x2c, pci::VENDOR.to_le_bytes());
        c.set(0x2e, pci::DEVICE.to_le_bytes());
        c.set(0x34, [POWER as u8]);
        bars.iter().for_each(|bar| c.bar(bar));
        c.power(MSIX as u8);
        c.msix(EXPRESS as u8);
        c.express();
        c.aer(SERIAL as u32);
        c.set(SERIAL, 0x0001_0003u32.to_le_bytes());
        c.set(SERIAL + 4, serial.to_le_bytes());
        c
    }

    fn set<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        self.value[at..at + N].copy_from_slice(&bytes);
    }

    fn allow<const N: usize>(&mut self, at: usize, bits: [u8; N]) {
        self.writable[at..at + N].copy_from_slice(&bits);
    }

    fn clear<const N: usize>(&mut self, at: usize, bits: [u8; N]) {
        self.cleared[at..at + N].copy_from_slice(&bits);
    }

    /// Bits below the size are not writable: that is how its size is found out.
    fn bar(&mut self, bar: &Bar) {
        let at = BARS + 4 * usize::from(bar.index);
        let address = !(bar.size - 1);
        self.allow(at, (address as u32 & !0xf).to_le_bytes());
        if bar.wide {
            self.set(at, 0xcu32.to_le_bytes());
            self.allow(at + 4, ((address >> 32) as u32).to_le_bytes());
        }
    }

    /// D0 and D3hot; going back to D0 resets nothing.
    fn power(&mut self, next: u8) {
        self.set(POWER, [0x01, next, 0x03, 0x00, 1 << 3]);
        self.allow(POWER + 4, [0x03]);
    }

    fn msix(&mut self, next: u8) {
        self.set(MSIX, [0x11, next]);
        self.set(MSIX + 2, (VECTORS - 1).to_le_bytes());
        self.allow(MSIX + 2, 0xc000u16.to_le_bytes());
        self.set(MSIX + 4, (MSIX_TABLE | u32::from(pci::BAR_REGISTERS)).to_le_bytes());
        self.set(MSIX + 8, (MSIX_PENDING | u32::from(pci::BAR_REGISTERS)).to_le_bytes());
    }

    /// A 16.0 GT/s endpoint of 16 lanes that can be reset alone.
    fn express(&mut self) {
        self.set(EXPRESS, [0x10, 0x00, 0x02, 0x00]);
        // Role-based errors, function-level reset.
        self.set(EXPRESS + 0x04, (1u32 << 15 | 1 << 28 | 1 << 5).to_le_bytes());
        self.set(EXPRESS + 0x08, 0x2810u16.to_le_bytes());
        self.allow(EXPRESS + 0x08, 0x7fffu16.to_le_bytes());
        self.clear(EXPRESS + 0x0a, [0x0f]);
        let link: u32 = 16 << 4 | 4;
        self.set(EXPRESS + 0x0c, link.to_le_bytes());
        self.allow(EXPRESS + 0x10, 0x00d3u16.to_le_bytes());
        self.set(EXPRESS + 0x12, (link as u16).to_le_bytes());
        // Completion timeouts can be turned off.
        self.set(EXPRESS + 0x24, (1u32 << 4).to_le_bytes());
        self.allow(EXPRESS + 0x28, 0x001fu16.to_le_bytes());
        // Speeds 2.5 to 16 GT/s.
        self.set(EXPRESS + 0x2c, 0x1eu32.to_le_bytes());
        self.set(EXPRESS + 0x30, 4u16.to_le_bytes());
        self.allow(EXPRESS + 0x30, 0x000fu16.to_le_bytes());
    }

    fn aer(&mut self, next: u32) {
        self.set(AER, (next << 20 | 0x2_0001).to_le_bytes());
        const UNCORRECTABLE: u32 = 0x0047_f030;
        const CORRECTABLE: u32 = 0x0000_f1c1;
        self.clear(AER + 0x04, UNCORRECTABLE.to_le_bytes());
        self.allow(AER + 0x08, UNCORRECTABLE.to_le_bytes());
        self.set(AER + 0x0c, 0x0046_2030u32.to_le_bytes());
        self.allow(AER + 0x0c, UNCORRECTABLE.to_le_bytes());
        self.clear(AER + 0x10, CORRECTABLE.to_le_bytes());
        self.set(AER + 0x14, 0x0000_2000u32.to_le_bytes());
        self.allow(AER + 0x14, CORRECTABLE.to_le_bytes());
    }

    /// Copies what is at `at`, which with `to` lies inside.
    pub fn read(&self, at: usize, to: &mut [u8]) {
        to.copy_from_slice(&self.value[at..at + to.len()]);
    }

    /// Writes `from` at `at`, which together lie inside.
    pub fn write(&mut self, at: usize, from: &[u8]) -> Effect {
        let mut effect = Effect::default();
        for (at, &new) in (at..).zip(from) {
            let old = self.value[at];
            let kept = old & !self.writable[at] & !(new & self.cleared[at]);
            self.value[at] = kept | new & self.writable[at];
            effect.reset |= at == EXPRESS + 0x09 && new & INITIATE_FLR != 0;
        }
        effect
    }

    /// Whether the function may access the host's memory and raise interrupts.
    pub fn is_bus_master(&self) -> bool {
        self.value[COMMAND] & BUS_MASTER != 0
    }

    /// The address that was given to a BAR.
    pub fn address(&self, bar: &Bar) -> u64 {
        let at = BARS + 4 * usize::from(bar.index);
        let word = |at: usize| {
            u64::from(u32::from_le_bytes([
                self.value[at],
                self.value[at + 1],
                self.value[at + 2],
                self.value[at + 3],
            ]))
        };
        let high = if bar.wide { word(at + 4) << 32 } else { 0 };
        high | word(at) & !0xf
    }
}

const _: () =
    assert!((MSIX_PENDING as u64) < BAR0_SIZE && MSIX_TABLE as u64 + 16 * 1024 <= MSIX_PENDING as u64);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDE: Bar = Bar { index: 4, size: 128 << 30, wide: true };
    const NARROW: Bar = Bar { index: 0, size: 64 << 10, wide: false };

    fn config() -> Config {
        Config::new(&[NARROW, WIDE], 7)
    }

    fn read<const N: usize>(c: &Config, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        c.read(at, &mut bytes);
        bytes
    }

    #[test]
    fn sizes_of_bars_are_found_out_as_usual() {
        let mut c = config();
        for at in (0x10..0x28).step_by(4) {
            c.write(at, &[0xff; 4]);
        }
        let word = |at| u32::from_le_bytes(read(&c, at));
        assert_eq!((word(0x10), word(0x14)), (0xffff_0000, 0));
        assert_eq!((word(0x20), word(0x24)), (0xc, 0xffff_ffe0));
        c.write(0x24, &[0x40, 0, 0, 0]);
        assert_eq!(c.address(&WIDE), 0x40_0000_0000);
    }

    #[test]
    fn capabilities_are_two_lists_that_end() {
        let c = config();
        let (mut at, mut found) = (usize::from(c.value[0x34]), Vec::new());
        while at != 0 {
            found.push(c.value[at]);
            at = usize::from(c.value[at + 1]);
        }
        assert_eq!(found, [0x01, 0x11, 0x10]);
        let (mut at, mut found) = (0x100, Vec::new());
        while at != 0 {
            let head = u32::from_le_bytes(read(&c, at));
            found.push(head & 0xffff);
            at = (head >> 20) as usize;
        }
        assert_eq!(found, [1, 3]);
    }

    #[test]
    fn bits_do_what_they_are_for() {
        let mut c = config();
        assert!(!c.is_bus_master());
        c.write(COMMAND, &[0xff, 0xff]);
        assert!(c.is_bus_master());
        assert_eq!(u16::from_le_bytes(read(&c, COMMAND)), COMMAND_BITS);
        assert!(c.write(EXPRESS + 0x08, &[0x10, 0xa8]).reset);
        assert_eq!(c.value[EXPRESS + 0x09] & INITIATE_FLR, 0, "it reads as zero");
        assert!(!c.write(EXPRESS + 0x08, &[0x10, 0x28]).reset);
        c.value[AER + 4] = 0x30;
        c.write(AER + 4, &[0x10, 0, 0, 0]);
        assert_eq!(c.value[AER + 4], 0x20, "a 1 clears");
    }

    proptest! {
        /// Whatever is written, what identifies the function stays.
        #[test]
        fn nobody_changes_who_it_is(writes in prop::collection::vec((0..SIZE - 8, any::<[u8; 8]>(), 1..=8usize), 0..64)) {
            let (mut c, fresh) = (config(), config());
            for (at, bytes, len) in writes {
                c.write(at, &bytes[..len]);
            }
            for at in [0x00, 0x02, 0x08, 0x0a, 0x2c, 0x2e, 0x34, POWER, MSIX, MSIX + 4, EXPRESS, AER, SERIAL + 4] {
                prop_assert_eq!(read::<2>(&c, at), read::<2>(&fresh, at), "{:#x}", at);
            }
        }
    }
}
