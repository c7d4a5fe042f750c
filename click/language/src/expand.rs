//! Substitution of `$name`, `${name}`, `${name-default}`, `${name[i]}` and `$(handler)`.
//!
//! Source: click(5), "Configuration parameters", and the Script element's documentation.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::config::{quote, skip_comment_space, split_words};
use crate::text::{is_name, is_space};

/// How a substitution was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `$name`, and the one-character names `$?`, `$#`, `$$`.
    Bare,
    /// `${...}`
    Braces,
    /// `$(...)`
    Parentheses,
}

/// Something that knows values for names.
pub trait Expander {
    /// The value of `name`, or none to leave the text as it stands.
    fn value(&mut self, name: &str, form: Form, depth: u32) -> Option<String>;
}

/// Deepest nesting of substitutions in substitutions; deeper ones stay as they are.
const DEEPEST: u32 = 10;

/// Replaces the substitutions in `text`. With `quote_values`, values outside quotes are
/// put in quotes. Single quotes and comments protect what is in them.
pub fn expand(text: &str, names: &mut dyn Expander, quote_values: bool, depth: u32) -> String {
    if !text.contains('$') || depth > DEEPEST {
        return text.to_string();
    }
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    let mut in_quote = None;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_quote == Some(b'"') => at += 2,
            byte @ (b'"' | b'\'') => {
                if in_quote.is_none() {
                    in_quote = Some(byte);
                } else if in_quote == Some(byte) {
                    in_quote = None;
                }
                at += 1;
            }
            b'/' if in_quote.is_none() && matches!(bytes.get(at + 1), Some(b'/' | b'*')) => {
                at = skip_comment_space(bytes, at);
            }
            b'$' if in_quote != Some(b'\'') => {
                let Some(found) = reference(text, at) else {
                    if unclosed(bytes, at) {
                        break;
                    }
                    at += 1;
                    continue;
                };
                let name = if found.nested {
                    expand(&text[found.name.clone()], names, false, depth + 1)
                } else {
                    text[found.name.clone()].to_string()
                };
                out.push_str(&text[done..at]);
                done = found.end;
                match names.value(&name, found.form, depth) {
                    Some(value) if in_quote == Some(b'"') => {
                        let quoted = quote(&value);
                        out.push_str(&quoted[1..quoted.len() - 1]);
                    }
                    Some(value) if quote_values && in_quote.is_none() => {
                        out.push_str(&quote(&value));
                    }
                    Some(value) => out.push_str(&value),
                    None if found.nested => {
                        out.push_str(&text[at..found.name.start]);
                        out.push_str(&name);
                        out.push_str(&text[found.name.end..found.end]);
                    }
                    None => done = at,
                }
                at = found.end;
            }
            _ => at += 1,
        }
    }
    out.push_str(&text[done..]);
    out
}

struct Reference {
    name: core::ops::Range<usize>,
    end: usize,
    form: Form,
    nested: bool,
}

/// A `${` or `$(` without its end: nothing after it is substituted.
fn unclosed(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at + 1), Some(b'{' | b'('))
}

fn reference(text: &str, at: usize) -> Option<Reference> {
    let bytes = text.as_bytes();
    let start = at + 2;
    match *bytes.get(at + 1)? {
        b'{' => {
            let end = start + bytes[start..].iter().position(|&byte| byte == b'}')?;
            let nested = bytes[start..end].contains(&b'$');
            Some(Reference { name: start..end, end: end + 1, form: Form::Braces, nested })
        }
        b'(' => {
            let (end, nested) = close_parenthesis(bytes, start)?;
            Some(Reference { name: start..end, end: end + 1, form: Form::Parentheses, nested })
        }
        b'?' | b'#' | b'$' => {
            Some(Reference { name: at + 1..at + 2, end: at + 2, form: Form::Bare, nested: false })
        }
        byte if is_name(char::from(byte)) => {
            let rest = &bytes[at + 1..];
            let length = rest.iter().take_while(|&&byte| is_name(char::from(byte))).count();
            let end = at + 1 + length;
            Some(Reference { name: at + 1..end, end, form: Form::Bare, nested: false })
        }
        _ => None,
    }
}

