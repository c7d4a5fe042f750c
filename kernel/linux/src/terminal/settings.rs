//! `struct termios` and what its bits say.

use crate::abi::Layout;
use crate::layout;

/// Bits of `c_iflag`.
#[allow(missing_docs, reason = "Linux's names")]
pub mod input {
    pub const ISTRIP: u32 = 0o40;
    pub const INLCR: u32 = 0o100;
    pub const IGNCR: u32 = 0o200;
    pub const ICRNL: u32 = 0o400;
    pub const IXON: u32 = 0o2000;
    pub const IXANY: u32 = 0o4000;
}

/// Bits of `c_oflag`.
#[allow(missing_docs, reason = "Linux's names")]
pub mod output {
    pub const OPOST: u32 = 1;
    pub const ONLCR: u32 = 4;
    pub const OCRNL: u32 = 8;
    pub const ONOCR: u32 = 0o20;
    pub const ONLRET: u32 = 0o40;
    pub const XTABS: u32 = 0o14000;
}

/// Bits of `c_lflag`.
#[allow(missing_docs, reason = "Linux's names")]
pub mod local {
    pub const ISIG: u32 = 1;
    pub const ICANON: u32 = 2;
    pub const ECHO: u32 = 0o10;
    pub const ECHOE: u32 = 0o20;
    pub const ECHOK: u32 = 0o40;
    pub const ECHONL: u32 = 0o100;
    pub const NOFLSH: u32 = 0o200;
    pub const TOSTOP: u32 = 0o400;
    pub const ECHOCTL: u32 = 0o1000;
    pub const ECHOKE: u32 = 0o4000;
    pub const IEXTEN: u32 = 0o100000;
}

/// Indices of `c_cc`.
#[allow(missing_docs, reason = "Linux's names")]
pub mod key {
    pub const INTR: usize = 0;
    pub const QUIT: usize = 1;
    pub const ERASE: usize = 2;
    pub const KILL: usize = 3;
    pub const EOF: usize = 4;
    pub const TIME: usize = 5;
    pub const MIN: usize = 6;
    pub const START: usize = 8;
    pub const STOP: usize = 9;
    pub const SUSP: usize = 10;
    pub const EOL: usize = 11;
    pub const REPRINT: usize = 12;
    pub const WERASE: usize = 14;
    pub const LNEXT: usize = 15;
    pub const EOL2: usize = 16;
}

layout! {
    /// `struct termios2`; `struct termios` ends before the speeds.
    pub struct Settings {
        pub input: u32,
        pub output: u32,
        pub control: u32,
        pub local: u32,
        pub line: u8,
        pub keys: [u8; 19],
        pub input_speed: u32,
        pub output_speed: u32,
    }
}

/// Bytes of a `struct termios`.
pub const SHORT: usize = Settings::SIZE - 8;

impl Settings {
    /// What a new terminal has.
    pub fn new() -> Self {
        let mut keys = [0; 19];
        keys[..17].copy_from_slice(&[
            3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0xf, 0x17, 0x16, 0,
        ]);
        Self {
            input: input::ICRNL | input::IXON,
            output: output::OPOST | output::ONLCR,
            // 38400 baud, eight bits, receiver on.
            control: 0xbf,
            local: local::ISIG
                | local::ICANON
                | local::ECHO
                | local::ECHOE
                | local::ECHOK
                | local::ECHOCTL
                | local::ECHOKE
                | local::IEXTEN,
            line: 0,
            keys,
            input_speed: 38400,
            output_speed: 38400,
        }
    }

    /// Whether these bits of `c_lflag` are set.
    pub fn local(&self, bits: u32) -> bool {
        self.local & bits == bits
    }

    /// Whether these bits of `c_iflag` are set.
    pub fn input(&self, bits: u32) -> bool {
        self.input & bits != 0
    }

    /// Whether these bits of `c_oflag` are set.
    pub fn output(&self, bits: u32) -> bool {
        self.output & bits != 0
    }

    /// Whether a byte is this key; one that is 0 is off.
    pub fn is_key(&self, byte: u8, key: usize) -> bool {
        byte != 0 && self.keys[key] == byte
    }
}
