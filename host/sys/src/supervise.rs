//! A program under a supervisor that outlives no one and leaves no one behind.
//!
//! The supervisor is a small process between the caller and the program: the first process of
//! a PID namespace where the host allows one, otherwise a session leader that adopts orphans.
//! It opens nothing and holds nothing but one pipe, reports every death in the tree below it,
//! and ends when the last process has ended. The program may create siblings of itself
//! (`CLONE_PARENT`): they are the supervisor's children too.
//!
//! Nothing survives: when the caller dies, however it dies, the supervisor is killed by its
//! parent-death signal; in a namespace the host kernel then kills all others, without one the
//! supervisor does.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::process::{Pid, PidfdFlags, Signal, WaitIdOptions};

/// Descriptors are first moved up to this number, so that none is overwritten on its way.
const HIGH: RawFd = 200;

/// What to execute.
pub enum Executable {
    /// An open file, such as a memory file; no path leads to it.
    Descriptor(OwnedFd),
    /// A file by its path.
    Path(CString),
}

/// A program to be run under a supervisor.
pub struct Program {
    /// What to execute.
    pub executable: Executable,
    /// Its arguments; the first is the name that it is called by.
    pub arguments: Vec<CString>,
    /// Its environment, each `NAME=value`.
    pub environment: Vec<CString>,
    /// What it finds open: the n-th as descriptor n. Nothing else is open in it.
    pub descriptors: Vec<OwnedFd>,
}

/// How one process of the tree ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It ended itself with this status.
    Exited(i32),
    /// A signal of this number killed it.
    Killed(i32),
    /// It never started: executing failed with this `errno`.
    NotExecuted(i32),
}

/// A running tree of processes. Dropping it kills the tree.
pub struct Supervised {
    pid: Pid,
    handle: OwnedFd,
    deaths: OwnedFd,
    is_isolated: bool,
    is_reaped: bool,
}

impl Program {
    /// Starts the program.
    ///
    /// # Errors
    /// When the host gives no process or descriptor. That the program cannot be executed is
    /// reported as a [`Death::NotExecuted`].
    pub fn spawn(self) -> io::Result<Supervised> {
        self.spawn_in(&[libc::CLONE_NEWUSER | libc::CLONE_NEWPID, libc::CLONE_NEWPID, 0])
    }

    /// Starts the program in the first of these sets of new namespaces that the host allows.
    fn spawn_in(self, isolations: &[i32]) -> io::Result<Supervised> {
        let (deaths, record_deaths) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
            strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let plan = Plan {
            arguments: pointers(&self.arguments),
            environment: pointers(&self.environment),
            descriptors: self.descriptors.iter().map(AsRawFd::as_raw_fd).collect(),
            program: &self,
            record_deaths: record_deaths.as_raw_fd(),
        };
        for &isolation in isolations {
            // SAFETY: a clone without a stack and without CLONE_VM is a fork: the child has a
            // copy of this thread and runs `supervise`, which only makes system calls and
            // never returns.
            let pid =
                unsafe { libc::syscall(libc::SYS_clone, isolation | libc::SIGCHLD, 0, 0, 0, 0) };
            match pid {
                0 => supervise(&plan, isolation != 0),
                pid if pid > 0 => {
                    let pid = Pid::from_raw(pid as i32).ok_or(io::ErrorKind::Other)?;
                    let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
                    let is_isolated = isolation != 0;
                    return Ok(Supervised { pid, handle, deaths, is_isolated, is_reaped: false });
                }
                _ if isolation == 0 => return Err(io::Error::last_os_error()),
                _ => {}
            }
        }
        Err(io::ErrorKind::Other.into())
    }
}

