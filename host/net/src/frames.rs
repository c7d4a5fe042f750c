//! Frames that the gateway deals with itself: what it must know of them, and making some.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use drupe_net_stack::Sum;

use crate::addresses::{GATEWAY_MAC, GUEST_MAC};

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
const TCP: usize = 20;
const TCP_NUMBER: u8 = 6;
const UDP_NUMBER: u8 = 17;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// What a frame from the guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The start of a connection.
    Syn {
        /// The guest's end.
        source: SocketAddr,
        /// Whom it wants.
        destination: SocketAddr,
        /// Its sequence number.
        sequence: u32,
    },
    /// A whole datagram, whose data lies there in the frame.
    Udp {
        /// The guest's end.
        source: SocketAddr,
        /// To whom.
        destination: SocketAddr,
        /// Where the data starts.
        start: usize,
        /// Where it ends.
        end: usize,
    },
    /// Something for the stack.
    Other,
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk::<2>().map(|pair| u16::from_be_bytes(*pair))
}

/// Looks at a frame: its first bytes and its length.
pub(crate) fn look(head: &[u8], length: usize) -> Seen {
    look_inside(head, length).unwrap_or(Seen::Other)
}

fn look_inside(head: &[u8], length: usize) -> Option<Seen> {
    let packet = head.get(ETHERNET..)?;
    let version = packet.first()? >> 4;
    let (source, destination, protocol, transport): (IpAddr, IpAddr, u8, usize) = match version {
        4 => {
            let fragmented = word(packet, 6)? & 0x3fff != 0;
            if word(head, 12)? != 0x0800 || fragmented {
                return None;
            }
            let address = |at: usize| {
                packet.get(at..)?.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets))
            };
            let header = usize::from(packet[0] & 15) * 4;
            if header < IPV4 {
                return None;
            }
            (address(12)?.into(), address(16)?.into(), *packet.get(9)?, header)
        }
        6 => {
            if word(head, 12)? != 0x86dd {
                return None;
            }
            let address = |at: usize| {
                packet.get(at..)?.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets))
            };
            (address(8)?.into(), address(24)?.into(), *packet.get(6)?, IPV6)
        }
        _ => return None,
    };
    let inner = packet.get(transport..)?;
    let source = SocketAddr::new(source, word(inner, 0)?);
    let destination = SocketAddr::new(destination, word(inner, 2)?);
    match protocol {
        TCP_NUMBER => {
            let flags = *inner.get(13)?;
            let sequence = u32::from(word(inner, 4)?) << 16 | u32::from(word(inner, 6)?);
            (flags & (FIN | SYN | RST | ACK) == SYN).then_some(Seen::Syn {
                source,
                destination,
                sequence,
            })
        }
        UDP_NUMBER => {
            let start = ETHERNET + transport + UDP;
            let end = start + usize::from(word(inner, 4)?).checked_sub(UDP)?;
            (end <= length).then_some(Seen::Udp { source, destination, start, end })
        }
        _ => None,
    }
}

/// Headers down to the network layer for a packet to the guest.
fn begin(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETHERNET + IPV6 + TCP + length);
    frame.extend(GUEST_MAC);
    frame.extend(GATEWAY_MAC);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend(0x0800u16.to_be_bytes());
            let total = (IPV4 + length) as u16;
            let mut header = [0; IPV4];
            header[0] = 0x45;
            header[2..4].copy_from_slice(&total.to_be_bytes());
            // Never cut: the link carries everything.
            header[6] = 0x40;
            header[8] = 64;
            header[9] = protocol;
            header[12..16].copy_from_slice(&source.octets());
            header[16..20].copy_from_slice(&destination.octets());
            let mut sum = Sum::default();
            sum.add(&header);
            header[10..12].copy_from_slice(&sum.finish().to_be_bytes());
            frame.extend(header);
        }
        (source, destination) => {
            let six = |address: IpAddr| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            frame.extend(0x86ddu16.to_be_bytes());
            frame.extend([0x60, 0, 0, 0]);
            frame.extend((length as u16).to_be_bytes());
            frame.extend([protocol, 64]);
            frame.extend(six(source).octets());
            frame.extend(six(destination).octets());
        }
    }
    frame
}

fn finish_checksum(
    frame: &mut [u8],
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    length: usize,
    field: usize,
) {
    let start = frame.len() - length;
    let mut sum = Sum::pseudo_header(&source, &destination, protocol, length);
    sum.add(&frame[start..]);
    let value = match sum.finish() {
        0 => 0xffff,
        value => value,
    };
    frame[start + field..start + field + 2].copy_from_slice(&value.to_be_bytes());
}

/// A datagram to the guest. `None`: it is too long for one.
pub(crate) fn udp(source: SocketAddr, destination: SocketAddr, data: &[u8]) -> Option<Vec<u8>> {
    let length = UDP + data.len();
    if length > 65_535 - IPV6 {
        return None;
    }
    let mut frame = begin(source.ip(), destination.ip(), UDP_NUMBER, length);
    frame.extend(source.port().to_be_bytes());
    frame.extend(destination.port().to_be_bytes());
    frame.extend((length as u16).to_be_bytes());
    frame.extend([0; 2]);
    frame.extend(data);
    finish_checksum(&mut frame, source.ip(), destination.ip(), UDP_NUMBER, length, 6);
    Some(frame)
}

/// The answer to the start of a connection that cannot be had (RFC 9293 section 3.10.7.1).
pub(crate) fn refusal(source: SocketAddr, destination: SocketAddr, sequence: u32) -> Vec<u8> {
    let mut frame = begin(destination.ip(), source.ip(), TCP_NUMBER, TCP);
    frame.extend(destination.port().to_be_bytes());
    frame.extend(source.port().to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(sequence.wrapping_add(1).to_be_bytes());
    frame.extend([0x50, RST | ACK, 0, 0, 0, 0, 0, 0]);
    finish_checksum(&mut frame, destination.ip(), source.ip(), TCP_NUMBER, TCP, 16);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_seen() {
        for [source, destination] in
            [["10.0.2.2:53", "10.0.2.15:999"], ["[fd00::1]:7", "[fd00::2]:8"]]
        {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let frame = udp(source, destination, b"hello").unwrap();
            let Seen::Udp { source: from, destination: to, start, end } = look(&frame, frame.len())
            else {
                panic!("{frame:?}")
            };
            assert_eq!((from, to, &frame[start..end]), (source, destination, &b"hello"[..]));
            for cut in 0..frame.len() {
                assert_eq!(look(&frame[..cut], cut), Seen::Other);
            }
        }
    }
}
