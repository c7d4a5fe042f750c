//! Numbers as people write them: flags and operations by the names of the manual pages.

use core::fmt::{self, Write};

use crate::Argument;

/// The names of an argument's values: a choice among the values of some bits, then bits of their
/// own. An entry of several bits stands before those that it contains.
struct Names {
    mask: u64,
    choices: &'static [(u64, &'static str)],
    bits: &'static [(u64, &'static str)],
}

const fn bits(bits: &'static [(u64, &'static str)]) -> Names {
    Names { mask: 0, choices: &[], bits }
}

const fn choices(choices: &'static [(u64, &'static str)]) -> Names {
    Names { mask: u32::MAX as u64, choices, bits: &[] }
}

static OPEN: Names = Names {
    mask: 3,
    choices: &[(0, "O_RDONLY"), (1, "O_WRONLY"), (2, "O_RDWR")],
    bits: &[
        (0o20200000, "O_TMPFILE"),
        (0o4010000, "O_SYNC"),
        (0o100, "O_CREAT"),
        (0o200, "O_EXCL"),
        (0o400, "O_NOCTTY"),
        (0o1000, "O_TRUNC"),
        (0o2000, "O_APPEND"),
        (0o4000, "O_NONBLOCK"),
        (0o10000, "O_DSYNC"),
        (0o20000, "O_ASYNC"),
        (0o40000, "O_DIRECT"),
        (0o100000, "O_LARGEFILE"),
        (0o200000, "O_DIRECTORY"),
        (0o400000, "O_NOFOLLOW"),
        (0o1000000, "O_NOATIME"),
        (0o2000000, "O_CLOEXEC"),
        (0o10000000, "O_PATH"),
    ],
};
static DESCRIPTOR: Names =
    bits(&[(0o2000000, "O_CLOEXEC"), (0o4000, "O_NONBLOCK"), (0o40000, "O_DIRECT")]);
static PROTECTION: Names = Names {
    mask: 7,
    choices: &[(0, "PROT_NONE")],
    bits: &[(1, "PROT_READ"), (2, "PROT_WRITE"), (4, "PROT_EXEC"), (0x0100_0000, "PROT_GROWSDOWN")],
};
static MAP: Names = Names {
    mask: 0xf,
    choices: &[(1, "MAP_SHARED"), (2, "MAP_PRIVATE"), (3, "MAP_SHARED_VALIDATE")],
    bits: &[
        (0x10, "MAP_FIXED"),
        (0x20, "MAP_ANONYMOUS"),
        (0x40, "MAP_32BIT"),
        (0x100, "MAP_GROWSDOWN"),
        (0x800, "MAP_DENYWRITE"),
        (0x2000, "MAP_LOCKED"),
        (0x4000, "MAP_NORESERVE"),
        (0x8000, "MAP_POPULATE"),
        (0x1_0000, "MAP_NONBLOCK"),
        (0x2_0000, "MAP_STACK"),
        (0x4_0000, "MAP_HUGETLB"),
        (0x10_0000, "MAP_FIXED_NOREPLACE"),
    ],
};
static CLONE: Names = bits(&[
    (0x100, "CLONE_VM"),
    (0x200, "CLONE_FS"),
    (0x400, "CLONE_FILES"),
    (0x800, "CLONE_SIGHAND"),
    (0x1000, "CLONE_PIDFD"),
    (0x2000, "CLONE_PTRACE"),
    (0x4000, "CLONE_VFORK"),
    (0x8000, "CLONE_PARENT"),
    (0x1_0000, "CLONE_THREAD"),
    (0x2_0000, "CLONE_NEWNS"),
    (0x4_0000, "CLONE_SYSVSEM"),
    (0x8_0000, "CLONE_SETTLS"),
    (0x10_0000, "CLONE_PARENT_SETTID"),
    (0x20_0000, "CLONE_CHILD_CLEARTID"),
    (0x100_0000, "CLONE_CHILD_SETTID"),
    (0x200_0000, "CLONE_NEWCGROUP"),
    (0x400_0000, "CLONE_NEWUTS"),
    (0x800_0000, "CLONE_NEWIPC"),
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
]);
static FUTEX: Names = Names {
    mask: 0x7f,
    choices: &[
        (0, "FUTEX_WAIT"),
        (1, "FUTEX_WAKE"),
        (3, "FUTEX_REQUEUE"),
        (4, "FUTEX_CMP_REQUEUE"),
        (5, "FUTEX_WAKE_OP"),
        (6, "FUTEX_LOCK_PI"),
        (7, "FUTEX_UNLOCK_PI"),
        (8, "FUTEX_TRYLOCK_PI"),
        (9, "FUTEX_WAIT_BITSET"),
        (10, "FUTEX_WAKE_BITSET"),
        (11, "FUTEX_WAIT_REQUEUE_PI"),
        (12, "FUTEX_CMP_REQUEUE_PI"),
        (13, "FUTEX_LOCK_PI2"),
    ],
    bits: &[(0x80, "FUTEX_PRIVATE_FLAG"), (0x100, "FUTEX_CLOCK_REALTIME")],
};
static HOW: Names = choices(&[(0, "SIG_BLOCK"), (1, "SIG_UNBLOCK"), (2, "SIG_SETMASK")]);
static AT: Names = bits(&[
    (0x100, "AT_SYMLINK_NOFOLLOW"),
    (0x200, "AT_REMOVEDIR"),
    (0x400, "AT_SYMLINK_FOLLOW"),
    (0x800, "AT_NO_AUTOMOUNT"),
    (0x1000, "AT_EMPTY_PATH"),
]);
static ACCESS: Names =
    Names { mask: 7, choices: &[(0, "F_OK")], bits: &[(4, "R_OK"), (2, "W_OK"), (1, "X_OK")] };
