//! Host threads. Each has a slot in the window: a stack to park on, an alternate stack for
//! signals, and what other threads tell it.

use alloc::collections::VecDeque;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use arch::StackPointer;
use hal::PAGE_SIZE;
use mm::frames;

use crate::gateway::{self, host_call};
use crate::host;
use crate::space::Space;
use crate::vcpu::{UNPINNED, Vcpu};

/// Bytes of a slot, and its alignment: a stack pointer inside tells the slot.
const SLOT_LEN: usize = 64 << 10;
const PARK_STACK: usize = 16 << 10;

/// What a parked thread is told.
mod command {
    pub const NONE: u32 = 0;
    /// Take a token and resume a kernel stack.
    pub const RESUME: u32 = 1;
    /// End the thread.
    pub const END: u32 = 2;
    /// The thread has ended and uses its slot no more.
    pub const ENDED: u32 = 3;
}

/// One host thread. It stands at the start of its slot's memory; behind it grow the two stacks.
#[repr(C, align(64))]
pub struct Slot {
    /// The address space (and with it the process) that the thread belongs to.
    pub space: AtomicPtr<Space>,
    process: AtomicU32,
    thread: AtomicU32,
    command: AtomicU32,
    pinned: AtomicU32,
    /// With `RESUME`: the kernel stack and the vCPU.
    resume: UnsafeCell<(StackPointer, usize)>,
    /// The next free or parked slot of a list.
    pub next: AtomicPtr<Slot>,
    /// Names the thread among all that ever were, for what is live in its registers.
    generation: AtomicU64,
    /// The context whose vector registers the thread holds.
    pub context: AtomicUsize,
    /// The FS base that was last loaded.
    fs_base: AtomicU64,
    /// The vCPU of a thread that starts as one.
    pub start_vcpu: AtomicUsize,
    /// Whether this is the thread that the process began with.
    pub first: AtomicBool,
}

// SAFETY: `resume` is written before the command and read after it.
unsafe impl Sync for Slot {}

/// Slots of threads that were told to end, the oldest first.
static ENDING: spin::Mutex<VecDeque<&'static Slot>> = spin::Mutex::new(VecDeque::new());
static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// A list of slots, linked through `next`.
pub struct SlotList {
    head: *const Slot,
}

// SAFETY: slots live for ever and are shared by atomics.
unsafe impl Send for SlotList {}

impl SlotList {
    pub const fn new() -> Self {
        Self { head: core::ptr::null() }
    }

    pub fn push(&mut self, slot: &'static Slot) {
        slot.next.store(self.head.cast_mut(), Ordering::Relaxed);
        self.head = slot;
    }

    pub fn pop(&mut self) -> Option<&'static Slot> {
        // SAFETY: slots live for ever.
        let slot = unsafe { self.head.as_ref() }?;
        self.head = slot.next.load(Ordering::Relaxed);
        Some(slot)
    }
}

impl Slot {
    /// A slot for a new thread of `space`.
    pub fn allocate(space: &Space) -> Option<&'static Self> {
        let slot = reusable().or_else(|| {
            let memory = frames::allocate_run(SLOT_LEN / PAGE_SIZE as usize)?.pointer();
            // SAFETY: the memory is ours for ever, aligned to its length, and large enough; the
            // slot is all atomics and cells, for which zeros are valid.
            unsafe {
                memory.write_bytes(0, size_of::<Self>());
                Some(&*memory.cast::<Self>())
            }
        })?;
        slot.space.store((&raw const *space).cast_mut(), Ordering::Relaxed);
        slot.process.store(0, Ordering::Relaxed);
        slot.thread.store(0, Ordering::Relaxed);
        slot.command.store(command::NONE, Ordering::Relaxed);
        slot.pinned.store(UNPINNED, Ordering::Relaxed);
        slot.context.store(0, Ordering::Relaxed);
        // No base that a program can have: the first load is not skipped.
        slot.fs_base.store(u64::MAX, Ordering::Relaxed);
        slot.generation.store(GENERATIONS.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        slot.first.store(false, Ordering::Relaxed);
        Some(slot)
    }

