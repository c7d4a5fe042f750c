use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

use drupe_net_base::{Instant, MILLISECOND, Random, SECOND};

use crate::names::read_names;
use crate::{Change, Malformed};

/// UDP port of clients.
pub const CLIENT_PORT: u16 = 546;
/// UDP port of servers and relays.
pub const SERVER_PORT: u16 = 547;

const SOLICIT: u8 = 1;
const ADVERTISE: u8 = 2;
const REQUEST: u8 = 3;
const RENEW: u8 = 5;
const REBIND: u8 = 6;
const REPLY: u8 = 7;
const INFORMATION: u8 = 11;

const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const IA_NA: u16 = 3;
const IA_ADDRESS: u16 = 5;
const WANTED: u16 = 6;
const ELAPSED: u16 = 8;
const STATUS: u16 = 13;
const NAME_SERVERS: u16 = 23;
const SEARCH: u16 = 24;
const REFRESH: u16 = 32;

const FIRST_WAIT: u64 = SECOND;
const GREATEST_WAIT: u64 = 120 * SECOND;
const MOST_REQUESTS: u8 = 10;
const DEFAULT_REFRESH: u64 = 86_400 * SECOND;
const LEAST_REFRESH: u64 = 600 * SECOND;
const FOREVER: u32 = u32::MAX;

/// What routers ask hosts to do (RFC 4861 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode6 {
    /// Get an address and configuration ("managed").
    Address,
    /// Get configuration only ("other").
    Information,
}

/// What a server gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease6 {
    /// The address with the ends of its preferred and its valid lifetime.
    pub address: Option<(Ipv6Addr, Instant, Instant)>,
    /// Name servers.
    pub name_servers: Vec<Ipv6Addr>,
    /// Search domains.
    pub search: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Soliciting,
    Requesting,
    Bound { rebind: Instant, valid: Instant },
    Informing,
    Informed,
}

/// The client. Messages go from the link-local address, port 546, to ff02::1:2, port 547.
#[derive(Debug)]
pub struct Client6 {
    mac: [u8; 6],
    random: Random,
    mode: Mode6,
    state: State,
    transaction: u32,
    server: Vec<u8>,
    address: Option<Ipv6Addr>,
    started: Instant,
    wait: u64,
    tries: u8,
    next: Instant,
}

#[derive(Debug, Default)]
struct Message<'a> {
    client: Option<&'a [u8]>,
    server: Option<&'a [u8]>,
    status: u16,
    address: Option<(Ipv6Addr, u32, u32)>,
    times: (u32, u32),
    name_servers: Vec<Ipv6Addr>,
    search: Vec<String>,
    refresh: Option<u32>,
}

impl Client6 {
    /// A client that begins at `now`.
    pub fn new(mac: [u8; 6], mode: Mode6, seed: [u64; 2], now: Instant) -> Self {
        let mut client = Client6 {
            mac,
            random: Random::new(seed),
            mode,
            state: State::Soliciting,
            transaction: 0,
            server: Vec::new(),
            address: None,
            started: now,
            wait: FIRST_WAIT,
            tries: 0,
            next: now,
        };
        client.start(now);
        // RFC 8415 §18.2.1: not all at once after a power failure.
        client.next = now + client.random.below(100 * MILLISECOND);
        client
    }

    /// What the client is for.
    pub fn mode(&self) -> Mode6 {
        self.mode
    }

    fn start(&mut self, now: Instant) {
        self.address = None;
        self.server.clear();
        let state = match self.mode {
            Mode6::Address => State::Soliciting,
            Mode6::Information => State::Informing,
        };
        self.enter(state, now);
    }

    fn enter(&mut self, state: State, now: Instant) {
        self.state = state;
        self.transaction = self.random.bits() as u32 & 0x00ff_ffff;
        self.started = now;
        self.wait = FIRST_WAIT;
        self.tries = 0;
        self.next = now;
    }

