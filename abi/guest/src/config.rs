//! Reading a boot module.

use crate::item::{self, Kind, REQUIRED};
use crate::{CHECKED_FROM, HEADER_LEN, Header, MAGIC, MAX_BLOB, PAGE_SIZE, VERSION, crc32};

/// Why a boot module cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Too short, or without the magic number.
    NotAModule,
    /// Made for another version of the format.
    Version(u32),
    /// Lengths that do not fit together: the file was cut off.
    Truncated,
    /// The checksum of the items does not match.
    Checksum,
    /// An item that must be understood and is not, by number.
    Unknown(u16),
    /// An item whose payload has the wrong form, by number.
    Malformed(u16),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotAModule => f.write_str("not a boot module"),
            Self::Version(version) => write!(
                f,
                "boot module of version {version}, this kernel reads version {VERSION}: kernel and drupe do not belong together"
            ),
            Self::Truncated => f.write_str("boot module is cut off"),
            Self::Checksum => f.write_str("boot module is damaged (checksum)"),
            Self::Unknown(number) => {
                write!(f, "boot module asks for feature {number}, which this kernel does not have")
            }
            Self::Malformed(number) => write!(f, "boot module has a malformed item {number}"),
        }
    }
}

/// Where the bytes of a root are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootSource {
    /// Inside the boot module.
    Module {
        /// Where it starts in the module, in bytes; a multiple of the page size.
        offset: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// A block device.
    Block {
        /// Its place among the block devices, from 0.
        index: u32,
    },
    /// A descriptor that a hosted guest finds open.
    Descriptor {
        /// The descriptor's number.
        number: u32,
    },
}

/// A file system to mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root<'a> {
    /// Where its bytes are.
    pub source: RootSource,
    /// Where to mount it, an absolute path; `/` is the root.
    pub target: &'a [u8],
    /// Whether writes are refused instead of kept in memory.
    pub read_only: bool,
}

/// User and group identities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// User identity.
    pub uid: u32,
    /// Group identity.
    pub gid: u32,
}

/// Limits of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes; on a virtual machine what the machine has, otherwise what may be used.
    pub memory: u64,
    /// Number of virtual CPUs, at least 1.
    pub cpus: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 256 << 20, cpus: 1 }
    }
}

/// The terminal that the standard streams are connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Height in characters.
    pub rows: u16,
    /// Width in characters.
    pub columns: u16,
}

/// What a guest traces from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Every system call, decoded, on the report channel.
    pub syscalls: bool,
    /// Kernel messages up to this level: 0 errors, 1 warnings, 2 information, 3 debugging.
    pub log_level: u8,
}

/// Descriptors that a hosted guest finds open, besides its three standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// The executable of the kernel, sealed.
    pub kernel: u32,
    /// The boot module.
    pub module: u32,
    /// Shared memory for the kernel's state.
    pub memory: u32,
    /// Where reports go: kernel messages, traces, the end.
    pub report: u32,
    /// What follows the page of the module in which the blob ends: the root's image, in a file of
    /// its own that is read in place.
    pub images: u32,
}

impl Descriptors {
    /// The numbers that drupe uses. A hosted kernel finds its module by them; the module then
    /// says the same numbers.
    pub const HOSTED: Self = Self { kernel: 3, module: 4, memory: 5, report: 6, images: 7 };
}

/// The configuration of a guest, borrowed from its boot module.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    items: &'a [u8],
    /// The path of the program inside the root; empty when none is given.
    pub program: &'a [u8],
    /// The working directory.
    pub working_directory: &'a [u8],
    /// The host name.
    pub host_name: &'a [u8],
    /// Who the program runs as.
    pub user: User,
    /// Memory and virtual CPUs.
    pub limits: Limits,
    /// Seed of the random generator; a platform adds its own entropy.
    pub seed: [u8; 32],
    /// The terminal, when the standard streams are one.
    pub terminal: Option<Terminal>,
    /// Whether the host sends standard input; without it, it has ended from the start.
    pub input: bool,
    /// What to trace.
    pub trace: Trace,
    /// Open descriptors, for the hosted platform.
    pub descriptors: Option<Descriptors>,
    /// Nanoseconds since 1970 when the module was made.
    pub realtime: u64,
}

