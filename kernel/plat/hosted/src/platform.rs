//! The platform interface, bound.

use core::fmt::Write;
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arch::cpu;
use hal::{
    Access, Backing, Cause, Exception, MapError, PAGE_SIZE, Platform, Protection, Range, Report,
    UserContext, UserExit, UserFault,
};
use mm::frames;

use crate::gateway::{self, exit, host_call};
use crate::signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, unit};
use crate::slot::{self, Slot};
use crate::space::{self, Space};
use crate::vcpu::{self, Vcpu, way};
use crate::{clock, events, host, stop, user, window};

pub struct Hosted;
hal::platform!(crate::platform::Hosted);

/// Frames of a kernel stack; code without optimisation needs more.
const STACK_FRAMES: usize = if cfg!(debug_assertions) { 8 } else { 4 };

static REPORT: AtomicU32 = AtomicU32::new(u32::MAX);

/// Whether output is written to its descriptors, instead of being sent as frames.
static DIRECT: AtomicBool = AtomicBool::new(true);

/// Output is sent as frames from now on, so that it stays in order with reports.
pub fn send_output() {
    DIRECT.store(false, Ordering::Relaxed);
}

/// Reports go to this descriptor from now on.
pub fn report_to(descriptor: u32) {
    REPORT.store(descriptor, Ordering::Relaxed);
}

/// The descriptor of the report channel.
pub fn report_descriptor() -> u32 {
    REPORT.load(Ordering::Relaxed)
}

/// A short text without allocation.
pub struct Text {
    bytes: [u8; 512],
    len: usize,
}

impl Text {
    pub const fn new() -> Self {
        Self { bytes: [0; 512], len: 0 }
    }

    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for &byte in text.as_bytes() {
            *self.bytes.get_mut(self.len).ok_or(core::fmt::Error)? = byte;
            self.len += 1;
        }
        Ok(())
    }
}

/// Sends one frame to the host; what is too long is cut.
pub fn send(kind: Report, flags: u8, payload: &[u8]) {
    let payload = &payload[..payload.len().min(abi_report::MAX_PAYLOAD)];
    let head = abi_report::head(kind, flags, payload.len());
    let descriptor = report_descriptor();
    // The channel keeps messages whole: one call per frame.
    for rounds in 0..100_000 {
        match host::writev(descriptor, [&head, payload]) {
            Err(host::HostError(host::EINTR | host::EAGAIN)) => relax(rounds),
            _ => return,
        }
    }
}

/// The kernel cannot go on: says why and ends the instance.
pub fn die(why: &str) -> ! {
    Hosted::report(Report::Panic, 0, why.as_bytes());
    Hosted::exit(125)
}

/// Reports the return addresses on the stack, from this instruction and frame pointer on.
pub fn backtrace(instruction: u64, frame: u64) {
    let base = window::range().start;
    let mut addresses = [0u8; 8 * 32];
    let mut count = 0;
    let (mut address, mut frame) = (instruction, frame);
    let range = window::range();
    while count < 32 {
        addresses[count * 8..][..8].copy_from_slice(&address.wrapping_sub(base).to_le_bytes());
        count += 1;
        if !(range.start..range.end - 16).contains(&frame) || !frame.is_multiple_of(8) {
            break;
        }
        // SAFETY: an aligned address inside the window; memory there can be read, or is past the
        // allocated part of a sparse file and reads as zero.
        let (next, back) = unsafe { (*(frame as *const u64), *((frame + 8) as *const u64)) };
        if next <= frame || back == 0 {
            break;
        }
        (frame, address) = (next, back);
    }
    Hosted::report(Report::Backtrace, abi_report::FIRST_IS_EXACT, &addresses[..count * 8]);
}

/// See [`hal::vcpu_relax`].
pub fn relax(rounds: u32) {
    if rounds < 100 {
        cpu::pause();
    } else {
        // SAFETY: has no effect but time.
        unsafe { host_call(host::SCHED_YIELD, 0, 0, 0, 0, 0, 0) };
    }
}

fn write_all(descriptor: u32, bytes: &[u8]) {
    let vcpu = Vcpu::this();
    vcpu.is_blocked.store(true, Ordering::Relaxed);
    write_or_fail(descriptor, bytes);
    vcpu.is_blocked.store(false, Ordering::Relaxed);
}

fn write_or_fail(descriptor: u32, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match host::writev(descriptor, [bytes]) {
            Ok(written) => bytes = &bytes[written..],
            Err(host::HostError(host::EINTR)) => {}
            Err(host::HostError(host::EAGAIN)) => relax(u32::MAX),
            Err(_) => return,
        }
    }
}

