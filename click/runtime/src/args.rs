//! Arguments of an element: positional ones first, then `KEYWORD value`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use click_language::{Report, config, text, value};

use crate::anno;
use crate::names::{Kind, Names};

/// What the meaning of an argument may depend on.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Full name of the element.
    pub element: &'a str,
    /// Names of addresses and ports.
    pub names: &'a Names,
    /// Names of all elements, to find one by name.
    pub elements: &'a [String],
}

impl Scope<'_> {
    /// The element that `name` means here: in the same compound or one around it.
    pub fn find_element(&self, name: &str) -> Option<usize> {
        let mut scope = self.element;
        loop {
            scope = scope.rfind('/').map_or("", |slash| &scope[..slash]);
            let full = if scope.is_empty() { name.into() } else { format!("{scope}/{name}") };
            if let Some(found) = self.elements.iter().position(|known| *known == full) {
                return Some(found);
            }
            if scope.is_empty() {
                return None;
            }
        }
    }
}

/// A type of argument.
pub trait Value: Sized {
    /// Reads the argument; the error says what was expected.
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String>;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
                let range = || format!("out of range, bound {}", <$type>::MAX);
                match (value::integer(text), value::unsigned(text)) {
                    (Some(number), _) => <$type>::try_from(number).map_err(|_| range()),
                    (None, Some(number)) => <$type>::try_from(number).map_err(|_| range()),
                    (None, None) => Err("expected integer".into()),
                }
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, i32, i64, usize);

impl Value for bool {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        value::boolean(text).ok_or_else(|| "expected boolean".into())
    }
}

impl Value for f64 {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        value::real(text).ok_or_else(|| "expected real number".into())
    }
}

impl Value for String {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        config::word(text)
            .or_else(|| text.is_empty().then(String::new))
            .ok_or_else(|| "expected string".into())
    }
}

impl<T: Value> Value for Option<T> {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        T::parse(text, scope).map(Some)
    }
}

/// An argument as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw(pub String);

impl Value for Raw {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        Ok(Self(text.into()))
    }
}

/// Bytes: a string that may hold any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data(pub Vec<u8>);

impl Value for Data {
    fn parse(written: &str, _: &Scope<'_>) -> Result<Self, String> {
        Ok(Self(text::to_bytes(&config::unquote(written))))
    }
}

/// A time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

impl Value for Time {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        value::time(text).map(Self).ok_or_else(|| "expected time in seconds".into())
    }
}

/// A bandwidth in bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bandwidth(pub u64);

impl Value for Bandwidth {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        value::bandwidth(text).map(Self).ok_or_else(|| "expected bandwidth".into())
    }
}

/// An IPv4 address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ip(pub [u8; 4]);

impl Value for Ip {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let (name, kind) = text.split_once(':').unwrap_or((text, "ip"));
        let named = || match kind {
            "ip" | "ip4" => fixed(scope.names.find(scope.element, Kind::Ip, name)?),
            "bcast" => {
                let prefix = scope.names.find(scope.element, Kind::IpPrefix, name)?;
                let (address, mask) = prefix.split_at_checked(4)?;
                let (address, mask) = (fixed::<4>(address)?, fixed::<4>(mask)?);
                let broadcast = u32::from_be_bytes(address) | !u32::from_be_bytes(mask);
                Some(broadcast.to_be_bytes())
            }
            _ => None,
        };
        value::ip_address(text).or_else(named).map(Self).ok_or_else(|| "expected IP address".into())
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// An IPv4 prefix: address as written, and mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// Address, host bits kept.
    pub address: [u8; 4],
    /// Mask.
    pub mask: [u8; 4],
}

impl Prefix {
    /// The network of an address: host bits cleared.
    pub fn network(&self) -> [u8; 4] {
        (u32::from_be_bytes(self.address) & u32::from_be_bytes(self.mask)).to_be_bytes()
    }

