//! Chains of connections.

use alloc::format;
use alloc::vec::Vec;

use super::element::{List, Ports, Reference};
use super::{Mode, Parser, Token};
use crate::compound::TUNNEL;
use crate::graph::Port;

impl Parser<'_, '_> {
    /// Reads a chain. Says whether it ended in `output` alone.
    pub(super) fn chain(&mut self, nested: bool, last_ends_output: bool) -> bool {
        let mut previous: Vec<Reference> = Vec::new();
        let mut many = false;
        loop {
            let first = previous.is_empty();
            let mut list = List::default();
            loop {
                if !self.element(&mut list, first, nested, last_ends_output) {
                    break;
                }
                if !self.take(',') {
                    break;
                }
            }
            if list.items.is_empty() {
                break;
            }
            let token = self.next();
            let arrow = matches!(token, Token::Arrow | Token::DoubleArrow);
            self.put_back(token);
            if list.any_implicit && !first && arrow {
                self.error("implicit ports used in the middle of a chain");
            }
            let current = self.settle(list, first && !arrow);
            if first {
                if current.iter().any(|reference| reference.inputs.written()) {
                    self.error("input ports ignored at start of chain");
                }
            } else {
                self.connect_all(&previous, &current, many);
            }
            previous = current;
            match self.connector() {
                Some(double) => many = double,
                None => break,
            }
        }
        if previous.iter().any(|reference| reference.outputs.written()) {
            self.error("output ports ignored at end of chain");
        }
        let output = self.compound.names.get("output");
        previous.len() == 1 && Some(&previous[0].element) == output
    }

    /// Reads a connector: whether it is `=>`, or none at the end of the chain.
    fn connector(&mut self) -> Option<bool> {
        loop {
            let token = self.next();
            match token {
                Token::Arrow => return Some(false),
                Token::DoubleArrow => return Some(true),
                Token::Character(',') | Token::Colons => self.syntax_error(&token),
                Token::Character(';') | Token::End => return None,
                Token::Identifier(_)
                | Token::Bars
                | Token::Elementclass
                | Token::Require
                | Token::Provide
                | Token::Define
                | Token::Character('{' | '}' | '[' | ')') => {
                    self.put_back(token);
                    return None;
                }
                other => {
                    self.syntax_error(&other);
                    if !matches!(other, Token::Character(_)) {
                        self.put_back(other);
                    }
                    return None;
                }
            }
        }
    }

    /// Declares the elements of a list that are not there yet.
    fn settle(&mut self, mut list: List, alone: bool) -> Vec<Reference> {
        // `a, b, c :: Class(config);` declares all three.
        let count = list.items.len();
        if alone && count > 1 && !list.any_ports && !list.any_implicit {
            let declared = list.items[count - 1].declared;
            if list.items[..count - 1].iter().all(|item| item.bare) && declared.is_some() {
                let configuration = list.items[count - 1].configuration.clone();
                for item in &mut list.items[..count - 1] {
                    item.declared = declared;
                    item.configuration.clone_from(&configuration);
                }
            }
        }
        let mut references = Vec::with_capacity(count);
        for mut item in list.items {
            if matches!(self.mode, Mode::Tool) && item.class.is_none() {
                item.class = self.class(&item.name);
            }
            let known = self.compound.names.get(&item.name).copied();
            let element = match known {
                Some(known) if item.class.is_none() => {
                    if item.declared.is_some() {
                        let text = format!("redeclaration of element '{}'", item.name);
                        self.report.error_at(&item.landmark, &text);
                        let old = &self.compound.items[known];
                        if old.class != TUNNEL {
                            let text = format!("element '{}' previously declared here", item.name);
                            self.report.error_at(&old.landmark, &text);
                        }
                    }
                    known
                }
                _ => {
                    if item.declared.is_some() && item.class.is_some() {
                        let text = format!("class '{}' used as element name", item.name);
                        self.report.error_at(&item.landmark, &text);
                    } else if item.declared.is_none() && item.class.is_none() {
                        if matches!(self.mode, Mode::Driver(_)) {
                            let text = format!("undeclared element '{}'", item.name);
                            self.report.error_at(&item.landmark, &text);
                        }
                        item.class = Some(self.force_class(&item.name, false));
                    }
                    let class = item.class.or(item.declared).unwrap_or(crate::compound::ERROR);
                    if item.class.is_some() {
                        item.name = self.compound.made_up_name(&item.name);
                    }
                    let (name, text) = (item.name, item.configuration);
                    self.compound.element(&name, class, text, item.landmark, self.report)
                }
            };
            let (inputs, outputs) = (item.inputs, item.outputs);
            references.push(Reference { element, inputs, outputs });
        }
        references
    }