    /// The slot whose alternate stack `stack` is on.
    ///
    /// # Safety
    /// `stack` is an address on a slot's stack.
    pub unsafe fn of_stack(stack: usize) -> &'static Self {
        // SAFETY: slots are aligned to their length and live for ever.
        unsafe { &*((stack & !(SLOT_LEN - 1)) as *const Self) }
    }

    /// The top of the stack that the thread parks on.
    pub fn park_stack(&self) -> *mut u8 {
        ((&raw const *self) as usize + PARK_STACK) as *mut u8
    }

    /// Process and thread identity, packed.
    pub fn ids(&self) -> u64 {
        let process = self.process.load(Ordering::Relaxed);
        u64::from(process) << 32 | u64::from(self.thread.load(Ordering::Relaxed))
    }

    /// Says who the thread is; known to its creator and to itself.
    pub fn set_ids(&self, process: u32, thread: u32) {
        self.process.store(process, Ordering::Relaxed);
        self.thread.store(thread, Ordering::Relaxed);
    }

    /// The process identity.
    pub fn process(&self) -> u32 {
        self.process.load(Ordering::Relaxed)
    }

    /// Names this thread among all that ever were; never 0.
    pub fn generation(&self) -> usize {
        self.generation.load(Ordering::Relaxed) as usize
    }

    /// Loads the FS base of a program.
    #[inline]
    pub fn load_fs_base(&self, base: u64) {
        if self.fs_base.load(Ordering::Relaxed) != base {
            self.fs_base.store(base, Ordering::Relaxed);
            // SAFETY: FSGSBASE was probed at the start; kernel code does not use FS.
            unsafe { arch::cpu::write_fs_base(base) };
        }
    }

    /// The FS base of the program that ran last on this thread, which may have changed it by
    /// itself; `asked` is what the kernel believes.
    pub fn changed_fs_base(&self, asked: u64) -> u64 {
        // SAFETY: FSGSBASE was probed at the start.
        let now = unsafe { arch::cpu::read_fs_base() };
        let loaded = self.fs_base.swap(now, Ordering::Relaxed);
        if loaded == now { asked } else { now }
    }

    /// Makes signals of the calling thread arrive on this slot's alternate stack.
    pub fn adopt_signals(&self) {
        let base = (&raw const *self) as usize + PARK_STACK;
        let stack = [base, 0, SLOT_LEN - PARK_STACK];
        // SAFETY: the stack is the slot's own.
        unsafe { host_call(host::SIGALTSTACK, stack.as_ptr() as usize, 0, 0, 0, 0, 0) };
    }

    /// Binds the calling thread to a host CPU.
    pub fn pin(&self, host_cpu: u32) {
        if host_cpu == UNPINNED || self.pinned.swap(host_cpu, Ordering::Relaxed) == host_cpu {
            return;
        }
        let mut mask = [0u64; 16];
        mask[host_cpu as usize / 64 % 16] |= 1 << (host_cpu % 64);
        let (pointer, length) = (mask.as_ptr() as usize, size_of_val(&mask));
        // SAFETY: reads the mask. A refusal costs speed only.
        unsafe { host_call(host::SCHED_SETAFFINITY, 0, length, pointer, 0, 0, 0) };
    }

    /// Hands the token of the running vCPU and the running kernel stack to this parked thread,
    /// and parks the calling one. Returns in the other thread.
    pub fn hand_over(&'static self, from: &'static Self) {
        let vcpu = Vcpu::this();
        // SAFETY: this thread is parked: nobody else writes the cell until it is commanded.
        let resume = unsafe { &mut *self.resume.get() };
        resume.1 = vcpu.index as usize;
        // SAFETY: `from` is the calling thread's slot, whose park stack is unused while the
        // thread runs a kernel stack.
        unsafe {
            let parking = arch::prepare_stack(
                from.park_stack(),
                park_after_handing,
                (&raw const *from) as usize,
            );
            arch::switch_stacks(&raw mut resume.0, parking, (&raw const *self) as usize);
        }
    }

    /// Waits for a command and carries it out. The thread is on its park stack.
    fn park(&'static self) -> ! {
        loop {
            match self.command.swap(command::NONE, Ordering::Acquire) {
                command::RESUME => {
                    // SAFETY: the commander wrote it before the command.
                    let (stack, vcpu) = unsafe { *self.resume.get() };
                    Vcpu::of(vcpu).take(self);
                    let mut unused = core::ptr::null_mut();
                    // SAFETY: the stack was suspended by `hand_over`, and only we resume it. The
                    // park stack is abandoned; the next parking starts at its top.
                    unsafe { arch::switch_stacks(&raw mut unused, stack, 0) };
                }
                command::END => gateway::end_thread(&self.command, command::ENDED),
                _ => host::futex_wait(&self.command, command::NONE, u64::MAX),
            }
        }
    }

    /// Tells a parked thread to end. The slot is used again when it has.
    pub fn end(&'static self) {
        self.tell(command::END);
        ENDING.lock().push_back(self);
    }

    /// Gives back a slot whose thread was never made.
    pub fn discard(&'static self) {
        self.command.store(command::ENDED, Ordering::Release);
        ENDING.lock().push_front(self);
    }

    fn tell(&self, command: u32) {
        self.command.store(command, Ordering::Release);
        host::futex_wake(&self.command);
    }
}

/// The slot of a thread that has ended.
fn reusable() -> Option<&'static Slot> {
    let mut ending = ENDING.lock();
    let ended = |slot: &mut &Slot| slot.command.load(Ordering::Acquire) == command::ENDED;
    ending.pop_front_if(ended)
}

/// First steps of parking, on the park stack of `from`: the kernel stack is free to be
/// resumed by `target` now.
extern "C" fn park_after_handing(target: usize, from: usize) -> ! {
    // SAFETY: both are slots, which live for ever.
    let (target, from) = unsafe { (&*(target as *const Slot), &*(from as *const Slot)) };
    // Others may use the thread as soon as it is on its space's list, even before it waits.
    // SAFETY: a space lives as long as a thread of it holds a token.
    unsafe { (*from.space.load(Ordering::Relaxed)).left(from) };
    target.tell(command::RESUME);
    from.park()
}

/// The start of a thread in an existing or a new process: it parks.
pub extern "C" fn thread_start(slot: usize) -> ! {
    // SAFETY: the creator gives a slot.
    let slot = unsafe { &*(slot as *const Slot) };
    slot.adopt_signals();
    if slot.first.load(Ordering::Relaxed) {
        // SAFETY: the process ends with its supervisor, which it is a child of.
        unsafe { host_call(host::PRCTL, host::PR_SET_PDEATHSIG, host::SIGKILL, 0, 0, 0, 0) };
    }
    slot.park()
}

/// Creates a host thread or process for `slot` that runs `start(slot)`.
///
/// # Safety
/// The flags are those of a thread or a process that shares nothing but the window and
/// descriptors.
pub unsafe fn create(
    slot: &'static Slot,
    flags: usize,
    start: extern "C" fn(usize) -> !,
) -> Result<u32, host::HostError> {
    // SAFETY: the slot's stacks are unused.
    let thread = host::check(unsafe {
        gateway::clone(flags, slot.park_stack(), start, (&raw const *slot) as usize)
    })?;
    Ok(thread as u32)
}
