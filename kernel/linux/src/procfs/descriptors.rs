//! `/proc/<pid>/fd` and `/proc/<pid>/fdinfo`.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use errno::Errno;
use generated::{File, Link, Listing};
use vfs::{DirectoryEntry, Inode, Kind, Location};

use super::process::{Subject, list_numbers, parse_number};
use super::{Text, shown_path};
use crate::file::{self, OpenFile, flags};

/// What is shown for each descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A link to the file.
    Link,
    /// A text with position and flags.
    Information,
}

/// The descriptors of a process.
pub struct Descriptors {
    /// Whose.
    pub subject: Subject,
    /// What is shown.
    pub form: Form,
}

/// Inode numbers of descriptors start here.
const NUMBERS: u64 = 0x1000;
/// Those of their information start here.
const INFORMATION: u64 = 0x4000_0000;

impl Form {
    fn number(self, descriptor: u32) -> u64 {
        u64::from(descriptor) + if self == Self::Link { NUMBERS } else { INFORMATION }
    }
}

fn find(subject: &Subject, descriptor: u32) -> Result<(Arc<OpenFile>, bool), Errno> {
    let thread = subject.thread().ok_or(Errno::ENOENT)?;
    thread.files().entry(descriptor).ok_or(Errno::ENOENT)
}

fn path_of(open: &OpenFile) -> Text {
    match &open.location {
        Some(location) => shown_path(location),
        None => Ok(open.file.label().into_bytes()),
    }
}

fn place_of(open: &Arc<OpenFile>) -> Location {
    open.location.clone().unwrap_or_else(|| file::place_of_unnamed(open))
}

fn information(open: &OpenFile, close_on_exec: bool) -> Text {
    let mut shown = open.flags();
    if close_on_exec {
        shown |= flags::CLOEXEC;
    }
    let (mount, number) = match &open.location {
        Some(location) => (location.mount().number(), location.inode().metadata().number),
        None => (0, 0),
    };
    // A position that is just being moved belongs to whoever reads this.
    let position = open.position_now().unwrap_or(0);
    let mut text =
        format!("pos:\t{position}\nflags:\t0{shown:o}\nmnt_id:\t{mount}\nino:\t{number}\n");
    text += &open.file.information();
    Ok(text.into_bytes())
}

impl Listing for Descriptors {
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let descriptor = parse_number(name).ok_or(Errno::ENOENT)?;
        let (open, _) = find(&self.subject, descriptor)?;
        let index = self.form.number(descriptor);
        let (subject, target) = (self.subject.clone(), self.subject.clone());
        if self.form == Form::Information {
            let attributes = self.subject.attributes(index, 0o444);
            let render = move || {
                let (open, close_on_exec) = find(&subject, descriptor)?;
                information(&open, close_on_exec)
            };
            return Ok(File::new(attributes, render).into_inode());
        }
        // The owner's bits say what the descriptor was opened for.
        let read = if open.may_read() { 0o500 } else { 0o100 };
        let write = if open.may_write() { 0o300 } else { 0o100 };
        let attributes = self.subject.attributes(index, read | write);
        let text = move || {
            subject.check_access()?;
            path_of(&find(&subject, descriptor)?.0)
        };
        let jump = move || {
            target.check_access()?;
            Ok(place_of(&find(&target, descriptor)?.0))
        };
        Ok(Link::new(attributes, text).jumping(jump).into_inode())
    }

    fn list(
        &self,
        cookie: u64,
        visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        self.subject.check_access().map_err(|_| Errno::EACCES)?;
        let Some(thread) = self.subject.thread() else { return Ok(()) };
        let used: Vec<u32> = thread.files().list().iter().map(|(number, ..)| *number).collect();
        let kind = if self.form == Form::Link { Kind::Symlink } else { Kind::File };
        let number = |own| self.subject.attributes(self.form.number(own), 0).number;
        list_numbers(&used, cookie, kind, number, visit);
        Ok(())
    }
}
