use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicU64, Ordering};

use drupe_net_base::hash::Key;
use hashbrown::HashMap;
use lock::SpinLock;

use crate::address::same_family;
use crate::config::InterfaceId;
use crate::datagram::Datagram;
use crate::listener::Listener;
use crate::shared::{Hashing, rank};

/// Whose ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP echo over IPv4: the identifier plays the port's part.
    Ping4,
    /// ICMP echo over IPv6.
    Ping6,
}

/// What a socket wants to own.
#[derive(Debug, Clone, Copy)]
pub struct BindRequest {
    /// Port space.
    pub protocol: Protocol,
    /// Local address; unspecified for all. Its family is the socket's.
    pub address: IpAddr,
    /// Port; 0: any free one.
    pub port: u16,
    /// An IPv6 socket without IPv4 (`IPV6_V6ONLY`).
    pub v6_only: bool,
    /// `SO_REUSEADDR`.
    pub reuse_address: bool,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// `SO_BINDTODEVICE`.
    pub interface: Option<InterfaceId>,
    /// User that may share the port.
    pub owner: u32,
}

impl BindRequest {
    /// A request without options.
    pub const fn new(protocol: Protocol, local: SocketAddr) -> Self {
        BindRequest {
            protocol,
            address: match local {
                SocketAddr::V4(v4) => IpAddr::V4(*v4.ip()),
                SocketAddr::V6(v6) => IpAddr::V6(*v6.ip()),
            },
            port: local.port(),
            v6_only: false,
            reuse_address: false,
            reuse_port: false,
            interface: None,
            owner: 0,
        }
    }

    fn is_wildcard(&self) -> bool {
        self.address.is_unspecified()
    }

    /// Whether packets to `destination` could be meant for this binding.
    fn takes(&self, destination: &IpAddr) -> bool {
        if self.is_wildcard() {
            return match (&self.address, destination) {
                (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => true,
                (IpAddr::V6(_), IpAddr::V4(_)) => !self.v6_only,
                (IpAddr::V4(_), IpAddr::V6(_)) => false,
            };
        }
        self.address == *destination
    }

    fn overlaps(&self, other: &BindRequest) -> bool {
        if let (Some(a), Some(b)) = (self.interface, other.interface)
            && a != b
        {
            return false;
        }
        match (self.is_wildcard(), other.is_wildcard()) {
            (true, true) => {
                same_family(&self.address, &other.address)
                    || !(self.v6_only && self.address.is_ipv6()
                        || other.v6_only && other.address.is_ipv6())
            }
            (true, false) => self.takes(&other.address),
            (false, true) => other.takes(&self.address),
            (false, false) => self.address == other.address,
        }
    }
}

/// Why a port cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindError {
    /// It is taken (EADDRINUSE).
    InUse,
    /// The address is not this machine's (EADDRNOTAVAIL).
    NotLocal,
    /// No ephemeral port is free (EADDRINUSE).
    Exhausted,
}

#[derive(Debug, Clone, Default)]
pub(crate) enum Target {
    #[default]
    None,
    Listener(Weak<Listener>),
    Datagram(Weak<Datagram>),
}

#[derive(Debug)]
struct Entry {
    id: u64,
    request: BindRequest,
    remote: Option<SocketAddr>,
    target: Target,
}

#[derive(Debug, Default)]
struct Port {
    bindings: Vec<Entry>,
    /// Local addresses of connections that use the port without a binding of their own, with
    /// their number.
    connections: Vec<(IpAddr, u32)>,
}

impl Port {
    fn count(&mut self, address: IpAddr) {
        match self.connections.iter_mut().find(|(own, _)| *own == address) {
            Some((_, count)) => *count += 1,
            None => self.connections.push((address, 1)),
        }
    }

    fn is_unused(&self) -> bool {
        self.bindings.is_empty() && self.connections.is_empty()
    }
}

type Bucket = SpinLock<HashMap<(Protocol, u16), Port, Hashing>>;

const BUCKETS: usize = 64;

/// Who owns which port: one hash table in [`BUCKETS`] parts with a lock each. Binding, connecting,
/// SYNs and datagrams look here; segments of connections do not.
#[derive(Debug)]
pub(crate) struct BindTable {
    buckets: Vec<Bucket>,
    next_id: AtomicU64,
    next_ephemeral: AtomicU64,
    ports: (u16, u16),
    key: Key,
}

