//! Options of the levels `IPPROTO_IP` and `IPPROTO_IPV6` that all internet sockets have.

use alloc::vec::Vec;

use errno::Errno;

use super::address::Family;
use crate::abi::Layout;
use crate::error::{Result, fail};

pub const IPPROTO_IP: u32 = 0;
pub const IPPROTO_IPV6: u32 = 41;

/// Numbers of options.
#[allow(missing_docs, reason = "Linux's names")]
pub mod ip {
    pub const TOS: u32 = 1;
    pub const TTL: u32 = 2;
    pub const HDRINCL: u32 = 3;
    pub const OPTIONS: u32 = 4;
    pub const PKTINFO: u32 = 8;
    pub const MTU_DISCOVER: u32 = 10;
    pub const RECVERR: u32 = 11;
    pub const RECVTTL: u32 = 12;
    pub const RECVTOS: u32 = 13;
    pub const FREEBIND: u32 = 15;
    pub const BIND_ADDRESS_NO_PORT: u32 = 24;
    pub const MULTICAST_IF: u32 = 32;
    pub const MULTICAST_TTL: u32 = 33;
    pub const MULTICAST_LOOP: u32 = 34;
    pub const ADD_MEMBERSHIP: u32 = 35;
    pub const DROP_MEMBERSHIP: u32 = 36;
    pub const MULTICAST_ALL: u32 = 49;
}

/// Numbers of options.
#[allow(missing_docs, reason = "Linux's names")]
pub mod ipv6 {
    pub const UNICAST_HOPS: u32 = 16;
    pub const MULTICAST_IF: u32 = 17;
    pub const MULTICAST_HOPS: u32 = 18;
    pub const MULTICAST_LOOP: u32 = 19;
    pub const ADD_MEMBERSHIP: u32 = 20;
    pub const DROP_MEMBERSHIP: u32 = 21;
    pub const MTU_DISCOVER: u32 = 23;
    pub const RECVERR: u32 = 25;
    pub const V6ONLY: u32 = 26;
    pub const RECVPKTINFO: u32 = 49;
    pub const RECVHOPLIMIT: u32 = 51;
    pub const RECVTCLASS: u32 = 66;
    pub const TCLASS: u32 = 67;
}

/// What these options are set to.
#[derive(Clone, Copy, Debug)]
pub struct IpOptions {
    /// Type of service, or traffic class.
    pub traffic_class: u8,
    /// Hop limit; `None`: the interface's.
    pub hop_limit: Option<u8>,
    /// `IPV6_V6ONLY`.
    pub v6_only: bool,
    /// `IP_MTU_DISCOVER`: 1 where the path's MTU decides, 2 where packets are never cut.
    pub mtu_discover: u32,
    /// Sockets take note of errors beside the stream (`IP_RECVERR`).
    pub errors: bool,
    /// Datagrams come with their destination and interface.
    pub packet_info: bool,
    /// Datagrams come with their hop limit.
    pub receive_hop_limit: bool,
    /// Datagrams come with their type of service.
    pub receive_traffic_class: bool,
    /// An address that is not this machine's may be bound.
    pub free_bind: bool,
    /// A port is chosen only when a connection is made.
    pub late_port: bool,
}

impl Default for IpOptions {
    fn default() -> Self {
        Self {
            traffic_class: 0,
            hop_limit: None,
            v6_only: false,
            mtu_discover: 1,
            errors: false,
            packet_info: false,
            receive_hop_limit: false,
            receive_traffic_class: false,
            free_bind: false,
            late_port: false,
        }
    }
}

fn assign<T>(place: &mut T, value: T) -> Result<()> {
    *place = value;
    Ok(())
}

/// Reads a number that may be given as a byte or as an `int`.
pub fn number(value: &[u8]) -> Result<i32> {
    match value {
        [byte] | [byte, _] | [byte, _, _] => Ok(i32::from(*byte)),
        [a, b, c, d, ..] => Ok(i32::from_le_bytes([*a, *b, *c, *d])),
        [] => fail(Errno::EINVAL),
    }
}

/// An `int` as bytes.
pub fn int(value: impl Into<i64>) -> Vec<u8> {
    (value.into() as i32).to_le_bytes().to_vec()
}

