//! Scopes of declarations: the file itself and each compound element.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::graph::{Connection, Port};
use crate::report::{Landmark, Report};

/// Finds the files that `require(library name)` names.
pub trait Libraries {
    /// The path and text of the library `name`, required from a file in `folder`.
    /// `Err` carries the reason why the file cannot be read; `None` means no such file.
    fn find(&mut self, name: &str, folder: &str) -> Option<Result<(String, String), String>>;
}

/// Index into the table of element classes.
pub(crate) type TypeId = usize;

/// The class of pseudoelements that stand for ports of compounds and groups.
pub(crate) const TUNNEL: TypeId = 0;

/// The class of elements that could not be made out.
pub(crate) const ERROR: TypeId = 1;

#[derive(Clone)]
pub(crate) enum Kind {
    Tunnel,
    Primitive,
    Compound(Rc<CompoundClass>),
}

#[derive(Clone)]
pub(crate) struct Type {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What `{ ... || ... }` defines.
pub(crate) struct CompoundClass {
    pub(crate) alternatives: Vec<Rc<Compound>>,
    /// The class that `...` extends.
    pub(crate) extension: Option<TypeId>,
}

/// An element as declared.
#[derive(Clone)]
pub(crate) struct Item {
    /// Starts with `;` as long as the name is made up and may still change.
    pub(crate) name: String,
    pub(crate) class: TypeId,
    pub(crate) configuration: String,
    pub(crate) landmark: Landmark,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

/// One scope: the file, or one alternative of a compound element.
pub(crate) struct Compound {
    pub(crate) name: String,
    pub(crate) landmark: Landmark,
    /// 0 for the file.
    pub(crate) depth: usize,
    /// Formals first, then what `define` added: name and keyword or value.
    pub(crate) scope: Vec<(String, String)>,
    pub(crate) formals: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) items: Vec<Item>,
    pub(crate) names: BTreeMap<String, usize>,
    pub(crate) connections: Vec<Connection>,
    /// Elements that do not count in made-up names.
    pub(crate) uncounted: usize,
    order_complaint: bool,
}

impl Compound {
    pub(crate) fn new(name: String, landmark: Landmark, depth: usize) -> Self {
        Self {
            name,
            landmark,
            depth,
            scope: Vec::new(),
            formals: 0,
            inputs: 0,
            outputs: 0,
            items: Vec::new(),
            names: BTreeMap::new(),
            connections: Vec::new(),
            uncounted: 0,
            order_complaint: false,
        }
    }

    pub(crate) fn printable_name(&self) -> &str {
        if self.name.is_empty() { "<anonymous>" } else { &self.name }
    }

    /// The element `name`, declared now if there is none.
    pub(crate) fn element(
        &mut self,
        name: &str,
        class: TypeId,
        configuration: String,
        landmark: Landmark,
        report: &mut Report,
    ) -> usize {
        if let Some(&known) = self.names.get(name) {
            return known;
        }
        if name.split('/').any(|part| part.bytes().all(|byte| byte.is_ascii_digit())) {
            let text = format!("element name '{name}' has all-digit component");
            report.error_at(&landmark, &text);
        }
        let index = self.items.len();
        self.names.insert(name.into(), index);
        let name = name.into();
        self.items.push(Item { name, class, configuration, landmark, inputs: 0, outputs: 0 });
        index
    }

    /// A name for the next element of the class, which may be changed later.
    pub(crate) fn made_up_name(&self, class: &str) -> String {
        format!(";{class}@{}", self.items.len() + 1 - self.uncounted)
    }

    /// Gives an element with a made-up name its final one, which no other element has.
    pub(crate) fn settle_name(&mut self, index: usize) -> String {
        let mut name: String = self.items[index].name[1..].into();
        if self.names.contains_key(&name)
            && let Some((class, number)) = name.rsplit_once('@')
        {
            let class = format!("{class}@");
            let digits = number.bytes().take_while(u8::is_ascii_digit).count();
            let mut number = number[..digits].parse::<u64>().unwrap_or(0);
            while self.names.contains_key(&name) {
                number = number.saturating_add(1);
                name = format!("{class}{number}");
            }
        }
        self.names.insert(name.clone(), index);
        self.items[index].name.clone_from(&name);
        name
    }

