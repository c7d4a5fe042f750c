use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use drupe_net_base::{Instant, Random, SECOND};
use smoltcp::wire::{DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress};

use crate::names::read_names;
use crate::{Change, Malformed};

/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;
/// UDP port of servers.
pub const SERVER_PORT: u16 = 67;

const SUBNET_MASK: u8 = 1;
const ROUTERS: u8 = 3;
const NAME_SERVERS: u8 = 6;
const HOST_NAME: u8 = 12;
const DOMAIN: u8 = 15;
const MTU: u8 = 26;
const LEASE_TIME: u8 = 51;
const RENEWAL_TIME: u8 = 58;
const REBINDING_TIME: u8 = 59;
const SEARCH: u8 = 119;
const CLASSLESS_ROUTES: u8 = 121;
const WANTED: [u8; 7] = [SUBNET_MASK, ROUTERS, NAME_SERVERS, DOMAIN, MTU, SEARCH, CLASSLESS_ROUTES];

/// First wait for an answer; it doubles up to the greatest one.
const FIRST_WAIT: u64 = SECOND;
const GREATEST_WAIT: u64 = 64 * SECOND;
/// Requests without an answer before the search starts over.
const MOST_REQUESTS: u8 = 4;
const LEAST_LEASE: u32 = 60;

/// What a server gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease4 {
    /// The address.
    pub address: Ipv4Addr,
    /// Bits of the network prefix.
    pub prefix_length: u8,
    /// Routes: destination, prefix length, router (unspecified: on the link). The default route
    /// is among them.
    pub routes: Vec<(Ipv4Addr, u8, Ipv4Addr)>,
    /// Name servers.
    pub name_servers: Vec<Ipv4Addr>,
    /// Search domains.
    pub search: Vec<String>,
    /// Largest packet, if the server says.
    pub mtu: Option<u16>,
    /// The server.
    pub server: Ipv4Addr,
    /// When the lease ends.
    pub expires: Instant,
}

/// A message to be sent from port 68 to port 67.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing4 {
    /// Source address; unspecified before there is a lease.
    pub source: Ipv4Addr,
    /// Destination; the broadcast address unless a lease is renewed.
    pub destination: Ipv4Addr,
    /// The payload.
    pub message: Vec<u8>,
}

#[derive(Debug, Clone)]
enum State {
    Selecting,
    Requesting { address: Ipv4Addr, server: Ipv4Addr },
    Bound { lease: Lease4, renew: Instant, rebind: Instant },
}

/// The client.
#[derive(Debug)]
pub struct Client4 {
    mac: [u8; 6],
    host_name: Option<String>,
    random: Random,
    state: State,
    transaction: u32,
    started: Instant,
    wait: u64,
    tries: u8,
    next: Instant,
}

impl Client4 {
    /// A client that begins its search at `now`. `seed` is entropy, `host_name` is told to the
    /// server.
    pub fn new(mac: [u8; 6], host_name: Option<String>, seed: [u64; 2], now: Instant) -> Self {
        let mut client = Client4 {
            mac,
            host_name,
            random: Random::new(seed),
            state: State::Selecting,
            transaction: 0,
            started: now,
            wait: FIRST_WAIT,
            tries: 0,
            next: now,
        };
        client.start(now);
        client
    }

    fn start(&mut self, now: Instant) {
        self.state = State::Selecting;
        self.transaction = self.random.bits() as u32;
        self.started = now;
        self.wait = FIRST_WAIT;
        self.tries = 0;
        self.next = now;
    }

    /// When [`Client4::poll`] is next due.
    pub fn deadline(&self) -> Instant {
        match &self.state {
            State::Bound { lease, .. } => self.next.min(lease.expires),
            _ => self.next,
        }
    }

    /// Does what is due: maybe a message to send, maybe the end of the lease.
    pub fn poll(&mut self, now: Instant) -> (Option<Outgoing4>, Change<Lease4>) {
        if let State::Bound { lease, .. } = &self.state
            && lease.expires <= now
        {
            self.start(now);
            return (Some(self.send(now)), Change::Lost);
        }
        if self.next > now {
            return (None, Change::None);
        }
        if matches!(self.state, State::Requesting { .. }) && self.tries >= MOST_REQUESTS {
            self.start(now);
        }
        (Some(self.send(now)), Change::None)
    }

