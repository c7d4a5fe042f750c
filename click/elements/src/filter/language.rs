//! The language of IPFilter and IPClassifier: `src 10.0.0.0/8 and tcp dst port 80`.
//!
//! Source: the documentation of IPClassifier.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use click_language::value;
use click_runtime::args::{Ethernet, Ip, PrefixOrAddress, Scope, Value};
use click_runtime::names::{Kind, port};

use super::matcher::NETWORK;
use super::meaning::compile;
use super::program::{Expression, Order, Test};
use crate::dump::icmp_names;
use crate::wire;

/// How IP tests are put in order: the protocol comes first.
pub(crate) const ORDER: Order = Order {
    // Doubled, so that the protocol fits between two words.
    rank: |offset| if offset == NETWORK + 8 { 2 * (NETWORK + 3) } else { 2 * offset },
};

fn split(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let next = bytes.get(at + 1);
        let length = match bytes[at] {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            byte @ (b'&' | b'|') if next == Some(&byte) => 2,
            b'<' | b'>' | b'!' | b'=' if next == Some(&b'=') => 2,
            byte if byte.is_ascii_alphanumeric() || b"-./@_:".contains(&byte) => bytes[at..]
                .iter()
                .take_while(|byte| byte.is_ascii_alphanumeric() || b"-./@_:".contains(byte))
                .count(),
            _ => text[at..].chars().next().map_or(1, char::len_utf8),
        };
        words.push(&text[at..at + length]);
        at += length;
    }
    words
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Source,
    Destination,
    Either,
    Both,
}

/// A protocol, or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    One(u8),
    TcpOrUdp,
    /// Any with ports at the usual place.
    Transport,
}

/// What a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Host,
    Net,
    Ethernet,
    Protocol,
    Port,
    TcpOption,
    Fragment,
    Unfragmented,
    EcnCapable,
    Congested,
    /// Bits of a header: first bit and length, in the transport header or not.
    Field {
        transport: Option<Protocol>,
        bit: u32,
        length: u32,
        icmp_type: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datum {
    Number(u32),
    Address([u8; 4], [u8; 4]),
    Ethernet([u8; 6]),
    Protocol(Protocol),
    Port(u16),
    TcpOption(u8),
}

#[derive(Clone, Copy, Default)]
struct Previous {
    subject: Option<Subject>,
    direction: Option<Direction>,
    protocol: Option<Protocol>,
}

/// Deepest nesting of parentheses.
const DEEPEST: u32 = 100;

/// Reads a pattern; the error says what is wrong.
pub(crate) fn parse(text: &str, scope: &Scope<'_>) -> Result<Expression, String> {
    let words = split(text);
    if words.is_empty() || matches!(words[..], ["-" | "any" | "all"]) {
        return Ok(Expression::Test(Test::ALWAYS));
    }
    let mut parser = Parser { words, at: 0, scope, previous: Previous::default(), depth: 0 };
    let expression = parser.expression()?;
    match parser.peek() {
        None => Ok(expression),
        Some(word) => Err(format!("garbage after expression at '{word}'")),
    }
}

struct Parser<'a> {
    words: Vec<&'a str>,
    at: usize,
    scope: &'a Scope<'a>,
    previous: Previous,
    depth: u32,
}

fn field(bit: u32, length: u32) -> Subject {
    Subject::Field { transport: None, bit, length, icmp_type: false }
}

fn subject(word: &str) -> Option<Subject> {
    Some(match word {
        "host" => Subject::Host,
        "net" => Subject::Net,
        "proto" => Subject::Protocol,
        "port" => Subject::Port,
        "opt" => Subject::TcpOption,
        "frag" => Subject::Fragment,
        "unfrag" => Subject::Unfragmented,
        "ect" => Subject::EcnCapable,
        "ce" => Subject::Congested,
        "vers" => field(0, 4),
        "hl" => field(4, 4),
        "tos" => field(8, 8),
        "dscp" => field(8, 6),
        "len" => field(16, 16),
        "id" => field(32, 16),
        "ttl" => field(64, 8),
        "win" => Subject::Field {
            transport: Some(Protocol::One(wire::TCP)),
            bit: 112,
            length: 16,
            icmp_type: false,
        },
        "type" => Subject::Field {
            transport: Some(Protocol::One(wire::ICMP)),
            bit: 0,
            length: 8,
            icmp_type: true,
        },
        _ => return None,
    })
}

