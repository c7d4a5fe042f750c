//! Interfaces by name and number: `SO_BINDTODEVICE` and the calls of netdevice(7).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use errno::Errno;
use net_service::stack::{Interface, InterfaceId, Medium, NetConfig};

use super::Family;
use crate::abi::Layout;
use crate::error::{Result, fail};
use crate::socket::options::option;
use crate::user;

/// Bytes of an interface's name, with its end.
const NAME: usize = 16;
/// Bytes of a `struct ifreq`.
const REQUEST: usize = 40;

/// Flags of an interface (`IFF_*`).
#[allow(missing_docs, reason = "Linux's names")]
pub mod flag {
    pub const UP: u32 = 1;
    pub const BROADCAST: u32 = 2;
    pub const LOOPBACK: u32 = 8;
    pub const RUNNING: u32 = 0x40;
    pub const MULTICAST: u32 = 0x1000;
    pub const LOWER_UP: u32 = 0x1_0000;
}

/// The flags of an interface.
pub fn flags(interface: &Interface) -> u32 {
    let kind = match interface.medium {
        Medium::Loopback => flag::LOOPBACK,
        Medium::Ethernet | Medium::Ip => flag::BROADCAST | flag::MULTICAST,
    };
    kind | if interface.up { flag::UP | flag::RUNNING | flag::LOWER_UP } else { 0 }
}

fn name_of(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

fn by_name<'a>(config: &'a NetConfig, bytes: &[u8]) -> Result<&'a Interface> {
    let name = name_of(bytes);
    let found = config.interfaces.iter().find(|interface| interface.name.as_bytes() == name);
    Ok(found.ok_or(Errno::ENODEV)?)
}

/// Options of the socket level that concern interfaces (`getsockopt(2)`).
pub fn socket_option(interface: Option<InterfaceId>, name: u32) -> Result<Vec<u8>> {
    if name != option::BIND_TO_DEVICE {
        return fail(Errno::ENOPROTOOPT);
    }
    let config = net_service::shared().config();
    let bound = interface.and_then(|id| config.interface(id));
    Ok(bound.map_or_else(Vec::new, |interface| {
        let mut bytes = interface.name.clone().into_bytes();
        bytes.push(0);
        bytes
    }))
}

/// Options of the socket level that concern interfaces (`setsockopt(2)`). `None`: it was one that
/// changes nothing here.
pub fn set_socket_option(name: u32, value: &[u8]) -> Result<Option<Option<InterfaceId>>> {
    match name {
        option::BIND_TO_DEVICE => {
            let value = &value[..value.len().min(NAME)];
            if name_of(value).is_empty() {
                return Ok(Some(None));
            }
            let config = net_service::shared().config();
            Ok(Some(Some(by_name(&config, value)?.id)))
        }
        // Hints about CPUs and busy waiting, and a switch of checksums that are always there.
        option::INCOMING_CPU | option::BUSY_POLL | option::NO_CHECK => Ok(None),
        _ => fail(Errno::ENOPROTOOPT),
    }
}

fn ipv4_of(interface: &Interface) -> Option<(Ipv4Addr, u8)> {
    interface.usable().find_map(|address| match address.prefix.address {
        IpAddr::V4(v4) => Some((v4, address.prefix.length)),
        IpAddr::V6(_) => None,
    })
}