    fn send(&mut self, now: Instant) -> Outgoing4 {
        self.tries = self.tries.saturating_add(1);
        self.plan(now);
        let broadcast = Ipv4Addr::BROADCAST;
        let unset = Ipv4Addr::UNSPECIFIED;
        let (kind, source, destination, requested, server) = match &self.state {
            State::Selecting => (DhcpMessageType::Discover, unset, broadcast, None, None),
            State::Requesting { address, server } => {
                (DhcpMessageType::Request, unset, broadcast, Some(*address), Some(*server))
            }
            State::Bound { lease, rebind, .. } => {
                let to = if now < *rebind { lease.server } else { broadcast };
                (DhcpMessageType::Request, lease.address, to, None, None)
            }
        };
        let seconds = (now.since(self.started) / SECOND).min(0xffff) as u16;
        let message = self.message(kind, seconds, source, requested, server);
        Outgoing4 { source, destination, message }
    }

    /// Sets the time of the next message.
    fn plan(&mut self, now: Instant) {
        match &self.state {
            State::Bound { lease, rebind, .. } => {
                // Half of what remains, at least a minute (RFC 2131 §4.4.5).
                let end = if now < *rebind { *rebind } else { lease.expires };
                self.next = now + (end.since(now) / 2).max(60 * SECOND);
                if self.next > end {
                    self.next = end.max(now + SECOND);
                }
            }
            _ => {
                // Ten percent of chance, so that a herd of machines spreads.
                let spread = self.random.below(self.wait / 5);
                self.next = now + self.wait - self.wait / 10 + spread;
                self.wait = (self.wait * 2).min(GREATEST_WAIT);
            }
        }
    }

    fn message(
        &self,
        kind: DhcpMessageType,
        seconds: u16,
        client: Ipv4Addr,
        requested: Option<Ipv4Addr>,
        server: Option<Ipv4Addr>,
    ) -> Vec<u8> {
        let mac = EthernetAddress(self.mac);
        let name = self.host_name.as_deref().unwrap_or("");
        let name = &name.as_bytes()[..name.len().min(63)];
        let host_name = [DhcpOption { kind: HOST_NAME, data: name }];
        let repr = DhcpRepr {
            message_type: kind,
            transaction_id: self.transaction,
            secs: seconds,
            client_hardware_address: mac,
            client_ip: client,
            your_ip: Ipv4Addr::UNSPECIFIED,
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            // Answers may come as unicast: the stack takes them before it has the address.
            broadcast: false,
            requested_ip: requested,
            client_identifier: Some(mac),
            server_identifier: server,
            parameter_request_list: Some(&WANTED),
            dns_servers: None,
            max_size: Some(1472),
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: if name.is_empty() { &[] } else { &host_name },
        };
        // Old relays drop messages shorter than BOOTP's.
        let mut bytes = vec![0; repr.buffer_len().max(300)];
        let emitted = repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]));
        debug_assert!(emitted.is_ok());
        bytes
    }

    /// Takes a message from a server.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<Change<Lease4>, Malformed> {
        let packet = DhcpPacket::new_checked(bytes).map_err(|_| Malformed)?;
        let repr = DhcpRepr::parse(&packet).map_err(|_| Malformed)?;
        if repr.transaction_id != self.transaction || repr.client_hardware_address.0 != self.mac {
            return Err(Malformed);
        }
        let server = repr.server_identifier.ok_or(Malformed)?;
        match (&self.state, repr.message_type) {
            (State::Selecting, DhcpMessageType::Offer) => {
                let address = repr.your_ip;
                if !is_host(address) {
                    return Err(Malformed);
                }
                self.state = State::Requesting { address, server };
                self.wait = FIRST_WAIT;
                self.tries = 0;
                self.next = now;
                Ok(Change::None)
            }
            (State::Requesting { .. } | State::Bound { .. }, DhcpMessageType::Ack) => {
                let lease = read_lease(&packet, &repr, server, now).ok_or(Malformed)?;
                if let State::Requesting { server: asked, .. } = self.state
                    && asked != server
                {
                    return Err(Malformed);
                }
                self.bind(&packet, lease.clone(), now);
                Ok(Change::Lease(lease))
            }
            (State::Requesting { server: asked, .. }, DhcpMessageType::Nak) if *asked == server => {
                self.start(now);
                // Not at once: a server that always refuses would make a storm.
                self.next = now + SECOND;
                Ok(Change::None)
            }
            (State::Bound { .. }, DhcpMessageType::Nak) if self.tries > 0 => {
                self.start(now);
                Ok(Change::Lost)
            }
            _ => Ok(Change::None),
        }
    }

    fn bind(&mut self, packet: &DhcpPacket<&[u8]>, lease: Lease4, now: Instant) {
        let length = lease.expires.since(now);
        let read = |kind| option32(packet, kind).map(|seconds| u64::from(seconds) * SECOND);
        let forever = !lease.expires.is_armed();
        let renew = read(RENEWAL_TIME).unwrap_or(length / 2).min(length);
        let rebind = read(REBINDING_TIME).unwrap_or(length / 8 * 7).clamp(renew, length);
        let (renew, rebind) = match forever {
            true => (Instant::NEVER, Instant::NEVER),
            false => (now + renew, now + rebind),
        };
        self.next = renew;
        self.tries = 0;
        self.state = State::Bound { lease, renew, rebind };
        self.started = renew;
    }

    /// The lease, while there is one.
    pub fn lease(&self) -> Option<&Lease4> {
        match &self.state {
            State::Bound { lease, renew, .. } => {
                debug_assert!(*renew <= lease.expires);
                Some(lease)
            }
            _ => None,
        }
    }
}

