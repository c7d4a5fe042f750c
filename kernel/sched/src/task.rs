//! Tasks.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::cell::UnsafeCell;
use core::num::NonZeroUsize;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use arch::{Registers, StackPointer};
use hal::{AddressSpace, UserContext};
use lock::SpinLock;
use parking::Parking;
use trace::Event;

use crate::{queue, rank, switch};

/// What the layer above attaches to a task.
pub type Extension = dyn Any + Send + Sync;

/// What a task does.
pub(crate) enum Entry {
    /// Something that is done once.
    Once(Box<dyn FnOnce() + Send>),
    /// A function of the task's extension. It need not return: it owns nothing.
    Extension(fn(&Extension)),
}

/// A thread of execution in the kernel, which may run a program.
pub struct Task {
    /// Its number, never used again.
    pub id: u64,
    name: String,
    stack: (NonZeroUsize, usize),
    pub(crate) stack_pointer: UnsafeCell<StackPointer>,
    pub(crate) parking: Parking,
    /// vCPUs that it may run on, a bit each.
    affinity: AtomicU64,
    /// The vCPU that it last ran on.
    pub(crate) vcpu: AtomicUsize,
    /// Nanoseconds that it has run, up to its last switch.
    pub(crate) ran: AtomicU64,
    /// Switches away from it: because it slept, because it had to.
    pub(crate) switches: [AtomicU64; 2],
    /// Mean length of its recent runs in nanoseconds.
    pub(crate) burst: AtomicU64,
    entry: SpinLock<Option<Entry>>,
    context: Option<UnsafeCell<UserContext>>,
    context_taken: AtomicBool,
    /// The active space's handle, and what keeps it alive.
    space_handle: AtomicUsize,
    space: SpinLock<Option<Arc<AddressSpace>>>,
    /// What the layer above attached.
    extension: AtomicPtr<Box<Extension>>,
}

// SAFETY: the cells belong to the task itself while it runs, and to the switching code while it
// does not.
unsafe impl Sync for Task {}
// SAFETY: as above; a stack pointer is only used by the switch.
unsafe impl Send for Task {}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);
static ALL: SpinLock<BTreeMap<u64, Weak<Task>>> = SpinLock::new(rank::TASKS, BTreeMap::new());

/// All tasks that live now.
pub fn all() -> alloc::vec::Vec<Arc<Task>> {
    ALL.lock().values().filter_map(Weak::upgrade).collect()
}

/// Calls `with` for each task that lives now, as far as that is possible without waiting: for a
/// kernel that is dying.
pub fn try_each(mut with: impl FnMut(&Task)) {
    // Long enough for another vCPU to finish what it does with the list.
    const PATIENCE: usize = 100_000;
    let Some(all) = (0..PATIENCE).find_map(|_| ALL.try_lock()) else { return };
    for task in all.values() {
        // A task whose last owner is about to go is not worth looking at. The count is given
        // back without dropping the task here, where the list is locked.
        if let Some(task) = task.upgrade() {
            with(&task);
            core::mem::forget(task);
        }
    }
}

/// The running task.
#[inline]
pub fn current() -> Arc<Task> {
    switch::with_current(Arc::clone)
}

/// Starts a task that runs kernel code only. `None`: no memory for its stack.
pub fn spawn(name: &str, entry: impl FnOnce() + Send + 'static) -> Option<Arc<Task>> {
    let task = Task::new(name, None, Entry::Once(Box::new(entry)))?;
    trace::record(Event::Spawn, task.id, switch::current_id());
    queue::enqueue(Arc::clone(&task), true);
    Some(task)
}

/// Makes a task that runs a program in `space` with the registers `context`. It starts with
/// [`Task::begin`] and calls `entry` with `extension`, which lives as long as the task.
/// `None`: no memory for its stack.
pub fn spawn_user(
    name: &str,
    space: Arc<AddressSpace>,
    context: UserContext,
    extension: Box<Extension>,
    entry: fn(&Extension),
) -> Option<Arc<Task>> {
    let task = Task::new(name, Some(context), Entry::Extension(entry))?;
    task.space_handle.store(space.id().get(), Ordering::Relaxed);
    *task.space.lock() = Some(space);
    task.extension.store(Box::into_raw(Box::new(extension)), Ordering::Release);
    trace::record(Event::Spawn, task.id, switch::current_id());
    Some(task)
}

/// Replaces the address space of the running task and activates it.
pub fn set_space(space: Option<Arc<AddressSpace>>) {
    let handle = space.as_ref().map_or(0, |space| space.id().get());
    let old = switch::with_current(|task| {
        task.space_handle.store(handle, Ordering::Relaxed);
        core::mem::replace(&mut *task.space.lock(), space)
    });
    hal::space_activate(NonZeroUsize::new(handle));
    drop(old);
}

/// The registers of the program that the running task runs.
///
/// # Panics
/// When the task runs none, or its registers are borrowed already.
#[inline]
pub fn context() -> ContextGuard {
    switch::with_current(|task| {
        let cell = task.context.as_ref();
        let Some(cell) = cell else { panic!("task {} runs no program", task.id) };
        // Only the running task looks at this: no atomic exchange is needed.
        assert!(!task.context_taken.load(Ordering::Relaxed), "registers borrowed twice");
        task.context_taken.store(true, Ordering::Relaxed);
        ContextGuard { context: cell.get(), taken: &raw const task.context_taken }
    })
}

