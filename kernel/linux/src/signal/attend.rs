//! What a thread does about signals before its program runs on.

use core::sync::atomic::Ordering;

use hal::{Access, Cause, Exception};

use super::action::{Default, Handler, SA_NODEFER, SA_RESETHAND, SA_RESTART, default_action};
use super::number::{SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGTRAP};
use super::{Action, Info, Set, frame, set_of};
use crate::memory::{self, Fault};
use crate::process::{Status, end_group};
use crate::signal::number::SIGCONT;
use crate::syscall::Interrupted;
use crate::thread::Thread;

/// Signals that are pending for a thread and that it does not block.
fn deliverable(thread: &Thread) -> Set {
    let pending = thread.signals.pending_set() | thread.process.signals.pending_set();
    pending & !thread.signals.mask()
}

/// Whether a sleep of the thread has to end. Signals that will turn out to be ignored do not
/// count.
pub fn is_deliverable(thread: &Thread) -> bool {
    let mut set = deliverable(thread);
    while set != 0 {
        let signal = set.trailing_zeros() as u8 + 1;
        set &= set - 1;
        if !thread.process.signals.action(signal).ignores(signal) {
            return true;
        }
    }
    thread.process.signals.is_stopped()
}

fn take(thread: &Thread) -> Option<(u8, Info)> {
    let wanted = !thread.signals.mask();
    let own = thread.signals.pending.lock().take(wanted);
    let taken = own.or_else(|| thread.process.signals.pending.lock().take(wanted));
    if let Some((_, info)) = &taken {
        thread.process.timers.told(info);
    }
    taken
}

/// Ends the thread if it is to end, stops it if it is to stop, and prepares handlers of pending
/// signals to run.
pub fn attend(thread: &Thread) {
    loop {
        thread.attention.store(false, Ordering::SeqCst);
        if thread.dying.load(Ordering::SeqCst) {
            let status = Status::Killed { signal: SIGKILL, core: false };
            crate::process::end_thread(thread, status);
        }
        if thread.process.signals.is_stopped() {
            wait_to_continue(thread);
            continue;
        }
        let Some((signal, info)) = take(thread) else { break };
        let action = thread.process.signals.action(signal);
        match action.handler {
            Handler::Ignore => {}
            Handler::Function(_) => {
                call_handler(thread, signal, info, action);
                // Further signals may interrupt the handler at its first instruction.
            }
            Handler::Default => match default_action(signal) {
                Default::Ignore | Default::Continue => {}
                Default::Stop => stop(thread, signal),
                Default::Terminate => end_group(thread, Status::Killed { signal, core: false }),
                Default::Core => {
                    crate::report::fatal_signal(thread, signal, &info);
                    end_group(thread, Status::Killed { signal, core: true })
                }
            },
        }
    }
    // No handler runs: the call starts again, and a mask set for a wait is put back.
    restart(thread, None);
    let saved = thread.signals.saved_mask.lock().take();
    if let Some(mask) = saved {
        thread.signals.set_mask(mask);
        thread.attention.store(true, Ordering::SeqCst);
    }
}

fn wait_to_continue(thread: &Thread) {
    thread.process.signals.continued.wait(|| {
        let go_on = !thread.process.signals.is_stopped() || thread.dying.load(Ordering::SeqCst);
        go_on.then_some(())
    });
}

fn stop(thread: &Thread, signal: u8) {
    let process = &thread.process;
    process.signals.stopped.store(true, Ordering::SeqCst);
    *process.status.lock() = Some(Status::Stopped(signal));
    for other in process.threads() {
        if other.tid() != thread.tid() {
            other.call_attention();
        }
    }
    if let Some(parent) = process.parent() {
        let action = parent.signals.action(super::number::SIGCHLD);
        if action.flags & super::action::SA_NOCLDSTOP == 0 {
            super::send_to_process(&parent, super::number::SIGCHLD, Info::child(process));
        }
        parent.children_changed.wake_all();
    }
    let _ = SIGCONT;
}

