//! The functions that every script offers as handlers.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;

use click_language::{config, text, value};
use click_runtime::handler::Answer;
use click_runtime::{Context, Handler};

use super::signal_number;
use crate::common;

const FUNCTIONS: &[&str] = &[
    "add", "sub", "min", "max", "mul", "div", "idiv", "mod", "rem", "neg", "abs", "eq", "ne", "gt",
    "ge", "lt", "le", "not", "sprintf", "first", "random", "and", "or", "nand", "nor", "if", "in",
    "readable", "writable", "length", "unquote", "htons", "htonl", "ntohs", "ntohl",
];

const PRIVATE: &[&str] = &["cat", "catq", "kill"];

/// All handlers of a script but those of its own variables.
pub(super) fn handlers() -> Vec<Handler> {
    let mut list = alloc::vec![
        Handler::write("step"),
        Handler::write("goto"),
        Handler::both("run").with_parameter(),
        Handler::query("get"),
        Handler::write("set"),
        Handler::query("shift"),
        Handler::read("now"),
    ];
    list.extend(FUNCTIONS.iter().map(|name| Handler::query(name)));
    list.extend(PRIVATE.iter().map(|name| Handler::query(name).private()));
    list
}

/// Calls a function; none if there is none of that name.
pub(super) fn call(name: &str, parameter: &str, cx: &mut Context<'_>) -> Option<Answer> {
    let words = || config::split_words(parameter);
    Some(match name {
        "add" | "sub" | "min" | "max" | "mul" | "div" | "idiv" => arithmetic(name, &words()),
        "mod" | "rem" => remainder(name, &words()),
        "neg" | "abs" => one_number(name, parameter),
        "eq" | "ne" | "gt" | "ge" | "lt" | "le" => compare(name, &words()),
        "not" => truth(parameter).map(|truth| (!truth).to_string()),
        "and" | "or" | "nand" | "nor" => logic(name, &words()),
        "if" => choose(&words()),
        "in" => {
            let list: Vec<String> = words().iter().map(|word| config::unquote(word)).collect();
            let found = list.split_first().is_some_and(|(first, rest)| rest.contains(first));
            Ok(found.to_string())
        }
        "sprintf" => print_formatted(&words()),
        "first" => Ok(words().into_iter().next().unwrap_or_default()),
        "length" => Ok(text::len(parameter).to_string()),
        "unquote" => Ok(config::unquote(parameter)),
        "now" => {
            let now = cx.now();
            Ok(format!("{}.{:09}", now.div_euclid(1_000_000_000), now.rem_euclid(1_000_000_000)))
        }
        "random" => random(&words(), cx),
        "htons" | "ntohs" => swapped(parameter, |number| u32::from((number as u16).to_be())),
        "htonl" | "ntohl" => swapped(parameter, u32::to_be),
        "readable" | "writable" => {
            let write = name == "writable";
            let known = |word: &String| {
                let call = cx.resolve_call(word, write);
                call.is_ok()
            };
            Ok(words().iter().all(known).to_string())
        }
        "cat" | "catq" => {
            let file = config::unquote(parameter);
            cx.host().read_file(&file).map_err(|error| format!("{file}: {error}")).map(|bytes| {
                let content = text::from_bytes(&bytes);
                if name == "catq" { config::quote(&content) } else { content }
            })
        }
        "kill" => kill(&words(), cx),
        _ => return None,
    })
}

fn truth(text: &str) -> Result<bool, String> {
    value::boolean(&config::unquote(text)).ok_or_else(|| "syntax error".into())
}

#[derive(Clone, Copy)]
enum Number {
    Whole(i64),
    Real(f64),
}

impl Number {
    fn real(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Real(number) => number,
        }
    }

    fn unparse(self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Real(number) => common::double(number),
        }
    }
}

fn number(text: &str) -> Option<Number> {
    let text = config::unquote(text);
    value::integer(&text).map(Number::Whole).or_else(|| value::real(&text).map(Number::Real))
}

