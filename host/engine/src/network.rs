//! A guest's network: the gateway on this host, and what the guest is told about it.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use abi_guest::{Network, NetworkFact, NetworkSource};
use drupe_network::{Addresses, GUEST_MAC, Gateway, LinkKind, MTU, Settings};

use crate::error::{Error, Result};

/// A gateway that is ready to run, and the guest's end of the link to it.
pub(crate) struct Prepared {
    pub gateway: Gateway,
    pub guest: OwnedFd,
}

/// Opens the gateway, with all ports that are published.
///
/// # Errors
/// When a port cannot be published.
pub(crate) fn prepare(settings: &Settings, kind: LinkKind) -> Result<Prepared> {
    let (ours, guest) = drupe_network::link(kind).map_err(said)?;
    let gateway = Gateway::open(settings, ours).map_err(said)?;
    Ok(Prepared { gateway, guest })
}

/// An error of the network, as one of the engine.
pub(crate) fn said(error: drupe_network::Error) -> Error {
    let hint = error.hint().map(str::to_owned);
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    let mut said = Error::new(error.to_string());
    if let Some(cause) = cause {
        said = said.because(std::io::Error::other(cause));
    }
    match hint {
        Some(hint) => said.hint(hint),
        None => said,
    }
}

/// What the guest is told: its interface, and all that it would otherwise have to ask for.
pub(crate) fn told(addresses: &Addresses, source: NetworkSource) -> (Network, Vec<NetworkFact>) {
    let network =
        Network { source, mac: GUEST_MAC, mtu: MTU, dhcp: false, routers: false, in_memory: true };
    let facts = vec![
        NetworkFact::Address(addresses.guest.into(), addresses.prefix),
        NetworkFact::Address(addresses.guest6.into(), addresses.prefix6),
        NetworkFact::Gateway(IpAddr::V4(addresses.gateway)),
        NetworkFact::Gateway(IpAddr::V6(addresses.gateway6)),
        NetworkFact::NameServer(IpAddr::V4(addresses.name_server)),
    ];
    (network, facts)
}
