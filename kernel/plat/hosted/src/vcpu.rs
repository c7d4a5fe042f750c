//! vCPUs: what the threads that hold the token share.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use arch::{Registers, cpu};
use hal::{MAX_VCPUS, Range};

use crate::slot::Slot;
use crate::{clock, host, watchdog};

/// One vCPU. GS points to it; the first fields are known to the gateway's assembly.
#[repr(C, align(64))]
pub struct Vcpu {
    /// Its own address.
    own: u64,
    pub index: u32,
    /// Whether a program runs; set and cleared by the gateway.
    pub in_user: AtomicBool,
    /// The kernel stack that the gateway returns to.
    pub kernel_rsp: u64,
    /// The registers of the running program.
    pub registers: AtomicPtr<Registers>,
    /// Where the gateway jumps.
    pub jump: u64,
    /// Where patched system calls enter the kernel.
    pub patched_entry: u64,
    /// After a patched call: the program's address that follows it, and where the code that
    /// stands there now is. Zero otherwise.
    pub resume_program: AtomicU64,
    pub resume_actual: AtomicU64,
    /// The sticky kick: 1 from the kick until user mode or waiting has ended for it.
    pub kicked: AtomicU32,
    /// The round of [`stop`](crate::stop) that this vCPU has to wait for before it enters a
    /// program. Checked together with `kicked`, which it follows.
    pub stop: AtomicU32,
    /// The last round that it will wait for.
    pub stop_heeded: AtomicU32,
    /// How often it left the kernel, for a program or to wait; the value that the watchdog saw
    /// last (at first one that none has), and when that changed.
    left: AtomicU64,
    seen: [AtomicU64; 2],
    /// It waits for the host to take what it writes.
    pub is_blocked: AtomicBool,
    /// The watchdog wants to know where it is.
    pub accused: AtomicBool,
    /// System calls that trapped, and that did not.
    pub calls: [AtomicU64; 2],
    /// Whether it waits for `kicked`.
    waiting: AtomicBool,
    /// The thread that holds the token.
    pub holder: AtomicPtr<Slot>,
    /// The process and the thread of the holder, packed, for a kick from another vCPU.
    holder_ids: AtomicU64,
    /// When user mode is to end.
    pub timer: AtomicU64,
    /// Device events so far.
    pub device_events: AtomicU64,
    /// The signal behind an exit code of `SIGNAL`.
    pub signal: UnsafeCell<Signal>,
    /// A program that is single-stepped is being entered: its trap flag is set already.
    pub stepping: AtomicBool,
    /// The host CPU that it is pinned to.
    pub host_cpu: AtomicU32,
}

/// What a signal said about a program.
#[derive(Clone, Copy, Default)]
pub struct Signal {
    pub number: i32,
    pub code: i32,
    pub address: u64,
    pub trap: u64,
    pub error: u64,
}

// SAFETY: `signal`, `kernel_rsp` and `jump` are touched only by the token's holder.
unsafe impl Sync for Vcpu {}

/// No host CPU.
pub const UNPINNED: u32 = u32::MAX;

static VCPUS: [Vcpu; MAX_VCPUS] = [const {
    Vcpu {
        own: 0,
        index: 0,
        in_user: AtomicBool::new(false),
        kernel_rsp: 0,
        registers: AtomicPtr::new(core::ptr::null_mut()),
        jump: 0,
        patched_entry: 0,
        resume_program: AtomicU64::new(0),
        resume_actual: AtomicU64::new(0),
        kicked: AtomicU32::new(0),
        stop: AtomicU32::new(0),
        stop_heeded: AtomicU32::new(0),
        left: AtomicU64::new(0),
        seen: [const { AtomicU64::new(u64::MAX) }; 2],
        is_blocked: AtomicBool::new(false),
        accused: AtomicBool::new(false),
        calls: [const { AtomicU64::new(0) }; 2],
        waiting: AtomicBool::new(false),
        holder: AtomicPtr::new(core::ptr::null_mut()),
        holder_ids: AtomicU64::new(0),
        timer: AtomicU64::new(u64::MAX),
        device_events: AtomicU64::new(0),
        signal: UnsafeCell::new(Signal { number: 0, code: 0, address: 0, trap: 0, error: 0 }),
        stepping: AtomicBool::new(false),
        host_cpu: AtomicU32::new(UNPINNED),
    }
}; MAX_VCPUS];

