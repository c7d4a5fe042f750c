//! Ports of the host that lead to the guest.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::str::FromStr;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::error::{Error, Result};

/// What is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A port of the host that leads to one of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where the host listens.
    pub host: SocketAddr,
    /// The guest's port.
    pub guest: u16,
    /// What is passed on.
    pub protocol: Protocol,
}

impl FromStr for Published {
    type Err = String;

    /// Reads `[address:]host:guest[/tcp|/udp]`; an IPv6 address stands in brackets, and a single
    /// number is both ports. Without an address all of the host's IPv4 addresses listen.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = |what: &str| {
            format!("{what} in `{text}`: write [ADDRESS:]HOST:GUEST[/udp], such as 8080:80")
        };
        let (ports, protocol) = match text.rsplit_once('/') {
            None => (text, Protocol::Tcp),
            Some((ports, "tcp")) => (ports, Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(wrong("unknown protocol")),
        };
        let port = |text: &str| match text.parse::<u16>() {
            Ok(port @ 1..) => Ok(port),
            _ => Err(wrong("no port number")),
        };
        let (rest, guest) = match ports.rsplit_once(':') {
            None => (ports, port(ports)?),
            Some((rest, guest)) => (rest, port(guest)?),
        };
        let (address, host) = match rest.rsplit_once(':') {
            None => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), port(rest)?),
            Some((address, host)) => {
                let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                let address = bare.unwrap_or(address).parse().map_err(|_| wrong("no address"))?;
                (address, port(host)?)
            }
        };
        Ok(Self { host: SocketAddr::new(address, host), guest, protocol })
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.protocol == Protocol::Udp { "/udp" } else { "" };
        write!(f, "{}:{}{protocol}", self.host, self.guest)
    }
}

/// Connections that wait for the gateway.
const BACKLOG: i32 = 4096;

impl Published {
    /// Opens the host's side.
    pub(crate) fn open(&self) -> Result<OwnedFd> {
        let refused = |errno: Errno| {
            let error = Error::new(format!("cannot publish port {}", self.host)).because(errno);
            match errno {
                Errno::ADDRINUSE => error.with_hint(format!(
                    "another program has this port: stop it, or publish another one, such as -p {}:{}",
                    self.host.port().checked_add(1).unwrap_or(8080),
                    self.guest
                )),
                Errno::ACCESS | Errno::PERM => error.with_hint(format!(
                    "ports below 1024 need privilege: publish a higher one, such as -p {}:{}",
                    u32::from(self.host.port()) + 8000,
                    self.guest
                )),
                Errno::ADDRNOTAVAIL => {
                    error.with_hint("this host does not have that address; see `ip addr`")
                }
                _ => error,
            }
        };
        let family = if self.host.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let kind = match self.protocol {
            Protocol::Tcp => SocketType::STREAM,
            Protocol::Udp => SocketType::DGRAM,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, kind, flags, None).map_err(refused)?;
        if self.protocol == Protocol::Tcp {
            sockopt::set_socket_reuseaddr(&socket, true).map_err(refused)?;
        }
        if self.host.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true).map_err(refused)?;
        }
        rustix::net::bind(&socket, &self.host).map_err(refused)?;
        if self.protocol == Protocol::Tcp {
            rustix::net::listen(&socket, BACKLOG).map_err(refused)?;
        }
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        let parse = |text: &str| text.parse::<Published>().map(|port| port.to_string());
        assert_eq!(parse("80").unwrap(), "0.0.0.0:80:80");
        assert_eq!(parse("8080:80").unwrap(), "0.0.0.0:8080:80");
        assert_eq!(parse("127.0.0.1:53:5353/udp").unwrap(), "127.0.0.1:53:5353/udp");
        assert_eq!(parse("[::1]:8080:80/tcp").unwrap(), "[::1]:8080:80");
        for wrong in
            ["", "x", "80:", ":80", "0:80", "80:70000", "80:80/sctp", "1.2.3:80:80", "a:b:c:d"]
        {
            assert!(parse(wrong).unwrap_err().contains("HOST:GUEST"), "{wrong}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_refused_with_a_hint() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let host = taken.local_addr().unwrap();
        let error = Published { host, guest: 80, protocol: Protocol::Tcp }.open().unwrap_err();
        assert!(error.to_string().contains(&host.to_string()));
        assert!(error.hint().unwrap().contains("-p"));
    }
}
