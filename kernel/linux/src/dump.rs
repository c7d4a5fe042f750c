//! What everybody is doing: trace rings, and the stacks of all tasks, for the host.

use core::fmt::{self, Write};

use hal::Report;
use sched::Task;

use crate::memory::{Content, Memory};
use crate::report::{self, Level};
use crate::thread::Thread;

/// Events of each ring that are shown, unless everything is asked for.
const EVENTS: usize = 24;

/// Text that goes out in frames of whole lines, without taking memory, and with little of the stack
/// (it may be that of an NMI).
struct Lines {
    kind: Report,
    bytes: [u8; 400],
    len: usize,
    /// Where the last whole line ends.
    whole: usize,
}

impl Lines {
    fn new(kind: Report) -> Self {
        Self { kind, bytes: [0; 400], len: 0, whole: 0 }
    }

    fn send(&mut self, length: usize) {
        hal::report(self.kind, 0, &self.bytes[..length]);
        self.bytes.copy_within(length..self.len, 0);
        self.len -= length;
        self.whole = 0;
    }

    fn finish(mut self) {
        if self.len > 0 {
            self.send(self.len);
        }
    }
}

impl Write for Lines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.len == self.bytes.len() {
                // A line that is longer than a frame is cut.
                self.send(if self.whole > 0 { self.whole } else { self.len });
            }
            self.bytes[self.len] = byte;
            self.len += 1;
            if byte == b'\n' {
                self.whole = self.len;
            }
        }
        Ok(())
    }
}

/// Reports the rings of all vCPUs and what all tasks do. `dying`: the kernel is, so that nothing
/// may be waited for.
pub fn everything(dying: bool) {
    let events = if report::is_on(Level::Information) { usize::MAX } else { EVENTS };
    for vcpu in 0..hal::vcpu_count() {
        let mut text = Lines::new(Report::TraceRing);
        trace::dump(vcpu, events, &mut text);
        text.finish();
    }
    if dying {
        sched::try_each(|task| report_task(task, dying));
    } else {
        for task in sched::all() {
            report_task(&task, dying);
        }
    }
}

fn report_task(task: &Task, dying: bool) {
    let mut text = Lines::new(Report::TaskDump);
    let _ = write!(text, "task {}: ", task.id);
    let running = task.runs_on();
    match Thread::of_task(task) {
        Some(thread) => describe_thread(&thread, task, dying, &mut text),
        None => {
            let _ = write!(text, "{} of the kernel", task.name());
        }
    }
    let _ = match running {
        Some(vcpu) => writeln!(text, ", runs on vCPU {vcpu}"),
        None if task.is_parked() => writeln!(text, ", sleeps"),
        None => writeln!(text, ", waits for a vCPU"),
    };
    text.finish();
    if running.is_none() {
        let base = hal::image_base();
        let mut addresses = [0u8; 8 * 32];
        let mut length = 0;
        task.backtrace(|address| {
            if let Some(place) = addresses.get_mut(length..length + 8) {
                place.copy_from_slice(&(address.wrapping_sub(base) as u64).to_le_bytes());
                length += 8;
            }
        });
        if length > 0 {
            hal::report(Report::Backtrace, 0, &addresses[..length]);
        }
    }
}

fn describe_thread(thread: &Thread, task: &Task, dying: bool, text: &mut Lines) {
    let name = thread.name();
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    let name = core::str::from_utf8(&name[..length]).unwrap_or("?");
    let _ = write!(text, "thread {} of process {} ({name})", thread.tid(), thread.process.pid);
    if thread.process.signals.is_stopped() {
        let _ = write!(text, ", stopped");
    }
    let Some(registers) = task.last_registers() else { return };
    if task.is_parked() {
        let name = abi_linux::name_of(registers.syscall_number()).unwrap_or("a system call");
        let [a, b, c, ..] = registers.syscall_arguments();
        let _ = write!(text, ", in {name}({a:#x}, {b:#x}, {c:#x}, ...)");
    }
    let _ = write!(text, ", instruction {:#x}", registers.rip);
    if !dying {
        let memory = thread.memory();
        let root = thread.context().places().0;
        let _ = write!(text, "{}", Place { memory: &memory, root: &root, address: registers.rip });
    }
    let _ = write!(text, ", stack {:#x}", registers.rsp);
}

/// The file that an address of a program belongs to, and the offset in it: ` (PATH+0x…)`, or
/// nothing.
pub struct Place<'a> {
    /// The program's memory.
    pub memory: &'a Memory,
    /// Its root directory.
    pub root: &'a vfs::Location,
    /// The address.
    pub address: u64,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(areas) = self.memory.areas.try_lock() else { return Ok(()) };
        let Some((start, area)) = areas.find(self.address) else { return Ok(()) };
        if let Content::File { file, offset, .. } = &area.content
            && let Some(location) = &file.location
        {
            let path = location.path(self.root).into_link_text();
            let offset = self.address - start + offset;
            write!(f, " ({}+{offset:#x})", alloc::string::String::from_utf8_lossy(&path))
        } else if !area.label.is_empty() {
            write!(f, " ({}+{:#x})", area.label, self.address - start)
        } else {
            Ok(())
        }
    }
}
