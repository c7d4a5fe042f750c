//! Sockets of the internet families: TCP, UDP, ICMP echo and raw ones, on the kernel's network
//! stack.
//!
//! No lock of a socket is held across a call into the stack, and user memory is copied between
//! such calls: data waits in chunks that are shared by reference count.

mod address;
mod convert;
mod datagram;
mod interfaces;
mod ip_options;
mod tcp;
mod tcp_options;
mod tcp_transfer;

use alloc::sync::Arc;

use errno::Errno;
use net_service::stack::DatagramKind;

pub use address::Family;
pub use interfaces::{flags as interface_flags, hardware_type, ioctl};

use self::datagram::DatagramSocket;
use self::tcp::TcpSocket;
use super::{Socket, kind};
use crate::error::{Result, fail};
use crate::thread::Thread;

const RAW: u32 = 3;
const IPPROTO_ICMP: u32 = 1;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;
const IPPROTO_ICMPV6: u32 = 58;
const IPPROTO_RAW: u32 = 255;
const CAP_NET_RAW: u32 = 13;

/// `socket(2)` for these families.
pub fn socket(
    thread: &Thread,
    family: Family,
    type_: u32,
    protocol: u32,
) -> Result<Arc<dyn Socket>> {
    if protocol > 262 {
        return fail(Errno::EINVAL);
    }
    let ping = if family == Family::V4 { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
    match (type_, protocol) {
        (kind::STREAM, 0 | IPPROTO_TCP) => Ok(TcpSocket::new(family)),
        (kind::DATAGRAM, 0 | IPPROTO_UDP) => {
            Ok(DatagramSocket::new(family, DatagramKind::Udp, IPPROTO_UDP))
        }
        (kind::DATAGRAM, _) if protocol == ping => {
            Ok(DatagramSocket::new(family, DatagramKind::Ping, protocol))
        }
        (RAW, 0) => fail(Errno::EPROTONOSUPPORT),
        (RAW, _) => {
            if !thread.has_capability(CAP_NET_RAW) {
                return fail(Errno::EPERM);
            }
            let raw = DatagramKind::Raw {
                protocol: protocol as u8,
                ipv6: family == Family::V6,
                header_included: protocol == IPPROTO_RAW,
            };
            Ok(DatagramSocket::new(family, raw, protocol))
        }
        (kind::STREAM | kind::DATAGRAM, _) => fail(Errno::EPROTONOSUPPORT),
        _ => fail(Errno::ESOCKTNOSUPPORT),
    }
}
