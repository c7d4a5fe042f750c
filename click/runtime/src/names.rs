//! Names that configurations give to addresses and ports (AddressInfo, PortInfo).
//!
//! A name is known to the elements of the compound in which it was defined and of the
//! compounds inside that.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Kinds of things that have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// IPv4 address: 4 bytes.
    Ip,
    /// IPv4 prefix: address and mask, 8 bytes.
    IpPrefix,
    /// IPv6 address: 16 bytes.
    Ip6,
    /// IPv6 prefix: address and length, 17 bytes.
    Ip6Prefix,
    /// Ethernet address: 6 bytes.
    Ethernet,
    /// TCP port: 2 bytes in network order.
    TcpPort,
    /// UDP port: 2 bytes in network order.
    UdpPort,
    /// An annotation.
    Annotation,
    /// A pattern for rewriters, as text.
    Pattern,
}

/// All names of a router.
#[derive(Clone, Debug, Default)]
pub struct Names {
    table: BTreeMap<(Kind, String, String), Vec<u8>>,
}

/// The compound in which the element `element` lies: its name up to the last slash.
fn scope_of(element: &str) -> &str {
    element.rfind('/').map_or("", |slash| &element[..=slash])
}

impl Names {
    /// Defines a name in the scope of `element`.
    pub fn define(&mut self, element: &str, kind: Kind, name: &str, value: &[u8]) {
        let scope = scope_of(element).to_string();
        self.table.insert((kind, name.into(), scope), value.to_vec());
    }

    /// What `name` means to `element`.
    pub fn find(&self, element: &str, kind: Kind, name: &str) -> Option<&[u8]> {
        let mut scope = scope_of(element);
        loop {
            if let Some(value) = self.table.get(&(kind, name.into(), scope.into())) {
                return Some(value);
            }
            if scope.is_empty() {
                return None;
            }
            scope = scope_of(&scope[..scope.len() - 1]);
        }
    }
}

/// Well-known ports by name, those that configurations use in practice.
pub fn port(name: &str) -> Option<u16> {
    PORTS.iter().find(|(known, _)| *known == name).map(|(_, port)| *port)
}

const PORTS: &[(&str, u16)] = &[
    ("auth", 113),
    ("bgp", 179),
    ("bootpc", 68),
    ("bootps", 67),
    ("chargen", 19),
    ("daytime", 13),
    ("discard", 9),
    ("dns", 53),
    ("domain", 53),
    ("echo", 7),
    ("finger", 79),
    ("ftp", 21),
    ("ftp-data", 20),
    ("gopher", 70),
    ("http", 80),
    ("https", 443),
    ("imap", 143),
    ("imap3", 220),
    ("imaps", 993),
    ("irc", 194),
    ("kerberos", 88),
    ("ldap", 389),
    ("netbios-dgm", 138),
    ("netbios-ns", 137),
    ("netbios-ssn", 139),
    ("nfs", 2049),
    ("nntp", 119),
    ("ntp", 123),
    ("pop2", 109),
    ("pop3", 110),
    ("pop3s", 995),
    ("rip", 520),
    ("route", 520),
    ("smtp", 25),
    ("snmp", 161),
    ("snmp-trap", 162),
    ("socks", 1080),
    ("ssh", 22),
    ("sunrpc", 111),
    ("svrloc", 427),
    ("syslog", 514),
    ("tacacs", 49),
    ("telnet", 23),
    ("tftp", 69),
    ("time", 37),
    ("whois", 43),
    ("www", 80),
];
