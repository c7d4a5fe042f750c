//! The grammar: statements, chains of connections, compounds and groups.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::compound::{Compound, CompoundClass, ERROR, Kind, Libraries, TUNNEL, Type, TypeId};
use crate::config::{shift_word, split_arguments, split_words, unquote, word};
use crate::flatten::{Flattener, add_tunnels};
use crate::graph::Graph;
use crate::lexer::{Source, Token};
use crate::report::{Landmark, Report};
use crate::text::is_name;
use crate::tunnel::Tunnels;

mod chain;
mod element;

/// Who reads the configuration.
#[derive(Clone, Copy)]
pub enum Mode<'a> {
    /// A driver: only the classes that the function knows exist.
    Driver(&'a dyn Fn(&str) -> bool),
    /// A tool: every name may be a class.
    Tool,
}

/// How to read a configuration.
pub struct Options<'a> {
    /// Who reads it.
    pub mode: Mode<'a>,
    /// Values for variables of the file, as from `click NAME=VALUE`.
    pub parameters: &'a [(String, String)],
    /// Where `require(library ...)` looks; without it such requirements fail.
    pub libraries: Option<&'a mut dyn Libraries>,
}

/// Deepest nesting of compounds and groups in text.
const DEEPEST: usize = 50;

/// Reads a configuration. `file` names it in messages; empty means `config`. Problems go
/// to `report`; the graph is usable only if no errors were added.
pub fn parse(text: &str, file: &str, options: Options<'_>, report: &mut Report) -> Graph {
    let source = Source::new(text, file);
    let top = Compound::new(String::new(), source.landmark(), 0);
    let types = alloc::vec![
        Type { name: "<tunnel>".into(), kind: Kind::Tunnel },
        Type { name: "Error".into(), kind: Kind::Primitive },
    ];
    let base = BTreeMap::from([("Error".to_owned(), ERROR)]);
    let mut parser = Parser {
        source,
        pending: Vec::new(),
        mode: options.mode,
        libraries: options.libraries,
        library_files: Vec::new(),
        report,
        types,
        scopes: alloc::vec![base, BTreeMap::new()],
        compound: top,
        tunnels: Tunnels::new(),
        requirements: Vec::new(),
        compact: false,
        depth: 0,
    };
    parser.statements(Nesting::File, true);
    let end = parser.source.landmark();
    let Parser { types, compound, tunnels, requirements, compact, report, .. } = parser;
    Flattener { types: &types, scope: compound, tunnels, report, end }.run(
        options.parameters,
        requirements,
        compact,
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nesting {
    File,
    Compound,
    Group,
}

struct Parser<'a, 'b> {
    source: Source,
    /// Tokens put back, last first.
    pending: Vec<Token>,
    mode: Mode<'a>,
    libraries: Option<&'a mut dyn Libraries>,
    library_files: Vec<String>,
    report: &'b mut Report,
    types: Vec<Type>,
    /// Names of classes, innermost scope last; the first holds primitive classes.
    scopes: Vec<BTreeMap<String, TypeId>>,
    compound: Compound,
    tunnels: Tunnels,
    requirements: Vec<(String, String)>,
    compact: bool,
    depth: usize,
}

impl Parser<'_, '_> {
    fn next(&mut self) -> Token {
        if let Some(token) = self.pending.pop() {
            return token;
        }
        let token = self.source.token();
        for landmark in core::mem::take(&mut self.source.bad_directives) {
            self.report.error_at(&landmark, "unknown preprocessor directive");
        }
        token
    }

    fn put_back(&mut self, token: Token) {
        self.pending.push(token);
    }

    /// Takes the next token if it is `character`.
    fn take(&mut self, character: char) -> bool {
        let token = self.next();
        let found = token == Token::Character(character);
        if !found {
            self.put_back(token);
        }
        found
    }

    fn expect(&mut self, character: char) -> bool {
        let found = self.take(character);
        if !found {
            self.error(&format!("expected '{character}'"));
        }
        found
    }

    fn error(&mut self, text: &str) {
        let landmark = self.source.landmark();
        self.report.error_at(&landmark, text);
    }

    fn syntax_error(&mut self, token: &Token) {
        self.error(&format!("syntax error near '{}'", token.text()));
    }

    /// The text in parentheses of which the first was read. Nothing may be put back.
    fn configuration(&mut self) -> String {
        if !self.pending.is_empty() {
            return String::new();
        }
        let text = self.source.configuration();
        if self.compact { text.split_whitespace().collect::<Vec<_>>().join(" ") } else { text }
    }

    fn class(&self, name: &str) -> Option<TypeId> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name).copied())
    }

    /// The class `name` if there is one, known to the driver or declared.
    fn known_class(&mut self, name: &str) -> Option<TypeId> {
        if let Some(class) = self.class(name) {
            return Some(class);
        }
        match self.mode {
            Mode::Driver(known) if known(name) => Some(self.add_primitive(name)),
            _ => None,
        }
    }

    fn add_primitive(&mut self, name: &str) -> TypeId {
        let class = self.types.len();
        self.types.push(Type { name: name.into(), kind: Kind::Primitive });
        self.scopes[0].insert(name.into(), class);
        class
    }

    /// The class `name`, made up with a complaint if the driver does not know it.
    fn force_class(&mut self, name: &str, complain: bool) -> TypeId {
        if let Some(class) = self.known_class(name) {
            return class;
        }
        if matches!(self.mode, Mode::Driver(_)) {
            if complain {
                self.error(&format!("unknown element class '{name}'"));
            }
            self.declare_class(name, Kind::Primitive)
        } else {
            self.add_primitive(name)
        }
    }

    fn declare_class(&mut self, name: &str, kind: Kind) -> TypeId {
        let class = self.types.len();
        self.types.push(Type { name: name.into(), kind });
        if !name.is_empty()
            && let Some(scope) = self.scopes.last_mut()
        {
            scope.insert(name.into(), class);
        }
        class
    }

    /// Reads statements up to the end of the compound, group or file. Gives the token that
    /// ended them.
    fn statements(&mut self, nesting: Nesting, outermost: bool) -> Token {
        let nested = self.compound.depth > 0 || !outermost;
        let mut last_ends_output = true;
        loop {
            let token = self.next();
            match token {
                Token::Identifier(_) | Token::Arrow | Token::DoubleArrow => {
                    self.put_back(token);
                    last_ends_output = self.chain(nested, last_ends_output);
                }
                Token::Character('[' | '{' | '(') => {
                    self.put_back(token);
                    last_ends_output = self.chain(nested, last_ends_output);
                }
                Token::Elementclass => self.elementclass(),
                Token::Require => self.require(),
                Token::Define => self.define(),
                Token::Character(';') => {}
                Token::Character('}') | Token::Bars if nesting == Nesting::Compound => {
                    return token;
                }
                Token::Character('}') | Token::Bars => {
                    self.syntax_error(&token);
                    if nesting == Nesting::Group {
                        self.put_back(token);
                        return Token::Character(')');
                    }
                }
                Token::Character(')') if nesting == Nesting::Group => return token,
                Token::End => {
                    match nesting {
                        Nesting::File => {}
                        Nesting::Group => self.error("expected ')'"),
                        Nesting::Compound => self.error("expected '}'"),
                    }
                    return Token::End;
                }
                _ => self.syntax_error(&token),
            }
        }
    }

    fn elementclass(&mut self) {
        let name = match self.next() {
            Token::Identifier(name) => name,
            other => {
                self.put_back(other);
                self.error("expected element type name");
                String::new()
            }
        };
        match self.next() {
            Token::Character('{') => {
                self.compound_class(&name);
            }
            Token::Identifier(old) => {
                let class = self.force_class(&old, true);
                let Type { kind, .. } = self.types[class].clone();
                match kind {
                    // A synonym of a primitive class is that class.
                    Kind::Primitive | Kind::Tunnel => {
                        if let Some(scope) = self.scopes.last_mut() {
                            scope.insert(name, class);
                        }
                    }
                    Kind::Compound(_) => {
                        self.declare_class(&name, kind);
                    }
                }
            }
            other => {
                self.syntax_error(&other);
                self.declare_class(&name, Kind::Primitive);
            }
        }
    }

    /// Reads a compound after its brace, and declares its class under `name` (which may be
    /// empty).
    fn compound_class(&mut self, name: &str) -> TypeId {
        let mut alternatives = Vec::new();
        let mut extension = None;
        loop {
            let token = self.next();
            if token == Token::Dots {
                extension = Some(match self.known_class(name) {
                    Some(class) => class,
                    None if matches!(self.mode, Mode::Tool) && !name.is_empty() => {
                        self.add_primitive(name)
                    }
                    None => {
                        self.error(&format!("cannot extend unknown element class '{name}'"));
                        self.declare_class(name, Kind::Primitive)
                    }
                });
                let close = self.next();
                if alternatives.is_empty() || close != Token::Character('}') {
                    self.error("'...' should occur last, after one or more compounds");
                }
                if close != Token::Character('}') {
                    self.put_back(close);
                }
                break;
            }
            self.put_back(token);
            let (compound, end) = self.alternative(name);
            alternatives.push(Rc::new(compound));
            if end != Token::Bars {
                break;
            }
        }
        self.declare_class(name, Kind::Compound(Rc::new(CompoundClass { alternatives, extension })))
    }

    /// Reads one alternative of a compound, and the token that ends it.
    fn alternative(&mut self, name: &str) -> (Compound, Token) {
        let landmark = self.source.landmark();
        let mut new = Compound::new(name.into(), landmark.clone(), self.compound.depth + 1);
        for pseudo in ["input", "output"] {
            new.element(pseudo, TUNNEL, String::new(), landmark.clone(), self.report);
        }
        new.uncounted = 2;
        let outer = core::mem::replace(&mut self.compound, new);
        self.scopes.push(BTreeMap::new());
        self.depth += 1;
        self.formals();
        let end = if self.depth >= DEEPEST {
            self.error("maximum compound element nesting depth exceeded");
            Token::Character('}')
        } else {
            self.statements(Nesting::Compound, false)
        };
        self.depth -= 1;
        self.scopes.pop();
        let mut done = core::mem::replace(&mut self.compound, outer);
        done.finish(self.report);
        (done, end)
    }

    /// Reads `$a, KEYWORD $b |`.
    fn formals(&mut self) {
        loop {
            let (keyword, name) = match self.next() {
                Token::Identifier(keyword) => match self.next() {
                    Token::Variable(name) => (keyword, name),
                    other => {
                        if self.compound.formals > 0 {
                            self.error("expected variable");
                        }
                        self.put_back(other);
                        self.put_back(Token::Identifier(keyword));
                        return;
                    }
                },
                Token::Variable(name) => (String::new(), name),
                Token::Character('|') => return,
                other => {
                    if self.compound.formals > 0 {
                        self.error("expected variable");
                    }
                    self.put_back(other);
                    return;
                }
            };
            let landmark = self.source.landmark();
            self.compound.define(name, keyword, true, &landmark, self.report);
            match self.next() {
                Token::Character('|') => return,
                Token::Character(',') => {}
                other => {
                    self.error("expected ',' or '|'");
                    self.put_back(other);
                    return;
                }
            }
        }
    }

    fn define(&mut self) {
        if !self.expect('(') {
            return;
        }
        let text = self.configuration();
        self.expect(')');
        for mut argument in split_arguments(&text) {
            if argument.is_empty() {
                continue;
            }
            let variable = shift_word(&mut argument);
            let landmark = self.source.landmark();
            match variable.strip_prefix('$') {
                Some(name) if !name.is_empty() && name.chars().all(is_name) => {
                    let name = name.into();
                    self.compound.define(name, argument, false, &landmark, self.report);
                }
                _ => self.error("bad 'define' declaration: not a variable"),
            }
        }
    }

    fn require(&mut self) {
        if !self.expect('(') {
            return;
        }
        let text = self.configuration();
        self.expect(')');
        self.take(';');
        for argument in split_arguments(&text) {
            let words = split_words(&argument);
            let Some(kind) = words.first().map(|first| unquote(first)) else { continue };
            match (kind.as_str(), words.get(1).and_then(|value| word(value)), words.len()) {
                ("compact_config", None, 1) => {
                    self.compact = true;
                    self.requirements.push((kind, String::new()));
                }
                ("package", Some(value), 2) => self.requirements.push((kind, value)),
                ("library", Some(value), 2) => self.library(&value),
                ("package" | "library" | "", _, _) => self.error("syntax error at requirement"),
                (_, None, 1) => self.requirements.push(("package".into(), kind)),
                _ => self.error("syntax error at requirement"),
            }
        }
    }

    fn library(&mut self, name: &str) {
        if self.compound.depth > 0 || self.depth > 0 {
            self.error("'require library' must be used at file scope");
            return;
        }
        let landmark = self.source.landmark();
        let folder = landmark.file.rsplit_once('/').map_or(".", |(folder, _)| folder);
        let folder = if folder.is_empty() { "/" } else { folder };
        let found = self.libraries.as_mut().and_then(|libraries| libraries.find(name, folder));
        let (path, text) = match found {
            None => {
                self.error(&format!("library '{name}' not found in CLICKPATH/conf"));
                return;
            }
            Some(Err(reason)) => {
                self.error(&reason);
                return;
            }
            Some(Ok(found)) => found,
        };
        if self.library_files.contains(&path) {
            return;
        }
        if self.library_files.len() >= DEEPEST {
            self.error("too many libraries");
            return;
        }
        let outer = core::mem::replace(&mut self.source, Source::new(&text, &path));
        let pending = core::mem::take(&mut self.pending);
        self.library_files.push(path);
        self.statements(Nesting::File, true);
        self.source = outer;
        self.pending = pending;
    }

    fn landmark(&self) -> Landmark {
        self.source.landmark()
    }
}