    /// Whether the address lies in the prefix.
    pub fn contains(&self, address: [u8; 4]) -> bool {
        let difference = u32::from_be_bytes(address) ^ u32::from_be_bytes(self.address);
        difference & u32::from_be_bytes(self.mask) == 0
    }

    /// Reads a prefix, or with `bare` also an address, which is a prefix of 32 bits.
    pub fn read(text: &str, bare: bool, scope: &Scope<'_>) -> Option<Self> {
        if let Some((address, mask)) = value::ip_prefix(text) {
            return Some(Self { address, mask });
        }
        if bare && let Ok(Ip(address)) = Ip::parse(text, scope) {
            return Some(Self { address, mask: [255; 4] });
        }
        let name = match text.split_once(':') {
            Some((name, "ipnet" | "ip4net")) => name,
            Some(_) => return None,
            None => text,
        };
        let known = scope.names.find(scope.element, Kind::IpPrefix, name)?;
        let (address, mask) = known.split_at_checked(4)?;
        Some(Self { address: fixed(address)?, mask: fixed(mask)? })
    }
}

impl Value for Prefix {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        Self::read(text, false, scope).ok_or_else(|| "expected IP address prefix".into())
    }
}

/// An IPv4 prefix, or an address that stands for a prefix of 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixOrAddress(pub Prefix);

impl Value for PrefixOrAddress {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let found = Prefix::read(text, true, scope).map(Self);
        found.ok_or_else(|| "expected IP address prefix".into())
    }
}

/// An IPv6 address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ip6(pub [u8; 16]);

impl Value for Ip6 {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let named = || fixed(scope.names.find(scope.element, Kind::Ip6, text)?);
        value::ip6_address(text)
            .or_else(named)
            .map(Self)
            .ok_or_else(|| "expected IPv6 address".into())
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ethernet(pub [u8; 6]);

impl Value for Ethernet {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let (name, kind) = text.rsplit_once(':').unwrap_or((text, "eth"));
        let named = || match kind {
            "eth" => fixed(scope.names.find(scope.element, Kind::Ethernet, name)?),
            _ => None,
        };
        value::ethernet_address(text)
            .or_else(named)
            .map(Self)
            .ok_or_else(|| "expected Ethernet address".into())
    }
}

/// A UDP port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpPort(pub u16);

impl Value for UdpPort {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        port(text, Kind::UdpPort, scope).map(Self).ok_or_else(|| "expected UDP port".into())
    }
}

/// A TCP port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpPort(pub u16);

impl Value for TcpPort {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        port(text, Kind::TcpPort, scope).map(Self).ok_or_else(|| "expected TCP port".into())
    }
}

/// A port by number or name.
pub fn port(text: &str, kind: Kind, scope: &Scope<'_>) -> Option<u16> {
    let number = || u16::try_from(value::unsigned(text)?).ok();
    let named = || fixed(scope.names.find(scope.element, kind, text)?).map(u16::from_be_bytes);
    number().or_else(named).or_else(|| crate::names::port(text))
}

/// Another element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementRef(pub usize);

impl Value for ElementRef {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let missing = || format!("'{text}' does not name an element");
        scope.find_element(text).map(Self).ok_or_else(missing)
    }
}

/// An annotation of `N` bytes (0: of any size).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Annotation<const N: usize>(pub anno::Slot);

impl<const N: usize> Value for Annotation<N> {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let expected = || {
            if N > 0 {
                format!("expected {N}-byte annotation")
            } else {
                "expected annotation".into()
            }
        };
        anno::parse(text, N).map(Self).ok_or_else(expected)
    }
}

/// The arguments of one element while it is configured.
pub struct Args<'a> {
    arguments: Vec<Option<String>>,
    /// What names mean here.
    pub scope: Scope<'a>,
    /// Number of inputs in use.
    pub inputs: usize,
    /// Number of outputs in use.
    pub outputs: usize,
    report: &'a mut Report,
    before: usize,
}

