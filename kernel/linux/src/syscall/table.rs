//! The table of system calls: number, name, arguments, handler, state.

use super::Handler;
use crate::{exec, file, futex, memory, process, signal, socket, system, time};

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
    /// Bits.
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
    /// Room for bytes, whose number is the next argument.
    Output,
    /// A signal.
    Signal,
}

/// A system call.
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// What its arguments are.
    pub arguments: &'static [Argument],
    /// Whether its result is an address.
    pub returns_pointer: bool,
    /// How far it is there.
    pub state: State,
    /// What serves it.
    pub handler: Handler,
}

/// Numbers up to here can have an entry.
const LENGTH: usize = 464;

macro_rules! calls {
    ($($number:literal $name:ident($($argument:ident),*) $(-> $pointer:ident)? = $handler:path $(, partial $why:literal)?;)*) => {
        /// All system calls, by number.
        pub static TABLE: [Option<Call>; LENGTH] = {
            let mut table = [const { None }; LENGTH];
            $(
                table[$number] = Some(Call {
                    name: stringify!($name),
                    arguments: &[$(Argument::$argument),*],
                    returns_pointer: calls!(@pointer $($pointer)?),
                    state: calls!(@state $($why)?),
                    handler: $handler,
                });
            )*
            table
        };
    };
    (@pointer) => { false };
    (@pointer $pointer:ident) => { true };
    (@state) => { State::Full };
    (@state $why:literal) => { State::Partial($why) };
}