static WHENCE: Names = choices(&[
    (0, "SEEK_SET"),
    (1, "SEEK_CUR"),
    (2, "SEEK_END"),
    (3, "SEEK_DATA"),
    (4, "SEEK_HOLE"),
]);
static ADVICE: Names = choices(&[
    (0, "MADV_NORMAL"),
    (1, "MADV_RANDOM"),
    (2, "MADV_SEQUENTIAL"),
    (3, "MADV_WILLNEED"),
    (4, "MADV_DONTNEED"),
    (8, "MADV_FREE"),
    (9, "MADV_REMOVE"),
    (10, "MADV_DONTFORK"),
    (11, "MADV_DOFORK"),
    (14, "MADV_HUGEPAGE"),
    (15, "MADV_NOHUGEPAGE"),
    (16, "MADV_DONTDUMP"),
    (17, "MADV_DODUMP"),
    (18, "MADV_WIPEONFORK"),
    (19, "MADV_KEEPONFORK"),
    (20, "MADV_COLD"),
    (21, "MADV_PAGEOUT"),
    (22, "MADV_POPULATE_READ"),
    (23, "MADV_POPULATE_WRITE"),
]);
static CLOCK: Names = choices(&[
    (0, "CLOCK_REALTIME"),
    (1, "CLOCK_MONOTONIC"),
    (2, "CLOCK_PROCESS_CPUTIME_ID"),
    (3, "CLOCK_THREAD_CPUTIME_ID"),
    (4, "CLOCK_MONOTONIC_RAW"),
    (5, "CLOCK_REALTIME_COARSE"),
    (6, "CLOCK_MONOTONIC_COARSE"),
    (7, "CLOCK_BOOTTIME"),
    (11, "CLOCK_TAI"),
]);
static FCNTL: Names = choices(&[
    (0, "F_DUPFD"),
    (1, "F_GETFD"),
    (2, "F_SETFD"),
    (3, "F_GETFL"),
    (4, "F_SETFL"),
    (5, "F_GETLK"),
    (6, "F_SETLK"),
    (7, "F_SETLKW"),
    (8, "F_SETOWN"),
    (9, "F_GETOWN"),
    (10, "F_SETSIG"),
    (11, "F_GETSIG"),
    (15, "F_SETOWN_EX"),
    (16, "F_GETOWN_EX"),
    (36, "F_OFD_GETLK"),
    (37, "F_OFD_SETLK"),
    (38, "F_OFD_SETLKW"),
    (1024, "F_SETLEASE"),
    (1025, "F_GETLEASE"),
    (1030, "F_DUPFD_CLOEXEC"),
    (1031, "F_SETPIPE_SZ"),
    (1032, "F_GETPIPE_SZ"),
    (1033, "F_ADD_SEALS"),
    (1034, "F_GET_SEALS"),
]);
static IOCTL: Names = choices(&[
    (0x5401, "TCGETS"),
    (0x5402, "TCSETS"),
    (0x5403, "TCSETSW"),
    (0x5404, "TCSETSF"),
    (0x5409, "TCSBRK"),
    (0x540a, "TCXONC"),
    (0x540b, "TCFLSH"),
    (0x540e, "TIOCSCTTY"),
    (0x540f, "TIOCGPGRP"),
    (0x5410, "TIOCSPGRP"),
    (0x5411, "TIOCOUTQ"),
    (0x5413, "TIOCGWINSZ"),
    (0x5414, "TIOCSWINSZ"),
    (0x541b, "FIONREAD"),
    (0x5421, "FIONBIO"),
    (0x5422, "TIOCNOTTY"),
    (0x5429, "TIOCGSID"),
    (0x5450, "FIONCLEX"),
    (0x5451, "FIOCLEX"),
    (0x5452, "FIOASYNC"),
    (0x8004_5430, "TIOCGPTN"),
    (0x4004_5431, "TIOCSPTLCK"),
    (0x802c_542a, "TCGETS2"),
    (0x8912, "SIOCGIFCONF"),
    (0x8913, "SIOCGIFFLAGS"),
    (0x8915, "SIOCGIFADDR"),
    (0x8927, "SIOCGIFHWADDR"),
    (0x8933, "SIOCGIFINDEX"),
]);
static EPOLL: Names = choices(&[(1, "EPOLL_CTL_ADD"), (2, "EPOLL_CTL_DEL"), (3, "EPOLL_CTL_MOD")]);
static WAIT: Names = bits(&[
    (1, "WNOHANG"),
    (2, "WUNTRACED"),
    (4, "WEXITED"),
    (8, "WCONTINUED"),
    (0x0100_0000, "WNOWAIT"),
    (0x2000_0000, "__WNOTHREAD"),
    (0x4000_0000, "__WALL"),
    (0x8000_0000, "__WCLONE"),
]);
static DOMAIN: Names = choices(&[
    (0, "AF_UNSPEC"),
    (1, "AF_UNIX"),
    (2, "AF_INET"),
    (10, "AF_INET6"),
    (16, "AF_NETLINK"),
    (17, "AF_PACKET"),
]);
static SOCKET: Names = Names {
    mask: 0xf,
    choices: &[
        (1, "SOCK_STREAM"),
        (2, "SOCK_DGRAM"),
        (3, "SOCK_RAW"),
        (4, "SOCK_RDM"),
        (5, "SOCK_SEQPACKET"),
    ],
    bits: &[(0o2000000, "SOCK_CLOEXEC"), (0o4000, "SOCK_NONBLOCK")],
};
static MESSAGE: Names = bits(&[
    (1, "MSG_OOB"),
    (2, "MSG_PEEK"),
    (4, "MSG_DONTROUTE"),
    (8, "MSG_CTRUNC"),
    (0x20, "MSG_TRUNC"),
    (0x40, "MSG_DONTWAIT"),
    (0x80, "MSG_EOR"),
    (0x100, "MSG_WAITALL"),
    (0x2000, "MSG_ERRQUEUE"),
    (0x4000, "MSG_NOSIGNAL"),
    (0x8000, "MSG_MORE"),
    (0x1_0000, "MSG_WAITFORONE"),
    (0x2000_0000, "MSG_FASTOPEN"),
    (0x4000_0000, "MSG_CMSG_CLOEXEC"),
]);
static RESOURCE: Names = choices(&[
    (0, "RLIMIT_CPU"),
    (1, "RLIMIT_FSIZE"),
    (2, "RLIMIT_DATA"),
    (3, "RLIMIT_STACK"),
    (4, "RLIMIT_CORE"),
    (5, "RLIMIT_RSS"),
    (6, "RLIMIT_NPROC"),
    (7, "RLIMIT_NOFILE"),
    (8, "RLIMIT_MEMLOCK"),
    (9, "RLIMIT_AS"),
    (10, "RLIMIT_LOCKS"),
    (11, "RLIMIT_SIGPENDING"),
    (12, "RLIMIT_MSGQUEUE"),
    (13, "RLIMIT_NICE"),
    (14, "RLIMIT_RTPRIO"),
    (15, "RLIMIT_RTTIME"),
]);
static PROCESS: Names = choices(&[
    (1, "PR_SET_PDEATHSIG"),
    (2, "PR_GET_PDEATHSIG"),
    (3, "PR_GET_DUMPABLE"),
    (4, "PR_SET_DUMPABLE"),
    (7, "PR_GET_KEEPCAPS"),
    (8, "PR_SET_KEEPCAPS"),
    (15, "PR_SET_NAME"),
    (16, "PR_GET_NAME"),
    (21, "PR_GET_SECCOMP"),
    (22, "PR_SET_SECCOMP"),
    (23, "PR_CAPBSET_READ"),
    (24, "PR_CAPBSET_DROP"),
    (29, "PR_SET_TIMERSLACK"),
    (30, "PR_GET_TIMERSLACK"),
    (36, "PR_SET_CHILD_SUBREAPER"),
    (37, "PR_GET_CHILD_SUBREAPER"),
    (38, "PR_SET_NO_NEW_PRIVS"),
    (39, "PR_GET_NO_NEW_PRIVS"),
    (47, "PR_CAP_AMBIENT"),
    (0x5356_4d41, "PR_SET_VMA"),
]);
static ARCH: Names = choices(&[
    (0x1001, "ARCH_SET_GS"),
    (0x1002, "ARCH_SET_FS"),
    (0x1003, "ARCH_GET_FS"),
    (0x1004, "ARCH_GET_GS"),
    (0x1011, "ARCH_GET_CPUID"),
    (0x1012, "ARCH_SET_CPUID"),
    (0x3001, "ARCH_CET_STATUS"),
]);

