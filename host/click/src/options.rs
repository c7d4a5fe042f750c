//! Command lines as Click's programs read them: short options in clusters, long ones that
//! may be cut short as long as they are unambiguous, `--no-` before those that allow it.

/// What may follow an option.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A value.
    Value,
    /// A value, but only after `=`.
    Optional,
}

/// An option that a program knows.
pub struct Known {
    /// Long name; may be empty.
    pub long: &'static str,
    /// Letter; a space if there is none.
    pub short: char,
    /// What may follow.
    pub takes: Takes,
    /// Whether `--no-NAME` is understood.
    pub negatable: bool,
}

/// An option.
pub const fn known(long: &'static str, short: char, takes: Takes) -> Known {
    Known { long, short, takes, negatable: false }
}

/// An option that can be negated.
pub const fn negatable(long: &'static str, short: char, takes: Takes) -> Known {
    Known { long, short, takes, negatable: true }
}

/// One argument of a command line.
#[derive(Debug, PartialEq, Eq)]
pub enum Argument {
    /// An option: its index in the list of known ones, its value, whether it was negated.
    Option(usize, Option<String>, bool),
    /// Anything else.
    Plain(String),
}

/// Takes a command line apart. The error says what is wrong.
pub fn parse(arguments: &[String], list: &[Known]) -> Result<Vec<Argument>, String> {
    let mut found = Vec::new();
    let mut rest = arguments.iter();
    let mut only_plain = false;
    while let Some(argument) = rest.next() {
        if only_plain || argument == "-" || !argument.starts_with('-') {
            found.push(Argument::Plain(argument.clone()));
        } else if argument == "--" {
            only_plain = true;
        } else if let Some(long) = argument.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let (index, negated) = find_long(name, list)?;
            let value = match (list[index].takes, value) {
                (Takes::Nothing, Some(_)) => {
                    return Err(format!("'--{}' can't take an argument", list[index].long));
                }
                (Takes::Value, None) if !negated => Some(
                    rest.next()
                        .ok_or_else(|| format!("'--{}' requires an argument", list[index].long))?
                        .clone(),
                ),
                (_, value) => value,
            };
            found.push(Argument::Option(index, value, negated));
        } else {
            cluster(argument, &mut rest, list, &mut found)?;
        }
    }
    Ok(found)
}

fn find_long(name: &str, list: &[Known]) -> Result<(usize, bool), String> {
    let bare = name.strip_prefix("no-");
    let exact = |name: &str, negated: bool| {
        list.iter().position(|known| known.long == name && (!negated || known.negatable))
    };
    if let Some(index) = exact(name, false) {
        return Ok((index, false));
    }
    if let Some(index) = bare.and_then(|bare| exact(bare, true)) {
        return Ok((index, true));
    }
    let starting = |name: &str, negated: bool| -> Vec<usize> {
        let fits = |known: &Known| known.long.starts_with(name) && (!negated || known.negatable);
        (0..list.len()).filter(|&index| !name.is_empty() && fits(&list[index])).collect()
    };
    let mut fitting: Vec<(usize, bool)> =
        starting(name, false).into_iter().map(|index| (index, false)).collect();
    if let Some(bare) = bare {
        fitting.extend(starting(bare, true).into_iter().map(|index| (index, true)));
    }
    match fitting[..] {
        [one] => Ok(one),
        [] => Err(format!("unrecognized option '--{name}'")),
        _ => Err(format!("option '--{name}' is ambiguous")),
    }
}

/// Reads `-abc` or `-avalue`.
fn cluster<'a>(
    argument: &str,
    rest: &mut impl Iterator<Item = &'a String>,
    list: &[Known],
    found: &mut Vec<Argument>,
) -> Result<(), String> {
    let letters = argument[1..].char_indices();
    for (at, letter) in letters {
        let index = list
            .iter()
            .position(|known| known.short == letter && letter != ' ')
            .ok_or_else(|| format!("unrecognized option '-{letter}'"))?;
        if list[index].takes != Takes::Value {
            found.push(Argument::Option(index, None, false));
            continue;
        }
        let inside = &argument[1 + at + letter.len_utf8()..];
        let value = if inside.is_empty() {
            rest.next().ok_or_else(|| format!("'-{letter}' requires an argument"))?.clone()
        } else {
            inside.to_owned()
        };
        found.push(Argument::Option(index, Some(value), false));
        break;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_abbreviations_and_negation() {
        let list = [
            known("quit", 'q', Takes::Nothing),
            known("handler", 'h', Takes::Value),
            known("simtime", ' ', Takes::Optional),
            negatable("affinity", 'a', Takes::Optional),
        ];
        let line = ["-qh", "c.x", "-hy", "--sim", "--no-aff", "f", "--", "-q"].map(String::from);
        let option = |index, value: Option<&str>, negated| {
            Argument::Option(index, value.map(String::from), negated)
        };
        assert_eq!(
            parse(&line, &list).unwrap(),
            [
                option(0, None, false),
                option(1, Some("c.x"), false),
                option(1, Some("y"), false),
                option(2, None, false),
                option(3, None, true),
                Argument::Plain("f".into()),
                Argument::Plain("-q".into()),
            ]
        );
        for wrong in ["-z", "--zip", "--handler", "--quit=1", "--no-quit"] {
            assert!(parse(&[wrong.to_owned()], &list).is_err(), "{wrong}");
        }
    }
}