/// Reads little-endian integers off the front of a payload.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

impl<'a> Config<'a> {
    /// The header of the module that starts with `bytes` (at least [`HEADER_LEN`] of them).
    ///
    /// # Errors
    /// When it is no module, of another version, or its lengths contradict each other.
    pub fn header(bytes: &[u8]) -> Result<Header, Error> {
        let mut fields = Fields(bytes.get(..HEADER_LEN).ok_or(Error::NotAModule)?);
        if fields.take() != Some(MAGIC) {
            return Err(Error::NotAModule);
        }
        let read = |fields: &mut Fields<'_>| {
            let version = fields.u32()?;
            let checksum = fields.u32()?;
            Some((version, Header { checksum, blob_len: fields.u64()?, module_len: fields.u64()? }))
        };
        let (version, header) = read(&mut fields).ok_or(Error::Truncated)?;
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let blob = HEADER_LEN as u64..=(MAX_BLOB as u64).min(header.module_len);
        if !blob.contains(&header.blob_len) {
            return Err(Error::Truncated);
        }
        Ok(header)
    }

    /// Parses and checks the module that `bytes` are.
    ///
    /// # Errors
    /// See [`Error`]. Nothing of a module that is refused has been used.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = Self::header(bytes)?;
        if (bytes.len() as u64) < header.module_len {
            return Err(Error::Truncated);
        }
        let blob = bytes.get(..header.blob_len as usize).ok_or(Error::Truncated)?;
        let (checked, items) = (blob.get(CHECKED_FROM..), blob.get(HEADER_LEN..));
        let (checked, items) = checked.zip(items).ok_or(Error::Truncated)?;
        if crc32(checked) != header.checksum {
            return Err(Error::Checksum);
        }
        let mut config = Self {
            items,
            program: b"",
            working_directory: b"/",
            host_name: b"drupe",
            user: User::default(),
            limits: Limits::default(),
            seed: [0; 32],
            terminal: None,
            input: false,
            trace: Trace::default(),
            descriptors: None,
            realtime: 0,
        };
        let mut rest = items;
        while !rest.is_empty() {
            let (item, after) = item::split(rest).ok_or(Error::Truncated)?;
            rest = after;
            match Kind::from_number(item.number) {
                Some(kind) => config
                    .apply(kind, item.payload, header.module_len)
                    .ok_or(Error::Malformed(item.number))?,
                None if item.flags & REQUIRED != 0 => return Err(Error::Unknown(item.number)),
                None => {}
            }
        }
        Ok(config)
    }

    fn apply(&mut self, kind: Kind, payload: &'a [u8], module_len: u64) -> Option<()> {
        let mut fields = Fields(payload);
        match kind {
            Kind::Argument | Kind::Environment => {
                // They become C strings.
                return (!payload.contains(&0)).then_some(());
            }
            Kind::Program => self.program = payload,
            Kind::WorkingDirectory => self.working_directory = payload,
            Kind::HostName => self.host_name = payload,
            Kind::Root => {
                let root = parse_root(payload)?;
                if let RootSource::Module { offset, length } = root.source {
                    let end = offset.checked_add(length)?;
                    if end > module_len || !offset.is_multiple_of(PAGE_SIZE as u64) {
                        return None;
                    }
                }
            }
            Kind::User => self.user = User { uid: fields.u32()?, gid: fields.u32()? },
            Kind::Limits => {
                self.limits = Limits { memory: fields.u64()?, cpus: fields.u32()?.max(1) };
            }
            Kind::Seed => self.seed = fields.take()?,
            Kind::Terminal => {
                self.terminal = Some(Terminal { rows: fields.u16()?, columns: fields.u16()? });
            }
            Kind::Trace => {
                self.trace = Trace { syscalls: fields.u8()? != 0, log_level: fields.u8()? };
            }
            Kind::Descriptors => {
                self.descriptors = Some(Descriptors {
                    kernel: fields.u32()?,
                    module: fields.u32()?,
                    memory: fields.u32()?,
                    report: fields.u32()?,
                    images: fields.u32()?,
                });
            }
            Kind::Realtime => self.realtime = fields.u64()?,
            Kind::Input => self.input = true,
        }
        Some(())
    }

    fn payloads(&self, wanted: Kind) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.items;
        core::iter::from_fn(move || {
            loop {
                let (item, after) = item::split(rest)?;
                rest = after;
                if item.number == wanted as u16 {
                    return Some(item.payload);
                }
            }
        })
    }

    /// The arguments of the program; the first is the name that it is called by.
    pub fn arguments(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.payloads(Kind::Argument)
    }

    /// The environment, each `NAME=value`.
    pub fn environment(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.payloads(Kind::Environment)
    }

    /// The file systems to mount, the root among them.
    pub fn roots(&self) -> impl Iterator<Item = Root<'a>> + use<'a> {
        self.payloads(Kind::Root).filter_map(parse_root)
    }
}