/// What a signal means to the program.
fn signal_exit(vcpu: &Vcpu) -> UserExit {
    // SAFETY: this thread holds the token.
    let signal = unsafe { *vcpu.signal.get() };
    match signal.number {
        SIGSYS if signal.code as u32 == 0x4000_0003 => UserExit::Syscall32,
        SIGSYS => UserExit::Syscall,
        // A general protection fault comes without an address.
        SIGSEGV if signal.trap == 13 => UserExit::Exception(Exception::Protection),
        SIGSEGV | SIGBUS if signal.trap == 14 => UserExit::Fault {
            address: signal.address,
            access: if signal.error & 16 != 0 {
                Access::Execute
            } else if signal.error & 2 != 0 {
                Access::Write
            } else {
                Access::Read
            },
            cause: match (signal.number, signal.code) {
                (SIGBUS, _) => Cause::NoMemory,
                (_, 2) => Cause::Protection,
                _ => Cause::Unmapped,
            },
        },
        SIGILL | SIGTRAP | SIGFPE | SIGBUS | SIGSEGV => UserExit::Exception(match signal.trap {
            0 => Exception::Divide,
            1 => Exception::Debug,
            3 => Exception::Breakpoint,
            4 => Exception::Overflow,
            5 => Exception::Bound,
            6 => Exception::InvalidOpcode,
            13 => Exception::Protection,
            16 => Exception::FloatingPoint,
            17 => Exception::Alignment,
            19 => Exception::SimdFloatingPoint,
            other => Exception::Other(other as u8),
        }),
        _ => UserExit::Interrupted,
    }
}

/// The start of a vCPU's first thread: waits to be given a kernel stack is not its lot, it
/// takes its token and a stack of its own.
extern "C" fn vcpu_thread(slot: usize) -> ! {
    // SAFETY: the creator gives a slot.
    let slot = unsafe { &*(slot as *const Slot) };
    slot.adopt_signals();
    Vcpu::of(slot.start_vcpu.load(Ordering::Relaxed)).take(slot);
    let Some((base, length)) = Hosted::stack_allocate() else { die("no memory for a vCPU") };
    let mut unused = core::ptr::null_mut();
    // SAFETY: the stack is new; the park stack is abandoned.
    unsafe {
        let top = (base.get() + length) as *mut u8;
        let stack = arch::prepare_stack(top, vcpu_entry, VCPU_ENTRY.load(Ordering::Relaxed));
        arch::switch_stacks(&raw mut unused, stack, 0);
    }
    die("a vCPU's first stack was resumed")
}

static VCPU_ENTRY: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);

extern "C" fn vcpu_entry(_carry: usize, entry: usize) -> ! {
    // SAFETY: `vcpu_start` stored a function of this type.
    let entry: fn() -> ! = unsafe { core::mem::transmute(entry) };
    entry()
}

impl Platform for Hosted {
    fn exit(code: i32) -> ! {
        Self::report(Report::Exit, 0, &code.to_le_bytes());
        host::exit_group(code)
    }

    fn report(kind: Report, flags: u8, payload: &[u8]) {
        match kind {
            Report::Stdout if DIRECT.load(Ordering::Relaxed) => write_all(1, payload),
            Report::Stderr if DIRECT.load(Ordering::Relaxed) => write_all(2, payload),
            _ => send(kind, flags, payload),
        }
    }

    fn control_read(buffer: &mut [u8]) -> usize {
        events::control_read(buffer)
    }

    fn monotonic() -> u64 {
        clock::monotonic()
    }

    fn realtime() -> u64 {
        clock::realtime()
    }

    fn entropy(buffer: &mut [u8]) -> bool {
        for chunk in buffer.chunks_mut(8) {
            let Some(random) = cpu::random() else { return false };
            chunk.copy_from_slice(&random.to_le_bytes()[..chunk.len()]);
        }
        true
    }

    fn image_base() -> usize {
        window::range().start as usize
    }

    fn vcpu_count() -> usize {
        vcpu::count()
    }

    fn vcpu_current() -> usize {
        let index: u32;
        // SAFETY: GS points to the vCPU, whose second field this is.
        unsafe {
            core::arch::asm!("mov {:e}, gs:[8]", out(reg) index, options(nostack, preserves_flags, readonly));
        }
        index as usize
    }

    fn vcpu_start(entry: fn() -> !) {
        VCPU_ENTRY.store(entry as usize, Ordering::Relaxed);
        let process = Vcpu::this().slot().process();
        for index in 1..vcpu::count() {
            let Some(slot) = Slot::allocate(&space::KERNEL) else { die("no memory for a vCPU") };
            slot.start_vcpu.store(index, Ordering::Relaxed);
            // SAFETY: the flags are those of a thread.
            match unsafe { slot::create(slot, space::THREAD_FLAGS, vcpu_thread) } {
                Ok(thread) => slot.set_ids(process, thread),
                Err(_) => die("the host refuses a thread for a vCPU"),
            }
        }
    }

    fn vcpu_wait(deadline: u64) {
        space::leave_unwelcome();
        Vcpu::this().wait(deadline);
        space::leave_unwelcome();
    }

    fn vcpu_kick(index: usize) {
        Vcpu::of(index).kick();
    }

