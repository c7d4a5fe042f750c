//! Starting programs: `execve(2)`, and the first one.

mod elf;
mod image;
mod script;
mod stack;
mod vdso;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use errno::Errno;
use hal::UserContext;
use vfs::{Access, Context, ExecuteAccess, Final, Kind, Location, MountFlags, Resolve, mode};

use crate::error::{Result, fail};
use crate::file::AT_FDCWD;
use crate::memory::Memory;
use crate::process::{Identity, end_group, for_program};
use crate::signal::number::SIGKILL;
use crate::thread::Thread;
use crate::user;

pub use elf::Program;
pub use image::{Loaded, load};

/// What a program is started with.
pub struct Start {
    /// The file.
    pub location: Location,
    /// Its name as it was given, for `AT_EXECFN`.
    pub name: Vec<u8>,
    /// The arguments.
    pub arguments: Vec<Vec<u8>>,
    /// The environment.
    pub environment: Vec<Vec<u8>>,
}

/// The file that a process runs. Nobody can write to it meanwhile.
pub struct Executable {
    /// Where it is.
    pub location: Location,
    _access: ExecuteAccess,
}

/// A program that was found and read as far as needed to say that it can start.
pub struct Prepared {
    start: Start,
    program: Program,
    interpreter: Option<Program>,
    executable: Arc<Executable>,
}

/// Finds and checks a program, and the interpreter that it names. Nothing is changed yet.
pub fn prepare(context: &Context<'_>, start: Start) -> Result<Prepared> {
    let (start, access) = script::resolve(context, start)?;
    let program = Program::read(&start.location)?;
    let interpreter = match &program.interpreter {
        None => None,
        Some(path) => {
            let location = context.resolve(None, path, Final::Follow, Resolve::default())?;
            check(context, &location)?;
            let mut interpreter = Program::read(&location).map_err(|_| Errno::ELIBBAD)?;
            interpreter.executable.interpreter = None;
            Some(interpreter)
        }
    };
    let empty = |program: &Program| program.segments.is_empty();
    if empty(&program) || interpreter.as_ref().is_some_and(empty) {
        return fail(Errno::ENOEXEC);
    }
    let executable = Arc::new(Executable { location: start.location.clone(), _access: access });
    Ok(Prepared { start, program, interpreter, executable })
}

/// Whether a file may be executed, and the right to do so.
fn check(context: &Context<'_>, location: &Location) -> Result<ExecuteAccess> {
    if location.kind() != Kind::File {
        return fail(Errno::EACCES);
    }
    context.check(location, Access::EXECUTE)?;
    Ok(ExecuteAccess::take(location.inode())?)
}

impl Prepared {
    /// The program's file.
    pub fn executable(&self) -> Arc<Executable> {
        Arc::clone(&self.executable)
    }

    /// Who the program acts for when `old` starts it, and whether it must distrust its environment.
    /// `trusted`: set-id bits of its file count.
    fn identity(&self, old: &Identity, trusted: bool) -> (Identity, bool) {
        let location = &self.executable.location;
        if !trusted || location.mount().flags().has(MountFlags::NO_SUID) {
            return for_program(old, [None, None]);
        }
        let (uid, gid, permissions) = location.inode().access();
        // Without the bit for executing, the group's set-id bit means something else.
        const GROUP: u16 = mode::SET_GID | 0o010;
        let user = permissions & mode::SET_UID != 0;
        let group = permissions & GROUP == GROUP;
        for_program(old, [user.then_some(uid), group.then_some(gid)])
    }

    /// The last part of the program's name, which becomes the thread's.
    pub fn short_name(&self) -> &[u8] {
        self.start.name.rsplit(|&byte| byte == b'/').next().unwrap_or(b"")
    }

    /// Loads the program into new memory, which must be the active one, and gives the registers
    /// to start it with.
    pub fn load(
        &self,
        memory: &mut crate::memory::Layout,
        into: &Memory,
        identity: (&Identity, bool),
    ) -> Result<UserContext> {
        let loaded = load(&self.program, self.interpreter.as_ref(), into, memory)?;
        let stack_pointer = stack::build(&self.start, &loaded, into, memory, identity)?;
        let mut context = UserContext::new();
        context.registers.rip = loaded.entry;
        context.registers.rsp = stack_pointer;
        Ok(context)
    }
}