fn arithmetic(name: &str, words: &[String]) -> Answer {
    let numbers: Option<Vec<Number>> = words.iter().map(|word| number(word)).collect();
    let numbers = numbers.ok_or("expected list of numbers")?;
    let Some((&first, rest)) = numbers.split_first() else {
        return Ok(if matches!(name, "add" | "sub") { "0" } else { "1" }.into());
    };
    let mut result = first;
    for &number in rest {
        result = match (name, result, number) {
            ("add", Number::Whole(a), Number::Whole(b)) => Number::Whole(a.wrapping_add(b)),
            ("sub", Number::Whole(a), Number::Whole(b)) => Number::Whole(a.wrapping_sub(b)),
            ("mul", Number::Whole(a), Number::Whole(b)) => Number::Whole(a.wrapping_mul(b)),
            ("add", a, b) => Number::Real(a.real() + b.real()),
            ("sub", a, b) => Number::Real(a.real() - b.real()),
            ("mul", a, b) => Number::Real(a.real() * b.real()),
            ("min", a, b) => {
                if b.real() < a.real() {
                    b
                } else {
                    a
                }
            }
            ("max", a, b) => {
                if b.real() > a.real() {
                    b
                } else {
                    a
                }
            }
            (_, a, b) => Number::Real(a.real() / b.real()),
        };
    }
    Ok(match name {
        "idiv" => (result.real() as i64).to_string(),
        _ => result.unparse(),
    })
}

fn remainder(name: &str, words: &[String]) -> Answer {
    let [first, second] = words else { return Err("expected two numbers".into()) };
    match (number(first), number(second)) {
        (Some(Number::Whole(_)), Some(Number::Whole(0))) => Err("division by zero".into()),
        (Some(Number::Whole(a)), Some(Number::Whole(b))) => Ok(a.wrapping_rem(b).to_string()),
        (Some(a), Some(b)) if name == "rem" => Ok(common::double(a.real() % b.real())),
        _ => Err("expected two numbers".into()),
    }
}

fn one_number(name: &str, text: &str) -> Answer {
    let negate = name == "neg";
    Ok(match number(text).ok_or("expected number")? {
        Number::Whole(number) if negate => number.wrapping_neg().to_string(),
        Number::Whole(number) => number.unsigned_abs().to_string(),
        Number::Real(number) if negate => common::double(-number),
        Number::Real(number) => common::double(if number < 0.0 { -number } else { number }),
    })
}

fn compare(name: &str, words: &[String]) -> Answer {
    let [first, second] = words else { return Err("expected two numbers".into()) };
    let order = match (number(first), number(second)) {
        (Some(Number::Whole(a)), Some(Number::Whole(b))) => a.cmp(&b),
        (Some(a), Some(b)) => a.real().partial_cmp(&b.real()).unwrap_or(Ordering::Greater),
        _ => config::unquote(first).cmp(&config::unquote(second)),
    };
    let holds = match name {
        "eq" => order.is_eq(),
        "ne" => order.is_ne(),
        "gt" => order.is_gt(),
        "ge" => order.is_ge(),
        "lt" => order.is_lt(),
        _ => order.is_le(),
    };
    Ok(holds.to_string())
}

fn logic(name: &str, words: &[String]) -> Answer {
    let all = matches!(name, "and" | "nand");
    let mut result = all;
    for word in words {
        if result != all {
            break;
        }
        result = truth(word)?;
    }
    Ok((result != name.starts_with('n')).to_string())
}

fn choose(words: &[String]) -> Answer {
    let (condition, rest) = words.split_first().ok_or("syntax error")?;
    let which = usize::from(!truth(condition)?);
    Ok(rest.get(which).cloned().unwrap_or_default())
}

fn random(words: &[String], cx: &mut Context<'_>) -> Answer {
    let number = |word: &String| -> Result<u32, String> { common::value(word, cx) };
    let (low, high) = match words {
        [] => return Ok(cx.random().to_string()),
        [count] => match number(count)? {
            0 => return Err("bad N".into()),
            count => (0, count - 1),
        },
        [low, high] => (number(low)?, number(high)?),
        _ => return Err("too many arguments".into()),
    };
    if high < low {
        return Err("bad N".into());
    }
    Ok(cx.random_range(low, high).to_string())
}

fn swapped(text: &str, swap: impl Fn(u32) -> u32) -> Answer {
    let number = value::integer(&config::uncomment(text)).ok_or("syntax error")?;
    Ok((swap(number as u32) as i32).to_string())
}

