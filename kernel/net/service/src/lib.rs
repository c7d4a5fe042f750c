//! The network stack inside a kernel: what joins the pure state machine of `drupe-net-stack` with
//! vCPUs, devices and timers.
//!
//! - There is one shard per vCPU, behind a lock of its own, and any vCPU may use any shard:
//!   [`with`] calls into one, then does what the call made possible (sends, delivers over the
//!   loopback interface, hands packets to other shards) before it returns.
//! - Devices are polled when they ask for it ([`hal::device_events`]), by an idle vCPU or by one
//!   that leaves user mode; nothing polls in vain.
//! - Changes of readiness are told to [`Observer`]s without any lock of the network held.
//!
//! Refused here: sockets as programs know them, which are the personality's, and drivers, which
//! are the image's.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod device;
mod observer;
mod service;

pub use device::{Device, Interface, MakeDevice};
pub use drupe_net_stack as stack;
pub use observer::{Observer, Token};
pub use service::{Settings, now, shards, shared, start, with};
