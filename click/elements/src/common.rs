//! What many elements need.

use alloc::borrow::ToOwned;
use alloc::string::String;

use click_language::config;
use click_runtime::args::Value;
use click_runtime::handler::{Answer, Call};
use click_runtime::{Args, Context};

/// Reads a value that was written to a handler.
pub(crate) fn value<T: Value>(text: &str, cx: &Context<'_>) -> Result<T, String> {
    T::parse(&config::uncomment(text), &cx.scope())
}

/// The answer of a write that worked.
pub(crate) fn done() -> Answer {
    Ok(String::new())
}

/// Calls the handler that a configuration named, if it named one, and reports problems.
pub(crate) fn call(what: Option<&Call>, cx: &mut Context<'_>) {
    if let Some(what) = what
        && let Err(error) = cx.call_write(what)
    {
        cx.error(&error);
    }
}

/// Finds the handler to write that a configuration named.
pub(crate) fn resolve(text: &str, cx: &mut Context<'_>) -> Option<Call> {
    match cx.resolve_call(text, true) {
        Ok(call) => Some(call),
        Err(error) => {
            cx.error(&error);
            None
        }
    }
}

/// Replaces or adds a keyword in the configuration that an element shows.
pub(crate) fn show_keyword(
    keyword: &str,
    value: &str,
    position: Option<usize>,
    cx: &mut Context<'_>,
) {
    let mut arguments = config::split_arguments(cx.configuration());
    let named = |argument: &String| {
        config::keyword(argument).is_some_and(|(name, rest)| name == keyword && !rest.is_empty())
    };
    arguments.retain(|argument| !named(argument));
    if let Some(position) = position
        && position < arguments.len()
        && config::keyword(&arguments[position]).is_none_or(|(_, rest)| rest.is_empty())
    {
        arguments.remove(position);
    }
    arguments.push(alloc::format!("{keyword} {value}"));
    cx.set_configuration(arguments.join(", "));
}

/// Moving average of a rate, as Click's rate handlers report it: events per second, each
/// interval of a tenth of a second weighted by a quarter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rate {
    average: f64,
    current: u64,
    epoch: i64,
}

const EPOCH: i64 = 100_000_000;

impl Rate {
    pub(crate) fn update(&mut self, now: i64, count: u64) {
        let epoch = now / EPOCH;
        if epoch != self.epoch {
            self.advance(epoch);
        }
        self.current += count;
    }

    fn advance(&mut self, epoch: i64) {
        let passed = (epoch - self.epoch).max(1);
        if self.epoch != 0 {
            self.average += (self.current as f64 - self.average) / 4.0;
            for _ in 1..passed.min(100) {
                self.average -= self.average / 4.0;
            }
        }
        self.epoch = epoch;
        self.current = 0;
    }

    pub(crate) fn per_second(&mut self, now: i64) -> f64 {
        let epoch = now / EPOCH;
        if epoch != self.epoch {
            self.advance(epoch);
        }
        self.average * 10.0
    }
}

/// Reads an optional handler call from the arguments.
pub(crate) fn call_argument(name: &str, args: &mut Args<'_>) -> Option<String> {
    let mut text = click_runtime::args::Raw::default();
    args.keyword(name, &mut text).then(|| text.0.to_owned())
}

/// A number as Click prints reals: no needless digits.
pub(crate) fn real(number: f64) -> String {
    let text = alloc::format!("{number:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".into() } else { text.into() }
}

/// A number with up to 15 digits, as scripts compute with.
pub(crate) fn double(number: f64) -> String {
    if !number.is_finite() {
        return if number.is_nan() {
            "nan".into()
        } else if number > 0.0 {
            "inf".into()
        } else {
            "-inf".into()
        };
    }
    let mut whole = 1i32;
    let mut rest = number.abs();
    while rest >= 10.0 && whole < 15 {
        rest /= 10.0;
        whole += 1;
    }
    let places = usize::try_from(15 - whole).unwrap_or(0);
    let text = alloc::format!("{number:.places$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".into() } else { text.into() }
}

/// Bytes as Print and IPPrint show them: in groups of four in hexadecimal, or of eight
/// characters.
pub(crate) fn contents(bytes: &[u8], ascii: bool, out: &mut String) {
    let group = if ascii { 8 } else { 4 };
    for (at, &byte) in bytes.iter().enumerate() {
        if at % group == 0 && (ascii || at > 0) {
            out.push(' ');
        }
        if ascii {
            out.push(if (32..127).contains(&byte) { char::from(byte) } else { '.' });
        } else {
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('?'));
            }
        }
    }
}