fn kill(words: &[String], cx: &mut Context<'_>) -> Answer {
    let (signal, processes) = words.split_first().ok_or("bad SIGNO")?;
    let signal = signal_number(signal).ok_or("bad SIGNO")?;
    for process in processes {
        let process = value::integer(process).ok_or("bad PID")?;
        cx.host().kill(process, signal).map_err(|error| format!("kill: {error}"))?;
    }
    Ok(String::new())
}

/// Largest width or precision that a format may ask for.
const WIDEST: usize = 1000;

/// `sprintf`: formats words as C does.
fn print_formatted(words: &[String]) -> Answer {
    let (format, mut rest) = words.split_first().ok_or("syntax error")?;
    let format = config::unquote(format);
    let mut take = || -> Result<String, String> {
        let (first, more) = rest.split_first().ok_or("syntax error")?;
        rest = more;
        Ok(config::unquote(first))
    };
    let mut out = String::new();
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let (mut zero, mut left, mut plus, mut space, mut alternate) =
            (false, false, false, false, false);
        while let Some(&flag) = characters.peek() {
            match flag {
                '0' => zero = true,
                '-' => left = true,
                '+' => plus = true,
                ' ' => space = true,
                '#' => alternate = true,
                _ => break,
            }
            characters.next();
        }
        let mut number = |characters: &mut core::iter::Peekable<core::str::Chars<'_>>|
         -> Result<Option<usize>, String> {
            if characters.next_if_eq(&'*').is_some() {
                let width = value::unsigned(&take()?).ok_or("syntax error")?;
                return Ok(Some((width as usize).min(WIDEST)));
            }
            let mut found = None;
            while let Some(digit) = characters.peek().and_then(|c| c.to_digit(10)) {
                found = Some((found.unwrap_or(0) * 10 + digit as usize).min(WIDEST));
                characters.next();
            }
            Ok(found)
        };
        let width = number(&mut characters)?.unwrap_or(0);
        let precision = match characters.next_if_eq(&'.') {
            Some(_) => Some(number(&mut characters)?.unwrap_or(0)),
            None => None,
        };
        let mut short = false;
        while let Some(modifier) = characters.next_if(|c| "hlLq".contains(*c)) {
            short = modifier == 'h';
        }
        let (sign, body) = match characters.next() {
            Some('%') => ("", "%".into()),
            Some('s') => {
                let word = take()?;
                ("", word.chars().take(precision.unwrap_or(usize::MAX)).collect())
            }
            Some('d' | 'i') => {
                let number = value::integer(&take()?).ok_or("syntax error")?;
                let number = if short { i64::from(number as i16) } else { number };
                let sign = match (number < 0, plus, space) {
                    (true, ..) => "-",
                    (_, true, _) => "+",
                    (_, _, true) => " ",
                    _ => "",
                };
                (sign, digits(number.unsigned_abs().to_string(), precision))
            }
            Some(kind @ ('u' | 'o' | 'x' | 'X')) => {
                let text = take()?;
                let number = value::integer(&text).map(|number| number as u64);
                let number = number.or_else(|| value::unsigned(&text)).ok_or("syntax error")?;
                let number = if short { u64::from(number as u16) } else { number };
                let (prefix, body) = match kind {
                    'o' => ("0", format!("{number:o}")),
                    'x' => ("0x", format!("{number:x}")),
                    'X' => ("0X", format!("{number:X}")),
                    _ => ("", number.to_string()),
                };
                (if alternate { prefix } else { "" }, digits(body, precision))
            }
            _ => return Err("syntax error".into()),
        };
        let length = sign.len() + body.chars().count();
        let fill = width.saturating_sub(length);
        let zeros = zero && !left && precision.is_none();
        if !left && !zeros {
            out.extend(core::iter::repeat_n(' ', fill));
        }
        out.push_str(sign);
        if zeros {
            out.extend(core::iter::repeat_n('0', fill));
        }
        out.push_str(&body);
        if left {
            out.extend(core::iter::repeat_n(' ', fill));
        }
    }
    if rest.is_empty() { Ok(out) } else { Err("syntax error".into()) }
}

fn digits(text: String, precision: Option<usize>) -> String {
    let missing = precision.unwrap_or(0).saturating_sub(text.len());
    let mut out: String = core::iter::repeat_n('0', missing).collect();
    out.push_str(&text);
    out
}
