//! The Linux personality: what a Linux program finds when it runs on this kernel.
//!
//! - Each system call is one entry of a [table](syscall::TABLE) with its state. What is not there
//!   fails with `ENOSYS` and says so once; nothing succeeds silently.
//! - User memory is reached only through [`user`]; an address is a claim until a copy succeeds.
//! - Every file is non-blocking underneath; one mechanism ([`notifier`]) serves blocking calls,
//!   `poll` and `epoll`.
//! - A thread's signals, registers and memory change only by its own hand; others ask it to
//!   [attend](signal::attend).
//!
//! Refused: the 32-bit ABI, loadable modules, namespaces and other users' isolation inside one
//! guest (a guest is one application).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod abi;
mod administration;
mod boot;
mod control;
mod dump;
mod error;
mod exec;
mod file;
mod frames;
mod futex;
mod ipc;
mod memory;
mod notifier;
mod process;
mod procfs;
mod random;
mod rank;
mod report;
mod signal;
mod socket;
mod syscall;
mod system;
mod terminal;
mod thread;
mod time;
mod user;

pub use boot::{Configuration, start};
pub use dump::everything as dump;
