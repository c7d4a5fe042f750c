//! Expansion of compound elements into the scope of the file.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::compound::{
    Compound, CompoundClass, ERROR, Kind, TUNNEL, Type, TypeId, signature_ports,
};
use crate::config::{assign, split_arguments};
use crate::expand::{Environment, expand};
use crate::graph::{Connection, Declaration, Graph, Port};
use crate::report::{Landmark, Report};
use crate::tunnel::Tunnels;

/// Elements that a configuration may expand to. Nested compounds multiply, so a text of a
/// few hundred bytes could otherwise ask for any number.
const MOST_ELEMENTS: usize = 1 << 20;

/// Deepest nesting of expanded compounds.
const DEEPEST: usize = 100;

pub(crate) struct Flattener<'a> {
    pub(crate) types: &'a [Type],
    pub(crate) scope: Compound,
    pub(crate) tunnels: Tunnels,
    pub(crate) report: &'a mut Report,
    /// Where the text ended; some complaints have no better place.
    pub(crate) end: Landmark,
}

/// Declares the three pseudoelements of a compound or group and, in the scope of the
/// file, links them.
pub(crate) fn add_tunnels(
    scope: &mut Compound,
    tunnels: Option<&mut Tunnels>,
    name: &str,
    landmark: &Landmark,
    report: &mut Report,
) -> [usize; 3] {
    let names = [name.into(), format!("{name}/input"), format!("{name}/output")];
    let mut fine = true;
    let indices = names.map(|name: String| {
        let known = scope.names.get(&name).copied();
        let index = scope.element(&name, TUNNEL, String::new(), landmark.clone(), report);
        if known.is_some() && scope.items[index].class != TUNNEL {
            redeclared(&name, landmark, &scope.items[index].landmark, report);
            fine = false;
        }
        index
    });
    if let Some(tunnels) = tunnels
        && fine
        && !(tunnels.pair(indices[0], indices[1]) && tunnels.pair(indices[2], indices[0]))
    {
        let old = scope.items[indices[0]].landmark.clone();
        let text = format!("redeclaration of connection tunnel '{name}'");
        report.error_at(landmark, &text);
        report.error_at(&old, &format!("'{name}' previously declared here"));
    }
    indices
}

fn redeclared(name: &str, landmark: &Landmark, old: &Landmark, report: &mut Report) {
    report.error_at(landmark, &format!("redeclaration of element '{name}'"));
    report.error_at(old, &format!("'{name}' previously declared here"));
}

