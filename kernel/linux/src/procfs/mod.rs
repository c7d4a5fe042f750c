//! `/proc`: what the kernel tells about processes and itself, and `/sys` as far as programs ask.
//!
//! Everything is made up when it is looked at. What is not known is left out, not invented.

mod descriptors;
mod limits;
mod maps;
mod memory;
mod mounts;
mod process;
mod processor;
mod settings;
mod status;
mod sysfs;
mod system;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use errno::Errno;
use generated::{Attributes, Directory, File, Generated, Link};
use vfs::{FileSystem, Inode, Location};

pub use sysfs::file_system as sys_file_system;

use crate::thread::with_current;

/// What a file shows.
type Text = Result<Vec<u8>, Errno>;

/// Names of files with what they show.
type Files = &'static [(&'static str, fn() -> Text)];

/// Numbers of fixed inodes; those of processes are above.
mod number {
    pub const ROOT: u64 = 1;
    pub const SELF: u64 = 2;
    pub const THREAD_SELF: u64 = 3;
    pub const MOUNTS: u64 = 4;
    pub const SYSTEM: u64 = 0x100;
    pub const SETTINGS: u64 = 0x1000;
}

/// A file that anybody may read.
fn text(number: u64, render: fn() -> Text) -> Arc<dyn Inode> {
    File::new(Attributes::new(number, 0o444), render).into_inode()
}

/// A symbolic link whose text is made when it is followed.
fn link(number: u64, render: fn() -> Text) -> Arc<dyn Inode> {
    Link::new(Attributes::new(number, 0o777), render).into_inode()
}

/// The root directory of whoever looks, from which paths are shown.
fn viewer_root() -> Result<Location, Errno> {
    with_current(|thread| thread.context().places().0).ok_or(Errno::ENOENT)
}

/// A path as whoever looks sees it.
fn shown_path(location: &Location) -> Text {
    Ok(location.path(&viewer_root()?).into_link_text())
}

fn own_number() -> Text {
    let pid = with_current(|thread| thread.process.pid).ok_or(Errno::ENOENT)?;
    Ok(alloc::format!("{pid}").into_bytes())
}

fn own_thread() -> Text {
    let (pid, tid) =
        with_current(|thread| (thread.process.pid, thread.tid())).ok_or(Errno::ENOENT)?;
    Ok(alloc::format!("{pid}/task/{tid}").into_bytes())
}

/// The file system of `/proc`.
pub fn file_system() -> Arc<dyn FileSystem> {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    let mut root = Directory::new(Attributes::new(number::ROOT, 0o555))
        .with("self", link(number::SELF, own_number))
        .with("thread-self", link(number::THREAD_SELF, own_thread))
        .with("mounts", link(number::MOUNTS, || Ok(b"self/mounts".to_vec())))
        .with("sys", settings::directory());
    for ((name, render), number) in system::FILES.iter().zip(number::SYSTEM..) {
        root = root.with(name, text(number, *render));
    }
    Generated::new("proc", PROC_SUPER_MAGIC, Arc::new(root.listing(process::Processes)))
}

/// A line of text as a file's content.
fn line(mut text: String) -> Text {
    text.push('\n');
    Ok(text.into_bytes())
}