    /// Connects each output on the left with an input on the right.
    fn connect_all(&mut self, from: &[Reference], to: &[Reference], many: bool) {
        let mut sides = [Side::new(to, |item| &item.inputs), Side::new(from, |item| &item.outputs)];
        if usize::from(sides[0].expandable) + usize::from(sides[1].expandable) > 1
            || sides.iter().any(|side| side.expandables > 1)
        {
            self.error("at most one expandable port allowed per connection");
            let less = usize::from(sides[0].least < sides[1].least);
            sides[less].expandable = false;
        }
        if many {
            // With `=>` an element without ports takes as many as the other side has.
            for side in 0..2 {
                let other = sides[1 - side].least;
                if sides[side].least == 1 && other > 1 && !sides[side].first_written {
                    sides[side].expandable = true;
                }
            }
        }
        let least = [sides[0].least, sides[1].least];
        for side in 0..2 {
            sides[side].step = least[side] > 1 || sides[side].expandable;
            let extra = least[1 - side].saturating_sub(least[side]);
            sides[side].extra = if sides[side].expandable { extra } else { 0 };
        }
        let expandable = [sides[0].expandable, sides[1].expandable];
        if sides[0].step && sides[1].step {
            if !many {
                self.error("syntax error: many-to-many connections require '=>'");
            }
            let [inputs, outputs] = least;
            let text = match expandable {
                [false, false] if inputs != outputs => {
                    format!("{outputs} outputs connected to {inputs} inputs")
                }
                [false, _] if inputs < outputs => {
                    format!("{outputs} or more outputs connected to {inputs} inputs")
                }
                [_, false] if outputs < inputs => {
                    format!("{outputs} outputs connected to {inputs} or more inputs")
                }
                _ => Default::default(),
            };
            if !text.is_empty() {
                self.error(&format!("connection mismatch: {text}"));
            }
        } else if !sides[0].step && !sides[1].step {
            sides[0].step = true;
        }
        let [mut to, mut from] = sides;
        while let (Some(input), Some(output)) = (to.current(), from.current()) {
            self.compound.connect(output, input);
            to.advance();
            from.advance();
        }
    }
}

/// One side of a connection, walked port by port.
struct Side<'a> {
    items: &'a [Reference],
    ports: fn(&Reference) -> &Ports,
    /// Ports that the side has at least.
    least: usize,
    expandables: usize,
    expandable: bool,
    first_written: bool,
    /// Whether each connection takes the next port, or all use the same.
    step: bool,
    /// Ports still to be made up for the expandable list.
    extra: usize,
    item: usize,
    position: usize,
}

impl<'a> Side<'a> {
    fn new(items: &'a [Reference], ports: fn(&Reference) -> &Ports) -> Self {
        let least = items.iter().map(|item| ports(item).list.len().max(1)).sum();
        let expandables = items.iter().filter(|item| ports(item).expandable).count();
        let first_written = items.first().is_some_and(|item| ports(item).written());
        Self {
            items,
            ports,
            least,
            expandables,
            expandable: expandables > 0,
            first_written,
            step: false,
            extra: 0,
            item: 0,
            position: 0,
        }
    }

    fn current(&self) -> Option<Port> {
        let item = self.items.get(self.item)?;
        let list = &(self.ports)(item).list;
        let port = match list.get(self.position) {
            Some(&port) => port,
            None => list.last().map_or(self.position, |last| last + 1 + self.position - list.len()),
        };
        Some(Port { element: item.element, port })
    }

    fn advance(&mut self) {
        if !self.step {
            return;
        }
        let Some(item) = self.items.get(self.item) else { return };
        let ports = (self.ports)(item);
        self.position += 1;
        if self.position < ports.list.len() {
            return;
        }
        let open = ports.expandable || (!ports.written() && self.least == 1);
        if open && self.extra > 0 {
            self.extra -= 1;
        } else {
            self.item += 1;
            self.position = 0;
        }
    }
}
