//! Elements in a chain: references, declarations, compounds, groups, and their ports.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{DEEPEST, Nesting, Parser, Token, TypeId, add_tunnels};
use crate::report::Landmark;

/// The ports written at one side of an element.
#[derive(Clone, Default)]
pub(super) struct Ports {
    pub(super) list: Vec<usize>,
    /// `[]`, or a list that goes on: takes as many ports as the other side has.
    pub(super) expandable: bool,
}

impl Ports {
    pub(super) fn written(&self) -> bool {
        !self.list.is_empty()
    }
}

/// An element in a chain.
pub(super) struct Reference {
    pub(super) element: usize,
    pub(super) inputs: Ports,
    pub(super) outputs: Ports,
}

/// An element as written, before it is known to be a reference or a declaration.
pub(super) struct Written {
    pub(super) name: String,
    pub(super) class: Option<TypeId>,
    pub(super) declared: Option<TypeId>,
    /// Nothing but a name.
    pub(super) bare: bool,
    pub(super) configuration: String,
    pub(super) landmark: Landmark,
    pub(super) inputs: Ports,
    pub(super) outputs: Ports,
}

/// The elements between two connectors.
#[derive(Default)]
pub(super) struct List {
    pub(super) items: Vec<Written>,
    pub(super) any_implicit: bool,
    pub(super) any_ports: bool,
}

/// Largest number of ports in one list; a range may be written with few digits.
const MOST_PORTS: usize = 1 << 16;

impl Parser<'_, '_> {
    /// Reads `[0, 2-4]` if it is there.
    fn ports(&mut self) -> Ports {
        let mut ports = Ports::default();
        if !self.take('[') {
            return ports;
        }
        let mut range = false;
        loop {
            match self.next() {
                Token::Identifier(text) => {
                    let port = match crate::value::integer(&text) {
                        Some(port @ 0..=0xffff) => port as usize,
                        _ => {
                            self.error("syntax error: port number should be integer");
                            0
                        }
                    };
                    let first = match ports.list.last() {
                        Some(&last) if range => last + 1,
                        _ => port,
                    };
                    if ports.list.len() + port.saturating_sub(first) < MOST_PORTS {
                        ports.list.extend(first..=port);
                    }
                }
                Token::Character(']') => {
                    if ports.list.is_empty() {
                        ports.list.push(0);
                    }
                    ports.expandable = true;
                    return ports;
                }
                other => {
                    self.error("syntax error: expected port number");
                    let end = other == Token::End;
                    self.put_back(other);
                    if end {
                        return ports;
                    }
                    // Fall through to the separator, as if a number had been there.
                }
            }
            match self.next() {
                Token::Character(']') => return ports,
                Token::Character('-') if !range => range = true,
                Token::Character(',') => range = false,
                other => {
                    self.error("syntax error: expected ','");
                    self.put_back(other);
                    return ports;
                }
            }
        }
    }

    /// Reads one element into `list`. False if there is none, and the chain ends or goes
    /// on without it.
    pub(super) fn element(
        &mut self,
        list: &mut List,
        first_in_chain: bool,
        nested: bool,
        last_ends_output: bool,
    ) -> bool {
        let inputs = self.ports();
        let token = self.next();
        let landmark = self.landmark();
        let mut written = Written {
            name: String::new(),
            class: None,
            declared: None,
            bare: false,
            configuration: String::new(),
            landmark,
            inputs,
            outputs: Ports::default(),
        };
        match token {
            Token::Identifier(name) => {
                written.class = self.known_class(&name);
                written.name = name;
                written.bare = true;
            }
            Token::Character('{') => {
                written.class = Some(self.compound_class(""));
                written.landmark = self.landmark();
            }
            Token::Character('(') => self.group(&mut written),
            token => {
                if !self.implicit(
                    &token,
                    &mut written,
                    list,
                    first_in_chain,
                    nested,
                    last_ends_output,
                ) {
                    return false;
                }
                self.finish_element(written, list, true);
                return true;
            }
        }
        self.finish_element(written, list, false);
        true
    }