fn is_host(address: Ipv4Addr) -> bool {
    !address.is_unspecified()
        && !address.is_broadcast()
        && !address.is_multicast()
        && !address.is_loopback()
}

fn option32(packet: &DhcpPacket<&[u8]>, kind: u8) -> Option<u32> {
    let option = packet.options().find(|option| option.kind == kind)?;
    Some(u32::from_be_bytes(option.data.try_into().ok()?))
}

fn read_lease(
    packet: &DhcpPacket<&[u8]>,
    repr: &DhcpRepr<'_>,
    server: Ipv4Addr,
    now: Instant,
) -> Option<Lease4> {
    let address = repr.your_ip;
    let seconds = option32(packet, LEASE_TIME)?.max(LEAST_LEASE);
    let mask = repr.subnet_mask.map_or(u32::MAX << 8, Ipv4Addr::to_bits);
    if !is_host(address) || mask.leading_ones() + mask.trailing_zeros() != 32 {
        return None;
    }
    let mut lease = Lease4 {
        address,
        prefix_length: mask.leading_ones() as u8,
        routes: Vec::new(),
        name_servers: Vec::new(),
        search: Vec::new(),
        mtu: None,
        server,
        expires: match seconds {
            u32::MAX => Instant::NEVER,
            seconds => now + u64::from(seconds) * SECOND,
        },
    };
    let mut domain = None;
    let mut routers = Vec::new();
    for option in packet.options() {
        match option.kind {
            ROUTERS => routers = addresses(option.data),
            NAME_SERVERS => lease.name_servers = addresses(option.data),
            DOMAIN => domain = core::str::from_utf8(option.data).ok(),
            SEARCH => lease.search = read_names(option.data),
            MTU => {
                let mtu = option.data.try_into().ok().map(u16::from_be_bytes);
                lease.mtu = mtu.filter(|mtu| *mtu >= 576);
            }
            CLASSLESS_ROUTES => lease.routes = read_routes(option.data),
            _ => {}
        }
    }
    // With classless routes the router option is void (RFC 3442).
    if lease.routes.is_empty()
        && let Some(router) = routers.first()
    {
        lease.routes.push((Ipv4Addr::UNSPECIFIED, 0, *router));
    }
    if lease.search.is_empty()
        && let Some(domain) = domain
    {
        let domain = domain.trim_end_matches(['\0', '.']);
        let plain = domain.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c));
        if plain && !domain.is_empty() {
            lease.search.push(domain.into());
        }
    }
    Some(lease)
}

fn addresses(data: &[u8]) -> Vec<Ipv4Addr> {
    data.as_chunks::<4>().0.iter().take(8).map(|octets| Ipv4Addr::from(*octets)).collect()
}

