//! The name servers that the host asks.

use std::net::{IpAddr, SocketAddr};

/// The host's name servers, from `resolv.conf(5)`; none: names cannot be looked up.
pub(crate) fn of_host() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    parse(&text)
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        if let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) {
            found.push(SocketAddr::new(address, 53));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_found() {
        let text = "# x\nsearch a b\nnameserver 127.0.0.53\n nameserver ::1 # y\nnameserver x\n";
        let found = parse(text);
        assert_eq!(found, ["127.0.0.53:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    }
}
