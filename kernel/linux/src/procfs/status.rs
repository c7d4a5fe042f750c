//! `/proc/<pid>/stat`, `status` and `comm`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use errno::Errno;

use super::Text;
use super::memory::Sizes;
use super::process::Subject;
use crate::process::{Process, Resource, all_vcpus};
use crate::signal::{self, Handler};
use crate::thread::{Thread, with_current};
use crate::time::ticks;

/// The letter and the word for what a process or thread does.
fn state(process: &Process, thread: Option<&Thread>) -> (char, &'static str) {
    let Some(thread) = thread else { return ('Z', "zombie") };
    let own = with_current(|current| current.tid() == thread.tid()) == Some(true);
    if own {
        return ('R', "running");
    }
    if process.signals.is_stopped() {
        return ('T', "stopped");
    }
    match thread.task() {
        Some(task) if !task.is_parked() => ('R', "running"),
        _ => ('S', "sleeping"),
    }
}

fn trimmed(name: [u8; 16]) -> Vec<u8> {
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    name[..length].to_vec()
}

/// The name without its padding.
fn name_of(process: &Process, thread: Option<&Thread>) -> Vec<u8> {
    match thread {
        Some(thread) => trimmed(thread.name()),
        None => trimmed(process.last_name()),
    }
}

/// Signals that are ignored, and those with a handler.
fn handled(process: &Process) -> (u64, u64) {
    let (mut ignored, mut caught) = (0, 0);
    for number in 1..=signal::number::LAST {
        match process.signals.action(number).handler {
            Handler::Default => {}
            Handler::Ignore => ignored |= signal::set_of(number),
            Handler::Function(_) => caught |= signal::set_of(number),
        }
    }
    (ignored, caught)
}

/// A thread that is gone tells nothing; a process does, as a zombie.
fn parts(
    subject: &Subject,
) -> Result<(alloc::sync::Arc<Process>, Option<alloc::sync::Arc<Thread>>), Errno> {
    let process = subject.process()?;
    let thread = subject.thread();
    if thread.is_none() && !process.is_zombie() {
        return Err(Errno::ESRCH);
    }
    Ok((process, thread))
}

/// `/proc/<pid>/stat` (`proc_pid_stat(5)`).
pub fn numbers(subject: &Subject) -> Text {
    let (process, thread) = parts(subject)?;
    let thread = thread.as_deref();
    let (letter, _) = state(&process, thread);
    let memory = thread.map(Thread::memory);
    let sizes = memory.as_ref().map(|memory| Sizes::of(memory)).unwrap_or_default();
    let layout = memory.as_ref().map(|memory| memory.layout()).unwrap_or_default();
    let (ignored, caught) = handled(&process);
    let pending = thread.map_or(0, |thread| thread.signals.pending_set());
    let blocked = thread.map_or(0, |thread| thread.signals.mask());
    let time = match thread.filter(|_| subject.is_thread()).and_then(Thread::task) {
        Some(task) => task.ran(),
        None => process.cpu_time(),
    };
    let children = process.usage.lock()[1].time;
    let parent = process.parent().map_or(0, |parent| parent.pid);
    let name = name_of(&process, thread);
    let mut text = format!("{} (", subject.tid()).into_bytes();
    text.extend_from_slice(&name);
    let vcpu = thread.and_then(Thread::task).map_or(0, |task| task.vcpu());
    let numbers: [i64; 49] = [
        i64::from(parent),
        i64::from(process.group()),
        i64::from(process.session()),
        0,
        -1,
        0,
        0,
        0,
        0,
        0,
        ticks(time),
        0,
        ticks(children),
        0,
        20,
        0,
        process.thread_count() as i64,
        0,
        ticks(process.started),
        sizes.total as i64,
        (sizes.resident / hal::PAGE_SIZE) as i64,
        process.limits.both(5).soft as i64,
        layout.text.0 as i64,
        layout.text.1 as i64,
        layout.stack_start as i64,
        0,
        0,
        (pending & 0x7fff_ffff) as i64,
        (blocked & 0x7fff_ffff) as i64,
        (ignored & 0x7fff_ffff) as i64,
        (caught & 0x7fff_ffff) as i64,
        0,
        0,
        0,
        i64::from(process.exit_signal.load(Ordering::Relaxed)),
        vcpu as i64,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        layout.heap_start as i64,
        layout.arguments.0 as i64,
        layout.arguments.1 as i64,
        layout.environment.0 as i64,
        layout.environment.1 as i64,
        0,
    ];
    text.extend(format!(") {letter}").bytes());
    for number in numbers {
        // Limits and addresses are unsigned.
        let shown = if number < -1 { format!(" {}", number as u64) } else { format!(" {number}") };
        text.extend(shown.bytes());
    }
    text.push(b'\n');
    Ok(text)
}

/// A set of CPUs as ranges.
pub fn cpu_list(mask: u64) -> String {
    let mut text = String::new();
    let mut next = 0;
    while next < 64 {
        if mask >> next & 1 == 0 {
            next += 1;
            continue;
        }
        let length = (mask >> next).trailing_ones();
        let comma = if text.is_empty() { "" } else { "," };
        text += &match length {
            1 => format!("{comma}{next}"),
            _ => format!("{comma}{next}-{}", next + length - 1),
        };
        next += length;
    }
    text
}

