//! Answers about interfaces, addresses and routes.

use alloc::vec::Vec;
use core::net::IpAddr;

use errno::Errno;
use net_service::stack::{Interface, InterfaceAddress, Medium, NetConfig, Origin, Route};

use super::super::inet::{hardware_type, interface_flags};

const HEADER: usize = 16;
/// Bytes that are put into one datagram before the next is begun.
const DATAGRAM: usize = 8 << 10;

// Kinds of messages.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
// Flags of messages.
const REQUEST: u16 = 1;
const MULTI: u16 = 2;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;

const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A request's head.
struct Request<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
    whole: &'a [u8],
}

/// Splits the first request off.
fn split(bytes: &[u8]) -> Option<(Request<'_>, &[u8])> {
    let head = bytes.first_chunk::<HEADER>()?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = word(0) as usize;
    let whole = bytes.get(..length).filter(|whole| whole.len() >= HEADER)?;
    let request = Request {
        kind: u16::from_le_bytes([head[4], head[5]]),
        flags: u16::from_le_bytes([head[6], head[7]]),
        sequence: word(8),
        body: &whole[HEADER..],
        whole,
    };
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    Some((request, rest))
}

/// Messages under construction, in datagrams.
struct Answer {
    port: u32,
    sequence: u32,
    flags: u16,
    done: Vec<Vec<u8>>,
    current: Vec<u8>,
}

