//! Sizes of a process's memory, and what it was started with.

use alloc::format;
use alloc::vec::Vec;

use super::Text;
use super::process::Subject;
use crate::memory::{Content, Memory};
use crate::thread::with_current;
use crate::user;

/// Bytes of a process's memory.
#[derive(Clone, Copy, Default)]
pub struct Sizes {
    /// All mappings.
    pub total: u64,
    /// What is in memory.
    pub resident: u64,
    /// The part of it that shows files.
    pub files: u64,
    /// Mapped code.
    pub code: u64,
    /// Writable private memory.
    pub data: u64,
    /// Locked.
    pub locked: u64,
}

impl Sizes {
    /// Those of a memory. Only of its own does a process know what it really holds; of another,
    /// all that is accessible counts.
    pub fn of(memory: &Memory) -> Self {
        let mut sizes = Self::default();
        for (start, area) in memory.areas.lock().iter() {
            let size = area.end - start;
            let rights = area.protection;
            sizes.total += size;
            if area.locked {
                sizes.locked += size;
            }
            if rights.execute {
                sizes.code += size;
            }
            if rights.write && !area.shared {
                sizes.data += size;
            }
            if rights.read || rights.write || rights.execute {
                sizes.resident += size;
                if matches!(area.content, Content::File { .. }) {
                    sizes.files += size;
                }
            }
        }
        if is_own(memory)
            && let Some(private) = hal::space_resident()
        {
            sizes.resident = (private + sizes.files).min(sizes.total);
        }
        sizes
    }
}

/// Whether whoever looks looks at its own memory.
fn is_own(memory: &Memory) -> bool {
    with_current(|thread| core::ptr::eq(&*thread.memory(), memory)) == Some(true)
}

/// `/proc/<pid>/statm`, in pages.
pub fn sizes(subject: &Subject) -> Text {
    let sizes = subject.memory().map(|memory| Sizes::of(&memory)).unwrap_or_default();
    let pages = |bytes: u64| bytes / hal::PAGE_SIZE;
    let [total, resident] = [sizes.total, sizes.resident].map(pages);
    let [shared, code, data] = [sizes.files, sizes.code, sizes.data].map(pages);
    let shared = shared.min(resident);
    Ok(format!("{total} {resident} {shared} {code} 0 {data} 0\n").into_bytes())
}

/// Strings of the initial stack: as they are now where they can be read, as they were at the
/// start otherwise.
fn strings(memory: &Memory, (start, end): (u64, u64), initial: &[u8]) -> Vec<u8> {
    let now = is_own(memory).then(|| user::read_bytes(start, end.saturating_sub(start) as usize));
    match now {
        Some(Ok(bytes)) => bytes,
        _ => initial.to_vec(),
    }
}

/// `/proc/<pid>/cmdline`.
pub fn arguments(subject: &Subject) -> Text {
    let Some(memory) = subject.memory() else { return Ok(Vec::new()) };
    Ok(strings(&memory, memory.layout().arguments, &memory.started_with().arguments))
}

/// `/proc/<pid>/environ`.
pub fn environment(subject: &Subject) -> Text {
    let Some(memory) = subject.memory() else { return Ok(Vec::new()) };
    Ok(strings(&memory, memory.layout().environment, &memory.started_with().environment))
}

/// `/proc/<pid>/auxv`.
pub fn auxiliary_vector(subject: &Subject) -> Text {
    let Some(memory) = subject.memory() else { return Ok(Vec::new()) };
    Ok(memory.started_with().auxiliary.clone())
}