impl<'a> Args<'a> {
    /// Arguments from their text.
    pub fn new(
        arguments: Vec<String>,
        scope: Scope<'a>,
        (inputs, outputs): (usize, usize),
        report: &'a mut Report,
    ) -> Self {
        let before = report.errors();
        let arguments = arguments.into_iter().map(Some).collect();
        Self { arguments, scope, inputs, outputs, report, before }
    }

    /// Complains.
    pub fn error(&mut self, text: &str) {
        self.report.error(text);
    }

    /// Warns.
    pub fn warning(&mut self, text: &str) {
        self.report.warning(text);
    }

    /// Says something.
    pub fn message(&mut self, text: &str) {
        self.report.message(text);
    }

    /// Whether nothing went wrong so far.
    pub fn is_fine(&self) -> bool {
        self.report.errors() == self.before
    }

    fn take_keyword(&mut self, name: &str) -> Option<String> {
        let mut found = None;
        for argument in &mut self.arguments {
            let Some((keyword, rest)) = argument.as_deref().and_then(config::keyword) else {
                continue;
            };
            if keyword == name && !(rest.is_empty() && found.is_some()) {
                found = Some(rest);
                *argument = None;
            }
        }
        found
    }

    fn take_positional(&mut self) -> Option<String> {
        // `KEYWORD value` is no positional argument, but a lone word in capitals may be.
        let named = |text: &str| config::keyword(text).is_some_and(|(_, rest)| !rest.is_empty());
        let plain = |slot: &&mut Option<String>| slot.as_deref().is_some_and(|text| !named(text));
        self.arguments.iter_mut().find(plain)?.take()
    }

    fn store<T: Value>(&mut self, name: &str, text: Option<String>, into: &mut T) -> bool {
        let Some(text) = text else { return false };
        match T::parse(&text, &self.scope) {
            Ok(value) => *into = value,
            Err(error) => self.report.error(&format!("{name}: {error}")),
        }
        true
    }

    /// Reads an optional argument by position or keyword. Says whether it was there.
    pub fn positional<T: Value>(&mut self, name: &str, into: &mut T) -> bool {
        let text = match self.take_keyword(name) {
            Some(text) => Some(text),
            None => self.take_positional(),
        };
        self.store(name, text, into)
    }

    /// Reads an argument by position or keyword that must be there.
    pub fn required<T: Value>(&mut self, name: &str, into: &mut T) -> bool {
        let found = self.positional(name, into);
        if !found {
            self.report.error(&format!("{name}: required argument missing"));
        }
        found
    }

    /// Reads an optional argument by keyword only.
    pub fn keyword<T: Value>(&mut self, name: &str, into: &mut T) -> bool {
        let text = self.take_keyword(name);
        self.store(name, text, into)
    }

    /// Reads an argument by keyword that must be there.
    pub fn required_keyword<T: Value>(&mut self, name: &str, into: &mut T) -> bool {
        let found = self.keyword(name, into);
        if !found {
            self.report.error(&format!("{name}: required argument missing"));
        }
        found
    }

    /// Takes all arguments that are left.
    pub fn rest(&mut self) -> Vec<String> {
        self.arguments.iter_mut().filter_map(Option::take).collect()
    }

    /// Complains about arguments that nobody took.
    pub fn finish(&mut self) {
        let left: Vec<String> = self.rest();
        let mut too_many = false;
        for argument in left {
            match config::keyword(&argument) {
                Some((name, rest)) if !rest.is_empty() => {
                    self.report.error(&format!("{name}: unknown argument"));
                }
                _ => too_many = true,
            }
        }
        if too_many {
            self.report.error("too many arguments");
        }
    }

    /// The scope, and the report for complaints, apart.
    pub fn split(&mut self) -> (Scope<'a>, &mut Report) {
        (self.scope, self.report)
    }

    /// The element that `name` means.
    pub fn element(&self, name: &str) -> Option<usize> {
        self.scope.find_element(&config::word(name).unwrap_or_else(|| name.to_string()))
    }
}