fn protocol(word: &str) -> Option<Protocol> {
    Some(match word {
        "tcp" => Protocol::One(wire::TCP),
        "udp" => Protocol::One(wire::UDP),
        "icmp" => Protocol::One(wire::ICMP),
        "igmp" => Protocol::One(2),
        "ipip" => Protocol::One(wire::IPIP),
        "dccp" => Protocol::One(33),
        "gre" => Protocol::One(47),
        "esp" => Protocol::One(50),
        "ah" => Protocol::One(51),
        "sctp" => Protocol::One(132),
        "tcpudp" => Protocol::TcpOrUdp,
        "transp" => Protocol::Transport,
        _ => return None,
    })
}

fn tcp_option(word: &str) -> Option<u8> {
    let flags = ["fin", "syn", "rst", "psh", "ack", "urg"];
    flags.iter().position(|flag| *flag == word).map(|bit| 1 << bit)
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn take(&mut self, options: &[&str]) -> bool {
        let found = self.peek().is_some_and(|word| options.contains(&word));
        self.at += usize::from(found);
        found
    }

    fn expression(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("expression nested too deeply".into());
        }
        let condition = self.alternatives()?;
        let result = if self.take(&["?"]) {
            let then = self.expression()?;
            if !self.take(&[":"]) {
                return Err("missing ':' in ternary expression".into());
            }
            let other = self.expression()?;
            Expression::Choice(alloc::boxed::Box::new([condition, then, other]))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(result)
    }

    fn alternatives(&mut self) -> Result<Expression, String> {
        let mut list = alloc::vec![self.term()?];
        while self.take(&["or", "||"]) {
            list.push(self.term()?);
        }
        Ok(Expression::Or(list))
    }

    fn term(&mut self) -> Result<Expression, String> {
        let mut list = alloc::vec![self.factor()?.ok_or("missing expression")?];
        loop {
            if self.take(&["and", "&&"]) {
                list.push(self.factor()?.ok_or("missing expression")?);
            } else {
                match self.factor()? {
                    Some(factor) => list.push(factor),
                    None => return Ok(Expression::And(list)),
                }
            }
        }
    }

    fn factor(&mut self) -> Result<Option<Expression>, String> {
        if self.take(&["not", "!"]) {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err("expression nested too deeply".into());
            }
            let inner = self.factor()?.ok_or("missing expression after 'not'")?;
            self.depth -= 1;
            return Ok(Some(inner.not(false)));
        }
        if self.take(&["("]) {
            let inner = self.expression()?;
            if !self.take(&[")"]) {
                return Err("missing ')'".into());
            }
            return Ok(Some(inner));
        }
        match self.peek() {
            None | Some(")" | "||" | "or" | "?" | ":" | "and" | "&&") => Ok(None),
            Some("true") => {
                self.at += 1;
                Ok(Some(Expression::Test(Test::ALWAYS)))
            }
            Some("false") => {
                self.at += 1;
                Ok(Some(Expression::Test(Test::ALWAYS).not(false)))
            }
            Some(_) => self.test().map(Some),
        }
    }

    /// Reads qualifiers, an optional mask and relation, and a datum.
    fn test(&mut self) -> Result<Expression, String> {
        let first = self.at;
        let (mut about, mut direction, mut over, mut header) = (None, None, None, None);
        let mut negated = false;
        while let Some(word) = self.peek() {
            if let Some(found) = subject(word) {
                if about.is_some() {
                    break;
                }
                about = Some(found);
                if let Subject::Field { transport: Some(transport), .. } = found {
                    over = Some(transport);
                }
            } else if let Some(found) = protocol(word) {
                // After `proto` the name is the datum.
                if about == Some(Subject::Protocol) {
                    break;
                }
                if over.is_some() && over != Some(found) {
                    return Err("transport protocol specified twice".into());
                }
                over = Some(found);
            } else {
                match word {
                    "src" => {
                        let pair = (self.words.get(self.at + 1), self.words.get(self.at + 2));
                        direction = Some(match pair {
                            (Some(&("and" | "&&")), Some(&("dst" | "dest"))) => {
                                self.at += 2;
                                Direction::Both
                            }
                            (Some(&("or" | "||")), Some(&("dst" | "dest"))) => {
                                self.at += 2;
                                Direction::Either
                            }
                            _ => Direction::Source,
                        });
                    }
                    "dst" | "dest" => direction = Some(Direction::Destination),
                    "ip" | "ether" if header.is_none() => header = Some(word),
                    "not" | "!" => negated = !negated,
                    _ => break,
                }
            }
            self.at += 1;
        }
        let qualified = self.at != first;
        if qualified {
            self.previous = Previous { subject: None, direction: None, protocol: None };
        }
        if about.is_none() && self.at > first && self.peek() == Some("[") {
            about = Some(self.brackets(over)?);
        }
        let mask = self.mask()?;
        let relation = self.relation();
        let datum = self.datum(about, over);
        if datum.is_none() && relation.is_some() {
            return Err(format!("dangling operator near '{}'", self.peek().unwrap_or_default()));
        }
        if self.at == first {
            return Err(format!("empty term near '{}'", self.peek().unwrap_or_default()));
        }
        let parts = Parts { about, direction, over, mask, relation, datum, header };
        let expression = self.build(parts)?;
        Ok(if negated { expression.not(false) } else { expression })
    }

    fn brackets(&mut self, over: Option<Protocol>) -> Result<Subject, String> {
        self.at += 1;
        let mut inside = String::new();
        loop {
            match self.peek() {
                None => return Err("missing ']'".into()),
                Some("]") => break,
                Some(word) => inside.push_str(word),
            }
            self.at += 1;
        }
        self.at += 1;
        let number = |text: &str| value::unsigned(text).and_then(|n| u32::try_from(n).ok());
        let range = if let Some((position, length)) = inside.split_once(':') {
            number(position).zip(number(length))
        } else if let Some((position, last)) = inside.split_once(',') {
            let (position, last) = (number(position), number(last));
            position.zip(last).and_then(|(p, last)| Some((p, last.checked_sub(p)? + 1)))
        } else {
            number(&inside).map(|position| (position, 1))
        };
        let (position, length) =
            range.ok_or("syntax error after '[', expected '[POS]' or '[POS:LEN]'")?;
        if !(1..=4).contains(&length) {
            return Err("LEN in '[POS:LEN]' out of range, should be between 1 and 4".into());
        }
        if position > 200 || position / 4 != (position + length - 1) / 4 {
            return Err(format!("field [{position}:{length}] does not fit in a single word"));
        }
        Ok(Subject::Field {
            transport: over,
            bit: position * 8,
            length: length * 8,
            icmp_type: false,
        })
    }

    fn mask(&mut self) -> Result<Option<Datum>, String> {
        if self.peek() != Some("&") {
            return Ok(None);
        }
        let Some(&word) = self.words.get(self.at + 1) else { return Ok(None) };
        let number = value::unsigned(word).and_then(|number| u32::try_from(number).ok());
        let mask = number
            .map(Datum::Number)
            .or_else(|| Ip::parse(word, self.scope).ok().map(|ip| Datum::Address(ip.0, [0; 4])))
            .or_else(|| Ethernet::parse(word, self.scope).ok().map(|eth| Datum::Ethernet(eth.0)));
        if mask.is_some() {
            self.at += 2;
        }
        if mask == Some(Datum::Number(0)) {
            return Err("zero mask ignored".into());
        }
        Ok(mask)
    }

    fn relation(&mut self) -> Option<Relation> {
        let relation = match self.peek()? {
            "=" | "==" => Relation::Equal,
            "!=" => Relation::NotEqual,
            ">" => Relation::Greater,
            "<" => Relation::Less,
            ">=" => Relation::GreaterOrEqual,
            "<=" => Relation::LessOrEqual,
            _ => return None,
        };
        self.at += 1;
        Some(relation)
    }

    fn datum(&mut self, about: Option<Subject>, over: Option<Protocol>) -> Option<Datum> {
        let word = self.peek()?;
        let found = self.word_datum(word, about, over)?;
        self.at += 1;
        Some(found)
    }

    fn word_datum(
        &mut self,
        word: &str,
        about: Option<Subject>,
        over: Option<Protocol>,
    ) -> Option<Datum> {
        let icmp = matches!(about, Some(Subject::Field { icmp_type: true, .. }));
        if icmp && let Some(kind) = icmp_names::parse_type(word) {
            return Some(Datum::Number(u32::from(kind)));
        }
        if about == Some(Subject::Protocol)
            && let Some(found) = protocol(word)
        {
            return Some(Datum::Protocol(found));
        }
        if let Some(number) = value::unsigned(word) {
            return Some(Datum::Number(u32::try_from(number).ok()?));
        }
        if matches!(about, None | Some(Subject::TcpOption))
            && let Some(flag) = tcp_option(word)
        {
            return Some(Datum::TcpOption(flag));
        }
        if matches!(about, None | Some(Subject::Port)) {
            let kinds: &[Kind] = match over {
                Some(Protocol::One(wire::TCP)) => &[Kind::TcpPort],
                Some(Protocol::One(wire::UDP)) => &[Kind::UdpPort],
                _ => &[Kind::TcpPort, Kind::UdpPort],
            };
            let named = kinds
                .iter()
                .find_map(|kind| self.scope.names.find(self.scope.element, *kind, word))
                .and_then(|bytes| bytes.try_into().ok())
                .map(u16::from_be_bytes);
            if let Some(number) = named.or_else(|| port(word)) {
                return Some(Datum::Port(number));
            }
        }
        if about.is_none()
            && over == Some(Protocol::One(wire::ICMP))
            && let Some(kind) = icmp_names::parse_type(word)
        {
            return Some(Datum::Number(u32::from(kind)));
        }
        if let Ok(Ip(address)) = Ip::parse(word, self.scope) {
            if self.words.get(self.at + 1) == Some(&"mask")
                && let Some(Ok(Ip(mask))) =
                    self.words.get(self.at + 2).map(|word| Ip::parse(word, self.scope))
            {
                self.at += 2;
                return Some(Datum::Address(address, mask));
            }
            return Some(Datum::Address(address, [255; 4]));
        }
        if let Ok(PrefixOrAddress(prefix)) = PrefixOrAddress::parse(word, self.scope) {
            return Some(Datum::Address(prefix.address, prefix.mask));
        }
        Ethernet::parse(word, self.scope).ok().map(|address| Datum::Ethernet(address.0))
    }

    /// Makes sense of the parts, with what the previous test said for what is missing.
    fn build(&mut self, parts: Parts<'_>) -> Result<Expression, String> {
        let previous = self.previous;
        let mut over = parts.over;
        let mut about = parts.about;
        let mut direction = parts.direction;
        if about.is_none() {
            about = match parts.datum {
                Some(Datum::Address(..)) => Some(Subject::Host),
                Some(Datum::Ethernet(_)) => Some(Subject::Ethernet),
                Some(Datum::TcpOption(_)) => Some(Subject::TcpOption),
                Some(Datum::Port(_)) => Some(Subject::Port),
                Some(Datum::Protocol(_)) => Some(Subject::Protocol),
                Some(Datum::Number(_)) => match previous.subject {
                    Some(subject @ (Subject::Field { .. } | Subject::Port | Subject::Protocol)) => {
                        Some(subject)
                    }
                    _ => return Err("specify header field or 'port'".into()),
                },
                None if over.is_some() => Some(Subject::Protocol),
                None => return Err("partial directive".into()),
            };
            direction = direction.or(previous.direction);
            if about == Some(Subject::Port) {
                over = over.or(previous.protocol);
            }
        }
        let Some(mut about) = about else { return Err("partial directive".into()) };
        if about == Subject::Host && matches!(parts.datum, Some(Datum::Ethernet(_))) {
            about = Subject::Ethernet;
        }
        self.previous = Previous { subject: Some(about), direction, protocol: over };
        compile(about, direction, over, &parts)
    }
}