fn parse_root(payload: &[u8]) -> Option<Root<'_>> {
    let mut fields = Fields(payload);
    let source = fields.u32()?;
    let read_only = fields.u32()? & 1 != 0;
    let (first, second) = (fields.u64()?, fields.u64()?);
    let source = match source {
        0 => RootSource::Module { offset: first, length: second },
        1 => RootSource::Block { index: u32::try_from(first).ok()? },
        2 => RootSource::Descriptor { number: u32::try_from(first).ok()? },
        _ => return None,
    };
    let target = fields.0;
    (target.first() == Some(&b'/')).then_some(Root { source, target, read_only })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;

    fn sample() -> Vec<u8> {
        let mut builder = Builder::new();
        builder.program(b"/bin/app").argument(b"app").argument(b"two words").environment(b"A=1");
        builder.limits(Limits { memory: 64 << 20, cpus: 2 }).seed([7; 32]);
        builder.trace(Trace { syscalls: true, log_level: 3 }).input();
        builder.finish(Some(&[0xe0; 5000])).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let module = sample();
        let config = Config::parse(&module).unwrap();
        assert_eq!(config.program, b"/bin/app");
        assert_eq!(config.arguments().collect::<Vec<_>>(), [&b"app"[..], b"two words"]);
        assert_eq!(config.environment().collect::<Vec<_>>(), [b"A=1"]);
        assert_eq!(config.limits, Limits { memory: 64 << 20, cpus: 2 });
        assert_eq!(config.seed, [7; 32]);
        assert!(config.trace.syscalls && config.input);
        let root = config.roots().next().unwrap();
        let RootSource::Module { offset, length } = root.source else { panic!("{root:?}") };
        assert_eq!(length, 5000);
        assert!(offset.is_multiple_of(PAGE_SIZE as u64));
        assert_eq!(module[offset as usize..][..5000], [0xe0; 5000]);
        assert_eq!(module.len() % PAGE_SIZE, 0);
    }

    #[test]
    fn every_cut_is_refused() {
        let module = sample();
        for length in 0..module.len() {
            assert!(Config::parse(&module[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn damage_is_refused() {
        let module = sample();
        let blob_len = Config::header(&module).unwrap().blob_len as usize;
        for position in 0..blob_len {
            let mut damaged = module.clone();
            damaged[position] ^= 0x10;
            assert!(Config::parse(&damaged).is_err(), "damaged at {position}");
        }
    }

    #[test]
    fn an_unknown_item_is_skipped_unless_required() {
        let mut builder = Builder::new();
        builder.raw(999, 0, b"later");
        assert!(Config::parse(&builder.finish(None).unwrap()).is_ok());
        let mut builder = Builder::new();
        builder.raw(999, REQUIRED, b"later");
        let module = builder.finish(None).unwrap();
        assert_eq!(Config::parse(&module).unwrap_err(), Error::Unknown(999));
    }
}