    /// A connector where an element should be: `input` at the start of a chain and
    /// `output` at its end may be left out inside compounds and groups.
    fn implicit(
        &mut self,
        token: &Token,
        written: &mut Written,
        list: &mut List,
        first_in_chain: bool,
        nested: bool,
        last_ends_output: bool,
    ) -> bool {
        let alone = list.items.is_empty();
        let ports = written.inputs.written();
        let arrow = matches!(token, Token::Arrow | Token::DoubleArrow);
        let implied = nested
            && match token {
                _ if arrow => first_in_chain && (ports || alone),
                Token::Character(',') => ports,
                Token::Colons => false,
                _ => !first_in_chain && (ports || alone),
            };
        if !implied {
            if ports {
                self.error("stranded port ignored");
            }
            if alone {
                if nested && first_in_chain {
                    self.put_back(token.clone());
                } else {
                    self.syntax_error(token);
                }
            }
            return false;
        }
        if arrow && !ports && !last_ends_output {
            let text = token.text();
            let text = format!("suggest 'input {text}' or '[0] {text}' to start connection");
            let landmark = self.landmark();
            self.report.warning_at(&landmark, &text);
        }
        list.any_implicit = true;
        written.name = if first_in_chain { "input".into() } else { "output".into() };
        if first_in_chain {
            // The ports before the missing name are those of the connection.
            core::mem::swap(&mut written.inputs, &mut written.outputs);
        }
        self.put_back(token.clone());
        true
    }

    /// Reads a group after its parenthesis.
    fn group(&mut self, written: &mut Written) {
        let name = self.compound.made_up_name("");
        let landmark = self.landmark();
        let top = (self.compound.depth == 0).then_some(&mut self.tunnels);
        let indices = add_tunnels(&mut self.compound, top, &name, &landmark, self.report);
        let saved: Vec<Option<usize>> = ["input", "output"]
            .iter()
            .zip(&indices[1..])
            .map(|(pseudo, &index)| self.compound.names.insert((*pseudo).into(), index))
            .collect();
        let since = self.compound.connections.len();
        self.depth += 1;
        if self.depth >= DEEPEST {
            self.error("maximum element group nesting depth exceeded");
        } else {
            self.statements(Nesting::Group, false);
        }
        self.depth -= 1;
        let landmark = self.landmark();
        let mut counts = [0; 2];
        for (output, count) in counts.iter_mut().enumerate() {
            let which = (indices[1 + output], since);
            let output = output == 1;
            let name = "<anonymous group>";
            *count = self.compound.pseudo_ports(which, output, name, &landmark, self.report);
        }
        for (pseudo, old) in ["input", "output"].into_iter().zip(saved) {
            let names: &mut BTreeMap<String, usize> = &mut self.compound.names;
            match old {
                Some(old) => names.insert(pseudo.into(), old),
                None => names.remove(pseudo),
            };
        }
        if !written.inputs.written() {
            written.inputs.list = (0..counts[0]).collect();
        }
        written.outputs.list = (0..counts[1]).collect();
        written.name = name;
    }

    /// Reads what follows the name: class, configuration, output ports.
    fn finish_element(&mut self, mut written: Written, list: &mut List, implicit: bool) {
        if !implicit {
            let token = self.next();
            if token == Token::Colons {
                written.bare = false;
                written.declared = Some(match self.next() {
                    Token::Identifier(class) => self.force_class(&class, true),
                    Token::Character('{') => self.compound_class(""),
                    other => {
                        self.put_back(other);
                        self.error("missing element type in declaration");
                        let name = written.name.clone();
                        self.force_class(&name, true)
                    }
                });
            } else {
                self.put_back(token);
            }
            if self.take('(') {
                if self.compound.names.contains_key(&written.name) {
                    self.error("configuration string ignored on element reference");
                }
                written.configuration = self.configuration();
                self.expect(')');
                written.bare = false;
            }
            let token = self.next();
            let brackets = token == Token::Character('[');
            self.put_back(token);
            if brackets {
                written.outputs = self.ports();
            }
        }
        list.any_ports |= written.inputs.written() || written.outputs.written();
        list.items.push(written);
    }
}