impl IpOptions {
    /// An option; `None`: it is not known here.
    pub fn get(&self, family: Family, level: u32, name: u32) -> Option<Vec<u8>> {
        let flag = |value: bool| Some(int(value));
        match (level, name) {
            (IPPROTO_IP, ip::TOS) => Some(int(self.traffic_class)),
            (IPPROTO_IP, ip::TTL) => Some(int(self.hop_limit.unwrap_or(64))),
            (IPPROTO_IP, ip::MTU_DISCOVER) => Some(int(self.mtu_discover)),
            (IPPROTO_IP, ip::RECVERR) => flag(self.errors),
            (IPPROTO_IP, ip::PKTINFO) => flag(self.packet_info),
            (IPPROTO_IP, ip::RECVTTL) => flag(self.receive_hop_limit),
            (IPPROTO_IP, ip::RECVTOS) => flag(self.receive_traffic_class),
            (IPPROTO_IP, ip::FREEBIND) => flag(self.free_bind),
            (IPPROTO_IP, ip::BIND_ADDRESS_NO_PORT) => flag(self.late_port),
            (IPPROTO_IP, ip::OPTIONS) => Some(Vec::new()),
            (IPPROTO_IPV6, _) if family == Family::V4 => None,
            (IPPROTO_IPV6, ipv6::V6ONLY) => flag(self.v6_only),
            (IPPROTO_IPV6, ipv6::UNICAST_HOPS) => Some(int(self.hop_limit.unwrap_or(64))),
            (IPPROTO_IPV6, ipv6::TCLASS) => Some(int(self.traffic_class)),
            (IPPROTO_IPV6, ipv6::MTU_DISCOVER) => Some(int(self.mtu_discover)),
            (IPPROTO_IPV6, ipv6::RECVERR) => flag(self.errors),
            (IPPROTO_IPV6, ipv6::RECVPKTINFO) => flag(self.packet_info),
            (IPPROTO_IPV6, ipv6::RECVHOPLIMIT) => flag(self.receive_hop_limit),
            (IPPROTO_IPV6, ipv6::RECVTCLASS) => flag(self.receive_traffic_class),
            _ => None,
        }
    }

    /// Sets an option; `None`: it is not known here. `bound`: the socket has an address.
    pub fn set(
        &mut self,
        family: Family,
        level: u32,
        name: u32,
        value: &[u8],
        bound: bool,
    ) -> Option<Result<()>> {
        let known = self.get(family, level, name).is_some();
        if !known {
            return None;
        }
        if level == IPPROTO_IPV6 && value.len() < 4 {
            return Some(fail(Errno::EINVAL));
        }
        let number = match number(value) {
            Ok(number) => number,
            Err(_) if name == ip::OPTIONS && level == IPPROTO_IP => 0,
            Err(error) => return Some(Err(error)),
        };
        let flag = number != 0;
        let limit = |lowest: i32| match number {
            -1 => Ok(None),
            number if (lowest..=255).contains(&number) => Ok(Some(number as u8)),
            _ => fail(Errno::EINVAL),
        };
        let result = match (level, name) {
            // The two lowest bits are the stack's (ECN).
            (IPPROTO_IP, ip::TOS) => assign(&mut self.traffic_class, number as u8 & !3),
            (IPPROTO_IP, ip::TTL) => limit(1).map(|limit| self.hop_limit = limit),
            (IPPROTO_IP, ip::MTU_DISCOVER) | (IPPROTO_IPV6, ipv6::MTU_DISCOVER) => match number {
                0..=5 => assign(&mut self.mtu_discover, number as u32),
                _ => fail(Errno::EINVAL),
            },
            (IPPROTO_IP, ip::RECVERR) | (IPPROTO_IPV6, ipv6::RECVERR) => {
                assign(&mut self.errors, flag)
            }
            (IPPROTO_IP, ip::PKTINFO) | (IPPROTO_IPV6, ipv6::RECVPKTINFO) => {
                assign(&mut self.packet_info, flag)
            }
            (IPPROTO_IP, ip::RECVTTL) | (IPPROTO_IPV6, ipv6::RECVHOPLIMIT) => {
                assign(&mut self.receive_hop_limit, flag)
            }
            (IPPROTO_IP, ip::RECVTOS) | (IPPROTO_IPV6, ipv6::RECVTCLASS) => {
                assign(&mut self.receive_traffic_class, flag)
            }
            (IPPROTO_IP, ip::FREEBIND) => assign(&mut self.free_bind, flag),
            (IPPROTO_IP, ip::BIND_ADDRESS_NO_PORT) => assign(&mut self.late_port, flag),
            (IPPROTO_IP, ip::OPTIONS) if value.is_empty() => Ok(()),
            (IPPROTO_IPV6, ipv6::V6ONLY) if bound => fail(Errno::EINVAL),
            (IPPROTO_IPV6, ipv6::V6ONLY) => assign(&mut self.v6_only, flag),
            (IPPROTO_IPV6, ipv6::UNICAST_HOPS) => limit(0).map(|limit| self.hop_limit = limit),
            (IPPROTO_IPV6, ipv6::TCLASS) => match number {
                -1 => assign(&mut self.traffic_class, 0),
                0..=255 => assign(&mut self.traffic_class, number as u8),
                _ => fail(Errno::EINVAL),
            },
            _ => fail(Errno::ENOPROTOOPT),
        };
        Some(result)
    }
}

/// What asking for an option fails with that is not known.
pub fn unknown(family: Family, level: u32) -> Errno {
    match level {
        IPPROTO_IP => Errno::ENOPROTOOPT,
        IPPROTO_IPV6 if family == Family::V6 => Errno::ENOPROTOOPT,
        _ => Errno::EOPNOTSUPP,
    }
}

/// Reads an `int` of an option that must be one.
pub fn exact(value: &[u8]) -> Result<i32> {
    match value.len() {
        0..4 => fail(Errno::EINVAL),
        _ => Ok(u32::decode(&value[..4]) as i32),
    }
}