static COUNT: AtomicU32 = AtomicU32::new(1);

impl Vcpu {
    /// The vCPU with this number.
    pub fn of(index: usize) -> &'static Self {
        &VCPUS[index]
    }

    /// The vCPU whose token this thread holds.
    #[inline]
    pub fn this() -> &'static Self {
        let own: *const Self;
        // SAFETY: GS points to a vCPU that lives for ever, as every thread sets it before it
        // runs kernel code.
        unsafe {
            core::arch::asm!("mov {}, gs:[0]", out(reg) own, options(nostack, preserves_flags, readonly));
            &*own
        }
    }

    /// Takes the token for the calling thread: GS and the holder's identity.
    pub fn take(&'static self, slot: &Slot) {
        // SAFETY: FSGSBASE was probed at the start; the kernel's GS is this vCPU from now on.
        unsafe { cpu::write_gs_base(&raw const *self as u64) };
        self.holder.store((&raw const *slot).cast_mut(), Ordering::Relaxed);
        // A full barrier: the flag `kicked` is looked at after this, and whoever set it looked
        // at the holder after that.
        self.holder_ids.swap(slot.ids(), Ordering::SeqCst);
        slot.pin(self.host_cpu.load(Ordering::Relaxed));
    }

    /// The thread that holds this vCPU's token.
    pub fn slot(&self) -> &'static Slot {
        // SAFETY: slots live for ever; the holder was set by `take`.
        unsafe { &*self.holder.load(Ordering::Relaxed) }
    }

    /// See [`hal::vcpu_kick`].
    pub fn kick(&self) {
        if self.kicked.swap(1, Ordering::SeqCst) == 1 {
            return;
        }
        if self.waiting.load(Ordering::SeqCst) {
            host::futex_wake(&self.kicked);
            return;
        }
        self.signal_holder();
    }

    /// Sends the signal of the kick to the thread that holds the token.
    pub fn signal_holder(&self) {
        let ids = self.holder_ids.load(Ordering::SeqCst);
        crate::signal::send_kick((ids >> 32) as u32, ids as u32);
    }

    /// Whether it waits for something to do.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst)
    }

    /// The pair of addresses that a patched call left.
    pub fn resume(&self) -> [u64; 2] {
        [self.resume_program.load(Ordering::Relaxed), self.resume_actual.load(Ordering::Relaxed)]
    }

    /// Sets the pair: a program that is entered at the first address goes on at the second.
    pub fn set_resume(&self, [program, actual]: [u64; 2]) {
        self.resume_program.store(program, Ordering::Relaxed);
        self.resume_actual.store(actual, Ordering::Relaxed);
    }

    /// Notes that it leaves the kernel; only its own thread does.
    #[inline]
    pub fn note_leaving(&self) {
        self.left.store(self.left.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Whether it has neither waited nor entered a program for this time. The watchdog asks, again and again.
    pub fn is_stuck_since(&self, now: u64, time: u64) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        // A program that runs long is no exception: the signal makes it leave.
        let outside = self.is_waiting()
            || self.is_blocked.load(Ordering::Relaxed)
            || self.holder.load(Ordering::Relaxed).is_null();
        let [value, since] = &self.seen;
        if outside || value.swap(left, Ordering::Relaxed) != left {
            since.store(now, Ordering::Relaxed);
            self.accused.store(false, Ordering::Relaxed);
        }
        now.saturating_sub(since.load(Ordering::Relaxed)) >= time
    }

    /// Counts a system call; only its own thread does.
    #[inline]
    pub fn count_call(&self, way: usize) {
        let count = &self.calls[way];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Marks this vCPU kicked, from its own thread.
    pub fn mark_kicked(&self) {
        self.kicked.store(1, Ordering::SeqCst);
    }

    /// See [`hal::vcpu_wait`].
    pub fn wait(&self, deadline: u64) {
        self.note_leaving();
        self.waiting.store(true, Ordering::SeqCst);
        if self.kicked.load(Ordering::SeqCst) == 0 {
            host::futex_wait(&self.kicked, 0, deadline);
        }
        self.waiting.store(false, Ordering::SeqCst);
        self.kicked.store(0, Ordering::SeqCst);
    }
}

/// How many vCPUs there are.
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed) as usize
}