impl BindTable {
    pub fn new(ports: (u16, u16), key: Key, hashing: Hashing) -> Self {
        let bucket = || SpinLock::new(rank::BINDS, HashMap::with_hasher(hashing));
        BindTable {
            buckets: (0..BUCKETS).map(|_| bucket()).collect(),
            next_id: AtomicU64::new(1),
            next_ephemeral: AtomicU64::new(0),
            ports,
            key,
        }
    }

    fn bucket(&self, port: u16) -> &Bucket {
        &self.buckets[usize::from(port) % BUCKETS]
    }

    /// The ephemeral ports in the order to try them, starting anywhere.
    pub fn ephemeral(&self, offset: u32) -> impl Iterator<Item = u16> + use<> {
        let (low, high) = self.ports;
        let count = u32::from(high - low) + 1;
        let start = offset.wrapping_add(self.next_ephemeral.fetch_add(1, Ordering::Relaxed) as u32);
        (0..count).map(move |n| low + (start.wrapping_add(n) % count) as u16)
    }

    /// Takes a port for a socket.
    pub fn bind(self: &Arc<Self>, mut request: BindRequest) -> Result<Binding, BindError> {
        if request.port != 0 {
            return self.try_bind(request).ok_or(BindError::InUse);
        }
        let seed = self.key.sip(&[self.next_id.load(Ordering::Relaxed)]) as u32;
        for port in self.ephemeral(seed) {
            request.port = port;
            let strict = BindRequest { reuse_address: false, ..request };
            if self.is_free(&strict)
                && let Some(binding) = self.try_bind(request)
            {
                return Ok(binding);
            }
        }
        Err(BindError::Exhausted)
    }

    fn is_free(&self, request: &BindRequest) -> bool {
        let table = self.bucket(request.port).lock();
        table.get(&(request.protocol, request.port)).is_none_or(|port| allows(port, request))
    }