/// A primitive, taken apart.
pub(super) struct Parts<'a> {
    pub(super) about: Option<Subject>,
    pub(super) direction: Option<Direction>,
    pub(super) over: Option<Protocol>,
    pub(super) mask: Option<Datum>,
    pub(super) relation: Option<Relation>,
    pub(super) datum: Option<Datum>,
    pub(super) header: Option<&'a str>,
}

impl Parts<'_> {
    pub(super) fn relation(&self) -> Relation {
        self.relation.unwrap_or(Relation::Equal)
    }

    /// Whether the relation is an (in)equality, and whether it is negated.
    pub(super) fn equality(&self, what: &str) -> Result<bool, String> {
        match self.relation() {
            Relation::Equal => Ok(false),
            Relation::NotEqual => Ok(true),
            _ => Err(format!("'{what}': operator not supported")),
        }
    }
}

/// The number of an output, or where `allow` and `deny` lead.
pub(crate) fn slot(word: &str, outputs: usize) -> Result<Option<usize>, String> {
    match word {
        "allow" => Ok(Some(0)),
        "deny" | "drop" => Ok(None),
        _ => match value::unsigned(word) {
            Some(number) if number < outputs as u64 => Ok(Some(number as usize)),
            Some(_) => Err(format!("slot '{word}' out of range")),
            None => Err(format!("unknown slot ID '{word}'")),
        },
    }
}