/// Destination, with as many octets as its prefix needs, and router (RFC 3442).
fn read_routes(mut data: &[u8]) -> Vec<(Ipv4Addr, u8, Ipv4Addr)> {
    let mut routes = Vec::new();
    while let Some((&length, rest)) = data.split_first() {
        let significant = usize::from(length).div_ceil(8);
        if length > 32 || rest.len() < significant + 4 || routes.len() >= 64 {
            break;
        }
        let mut destination = [0; 4];
        destination[..significant].copy_from_slice(&rest[..significant]);
        let router = &rest[significant..significant + 4];
        let router = Ipv4Addr::new(router[0], router[1], router[2], router[3]);
        routes.push((destination.into(), length, router));
        data = &rest[significant + 4..];
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

    /// A server's answer to a client's message.
    fn answer(request: &[u8], kind: DhcpMessageType, lease: u32) -> Vec<u8> {
        let packet = DhcpPacket::new_checked(request).unwrap();
        let asked = DhcpRepr::parse(&packet).unwrap();
        let routes = [0, 10, 0, 0, 1, 16, 10, 9, 10, 0, 0, 2];
        let options = [
            DhcpOption { kind: CLASSLESS_ROUTES, data: &routes },
            DhcpOption { kind: SEARCH, data: b"\x07example\x03org\x00" },
            DhcpOption { kind: MTU, data: &[0x05, 0x78] },
        ];
        let server = Ipv4Addr::new(10, 0, 0, 1);
        let mut repr = asked.clone();
        repr.message_type = kind;
        repr.your_ip = Ipv4Addr::new(10, 0, 0, 50);
        repr.server_identifier = Some(server);
        repr.subnet_mask = Some(Ipv4Addr::new(255, 255, 255, 0));
        repr.router = Some(Ipv4Addr::new(10, 0, 0, 99));
        repr.lease_duration = Some(lease);
        repr.dns_servers = None;
        repr.parameter_request_list = None;
        repr.additional_options = &options;
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..])).unwrap();
        bytes
    }

    fn bound(now: Instant) -> (Client4, Lease4) {
        let mut client = Client4::new(MAC, Some("drupe".into()), [1, 2], now);
        let discover = client.poll(now).0.unwrap();
        assert_eq!(discover.destination, Ipv4Addr::BROADCAST);
        let offer = answer(&discover.message, DhcpMessageType::Offer, 3600);
        assert_eq!(client.receive(&offer, now), Ok(Change::None));
        let request = client.poll(now).0.unwrap();
        let ack = answer(&request.message, DhcpMessageType::Ack, 3600);
        let Ok(Change::Lease(lease)) = client.receive(&ack, now) else { panic!("no lease") };
        (client, lease)
    }

    #[test]
    fn a_lease_is_found_renewed_and_lost() {
        let start = Instant::from_millis(5000);
        let (mut client, lease) = bound(start);
        assert_eq!((lease.address, lease.prefix_length), (Ipv4Addr::new(10, 0, 0, 50), 24));
        let router = Ipv4Addr::new(10, 0, 0, 1);
        assert_eq!(lease.routes[0], (Ipv4Addr::UNSPECIFIED, 0, router));
        assert_eq!(lease.routes[1].1, 16);
        assert_eq!(lease.search, ["example.org"]);
        assert_eq!(lease.mtu, Some(1400));
        assert_eq!(client.deadline(), start + 1800 * SECOND);
        // Renewal goes to the server, from the address.
        let now = client.deadline();
        let (request, change) = client.poll(now);
        let request = request.unwrap();
        assert_eq!((change, request.destination), (Change::None, router));
        assert_eq!(request.source, lease.address);
        let ack = answer(&request.message, DhcpMessageType::Ack, 3600);
        assert!(matches!(client.receive(&ack, now), Ok(Change::Lease(_))));
        // Nobody answers any more: broadcast after the rebinding time, then the end.
        let mut broadcast = false;
        loop {
            let now = client.deadline();
            let (message, change) = client.poll(now);
            if change == Change::Lost {
                break;
            }
            broadcast |= message.is_some_and(|m| m.destination == Ipv4Addr::BROADCAST);
        }
        assert!(broadcast && client.lease().is_none());
    }

    #[test]
    fn silence_is_met_with_longer_and_longer_waits() {
        let mut now = Instant::ZERO;
        let mut client = Client4::new(MAC, None, [1, 2], now);
        let mut sent = 0;
        while now < Instant::from_millis(300_000) {
            sent += usize::from(client.poll(now).0.is_some());
            now = client.deadline();
        }
        assert!((8..13).contains(&sent), "{sent}");
    }

    #[test]
    fn other_transactions_are_ignored() {
        let now = Instant::ZERO;
        let mut client = Client4::new(MAC, None, [1, 2], now);
        let discover = client.poll(now).0.unwrap();
        let mut offer = answer(&discover.message, DhcpMessageType::Offer, 3600);
        offer[4] ^= 1;
        assert_eq!(client.receive(&offer, now), Err(Malformed));
    }

    proptest! {
        #[test]
        fn hostile_answers_do_no_harm(
            flips in prop::collection::vec((0usize..400, any::<u8>()), 0..12),
            cut in 0usize..400,
            lease in any::<u32>(),
        ) {
            let now = Instant::from_millis(1);
            let mut client = Client4::new(MAC, None, [1, 2], now);
            let discover = client.poll(now).0.unwrap();
            for kind in [DhcpMessageType::Offer, DhcpMessageType::Ack, DhcpMessageType::Nak] {
                let mut bytes = answer(&discover.message, kind, lease);
                for (at, value) in &flips {
                    let at = at % bytes.len();
                    if at > 8 { bytes[at] = *value; }
                }
                let keep = bytes.len() - cut.min(bytes.len());
                let _ = client.receive(&bytes[..keep], now);
                let _ = client.receive(&bytes, now);
                let _ = client.poll(client.deadline().min(now + 1000 * SECOND));
            }
        }
    }
}