/// `/proc/<pid>/status` (`proc_pid_status(5)`).
pub fn status(subject: &Subject) -> Text {
    let (process, thread) = parts(subject)?;
    let thread = thread.as_deref();
    let (letter, word) = state(&process, thread);
    let name = String::from_utf8_lossy(&name_of(&process, thread)).into_owned();
    let mut text = format!("Name:\t{name}\n");
    if let Some(thread) = thread {
        text += &format!("Umask:\t{:04o}\n", thread.context().umask());
    }
    let identity = thread.filter(|_| subject.is_thread()).map(Thread::identity);
    let identity = identity.unwrap_or_else(|| process.identity());
    let credentials = &identity.checks;
    text += &format!("State:\t{letter} ({word})\nTgid:\t{}\nNgid:\t0\n", process.pid);
    let parent = process.parent().map_or(0, |parent| parent.pid);
    text += &format!("Pid:\t{}\nPPid:\t{parent}\nTracerPid:\t0\n", subject.tid());
    let (real, effective, saved) = (identity.uid, identity.effective_uid, identity.saved_uid);
    text += &format!("Uid:\t{real}\t{effective}\t{saved}\t{}\n", credentials.uid);
    let (real, effective, saved) = (identity.gid, identity.effective_gid, identity.saved_gid);
    text += &format!("Gid:\t{real}\t{effective}\t{saved}\t{}\n", credentials.gid);
    let size = thread.map_or(0, |thread| thread.files().size().next_multiple_of(64).max(64));
    text += &format!("FDSize:\t{size}\nGroups:\t");
    credentials.groups.iter().for_each(|group| text += &format!("{group} "));
    text.push('\n');
    if let Some(thread) = thread {
        text += &memory_lines(&Sizes::of(&thread.memory()));
    }
    text += &format!("Threads:\t{}\n", process.thread_count().max(1));
    text += &signal_lines(&process, thread);
    let sets = [
        ("Inh", identity.inheritable),
        ("Prm", identity.permitted),
        ("Eff", credentials.capabilities),
        ("Bnd", identity.bounding),
        ("Amb", identity.ambient),
    ];
    sets.iter().for_each(|(name, set)| text += &format!("Cap{name}:\t{set:016x}\n"));
    let no_new = u32::from(process.no_new_privileges.load(Ordering::Relaxed));
    text += &format!("NoNewPrivs:\t{no_new}\nSeccomp:\t0\nSeccomp_filters:\t0\n");
    let affinity = thread.and_then(Thread::task).map_or(all_vcpus(), |task| task.affinity());
    let affinity = affinity & all_vcpus();
    text += &format!("Cpus_allowed:\t{affinity:x}\nCpus_allowed_list:\t{}\n", cpu_list(affinity));
    text += "Mems_allowed:\t1\nMems_allowed_list:\t0\n";
    let switches = thread.and_then(Thread::task).map_or([0; 2], |task| task.switches());
    text += &format!("voluntary_ctxt_switches:\t{}\n", switches[0]);
    text += &format!("nonvoluntary_ctxt_switches:\t{}\n", switches[1]);
    Ok(text.into_bytes())
}

fn memory_lines(sizes: &Sizes) -> String {
    let mut text = String::new();
    let mut row = |name: &str, bytes: u64| text += &format!("{name}\t{:>8} kB\n", bytes / 1024);
    let files = sizes.files.min(sizes.resident);
    row("VmPeak:", sizes.total);
    row("VmSize:", sizes.total);
    row("VmLck:", sizes.locked);
    row("VmPin:", 0);
    row("VmHWM:", sizes.resident);
    row("VmRSS:", sizes.resident);
    row("RssAnon:", sizes.resident - files);
    row("RssFile:", files);
    row("RssShmem:", 0);
    row("VmData:", sizes.data);
    row("VmStk:", crate::memory::STACK_LEN);
    row("VmExe:", sizes.code);
    row("VmLib:", 0);
    row("VmSwap:", 0);
    text
}

fn signal_lines(process: &Process, thread: Option<&Thread>) -> String {
    let own = thread.map_or(0, |thread| thread.signals.pending_set());
    let shared = process.signals.pending_set();
    let blocked = thread.map_or(0, |thread| thread.signals.mask());
    let (ignored, caught) = handled(process);
    let queued = own.count_ones() + shared.count_ones();
    let limit = process.limits.soft(Resource::PendingSignals);
    format!(
        "SigQ:\t{queued}/{limit}\nSigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\n\
         SigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n"
    )
}

/// `/proc/<pid>/comm`.
pub fn name(subject: &Subject) -> Text {
    let (process, thread) = parts(subject)?;
    let mut name = name_of(&process, thread.as_deref());
    name.push(b'\n');
    Ok(name)
}

/// Names a thread of the writer's own process.
pub fn set_name(subject: &Subject, bytes: &[u8]) -> Result<(), Errno> {
    let process = subject.process()?;
    if with_current(|thread| thread.process.pid) != Some(process.pid) {
        return Err(Errno::EINVAL);
    }
    subject.living()?.set_name(bytes);
    Ok(())
}

/// `/proc/<pid>/personality`.
pub fn personality(subject: &Subject) -> Text {
    let personality = subject.process()?.personality.load(Ordering::Relaxed);
    Ok(format!("{personality:08x}\n").into_bytes())
}
