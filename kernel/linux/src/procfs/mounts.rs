//! `/proc/<pid>/mounts` and `mountinfo`.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use vfs::{DeviceNumber, Location, Mount, MountFlags};

use super::Text;
use super::process::Subject;

/// A path in a list: what would end a field is written as an octal number.
fn escape(path: &[u8]) -> String {
    let mut text = Vec::with_capacity(path.len());
    for &byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => text.extend(format!("\\{byte:03o}").bytes()),
            byte => text.push(byte),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn options(mount: &Mount) -> String {
    let flags = mount.flags();
    let read_only = mount.check_writable().is_err();
    let mut text = String::from(if read_only { "ro" } else { "rw" });
    let names = [
        (MountFlags::NO_SUID, ",nosuid"),
        (MountFlags::NO_DEVICES, ",nodev"),
        (MountFlags::NO_EXECUTE, ",noexec"),
        (MountFlags::NO_ACCESS_TIME, ",noatime"),
        (MountFlags::NO_DIRECTORY_ACCESS_TIME, ",nodiratime"),
    ];
    names.iter().filter(|(flag, _)| flags.has(*flag)).for_each(|(_, name)| text += name);
    if !flags.has(MountFlags::NO_ACCESS_TIME) && !flags.has(MountFlags::STRICT_ACCESS_TIME) {
        text += ",relatime";
    }
    text
}

/// All mounts that the process can see, with the paths that it sees them at.
fn visible(subject: &Subject) -> Result<Vec<(Arc<Mount>, String)>, errno::Errno> {
    let thread = subject.living()?;
    let (root, _) = thread.context().places();
    let mounts = thread.context().namespace().mounts().into_iter().filter_map(|mount| {
        let top = Location::new(Arc::clone(&mount), Arc::clone(mount.root()));
        let path = top.path(&root);
        path.reachable.then(|| (mount, escape(&path.text)))
    });
    Ok(mounts.collect())
}

/// `/proc/<pid>/mounts` (`fstab(5)`).
pub fn mounts(subject: &Subject) -> Text {
    let mut text = String::new();
    for (mount, path) in visible(subject)? {
        let name = mount.superblock().file_system().name();
        text += &format!("{name} {path} {name} {} 0 0\n", options(&mount));
    }
    Ok(text.into_bytes())
}

/// `/proc/<pid>/mountinfo` (`proc_pid_mountinfo(5)`).
pub fn mount_information(subject: &Subject) -> Text {
    let mut text = String::new();
    for (mount, path) in visible(subject)? {
        let superblock = mount.superblock();
        let name = superblock.file_system().name();
        let number = mount.number();
        let parent = mount.parent().map_or(number, |place| place.mount().number());
        let DeviceNumber { major, minor } = DeviceNumber::decode(superblock.device());
        let whole = Location::new(Arc::clone(&mount), Arc::clone(superblock.root()));
        let part = Location::new(Arc::clone(&mount), Arc::clone(mount.root()));
        let root = escape(&part.path(&whole).text);
        let access = if superblock.file_system().is_read_only() { "ro" } else { "rw" };
        let own = options(&mount);
        text += &format!(
            "{number} {parent} {major}:{minor} {root} {path} {own} - {name} {name} {access}\n"
        );
    }
    Ok(text.into_bytes())
}