/// Where the parenthesis that was opened before `at` closes, and whether a `$` is inside.
fn close_parenthesis(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let (mut level, mut quote, mut nested) = (1, None, false);
    while at < bytes.len() {
        match bytes[at] {
            b'(' if quote.is_none() => level += 1,
            b')' if quote.is_none() => {
                level -= 1;
                if level == 0 {
                    return Some((at, nested));
                }
            }
            byte @ (b'"' | b'\'') => {
                if quote.is_none() {
                    quote = Some(byte);
                } else if quote == Some(byte) {
                    quote = None;
                }
            }
            b'\\' if quote != Some(b'\'') => at += 1,
            b'$' if quote != Some(b'\'') => nested = true,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Named values, with the scopes around them.
#[derive(Debug, Default)]
pub struct Environment {
    depth: usize,
    values: Vec<(String, String)>,
    parent: Option<Rc<Environment>>,
}

impl Environment {
    /// A scope inside `parent`.
    pub fn new(parent: Option<Rc<Self>>) -> Self {
        let depth = parent.as_ref().map_or(0, |parent| parent.depth + 1);
        Self { depth, values: Vec::new(), parent }
    }

    /// Sets a value; an older one of the same name is replaced.
    pub fn define(&mut self, name: &str, value: String) {
        match self.values.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name.into(), value)),
        }
    }

    /// The innermost scope around and including `this` that is less deep than `depth`.
    pub fn outside(this: &Rc<Self>, depth: usize) -> Option<Rc<Self>> {
        let mut scope = Some(this.clone());
        while let Some(current) = scope {
            if current.depth < depth {
                return Some(current);
            }
            scope = current.parent.clone();
        }
        None
    }

    fn lookup(&self, name: &str) -> Option<&str> {
        let mut scope = Some(self);
        while let Some(current) = scope {
            if let Some((_, value)) = current.values.iter().find(|(known, _)| known == name) {
                return Some(value);
            }
            scope = current.parent.as_deref();
        }
        None
    }
}

impl Expander for &Environment {
    fn value(&mut self, name: &str, form: Form, depth: u32) -> Option<String> {
        let (name, index, default) = match form {
            Form::Parentheses => return None,
            Form::Bare => (name, None, None),
            Form::Braces => braces(name),
        };
        match (self.lookup(name).map(ToString::to_string), default) {
            (Some(value), _) => {
                let value = expand(&value, self, false, depth + 1);
                Some(match index {
                    Some(index) => split_words(&value).get(index).cloned().unwrap_or_default(),
                    None => value,
                })
            }
            (None, Some(default)) => Some(expand(default, self, false, depth + 1)),
            (None, None) => None,
        }
    }
}

/// Takes `name[index]-default` apart.
fn braces(text: &str) -> (&str, Option<usize>, Option<&str>) {
    let text = text.trim_start_matches(is_space);
    let end = text.find(|character| !is_name(character)).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    rest = rest.trim_start_matches(is_space);
    let mut index = None;
    if let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && let Ok(number) = inside.trim_matches(is_space).parse()
    {
        index = Some(number);
        rest = after.trim_start_matches(is_space);
    }
    (name, index, rest.strip_prefix('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_defaults_and_indices() {
        let mut scope = Environment::new(None);
        scope.define("a", "A B C".into());
        scope.define("n", "2".into());
        let expanded = |text: &str| expand(text, &mut &scope, false, 0);
        assert_eq!(expanded("x $a '$a' ${a[0]} ${a[$n]} ${a[9]}!"), "x A B C '$a' A C !");
        assert_eq!(expanded("${b-z$n} $b ${b} $(r $n)"), "z2 $b ${b} $(r 2)");
        assert_eq!(expanded("$ ${a // $a\n$n"), "$ ${a // $a\n$n");
    }

    #[test]
    fn quoted_values() {
        let mut scope = Environment::new(None);
        scope.define("a", "\"q\"".into());
        assert_eq!(expand("\"<$a>\"", &mut &scope, false, 0), "\"<\\\"q\\\">\"");
        assert_eq!(expand("$a", &mut &scope, true, 0), "\"\\\"q\\\"\"");
    }

    #[test]
    fn endless_recursion_stops() {
        let mut scope = Environment::new(None);
        scope.define("a", "$a$a".into());
        assert!(expand("$a", &mut &scope, false, 0).len() < 1 << 16);
    }
}
