//! What drivers of devices need of the machine: registers, interrupts, PCI.

use arch::cpu;
use core::sync::atomic::Ordering;
use hal::PhysAddr;

use crate::stacks;
use crate::traps::DEVICE;
use crate::vcpu::Vcpu;

/// Maps device memory; gives where it is seen. `None`: there is no memory for the tables.
pub fn map(physical: u64, length: u64) -> Option<*mut u8> {
    stacks::map_device(PhysAddr(physical), length)
}

/// The message (address, data) by which a device interrupts the first vCPU.
pub fn message() -> (u64, u32) {
    let destination = Vcpu::of(0).apic.load(Ordering::Relaxed) & 0xff;
    (0xfee0_0000 | u64::from(destination) << 12, u32::from(DEVICE))
}

/// Has an input of the I/O APIC interrupt the first vCPU at each rising edge. `None`: there is no
/// memory to map it.
pub fn route(input: u8) -> Option<()> {
    const ADDRESS: u64 = 0xfec0_0000;
    const WINDOW: usize = 0x10;
    let registers = map(ADDRESS, 0x20)?;
    let destination = Vcpu::of(0).apic.load(Ordering::Relaxed) << 24;
    let entry = 0x10 + 2 * u32::from(input);
    // The upper half first: the lower one lets interrupts through.
    for (register, value) in [(entry + 1, destination), (entry, u32::from(DEVICE))] {
        // SAFETY: the registers of the I/O APIC, which nobody else uses.
        unsafe {
            registers.cast::<u32>().write_volatile(register);
            registers.add(WINDOW).cast::<u32>().write_volatile(value);
        }
    }
    Some(())
}

/// A PCI function on the first bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciFunction(u8);

impl PciFunction {
    /// The first functions of all devices that are there.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..32).map(Self).filter(|function| function.read(0) as u16 != 0xffff)
    }

    fn select(self, offset: u16) {
        const ADDRESS: u16 = 0xcf8;
        let address = 1 << 31 | u32::from(self.0) << 11 | u32::from(offset & 0xfc);
        // SAFETY: selects a word of configuration space; does nothing where there is no PCI.
        unsafe { cpu::port_write_u32(ADDRESS, address) };
    }

    /// Reads an aligned word of its configuration space.
    pub fn read(self, offset: u16) -> u32 {
        self.select(offset);
        // SAFETY: the selected word.
        unsafe { cpu::port_read_u32(DATA) }
    }

    /// Writes an aligned word of its configuration space.
    pub fn write(self, offset: u16, value: u32) {
        self.select(offset);
        // SAFETY: the selected word; it is the driver's device.
        unsafe { cpu::port_write_u32(DATA, value) };
    }
}

const DATA: u16 = 0xcfc;