    fn vcpu_timer(deadline: u64) {
        vcpu::set_timer(deadline);
    }

    fn vcpu_relax(rounds: u32) {
        relax(rounds);
    }

    fn device_events() -> u64 {
        Vcpu::this().device_events.load(Ordering::Acquire)
    }

    fn physical_window() -> *mut u8 {
        window::physical()
    }

    fn stack_allocate() -> Option<(NonZeroUsize, usize)> {
        let base = frames::allocate_run(STACK_FRAMES)?.pointer() as usize;
        Some((NonZeroUsize::new(base)?, STACK_FRAMES * PAGE_SIZE as usize))
    }

    fn stack_free(base: NonZeroUsize) {
        let address = base.get() as u64 - window::physical() as u64;
        frames::release_run(hal::PhysAddr(address), STACK_FRAMES);
    }

    fn space_create() -> Result<NonZeroUsize, MapError> {
        space::create()
    }

    fn space_fork() -> Result<NonZeroUsize, MapError> {
        space::fork()
    }

    fn space_destroy(handle: NonZeroUsize) {
        space::destroy(handle);
    }

    fn space_activate(handle: Option<NonZeroUsize>) {
        space::activate(handle);
    }

    fn space_map(range: Range, backing: Backing, protection: Protection) -> Result<(), MapError> {
        space::map(range, backing, protection)
    }

    fn space_unmap(range: Range) -> Result<(), MapError> {
        space::unmap(range)
    }

    fn space_protect(range: Range, protection: Protection) -> Result<(), MapError> {
        space::protect(range, protection)
    }

    fn space_move(from: Range, to: Range) -> Result<(), MapError> {
        space::move_range(from, to)
    }

    fn space_discard(range: Range) -> Result<(), MapError> {
        space::discard(range)
    }

    fn space_resident() -> Option<u64> {
        None
    }

    fn space_kept(range: Range) -> Option<Range> {
        space::kept(range)
    }

    fn user_read(to: *mut u8, from: u64, length: usize) -> Result<(), UserFault> {
        user::read(to, from, length)
    }

    fn user_write(to: u64, from: *const u8, length: usize) -> Result<(), UserFault> {
        user::write(to, from, length)
    }

    fn user_compare_exchange(address: u64, expected: u32, new: u32) -> Result<u32, UserFault> {
        user::compare_exchange(address, expected, new)
    }

    fn user_clock() -> hal::ClockData {
        let vcpu_at = core::mem::offset_of!(Vcpu, index) as u32;
        hal::ClockData { source: clock::user_source(), vcpu_at: Some(vcpu_at) }
    }

    fn calls_served() -> Option<[u64; 2]> {
        Some(vcpu::calls_served())
    }

    fn programs_have_gs() -> bool {
        false
    }

    fn barrier_all() {
        // SAFETY: a barrier on all CPUs; it changes nothing.
        unsafe { host_call(host::MEMBARRIER, host::MEMBARRIER_GLOBAL, 0, 0, 0, 0, 0) };
    }

    fn context_run(context: &mut UserContext) -> UserExit {
        let vcpu = Vcpu::this();
        let slot = vcpu.slot();
        Space::current().serve_wish();
        let identity = (&raw const *context) as usize;
        if context.place.holder != slot.generation()
            || slot.context.load(Ordering::Relaxed) != identity
        {
            slot.context.store(identity, Ordering::Relaxed);
            context.place.holder = slot.generation();
            unit().restore(context.vector_memory());
            vcpu.set_resume(context.platform);
        }
        context.place.live = true;
        slot.load_fs_base(context.registers.fs_base);
        vcpu.registers.store(&raw mut context.registers, Ordering::Relaxed);
        loop {
            vcpu.note_leaving();
            // SAFETY: the registers are the program's; the vCPU points to them; what the program
            // can do with them is what the seal allows.
            match unsafe { gateway::run_program() } {
                exit::SYSCALL => {
                    vcpu.count_call(way::DIRECT);
                    return UserExit::Syscall;
                }
                exit::SIGNAL => {
                    let exit = signal_exit(vcpu);
                    if exit == UserExit::Syscall {
                        vcpu.count_call(way::TRAPPED);
                        let registers = &context.registers;
                        let mut texts = Space::current().texts.lock();
                        texts.trapped(registers.rip, registers.rax);
                    }
                    return exit;
                }
                exit::RESUME => {}
                _ => {
                    let was_kicked = vcpu.kicked.swap(0, Ordering::SeqCst) != 0;
                    if was_kicked || !stop::heed(vcpu) {
                        return UserExit::Interrupted;
                    }
                }
            }
        }
    }

    fn context_save(context: &mut UserContext) {
        unit().save(context.vector_memory());
        let vcpu = Vcpu::this();
        context.registers.fs_base = vcpu.slot().changed_fs_base(context.registers.fs_base);
        context.platform = vcpu.resume();
        context.place.live = false;
    }
}