    /// When [`Client6::poll`] is next due.
    pub fn deadline(&self) -> Instant {
        match self.state {
            State::Bound { valid, .. } => self.next.min(valid),
            _ => self.next,
        }
    }

    /// Does what is due: maybe a message to send, maybe the end of the lease.
    pub fn poll(&mut self, now: Instant) -> (Option<Vec<u8>>, Change<Lease6>) {
        if let State::Bound { valid, .. } = self.state
            && valid <= now
        {
            self.start(now);
            return (Some(self.send(now)), Change::Lost);
        }
        if self.next > now {
            return (None, Change::None);
        }
        match self.state {
            State::Requesting if self.tries >= MOST_REQUESTS => self.start(now),
            State::Informed => self.enter(State::Informing, now),
            _ => {}
        }
        (Some(self.send(now)), Change::None)
    }

    fn send(&mut self, now: Instant) -> Vec<u8> {
        let kind = match self.state {
            State::Soliciting => SOLICIT,
            State::Requesting => REQUEST,
            State::Bound { rebind, .. } if now < rebind => RENEW,
            State::Bound { .. } => REBIND,
            State::Informing | State::Informed => INFORMATION,
        };
        if self.tries == 0 {
            self.started = now;
        }
        self.tries = self.tries.saturating_add(1);
        let spread = self.random.below(self.wait / 5);
        self.next = now + self.wait - self.wait / 10 + spread;
        self.wait = (self.wait * 2).min(GREATEST_WAIT);
        self.message(kind, now)
    }

    fn message(&self, kind: u8, now: Instant) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.push(kind);
        out.extend(&self.transaction.to_be_bytes()[1..]);
        put(&mut out, CLIENT_ID, &self.identity());
        if matches!(kind, REQUEST | RENEW) {
            put(&mut out, SERVER_ID, &self.server);
        }
        let elapsed = (now.since(self.started) / (10 * MILLISECOND)).min(0xffff) as u16;
        put(&mut out, ELAPSED, &elapsed.to_be_bytes());
        if kind != INFORMATION {
            let mut ia = Vec::with_capacity(40);
            ia.extend(self.association().to_be_bytes());
            ia.extend([0; 8]);
            if let Some(address) = self.address {
                let mut body = Vec::with_capacity(24);
                body.extend(address.octets());
                body.extend([0; 8]);
                put(&mut ia, IA_ADDRESS, &body);
            }
            put(&mut out, IA_NA, &ia);
        }
        let mut wanted = Vec::new();
        for option in [NAME_SERVERS, SEARCH, REFRESH] {
            wanted.extend(option.to_be_bytes());
        }
        put(&mut out, WANTED, &wanted);
        out
    }

    /// DUID-LL (RFC 8415 §11.4): stable as long as the hardware address is.
    fn identity(&self) -> [u8; 10] {
        let [a, b, c, d, e, f] = self.mac;
        [0, 3, 0, 1, a, b, c, d, e, f]
    }

    fn association(&self) -> u32 {
        let [.., c, d, e, f] = self.mac;
        u32::from_be_bytes([c, d, e, f])
    }

    /// Takes a message from a server.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<Change<Lease6>, Malformed> {
        let (&kind, rest) = bytes.split_first().ok_or(Malformed)?;
        let (transaction, options) = rest.split_at_checked(3).ok_or(Malformed)?;
        let transaction = u32::from_be_bytes([0, transaction[0], transaction[1], transaction[2]]);
        let message = read(options, self.association())?;
        if transaction != self.transaction || message.client != Some(&self.identity()[..]) {
            return Err(Malformed);
        }
        let server = message.server.ok_or(Malformed)?;
        match (&self.state, kind) {
            (State::Soliciting, ADVERTISE) => {
                let Some((address, ..)) = message.address.filter(|_| message.status == 0) else {
                    return Ok(Change::None);
                };
                self.address = Some(address);
                self.server = server.to_vec();
                self.enter(State::Requesting, now);
                Ok(Change::None)
            }
            (State::Requesting | State::Bound { .. }, REPLY) => self.on_reply(&message, now),
            (State::Informing, REPLY) => {
                let refresh = message.refresh.map_or(DEFAULT_REFRESH, |s| u64::from(s) * SECOND);
                self.state = State::Informed;
                self.next = now + refresh.max(LEAST_REFRESH);
                Ok(Change::Lease(Lease6 {
                    address: None,
                    name_servers: message.name_servers,
                    search: message.search,
                }))
            }
            _ => Ok(Change::None),
        }
    }

    fn on_reply(
        &mut self,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<Change<Lease6>, Malformed> {
        let had = matches!(self.state, State::Bound { .. });
        let usable = message.address.filter(|(_, preferred, valid)| {
            message.status == 0 && *valid > 0 && preferred <= valid
        });
        let Some((address, preferred, valid)) = usable else {
            self.start(now);
            self.next = now + SECOND;
            return Ok(if had { Change::Lost } else { Change::None });
        };
        let end = |seconds: u32| match seconds {
            FOREVER => Instant::NEVER,
            seconds => now + u64::from(seconds) * SECOND,
        };
        let (t1, t2) = message.times;
        let renew = if t1 == 0 { preferred / 2 } else { t1.min(valid) };
        let rebind = if t2 == 0 { preferred / 5 * 4 } else { t2.min(valid) }.max(renew);
        self.enter(State::Bound { rebind: end(rebind), valid: end(valid) }, now);
        self.wait = 10 * SECOND;
        self.next = end(renew).max(now + SECOND);
        self.address = Some(address);
        if let Some(server) = message.server {
            self.server = server.to_vec();
        }
        Ok(Change::Lease(Lease6 {
            address: Some((address, end(preferred), end(valid))),
            name_servers: message.name_servers.clone(),
            search: message.search.clone(),
        }))
    }
}