calls! {
    0 read(Descriptor, Output, Long) = file::read;
    1 write(Descriptor, Input, Long) = file::write;
    2 open(Path, Flags, Mode) = file::open;
    3 close(Descriptor) = file::close;
    4 stat(Path, Pointer) = file::stat;
    5 fstat(Descriptor, Pointer) = file::fstat;
    6 lstat(Path, Pointer) = file::lstat;
    7 poll(Pointer, Integer, Integer) = file::poll, partial "started again after a stop, it waits its whole time again";
    8 lseek(Descriptor, Long, Integer) = file::lseek;
    9 mmap(Pointer, Long, Flags, Flags, Descriptor, Long) -> pointer = memory::mmap;
    10 mprotect(Pointer, Long, Flags) = memory::mprotect;
    11 munmap(Pointer, Long) = memory::munmap;
    12 brk(Pointer) -> pointer = memory::brk;
    13 rt_sigaction(Signal, Pointer, Pointer, Long) = signal::rt_sigaction;
    14 rt_sigprocmask(Integer, Pointer, Pointer, Long) = signal::rt_sigprocmask;
    15 rt_sigreturn() = signal::rt_sigreturn;
    16 ioctl(Descriptor, Flags, Pointer) = file::ioctl, partial "pseudo-terminals: no TIOCPKT, no TIOCGPTPEER, TIOCNOTTY for session leaders only";
    17 pread64(Descriptor, Output, Long, Long) = file::pread64;
    18 pwrite64(Descriptor, Input, Long, Long) = file::pwrite64;
    19 readv(Descriptor, Pointer, Integer) = file::readv;
    20 writev(Descriptor, Pointer, Integer) = file::writev;
    21 access(Path, Flags) = file::access;
    22 pipe(Pointer) = file::pipe;
    23 select(Integer, Pointer, Pointer, Pointer, Pointer) = file::select;
    24 sched_yield() = process::sched_yield;
    25 mremap(Pointer, Long, Long, Flags, Pointer) -> pointer = memory::mremap;
    26 msync(Pointer, Long, Flags) = memory::msync;
    27 mincore(Pointer, Long, Pointer) = memory::mincore, partial "all mapped pages count as resident";
    28 madvise(Pointer, Long, Integer) = memory::madvise, partial "MADV_REMOVE is refused; MADV_FREE frees at once";
    32 dup(Descriptor) = file::dup;
    33 dup2(Descriptor, Descriptor) = file::dup2;
    34 pause() = signal::pause;
    35 nanosleep(Pointer, Pointer) = time::nanosleep;
    36 getitimer(Integer, Pointer) = time::getitimer;
    37 alarm(Integer) = time::alarm;
    38 setitimer(Integer, Pointer, Pointer) = time::setitimer;
    39 getpid() = process::getpid;
    40 sendfile(Descriptor, Descriptor, Pointer, Long) = file::sendfile;
    41 socket(Integer, Flags, Integer) = socket::socket, partial "AF_UNIX, AF_INET, AF_INET6 and routing AF_NETLINK";
    42 connect(Descriptor, Pointer, Integer) = socket::connect;
    43 accept(Descriptor, Pointer, Pointer) = socket::accept;
    44 sendto(Descriptor, Input, Long, Flags, Pointer, Integer) = socket::sendto, partial "out-of-band data over TCP only";
    45 recvfrom(Descriptor, Output, Long, Flags, Pointer, Pointer) = socket::recvfrom, partial "out-of-band data over TCP only";
    46 sendmsg(Descriptor, Pointer, Flags) = socket::sendmsg;
    47 recvmsg(Descriptor, Pointer, Flags) = socket::recvmsg;
    48 shutdown(Descriptor, Integer) = socket::shutdown;
    49 bind(Descriptor, Pointer, Integer) = socket::bind;
    50 listen(Descriptor, Integer) = socket::listen;
    51 getsockname(Descriptor, Pointer, Pointer) = socket::getsockname;
    52 getpeername(Descriptor, Pointer, Pointer) = socket::getpeername;
    53 socketpair(Integer, Flags, Integer, Pointer) = socket::socketpair;
    54 setsockopt(Descriptor, Integer, Integer, Pointer, Integer) = socket::setsockopt;
    55 getsockopt(Descriptor, Integer, Integer, Pointer, Pointer) = socket::getsockopt;
    56 clone(Flags, Pointer, Pointer, Pointer, Pointer) = process::clone, partial "no namespaces, no ptrace";
    57 fork() = process::fork;
    58 vfork() = process::vfork;
    59 execve(Path, Pointer, Pointer) = exec::execve;
    60 exit(Integer) = process::exit;
    61 wait4(Integer, Pointer, Flags, Pointer) = process::wait4;
    62 kill(Integer, Signal) = signal::kill;
    63 uname(Pointer) = system::uname;
    72 fcntl(Descriptor, Integer, Long) = file::fcntl;
    73 flock(Descriptor, Flags) = file::flock, partial "named pipes have no locks";
    74 fsync(Descriptor) = file::fsync;
    75 fdatasync(Descriptor) = file::fdatasync;
    76 truncate(Path, Long) = file::truncate;
    77 ftruncate(Descriptor, Long) = file::ftruncate;
    78 getdents(Descriptor, Pointer, Integer) = file::getdents;
    79 getcwd(Pointer, Long) = file::getcwd;
    80 chdir(Path) = file::chdir;
    81 fchdir(Descriptor) = file::fchdir;
    82 rename(Path, Path) = file::rename;
    83 mkdir(Path, Mode) = file::mkdir;
    84 rmdir(Path) = file::rmdir;
    85 creat(Path, Mode) = file::creat;
    86 link(Path, Path) = file::link;
    87 unlink(Path) = file::unlink;
    88 symlink(Path, Path) = file::symlink;
    89 readlink(Path, Output, Long) = file::readlink;
    90 chmod(Path, Mode) = file::chmod;
    91 fchmod(Descriptor, Mode) = file::fchmod, partial "pipes and sockets are refused";
    92 chown(Path, Integer, Integer) = file::chown;
    93 fchown(Descriptor, Integer, Integer) = file::fchown, partial "pipes and sockets are refused";
    94 lchown(Path, Integer, Integer) = file::lchown;
    95 umask(Mode) = file::umask;
    96 gettimeofday(Pointer, Pointer) = time::gettimeofday;
    97 getrlimit(Integer, Pointer) = process::getrlimit;
    98 getrusage(Integer, Pointer) = time::getrusage, partial "system time is counted as user time; fault counts are 0";
    99 sysinfo(Pointer) = system::sysinfo;
    100 times(Pointer) = time::times, partial "system time is counted as user time";
    102 getuid() = process::getuid;
    104 getgid() = process::getgid;
    105 setuid(Integer) = process::setuid;
    106 setgid(Integer) = process::setgid;
    107 geteuid() = process::geteuid;
    108 getegid() = process::getegid;
    109 setpgid(Integer, Integer) = process::setpgid;
    110 getppid() = process::getppid;
    111 getpgrp() = process::getpgrp;
    112 setsid() = process::setsid;
    113 setreuid(Integer, Integer) = process::setreuid;
    114 setregid(Integer, Integer) = process::setregid;
    115 getgroups(Integer, Pointer) = process::getgroups;
    116 setgroups(Integer, Pointer) = process::setgroups;
    117 setresuid(Integer, Integer, Integer) = process::setresuid;
    118 getresuid(Pointer, Pointer, Pointer) = process::getresuid;
    119 setresgid(Integer, Integer, Integer) = process::setresgid;
    120 getresgid(Pointer, Pointer, Pointer) = process::getresgid;
    121 getpgid(Integer) = process::getpgid;
    122 setfsuid(Integer) = process::setfsuid;
    123 setfsgid(Integer) = process::setfsgid;
    124 getsid(Integer) = process::getsid;
    125 capget(Pointer, Pointer) = process::capget;
    126 capset(Pointer, Pointer) = process::capset;
    127 rt_sigpending(Pointer, Long) = signal::rt_sigpending;
    128 rt_sigtimedwait(Pointer, Pointer, Pointer, Long) = signal::rt_sigtimedwait;
    129 rt_sigqueueinfo(Integer, Signal, Pointer) = signal::rt_sigqueueinfo;
    130 rt_sigsuspend(Pointer, Long) = signal::rt_sigsuspend;
    131 sigaltstack(Pointer, Pointer) = signal::sigaltstack;
    132 utime(Path, Pointer) = file::utime;
    133 mknod(Path, Mode, Integer) = file::mknod;
    135 personality(Flags) = process::personality, partial "remembered; changes nothing";
    137 statfs(Path, Pointer) = file::statfs;
    138 fstatfs(Descriptor, Pointer) = file::fstatfs, partial "all files without a place show the type of pipes";
    140 getpriority(Integer, Integer) = process::getpriority, partial "remembered and reported; all tasks have one priority";
    141 setpriority(Integer, Integer, Integer) = process::setpriority, partial "remembered and reported; all tasks have one priority";
    142 sched_setparam(Integer, Pointer) = process::sched_setparam, partial "remembered and reported; all tasks have one priority";
    143 sched_getparam(Integer, Pointer) = process::sched_getparam;
    144 sched_setscheduler(Integer, Integer, Pointer) = process::sched_setscheduler, partial "remembered and reported; all tasks have one priority";
    145 sched_getscheduler(Integer) = process::sched_getscheduler;
    146 sched_get_priority_max(Integer) = process::sched_get_priority_max;
    147 sched_get_priority_min(Integer) = process::sched_get_priority_min;
    148 sched_rr_get_interval(Integer, Pointer) = process::sched_rr_get_interval;
    149 mlock(Pointer, Long) = memory::mlock;
    150 munlock(Pointer, Long) = memory::munlock;
    151 mlockall(Flags) = memory::mlockall;
    152 munlockall() = memory::munlockall;
    157 prctl(Integer, Long, Long, Long, Long) = system::prctl, partial "the options that change security or tracing are refused";
    158 arch_prctl(Integer, Pointer) = system::arch_prctl, partial "GS base only on virtual machines";
    160 setrlimit(Integer, Pointer) = process::setrlimit;
    161 chroot(Path) = file::chroot;
    162 sync() = file::sync;
    186 gettid() = process::gettid;
    187 readahead(Descriptor, Long, Long) = file::readahead;
    188 setxattr(Path, Path, Pointer, Long, Flags) = file::setxattr;
    189 lsetxattr(Path, Path, Pointer, Long, Flags) = file::lsetxattr;
    190 fsetxattr(Descriptor, Path, Pointer, Long, Flags) = file::fsetxattr;
    191 getxattr(Path, Path, Pointer, Long) = file::getxattr;
    192 lgetxattr(Path, Path, Pointer, Long) = file::lgetxattr;
    193 fgetxattr(Descriptor, Path, Pointer, Long) = file::fgetxattr;
    194 listxattr(Path, Pointer, Long) = file::listxattr;
    195 llistxattr(Path, Pointer, Long) = file::llistxattr;
    196 flistxattr(Descriptor, Pointer, Long) = file::flistxattr;
    197 removexattr(Path, Path) = file::removexattr;
    198 lremovexattr(Path, Path) = file::lremovexattr;
    199 fremovexattr(Descriptor, Path) = file::fremovexattr;
    200 tkill(Integer, Signal) = signal::tkill;
    201 time(Pointer) = time::time;
    202 futex(Pointer, Flags, Integer, Pointer, Pointer, Integer) = futex::futex, partial "priorities are not inherited: all are equal";
    203 sched_setaffinity(Integer, Long, Pointer) = process::sched_setaffinity;
    204 sched_getaffinity(Integer, Long, Pointer) = process::sched_getaffinity;
    213 epoll_create(Integer) = file::epoll_create;
    217 getdents64(Descriptor, Pointer, Integer) = file::getdents64;
    218 set_tid_address(Pointer) = process::set_tid_address;
    221 fadvise64(Descriptor, Long, Long, Integer) = file::fadvise64;
    222 timer_create(Integer, Pointer, Pointer) = time::timer_create, partial "process and thread clocks are counted in steps of a millisecond";
    223 timer_settime(Integer, Flags, Pointer, Pointer) = time::timer_settime;
    224 timer_gettime(Integer, Pointer) = time::timer_gettime;
    225 timer_getoverrun(Integer) = time::timer_getoverrun;
    226 timer_delete(Integer) = time::timer_delete;
    228 clock_gettime(Integer, Pointer) = time::clock_gettime;
    229 clock_getres(Integer, Pointer) = time::clock_getres;
    230 clock_nanosleep(Integer, Flags, Pointer, Pointer) = time::clock_nanosleep;
    231 exit_group(Integer) = process::exit_group;
    232 epoll_wait(Descriptor, Pointer, Integer, Integer) = file::epoll_wait;
    233 epoll_ctl(Descriptor, Integer, Descriptor, Pointer) = file::epoll_ctl;
    234 tgkill(Integer, Integer, Signal) = signal::tgkill;
    235 utimes(Path, Pointer) = file::utimes;
    247 waitid(Integer, Integer, Pointer, Flags, Pointer) = process::waitid;
    251 ioprio_set(Integer, Integer, Integer) = process::ioprio_set, partial "remembered and reported; all tasks have one priority";
    252 ioprio_get(Integer, Integer) = process::ioprio_get;
    257 openat(Directory, Path, Flags, Mode) = file::openat;
    258 mkdirat(Directory, Path, Mode) = file::mkdirat;
    259 mknodat(Directory, Path, Mode, Integer) = file::mknodat;
    260 fchownat(Directory, Path, Integer, Integer, Flags) = file::fchownat;
    261 futimesat(Directory, Path, Pointer) = file::futimesat;
    262 newfstatat(Directory, Path, Pointer, Flags) = file::newfstatat;
    263 unlinkat(Directory, Path, Flags) = file::unlinkat;
    264 renameat(Directory, Path, Directory, Path) = file::renameat;
    265 linkat(Directory, Path, Directory, Path, Flags) = file::linkat;
    266 symlinkat(Path, Directory, Path) = file::symlinkat;
    267 readlinkat(Directory, Path, Output, Long) = file::readlinkat;
    268 fchmodat(Directory, Path, Mode) = file::fchmodat;
    269 faccessat(Directory, Path, Flags) = file::faccessat;
    270 pselect6(Integer, Pointer, Pointer, Pointer, Pointer, Pointer) = file::pselect6;
    271 ppoll(Pointer, Integer, Pointer, Pointer, Long) = file::ppoll;
    272 unshare(Flags) = process::unshare, partial "no namespaces";
    273 set_robust_list(Pointer, Long) = futex::set_robust_list;
    274 get_robust_list(Integer, Pointer, Pointer) = futex::get_robust_list;
    275 splice(Descriptor, Pointer, Descriptor, Pointer, Long, Flags) = file::splice;
    276 tee(Descriptor, Descriptor, Long, Flags) = file::tee;
    277 sync_file_range(Descriptor, Long, Long, Flags) = file::sync_file_range;
    278 vmsplice(Descriptor, Pointer, Integer, Flags) = file::vmsplice;
    280 utimensat(Directory, Path, Pointer, Flags) = file::utimensat;
    281 epoll_pwait(Descriptor, Pointer, Integer, Integer, Pointer, Long) = file::epoll_pwait;
    282 signalfd(Descriptor, Pointer, Long) = file::signalfd;
    283 timerfd_create(Integer, Flags) = file::timerfd_create;
    284 eventfd(Integer) = file::eventfd;
    285 fallocate(Descriptor, Flags, Long, Long) = file::fallocate, partial "ranges cannot be inserted or collapsed";
    286 timerfd_settime(Descriptor, Flags, Pointer, Pointer) = file::timerfd_settime;
    287 timerfd_gettime(Descriptor, Pointer) = file::timerfd_gettime;
    288 accept4(Descriptor, Pointer, Pointer, Flags) = socket::accept4;
    289 signalfd4(Descriptor, Pointer, Long, Flags) = file::signalfd4;
    290 eventfd2(Integer, Flags) = file::eventfd2;
    291 epoll_create1(Flags) = file::epoll_create1;
    292 dup3(Descriptor, Descriptor, Flags) = file::dup3;
    293 pipe2(Pointer, Flags) = file::pipe2;
    295 preadv(Descriptor, Pointer, Integer, Long) = file::preadv;
    296 pwritev(Descriptor, Pointer, Integer, Long) = file::pwritev;
    297 rt_tgsigqueueinfo(Integer, Integer, Signal, Pointer) = signal::rt_tgsigqueueinfo;
    299 recvmmsg(Descriptor, Pointer, Integer, Flags, Pointer) = socket::recvmmsg;
    302 prlimit64(Integer, Integer, Pointer, Pointer) = process::prlimit64;
    303 name_to_handle_at(Directory, Path, Pointer, Pointer, Flags) = file::name_to_handle_at, partial "no file system has handles";
    306 syncfs(Descriptor) = file::syncfs;
    307 sendmmsg(Descriptor, Pointer, Integer, Flags) = socket::sendmmsg;
    309 getcpu(Pointer, Pointer) = process::getcpu;
    310 process_vm_readv(Integer, Pointer, Long, Pointer, Long, Flags) = memory::process_vm_readv;
    311 process_vm_writev(Integer, Pointer, Long, Pointer, Long, Flags) = memory::process_vm_writev;
    316 renameat2(Directory, Path, Directory, Path, Flags) = file::renameat2, partial "RENAME_WHITEOUT is refused";
    318 getrandom(Output, Long, Flags) = system::getrandom;
    319 memfd_create(Path, Flags) = file::memfd_create;
    322 execveat(Directory, Path, Pointer, Pointer, Flags) = exec::execveat;
    324 membarrier(Integer, Flags, Integer) = system::membarrier;
    326 copy_file_range(Descriptor, Pointer, Descriptor, Pointer, Long, Flags) = file::copy_file_range;
    327 preadv2(Descriptor, Pointer, Integer, Long, Long, Flags) = file::preadv2;
    328 pwritev2(Descriptor, Pointer, Integer, Long, Long, Flags) = file::pwritev2;
    332 statx(Directory, Path, Flags, Flags, Pointer) = file::statx;
    424 pidfd_send_signal(Descriptor, Signal, Pointer, Flags) = process::pidfd_send_signal;
    434 pidfd_open(Integer, Flags) = process::pidfd_open;
    435 clone3(Pointer, Long) = process::clone3, partial "no namespaces";
    436 close_range(Descriptor, Descriptor, Flags) = file::close_range;
    437 openat2(Directory, Path, Pointer, Long) = file::openat2;
    438 pidfd_getfd(Descriptor, Descriptor, Flags) = process::pidfd_getfd;
    439 faccessat2(Directory, Path, Flags, Flags) = file::faccessat2;
    440 process_madvise(Descriptor, Pointer, Integer, Integer, Flags) = memory::process_madvise;
    441 epoll_pwait2(Descriptor, Pointer, Integer, Pointer, Pointer, Long) = file::epoll_pwait2;
    452 fchmodat2(Directory, Path, Mode, Flags) = file::fchmodat2;
}

/// The name of a call that has no entry, as far as it is worth knowing.
pub fn absent_name(number: u64) -> &'static str {
    match number {
        101 => "ptrace",
        334 => "rseq",
        425 => "io_uring_setup",
        1023 => "32-bit call",
        _ => "unknown here",
    }
}
