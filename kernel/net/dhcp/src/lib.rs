//! DHCP clients as state machines: messages and time go in, messages and leases come out.
//!
//! - [`Client4`]: DHCPv4 (RFC 2131) with routes, name servers and search domains.
//! - [`Client6`]: DHCPv6 (RFC 8415), an address or only configuration, as routers ask for it.
//!
//! Neither knows sockets or interfaces: the caller carries UDP payloads and applies leases.
//! Refused: servers, relays, prefix delegation, authentication.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod names;
mod v4;
mod v6;

pub use v4::{
    CLIENT_PORT as CLIENT_PORT4, Client4, Lease4, Outgoing4, SERVER_PORT as SERVER_PORT4,
};
pub use v6::{CLIENT_PORT as CLIENT_PORT6, Client6, Lease6, Mode6, SERVER_PORT as SERVER_PORT6};

/// A message that makes no sense, or is not for this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// What a message or the time changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<L> {
    /// Nothing.
    None,
    /// There is a lease, new or renewed: replace what was before.
    Lease(L),
    /// The lease ended: take its address away.
    Lost,
}