/// The signals below the real-time ones, from 1.
static SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

fn names_of(kind: Argument) -> Option<&'static Names> {
    Some(match kind {
        Argument::OpenFlags => &OPEN,
        Argument::DescriptorFlags => &DESCRIPTOR,
        Argument::Protection => &PROTECTION,
        Argument::MapFlags => &MAP,
        Argument::CloneFlags => &CLONE,
        Argument::FutexOperation => &FUTEX,
        Argument::HowMask => &HOW,
        Argument::AtFlags => &AT,
        Argument::Access => &ACCESS,
        Argument::Whence => &WHENCE,
        Argument::Advice => &ADVICE,
        Argument::Clock => &CLOCK,
        Argument::FcntlCommand => &FCNTL,
        Argument::IoctlRequest => &IOCTL,
        Argument::EpollOperation => &EPOLL,
        Argument::WaitOptions => &WAIT,
        Argument::SocketDomain => &DOMAIN,
        Argument::SocketType => &SOCKET,
        Argument::MessageFlags => &MESSAGE,
        Argument::Resource => &RESOURCE,
        Argument::ProcessOperation => &PROCESS,
        Argument::ArchOperation => &ARCH,
        _ => return None,
    })
}

impl Names {
    fn write(&self, value: u64, text: &mut dyn Write) -> fmt::Result {
        let mut rest = value;
        let mut separator = "";
        if self.mask != 0
            && let Some((_, name)) =
                self.choices.iter().find(|choice| choice.0 == value & self.mask)
        {
            text.write_str(name)?;
            rest &= !self.mask;
            separator = "|";
        }
        for &(bits, name) in self.bits {
            if rest & bits == bits {
                write!(text, "{separator}{name}")?;
                rest &= !bits;
                separator = "|";
            }
        }
        // What has no name; nothing at all is a zero.
        if rest != 0 || separator.is_empty() {
            write!(text, "{separator}{}", Number(rest))?;
        }
        Ok(())
    }
}

