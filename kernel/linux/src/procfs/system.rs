//! Files of `/proc` about the system.

use alloc::format;
use alloc::string::String;

use super::{Files, Text, line, processor};
use crate::abi::SECOND;
use crate::process::{last_pid, tree};
use crate::system;
use crate::thread::Thread;
use crate::time::ticks;

/// All of them.
pub const FILES: Files = &[
    ("cmdline", || line(String::new())),
    ("cpuinfo", processor::cpu_information),
    ("filesystems", || Ok(b"nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\n".to_vec())),
    ("loadavg", load),
    ("meminfo", memory),
    ("stat", statistics),
    ("swaps", || Ok(b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_vec())),
    ("uptime", uptime),
    ("version", version),
    ("vmstat", memory_statistics),
];

fn memory() -> Text {
    let total = mm::frames::total() as u64 * 4;
    let free = mm::frames::free() as u64 * 4;
    let used = total - free.min(total);
    let rows = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", used),
        ("Inactive", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", used),
        ("Mapped", 0),
        ("Shmem", 0),
        ("CommitLimit", total),
        ("Committed_AS", used),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        text += &format!("{:<15} {value:>8} kB\n", format!("{name}:"));
    }
    Ok(text.into_bytes())
}

fn memory_statistics() -> Text {
    line(format!("nr_free_pages {}", mm::frames::free()))
}

/// Nanoseconds of processor time of all processes together.
fn busy() -> u64 {
    let processes: alloc::vec::Vec<_> = tree().iter().cloned().collect();
    processes.iter().map(|process| process.cpu_time()).sum()
}

fn idle() -> u64 {
    (hal::monotonic() * hal::vcpu_count() as u64).saturating_sub(busy())
}

/// Threads that run or could run, and all threads.
fn threads() -> (usize, usize) {
    let processes: alloc::vec::Vec<_> = tree().iter().cloned().collect();
    let all: alloc::vec::Vec<_> = processes.iter().flat_map(|process| process.threads()).collect();
    let runs =
        |thread: &alloc::sync::Arc<Thread>| thread.task().is_some_and(|task| !task.is_parked());
    (all.iter().filter(|thread| runs(thread)).count().max(1), all.len())
}

fn load() -> Text {
    let (running, all) = threads();
    line(format!("0.00 0.00 0.00 {running}/{all} {}", last_pid()))
}

fn uptime() -> Text {
    let shown = |time: u64| format!("{}.{:02}", time / SECOND, time % SECOND / (SECOND / 100));
    line(format!("{} {}", shown(hal::monotonic()), shown(idle())))
}

fn statistics() -> Text {
    let count = hal::vcpu_count() as i64;
    let (busy, idle) = (ticks(busy()), ticks(idle()));
    let mut text = format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\n");
    // Which CPU spent how much is not kept.
    for number in 0..count {
        text += &format!("cpu{number} {} 0 0 {} 0 0 0 0 0 0\n", busy / count, idle / count);
    }
    let boot = (hal::realtime() - hal::monotonic().min(hal::realtime())) / SECOND;
    let (running, _) = threads();
    text += &format!("ctxt {}\n", sched::switch_count());
    text += &format!("btime {boot}\nprocesses {}\n", last_pid());
    text += &format!("procs_running {running}\nprocs_blocked 0\n");
    Ok(text.into_bytes())
}

fn version() -> Text {
    line(format!("Linux version {} {}", system::RELEASE, system::VERSION))
}