impl Flattener<'_> {
    /// Expands everything and gives the flat graph.
    pub(crate) fn run(
        mut self,
        parameters: &[(String, String)],
        requirements: Vec<(String, String)>,
        compact: bool,
    ) -> Graph {
        let mut file_scope = Environment::new(None);
        for (name, value) in self.scope.scope.iter().chain(parameters) {
            file_scope.define(name, value.clone());
        }
        let file_scope = Rc::new(file_scope);
        for index in 0..self.scope.items.len() {
            self.element(index, &file_scope, 0);
        }
        let mut tunnels = core::mem::replace(&mut self.tunnels, Tunnels::new());
        let connections = tunnels.resolve(&self.scope, self.report);
        let mut numbers = Vec::with_capacity(self.scope.items.len());
        let mut elements = Vec::new();
        for item in self.scope.items {
            numbers.push(elements.len());
            if item.class != TUNNEL {
                elements.push(Declaration {
                    name: item.name,
                    class: self.types[item.class].name.clone(),
                    configuration: item.configuration,
                    landmark: item.landmark,
                });
            }
        }
        let renumber = |port: Port| Port { element: numbers[port.element], port: port.port };
        let mut connections: Vec<Connection> = connections
            .into_iter()
            .map(|link| Connection { from: renumber(link.from), to: renumber(link.to) })
            .collect();
        connections.sort_unstable();
        connections.dedup();
        Graph { elements, connections, requirements, compact }
    }

    /// Settles the name and configuration of one element and expands it if it is compound.
    fn element(&mut self, index: usize, environment: &Rc<Environment>, depth: usize) {
        if self.scope.items[index].name.starts_with(';') {
            self.scope.settle_name(index);
        }
        let class = self.scope.items[index].class;
        if class == TUNNEL {
            return;
        }
        let configuration = &self.scope.items[index].configuration;
        let configuration = expand(configuration, &mut &**environment, false, 0);
        self.scope.items[index].configuration.clone_from(&configuration);
        let Kind::Compound(compound) = &self.types[class].kind else { return };
        let compound = compound.clone();
        if depth >= DEEPEST || self.scope.items.len() >= MOST_ELEMENTS {
            let landmark = self.scope.items[index].landmark.clone();
            self.report.error_at(&landmark, "configuration expands to too many elements");
            self.scope.items[index].class = ERROR;
            return;
        }
        match self.choose(class, &compound, index, split_arguments(&configuration)) {
            Choice::Primitive(class) => self.scope.items[index].class = class,
            Choice::Compound(alternative, values) => {
                let parent = Environment::outside(environment, alternative.depth);
                let mut inner = Environment::new(parent);
                for ((name, _), value) in alternative.scope.iter().zip(values) {
                    inner.define(name, value);
                }
                for (name, value) in &alternative.scope[alternative.formals..] {
                    let value = expand(value, &mut &inner, false, 0);
                    inner.define(name, value);
                }
                self.expand_into(&alternative, index, &Rc::new(inner), depth);
            }
        }
    }

    /// Picks the alternative that fits the ports and arguments in use.
    fn choose(
        &mut self,
        class: TypeId,
        compound: &Rc<CompoundClass>,
        index: usize,
        arguments: Vec<String>,
    ) -> Choice {
        let item = &self.scope.items[index];
        let (inputs, outputs) = (item.inputs, item.outputs);
        let mut candidates: Vec<Rc<Compound>> = Vec::new();
        let mut closest: Option<(Rc<Compound>, Vec<String>)> = None;
        let mut current = compound.clone();
        // Extensions lead to classes declared earlier, so this ends.
        loop {
            for alternative in &current.alternatives {
                candidates.push(alternative.clone());
                let Some(values) = assign(&arguments, &alternative.formal_keywords()) else {
                    continue;
                };
                if alternative.inputs == inputs && alternative.outputs == outputs {
                    return Choice::Compound(alternative.clone(), values);
                }
                closest = Some((alternative.clone(), values));
            }
            match current.extension.map(|class| (class, &self.types[class].kind)) {
                Some((_, Kind::Compound(next))) => current = next.clone(),
                Some((class, _)) => return Choice::Primitive(class),
                None => break,
            }
        }
        if candidates.len() != 1 || closest.is_none() {
            let name = &self.types[class].name;
            let name = if name.is_empty() { "<anonymous>" } else { name };
            let count = arguments.len();
            let given = match count {
                0 => String::new(),
                1 => "1 argument, ".into(),
                _ => format!("{count} arguments, "),
            };
            let ports = signature_ports(inputs, outputs);
            let landmark = self.end.clone();
            self.report.error_at(&landmark, &format!("no match for '{name}[{given}{ports}]'"));
            self.report.message_at(&landmark, "candidates are:");
            for candidate in &candidates {
                self.report.message_at(&candidate.landmark, &candidate.signature());
            }
        }
        match closest {
            Some((alternative, values)) => Choice::Compound(alternative, values),
            None => Choice::Primitive(ERROR),
        }
    }

    fn expand_into(
        &mut self,
        compound: &Rc<Compound>,
        index: usize,
        environment: &Rc<Environment>,
        depth: usize,
    ) {
        let name = self.scope.items[index].name.clone();
        let landmark = self.scope.items[index].landmark.clone();
        self.scope.items[index].class = TUNNEL;
        let tunnels = Some(&mut self.tunnels);
        let own = add_tunnels(&mut self.scope, tunnels, &name, &landmark, self.report);
        let mut map: Vec<Option<usize>> = alloc::vec![Some(own[1]), Some(own[2])];
        let mut at = 2;
        while let Some(item) = compound.items.get(at) {
            let full = format!("{name}/{}", item.name);
            if let Some(&known) = self.scope.names.get(&full) {
                let old = self.scope.items[known].landmark.clone();
                redeclared(&full, &landmark, &old, self.report);
                map.push(None);
                at += 1;
            } else if item.class == TUNNEL {
                // A group: its three pseudoelements were declared one after the other.
                let tunnels = Some(&mut self.tunnels);
                let three = add_tunnels(&mut self.scope, tunnels, &full, &landmark, self.report);
                map.extend(three.map(Some));
                at += 3;
            } else {
                let configuration = expand(&item.configuration, &mut &**environment, false, 0);
                let place = item.landmark.clone();
                let new = &mut self.scope;
                map.push(Some(new.element(&full, item.class, configuration, place, self.report)));
                at += 1;
            }
        }
        for connection in &compound.connections {
            let end = |port: Port| {
                let element = map.get(port.element).copied().flatten()?;
                Some(Port { element, port: port.port })
            };
            if let (Some(from), Some(to)) = (end(connection.from), end(connection.to)) {
                self.scope.connect(from, to);
            }
        }
        for &new in map[2..].iter().flatten() {
            self.element(new, environment, depth + 1);
        }
    }
}

enum Choice {
    Primitive(TypeId),
    Compound(Rc<Compound>, Vec<String>),
}