fn put(out: &mut Vec<u8>, kind: u16, data: &[u8]) {
    out.extend(kind.to_be_bytes());
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
}

/// Calls `each` with every option.
fn options<'a>(
    mut bytes: &'a [u8],
    mut each: impl FnMut(u16, &'a [u8]) -> Option<()>,
) -> Result<(), Malformed> {
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at_checked(4).ok_or(Malformed)?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (data, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        each(kind, data).ok_or(Malformed)?;
        bytes = rest;
    }
    Ok(())
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn read(bytes: &[u8], association: u32) -> Result<Message<'_>, Malformed> {
    let mut message = Message::default();
    options(bytes, |kind, data| {
        match kind {
            CLIENT_ID => message.client = Some(data),
            SERVER_ID if !data.is_empty() && data.len() <= 130 => message.server = Some(data),
            STATUS => message.status = u16::from_be_bytes(*data.first_chunk()?),
            NAME_SERVERS => {
                let servers = data.as_chunks::<16>().0.iter().take(8);
                message.name_servers = servers.map(|octets| Ipv6Addr::from(*octets)).collect();
            }
            SEARCH => message.search = read_names(data),
            REFRESH => message.refresh = be32(data, 0),
            IA_NA if be32(data, 0)? == association => {
                message.times = (be32(data, 4)?, be32(data, 8)?);
                let inner = data.get(12..)?;
                options(inner, |kind, data| {
                    match kind {
                        IA_ADDRESS => {
                            let octets: [u8; 16] = *data.first_chunk()?;
                            let address = Ipv6Addr::from(octets);
                            if !address.is_multicast() && !address.is_unspecified() {
                                message.address = Some((address, be32(data, 16)?, be32(data, 20)?));
                            }
                        }
                        STATUS => message.status = u16::from_be_bytes(*data.first_chunk()?),
                        _ => {}
                    }
                    Some(())
                })
                .ok()?;
            }
            _ => {}
        }
        Some(())
    })?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

    fn answer(request: &[u8], kind: u8, valid: u32) -> Vec<u8> {
        let mut out = request[..4].to_vec();
        out[0] = kind;
        put(&mut out, CLIENT_ID, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 9]);
        put(&mut out, SERVER_ID, b"server");
        let mut address = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x50).octets().to_vec();
        address.extend((valid / 2).to_be_bytes());
        address.extend(valid.to_be_bytes());
        let mut ia = 9u32.to_be_bytes().to_vec();
        ia.extend([0; 8]);
        put(&mut ia, IA_ADDRESS, &address);
        put(&mut out, IA_NA, &ia);
        put(&mut out, NAME_SERVERS, &Ipv6Addr::LOCALHOST.octets());
        put(&mut out, SEARCH, b"\x07example\x03org\x00");
        out
    }

    #[test]
    fn an_address_is_leased_renewed_and_lost() {
        let mut now = Instant::from_millis(1000);
        let mut client = Client6::new(MAC, Mode6::Address, [1, 2], now);
        now = client.deadline();
        let solicit = client.poll(now).0.unwrap();
        assert_eq!(solicit[0], SOLICIT);
        assert_eq!(client.receive(&answer(&solicit, ADVERTISE, 1000), now), Ok(Change::None));
        let request = client.poll(now).0.unwrap();
        assert_eq!(request[0], REQUEST);
        let Ok(Change::Lease(lease)) = client.receive(&answer(&request, REPLY, 1000), now) else {
            panic!("no lease")
        };
        let (address, preferred, valid) = lease.address.unwrap();
        assert_eq!(address, "fd00::50".parse::<Ipv6Addr>().unwrap());
        assert_eq!((preferred, valid), (now + 500 * SECOND, now + 1000 * SECOND));
        assert_eq!(lease.search, ["example.org"]);
        assert_eq!(client.deadline(), now + 250 * SECOND);
        now = client.deadline();
        let renew = client.poll(now).0.unwrap();
        assert_eq!(renew[0], RENEW);
        let reply = client.receive(&answer(&renew, REPLY, 1000), now);
        assert!(matches!(reply, Ok(Change::Lease(_))));
        let mut kinds = Vec::new();
        loop {
            now = client.deadline();
            let (message, change) = client.poll(now);
            kinds.extend(message.map(|message| message[0]));
            if change == Change::Lost {
                break;
            }
        }
        assert!(kinds.contains(&RENEW) && kinds.contains(&REBIND));
        assert_eq!(kinds.last(), Some(&SOLICIT));
    }

    #[test]
    fn information_alone() {
        let mut client = Client6::new(MAC, Mode6::Information, [1, 2], Instant::ZERO);
        let now = client.deadline();
        let request = client.poll(now).0.unwrap();
        assert_eq!(request[0], INFORMATION);
        let Ok(Change::Lease(lease)) = client.receive(&answer(&request, REPLY, 9), now) else {
            panic!("nothing")
        };
        assert_eq!((lease.address, lease.name_servers.len()), (None, 1));
        assert_eq!(client.deadline(), now + DEFAULT_REFRESH);
    }

    proptest! {
        #[test]
        fn hostile_answers_do_no_harm(
            flips in prop::collection::vec((0usize..120, any::<u8>()), 0..12),
            cut in 0usize..120,
        ) {
            let mut client = Client6::new(MAC, Mode6::Address, [1, 2], Instant::ZERO);
            for kind in [ADVERTISE, REPLY, REPLY] {
                let now = client.deadline().min(Instant::from_millis(1 << 40));
                let Some(request) = client.poll(now).0 else { continue };
                let mut bytes = answer(&request, kind, 1000);
                for (at, value) in &flips {
                    let at = at % bytes.len();
                    if at > 3 { bytes[at] = *value; }
                }
                let keep = bytes.len() - cut.min(bytes.len());
                let _ = client.receive(&bytes[..keep], now);
                let _ = client.receive(&bytes, now);
            }
        }
    }
}
