//! What a rewriter does with packets of new flows at an input.

use alloc::format;
use alloc::string::String;

use click_language::{config, value};
use click_runtime::args::Scope;

use super::flow::Flavor;
use super::pattern::Pattern;

/// Number of the patterns that an IPRewriterPatterns element defines, by name.
pub(crate) type Named<'a> = &'a dyn Fn(&str) -> Option<Pattern>;

/// An input specification.
#[derive(Clone, Debug)]
pub(crate) enum Spec {
    /// The packet is dropped.
    Drop,
    /// The packet leaves unchanged, without a flow.
    Pass(usize),
    /// A flow that is not changed; outputs for the flow and for replies.
    Keep(usize, usize),
    /// A flow that is rewritten by a pattern.
    Pattern(Pattern, usize, usize),
    /// Another element chooses.
    Mapper(usize),
}

impl Spec {
    /// Reads a specification.
    pub(crate) fn parse(
        text: &str,
        flavor: Flavor,
        outputs: usize,
        scope: &Scope<'_>,
        named: Named<'_>,
    ) -> Result<Self, String> {
        let words = config::split_words(text);
        let port = |word: &String| {
            let port = value::unsigned(word).and_then(|port| usize::try_from(port).ok());
            port.filter(|port| *port < outputs).ok_or_else(|| String::from("bad output port"))
        };
        let Some((first, rest)) = words.split_first() else {
            return Err("empty argument".into());
        };
        match (first.as_str(), rest) {
            ("drop" | "discard", []) => Ok(Self::Drop),
            ("pass" | "passthrough" | "nochange", []) => Ok(Self::Pass(0)),
            ("pass" | "passthrough", [output]) => Ok(Self::Pass(port(output)?)),
            ("keep", [forward, reply]) => Ok(Self::Keep(port(forward)?, port(reply)?)),
            ("pattern" | "xpattern", rest) => Self::pattern(rest, flavor, &port, scope, named),
            (name, []) if scope.find_element(name).is_some() => {
                Ok(scope.find_element(name).map_or(Self::Drop, Self::Mapper))
            }
            _ if words.len() >= 4 => Self::pattern(&words, flavor, &port, scope, named),
            _ => Err(format!("unknown specification '{text}'")),
        }
    }

    fn pattern(
        words: &[String],
        flavor: Flavor,
        port: &dyn Fn(&String) -> Result<usize, String>,
        scope: &Scope<'_>,
        named: Named<'_>,
    ) -> Result<Self, String> {
        let [pattern @ .., forward, reply] = words else {
            return Err("bad pattern spec".into());
        };
        let pattern = match pattern {
            [name] => named(name).ok_or_else(|| format!("no such pattern '{name}'"))?,
            words => Pattern::parse(words, flavor, scope)?,
        };
        Ok(Self::Pattern(pattern, port(forward)?, port(reply)?))
    }

    /// The specification as the handlers print it.
    pub(crate) fn unparse(&self, flavor: Flavor) -> String {
        match self {
            Self::Drop => "<drop>".into(),
            Self::Pass(0) => "<pass>".into(),
            Self::Pass(output) => format!("<pass {output}>"),
            Self::Keep(..) => "<keep>".into(),
            Self::Pattern(pattern, ..) => pattern.unparse(flavor),
            Self::Mapper(_) => "<mapper>".into(),
        }
    }
}