/// Sets up `count` vCPUs, pinned to the given host CPUs if there are enough of them.
///
/// # Safety
/// Called once, before any thread but the first runs in the window.
pub unsafe fn init(count: usize, host_cpus: &[u64]) {
    let count = count.clamp(1, MAX_VCPUS);
    COUNT.store(count as u32, Ordering::Relaxed);
    let mut cpus =
        (0..host_cpus.len() * 64).filter(|cpu| host_cpus[cpu / 64] >> (cpu % 64) & 1 == 1);
    let pin = cpus.clone().count() >= count;
    for (index, vcpu) in VCPUS[..count].iter().enumerate() {
        let raw = (&raw const *vcpu).cast_mut();
        // SAFETY: nobody else looks at the vCPUs yet.
        unsafe {
            (*raw).own = raw as u64;
            (*raw).index = index as u32;
            (*raw).patched_entry = crate::gateway::patched_entry();
        }
        let host_cpu = cpus.next().filter(|_| pin).map_or(UNPINNED, |cpu| cpu as u32);
        vcpu.host_cpu.store(host_cpu, Ordering::Relaxed);
    }
}

const _: () = assert!(
    core::mem::offset_of!(Vcpu, stop) == core::mem::offset_of!(Vcpu, kicked) + 4
        && core::mem::offset_of!(Vcpu, kicked).is_multiple_of(8)
);

/// Indices of [`Vcpu::calls`].
pub mod way {
    pub const TRAPPED: usize = 0;
    pub const DIRECT: usize = 1;
}

/// See [`hal::calls_served`].
pub fn calls_served() -> [u64; 2] {
    let sum = |way: usize| {
        VCPUS[..count()].iter().map(|vcpu| vcpu.calls[way].load(Ordering::Relaxed)).sum()
    };
    [sum(way::TRAPPED), sum(way::DIRECT)]
}

/// The word that the timer thread sleeps on, and until when it sleeps.
static TIMER_WORD: AtomicU32 = AtomicU32::new(0);
static TIMER_UNTIL: AtomicU64 = AtomicU64::new(u64::MAX);

/// See [`hal::vcpu_timer`].
pub fn set_timer(deadline: u64) {
    let vcpu = Vcpu::this();
    // The timer thread only ever clears it, with a kick, after which we are called again.
    if vcpu.timer.load(Ordering::Relaxed) == deadline {
        return;
    }
    vcpu.timer.store(deadline, Ordering::SeqCst);
    if deadline < TIMER_UNTIL.load(Ordering::SeqCst) {
        TIMER_WORD.fetch_add(1, Ordering::SeqCst);
        host::futex_wake(&TIMER_WORD);
    }
}

/// The timer thread: kicks vCPUs whose deadline has passed.
pub fn timer_thread() -> ! {
    loop {
        let round = TIMER_WORD.load(Ordering::SeqCst);
        TIMER_UNTIL.store(0, Ordering::SeqCst);
        let now = clock::monotonic();
        watchdog::look(now);
        let mut next = watchdog::next_look();
        for vcpu in &VCPUS[..count()] {
            let deadline = vcpu.timer.load(Ordering::SeqCst);
            if deadline > now {
                next = next.min(deadline);
            } else if vcpu
                .timer
                .compare_exchange(deadline, u64::MAX, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
            {
                vcpu.kick();
            }
        }
        TIMER_UNTIL.store(next, Ordering::SeqCst);
        // A deadline set between the look and the store finds an old `TIMER_UNTIL` of 0 and does
        // not wake: look once more before sleeping.
        let earlier = VCPUS[..count()].iter().any(|vcpu| vcpu.timer.load(Ordering::SeqCst) < next);
        if !earlier {
            host::futex_wait(&TIMER_WORD, round, next);
        }
    }
}

/// Whether an address range meets any of the given ones.
pub fn overlaps(start: u64, end: u64, ranges: &[Range]) -> bool {
    ranges.iter().any(|range| start < range.end && end > range.start)
}
