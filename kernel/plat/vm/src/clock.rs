//! Time, from the time-stamp counter.

use core::sync::atomic::{AtomicU64, Ordering};

use arch::clock_code::Source;
use arch::cpu;

use crate::apic;

/// Nanoseconds = (counter - start) * SCALE >> 32.
static SCALE: AtomicU64 = AtomicU64::new(1 << 32);
static START: AtomicU64 = AtomicU64::new(0);
static REALTIME: AtomicU64 = AtomicU64::new(0);

const SECOND: u64 = 1_000_000_000;

/// Finds the speed of the counter and of the APIC timer, and sets the time of day.
pub fn init(realtime: u64) {
    START.store(cpu::timestamp(), Ordering::Relaxed);
    REALTIME.store(realtime, Ordering::Relaxed);
    let frequency = known_frequencies().unwrap_or_else(measured_frequency);
    SCALE.store(((u128::from(SECOND) << 32) / u128::from(frequency)) as u64, Ordering::Relaxed);
}

fn hypervisor() -> Option<([u8; 12], u32)> {
    if cpu::cpuid(1, 0).ecx & 1 << 31 == 0 {
        return None;
    }
    let leaf = cpu::cpuid(0x4000_0000, 0);
    let mut name = [0; 12];
    for (chunk, register) in name.chunks_mut(4).zip([leaf.ebx, leaf.ecx, leaf.edx]) {
        chunk.copy_from_slice(&register.to_le_bytes());
    }
    Some((name, leaf.eax))
}

/// What the hypervisor says (the timing leaf that VMware defined).
fn known_frequencies() -> Option<u64> {
    let (_, leaves) = hypervisor()?;
    if leaves < 0x4000_0010 {
        return None;
    }
    let timing = cpu::cpuid(0x4000_0010, 0);
    if timing.eax == 0 || timing.ebx == 0 {
        return None;
    }
    apic::set_frequency(u64::from(timing.ebx) * 1000);
    Some(u64::from(timing.eax) * 1000)
}

/// Measures the counter: against the APIC timer, where its speed is known, otherwise against the
/// programmable interval timer.
fn measured_frequency() -> u64 {
    const WAIT: u64 = 2_000_000;
    if let Some((name, _)) = hypervisor()
        && matches!(&name, b"TCGTCGTCGTCG" | b"KVMKVMKVM\0\0\0")
    {
        // Both let the APIC timer tick once a nanosecond.
        apic::set_frequency(SECOND);
        let start = cpu::timestamp();
        let ticks = apic::ticks_during(|| {
            while cpu::timestamp() - start < WAIT {
                cpu::pause();
            }
        });
        let cycles = cpu::timestamp() - start;
        return (u128::from(cycles) * u128::from(SECOND) / u128::from(ticks.max(1))) as u64;
    }
    let mut cycles = 0;
    let mut nanoseconds = 0;
    let ticks = apic::ticks_during(|| (cycles, nanoseconds) = interval_timer(10_000));
    let scale =
        |count: u64| (u128::from(count) * u128::from(SECOND) / u128::from(nanoseconds)) as u64;
    apic::set_frequency(scale(u64::from(ticks)));
    scale(cycles)
}

/// Cycles that pass while channel 2 of the interval timer counts `count` of its ticks, and how
/// many nanoseconds that is.
fn interval_timer(count: u16) -> (u64, u64) {
    const FREQUENCY: u64 = 1_193_182;
    // SAFETY: the ports of the interval timer's channel 2, which nothing else uses.
    unsafe {
        cpu::port_write_u8(0x61, cpu::port_read_u8(0x61) & 0xfc | 1);
        cpu::port_write_u8(0x43, 0xb0);
        cpu::port_write_u8(0x42, count as u8);
        cpu::port_write_u8(0x42, (count >> 8) as u8);
        let start = cpu::timestamp();
        while cpu::port_read_u8(0x61) & 0x20 == 0 {
            cpu::pause();
        }
        (cpu::timestamp() - start, u64::from(count) * SECOND / FREQUENCY)
    }
}

/// Nanoseconds since the start.
pub fn monotonic() -> u64 {
    let cycles = cpu::timestamp().wrapping_sub(START.load(Ordering::Relaxed));
    ((u128::from(cycles) * u128::from(SCALE.load(Ordering::Relaxed))) >> 32) as u64
}

/// Nanoseconds since 1970.
pub fn realtime() -> u64 {
    REALTIME.load(Ordering::Relaxed) + monotonic()
}

/// How programs read the same clocks.
pub fn user_source() -> Source {
    Source::Counter {
        scale: SCALE.load(Ordering::Relaxed),
        start: START.load(Ordering::Relaxed),
        realtime: REALTIME.load(Ordering::Relaxed),
    }
}

/// The counter's value at a time.
pub fn timestamp_at(deadline: u64) -> u64 {
    let cycles = (u128::from(deadline) << 32) / u128::from(SCALE.load(Ordering::Relaxed));
    START.load(Ordering::Relaxed).wrapping_add(cycles as u64)
}
