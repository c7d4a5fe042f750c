//! System call traces for people, in the form of strace.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use abi_linux::{Argument, Call, names};
use errno::Errno;
use hal::Report;

use crate::abi::IoVec;
use crate::error::{Fail, Result};
use crate::thread::Thread;
use crate::user;

/// Bytes of a string or buffer that are shown.
const SHOWN: usize = 48;
/// Elements of an array that are shown.
const ELEMENTS: u64 = 8;

/// The arguments of a call that has been entered; those that the call writes are not known yet.
pub struct Entered(Vec<Option<String>>);

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

fn pointer(value: u64) -> String {
    if value == 0 { "NULL".into() } else { format!("{value:#x}") }
}

/// What is at an address, or the address if that cannot be read.
fn at(value: u64, read: impl FnOnce() -> Result<String>) -> String {
    if value == 0 { "NULL".into() } else { read().unwrap_or_else(|_| pointer(value)) }
}

fn bytes_at(address: u64, length: u64) -> String {
    at(address, || {
        let bytes = user::read_bytes(address, length.min(SHOWN as u64) as usize)?;
        Ok(quoted(&bytes, length > SHOWN as u64))
    })
}

/// The elements of an array, as many as are shown.
fn list(count: u64, mut element: impl FnMut(u64) -> Result<Option<String>>) -> Result<String> {
    let mut text = String::from("[");
    for index in 0..count {
        let Some(next) = element(index)? else { break };
        if index > 0 {
            text.push_str(", ");
        }
        if index == ELEMENTS {
            text.push_str("...");
            break;
        }
        text.push_str(&next);
    }
    text.push(']');
    Ok(text)
}

fn time(address: u64) -> Result<String> {
    let [seconds, nanoseconds]: [u64; 2] = user::read(address)?;
    Ok(format!("{{tv_sec={}, tv_nsec={}}}", seconds as i64, nanoseconds as i64))
}

fn signals(set: u64) -> String {
    let mut text = String::new();
    let _ = names::signal_set(set, &mut text);
    text
}

fn action(address: u64) -> Result<String> {
    let [handler, flags, _restorer, mask]: [u64; 4] = user::read(address)?;
    let handler = match handler {
        0 => "SIG_DFL".into(),
        1 => "SIG_IGN".into(),
        other => pointer(other),
    };
    Ok(format!("{{sa_handler={handler}, sa_mask={}, sa_flags={flags:#x}}}", signals(mask)))
}

fn socket_address(address: u64, length: u64) -> Result<String> {
    let bytes = user::read_bytes(address, length.min(128) as usize)?;
    let port = || match bytes.get(2..4) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    };
    Ok(match *bytes.as_slice() {
        [1, 0, ref name @ ..] => {
            // A name that begins with a zero has no end but the length.
            let is_abstract = name.first() == Some(&0);
            let end = if is_abstract { None } else { name.iter().position(|&byte| byte == 0) };
            let name = quoted(&name[..end.unwrap_or(name.len())], false);
            format!("{{sa_family=AF_UNIX, sun_path={name}}}")
        }
        [2, 0, _, _, a, b, c, d, ..] => {
            format!("{{sa_family=AF_INET, sin_port={}, sin_addr={a}.{b}.{c}.{d}}}", port())
        }
        [10, 0, ..] if bytes.len() >= 24 => {
            let mut groups = [0u8; 16];
            groups.copy_from_slice(&bytes[8..24]);
            let ip = core::net::Ipv6Addr::from(groups);
            format!("{{sa_family=AF_INET6, sin6_port={}, sin6_addr={ip}}}", port())
        }
        _ => quoted(&bytes, false),
    })
}

fn polled(address: u64, count: u64) -> Result<String> {
    list(count, |index| {
        let entry: u64 = user::read(address + 8 * index)?;
        let (descriptor, events) = (entry as i32, (entry >> 32) as u16);
        Ok(Some(format!("{{fd={descriptor}, events={events:#x}}}")))
    })
}

fn vectors(call: &Call, address: u64, count: u64) -> Result<String> {
    let is_input = call.name.contains("write");
    list(count, |index| {
        let IoVec { base, length } = user::read(address + 16 * index)?;
        let content = if is_input { bytes_at(base, length) } else { pointer(base) };
        Ok(Some(format!("{{iov_base={content}, iov_len={length}}}")))
    })
}

fn strings(address: u64) -> Result<String> {
    list(u64::MAX, |index| {
        let string: u64 = user::read(address + 8 * index)?;
        if string == 0 {
            return Ok(None);
        }
        let text = user::read_string(string, 1 << 17, Errno::E2BIG)?;
        Ok(Some(quoted(&text[..text.len().min(SHOWN)], text.len() > SHOWN)))
    })
}