/// Makes new memory and loads a program into it; it is active afterwards. `activate` makes the
/// new memory the caller's.
pub fn load_into_new(
    prepared: &Prepared,
    identity: (&Identity, bool),
    activate: impl FnOnce(&Arc<Memory>),
) -> Result<(Arc<Memory>, UserContext)> {
    let mut layout = crate::memory::Layout::draw();
    image::place(&prepared.program, &mut layout);
    let memory = Memory::new(layout)?;
    activate(&memory);
    let context = prepared.load(&mut layout, &memory, identity)?;
    memory.set_layout(layout);
    Ok((memory, context))
}

/// Bytes that arguments and environment may take, as with Linux's default stack limit.
const STRINGS: usize = 2 << 20;

/// `execve(2)`.
pub fn execve(thread: &Thread, [path, arguments, environment, ..]: [u64; 6]) -> Result {
    execveat(thread, [AT_FDCWD, path, arguments, environment, 0, 0])
}

/// `execveat(2)`.
pub fn execveat(
    thread: &Thread,
    [directory, path, arguments, environment, options, _]: [u64; 6],
) -> Result {
    const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
    const AT_EMPTY_PATH: u64 = 0x1000;
    if options & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return fail(Errno::EINVAL);
    }
    let path = user::read_path(path)?;
    let mut room = STRINGS;
    let mut arguments = user::read_strings(arguments, &mut room)?;
    let environment = user::read_strings(environment, &mut room)?;
    if arguments.is_empty() {
        arguments.push(Vec::new());
    }
    let prepared = thread.with_context(|context| -> Result<Prepared> {
        let location = if path.is_empty() && options & AT_EMPTY_PATH != 0 {
            let file = thread.files().get_any(directory)?;
            file.location.clone().ok_or(Errno::EACCES)?
        } else {
            let at = thread.directory(directory, &path)?;
            let end =
                if options & AT_SYMLINK_NOFOLLOW != 0 { Final::NoFollow } else { Final::Follow };
            let location = context.resolve(at.as_ref(), &path, end, Resolve::default())?;
            if location.kind() == Kind::Symlink {
                return fail(Errno::ELOOP);
            }
            location
        };
        let name = if path.is_empty() {
            alloc::format!("/dev/fd/{}", directory as u32).into_bytes()
        } else {
            path.clone()
        };
        prepare(context, Start { location, name, arguments, environment })
    })?;

    let trusted = !thread.process.no_new_privileges.load(Ordering::Relaxed);
    let (identity, is_secure) = prepared.identity(&thread.identity(), trusted);

    // From here on there is no way back: the old program is gone.
    crate::process::become_only_thread(thread)?;
    crate::futex::release_robust(thread);
    let loaded = load_into_new(&prepared, (&identity, is_secure), |memory| {
        thread.replace_memory(Arc::clone(memory));
    });
    let Ok((_, new)) = loaded else {
        crate::report::out_of_memory(thread);
        end_group(thread, crate::process::Status::Killed { signal: SIGKILL, core: false })
    };
    forget_old_program(thread, &prepared);
    let process = &thread.process;
    if is_secure {
        process.parent_death_signal.store(0, Ordering::Relaxed);
    }
    let is_own = identity.uid == identity.effective_uid && identity.gid == identity.effective_gid;
    thread.set_identity(identity);
    process.dumpable.store(is_own, Ordering::Relaxed);
    crate::process::finish_vfork(thread);
    let mut context = sched::context();
    context.restart(new.registers);
    Ok(0)
}

/// What a process does not keep when it starts another program.
fn forget_old_program(thread: &Thread, prepared: &Prepared) {
    let process = &thread.process;
    thread.set_name(prepared.short_name());
    process.set_executable(Some(prepared.executable()));
    process.has_executed.store(true, Ordering::Relaxed);
    process.registered_barriers.store(false, Ordering::Relaxed);
    thread.unshare_files();
    thread.files().close_on_exec();
    process.signals.reset_handlers();
    process.timers.clear_posix();
    thread.signals.reset_stack();
    thread.clear_on_exit.store(0, Ordering::Relaxed);
    thread.robust_list.store(0, Ordering::Relaxed);
}