    fn try_bind(self: &Arc<Self>, request: BindRequest) -> Option<Binding> {
        let mut table = self.bucket(request.port).lock();
        let port = table.entry((request.protocol, request.port)).or_default();
        if !allows(port, &request) {
            return None;
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        port.bindings.push(Entry { id, request, remote: None, target: Target::None });
        Some(Binding { table: self.clone(), request, id })
    }

    /// Registers a connection on a port without binding it, unless a socket owns the port. The
    /// flow itself must be checked by its shard.
    pub fn use_port(self: &Arc<Self>, address: IpAddr, port: u16) -> Option<PortUse> {
        let mut table = self.bucket(port).lock();
        let entry = table.entry((Protocol::Tcp, port)).or_default();
        if !entry.bindings.is_empty() {
            return None;
        }
        entry.count(address);
        Some(PortUse { table: self.clone(), address, port })
    }

    /// Registers an accepted connection on its listener's port.
    pub fn share_port(self: &Arc<Self>, address: IpAddr, port: u16) -> PortUse {
        let mut table = self.bucket(port).lock();
        table.entry((Protocol::Tcp, port)).or_default().count(address);
        PortUse { table: self.clone(), address, port }
    }

    /// The listener for a SYN: the most specific binding, among equals by `hash`
    /// (`SO_REUSEPORT`).
    pub fn listener(
        &self,
        local: SocketAddr,
        interface: InterfaceId,
        hash: u64,
    ) -> Option<Arc<Listener>> {
        let table = self.bucket(local.port()).lock();
        let port = table.get(&(Protocol::Tcp, local.port()))?;
        let mut best = (0, 0u64, None);
        for entry in &port.bindings {
            let Target::Listener(listener) = &entry.target else { continue };
            consider(&mut best, score(entry, &local.ip(), None, interface), listener, hash);
        }
        best.2?.upgrade()
    }

    /// The datagram socket for a packet, as [`BindTable::listener`]; a connected one first.
    pub fn datagram(
        &self,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
        interface: InterfaceId,
        hash: u64,
    ) -> Option<Arc<Datagram>> {
        let table = self.bucket(local.port()).lock();
        let port = table.get(&(protocol, local.port()))?;
        let mut best = (0, 0u64, None);
        for entry in &port.bindings {
            let Target::Datagram(datagram) = &entry.target else { continue };
            let score = score(entry, &local.ip(), Some(remote), interface);
            consider(&mut best, score, datagram, hash);
        }
        best.2?.upgrade()
    }

    /// All datagram sockets that a broadcast or multicast packet may concern.
    pub fn all_datagrams(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        interface: InterfaceId,
    ) -> Vec<Arc<Datagram>> {
        let table = self.bucket(local.port()).lock();
        let Some(port) = table.get(&(Protocol::Udp, local.port())) else { return Vec::new() };
        let entries = port.bindings.iter();
        entries
            .filter(|entry| {
                let request = &entry.request;
                request.takes(&local.ip())
                    && entry.remote.is_none_or(|own| own == remote)
                    && request.interface.is_none_or(|own| own == interface)
            })
            .filter_map(|entry| match &entry.target {
                Target::Datagram(datagram) => datagram.upgrade(),
                _ => None,
            })
            .collect()
    }
}

/// Keeps the best candidate; among equally good ones each gets its share of the hashes.
fn consider<T>(best: &mut (u32, u64, Option<Weak<T>>), score: u32, candidate: &Weak<T>, hash: u64) {
    if score == 0 || score < best.0 {
        return;
    }
    let seen = if score > best.0 { 1 } else { best.1 + 1 };
    // Reservoir sampling with the hash as the source of chance: stable for a flow.
    let take =
        score > best.0 || (hash ^ seen.wrapping_mul(0x9e37_79b9_7f4a_7c15)).is_multiple_of(seen);
    *best = (score, seen, if take { Some(candidate.clone()) } else { best.2.take() });
}

fn score(entry: &Entry, local: &IpAddr, remote: Option<SocketAddr>, interface: InterfaceId) -> u32 {
    let request = &entry.request;
    if !request.takes(local) || request.interface.is_some_and(|own| own != interface) {
        return 0;
    }
    let connected = match (entry.remote, remote) {
        (None, _) => 0,
        (Some(own), Some(remote)) if own == remote => 8,
        _ => return 0,
    };
    let same = u32::from(same_family(&request.address, local));
    1 + connected
        + if request.is_wildcard() { 0 } else { 4 }
        + if request.interface.is_some() { 2 } else { 0 }
        + same
}

fn allows(port: &Port, request: &BindRequest) -> bool {
    if request.protocol == Protocol::Tcp
        && port.bindings.is_empty()
        && !request.reuse_address
        && port.connections.iter().any(|(address, _)| request.takes(address))
    {
        return false;
    }
    port.bindings.iter().all(|entry| {
        let other = &entry.request;
        if !request.overlaps(other) {
            return true;
        }
        if request.reuse_port && other.reuse_port && request.owner == other.owner {
            return true;
        }
        let listening = matches!(entry.target, Target::Listener(_));
        request.reuse_address && other.reuse_address && !listening
    })
}

/// A port that belongs to a socket until this is dropped.
#[derive(Debug)]
pub struct Binding {
    table: Arc<BindTable>,
    request: BindRequest,
    id: u64,
}

impl Binding {
    /// Address and port.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(self.request.address, self.request.port)
    }

    /// What was asked for, with the port that was chosen.
    pub fn request(&self) -> &BindRequest {
        &self.request
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        let mut table = self.table.bucket(self.request.port).lock();
        let port = table.get_mut(&(self.request.protocol, self.request.port));
        if let Some(entry) =
            port.and_then(|port| port.bindings.iter_mut().find(|entry| entry.id == self.id))
        {
            change(entry);
        }
    }

    pub(crate) fn set_target(&self, target: Target) {
        self.change(|entry| entry.target = target);
    }

    /// Makes a listener of the socket, unless another one has the port.
    pub(crate) fn listen(&self, listener: &Arc<Listener>) -> bool {
        let mut table = self.table.bucket(self.request.port).lock();
        let Some(port) = table.get_mut(&(self.request.protocol, self.request.port)) else {
            return false;
        };
        let taken = port.bindings.iter().any(|entry| {
            entry.id != self.id
                && matches!(entry.target, Target::Listener(_))
                && entry.request.overlaps(&self.request)
                && !(entry.request.reuse_port && self.request.reuse_port)
        });
        if taken {
            return false;
        }
        if let Some(entry) = port.bindings.iter_mut().find(|entry| entry.id == self.id) {
            entry.target = Target::Listener(Arc::downgrade(listener));
        }
        true
    }