/// An argument as it is before the call; `None`: the call writes it.
fn before(call: &Call, kind: Argument, value: u64, next: u64) -> Option<String> {
    let mut text = String::new();
    if names::write(kind, value, &mut text).unwrap_or(false) {
        return Some(text);
    }
    Some(match kind {
        Argument::Output
        | Argument::TimeOut
        | Argument::TwoDescriptors
        | Argument::Stat
        | Argument::Status => return None,
        Argument::Path => at(value, || Ok(quoted(&user::read_path(value)?, false))),
        Argument::Input => bytes_at(value, next),
        Argument::Strings => at(value, || strings(value)),
        Argument::Vectors => at(value, || vectors(call, value, next)),
        Argument::Polled => at(value, || polled(value, next)),
        Argument::SignalSet => at(value, || Ok(signals(user::read(value)?))),
        Argument::Action => at(value, || action(value)),
        Argument::Time => at(value, || time(value)),
        Argument::Address => at(value, || socket_address(value, next)),
        _ => pointer(value),
    })
}

/// An argument that the call has written, which gave `result`.
fn after(kind: Argument, value: u64, result: u64) -> String {
    at(value, || {
        Ok(match kind {
            Argument::Output => bytes_at(value, result),
            Argument::TimeOut => time(value)?,
            Argument::TwoDescriptors => {
                let [first, second]: [u32; 2] = user::read(value)?;
                format!("[{}, {}]", first as i32, second as i32)
            }
            Argument::Stat => {
                let mode: u32 = user::read(value + 24)?;
                let size: u64 = user::read(value + 48)?;
                format!("{{st_mode=0{mode:o}, st_size={size}, ...}}")
            }
            Argument::Status => {
                let status: u32 = user::read(value)?;
                match (status & 0x7f, status >> 8 & 0xff) {
                    (0, code) => format!("[{{WIFEXITED, WEXITSTATUS == {code}}}]"),
                    (0x7f, signal) => format!("[{{WIFSTOPPED, WSTOPSIG == {signal}}}]"),
                    (signal, _) => format!("[{{WIFSIGNALED, WTERMSIG == {signal}}}]"),
                }
            }
            _ => pointer(value),
        })
    })
}

/// Calls that never come back: they are shown when they are entered.
const EXIT: u16 = 60;
const EXIT_GROUP: u16 = 231;

/// Takes note of a call and its arguments, as they are when it is entered.
pub fn enter(thread: &Thread, call: &Call, arguments: [u64; 6]) -> Entered {
    let texts = call.arguments.iter().enumerate().map(|(index, &kind)| {
        let next = arguments.get(index + 1).copied().unwrap_or(0);
        before(call, kind, arguments[index], next)
    });
    let entered = Entered(texts.collect());
    if matches!(call.number, EXIT | EXIT_GROUP) {
        report(thread, &line(call, &entered, arguments, None), "?");
    }
    entered
}

/// The call with its arguments. `result`: what it gave, if it did not fail.
fn line(call: &Call, entered: &Entered, arguments: [u64; 6], result: Option<u64>) -> String {
    let mut text = format!("{}(", call.name);
    for (index, known) in entered.0.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        match (known, result) {
            (Some(known), _) => text.push_str(known),
            // A wait that found nobody, and a sleep that was not cut short, have written nothing.
            (None, Some(0)) if matches!(call.arguments[index], Argument::Status) => {
                text.push_str(&pointer(arguments[index]));
            }
            (None, Some(result)) => {
                text.push_str(&after(call.arguments[index], arguments[index], result));
            }
            (None, None) => text.push_str(&pointer(arguments[index])),
        }
    }
    text.push(')');
    text
}

fn report(thread: &Thread, call: &str, outcome: &str) {
    let line = format!("[{}] {call} = {outcome}", thread.tid());
    hal::report(Report::Strace, 0, line.as_bytes());
}

/// Reports a call that has been served in `time` nanoseconds.
pub fn leave(
    thread: &Thread,
    number: u64,
    arguments: [u64; 6],
    entered: Option<(&Call, Entered)>,
    result: Result,
    time: u64,
) {
    let given = result.as_ref().ok().copied();
    let (text, returns_pointer) = match &entered {
        Some((call, entered)) => (line(call, entered, arguments, given), call.returns_pointer),
        None => match abi_linux::name_of(number) {
            Some(name) => (format!("{name}({:#x}, ...)", arguments[0]), false),
            None => (format!("syscall_{number}({:#x}, ...)", arguments[0]), false),
        },
    };
    let outcome = match result {
        Ok(value) if returns_pointer => pointer(value),
        Ok(value) => format!("{}", value as i64),
        Err(Fail::Errno(errno)) => format!("-1 {} ({})", errno.name(), errno.message()),
        Err(_) => format!("? {} (interrupted by a signal)", Errno::EINTR.name()),
    };
    let seconds = time / 1_000_000_000;
    let outcome = format!("{outcome} <{seconds}.{:06}>", time % 1_000_000_000 / 1000);
    report(thread, &text, &outcome);
}