struct Number(u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0") } else { write!(f, "{:#x}", self.0) }
    }
}

/// Writes an argument that is only a number; `false`: it is an address, and what is there has to
/// be read.
///
/// # Errors
/// Those of `text`.
pub fn write(kind: Argument, value: u64, text: &mut dyn Write) -> Result<bool, fmt::Error> {
    match kind {
        Argument::Integer | Argument::Descriptor => write!(text, "{}", value as i32)?,
        Argument::Long => write!(text, "{}", value as i64)?,
        Argument::Flags => write!(text, "{}", Number(value))?,
        Argument::Mode => write!(text, "0{:o}", value as u32)?,
        Argument::Directory if value as i32 == -100 => text.write_str("AT_FDCWD")?,
        Argument::Directory => write!(text, "{}", value as i32)?,
        Argument::Signal => signal(value as u32, text)?,
        Argument::CloneFlags => {
            CLONE.write(value & !0xff, text)?;
            if value & 0xff != 0 {
                text.write_str("|")?;
                signal(value as u32 & 0xff, text)?;
            }
        }
        kind => match names_of(kind) {
            Some(names) => names.write(u64::from(value as u32), text)?,
            None => return Ok(false),
        },
    }
    Ok(true)
}

/// Writes a signal's name; 0 is none.
///
/// # Errors
/// Those of `text`.
pub fn signal(number: u32, text: &mut dyn Write) -> fmt::Result {
    match number {
        1..=31 => write!(text, "SIG{}", SIGNALS[number as usize - 1]),
        32..=64 => write!(text, "SIGRT_{}", number - 32),
        other => write!(text, "{}", other as i32),
    }
}

