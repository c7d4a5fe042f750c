//! The platform interface on std, for `cargo test`, sanitizers and fuzzers: vCPUs are
//! threads, memory is a buffer. There are no user programs: what concerns them fails.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hal::{
    Backing, MAX_VCPUS, MapError, Platform, Protection, Range, Report, UserContext, UserExit,
    UserFault,
};

struct Test;
hal::platform!(crate::Test);

static NEXT: AtomicUsize = AtomicUsize::new(0);
static WINDOW: OnceLock<usize> = OnceLock::new();
static KICKS: [(Mutex<bool>, Condvar); MAX_VCPUS] =
    [const { (Mutex::new(false), Condvar::new()) }; MAX_VCPUS];

thread_local! {
    static VCPU: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Gives `bytes` of memory to `init`, once per process: later calls do nothing.
pub fn memory(bytes: usize, init: impl FnOnce(&[(u64, u64)])) {
    WINDOW.get_or_init(|| {
        let memory = Box::leak(vec![0u8; bytes + (4 << 20)].into_boxed_slice());
        let window = (memory.as_mut_ptr() as usize).next_multiple_of(2 << 20);
        // The allocator asks for the window while it is set up.
        EARLY.store(window, Ordering::Relaxed);
        init(&[(0x1000, bytes as u64)]);
        window
    });
}

static EARLY: AtomicUsize = AtomicUsize::new(0);

/// Makes this thread a given vCPU.
pub fn become_vcpu(vcpu: usize) {
    VCPU.set(vcpu);
}

fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

impl Platform for Test {
    fn exit(code: i32) -> ! {
        std::process::exit(code)
    }

    fn report(kind: Report, _flags: u8, payload: &[u8]) {
        eprintln!("{kind:?}: {}", String::from_utf8_lossy(payload));
    }

    fn monotonic() -> u64 {
        start().elapsed().as_nanos() as u64
    }

    fn realtime() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
    }

    fn entropy(_buffer: &mut [u8]) -> bool {
        false
    }

    fn image_base() -> usize {
        0
    }

    fn vcpu_count() -> usize {
        NEXT.load(Ordering::Relaxed).max(1)
    }

    fn vcpu_current() -> usize {
        VCPU.with(|vcpu| {
            if vcpu.get() == usize::MAX {
                vcpu.set(NEXT.fetch_add(1, Ordering::Relaxed) % MAX_VCPUS);
            }
            vcpu.get()
        })
    }

    fn vcpu_start(entry: fn() -> !) {
        let _ = entry;
    }

    fn vcpu_wait(deadline: u64) {
        let (kicked, condition) = &KICKS[Self::vcpu_current()];
        let Ok(kicked) = kicked.lock() else { return };
        let timeout = Duration::from_nanos(deadline.saturating_sub(Self::monotonic()));
        if let Ok((mut kicked, _)) =
            condition.wait_timeout_while(kicked, timeout, |kicked| !*kicked)
        {
            *kicked = false;
        }
    }

    fn vcpu_kick(vcpu: usize) {
        let (kicked, condition) = &KICKS[vcpu];
        if let Ok(mut kicked) = kicked.lock() {
            *kicked = true;
        }
        condition.notify_all();
    }

    fn vcpu_timer(_deadline: u64) {}

    fn vcpu_relax(rounds: u32) {
        if rounds > 64 {
            std::thread::yield_now();
        }
    }

    fn control_read(_buffer: &mut [u8]) -> usize {
        0
    }

    fn device_events() -> u64 {
        0
    }

    fn physical_window() -> *mut u8 {
        EARLY.load(Ordering::Relaxed) as *mut u8
    }

    fn stack_allocate() -> Option<(NonZeroUsize, usize)> {
        let stack = Box::leak(vec![0u128; 4096].into_boxed_slice());
        Some((NonZeroUsize::new(stack.as_mut_ptr() as usize)?, size_of_val(stack)))
    }

    fn stack_free(base: NonZeroUsize) {
        // SAFETY: `stack_allocate` leaked a box of this shape at this address.
        drop(unsafe {
            Box::from_raw(core::ptr::slice_from_raw_parts_mut(base.get() as *mut u128, 4096))
        });
    }

    fn space_create() -> Result<NonZeroUsize, MapError> {
        Err(MapError::NoSpace)
    }

    fn space_fork() -> Result<NonZeroUsize, MapError> {
        Err(MapError::NoSpace)
    }

    fn space_destroy(_space: NonZeroUsize) {}

    fn space_activate(_space: Option<NonZeroUsize>) {}

    fn space_map(_: Range, _: Backing, _: Protection) -> Result<(), MapError> {
        Err(MapError::NoSpace)
    }

    fn space_unmap(_: Range) -> Result<(), MapError> {
        Err(MapError::NoSpace)
    }

    fn space_protect(_: Range, _: Protection) -> Result<(), MapError> {
        Err(MapError::NoSpace)
    }

    fn space_move(_: Range, _: Range) -> Result<(), MapError> {
        Err(MapError::NoSpace)
    }

    fn space_discard(_: Range) -> Result<(), MapError> {
        Err(MapError::NoSpace)
    }

    fn space_resident() -> Option<u64> {
        None
    }

    fn space_kept(_: Range) -> Option<Range> {
        None
    }

    fn user_clock() -> hal::ClockData {
        hal::ClockData::default()
    }

    fn calls_served() -> Option<[u64; 2]> {
        None
    }

    fn user_read(_to: *mut u8, from: u64, _length: usize) -> Result<(), UserFault> {
        Err(UserFault { address: from, write: false })
    }

    fn user_write(to: u64, _from: *const u8, _length: usize) -> Result<(), UserFault> {
        Err(UserFault { address: to, write: true })
    }

    fn user_compare_exchange(address: u64, _: u32, _: u32) -> Result<u32, UserFault> {
        Err(UserFault { address, write: true })
    }

    fn programs_have_gs() -> bool {
        true
    }

    fn barrier_all() {}

    fn context_run(_context: &mut UserContext) -> UserExit {
        UserExit::Interrupted
    }

    fn context_save(_context: &mut UserContext) {}
}
