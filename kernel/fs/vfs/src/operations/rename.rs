//! `rename`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use errno::Errno;

use crate::context::Context;
use crate::credentials::Access;
use crate::dentry::{Dentry, Locked};
use crate::inode::Rename;
use crate::location::Location;
use crate::notify::{Event, EventKind};
use crate::types::Kind;
use crate::walk::{Last, Parent, Resolve};

/// What had the old name, and what had the new one.
type Renamed = (Arc<Dentry>, Option<Arc<Dentry>>);

/// One end of a rename.
struct End {
    directory: Location,
    name: Vec<u8>,
    slash: bool,
}

impl Context<'_> {
    /// Moves the name `old` to `new`.
    ///
    /// # Errors
    /// Those of `renameat2(2)`.
    pub fn rename(
        &self,
        old_at: Option<&Location>,
        old: &[u8],
        new_at: Option<&Location>,
        new: &[u8],
        how: Rename,
    ) -> Result<(), Errno> {
        let from = self.resolve_parent(old_at, old, Resolve::default())?;
        let to = self.resolve_parent(new_at, new, Resolve::default())?;
        if !Arc::ptr_eq(from.directory.mount(), to.directory.mount()) {
            return Err(Errno::EXDEV);
        }
        let from = End::new(from, Errno::EBUSY)?;
        let in_the_way = if how == Rename::NoReplace { Errno::EEXIST } else { Errno::EBUSY };
        let to = End::new(to, in_the_way)?;
        from.directory.mount().check_writable()?;
        let superblock = from.directory.mount().superblock();
        let one = from.directory.dentry();
        let two = to.directory.dentry();
        let renaming = superblock.renaming.write();
        let done = if Arc::ptr_eq(one, two) {
            let mut locked = one.lock();
            let done = self.rename_locked(&from, &to, &mut locked, None, how);
            // Dentries that this was the last to use go when no directory is locked.
            drop(locked.unlock());
            done?
        } else {
            let (mut first, mut second) = Dentry::lock_both(one, two);
            let done = self.rename_locked(&from, &to, &mut first, Some(&mut second), how);
            drop((first.unlock(), second.unlock()));
            done?
        };
        superblock.count_rename();
        drop(renaming);
        if let Some((source, target)) = done {
            if let Some(target) = &target
                && how != Rename::Exchange
            {
                superblock.dismiss(target);
            }
            self.report_rename(&from, &to, &source, target.as_ref(), how);
        }
        Ok(())
    }

    /// Renames in locked directories: `first` holds the old name, `second` the new one, `None` if
    /// it is the same directory. Tells what had the old and the new name, or `None` if nothing
    /// was to be done.
    fn rename_locked<'l>(
        &self,
        from: &End,
        to: &End,
        first: &mut Locked<'l>,
        mut second: Option<&mut Locked<'l>>,
        how: Rename,
    ) -> Result<Option<Renamed>, Errno> {
        let renamed = self.check_rename(from, to, first, second.as_deref_mut(), how)?;
        let Some((source, target)) = &renamed else { return Ok(None) };
        let into = second.as_deref().unwrap_or(first).inode().clone();
        first.inode().rename(&from.name, &into, &to.name, how, self.now)?;
        first.remove(&from.name);
        match second {
            Some(second) => second.adopt(&to.name, source),
            None => first.adopt(&to.name, source),
        }
        source.move_to(to.directory.dentry(), &to.name);
        match target {
            Some(target) if how == Rename::Exchange => {
                first.adopt(&from.name, target);
                target.move_to(from.directory.dentry(), &from.name);
            }
            Some(target) => target.mark_deleted(),
            None => {}
        }
        Ok(renamed)
    }

    /// All that can speak against it. `None` if both names have the same inode, and so nothing
    /// is to be done; otherwise what has the old and the new name.
    fn check_rename(
        &self,
        from: &End,
        to: &End,
        first: &mut Locked<'_>,
        second: Option<&mut Locked<'_>>,
        how: Rename,
    ) -> Result<Option<Renamed>, Errno> {
        let same_directory = second.is_none();
        let source = first.child(&from.name)?;
        let target = match second {
            Some(second) => second.child(&to.name),
            None => first.child(&to.name),
        };
        let target = match target {
            Ok(target) => Some(target),
            Err(Errno::ENOENT) => None,
            Err(error) => return Err(error),
        };
        match (how, &target) {
            (Rename::NoReplace, Some(_)) => return Err(Errno::EEXIST),
            (Rename::Exchange, None) => return Err(Errno::ENOENT),
            _ => {}
        }
        let is_directory = |dentry: &Dentry| dentry.kind() == Kind::Directory;
        if !is_directory(&source) && (from.slash || how != Rename::Exchange && to.slash) {
            return Err(Errno::ENOTDIR);
        }
        if how == Rename::Exchange
            && to.slash
            && target.as_ref().is_some_and(|target| !is_directory(target))
        {
            return Err(Errno::ENOTDIR);
        }
        if source.is_ancestor_of(to.directory.dentry()) {
            return Err(Errno::EINVAL);
        }
        if let Some(target) = &target {
            if target.is_ancestor_of(from.directory.dentry()) {
                let exchange = how == Rename::Exchange;
                return Err(if exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
            }
            if Arc::ptr_eq(source.inode(), target.inode()) {
                return Ok(None);
            }
        }
        self.check_remove(&from.directory, &source)?;
        match &target {
            None => self.check_change(&to.directory)?,
            Some(target) => {
                self.check_remove(&to.directory, target)?;
                match (is_directory(&source), is_directory(target)) {
                    _ if how == Rename::Exchange => {}
                    (true, false) => return Err(Errno::ENOTDIR),
                    (false, true) => return Err(Errno::EISDIR),
                    _ => {}
                }
            }
        }
        // A directory that moves gets another `..`, which is a change to it.
        if !same_directory {
            let moved = [Some(&source), target.as_ref().filter(|_| how == Rename::Exchange)];
            for dentry in moved.into_iter().flatten() {
                if is_directory(dentry) {
                    self.credentials.check(&**dentry.inode(), Access::WRITE)?;
                }
            }
        }
        if source.is_covered() || target.as_ref().is_some_and(|target| target.is_covered()) {
            return Err(Errno::EBUSY);
        }
        Ok(Some((source, target)))
    }

    fn report_rename(
        &self,
        from: &End,
        to: &End,
        source: &Arc<Dentry>,
        target: Option<&Arc<Dentry>>,
        how: Rename,
    ) {
        let cookie = self.namespace.next_move();
        let report = |kind, end: &End, dentry: &Arc<Dentry>| {
            let name = Some((end.directory.dentry(), &end.name[..]));
            self.namespace.notify(&Event { kind, inode: dentry.inode(), dentry: None, name });
        };
        report(EventKind::MovedFrom { cookie }, from, source);
        report(EventKind::MovedTo { cookie }, to, source);
        let Some(target) = target else { return };
        if how == Rename::Exchange {
            let cookie = self.namespace.next_move();
            report(EventKind::MovedFrom { cookie }, to, target);
            report(EventKind::MovedTo { cookie }, from, target);
        } else {
            let inode = target.inode();
            let last = inode.metadata().links == 0 || target.kind() == Kind::Directory;
            let notify = |kind| {
                self.namespace.notify(&Event { kind, inode, dentry: None, name: None });
            };
            if target.kind() != Kind::Directory {
                notify(EventKind::LinksChanged);
            }
            if last {
                notify(EventKind::Gone);
            }
        }
    }
}

impl End {
    fn new(parent: Parent, not_a_name: Errno) -> Result<Self, Errno> {
        let Last::Name(name) = parent.last else { return Err(not_a_name) };
        Ok(Self { directory: parent.directory, name, slash: parent.slash })
    }
}
