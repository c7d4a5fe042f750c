//! Who may do what.

mod common;

use std::sync::Arc;

use common::{NOW, World};
use errno::Errno;
use vfs::{Access, Credentials, MountFlags, NewKind, OpenHow, Rename, TimeChange, Timestamp};
use vfs::{Capability, XattrMode};

fn user(uid: u32, gid: u32, groups: &[u32]) -> Credentials {
    Credentials { uid, gid, groups: Arc::from(groups), capabilities: 0 }
}

fn read() -> OpenHow {
    OpenHow { read: true, ..OpenHow::default() }
}

fn write() -> OpenHow {
    OpenHow { write: true, ..OpenHow::default() }
}

#[test]
fn permission_bits_decide() {
    let mut world = World::new(20);
    world.context().change_mode(&world.root, 0o777).unwrap();
    world.credentials = user(1000, 1000, &[7]);
    world.umask = 0o027;
    let file = world.context().make(None, b"/file", NewKind::File, 0o666).unwrap();
    assert_eq!(file.metadata().0.permissions, 0o640);
    let secret = world.mkdir("/secret").unwrap();
    world.create("/secret/inside");
    world.credentials = user(1001, 1001, &[1000]);
    assert!(world.open("/file", read()).is_ok(), "through a supplementary group");
    assert_eq!(world.open("/file", write()).err(), Some(Errno::EACCES));
    assert_eq!(world.context().truncate(&file, 0), Err(Errno::EACCES));
    assert_eq!(world.context().change_mode(&file, 0o777), Err(Errno::EPERM));
    assert_eq!(world.context().change_owner(&file, Some(1001), None), Err(Errno::EPERM));
    let epoch = TimeChange::To(Timestamp::default());
    let context = world.context();
    assert_eq!(context.change_times(&file, epoch, TimeChange::Keep), Err(Errno::EPERM));
    assert_eq!(context.change_times(&file, TimeChange::Now, TimeChange::Now), Err(Errno::EACCES));
    world.credentials = user(1002, 1002, &[]);
    assert_eq!(world.open("/file", read()).err(), Some(Errno::EACCES));
    assert_eq!(world.find("/secret/inside").err(), Some(Errno::EACCES));
    assert_eq!(world.find("/secret/missing").err(), Some(Errno::EACCES));
    assert_eq!(world.find("/secret/..").err(), Some(Errno::EACCES));
    let noatime = OpenHow { no_access_time: true, ..read() };
    world.credentials.capabilities = 1 << (Capability::DacReadSearch as u8);
    assert_eq!(world.open("/file", noatime).err(), Some(Errno::EPERM));
    assert!(world.find("/secret/inside").is_ok(), "searching is what the capability gives");
    assert!(world.open("/file", read()).is_ok());
    assert_eq!(world.open("/file", write()).err(), Some(Errno::EACCES));
    world.credentials.capabilities = 1 << (Capability::DacOverride as u8);
    assert!(world.open("/file", write()).is_ok());
    let execute = world.context().check(&file, Access::EXECUTE);
    assert_eq!(execute, Err(Errno::EACCES), "what nobody can execute");
    assert!(world.context().check(&secret, Access::EXECUTE).is_ok());
}

#[test]
fn sticky_directories_protect_names() {
    let mut world = World::new(20);
    world.mkdir("/tmp").unwrap();
    let tmp = world.find("/tmp").unwrap();
    world.context().change_mode(&tmp, 0o1777).unwrap();
    world.credentials = user(1000, 1000, &[]);
    world.create("/tmp/mine");
    world.credentials = user(1001, 1001, &[]);
    world.create("/tmp/other");
    assert_eq!(world.context().unlink(None, b"/tmp/mine"), Err(Errno::EPERM));
    let stolen = world.context().rename(None, b"/tmp/mine", None, b"/tmp/x", Rename::Replace);
    assert_eq!(stolen, Err(Errno::EPERM));
    let over = world.context().rename(None, b"/tmp/other", None, b"/tmp/mine", Rename::Replace);
    assert_eq!(over, Err(Errno::EPERM));
    world.credentials = user(1000, 1000, &[]);
    world.context().unlink(None, b"/tmp/mine").unwrap();
    assert_eq!(world.context().unlink(None, b"/tmp/none"), Err(Errno::ENOENT));
    assert_eq!(world.mkdir("/denied").err(), Some(Errno::EACCES));
    let device = NewKind::CharDevice(vfs::DeviceNumber { major: 1, minor: 3 });
    let made = world.context().make(None, b"/tmp/null", device, 0o666);
    assert_eq!(made.err(), Some(Errno::EPERM));
}