impl Supervised {
    /// Readable when a process of the tree has died or the last one is gone.
    pub fn deaths(&self) -> BorrowedFd<'_> {
        self.deaths.as_fd()
    }

    /// Waits for the next death in the tree; `None` when nobody is left.
    ///
    /// # Errors
    /// When the pipe cannot be read.
    pub fn next_death(&self) -> io::Result<Option<Death>> {
        let mut record = [0; 8];
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&self.deaths, &mut record))?;
        if read < record.len() {
            return Ok(None);
        }
        let (kind, value) = record.split_at(4);
        let number =
            |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
        let value = number(value);
        Ok(Some(match number(kind) {
            EXITED => Death::Exited(value),
            KILLED => Death::Killed(value),
            _ => Death::NotExecuted(value),
        }))
    }

    /// Whether the tree has a PID namespace of its own.
    pub fn is_isolated(&self) -> bool {
        self.is_isolated
    }

    /// Sends a signal to every thread of the program's processes; those that end meanwhile are
    /// missed.
    ///
    /// # Errors
    /// When this host's `/proc` does not tell which processes there are.
    pub fn signal_threads(&self, signal: i32) -> io::Result<()> {
        let supervisor = self.pid.as_raw_nonzero();
        let children =
            std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"))?;
        for process in children.split_whitespace().filter_map(|word| word.parse::<i32>().ok()) {
            let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { continue };
            for thread in threads.flatten() {
                let name = thread.file_name();
                let Some(thread) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
                    continue;
                };
                // SAFETY: sends a signal to a thread of a process that the supervisor, which is
                // ours, has not reaped, or to nobody.
                unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) };
            }
        }
        Ok(())
    }

    /// Kills every process of the tree and waits until they are gone.
    pub fn kill(&mut self) {
        if self.is_reaped {
            return;
        }
        if !self.is_isolated {
            // Its session: the supervisor is the leader, so the group cannot be anyone else's.
            let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        }
        let _ = rustix::process::pidfd_send_signal(&self.handle, Signal::KILL);
        let wait = rustix::process::WaitId::PidFd(self.handle.as_fd());
        let _ = rustix::io::retry_on_intr(|| {
            rustix::process::waitid(wait.clone(), WaitIdOptions::EXITED)
        });
        self.is_reaped = true;
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.kill();
    }
}

const EXITED: i32 = 1;
const KILLED: i32 = 2;
const NOT_EXECUTED: i32 = 3;

/// All that the new processes need, prepared before they exist.
struct Plan<'a> {
    program: &'a Program,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    descriptors: Vec<RawFd>,
    record_deaths: RawFd,
}

/// The supervisor: starts the program, then records deaths until nobody is left.
fn supervise(plan: &Plan<'_>, is_isolated: bool) -> ! {
    // SAFETY: plain system calls on descriptors and numbers of this process; the handler that
    // is installed makes one system call that is allowed in handlers.
    unsafe {
        let parent_death = if is_isolated { libc::SIGKILL } else { libc::SIGHUP };
        if !is_isolated {
            libc::signal(libc::SIGHUP, kill_group as extern "C" fn(i32) as libc::sighandler_t);
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        }
        libc::prctl(libc::PR_SET_PDEATHSIG, parent_death);
        libc::setsid();
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());

        let count = plan.descriptors.len() as RawFd;
        let executable = match &plan.program.executable {
            Executable::Descriptor(file) => raise(file.as_raw_fd()),
            Executable::Path(_) => -1,
        };
        let record = raise(plan.record_deaths);
        for (number, &descriptor) in plan.descriptors.iter().enumerate() {
            // Raised into a fixed range: HIGH + number, so no table has to be kept.
            libc::dup3(descriptor, HIGH * 2 + number as RawFd, libc::O_CLOEXEC);
        }
        for number in 0..count {
            libc::dup2(HIGH * 2 + number, number);
        }
        let record =
            if libc::dup3(record, count, libc::O_CLOEXEC) == count { count } else { record };
        libc::syscall(libc::SYS_close_range, count, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);

        match libc::fork() {
            0 => execute(plan, executable, record),
            -1 => write_record(record, NOT_EXECUTED, *libc::__errno_location()),
            _ => {}
        }
        if count > 0 {
            libc::syscall(libc::SYS_close_range, 0, count - 1, 0);
        }
        libc::syscall(libc::SYS_close_range, count + 1, u32::MAX, 0);
        // The caller may have died before the parent-death signal was set: then nobody reads.
        let mut pipe = libc::pollfd { fd: record, events: 0, revents: 0 };
        if libc::poll(&mut pipe, 1, 0) > 0 && pipe.revents & libc::POLLERR != 0 {
            libc::kill(0, libc::SIGKILL);
            libc::_exit(0);
        }
        loop {
            let mut status = 0;
            if libc::waitpid(-1, &mut status, 0) < 0 {
                match *libc::__errno_location() {
                    libc::EINTR => continue,
                    _ => libc::_exit(0),
                }
            }
            if libc::WIFSIGNALED(status) {
                write_record(record, KILLED, libc::WTERMSIG(status));
            } else {
                write_record(record, EXITED, libc::WEXITSTATUS(status));
            }
        }
    }
}

extern "C" fn kill_group(_signal: i32) {
    // SAFETY: kill may be called in a signal handler; group 0 is the supervisor's own.
    unsafe { libc::kill(0, libc::SIGKILL) };
}

