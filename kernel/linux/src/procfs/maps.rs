//! `/proc/<pid>/maps` and `smaps`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use vfs::DeviceNumber;

use super::process::Subject;
use super::{Text, shown_path};
use crate::memory::{Area, Content, OnFork};

fn protection(area: &Area) -> String {
    let bit = |set: bool, letter: char| if set { letter } else { '-' };
    let rights = area.protection;
    [
        bit(rights.read, 'r'),
        bit(rights.write, 'w'),
        bit(rights.execute, 'x'),
        if area.shared { 's' } else { 'p' },
    ]
    .into_iter()
    .collect()
}

/// One line: where, what it allows, what it shows.
fn line(start: u64, area: &Area) -> Text {
    const NAME_COLUMN: usize = 73;
    let mut text = format!("{start:08x}-{:08x} {} ", area.end, protection(area)).into_bytes();
    let mut name = area.label.as_bytes().to_vec();
    let (mut offset, mut device, mut number) = (0, DeviceNumber::default(), 0);
    // What the kernel itself put there has a name and no file.
    if let Content::File { file, offset: from, .. } = &area.content
        && name.is_empty()
    {
        offset = *from;
        number = file.inode.metadata().number;
        match &file.location {
            Some(location) => {
                device = DeviceNumber::decode(location.metadata().1);
                name = shown_path(location)?;
            }
            // Shared memory without a name, as Linux calls it.
            None => {
                device.minor = 1;
                name = b"/dev/zero (deleted)".to_vec();
            }
        }
    }
    let (major, minor) = (device.major, device.minor);
    text.extend(format!("{offset:08x} {major:02x}:{minor:02x} {number} ").bytes());
    if !name.is_empty() {
        text.resize(text.len().max(NAME_COLUMN), b' ');
        // A line is a line, whatever the file is called.
        for byte in name {
            if byte == b'\n' { text.extend_from_slice(b"\\012") } else { text.push(byte) }
        }
    }
    text.push(b'\n');
    Ok(text)
}

fn each(subject: &Subject, mut more: impl FnMut(u64, &Area, &mut Vec<u8>)) -> Text {
    let mut text = Vec::new();
    let Some(memory) = subject.memory() else { return Ok(text) };
    for (start, area) in memory.areas.lock().iter() {
        text.append(&mut line(start, area)?);
        more(start, area, &mut text);
    }
    Ok(text)
}

/// `/proc/<pid>/maps`.
pub fn maps(subject: &Subject) -> Text {
    each(subject, |_, _, _| {})
}

/// What a range takes, in kB. Which pages a program has touched is the platform's knowledge, so
/// all that is mapped and accessible counts.
#[derive(Clone, Copy, Default)]
struct Amounts {
    size: u64,
    resident: u64,
    private: u64,
    shared: u64,
    anonymous: u64,
    locked: u64,
}

impl Amounts {
    fn of(start: u64, area: &Area) -> Self {
        let size = (area.end - start) / 1024;
        let rights = area.protection;
        let resident = if rights.read || rights.write || rights.execute { size } else { 0 };
        let anonymous = matches!(area.content, Content::Anonymous);
        Self {
            size,
            resident,
            private: if area.shared { 0 } else { resident },
            shared: if area.shared { resident } else { 0 },
            anonymous: if anonymous { resident } else { 0 },
            locked: if area.locked { resident } else { 0 },
        }
    }

    fn show(&self, with_size: bool) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: u64| {
            text += &format!("{name:<15} {value:>8} kB\n");
        };
        if with_size {
            row("Size:", self.size);
            row("KernelPageSize:", 4);
            row("MMUPageSize:", 4);
        }
        row("Rss:", self.resident);
        row("Pss:", self.resident);
        row("Shared_Clean:", 0);
        row("Shared_Dirty:", self.shared);
        row("Private_Clean:", 0);
        row("Private_Dirty:", self.private);
        row("Referenced:", self.resident);
        row("Anonymous:", self.anonymous);
        row("AnonHugePages:", 0);
        row("Swap:", 0);
        row("SwapPss:", 0);
        row("Locked:", self.locked);
        text
    }
}

fn flags(area: &Area) -> String {
    let mut text = String::from("VmFlags:");
    let rights = area.protection;
    let shown = [
        (rights.read, " rd"),
        (rights.write, " wr"),
        (rights.execute, " ex"),
        (area.shared, " sh"),
        (true, " mr"),
        (area.may_write, " mw"),
        (true, " me"),
        (area.locked, " lo"),
        (area.on_fork == OnFork::Leave, " dc"),
    ];
    shown.into_iter().filter(|(set, _)| *set).for_each(|(_, name)| text += name);
    text += " \n";
    text
}

/// `/proc/<pid>/smaps`.
pub fn detailed_maps(subject: &Subject) -> Text {
    each(subject, |start, area, text| {
        text.extend(Amounts::of(start, area).show(true).bytes());
        text.extend_from_slice(b"THPeligible:           0\n");
        text.extend(flags(area).bytes());
    })
}

/// `/proc/<pid>/smaps_rollup`.
pub fn summary(subject: &Subject) -> Text {
    let Some(memory) = subject.memory() else { return Ok(Vec::new()) };
    let areas = memory.areas.lock();
    let mut sum = Amounts::default();
    let (mut first, mut last) = (0, 0);
    for (start, area) in areas.iter() {
        let one = Amounts::of(start, area);
        sum.resident += one.resident;
        sum.private += one.private;
        sum.shared += one.shared;
        sum.anonymous += one.anonymous;
        sum.locked += one.locked;
        first = if first == 0 { start } else { first };
        last = area.end;
    }
    let head = format!("{first:08x}-{last:08x} ---p 00000000 00:00 0 ");
    let mut text = format!("{head:<73}[rollup]\n");
    text += &sum.show(false);
    Ok(text.into_bytes())
}
