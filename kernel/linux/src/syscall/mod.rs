//! System calls: from the registers to a handler and back.
//!
//! Every call is entered once, in [`abi_linux`], with its state and the kinds of its arguments;
//! the dispatch [`table`], documentation and traces come from there.

mod table;
mod trace_text;

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use errno::Errno;
use trace::Event;

use crate::error::{Fail, Result};
use crate::report::{self, Level};
use crate::signal::{self, number::SIGSYS};
use crate::thread::Thread;

use abi_linux::State;
use table::HANDLERS;

/// Serves a call.
pub type Handler = fn(&Thread, [u64; 6]) -> Result;

static TRACED: AtomicBool = AtomicBool::new(false);

/// Traces every call on the report channel.
pub fn trace_all() {
    TRACED.store(true, Ordering::Relaxed);
}

/// Calls that were asked for and are absent, a bit each: each is reported once.
static REPORTED: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

/// The system call that a signal interrupted, until it is known whether it starts again.
pub struct Interrupted {
    /// Its number.
    pub number: u64,
    /// Whether it starts again after a handler that allows it.
    pub restarts_after_handler: bool,
}

const RSEQ: u64 = 334;
/// Stands for all calls by `int 0x80`.
const INT_80: u64 = 1023;

const INTERRUPTED: u64 = 1 << 63;
const RESTARTS: u64 = 1 << 62;

impl Interrupted {
    /// Takes note of the call that was interrupted, if there is one.
    pub fn take(thread: &Thread) -> Option<Self> {
        let value = thread.signals.interrupted_call.swap(0, Ordering::Relaxed);
        (value & INTERRUPTED != 0).then_some(Self {
            number: value & !(INTERRUPTED | RESTARTS),
            restarts_after_handler: value & RESTARTS != 0,
        })
    }
}

/// Serves the system call that the thread's program asked for.
pub fn dispatch(thread: &Thread) {
    let context = sched::context();
    let number = context.registers.syscall_number();
    let arguments = context.registers.syscall_arguments();
    drop(context);
    trace::record_often(Event::SyscallEnter, u64::from(thread.tid()), number);
    let handler = usize::try_from(number).ok().and_then(|index| *HANDLERS.get(index)?);
    let traced = TRACED.load(Ordering::Relaxed);
    let started = if traced { hal::monotonic() } else { 0 };
    let call = if traced { abi_linux::find(number) } else { None };
    let entered = call.map(|call| (call, trace_text::enter(thread, call, arguments)));
    let result = match handler {
        Some(handler) => {
            if report::is_on(Level::Debug) {
                tell_partial(number);
            }
            handler(thread, arguments)
        }
        None => absent(thread, number),
    };
    let value = match result {
        Ok(value) => value,
        Err(Fail::Errno(errno)) => -i64::from(errno as u16) as u64,
        Err(fail) => {
            let restarts = if fail == Fail::Restart { RESTARTS } else { 0 };
            thread
                .signals
                .interrupted_call
                .store(INTERRUPTED | restarts | number, Ordering::Relaxed);
            thread.attention.store(true, Ordering::SeqCst);
            -i64::from(Errno::EINTR as u16) as u64
        }
    };
    sched::context().registers.set_syscall_result(value);
    // A call that waited left events on the way.
    trace::record_next(Event::SyscallExit, u64::from(thread.tid()), value);
    if traced {
        let time = hal::monotonic() - started;
        trace_text::leave(thread, number, arguments, entered, result, time);
    }
}

/// Reports how many calls were served, and how, to who asked for traces or details.
pub fn report_counts() {
    let Some([trapped, direct]) = hal::calls_served() else { return };
    let all = (trapped + direct).max(1);
    let share = direct * 10_000 / all;
    let text = alloc::format!(
        "{all} system calls, {direct} of them without a trap ({}.{:02} %)",
        share / 100,
        share % 100
    );
    if TRACED.load(Ordering::Relaxed) {
        hal::report(hal::Report::Strace, 0, text.as_bytes());
    } else {
        report::log(Level::Debug, &text);
    }
}

/// Says once what is missing of a call that a program uses.
fn tell_partial(number: u64) {
    let Some(call) = abi_linux::find(number) else { return };
    let State::Partial(why) = call.state else { return };
    let index = number as usize % 1024;
    let bit = 1u64 << (index % 64);
    if REPORTED[index / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
        report::log(Level::Debug, &alloc::format!("system call {} is partial: {why}", call.name));
    }
}

/// A call that does not exist here: the program is told so, and people once.
fn absent(_thread: &Thread, number: u64) -> Result {
    let index = number as usize % 1024;
    let bit = 1u64 << (index % 64);
    if REPORTED[index / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
        let name = match number {
            INT_80 => "a 32-bit call",
            _ => abi_linux::name_of(number).unwrap_or("unknown"),
        };
        let text =
            alloc::format!("system call {number} ({name}) is not there: it fails with ENOSYS");
        // Restartable sequences are refused on purpose: no C library minds.
        let level = if number == RSEQ { Level::Debug } else { Level::Warning };
        report::log(level, &text);
    }
    Err(Fail::Errno(Errno::ENOSYS))
}

/// A program used `int 0x80`: the 32-bit calls are not there.
pub fn refuse_32_bit(thread: &Thread) {
    let _ = (SIGSYS, signal::default_action(SIGSYS));
    absent(thread, INT_80).ok();
    sched::context().registers.set_syscall_result(-i64::from(Errno::ENOSYS as u16) as u64);
}