    pub(crate) fn connect(&mut self, from: Port, to: Port) {
        self.items[from.element].outputs = self.items[from.element].outputs.max(from.port + 1);
        self.items[to.element].inputs = self.items[to.element].inputs.max(to.port + 1);
        self.connections.push(Connection { from, to });
    }

    /// Adds a formal or a variable to the scope.
    pub(crate) fn define(
        &mut self,
        name: String,
        value: String,
        formal: bool,
        landmark: &Landmark,
        report: &mut Report,
    ) {
        if self.scope.iter().any(|(known, _)| *known == name) {
            report.error_at(landmark, &format!("parameter '${name}' multiply defined"));
            return;
        }
        if formal && !value.is_empty() && self.scope.iter().any(|(_, known)| *known == value) {
            let text = format!("repeated keyword parameter '{value}' in compound element");
            report.error_at(landmark, &text);
        }
        if let Some((_, previous)) = self.scope.last()
            && formal
            && !self.order_complaint
            && ((value.is_empty() && !previous.is_empty()) || previous == "__REST__")
        {
            self.order_complaint = true;
            report.error_at(
                landmark,
                "compound element parameters out of order\n\
                 (The correct order is '[positional], [keywords], [__REST__]'.)",
            );
        }
        self.scope.push((name, value));
        if formal {
            self.formals = self.scope.len();
        }
    }

    /// Checks the use of a pseudoelement and counts the ports that it stands for. Only
    /// connections from number `since` on can touch it.
    pub(crate) fn pseudo_ports(
        &self,
        (which, since): (usize, usize),
        output: bool,
        name: &str,
        landmark: &Landmark,
        report: &mut Report,
    ) -> usize {
        let item = &self.items[which];
        // The pseudoelement for inputs has outputs, and the other way round.
        let (ports, wrong) =
            if output { (item.inputs, item.outputs) } else { (item.outputs, item.inputs) };
        let kinds = ["input", "output"];
        let (kind, other) = (kinds[usize::from(output)], kinds[usize::from(!output)]);
        if wrong > 0 {
            let text = format!("'{name}' pseudoelement '{kind}' may only be used as {other}");
            report.error_at(landmark, &text);
        }
        let mut used = alloc::vec![false; ports];
        for connection in &self.connections[since..] {
            let end = if output { connection.to } else { connection.from };
            if end.element == which {
                used[end.port] = true;
            }
        }
        for (port, _) in used.iter().enumerate().filter(|(_, used)| !**used) {
            report.error_at(landmark, &format!("'{name}' {kind} {port} missing"));
        }
        ports
    }

    /// Closes the scope of a compound element.
    pub(crate) fn finish(&mut self, report: &mut Report) {
        let name: String = self.printable_name().into();
        let landmark = self.landmark.clone();
        self.inputs = self.pseudo_ports((0, 0), false, &name, &landmark, report);
        self.outputs = self.pseudo_ports((1, 0), true, &name, &landmark, report);
        for index in 0..self.items.len() {
            if self.items[index].name.starts_with(';') {
                self.settle_name(index);
            }
        }
    }

    /// The keywords of the formals, empty for positional ones.
    pub(crate) fn formal_keywords(&self) -> Vec<&str> {
        self.scope[..self.formals].iter().map(|(_, keyword)| keyword.as_str()).collect()
    }

    /// The alternative as error messages describe it.
    pub(crate) fn signature(&self) -> String {
        let formals: Vec<&str> = self
            .scope
            .iter()
            .map(|(_, keyword)| match keyword.as_str() {
                "" => "<arg>",
                "__REST__" => "...",
                keyword => keyword,
            })
            .collect();
        let formals =
            if formals.is_empty() { String::new() } else { format!("({})", formals.join(", ")) };
        let ports = signature_ports(self.inputs, self.outputs);
        format!("{}{formals}[{ports}]", self.printable_name())
    }
}

/// `N inputs, M outputs`, as error messages say it.
pub(crate) fn signature_ports(inputs: usize, outputs: usize) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    format!("{inputs} input{}, {outputs} output{}", plural(inputs), plural(outputs))
}
