//! drupe's network stack: a state machine that is polled with the time and its devices.
//!
//! - [`Shared`] is what the CPUs have in common: interfaces, routes, neighbours, who owns which
//!   port, listeners and datagram sockets. Each part has its own lock, taken for a few hundred
//!   nanoseconds and never around a call out of the stack; what the data path reads all the
//!   time (interfaces and routes) is an immutable snapshot behind a generation counter.
//! - [`Stack`] is one CPU's shard: its connections, timers, reassembly and queues. It is used by
//!   one CPU at a time (`&mut`), so nothing in it is locked. A flow belongs to the shard that the
//!   hash of its addresses and ports says; a packet that another shard receives is handed over
//!   through that shard's inbox.
//! - [`Devices`] is what a shard needs of network interfaces: receive and transmit queues.
//!
//! Principles:
//! - No globals, no clock, no blocking: the same crate serves the kernel, the host's user-mode
//!   network, tests with virtual time and fuzzers.
//! - Nothing from the network is trusted: every packet that is dropped is counted
//!   ([`Counters`]), and every queue that a peer can fill has a limit ([`Limits`]).
//! - Payload is shared between devices, queues and sockets by reference count.
//!
//! Concurrency: a caller may hold a shard (through a lock of its own, with a rank below
//! [`rank::BINDS`]) and call anything; shared parts never call back into a shard. Listeners and
//! datagram sockets are read without any shard.
//!
//! Not supported: forwarding between interfaces, policy routing, IPsec, source routing,
//! IPv4 options beyond skipping them, jumbograms.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod address;
mod bind;
mod checksum;
mod config;
mod counters;
mod datagram;
mod frame;
mod listener;
mod neighbour;
mod offload;
mod readiness;
mod route;
mod shard;
mod shared;

pub use address::{FlowKey, Prefix};
pub use bind::{BindError, BindRequest, Binding, Protocol};
pub use checksum::Sum;
pub use config::{
    AddressState, Dns, Interface, InterfaceAddress, InterfaceId, Medium, NetConfig, Offloads,
    Origin, Route,
};
pub use counters::Counters;
pub use datagram::{
    Ancillary, Datagram, DatagramKind, DatagramOptions, Group, Message, ReceiveError, SendError,
    SocketError,
};
pub use drupe_net_base as base;
pub use drupe_net_tcp as tcp;
pub use frame::{
    ChecksumRequest, Devices, Frame, HeaderBytes, Received, ReceivedMeta, Segmentation,
};
pub use listener::{Accepted, Listener};
pub use neighbour::{NeighbourState, Neighbours};
pub use readiness::{Event, Readiness};
pub use shard::{Autoconf, ConnectError, Poll, Stack, TcpId};
pub use shared::{Limits, Shared, rank};