/// The borrowed registers of the running task's program. Must be dropped before the task parks,
/// yields or exits.
pub struct ContextGuard {
    context: *mut UserContext,
    taken: *const AtomicBool,
}

impl Deref for ContextGuard {
    type Target = UserContext;

    #[inline]
    fn deref(&self) -> &UserContext {
        // SAFETY: only the running task borrows its registers, once; it lives as long as it runs.
        unsafe { &*self.context }
    }
}

impl DerefMut for ContextGuard {
    #[inline]
    fn deref_mut(&mut self) -> &mut UserContext {
        // SAFETY: as above.
        unsafe { &mut *self.context }
    }
}

impl Drop for ContextGuard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { (*self.taken).store(false, Ordering::Relaxed) };
    }
}

/// Whether new stacks are painted, and the most bytes of one that were used by a task that ended.
static PAINTING: AtomicBool = AtomicBool::new(false);
static DEEPEST: AtomicUsize = AtomicUsize::new(0);

/// What a painted stack holds where it was never used.
const PAINT: u64 = 0x5354_4143_4b53_5441;

/// Measures how deep kernel stacks get, from now on.
pub fn measure_stacks() {
    PAINTING.store(true, Ordering::Relaxed);
}

/// The most bytes of a kernel stack that were ever used, and the length of a stack; since
/// [`measure_stacks`].
pub fn deepest_stack() -> (usize, usize) {
    let length = current().stack.1;
    let living = all().iter().map(|task| task.depth()).max().unwrap_or(0);
    (living.max(DEEPEST.load(Ordering::Relaxed)), length)
}

