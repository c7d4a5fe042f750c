//! Datagrams: sockets of the host that stand for the guest's ends.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use drupe_net_stack::base::{Handle, Instant, SECOND};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::addresses::Addresses;
use crate::frames;

/// The most ends of the guest at a time; the one that was silent longest goes first.
const MOST: usize = 1024;
/// How long an end lasts without datagrams (RFC 4787 section 4.3 asks for two minutes).
const LIFE: u64 = 120 * SECOND;
/// Datagrams that one end gets in a row before others get their turn.
const IN_A_ROW: usize = 64;

/// A socket that stands for an end of the guest: its address and port.
struct End {
    socket: OwnedFd,
    source: Handle,
    used: Instant,
}

/// A published port.
struct Port {
    socket: OwnedFd,
    guest: u16,
}

/// All of them.
pub(crate) struct Datagrams {
    addresses: Addresses,
    ends: HashMap<SocketAddr, End>,
    ports: Vec<Port>,
    /// The host's name server, which stands behind the gateway's.
    resolver: Option<SocketAddr>,
}

impl Datagrams {
    pub fn new(addresses: Addresses, resolver: Option<SocketAddr>) -> Self {
        Self { addresses, ends: HashMap::new(), ports: Vec::new(), resolver }
    }

    /// Adds a published port; gives its number.
    pub fn publish(&mut self, socket: OwnedFd, guest: u16) -> usize {
        self.ports.push(Port { socket, guest });
        self.ports.len() - 1
    }

    /// The socket of a published port.
    pub fn port_socket(&self, port: usize) -> Option<BorrowedFd<'_>> {
        self.ports.get(port).map(|port| port.socket.as_fd())
    }

    /// Sends what the guest sent. `watch` has a new socket watched.
    pub fn send(
        &mut self,
        source: SocketAddr,
        destination: SocketAddr,
        data: &[u8],
        now: Instant,
        watch: impl FnOnce(BorrowedFd<'_>, SocketAddr) -> Option<Handle>,
    ) {
        let name_server = SocketAddr::new(self.addresses.name_server.into(), 53);
        let gateway = IpAddr::V4(self.addresses.gateway);
        // The answer of a published service goes where the question came from.
        if let Some(port) = self.ports.iter().find(|port| port.guest == source.port()) {
            let to = if destination.ip() == gateway {
                SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), destination.port())
            } else {
                destination
            };
            let _ = rustix::net::sendto(&port.socket, data, SendFlags::NOSIGNAL, &to);
            return;
        }
        let to = if destination == name_server {
            match self.resolver {
                Some(resolver) => resolver,
                None => return,
            }
        } else if crate::addresses::may_leave(&destination.ip())
            && !self.addresses.is_own(&destination.ip())
        {
            destination
        } else {
            return;
        };
        if !self.ends.contains_key(&source) {
            self.make_room();
            let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let Ok(socket) = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)
            else {
                return;
            };
            let Some(handle) = watch(socket.as_fd(), source) else { return };
            self.ends.insert(source, End { socket, source: handle, used: now });
        }
        if let Some(end) = self.ends.get_mut(&source) {
            end.used = now;
            // What the host does not send is lost, as datagrams are.
            let _ = rustix::net::sendto(&end.socket, data, SendFlags::NOSIGNAL, &to);
        }
    }

    fn make_room(&mut self) {
        if self.ends.len() < MOST {
            return;
        }
        let oldest = self.ends.iter().min_by_key(|(_, end)| end.used).map(|(source, _)| *source);
        if let Some(oldest) = oldest {
            self.ends.remove(&oldest);
        }
    }

    /// Ends that were silent too long go; gives their watches.
    pub fn expire(&mut self, now: Instant) -> Vec<Handle> {
        let mut gone = Vec::new();
        self.ends.retain(|_, end| {
            let keep = now.since(end.used) < LIFE;
            if !keep {
                gone.push(end.source);
            }
            keep
        });
        gone
    }

    /// Frames for the guest from what came for one of its ends.
    pub fn receive(&mut self, guest: SocketAddr, now: Instant, mut deliver: impl FnMut(Vec<u8>)) {
        let Some(end) = self.ends.get_mut(&guest) else { return };
        end.used = now;
        for_each_datagram(&end.socket, |from, data| {
            let from = if Some(from) == self.resolver {
                SocketAddr::new(self.addresses.name_server.into(), 53)
            } else {
                from
            };
            if let Some(frame) = frames::udp(from, guest, data) {
                deliver(frame);
            }
        });
    }

    /// Frames for the guest from what came for a published port.
    pub fn receive_published(&mut self, port: usize, mut deliver: impl FnMut(Vec<u8>)) {
        let Some(port) = self.ports.get(port) else { return };
        let addresses = self.addresses;
        for_each_datagram(&port.socket, |from, data| {
            // A client on this host has an address that means the guest itself to the guest.
            let from = if from.ip().is_loopback() {
                SocketAddr::new(addresses.gateway.into(), from.port())
            } else {
                from
            };
            let guest = SocketAddr::new(addresses.guest_like(&from.ip()), port.guest);
            if let Some(frame) = frames::udp(from, guest, data) {
                deliver(frame);
            }
        });
    }
}

fn for_each_datagram(socket: &OwnedFd, mut deliver: impl FnMut(SocketAddr, &[u8])) {
    let mut buffer = vec![0; 65_536];
    for _ in 0..IN_A_ROW {
        match rustix::net::recvfrom(socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((count, _, Some(from))) => {
                if let Ok(from) = SocketAddr::try_from(from) {
                    deliver(from, &buffer[..count]);
                }
            }
            Ok(_) | Err(Errno::CONNREFUSED | Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
