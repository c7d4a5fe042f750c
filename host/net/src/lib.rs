//! The user-mode network of the host: what a guest finds at the other end of its network
//! interface, without root.
//!
//! A [`Gateway`] speaks Ethernet with one guest over a descriptor that carries a frame per message,
//! and plain sockets with the world. TCP connections end here on both sides: drupe's own stack
//! answers the guest in the name of whoever it wants to reach, and bytes are passed on. UDP is
//! passed on datagram by datagram. Published ports of the host lead to the guest.
//!
//! Principles: whatever cannot work is refused before the guest starts ([`Gateway::open`]); what a
//! guest sends is data and never trusted; every table that a guest can fill has a limit, and
//! memory that it occupies is bounded; a connection is refused or reset to the guest exactly when
//! it is to the gateway.
//!
//! Refused here: the host's own loopback addresses as destinations (a guest is not the host), and
//! protocols other than TCP and UDP.
#![forbid(unsafe_code)]

mod addresses;
mod error;
mod flow;
mod frames;
mod gateway;
mod link;
mod publish;
mod resolver;
mod udp;

pub use addresses::{Addresses, GATEWAY_MAC, GUEST_MAC, MTU};
pub use error::{Error, Result};
pub use gateway::{Gateway, Running, Settings};
pub use link::{LinkKind, link};
pub use publish::{Protocol, Published};