/// Writes a set of signals, as strace does: `[INT TERM]`, and `~[…]` for one that lacks few.
///
/// # Errors
/// Those of `text`.
pub fn signal_set(set: u64, text: &mut dyn Write) -> fmt::Result {
    let (set, sign) = if set.count_ones() > 48 { (!set, "~") } else { (set, "") };
    write!(text, "{sign}[")?;
    let mut separator = "";
    for number in (1..=64u32).filter(|number| set >> (number - 1) & 1 == 1) {
        text.write_str(separator)?;
        match number {
            1..=31 => text.write_str(SIGNALS[number as usize - 1])?,
            _ => write!(text, "RT_{}", number - 32)?,
        }
        separator = " ";
    }
    text.write_str("]")
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::String;

    use super::*;

    fn shown(kind: Argument, value: u64) -> String {
        let mut text = String::new();
        assert!(write(kind, value, &mut text).unwrap());
        text
    }

    #[test]
    fn flags_have_the_names_of_the_manual() {
        assert_eq!(shown(Argument::OpenFlags, 0o2100001), "O_WRONLY|O_LARGEFILE|O_CLOEXEC");
        assert_eq!(shown(Argument::OpenFlags, 0o4010000), "O_RDONLY|O_SYNC");
        assert_eq!(shown(Argument::Protection, 0), "PROT_NONE");
        assert_eq!(shown(Argument::Protection, 5), "PROT_READ|PROT_EXEC");
        assert_eq!(shown(Argument::MapFlags, 0x22), "MAP_PRIVATE|MAP_ANONYMOUS");
        assert_eq!(shown(Argument::MapFlags, 0x8000_0002), "MAP_PRIVATE|0x80000000");
        assert_eq!(
            shown(Argument::CloneFlags, 0x120_0011),
            "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD"
        );
        assert_eq!(shown(Argument::CloneFlags, 17), "0|SIGCHLD");
        assert_eq!(shown(Argument::FutexOperation, 0x81), "FUTEX_WAKE|FUTEX_PRIVATE_FLAG");
        assert_eq!(shown(Argument::AtFlags, 0), "0");
        assert_eq!(shown(Argument::IoctlRequest, 0x1234), "0x1234");
        assert_eq!(shown(Argument::Signal, 11), "SIGSEGV");
        assert_eq!(shown(Argument::Signal, 34), "SIGRT_2");
        assert_eq!(shown(Argument::Directory, -100i64 as u64), "AT_FDCWD");
        assert!(!write(Argument::Pointer, 1, &mut String::new()).unwrap());
    }

    #[test]
    fn sets_of_signals() {
        let shown = |set| {
            let mut text = String::new();
            signal_set(set, &mut text).unwrap();
            text
        };
        assert_eq!(shown(0), "[]");
        assert_eq!(shown(1 << 1 | 1 << 14), "[INT TERM]");
        assert_eq!(shown(!(1 << 32)), "~[RT_1]");
    }
}
