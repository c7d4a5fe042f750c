//! Patterns: `SADDR SPORT DADDR DPORT`, each fixed, a range, or `-` to keep.

use alloc::format;
use alloc::string::String;

use click_language::value::{self, unparse_ip};
use click_runtime::Context;
use click_runtime::args::{Ip, Prefix, Scope, Value};

use super::flow::{Flavor, FlowId};

/// A pattern for new flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    source: Option<u32>,
    sport: Option<u16>,
    destination: Option<[u8; 4]>,
    dport: Option<u16>,
    /// Values above the first of the range.
    top: u32,
    /// The range is of addresses, not of ports.
    addresses: bool,
    /// Values are taken in order, not kept or at random.
    sequential: bool,
    next: u32,
}

/// First and last of a range, and whether it ends with `#`.
fn range(text: &str) -> (&str, Option<&str>, bool) {
    let (text, sequential) = match text.strip_suffix('#') {
        Some(text) => (text, true),
        None => (text.strip_suffix('?').unwrap_or(text), false),
    };
    match text.split_once('-') {
        Some((first, last)) if !first.is_empty() => (first, Some(last), sequential),
        _ => (text, None, sequential),
    }
}

impl Pattern {
    /// Reads a pattern from words: four, or two for patterns of addresses alone, or three
    /// for those with an identifier.
    pub(crate) fn parse(
        words: &[String],
        flavor: Flavor,
        scope: &Scope<'_>,
    ) -> Result<Self, String> {
        let (saddr, sport, daddr, dport) = match (words, flavor) {
            ([saddr, daddr], Flavor::Address | Flavor::Pair) => (saddr, "-", daddr, "-"),
            ([saddr, sport, daddr, dport], _) => (saddr, sport.as_str(), daddr, dport.as_str()),
            ([saddr, daddr, sport], Flavor::Ping) => (saddr, sport.as_str(), daddr, "-"),
            _ => return Err("bad pattern spec".into()),
        };
        let mut new = Self {
            source: None,
            sport: None,
            destination: None,
            dport: None,
            top: 0,
            addresses: false,
            sequential: false,
            next: 0,
        };
        if saddr != "-" {
            new.source_range(saddr, scope).ok_or("bad source address")?;
        }
        if sport != "-" {
            new.port_range(sport).ok_or("bad source port")?;
        }
        if daddr != "-" {
            let address = Ip::parse(daddr, scope).map_err(|_| "bad destination address")?;
            new.destination = Some(address.0);
        }
        if dport != "-" {
            let port = value::unsigned(dport).and_then(|port| u16::try_from(port).ok());
            new.dport = Some(port.ok_or("bad destination port")?);
        }
        Ok(new)
    }

    fn source_range(&mut self, text: &str, scope: &Scope<'_>) -> Option<()> {
        if let Some(prefix) = Prefix::read(text.trim_end_matches(['#', '?']), false, scope) {
            // All hosts of the network, in order from the address that is given.
            let mask = u32::from_be_bytes(prefix.mask);
            let (first, last) = (u32::from_be_bytes(prefix.network()) + 1, !mask);
            self.source = Some(first);
            self.top = last.saturating_sub(2);
            self.addresses = self.top > 0;
            self.sequential = text.ends_with('#');
            return Some(());
        }
        let (first, last, sequential) = range(text);
        let first = u32::from_be_bytes(Ip::parse(first, scope).ok()?.0);
        self.source = Some(first);
        if let Some(last) = last {
            let last = u32::from_be_bytes(Ip::parse(last, scope).ok()?.0);
            self.top = last.checked_sub(first)?;
            self.addresses = true;
        }
        self.sequential = sequential;
        Some(())
    }

    fn port_range(&mut self, text: &str) -> Option<()> {
        let port = |text: &str| u16::try_from(value::unsigned(text)?).ok();
        let (first, last, sequential) = range(text);
        let first = port(first)?;
        self.sport = Some(first);
        if let Some(last) = last {
            self.top = u32::from(port(last)?.checked_sub(first)?);
            self.sequential = sequential;
        }
        Some(())
    }

    /// Whether the pattern changes more than addresses.
    fn has_ports(flavor: Flavor) -> bool {
        matches!(flavor, Flavor::Ports | Flavor::Ping)
    }

    fn variant(&self, value: u32, base: FlowId) -> FlowId {
        let mut new = base;
        match self.source {
            Some(first) if self.addresses => {
                new.source = first.wrapping_add(value).to_be_bytes();
            }
            Some(first) => new.source = first.to_be_bytes(),
            None => {}
        }
        match self.sport {
            Some(first) if !self.addresses => new.sport = first.wrapping_add(value as u16),
            Some(first) => new.sport = first,
            None => {}
        }
        new
    }

    /// The identity that a new flow gets: one whose replies no other flow has.
    pub(crate) fn rewrite(
        &mut self,
        flow: FlowId,
        is_free: impl Fn(FlowId) -> bool,
        cx: &mut Context<'_>,
    ) -> Option<FlowId> {
        let mut base = flow;
        base.destination = self.destination.unwrap_or(flow.destination);
        base.dport = self.dport.unwrap_or(flow.dport);
        if self.top == 0 {
            let new = self.variant(0, base);
            return (self.next == 0 || is_free(new)).then_some(new).filter(|new| is_free(*new));
        }
        // The value that the flow has already, if it lies in the range.
        let own = if self.addresses {
            let first = self.source.unwrap_or(0);
            u32::from_be_bytes(flow.source).wrapping_sub(first)
        } else {
            u32::from(flow.sport).wrapping_sub(u32::from(self.sport.unwrap_or(0)))
        };
        let start = if self.sequential {
            self.next
        } else if own <= self.top && is_free(self.variant(own, base)) {
            own
        } else {
            cx.random_range(0, self.top)
        };
        let mut value = start.min(self.top);
        loop {
            let new = self.variant(value, base);
            let following = if value == self.top { 0 } else { value + 1 };
            if is_free(new) {
                self.next = following;
                return Some(new);
            }
            if following == start.min(self.top) {
                return None;
            }
            value = following;
        }
    }

    /// The pattern as text.
    pub(crate) fn unparse(&self, flavor: Flavor) -> String {
        let dash = || String::from("-");
        let source = match (self.source, self.addresses) {
            (None, _) => dash(),
            (Some(first), false) => unparse_ip(first.to_be_bytes()),
            (Some(first), true) => {
                let last = first.wrapping_add(self.top);
                let (first, last) =
                    (unparse_ip(first.to_be_bytes()), unparse_ip(last.to_be_bytes()));
                format!("{first}-{last}")
            }
        };
        let sport = match self.sport {
            None => dash(),
            Some(port) if self.top == 0 || self.addresses => format!("{port}"),
            Some(port) => format!("{port}-{}", u32::from(port) + self.top),
        };
        let destination = self.destination.map_or_else(dash, unparse_ip);
        let dport = self.dport.map_or_else(dash, |port| format!("{port}"));
        if Self::has_ports(flavor) {
            format!("{source} {sport} {destination} {dport}")
        } else {
            format!("{source} {destination}")
        }
    }
}
