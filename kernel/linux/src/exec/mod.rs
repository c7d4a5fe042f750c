//! Starting programs: `execve(2)`, and the first one.

mod elf;
mod image;
mod script;
mod stack;
mod vdso;

use alloc::sync::Arc;
use alloc::vec::Vec;

use errno::Errno;
use hal::UserContext;
use vfs::{Access, Context, Final, Kind, Location, Resolve};

use crate::error::{Result, fail};
use crate::file::AT_FDCWD;
use crate::memory::Memory;
use crate::process::end_group;
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

/// A program that was found and read as far as needed to say that it can start.
pub struct Prepared {
    start: Start,
    program: Program,
    interpreter: Option<Program>,
}

/// Finds and checks a program, and the interpreter that it names. Nothing is changed yet.
pub fn prepare(context: &Context<'_>, start: Start) -> Result<Prepared> {
    let start = script::resolve(context, start)?;
    check(context, &start.location)?;
    let program = Program::read(&start.location)?;
    let interpreter = match &program.interpreter {
        None => None,
        Some(path) => {
            let location = context.resolve(None, path, Final::Follow, Resolve::default())?;
            check(context, &location)?;
            let mut interpreter = Program::read(&location).map_err(|_| Errno::ELIBBAD)?;
            interpreter.interpreter = None;
            Some(interpreter)
        }
    };
    Ok(Prepared { start, program, interpreter })
}

/// Whether a file may be executed.
fn check(context: &Context<'_>, location: &Location) -> Result<()> {
    if location.kind() != Kind::File {
        return fail(Errno::EACCES);
    }
    Ok(context.check(location, Access::EXECUTE)?)
}

impl Prepared {
    /// The program's file.
    pub fn location(&self) -> &Location {
        &self.program.location
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
        identity: stack::Identities,
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
    identity: stack::Identities,
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

/// The identities that the initial stack tells.
pub fn identities(thread_process: &crate::process::Process) -> stack::Identities {
    let identity = *thread_process.identity.lock();
    stack::Identities {
        uid: identity.uid,
        effective_uid: identity.effective_uid,
        gid: identity.gid,
        effective_gid: identity.effective_gid,
    }
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
            let file = thread.files.get_any(directory)?;
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

    // From here on there is no way back: the old program is gone.
    crate::process::leave_alone(thread)?;
    let loaded = load_into_new(&prepared, identities(&thread.process), |memory| {
        thread.replace_memory(Arc::clone(memory));
    });
    let Ok((_, new)) = loaded else {
        crate::report::out_of_memory(thread);
        end_group(thread, crate::process::Status::Killed { signal: SIGKILL, core: false })
    };
    thread.set_name(prepared.short_name());
    thread.process.set_executable(Some(prepared.location().clone()));
    thread.process.has_executed.store(true, core::sync::atomic::Ordering::Relaxed);
    thread.files.close_on_exec();
    thread.process.signals.reset_handlers();
    thread.process.timers.clear_posix();
    thread.signals.reset_stack();
    thread.clear_on_exit.store(0, core::sync::atomic::Ordering::Relaxed);
    thread.robust_list.store(0, core::sync::atomic::Ordering::Relaxed);
    crate::process::finish_vfork(thread);
    let mut context = sched::context();
    context.restart(new.registers);
    Ok(0)
}