#[test]
fn groups_are_inherited_and_set_id_bits_go() {
    let mut world = World::new(20);
    let shared = world.mkdir("/shared").unwrap();
    world.context().change_owner(&shared, None, Some(50)).unwrap();
    world.context().change_mode(&shared, 0o2777).unwrap();
    world.credentials = user(1000, 1000, &[]);
    let folder = world.mkdir("/shared/folder").unwrap();
    assert_eq!(folder.metadata().0.permissions, 0o2755);
    assert_eq!(folder.metadata().0.gid, 50);
    let file = world.context().make(None, b"/shared/file", NewKind::File, 0o2775).unwrap();
    assert_eq!(file.metadata().0.permissions, 0o775, "not in the group");
    assert_eq!(file.metadata().0.gid, 50);
    world.credentials = Credentials::root();
    let program = world.context().make(None, b"/program", NewKind::File, 0o6755).unwrap();
    world.context().change_owner(&program, Some(1000), None).unwrap();
    assert_eq!(program.metadata().0.permissions, 0o755);
    world.context().change_mode(&program, 0o6755).unwrap();
    world.credentials = user(1000, 1000, &[]);
    world.context().strip_set_id(&program);
    assert_eq!(program.metadata().0.permissions, 0o755);
    world.credentials = user(1000, 1000, &[60]);
    let own = world.context().make(None, b"/shared/own", NewKind::File, 0o644).unwrap();
    world.context().change_owner(&own, None, Some(60)).unwrap();
    assert_eq!(world.context().change_owner(&own, None, Some(61)), Err(Errno::EPERM));
}

#[test]
fn mount_flags_restrict() {
    let mut world = World::new(20);
    let file = world.create("/file");
    let device = NewKind::CharDevice(vfs::DeviceNumber { major: 1, minor: 3 });
    world.context().make(None, b"/null", device, 0o666).unwrap();
    world.context().change_mode(&file, 0o777).unwrap();
    let flags = MountFlags::READ_ONLY.and(MountFlags::NO_DEVICES).and(MountFlags::NO_EXECUTE);
    world.root.mount().set_flags(flags);
    assert_eq!(world.mkdir("/x").err(), Some(Errno::EROFS));
    assert_eq!(world.mkdir("/file").err(), Some(Errno::EEXIST));
    assert_eq!(world.open("/file", write()).err(), Some(Errno::EROFS));
    assert_eq!(world.context().unlink(None, b"/file"), Err(Errno::EROFS));
    assert_eq!(world.context().change_mode(&file, 0o700), Err(Errno::EROFS));
    assert_eq!(world.open("/null", read()).err(), Some(Errno::EACCES));
    assert_eq!(world.context().check(&file, Access::EXECUTE), Err(Errno::EACCES));
    let create = OpenHow { create: true, ..read() };
    assert!(world.open("/file", create).is_ok(), "it exists");
    assert_eq!(world.open("/new", create).err(), Some(Errno::EROFS));
    let before = file.metadata().0.accessed;
    file.accessed(Timestamp { seconds: 1 << 40, nanoseconds: 0 });
    assert_eq!(file.metadata().0.accessed, before);
    world.root.mount().set_flags(MountFlags::NONE);
    file.accessed(Timestamp { seconds: 1 << 40, nanoseconds: 0 });
    assert_eq!(file.metadata().0.accessed.seconds, 1 << 40);
    world.credentials = user(1, 1, &[]);
    assert_eq!(world.context().unlink(None, b"/file"), Err(Errno::EACCES));
}

#[test]
fn extended_attributes_have_name_spaces() {
    let mut world = World::new(20);
    let file = world.create("/file");
    let link = world.symlink("file", "/link").unwrap();
    let context = world.context();
    let set = |name: &[u8], value: &[u8], mode| context.set_xattr(&file, name, value, mode);
    assert_eq!(set(b"user.a", b"1", XattrMode::Replace), Err(Errno::ENODATA));
    assert_eq!(set(b"user.a", b"1", XattrMode::Create), Ok(()));
    assert_eq!(set(b"user.a", b"2", XattrMode::Create), Err(Errno::EEXIST));
    assert_eq!(set(b"trusted.t", b"3", XattrMode::Any), Ok(()));
    assert_eq!(set(b"odd.x", b"", XattrMode::Any), Err(Errno::EOPNOTSUPP));
    assert_eq!(set(b"user.", b"", XattrMode::Any), Err(Errno::EINVAL));
    assert_eq!(set(b"user.big", &[0; 65_537], XattrMode::Any), Err(Errno::E2BIG));
    assert_eq!(set(b"user.big", &[0; 65_536], XattrMode::Any), Ok(()));
    assert_eq!(set(b"user.big2", &[0; 65_536], XattrMode::Any), Err(Errno::ENOSPC));
    assert_eq!(context.set_xattr(&link, b"user.a", b"", XattrMode::Any), Err(Errno::EPERM));
    assert_eq!(context.xattr(&file, b"user.a").unwrap(), b"1");
    assert_eq!(context.xattr_names(&file).len(), 3);
    world.credentials = user(1000, 1000, &[]);
    let context = world.context();
    assert_eq!(context.xattr(&file, b"trusted.t"), Err(Errno::ENODATA));
    assert_eq!(context.xattr_names(&file).len(), 2);
    assert_eq!(context.remove_xattr(&file, b"user.a"), Err(Errno::EACCES));
    let security = context.set_xattr(&file, b"security.x", b"", XattrMode::Any);
    assert_eq!(security, Err(Errno::EPERM));
    world.credentials = Credentials::root();
    world.context().remove_xattr(&file, b"user.a").unwrap();
    assert_eq!(world.context().xattr(&file, b"user.a"), Err(Errno::ENODATA));
    assert_eq!(file.metadata().0.changed, NOW);
}
