//! Linux's system calls on x86-64 as data: numbers, names, what their arguments mean, and how far
//! each is there.
//!
//! [`with_system_calls!`] is the one list. The kernel makes its dispatch table of it, `drupe
//! syscalls` and the book print it, traces decode with it.
//!
//! Principles: a call is entered once; what is not in the list is absent, and has at least its
//! [name](absent). Nothing here reads memory of programs: [`names`] turns numbers into the names
//! of the manual pages, addresses are the kernel's business.
#![no_std]
#![forbid(unsafe_code)]

pub mod absent;
pub mod names;
mod table;

/// How far a call is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As on Linux, shown by at least three cases of the differential suite.
    Full,
    /// It works but for what is named here.
    Partial(&'static str),
}

/// What an argument is, for traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A 32-bit number.
    Integer,
    /// A 64-bit number.
    Long,
    /// Bits without names here.
    Flags,
    /// Permission bits.
    Mode,
    /// A descriptor.
    Descriptor,
    /// A directory's descriptor, or the working directory.
    Directory,
    /// An address.
    Pointer,
    /// A path.
    Path,
    /// Bytes for the kernel, whose number is the next argument.
    Input,
    /// Room for bytes, whose number is the next argument; the result says how many came.
    Output,
    /// An array of strings that ends with a null pointer.
    Strings,
    /// An array of `struct iovec`, whose length is the next argument.
    Vectors,
    /// An array of `struct pollfd`, whose length is the next argument.
    Polled,
    /// A set of signals, 64 bits.
    SignalSet,
    /// `struct sigaction`, read.
    Action,
    /// `struct timespec`, read.
    Time,
    /// `struct timespec`, written.
    TimeOut,
    /// Two descriptors, written.
    TwoDescriptors,
    /// A socket address, whose length is the next argument.
    Address,
    /// `struct stat`, written.
    Stat,
    /// A status of `wait(2)`, written.
    Status,
    /// A signal.
    Signal,
    /// Flags of `open(2)`.
    OpenFlags,
    /// Rights of a mapping.
    Protection,
    /// Flags of `mmap(2)`.
    MapFlags,
    /// Flags of `clone(2)`.
    CloneFlags,
    /// An operation of `futex(2)`.
    FutexOperation,
    /// What `rt_sigprocmask(2)` does.
    HowMask,
    /// Flags of calls with a directory (`AT_…`).
    AtFlags,
    /// Rights that are asked for (`access(2)`).
    Access,
    /// From where a position counts (`lseek(2)`).
    Whence,
    /// Advice for `madvise(2)`.
    Advice,
    /// A clock.
    Clock,
    /// A command of `fcntl(2)`.
    FcntlCommand,
    /// A request of `ioctl(2)`.
    IoctlRequest,
    /// An operation of `epoll_ctl(2)`.
    EpollOperation,
    /// Options of `wait4(2)` and `waitid(2)`.
    WaitOptions,
    /// A domain of sockets.
    SocketDomain,
    /// A type of sockets, with its flags.
    SocketType,
    /// Flags of `send(2)` and `recv(2)`.
    MessageFlags,
    /// `O_CLOEXEC` and `O_NONBLOCK`, as `pipe2(2)` and its like take them.
    DescriptorFlags,
    /// A resource with a limit.
    Resource,
    /// An operation of `prctl(2)`.
    ProcessOperation,
    /// An operation of `arch_prctl(2)`.
    ArchOperation,
}

/// A system call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// What its arguments are.
    pub arguments: &'static [Argument],
    /// Whether its result is an address.
    pub returns_pointer: bool,
    /// How far it is there.
    pub state: State,
}

/// One more than the highest number that can have an entry.
pub const LENGTH: usize = 480;

macro_rules! metadata {
    ($($number:literal $name:ident($($argument:ident),*) $(-> $pointer:ident)? = $handler:path $(, partial $why:literal)?;)*) => {
        /// All calls that are there, by number.
        pub static CALLS: &[Call] = &[
            $(Call {
                number: $number,
                name: stringify!($name),
                arguments: &[$(Argument::$argument),*],
                returns_pointer: metadata!(@pointer $($pointer)?),
                state: metadata!(@state $($why)?),
            },)*
        ];
    };
    (@pointer) => { false };
    (@pointer $pointer:ident) => { true };
    (@state) => { State::Full };
    (@state $why:literal) => { State::Partial($why) };
}

with_system_calls!(metadata);

/// The entry of each number.
static BY_NUMBER: [u16; LENGTH] = {
    let mut table = [u16::MAX; LENGTH];
    let mut index = 0;
    while index < CALLS.len() {
        let number = CALLS[index].number as usize;
        assert!(table[number] == u16::MAX, "a system call is entered twice");
        assert!(CALLS[index].arguments.len() <= 6, "a system call has at most six arguments");
        table[number] = index as u16;
        index += 1;
    }
    table
};

/// The call with a number, if it is there.
pub fn find(number: u64) -> Option<&'static Call> {
    let index = *BY_NUMBER.get(usize::try_from(number).ok()?)?;
    CALLS.get(usize::from(index))
}

/// The name of a call, be it there or not.
pub fn name_of(number: u64) -> Option<&'static str> {
    find(number).map(|call| call.name).or_else(|| absent::name_of(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_number_and_are_not_absent_too() {
        for call in CALLS {
            assert_eq!(find(call.number.into()).map(|call| call.name), Some(call.name));
            assert_eq!(absent::name_of(call.number.into()), None, "{}", call.name);
        }
        assert!(find(101).is_none() && find(u64::MAX).is_none() && find(479).is_none());
        assert_eq!(name_of(101), Some("ptrace"));
        assert_eq!(name_of(0), Some("read"));
        assert_eq!(name_of(9999), None);
    }

    #[test]
    fn the_list_is_in_order() {
        assert!(CALLS.is_sorted_by(|a, b| a.number < b.number));
        assert!(absent::NAMES.is_sorted_by(|a, b| a.0 < b.0));
    }
}