/// Makes the interrupted system call, if there is one, start again or fail.
fn restart(thread: &Thread, action: Option<Action>) {
    let Some(call) = Interrupted::take(thread) else { return };
    let again = match action {
        None => true,
        Some(action) => call.restarts_after_handler && action.flags & SA_RESTART != 0,
    };
    if again {
        let mut context = sched::context();
        context.registers.rax = call.number;
        // Both `syscall` and `int 0x80` are two bytes long.
        context.registers.rip -= 2;
    }
}

fn call_handler(thread: &Thread, signal: u8, info: Info, action: Action) {
    restart(thread, Some(action));
    let old_mask = thread.signals.saved_mask.lock().take().unwrap_or_else(|| thread.signals.mask());
    if frame::push(thread, signal, &info, &action, old_mask).is_err() {
        // There is no stack for the handler.
        crate::report::fatal_signal(thread, SIGSEGV, &info);
        end_group(thread, Status::Killed { signal: SIGSEGV, core: true });
    }
    let own = if action.flags & SA_NODEFER == 0 { set_of(signal) } else { 0 };
    thread.signals.set_mask(thread.signals.mask() | action.mask | own);
    if action.flags & SA_RESETHAND != 0 {
        thread.process.signals.set_action(signal, Action::default());
    }
}

/// Sends a signal that the thread's own instruction caused. It cannot be put off: blocked or
/// ignored, it ends the process.
fn force(thread: &Thread, signal: u8, info: Info, fault: [u64; 3]) {
    *thread.signals.fault.lock() = fault;
    let action = thread.process.signals.action(signal);
    let blocked = thread.signals.mask() & set_of(signal) != 0;
    if blocked || action.handler == Handler::Ignore {
        thread.process.signals.set_action(signal, Action::default());
        thread.signals.set_mask(thread.signals.mask() & !set_of(signal));
    }
    thread.signals.pending.lock().add(signal, info);
    thread.attention.store(true, Ordering::SeqCst);
}

/// A fault of the program that the platform could not resolve.
pub fn from_fault(thread: &Thread, address: u64, access: Access, cause: Cause) {
    const SEGV_MAPERR: i32 = 1;
    const SEGV_ACCERR: i32 = 2;
    const BUS_ADRERR: i32 = 2;
    // Not held any longer: what ends the process does not come back.
    let found = memory::resolve(&thread.memory(), address, access, cause);
    let (signal, code) = match found {
        Fault::Resolved => return,
        Fault::Unmapped => (SIGSEGV, SEGV_MAPERR),
        Fault::Protection => (SIGSEGV, SEGV_ACCERR),
        Fault::BehindFile => (SIGBUS, BUS_ADRERR),
        Fault::NoMemory => {
            crate::report::out_of_memory(thread);
            end_group(thread, Status::Killed { signal: SIGKILL, core: false })
        }
    };
    let error = 4
        | u64::from(cause == Cause::Protection)
        | if access == Access::Write { 2 } else { 0 }
        | if access == Access::Execute { 16 } else { 0 };
    force(thread, signal, Info::address(code, address), [14, error, address]);
}

/// An exception that the program's instruction raised.
pub fn from_exception(thread: &Thread, exception: Exception) {
    let address = sched::context().registers.rip;
    let (signal, code, trap) = match exception {
        Exception::Divide => (SIGFPE, 1, 0),
        Exception::Debug => (SIGTRAP, 2, 1),
        Exception::Breakpoint => (SIGTRAP, super::info::SI_KERNEL, 3),
        Exception::Overflow => (SIGSEGV, super::info::SI_KERNEL, 4),
        Exception::Bound => (SIGSEGV, super::info::SI_KERNEL, 5),
        Exception::InvalidOpcode => (SIGILL, 2, 6),
        Exception::FloatingPoint => (SIGFPE, 3, 16),
        Exception::SimdFloatingPoint => (SIGFPE, 3, 19),
        Exception::Alignment => (SIGBUS, 1, 17),
        Exception::Protection => (SIGSEGV, super::info::SI_KERNEL, 13),
        Exception::Other(vector) => (SIGSEGV, super::info::SI_KERNEL, u64::from(vector)),
    };
    let info = match signal {
        SIGSEGV => Info::address(code, 0),
        SIGTRAP if code == super::info::SI_KERNEL => Info::code(code),
        _ => Info::address(code, address),
    };
    force(thread, signal, info, [trap, 0, 0]);
}