    pub(crate) fn set_remote(&mut self, remote: Option<SocketAddr>) {
        self.change(|entry| entry.remote = remote);
    }

    /// Narrows a wildcard to one address, or widens it again (connecting a datagram socket).
    pub(crate) fn set_address(&mut self, address: IpAddr) {
        self.request.address = address;
        self.change(|entry| entry.request.address = address);
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        let mut table = self.table.bucket(self.request.port).lock();
        let key = (self.request.protocol, self.request.port);
        if let Some(port) = table.get_mut(&key) {
            port.bindings.retain(|entry| entry.id != self.id);
            if port.is_unused() {
                table.remove(&key);
            }
        }
    }
}

/// A connection's share of a port.
#[derive(Debug)]
pub(crate) struct PortUse {
    table: Arc<BindTable>,
    address: IpAddr,
    port: u16,
}

impl Drop for PortUse {
    fn drop(&mut self) {
        let mut table = self.table.bucket(self.port).lock();
        let key = (Protocol::Tcp, self.port);
        if let Some(port) = table.get_mut(&key) {
            if let Some((_, count)) =
                port.connections.iter_mut().find(|(address, _)| *address == self.address)
            {
                *count -= 1;
            }
            port.connections.retain(|(_, count)| *count > 0);
            if port.is_unused() {
                table.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drupe_net_base::hash::Fold;

    fn table() -> Arc<BindTable> {
        let key = Key(1, 2);
        Arc::new(BindTable::new((32768, 60999), key, Fold::new(key)))
    }

    fn request(local: &str) -> BindRequest {
        BindRequest::new(Protocol::Tcp, local.parse().unwrap())
    }

    #[test]
    fn conflicts_are_those_of_linux() {
        let table = table();
        let any = table.bind(request("0.0.0.0:80")).unwrap();
        assert_eq!(table.bind(request("10.0.0.1:80")).unwrap_err(), BindError::InUse);
        assert_eq!(table.bind(request("[::]:80")).unwrap_err(), BindError::InUse);
        let only = BindRequest { v6_only: true, ..request("[::]:80") };
        let _six = table.bind(only).unwrap();
        drop(any);
        let one = table.bind(request("10.0.0.1:80")).unwrap();
        let _two = table.bind(request("10.0.0.2:80")).unwrap();
        let reuse = BindRequest { reuse_address: true, ..request("10.0.0.1:80") };
        assert!(table.bind(reuse).is_err());
        drop(one);
        let first = table.bind(reuse).unwrap();
        let second = table.bind(reuse).unwrap();
        let shared = BindRequest { reuse_port: true, ..request("10.0.0.3:80") };
        let _a = table.bind(shared).unwrap();
        let _b = table.bind(shared).unwrap();
        assert!(table.bind(BindRequest { owner: 5, ..shared }).is_err());
        drop((first, second));
    }

    #[test]
    fn a_connection_holds_its_port_unless_reuse_is_allowed() {
        let table = table();
        let use_ = table.use_port("10.0.0.1".parse().unwrap(), 40000).unwrap();
        assert!(table.bind(request("0.0.0.0:40000")).is_err());
        let reuse = BindRequest { reuse_address: true, ..request("0.0.0.0:40000") };
        drop(table.bind(reuse).unwrap());
        drop(use_);
        let _owner = table.bind(request("0.0.0.0:40000")).unwrap();
        assert!(table.use_port("10.0.0.1".parse().unwrap(), 40000).is_none());
    }

    #[test]
    fn ephemeral_ports_run_out_cleanly() {
        let key = Key(1, 2);
        let table = Arc::new(BindTable::new((50000, 50009), key, Fold::new(key)));
        let held: Vec<_> = (0..10).map(|_| table.bind(request("0.0.0.0:0")).unwrap()).collect();
        assert_eq!(table.bind(request("0.0.0.0:0")).unwrap_err(), BindError::Exhausted);
        drop(held);
        assert!(table.bind(request("0.0.0.0:0")).is_ok());
    }
}
