//! The I/O APIC: which interrupt line becomes which vector, and on which processor.
//!
//! The one at the address where QEMU, Firecracker and every PC have the first one. Lines are
//! those of the ISA bus: edge-triggered, numbered as the 8259's.

use core::sync::atomic::{AtomicPtr, Ordering};

use hal::PhysAddr;

use crate::stacks;
use crate::vcpu::Vcpu;

const ADDRESS: u64 = 0xfec0_0000;

// Register numbers; the second half of an entry follows the first.
const VERSION: u32 = 1;
const FIRST_ENTRY: u32 = 0x10;

static REGISTERS: AtomicPtr<u32> = AtomicPtr::new(core::ptr::null_mut());

fn select(registers: *mut u32, register: u32) -> *mut u32 {
    // SAFETY: the registers are mapped as device memory: the number first, then the window.
    unsafe {
        registers.write_volatile(register);
        registers.add(4)
    }
}

fn read(registers: *mut u32, register: u32) -> u32 {
    // SAFETY: as above.
    unsafe { select(registers, register).read_volatile() }
}

fn write(registers: *mut u32, register: u32, value: u32) {
    // SAFETY: as above.
    unsafe { select(registers, register).write_volatile(value) }
}

/// The registers; `None` when there is no such device, or no memory to map it.
fn registers() -> Option<*mut u32> {
    let known = REGISTERS.load(Ordering::Relaxed);
    if !known.is_null() {
        return Some(known);
    }
    let registers = stacks::map_device(PhysAddr(ADDRESS), 0x20)?.cast::<u32>();
    if matches!(read(registers, VERSION), 0 | u32::MAX) {
        return None;
    }
    REGISTERS.store(registers, Ordering::Relaxed);
    Some(registers)
}

/// Makes the ISA line `line` interrupt the vCPU with `vector`; `false` when that cannot be.
/// Called while one processor runs.
pub fn route(line: u32, vector: u8, vcpu: &Vcpu) -> bool {
    let Some(registers) = registers() else { return false };
    let lines = (read(registers, VERSION) >> 16 & 0xff) + 1;
    let apic = vcpu.apic.load(Ordering::Relaxed);
    // An entry names processors by eight bits.
    if line >= lines || apic > 0xff {
        return false;
    }
    let entry = FIRST_ENTRY + 2 * line;
    write(registers, entry + 1, apic << 24);
    write(registers, entry, u32::from(vector));
    true
}
