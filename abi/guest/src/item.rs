//! The items of the configuration blob: kind, flags, length, payload, padding to eight bytes.

/// Length of an item's head in bytes: kind `u16`, flags `u16`, payload length `u32`.
pub(crate) const HEAD_LEN: usize = 8;

/// Flag of an item that a reader must understand; one that does not refuses the module.
pub(crate) const REQUIRED: u16 = 1;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        /// What an item says. The numbers are part of the format and are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Kind { $($(#[$doc])* $name = $value,)* }

        impl Kind {
            pub(crate) fn from_number(number: u16) -> Option<Self> {
                match number { $($value => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// One argument of the program, in order; the first is the name it is called by.
    Argument = 1,
    /// One environment variable, `NAME=value`.
    Environment = 2,
    /// The path of the program inside the root.
    Program = 3,
    /// The working directory.
    WorkingDirectory = 4,
    /// The host name.
    HostName = 5,
    /// A root or mounted file system.
    Root = 6,
    /// User and groups that the program starts with.
    User = 7,
    /// Limits of memory and virtual CPUs.
    Limits = 8,
    /// 32 bytes of seed for the random generator.
    Seed = 9,
    /// The shape of the terminal on the standard streams.
    Terminal = 10,
    /// What to trace.
    Trace = 11,
    /// Descriptors that a hosted guest finds open.
    Descriptors = 12,
    /// Nanoseconds since 1970 when the module was made, for platforms without a clock.
    Realtime = 13,
    /// The host sends standard input (or what is typed) as frames; without it there is none.
    Input = 14,
}

/// One item as it stands in the blob.
pub(crate) struct Item<'a> {
    pub number: u16,
    pub flags: u16,
    pub payload: &'a [u8],
}

/// Splits the first item off `bytes`; `None` when they are no whole item.
pub(crate) fn split(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let head = bytes.first_chunk::<HEAD_LEN>()?;
    let number = u16::from_le_bytes([head[0], head[1]]);
    let flags = u16::from_le_bytes([head[2], head[3]]);
    let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    let padded = length.checked_next_multiple_of(8)?;
    let body = bytes.get(HEAD_LEN..)?;
    let payload = body.get(..length)?;
    Some((Item { number, flags, payload }, body.get(padded..)?))
}
