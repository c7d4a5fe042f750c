//! What the kernel tells the people who run it: messages, system call traces, fatal signals.

use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicU8, Ordering};

use hal::Report;

use crate::dump::Place;
use crate::signal::Info;
use crate::thread::Thread;

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error = 0,
    /// Something is missing or limited.
    Warning = 1,
    /// What a user may want to know.
    Information = 2,
    /// For developers of the kernel.
    Debug = 3,
}

static LEVEL: AtomicU8 = AtomicU8::new(1);

/// Messages up to this level are reported.
pub fn set_level(level: u8) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// Whether messages of this level are reported.
pub fn is_on(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// Reports a message.
pub fn log(level: Level, text: &str) {
    if is_on(level) {
        hal::report(Report::Log, level as u8, text.as_bytes());
    }
}

fn name(thread: &Thread) -> String {
    let name = thread.name();
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..length]).into_owned()
}

/// Reports a signal that ends a process because of a fault; one that somebody sent to end it (SIGQUIT)
/// is no fault.
pub fn fatal_signal(thread: &Thread, signal: u8, info: &Info) {
    use crate::signal::number::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
    if !matches!(signal, SIGABRT | SIGBUS | SIGFPE | SIGILL | SIGSEGV | SIGSYS | SIGTRAP) {
        return;
    }
    let registers = sched::context().registers;
    let address = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|index| info.fields[index]));
    let about = match signal {
        SIGSEGV | SIGBUS => {
            format!(", address {address:#x}")
        }
        _ => String::new(),
    };
    let text = format!(
        "process {} ({}) ends by signal {signal}{about}: instruction {:#x}{}, stack {:#x}",
        thread.process.pid,
        name(thread),
        registers.rip,
        Place {
            memory: &thread.memory(),
            root: &thread.context().places().0,
            address: registers.rip
        },
        registers.rsp,
    );
    log(Level::Warning, &text);
}

/// Reports how deep kernel stacks got, to developers.
pub fn stacks() {
    if is_on(Level::Debug) {
        let (used, length) = sched::deepest_stack();
        log(Level::Debug, &format!("kernel stacks: at most {used} of {length} bytes were used"));
    }
}

/// Reports that there is no memory left for a program.
pub fn out_of_memory(thread: &Thread) {
    let text = format!(
        "out of memory: process {} ({}) is ended; give the guest more with --memory",
        thread.process.pid,
        name(thread),
    );
    log(Level::Error, &text);
}