/// Duplicates `descriptor` to a number of at least [`HIGH`].
fn raise(descriptor: RawFd) -> RawFd {
    // SAFETY: fcntl on a descriptor number has no memory effects.
    unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, HIGH) }
}

/// Becomes the program.
fn execute(plan: &Plan<'_>, executable: RawFd, record: RawFd) -> ! {
    let (arguments, environment) = (plan.arguments.as_ptr(), plan.environment.as_ptr());
    // SAFETY: the pointer arrays end with null and point to strings that `plan` keeps alive.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        match &plan.program.executable {
            Executable::Descriptor(_) => {
                libc::syscall(
                    libc::SYS_execveat,
                    executable,
                    c"".as_ptr(),
                    arguments,
                    environment,
                    libc::AT_EMPTY_PATH,
                );
            }
            Executable::Path(path) => {
                libc::execve(path.as_ptr(), arguments, environment);
            }
        }
        write_record(record, NOT_EXECUTED, *libc::__errno_location());
        libc::_exit(127)
    }
}

fn write_record(pipe: RawFd, kind: i32, value: i32) {
    let [a, b, c, d] = kind.to_le_bytes();
    let [e, f, g, h] = value.to_le_bytes();
    let record = [a, b, c, d, e, f, g, h];
    // SAFETY: the buffer lives across the call; eight bytes are written to a pipe at once.
    unsafe { libc::write(pipe, record.as_ptr().cast(), record.len()) };
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn shell_program(script: &str, descriptors: Vec<OwnedFd>) -> Program {
        let argument = |text: &str| CString::new(text).unwrap();
        Program {
            executable: Executable::Path(argument("/bin/sh")),
            arguments: vec![argument("sh"), argument("-c"), argument(script)],
            environment: Vec::new(),
            descriptors,
        }
    }

    fn shell(script: &str, descriptors: Vec<OwnedFd>) -> Supervised {
        shell_program(script, descriptors).spawn().unwrap()
    }

    fn three(output: OwnedFd) -> Vec<OwnedFd> {
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        vec![null(), output, null()]
    }

    #[test]
    fn the_status_and_the_output_arrive() {
        let (mut read, write) = std::io::pipe().unwrap();
        let tree = shell("echo hi; ls /proc/self/fd >/dev/null; exit 7", three(write.into()));
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hi\n");
        assert_eq!(tree.next_death().unwrap(), Some(Death::Exited(7)));
        assert_eq!(tree.next_death().unwrap(), None);
    }

    #[test]
    fn descriptors_are_where_they_were_asked_for_and_nothing_else_is() {
        let (mut read, write) = std::io::pipe().unwrap();
        let (_, extra) = std::io::pipe().unwrap();
        let mut descriptors = three(write.into());
        descriptors.push(extra.into());
        let tree = shell(
            "for n in 0 1 2 3 4 5 6 7; do { : <&$n; } 2>/dev/null && echo $n; done",
            descriptors,
        );
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "0\n1\n2\n3\n");
        drop(tree);
    }

    #[test]
    fn a_program_that_is_not_there_is_reported() {
        let program = Program {
            executable: Executable::Path(c"/nowhere".to_owned()),
            arguments: vec![c"x".to_owned()],
            environment: Vec::new(),
            descriptors: Vec::new(),
        };
        let tree = program.spawn().unwrap();
        assert_eq!(tree.next_death().unwrap(), Some(Death::NotExecuted(libc::ENOENT)));
    }

    #[test]
    fn killing_leaves_nobody_behind() {
        // The pipe ends only when the last process that could write to it is gone.
        let ends = |tree: &mut Supervised, mut read: std::io::PipeReader| {
            let mut up = [0; 3];
            read.read_exact(&mut up).unwrap();
            tree.kill();
            read.read_to_end(&mut Vec::new()).unwrap();
        };
        let (read, write) = std::io::pipe().unwrap();
        let mut tree =
            shell("sleep 1000 & (setsid sleep 1000 &); echo up; wait", three(write.into()));
        if tree.is_isolated() {
            ends(&mut tree, read);
        }
        let (read, write) = std::io::pipe().unwrap();
        let program =
            shell_program("sleep 1000 & (sleep 1000 &); echo up; wait", three(write.into()));
        let mut tree = program.spawn_in(&[0]).unwrap();
        assert!(!tree.is_isolated());
        ends(&mut tree, read);
    }
}
