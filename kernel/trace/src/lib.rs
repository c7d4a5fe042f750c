//! The kernel's flight recorder: a ring of recent events per vCPU, always on, read after a
//! crash or a timeout.
//!
//! Recording costs a read of the processor's counter and four stores; it takes no lock and cannot fail. A reader on
//! another vCPU may see an event half overwritten: it is for people to look at.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use core::fmt::{Display, Formatter, Result, Write};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hal::{PerCpu, per_cpu};
use spin::Once;

/// Events that a ring holds.
const LENGTH: usize = 256;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
#[allow(missing_docs, reason = "the names say it; the arguments are listed in `describe`")]
pub enum Event {
    Switch = 1,
    Wake = 2,
    Spawn = 3,
    TaskExit = 4,
    SyscallEnter = 5,
    SyscallExit = 6,
    Fault = 7,
    Signal = 8,
    Idle = 9,
    Interrupted = 10,
    Steal = 11,
    Timer = 12,
}

impl Event {
    /// Its name and the names of its two arguments.
    fn describe(number: u64) -> (&'static str, &'static str, &'static str) {
        match number {
            1 => ("switch", "from", "to"),
            2 => ("wake", "task", "by"),
            3 => ("spawn", "task", "by"),
            4 => ("exit", "task", "code"),
            5 => ("syscall", "task", "number"),
            6 => ("result", "task", "value"),
            7 => ("fault", "task", "address"),
            8 => ("signal", "task", "number"),
            9 => ("idle", "until", "-"),
            10 => ("interrupted", "task", "-"),
            11 => ("steal", "task", "from"),
            12 => ("timer", "deadline", "-"),
            _ => ("?", "a", "b"),
        }
    }
}

struct Ring {
    next: AtomicUsize,
    events: Box<[[AtomicU64; 4]]>,
}

static RINGS: PerCpu<Once<Ring>> = per_cpu!(Once::new());

/// Gives the running vCPU its ring. Events before that are not recorded.
pub fn start() {
    RINGS.this().call_once(|| Ring {
        next: AtomicUsize::new(0),
        events: (0..LENGTH).map(|_| Default::default()).collect(),
    });
}

/// Records an event of this vCPU.
#[inline]
pub fn record(event: Event, a: u64, b: u64) {
    if let Some(ring) = RINGS.this().get() {
        ring.add(hal::counter(), event, a, b);
    }
}

/// Records an event of a kind that comes often: the counter, which costs as much as the rest of a
/// small system call, is read at every eighth one; others get the time before it.
#[inline]
pub fn record_often(event: Event, a: u64, b: u64) {
    let Some(ring) = RINGS.this().get() else { return };
    if ring.next.load(Ordering::Relaxed) & 0xe == 0 {
        ring.add(hal::counter(), event, a, b);
    } else {
        ring.add(ring.last_time(), event, a, b);
    }
}

/// Records an event that follows the last one of this vCPU so soon that it needs no time of its
/// own.
#[inline]
pub fn record_next(event: Event, a: u64, b: u64) {
    if let Some(ring) = RINGS.this().get() {
        ring.add(ring.last_time(), event, a, b);
    }
}

impl Ring {
    #[inline]
    fn last_time(&self) -> u64 {
        let last = self.next.load(Ordering::Relaxed).wrapping_sub(1);
        self.events.get(last % LENGTH).map_or(0, |slot| slot[0].load(Ordering::Relaxed))
    }

    #[inline]
    fn add(&self, time: u64, event: Event, a: u64, b: u64) {
        let index = self.next.load(Ordering::Relaxed);
        self.next.store(index.wrapping_add(1), Ordering::Relaxed);
        let Some(slot) = self.events.get(index % LENGTH) else { return };
        slot[0].store(time, Ordering::Relaxed);
        slot[1].store(event as u64, Ordering::Relaxed);
        slot[2].store(a, Ordering::Relaxed);
        slot[3].store(b, Ordering::Relaxed);
    }
}

/// Counts of the processor's counter in a microsecond, measured now.
fn counts_per_microsecond() -> u64 {
    const LONG: u64 = 100_000;
    let (time, counter) = (hal::monotonic(), hal::counter());
    // A clock that stands still must not keep us.
    for _ in 0..1_000_000 {
        let passed = hal::monotonic().saturating_sub(time);
        if passed >= LONG {
            return (hal::counter().wrapping_sub(counter) * 1000 / passed).max(1);
        }
    }
    1
}

/// Writes the newest events of a vCPU's ring, at most `limit`, as text: oldest first, a line
/// each. Takes no lock and no memory, so that a dying kernel can do it.
pub fn dump(vcpu: usize, limit: usize, text: &mut dyn Write) {
    let Some(ring) = RINGS.of(vcpu).get() else {
        let _ = writeln!(text, "trace of vCPU {vcpu}: it has not started");
        return;
    };
    let next = ring.next.load(Ordering::Relaxed);
    let shown = limit.min(LENGTH).min(next);
    let _ = writeln!(text, "trace of vCPU {vcpu}: the last {shown} of {next} events");
    let rate = counts_per_microsecond();
    let now = hal::counter();
    for index in next - shown..next {
        let [time, event, a, b] =
            [0, 1, 2, 3].map(|word| ring.events[index % LENGTH][word].load(Ordering::Relaxed));
        let (name, first, second) = Event::describe(event);
        let ago = now.saturating_sub(time) / rate;
        let (a, b) = (Number(a), Number(b));
        let _ = writeln!(text, "  -{ago:>9} us {name:<11} {first} {a} {second} {b}");
    }
}

/// Small numbers read best in decimal, addresses in hexadecimal.
struct Number(u64);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            small @ ..0x10_0000 => write!(f, "{small}"),
            // Failures are small negative numbers.
            error if error > u64::MAX - 4096 => write!(f, "{}", error as i64),
            other => write!(f, "{other:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    #[test]
    fn a_ring_keeps_the_newest() {
        plat_test::become_vcpu(3);
        record(Event::Wake, 0, 0);
        let mut text = String::new();
        dump(3, usize::MAX, &mut text);
        assert!(text.contains("not started"), "{text}");
        start();
        for number in 0..LENGTH as u64 + 10 {
            record(Event::Wake, number, 0);
        }
        let mut text = String::new();
        dump(3, usize::MAX, &mut text);
        assert_eq!(text.lines().count(), LENGTH + 1);
        assert!(text.contains("task 265") && !text.contains("task 9 "), "{text}");
    }
}