fn mask_of(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

fn encode(address: Ipv4Addr) -> Vec<u8> {
    Family::V4.encode(SocketAddr::new(address.into(), 0))
}

/// `ioctl(2)` of sockets about interfaces; `None`: it is another.
pub fn ioctl(request: u32, argument: u64) -> Option<Result> {
    const SIOCGIFNAME: u32 = 0x8910;
    const SIOCGIFCONF: u32 = 0x8912;
    const SIOCGIFFLAGS: u32 = 0x8913;
    const SIOCGIFADDR: u32 = 0x8915;
    const SIOCGIFDSTADDR: u32 = 0x8917;
    const SIOCGIFBRDADDR: u32 = 0x8919;
    const SIOCGIFNETMASK: u32 = 0x891b;
    const SIOCGIFMETRIC: u32 = 0x891d;
    const SIOCGIFMTU: u32 = 0x8921;
    const SIOCGIFHWADDR: u32 = 0x8927;
    const SIOCGIFINDEX: u32 = 0x8933;
    const SIOCGIFTXQLEN: u32 = 0x8942;
    let answer = |value: &dyn Fn(&NetConfig, &Interface) -> Result<Vec<u8>>| -> Result {
        let bytes = user::read_bytes(argument, REQUEST)?;
        let config = net_service::shared().config();
        let interface = by_name(&config, &bytes[..NAME])?;
        let value = value(&config, interface)?;
        user::write_bytes(argument + NAME as u64, &value)?;
        Ok(0)
    };
    let number = |value: u32| Ok(value.to_le_bytes().to_vec());
    let ipv4 = |interface: &Interface| ipv4_of(interface).ok_or(Errno::EADDRNOTAVAIL);
    Some(match request {
        SIOCGIFCONF => list(argument),
        SIOCGIFNAME => name_by_index(argument),
        SIOCGIFINDEX => answer(&|_, interface| number(interface.id.0)),
        SIOCGIFFLAGS => answer(&|_, interface| Ok((flags(interface) as u16).to_le_bytes().into())),
        SIOCGIFMTU => answer(&|_, interface| number(interface.mtu)),
        SIOCGIFMETRIC => answer(&|_, _| number(0)),
        SIOCGIFTXQLEN => answer(&|_, _| number(1000)),
        SIOCGIFADDR | SIOCGIFDSTADDR => answer(&|_, interface| Ok(encode(ipv4(interface)?.0))),
        SIOCGIFNETMASK => {
            answer(&|_, interface| Ok(encode(Ipv4Addr::from(mask_of(ipv4(interface)?.1)))))
        }
        SIOCGIFBRDADDR => answer(&|_, interface| {
            let (address, length) = ipv4(interface)?;
            let loops = interface.medium == Medium::Loopback;
            let all = u32::from(address) | !mask_of(length);
            Ok(encode(if loops { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::from(all) }))
        }),
        SIOCGIFHWADDR => answer(&|_, interface| {
            let mut bytes = hardware_type(interface).to_le_bytes().to_vec();
            bytes.extend_from_slice(&interface.mac);
            bytes.extend_from_slice(&[0; 8]);
            Ok(bytes)
        }),
        _ => return None,
    })
}

/// The type of hardware (`ARPHRD_*`).
pub fn hardware_type(interface: &Interface) -> u16 {
    const ETHER: u16 = 1;
    const LOOPBACK: u16 = 772;
    const NONE: u16 = 0xfffe;
    match interface.medium {
        Medium::Ethernet => ETHER,
        Medium::Loopback => LOOPBACK,
        Medium::Ip => NONE,
    }
}

fn padded_name(interface: &Interface) -> [u8; NAME] {
    let mut name = [0; NAME];
    let text = interface.name.as_bytes();
    let length = text.len().min(NAME - 1);
    name[..length].copy_from_slice(&text[..length]);
    name
}

fn name_by_index(argument: u64) -> Result {
    let bytes = user::read_bytes(argument, REQUEST)?;
    let index = u32::decode(&bytes[NAME..NAME + 4]);
    let config = net_service::shared().config();
    let interface = config.interface(InterfaceId(index)).ok_or(Errno::ENODEV)?;
    user::write_bytes(argument, &padded_name(interface))?;
    Ok(0)
}

/// The interfaces that have an IPv4 address (`SIOCGIFCONF`).
fn list(argument: u64) -> Result {
    let bytes = user::read_bytes(argument, 16)?;
    let (room, to) = (u32::decode(&bytes[..4]), u64::decode(&bytes[8..16]));
    let config = net_service::shared().config();
    let mut all = Vec::new();
    for interface in &config.interfaces {
        for address in interface.usable() {
            let IpAddr::V4(v4) = address.prefix.address else { continue };
            all.extend_from_slice(&padded_name(interface));
            all.extend_from_slice(&encode(v4));
            all.extend_from_slice(&[0; REQUEST - NAME - 16]);
        }
    }
    if to != 0 {
        all.truncate(room as usize / REQUEST * REQUEST);
        user::write_bytes(to, &all)?;
    }
    user::write(argument, &(all.len() as u32))?;
    Ok(0)
}
