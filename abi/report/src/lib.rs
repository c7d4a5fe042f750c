//! What a running guest tells its host, and what the host tells it: frames.
//!
//! A frame is a head of [`HEAD_LEN`] bytes (kind `u8`, flags `u8`, reserved `u16` = 0, payload
//! length `u32`, little-endian) and its payload. Frames follow each other without padding.
//!
//! | platform | guest to host | host to guest |
//! |---|---|---|
//! | hosted | descriptor `report`, a sequenced-packet socket: each message holds whole frames | the same descriptor |
//! | QEMU | bytes written to the debug console at port [`DEBUG_PORT`] | bytes received on the serial port |
//!
//! In a virtual machine, what a guest *writes* to the serial port is plain text for the
//! console: what there is to say before the report channel works. The exit status goes both
//! ways: an [`Kind::Exit`] frame, then port [`EXIT_PORT`] (or power-off).
//!
//! Nothing is sent to a guest before it has said [`Kind::Listening`]. Input has a window: the
//! host sends as many bytes as the guest has given [`Kind::Credit`] for, so that input that
//! nobody reads never stands in the way of a signal.
//!
//! Principles: a writer needs no allocation; a reader skips kinds that it does not know; the
//! host believes nothing (lengths are limited, contents are data).
//!
//! Not here: questions that expect answers (the control channel's).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "decode")]
extern crate alloc;

#[cfg(feature = "decode")]
mod decode;

#[cfg(feature = "decode")]
pub use decode::{Damaged, Decoder, Frame};

/// Length of a frame's head in bytes.
pub const HEAD_LEN: usize = 8;

/// The longest payload in bytes. Longer texts and data are sent in several frames.
pub const MAX_PAYLOAD: usize = 64 << 10;

/// The longest payload of a frame to the guest in bytes: a guest keeps room for one.
pub const MAX_TO_GUEST: usize = 16 << 10;

/// I/O port of QEMU's debug console (`isa-debugcon`), to which frames are written bytewise. Not
/// 0x402, where SeaBIOS writes its own messages.
pub const DEBUG_PORT: u16 = 0xe9;

/// I/O port of QEMU's `isa-debug-exit`: any byte written ends the machine.
pub const EXIT_PORT: u16 = 0xf4;

/// Flag of [`Kind::Backtrace`]: the first address is where execution stood, not a return
/// address.
pub const FIRST_IS_EXACT: u8 = 1;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        /// What a frame says. The numbers are part of the format and are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = $value,)* }

        impl Kind {
            /// The kind with this number, if it is known.
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($value => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A message of the kernel: UTF-8 text; the flags are its [`Level`].
    Log = 1,
    /// The program has ended: its exit status as `i32` (0–255; 128 + n after signal n). The
    /// instance is over when the host has read this.
    Exit = 2,
    /// The kernel cannot go on: UTF-8 text. Backtraces may follow; the instance is lost.
    Panic = 3,
    /// Code addresses as `u64`, innermost first, relative to the start of the kernel's image.
    Backtrace = 4,
    /// The contents of a trace ring: UTF-8 text, a line per event.
    TraceRing = 5,
    /// Lines of system-call trace, UTF-8.
    Strace = 6,
    /// Bytes for standard output.
    Stdout = 7,
    /// Bytes for standard error.
    Stderr = 8,
    /// What a task is doing: UTF-8 text. A [`Kind::Backtrace`] of that task may follow.
    TaskDump = 9,
    /// The guest takes frames from now on. Before that a signal for drupe ends the instance at
    /// once.
    Listening = 10,
    /// The guest has room for so many further bytes of input: `u32`.
    Credit = 11,
    /// All that a [`Kind::Dump`] asked for has been sent.
    DumpEnd = 12,
    /// The guest is well: sent every few seconds, from its start on, by platforms whose programs
    /// can damage the kernel. When it stays away, the guest is lost.
    Alive = 13,
    /// To the guest: bytes for standard input or the terminal.
    Input = 64,
    /// To the guest: standard input has ended.
    InputEnd = 65,
    /// To the guest: a signal for the program, its Linux number as `u32` (Ctrl-C without a
    /// terminal is 2, a stop request 15).
    Signal = 66,
    /// To the guest: the terminal has changed its size; rows `u16`, columns `u16`.
    Resize = 67,
    /// To the guest: send trace rings and the dumps of all tasks, then go on.
    Dump = 68,
}

/// How much a kernel message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something failed.
    Error = 0,
    /// Something is not as it should be.
    Warning = 1,
    /// What a user may want to know.
    Information = 2,
    /// What a developer of the kernel wants to know.
    Debug = 3,
}

impl Level {
    /// The level with this number; everything above 3 is [`Level::Debug`].
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Error,
            1 => Self::Warning,
            2 => Self::Information,
            _ => Self::Debug,
        }
    }
}

/// The head of a frame of `kind` whose payload has `length` bytes, at most [`MAX_PAYLOAD`].
pub fn head(kind: Kind, flags: u8, length: usize) -> [u8; HEAD_LEN] {
    debug_assert!(length <= MAX_PAYLOAD, "a longer payload is split by its writer");
    let [a, b, c, d] = (length as u32).to_le_bytes();
    [kind as u8, flags, 0, 0, a, b, c, d]
}

/// The whole [`Kind::Exit`] frame for `status`.
pub fn exit(status: i32) -> [u8; HEAD_LEN + 4] {
    let mut frame = [0; HEAD_LEN + 4];
    frame[..HEAD_LEN].copy_from_slice(&head(Kind::Exit, 0, 4));
    frame[HEAD_LEN..].copy_from_slice(&status.to_le_bytes());
    frame
}
