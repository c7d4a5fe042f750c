//! Ranks of this layer's locks, outermost first; those of the file systems (160–178) and the
//! scheduler (180–220) come after them.

use lock::Rank;

pub const PROCESS_TREE: Rank = Rank::new(20, "process tree");
pub const THREADS: Rank = Rank::new(30, "threads");
pub const FILE_TABLE: Rank = Rank::new(40, "file table");
pub const FILE_CONTEXT: Rank = Rank::new(50, "working directory");
pub const TIMER_TABLE: Rank = Rank::new(55, "timer table");
pub const PROCESS_TIMERS: Rank = Rank::new(58, "process timers");
pub const PROCESS: Rank = Rank::new(60, "process");
pub const CREDENTIALS: Rank = Rank::new(65, "credentials");
pub const SIGNALS: Rank = Rank::new(70, "signals");
pub const SIGNALS_ACTIONS: Rank = Rank::new(72, "signal actions");
pub const IPC_UNDO: Rank = Rank::new(74, "semaphores to give back");
pub const IPC_TABLE: Rank = Rank::new(76, "System V objects");
pub const IPC: Rank = Rank::new(78, "System V object");
pub const FUTEX: Rank = Rank::new(80, "futex");
pub const FUTEX_WAITER: Rank = Rank::new(82, "futex waiter");
pub const FILE: Rank = Rank::new(90, "open file");
pub const TERMINALS: Rank = Rank::new(96, "terminals");
pub const SOCKET_NAMES: Rank = Rank::new(98, "socket names");
pub const STREAM: Rank = Rank::new(100, "stream");
pub const EPOLL: Rank = Rank::new(140, "epoll");
pub const NOTIFIER: Rank = Rank::new(150, "notifier");
pub const RANDOM: Rank = Rank::new(182, "random generator");