impl Answer {
    /// Adds a message: its fixed part, then what `attributes` adds.
    fn message(&mut self, kind: u16, fixed: &[u8], attributes: impl FnOnce(&mut Attributes<'_>)) {
        if self.current.len() >= DATAGRAM {
            self.done.push(core::mem::take(&mut self.current));
        }
        let start = self.current.len();
        self.current.extend_from_slice(&[0; 4]);
        self.current.extend_from_slice(&kind.to_le_bytes());
        self.current.extend_from_slice(&self.flags.to_le_bytes());
        self.current.extend_from_slice(&self.sequence.to_le_bytes());
        self.current.extend_from_slice(&self.port.to_le_bytes());
        self.current.extend_from_slice(fixed);
        attributes(&mut Attributes(&mut self.current));
        let length = (self.current.len() - start) as u32;
        self.current[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.current.resize(self.current.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }
}

/// Attributes of a message (`struct rtattr`).
struct Attributes<'a>(&'a mut Vec<u8>);

impl Attributes<'_> {
    fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.0.extend_from_slice(&(4 + value.len() as u16).to_le_bytes());
        self.0.extend_from_slice(&kind.to_le_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn word(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_le_bytes());
    }

    fn name(&mut self, kind: u16, name: &str) {
        let mut bytes = name.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    fn address(&mut self, kind: u16, address: &IpAddr) {
        match address {
            IpAddr::V4(v4) => self.bytes(kind, &v4.octets()),
            IpAddr::V6(v6) => self.bytes(kind, &v6.octets()),
        }
    }
}

fn family_of(address: &IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn wants(family: u8, address: &IpAddr) -> bool {
    family == AF_UNSPEC || family == family_of(address)
}

/// The datagrams that answer what a program sent.
pub fn answer(bytes: &[u8], port: u32) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut rest = bytes;
    while let Some((request, after)) = split(rest) {
        rest = after;
        if request.flags & REQUEST != 0 {
            all.extend(answer_one(&request, port));
        }
    }
    all
}

fn answer_one(request: &Request<'_>, port: u32) -> Vec<Vec<u8>> {
    let config = net_service::shared().config();
    let dump =
        request.flags & DUMP == DUMP || (request.kind != GET_LINK && request.flags & DUMP != 0);
    let mut answer = Answer {
        port,
        sequence: request.sequence,
        flags: if dump { MULTI } else { 0 },
        done: Vec::new(),
        current: Vec::new(),
    };
    let family = request.body.first().copied().unwrap_or(AF_UNSPEC);
    let result = match request.kind {
        GET_LINK if dump => {
            config.interfaces.iter().for_each(|interface| link(&mut answer, interface));
            Ok(())
        }
        GET_LINK => one_link(&mut answer, &config, request.body),
        GET_ADDRESS if dump => {
            addresses(&mut answer, &config, family);
            Ok(())
        }
        GET_ROUTE if dump => {
            let wanted = |route: &&Route| wants(family, &route.destination.address);
            let routes = config.routes.iter().filter(wanted);
            routes.for_each(|route| one_route(&mut answer, route));
            Ok(())
        }
        // Everything else would change something, or asks what is not known here.
        _ => Err(Errno::EOPNOTSUPP),
    };
    match result {
        Ok(()) if dump => answer.message(DONE, &0u32.to_le_bytes(), |_| {}),
        Ok(()) if request.flags & ACKNOWLEDGE != 0 => {
            answer.message(ERROR, &0i32.to_le_bytes(), |rest| {
                rest.0.extend_from_slice(&request.whole[..HEADER]);
            });
        }
        Ok(()) => {}
        Err(errno) => {
            let number = -i32::from(errno.number());
            answer.message(ERROR, &number.to_le_bytes(), |rest| {
                rest.0.extend_from_slice(request.whole);
            });
        }
    }
    answer.finish()
}

/// One interface, by its number or name (`struct ifinfomsg` and `IFLA_IFNAME`).
fn one_link(answer: &mut Answer, config: &NetConfig, body: &[u8]) -> Result<(), Errno> {
    const IFLA_IFNAME: u16 = 3;
    let word = |bytes: &[u8]| bytes.first_chunk::<4>().map(|word| u32::from_le_bytes(*word));
    let index = body.get(4..).and_then(word).unwrap_or(0);
    let mut name: Option<&[u8]> = None;
    let mut rest = body.get(16..).unwrap_or(&[]);
    while let Some(head) = rest.first_chunk::<4>() {
        let length = usize::from(u16::from_le_bytes([head[0], head[1]]));
        let Some(value) = rest.get(4..length) else { break };
        if u16::from_le_bytes([head[2], head[3]]) == IFLA_IFNAME {
            name = Some(value.strip_suffix(&[0]).unwrap_or(value));
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    let found = config.interfaces.iter().find(|interface| match name {
        Some(name) if index == 0 => interface.name.as_bytes() == name,
        _ => interface.id.0 == index,
    });
    link(answer, found.ok_or(Errno::ENODEV)?);
    Ok(())
}

/// An interface (`RTM_NEWLINK`).
fn link(answer: &mut Answer, interface: &Interface) {
    const IFLA_ADDRESS: u16 = 1;
    const IFLA_BROADCAST: u16 = 2;
    const IFLA_IFNAME: u16 = 3;
    const IFLA_MTU: u16 = 4;
    const IFLA_QDISC: u16 = 6;
    const IFLA_TXQLEN: u16 = 13;
    const IFLA_OPERSTATE: u16 = 16;
    const OPERATIONAL_UNKNOWN: u8 = 0;
    const OPERATIONAL_UP: u8 = 6;
    let mut fixed = alloc::vec![AF_UNSPEC, 0];
    fixed.extend_from_slice(&hardware_type(interface).to_le_bytes());
    fixed.extend_from_slice(&interface.id.0.to_le_bytes());
    fixed.extend_from_slice(&interface_flags(interface).to_le_bytes());
    fixed.extend_from_slice(&[0; 4]);
    let loops = interface.medium == Medium::Loopback;
    answer.message(NEW_LINK, &fixed, |attributes| {
        attributes.name(IFLA_IFNAME, &interface.name);
        attributes.word(IFLA_TXQLEN, 1000);
        let state = if loops { OPERATIONAL_UNKNOWN } else { OPERATIONAL_UP };
        attributes.bytes(IFLA_OPERSTATE, &[state]);
        attributes.word(IFLA_MTU, interface.mtu);
        attributes.name(IFLA_QDISC, if loops { "noqueue" } else { "mq" });
        attributes.bytes(IFLA_ADDRESS, &interface.mac);
        let broadcast = if loops { [0; 6] } else { [0xff; 6] };
        attributes.bytes(IFLA_BROADCAST, &broadcast);
    });
}

fn addresses(answer: &mut Answer, config: &NetConfig, family: u8) {
    for interface in &config.interfaces {
        for address in interface.usable() {
            if wants(family, &address.prefix.address) {
                one_address(answer, interface, address);
            }
        }
    }
}

/// An address (`RTM_NEWADDR`).
fn one_address(answer: &mut Answer, interface: &Interface, address: &InterfaceAddress) {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_LABEL: u16 = 3;
    const IFA_BROADCAST: u16 = 4;
    const IFA_FLAGS: u16 = 8;
    const PERMANENT: u8 = 0x80;
    const UNIVERSE: u8 = 0;
    const LINK: u8 = 253;
    const HOST: u8 = 254;
    let prefix = address.prefix;
    let scope = match prefix.address {
        _ if interface.medium == Medium::Loopback => HOST,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => LINK,
        _ => UNIVERSE,
    };
    let flags = if address.origin == Origin::Static { PERMANENT } else { 0 };
    let mut fixed = alloc::vec![family_of(&prefix.address), prefix.length, flags, scope];
    fixed.extend_from_slice(&interface.id.0.to_le_bytes());
    answer.message(NEW_ADDRESS, &fixed, |attributes| {
        attributes.address(IFA_ADDRESS, &prefix.address);
        if prefix.address.is_ipv4() {
            attributes.address(IFA_LOCAL, &prefix.address);
            if let Some(all) = prefix.broadcast()
                && interface.medium != Medium::Loopback
            {
                attributes.address(IFA_BROADCAST, &all.into());
            }
            attributes.name(IFA_LABEL, &interface.name);
        }
        attributes.word(IFA_FLAGS, u32::from(flags));
    });
}

/// A route (`RTM_NEWROUTE`).
fn one_route(answer: &mut Answer, route: &Route) {
    const RTA_DST: u16 = 1;
    const RTA_OIF: u16 = 4;
    const RTA_GATEWAY: u16 = 5;
    const RTA_PRIORITY: u16 = 6;
    const RTA_PREFSRC: u16 = 7;
    const RTA_TABLE: u16 = 15;
    const MAIN: u8 = 254;
    const UNIVERSE: u8 = 0;
    const LINK: u8 = 253;
    const UNICAST: u8 = 1;
    const UNREACHABLE: u8 = 7;
    let protocol = match route.origin {
        Origin::Static => 4,
        Origin::Dhcp => 16,
        Origin::Router => 9,
    };
    let destination = route.destination;
    let kind = if route.interface.is_some() { UNICAST } else { UNREACHABLE };
    let scope = if route.gateway.is_some() { UNIVERSE } else { LINK };
    let scope = if destination.address.is_ipv4() { scope } else { UNIVERSE };
    let mut fixed = alloc::vec![
        family_of(&destination.address),
        destination.length,
        0,
        0,
        MAIN,
        protocol,
        scope,
        kind,
    ];
    fixed.extend_from_slice(&[0; 4]);
    answer.message(NEW_ROUTE, &fixed, |attributes| {
        attributes.word(RTA_TABLE, u32::from(MAIN));
        if destination.length > 0 {
            attributes.address(RTA_DST, &destination.network());
        }
        if let Some(gateway) = route.gateway {
            attributes.address(RTA_GATEWAY, &gateway);
        }
        if let Some(source) = route.source {
            attributes.address(RTA_PREFSRC, &source);
        }
        if route.metric > 0 {
            attributes.word(RTA_PRIORITY, route.metric);
        }
        if let Some(interface) = route.interface {
            attributes.word(RTA_OIF, interface.0);
        }
    });
}
