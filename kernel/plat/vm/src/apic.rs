//! The local APIC: end of interrupt, timer, and interrupts between processors; as registers in
//! memory or (x2APIC) in the processor.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use arch::cpu;
use hal::PhysAddr;

use crate::traps::{KICK, SPURIOUS, TIMER};
use crate::vcpu::Vcpu;
use crate::{clock, exit, stacks};

const APIC_BASE: u32 = 0x1b;
const TSC_DEADLINE: u32 = 0x6e0;
const DEFAULT_ADDRESS: u64 = 0xfee0_0000;

// Registers, by their offset in memory.
const ID: u32 = 0x20;
const END: u32 = 0xb0;
const SPURIOUS_VECTOR: u32 = 0xf0;
const COMMAND: u32 = 0x300;
const COMMAND_HIGH: u32 = 0x310;
const TIMER_ENTRY: u32 = 0x320;
const NMI_ENTRY: u32 = 0x360;
const INITIAL_COUNT: u32 = 0x380;
const CURRENT_COUNT: u32 = 0x390;
const DIVIDE: u32 = 0x3e0;

static REGISTERS: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
static X2APIC: AtomicBool = AtomicBool::new(false);
static DEADLINE_MODE: AtomicBool = AtomicBool::new(false);
/// Timer ticks per second.
static FREQUENCY: AtomicU64 = AtomicU64::new(0);

fn read(register: u32) -> u32 {
    if X2APIC.load(Ordering::Relaxed) {
        // SAFETY: x2APIC is enabled; these registers exist.
        return unsafe { cpu::read_msr(0x800 + (register >> 4)) } as u32;
    }
    // SAFETY: the registers are mapped as device memory.
    unsafe {
        REGISTERS.load(Ordering::Relaxed).add(register as usize).cast::<u32>().read_volatile()
    }
}

fn write(register: u32, value: u32) {
    if X2APIC.load(Ordering::Relaxed) {
        // SAFETY: x2APIC is enabled; these registers exist.
        return unsafe { cpu::write_msr(0x800 + (register >> 4), u64::from(value)) };
    }
    // SAFETY: the registers are mapped as device memory.
    unsafe {
        REGISTERS
            .load(Ordering::Relaxed)
            .add(register as usize)
            .cast::<u32>()
            .write_volatile(value);
    }
}

/// Probes and enables the APIC of the first processor.
pub fn init_first() {
    let features = cpu::cpuid(1, 0).ecx;
    X2APIC.store(features & 1 << 21 != 0, Ordering::Relaxed);
    DEADLINE_MODE.store(features & 1 << 24 != 0, Ordering::Relaxed);
    if !X2APIC.load(Ordering::Relaxed) {
        let Some(registers) = stacks::map_device(PhysAddr(DEFAULT_ADDRESS), 4096) else {
            exit::fatal("too little memory to map the local APIC");
        };
        REGISTERS.store(registers, Ordering::Relaxed);
    }
    init_this();
}

/// Enables the APIC of the running processor.
pub fn init_this() {
    if X2APIC.load(Ordering::Relaxed) {
        // SAFETY: the processor has an x2APIC.
        unsafe { cpu::write_msr(APIC_BASE, cpu::read_msr(APIC_BASE) | 0xc00) };
    }
    write(SPURIOUS_VECTOR, 0x100 | u32::from(SPURIOUS));
    let deadline = if DEADLINE_MODE.load(Ordering::Relaxed) { 2 << 17 } else { 0 };
    write(TIMER_ENTRY, deadline | u32::from(TIMER));
    write(DIVIDE, 0b1011);
    // The line (LINT1) by which a person asks what a vCPU does, as a non-maskable interrupt.
    write(NMI_ENTRY, 4 << 8);
    let identity = read(ID);
    let identity = if X2APIC.load(Ordering::Relaxed) { identity } else { identity >> 24 };
    Vcpu::this().apic.store(identity, Ordering::Relaxed);
}

/// Ends the interrupt being served.
pub fn end_of_interrupt() {
    write(END, 0);
}

fn command(destination: u32, value: u32) {
    if X2APIC.load(Ordering::Relaxed) {
        let value = u64::from(destination) << 32 | u64::from(value);
        // SAFETY: the command register of an enabled x2APIC.
        return unsafe { cpu::write_msr(0x800 + (COMMAND >> 4), value) };
    }
    write(COMMAND_HIGH, destination << 24);
    write(COMMAND, value);
    while read(COMMAND) & 1 << 12 != 0 {
        cpu::pause();
    }
}

/// Interrupts another vCPU. Sticky: the interrupt waits until the vCPU lets interrupts in.
pub fn kick(vcpu: &Vcpu) {
    command(vcpu.apic.load(Ordering::Relaxed), 0x4000 | u32::from(KICK));
}

/// Sends INIT to all other processors.
pub fn init_others() {
    command(0, 0xc_4500);
}

/// Sends the start-up vector (a page number) to all other processors.
pub fn start_others(page: u8) {
    command(0, 0xc_4600 | u32::from(page));
}

/// Counts timer ticks while `wait` runs; the timer counts down from its maximum.
pub fn ticks_during(wait: impl FnOnce()) -> u32 {
    write(TIMER_ENTRY, 1 << 16);
    write(INITIAL_COUNT, u32::MAX);
    let start = read(CURRENT_COUNT);
    wait();
    let ticks = start - read(CURRENT_COUNT);
    write(INITIAL_COUNT, 0);
    init_this();
    ticks
}

/// Takes note of the timer's speed.
pub fn set_frequency(ticks_per_second: u64) {
    FREQUENCY.store(ticks_per_second, Ordering::Relaxed);
}

/// Sets the timer of this processor; see [`hal::vcpu_timer`]. A timer that is set already and
/// fires earlier is left as it is: whom it interrupts looks at the time and sets it again, which
/// is rare, while setting it is dear (on a virtual machine an exit, on QEMU's TCG a wake-up of
/// another thread).
pub fn set_timer(deadline: u64) {
    let Some(wanted) = deadline.checked_add(1) else { return };
    let vcpu = Vcpu::this();
    let set = vcpu.timer.load(Ordering::Relaxed);
    if set != 0 && set <= wanted {
        return;
    }
    vcpu.timer.store(wanted, Ordering::Relaxed);
    if DEADLINE_MODE.load(Ordering::Relaxed) {
        // SAFETY: the processor has the deadline timer.
        return unsafe { cpu::write_msr(TSC_DEADLINE, clock::timestamp_at(deadline).max(1)) };
    }
    let wait = deadline.saturating_sub(clock::monotonic());
    let ticks = u128::from(wait) * u128::from(FREQUENCY.load(Ordering::Relaxed)) / 1_000_000_000;
    // A wait that is too long for the counter ends early and is set again.
    write(INITIAL_COUNT, ticks.clamp(1, u128::from(u32::MAX)) as u32);
}

/// The timer has fired: what it was set to is no longer set.
pub fn timer_fired() {
    Vcpu::this().timer.store(0, Ordering::Relaxed);
}