impl Task {
    fn new(name: &str, context: Option<UserContext>, entry: Entry) -> Option<Arc<Self>> {
        let (base, length) = hal::stack_allocate()?;
        if PAINTING.load(Ordering::Relaxed) {
            // SAFETY: the stack is nobody else's, and as long as the platform says.
            unsafe { core::slice::from_raw_parts_mut(base.get() as *mut u64, length / 8) }
                .fill(PAINT);
        }
        let task = Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: name.into(),
            stack: (base, length),
            stack_pointer: UnsafeCell::new(core::ptr::null_mut()),
            parking: Parking::new(),
            affinity: AtomicU64::new(u64::MAX),
            vcpu: AtomicUsize::new(hal::vcpu_current()),
            ran: AtomicU64::new(0),
            switches: [const { AtomicU64::new(0) }; 2],
            burst: AtomicU64::new(1_000_000),
            entry: SpinLock::new(rank::SPACE, Some(entry)),
            context: context.map(UnsafeCell::new),
            context_taken: AtomicBool::new(false),
            space_handle: AtomicUsize::new(0),
            space: SpinLock::new(rank::SPACE, None),
            extension: AtomicPtr::new(core::ptr::null_mut()),
        });
        let top = (base.get() + length) as *mut u8;
        // SAFETY: the stack is new, and as long as the platform says.
        unsafe { *task.stack_pointer.get() = arch::prepare_stack(top, switch::first, 0) };
        let mut all = ALL.lock();
        all.insert(task.id, Arc::downgrade(&task));
        drop(all);
        Some(task)
    }

    /// A task for code that already runs on a stack: the first of each vCPU.
    pub(crate) fn adopt(name: &str) -> Arc<Self> {
        let base = NonZeroUsize::MIN;
        Arc::new(Self {
            id: 0,
            name: name.into(),
            stack: (base, 0),
            stack_pointer: UnsafeCell::new(core::ptr::null_mut()),
            parking: Parking::new(),
            affinity: AtomicU64::new(1 << hal::vcpu_current()),
            vcpu: AtomicUsize::new(hal::vcpu_current()),
            ran: AtomicU64::new(0),
            switches: [const { AtomicU64::new(0) }; 2],
            burst: AtomicU64::new(0),
            entry: SpinLock::new(rank::SPACE, None),
            context: None,
            context_taken: AtomicBool::new(false),
            space_handle: AtomicUsize::new(0),
            space: SpinLock::new(rank::SPACE, None),
            extension: AtomicPtr::new(core::ptr::null_mut()),
        })
    }

    /// Makes a new task runnable.
    pub fn begin(self: &Arc<Self>) {
        queue::enqueue(Arc::clone(self), true);
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the layer above attached when it was made.
    #[inline]
    pub fn extension(&self) -> Option<&Extension> {
        let pointer = self.extension.load(Ordering::Acquire);
        // SAFETY: set once, freed when the task is dropped.
        unsafe { pointer.as_ref() }.map(|extension| &**extension)
    }

    /// Wakes the task, or makes its next parking return at once.
    pub fn unpark(self: &Arc<Self>) {
        if self.parking.notify() {
            trace::record(Event::Wake, self.id, switch::current_id());
            queue::enqueue(Arc::clone(self), false);
        }
    }

    /// Makes a task that runs a program leave user mode soon, wherever it runs.
    pub fn interrupt(self: &Arc<Self>) {
        self.unpark();
        let vcpu = self.vcpu.load(Ordering::Acquire);
        if vcpu != hal::vcpu_current() && switch::runs_on(self, vcpu) {
            hal::vcpu_kick(vcpu);
        }
    }

    /// The vCPUs that it may run on, a bit each.
    pub fn affinity(&self) -> u64 {
        self.affinity.load(Ordering::Relaxed)
    }

    /// Restricts the vCPUs that it may run on. Takes effect when it is next scheduled.
    pub fn set_affinity(&self, mask: u64) {
        self.affinity.store(mask, Ordering::Relaxed);
    }

    /// The vCPU that it runs on, or last ran on.
    pub fn vcpu(&self) -> usize {
        self.vcpu.load(Ordering::Relaxed)
    }

    /// Nanoseconds that it has run, its present run included.
    pub fn ran(&self) -> u64 {
        self.ran.load(Ordering::Relaxed) + switch::present_run(self)
    }

    /// How often another ran after it: because it slept, and because it had to.
    pub fn switches(&self) -> [u64; 2] {
        [0, 1].map(|kind| self.switches[kind].load(Ordering::Relaxed))
    }

    /// Whether it sleeps.
    pub fn is_parked(&self) -> bool {
        self.parking.is_parked()
    }

    /// Bytes of its stack that were used, as far as the paint tells; 0 for one that was never
    /// painted.
    fn depth(&self) -> usize {
        let (base, length) = self.stack;
        let at = |index: usize| {
            // SAFETY: inside the stack, which lives as long as the task; others may write there.
            unsafe { (base.get() as *const u64).add(index).read_volatile() }
        };
        let words = length / 8;
        let unused = (0..words).take_while(|&index| at(index) == PAINT).count();
        if unused == 0 { 0 } else { (words - unused) * 8 }
    }

    pub(crate) fn take_entry(&self) -> Option<Entry> {
        self.entry.lock().take()
    }

    /// Brings the program's vector registers into memory: another vCPU may run it next.
    #[inline]
    pub(crate) fn save_context(&self) {
        if let Some(context) = &self.context {
            debug_assert!(!self.context_taken.load(Ordering::Relaxed), "registers still borrowed");
            // SAFETY: the running task's own, not borrowed.
            unsafe { (*context.get()).save_vectors() };
        }
    }

    /// Makes the task's address space active. A task without one leaves what is active.
    #[inline]
    pub(crate) fn activate_space(&self) {
        let handle = self.space_handle.load(Ordering::Relaxed);
        if let Some(handle) = NonZeroUsize::new(handle) {
            hal::space_activate(Some(handle));
        }
    }

    /// The addresses of its kernel stack, for backtraces.
    pub fn stack_range(&self) -> core::ops::Range<usize> {
        let base = self.stack.0.get();
        base..base + self.stack.1
    }

    /// The vCPU that it runs on at this moment, if it does.
    pub fn runs_on(&self) -> Option<usize> {
        let vcpu = self.vcpu();
        switch::runs_on(self, vcpu).then_some(vcpu)
    }

    /// Calls `with` with the return addresses on the stack of a task that does not run,
    /// innermost first. If it runs meanwhile they may be wrong, but nothing worse happens.
    pub fn backtrace(&self, mut with: impl FnMut(usize)) {
        let range = self.stack_range();
        let holds = |address: usize| {
            range.contains(&address) && address + 16 <= range.end && address.is_multiple_of(8)
        };
        // SAFETY: reads a word that the switch writes.
        let pointer = unsafe { self.stack_pointer.get().read_volatile() } as usize;
        // The saved frame pointer is the last of the six words that the switch pushed.
        let mut at = pointer + 40;
        if pointer == 0 || !holds(at) {
            return;
        }
        loop {
            // SAFETY: two words of the task's stack, which lives as long as the task.
            let (next, back) = unsafe {
                let words = at as *const usize;
                (words.read_volatile(), words.add(1).read_volatile())
            };
            if back == 0 {
                return;
            }
            with(back);
            if next <= at || !holds(next) {
                return;
            }
            at = next;
        }
    }

    /// The registers of its program when it last came into the kernel; `None`: it runs none.
    /// Those of a task that runs meanwhile may be torn.
    pub fn last_registers(&self) -> Option<Registers> {
        let context = self.context.as_ref()?;
        // SAFETY: plain numbers of a context that lives as long as the task.
        Some(unsafe { (&raw const (*context.get()).registers).read_volatile() })
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.id == 0 {
            return;
        }
        ALL.lock().remove(&self.id);
        if PAINTING.load(Ordering::Relaxed) {
            DEEPEST.fetch_max(self.depth(), Ordering::Relaxed);
        }
        hal::stack_free(self.stack.0);
        let extension = self.extension.swap(core::ptr::null_mut(), Ordering::Acquire);
        if !extension.is_null() {
            // SAFETY: made by `Box::into_raw` when the task was made.
            drop(unsafe { Box::from_raw(extension) });
        }
    }
}
