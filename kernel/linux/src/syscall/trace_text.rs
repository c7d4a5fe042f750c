//! System call traces for people, in the form of strace.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use errno::Errno;
use hal::Report;

use super::table::{Argument, Call};
use crate::error::{Fail, Result};
use crate::thread::Thread;
use crate::user;

/// Bytes of a string or buffer that are shown.
const SHOWN: usize = 48;

fn quoted(bytes: &[u8], more: bool) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(byte as char);
            }
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\r' => text.push_str("\\r"),
            0x20..0x7f => text.push(byte as char),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push_str(if more { "\"..." } else { "\"" });
    text
}

fn argument_text(kind: Argument, value: u64, next: u64) -> String {
    match kind {
        Argument::Integer | Argument::Descriptor => format!("{}", value as i32),
        Argument::Long => format!("{}", value as i64),
        Argument::Flags => format!("{value:#x}"),
        Argument::Mode => format!("{:#o}", value as u32),
        Argument::Pointer if value == 0 => "NULL".into(),
        Argument::Pointer => format!("{value:#x}"),
        Argument::Directory if value as i32 == -100 => "AT_FDCWD".into(),
        Argument::Directory => format!("{}", value as i32),
        Argument::Signal => format!("SIG{}", value as i32),
        Argument::Path => match user::read_path(value) {
            Ok(path) => quoted(&path, false),
            Err(_) => format!("{value:#x}"),
        },
        Argument::Input => {
            let length = (next as usize).min(SHOWN);
            match user::read_bytes(value, length) {
                Ok(bytes) => quoted(&bytes, next as usize > SHOWN),
                Err(_) => format!("{value:#x}"),
            }
        }
        Argument::Output => format!("{value:#x}"),
    }
}

/// The call with its arguments, as they are when it is entered.
pub fn enter(call: &Call, arguments: [u64; 6]) -> String {
    let mut text = format!("{}(", call.name);
    for (index, &kind) in call.arguments.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        let next = arguments.get(index + 1).copied().unwrap_or(0);
        text.push_str(&argument_text(kind, arguments[index], next));
    }
    text.push(')');
    text
}

/// Reports a call that has been served.
pub fn leave(
    thread: &Thread,
    call: Option<&Call>,
    number: u64,
    arguments: [u64; 6],
    entered: Option<String>,
    result: Result,
    time: u64,
) {
    let mut text = entered.unwrap_or_else(|| format!("syscall_{number}({:#x}, ...)", arguments[0]));
    let pointer = call.is_some_and(|call| call.returns_pointer);
    let outcome = match result {
        Ok(value) if pointer => format!("{value:#x}"),
        Ok(value) => format!("{}", value as i64),
        Err(Fail::Errno(errno)) => format!("-1 {} ({})", errno.name(), errno.message()),
        Err(_) => format!("? {} (interrupted by a signal)", Errno::EINTR.name()),
    };
    let _ =
        write!(text, " = {outcome} <{}.{:06}>", time / 1_000_000_000, time % 1_000_000_000 / 1000);
    let line = format!("[{}] {text}", thread.tid());
    hal::report(Report::Strace, 0, line.as_bytes());
}
