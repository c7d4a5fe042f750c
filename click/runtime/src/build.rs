//! Building a router from a graph, and the handlers that every router and element has.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use click_language::{Graph, Landmark, Mode, Options, Report, config, parse};

use crate::args::{Args, Scope};
use crate::element::{Class, Phase};
use crate::handler::{Answer, Call, Handler};
use crate::host::Host;
use crate::names::Names;
use crate::notify::Notifier;
use crate::packet::Pool;
use crate::ports::{Layout, Processing, check};
use crate::random::Random;
use crate::router::{Clock, Info, NOWHERE, Router, RouterOptions};
use crate::schedule::Schedule;
use crate::timers::Timers;

impl Router {
    /// Builds a router from a graph; `text` is where the graph came from. Complaints go to
    /// `report`; gives none if there were errors.
    pub fn build(
        mut graph: Graph,
        text: &str,
        options: RouterOptions,
        host: &mut dyn Host,
        report: &mut Report,
    ) -> Option<Box<Self>> {
        for (name, class, configuration) in &options.extra {
            graph.elements.push(click_language::Declaration {
                name: name.clone(),
                class: class.clone(),
                configuration: configuration.clone(),
                landmark: Landmark::new("click", 0),
            });
        }
        let find = |name: &str| options.classes.iter().find(|class| class.name == name).copied();
        let mut classes: Vec<&'static Class> = Vec::with_capacity(graph.elements.len());
        for element in &graph.elements {
            match find(&element.class) {
                Some(class) => classes.push(class),
                None => {
                    let text = format!("failed to create element '{}'", element.name);
                    report.error_at(&element.landmark, &text);
                }
            }
        }
        let mut router = None;
        if classes.len() == graph.elements.len()
            && let Some(layout) = check(&graph, &classes, report)
        {
            let mut new = Box::new(Self::assemble(graph, text, &classes, layout, options, host));
            if new.configure(report) && new.initialize(host, report) {
                router = Some(new);
            }
        }
        if router.is_none() {
            report.error("Router could not be initialized!");
        }
        router
    }

    /// Checks a graph as far as that goes without opening files and devices: ports,
    /// processing and arguments.
    pub fn check(
        graph: &Graph,
        options: RouterOptions,
        host: &mut dyn Host,
        report: &mut Report,
    ) -> bool {
        let find = |name: &str| options.classes.iter().find(|class| class.name == name).copied();
        let classes: Option<Vec<&'static Class>> =
            graph.elements.iter().map(|element| find(&element.class)).collect();
        let Some(classes) = classes else { return false };
        let Some(layout) = check(graph, &classes, report) else { return false };
        Self::assemble(graph.clone(), "", &classes, layout, options, host).configure(report)
    }

    fn assemble(
        graph: Graph,
        text: &str,
        classes: &[&'static Class],
        layout: Layout,
        options: RouterOptions,
        host: &mut dyn Host,
    ) -> Self {
        let count = classes.len();
        let mut info = Vec::with_capacity(count);
        let (mut inputs, mut outputs) = (0, 0);
        for (element, declared) in graph.elements.iter().enumerate() {
            info.push(Info {
                name: declared.name.clone(),
                class: classes[element],
                configuration: declared.configuration.clone(),
                landmark: declared.landmark.clone(),
                inputs: layout.inputs[element],
                outputs: layout.outputs[element],
                first_input: inputs,
                first_output: outputs,
                handlers: Vec::new(),
                thread: None,
            });
            inputs += layout.inputs[element];
            outputs += layout.outputs[element];
        }
        let flat = |sides: &[Vec<Processing>]| -> Vec<bool> {
            sides.iter().flatten().map(|side| *side != Processing::Pull).collect()
        };
        let input_push = flat(&layout.input_processing);
        let output_push = flat(&layout.output_processing);
        let mut destinations = alloc::vec![NOWHERE; outputs];
        let mut sources = alloc::vec![NOWHERE; inputs];
        for link in &layout.connections {
            let output = info[link.from.element].first_output + link.from.port;
            let input = info[link.to.element].first_input + link.to.port;
            if output_push[output] {
                destinations[output] = (link.to.element as u32, link.to.port as u32);
            } else {
                sources[input] = (link.from.element as u32, link.from.port as u32);
            }
        }
        let clock = options.simulated.map_or(Clock::Real, Clock::Simulated);
        Self {
            slots: classes.iter().map(|class| Some((class.make)())).collect(),
            element_names: info.iter().map(|info| info.name.clone()).collect(),
            info,
            connections: layout.connections,
            sent: alloc::vec![0; outputs],
            destinations,
            sources,
            input_push,
            output_push,
            schedule: Schedule::new(count),
            timers: Timers::default(),
            notifiers: alloc::vec![Notifier::default(); count * 2],
            pool: Pool::default(),
            pending: Vec::new(),
            woken: Vec::new(),
            deferred: VecDeque::new(),
            stops: 0,
            clock,
            coarse: 0,
            coarse_time: 0,
            random: Random::new(host.seed()),
            names: Names::default(),
            watches: Vec::new(),
            signals: Vec::new(),
            report: Report::new(),
            driver: None,
            next: None,
            text: text.to_string(),
            burst: options.burst.max(1),
            graph,
            options,
            depth: 0,
        }
    }

    /// Elements in the order of their phases.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<(Phase, usize)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| Some((slot.as_ref()?.phase(), at)))
            .collect();
        order.sort_by_key(|(phase, at)| (*phase, *at));
        order.into_iter().map(|(_, at)| at).collect()
    }

    fn heading(&self, doing: &str, element: usize) -> String {
        let info = &self.info[element];
        format!("While {doing} '{} :: {}':", info.name, info.class.name)
    }

    fn configure(&mut self, report: &mut Report) -> bool {
        let before = report.errors();
        for element in self.order() {
            report.enter(Some(&self.info[element].landmark), &self.heading("configuring", element));
            let text = self.info[element].configuration.clone();
            self.configure_one(element, &text, report);
            report.leave();
        }
        report.errors() == before
    }

    /// Gives an element its arguments, and enters the names that it defines.
    fn configure_one(&mut self, element: usize, text: &str, report: &mut Report) {
        let Some(mut taken) = self.slots[element].take() else { return };
        let info = &self.info[element];
        let scope =
            Scope { element: &info.name, names: &self.names, elements: &self.element_names };
        let arguments = config::split_arguments(text);
        let mut args = Args::new(arguments, scope, (info.inputs, info.outputs), report);
        taken.configure(&mut args);
        let definitions = taken.definitions();
        let name = info.name.clone();
        for (kind, defined, value) in definitions {
            self.names.define(&name, kind, &defined, &value);
        }
        self.slots[element] = Some(taken);
    }

    fn initialize(&mut self, host: &mut dyn Host, report: &mut Report) -> bool {
        for element in 0..self.len() {
            let handlers = self.slots[element].as_ref().map(|slot| slot.handlers());
            self.info[element].handlers = handlers.unwrap_or_default();
            let exact = self.slots[element].as_ref().is_some_and(|slot| slot.is_exact());
            if exact || matches!(self.clock, Clock::Simulated(_)) {
                self.burst = 1;
            }
            if self.slots[element].as_ref().is_some_and(|slot| slot.is_driver()) {
                if self.driver.is_some() {
                    let landmark = self.info[element].landmark.clone();
                    report.error_at(&landmark, "router has more than one driver script");
                    return false;
                }
                self.driver = Some(element);
            }
        }
        for element in self.order() {
            core::mem::swap(&mut self.report, report);
            let before = self.report.errors();
            let heading = self.heading("initializing", element);
            let landmark = self.info[element].landmark.clone();
            self.report.enter(Some(&landmark), &heading);
            self.with(element, host, |element, cx| element.initialize(cx));
            self.report.leave();
            let failed = self.report.errors() != before;
            core::mem::swap(&mut self.report, report);
            if failed {
                self.cleanup(host);
                return false;
            }
        }
        self.coarse = self.now(host);
        self.coarse_time = self.time(host);
        true
    }

    // Handlers

    /// `element.handler` as people write it.
    fn handler_name(&self, element: Option<usize>, handler: &str) -> String {
        match element {
            Some(element) => format!("{}.{handler}", self.info[element].name),
            None => handler.into(),
        }
    }

    /// The handler of that name, of an element or of the router.
    pub fn handler(&self, element: Option<usize>, name: &str) -> Option<Handler> {
        let of = |list: &[Handler]| list.iter().find(|handler| handler.name == name).cloned();
        match element {
            Some(element) => of(&self.info[element].handlers).or_else(|| {
                let mut generic = of(GENERIC)?;
                if name == "config" {
                    let slot = self.slots[element].as_ref();
                    generic.write = slot.is_some_and(|slot| slot.can_reconfigure());
                }
                Some(generic)
            }),
            None => {
                let mut global = of(GLOBAL)?;
                if name == "hotconfig" && !self.options.reconfigurable {
                    return None;
                }
                global.write &= name != "timewarp" || self.options.simulated.is_none();
                Some(global)
            }
        }
    }

    /// Finds the element and handler that `name` means to the element `context`.
    pub fn resolve_call(
        &self,
        context: Option<usize>,
        name: &str,
        value: String,
        write: bool,
    ) -> Result<Call, String> {
        let (element, handler) = match name.split_once('.') {
            Some((element, handler)) => {
                let scope = Scope {
                    element: context.map_or("", |context| &self.info[context].name),
                    names: &self.names,
                    elements: &self.element_names,
                };
                let found = scope
                    .find_element(element)
                    .ok_or_else(|| format!("no element named '{element}'"))?;
                (Some(found), handler)
            }
            None => (context.filter(|&own| self.handler(Some(own), name).is_some()), name),
        };
        let full = self.handler_name(element, handler);
        let missing = |kind: &str| format!("no '{full}' {kind} handler");
        let known = self.handler(element, handler);
        match known {
            Some(known) if write && known.write => {}
            Some(known) if !write && known.read => {
                if !value.is_empty() && !known.parameter {
                    return Err(format!("read handler '{full}' does not take parameters"));
                }
            }
            _ => return Err(missing(if write { "write" } else { "read" })),
        }
        Ok(Call { element, handler: handler.into(), value })
    }

    /// Reads a handler.
    pub fn read_handler(
        &mut self,
        element: Option<usize>,
        handler: &str,
        parameter: &str,
        host: &mut dyn Host,
    ) -> Answer {
        let Some(element) = element else { return self.read_global(handler, host) };
        if !self.info[element].handlers.iter().any(|known| known.name == handler) {
            return self.read_generic(element, handler);
        }
        if self.depth >= MOST_CALLS {
            return Err("handlers call each other too deeply".into());
        }
        self.depth += 1;
        let act = |element: &mut dyn crate::Element, cx: &mut crate::Context<'_>| {
            element.read(handler, parameter, cx)
        };
        let answer = self.with(element, host, act);
        self.depth -= 1;
        answer.unwrap_or_else(|| Err(format!("'{}' is busy", self.info[element].name)))
    }

    /// Writes a handler.
    pub fn write_handler(
        &mut self,
        element: Option<usize>,
        handler: &str,
        value: &str,
        host: &mut dyn Host,
    ) -> Answer {
        let Some(element) = element else { return self.write_global(handler, value, host) };
        if handler == "config"
            && !self.info[element].handlers.iter().any(|known| known.name == "config")
        {
            return self.reconfigure(element, value);
        }
        if self.depth >= MOST_CALLS {
            return Err("handlers call each other too deeply".into());
        }
        self.depth += 1;
        let act = |element: &mut dyn crate::Element, cx: &mut crate::Context<'_>| {
            element.write(handler, value, cx)
        };
        let answer = self.with(element, host, act);
        self.depth -= 1;
        answer.unwrap_or_else(|| Err(format!("'{}' is busy", self.info[element].name)))
    }

    /// Writes a handler from outside the router and lets its effects happen.
    pub fn write_outside(
        &mut self,
        element: Option<usize>,
        handler: &str,
        value: &str,
        host: &mut dyn Host,
    ) -> Answer {
        let answer = self.write_handler(element, handler, value, host);
        self.settle(host);
        answer
    }

    fn reconfigure(&mut self, element: usize, text: &str) -> Answer {
        let mut report = Report::new();
        self.configure_one(element, text, &mut report);
        let errors = report.errors();
        let lines = report.take_lines(true);
        if errors > 0 {
            return Err(lines.join("\n"));
        }
        for line in lines {
            self.report.message(&line);
        }
        self.info[element].configuration = text.to_string();
        Ok(String::new())
    }

    fn read_generic(&mut self, element: usize, handler: &str) -> Answer {
        let info = &self.info[element];
        Ok(match handler {
            "name" => info.name.clone(),
            "class" => info.class.name.into(),
            "config" => info.configuration.clone(),
            "scheduled" => self.schedule.is_scheduled(element).to_string(),
            "tickets" => self.schedule.tickets(element).to_string(),
            "home_thread" => info.thread.unwrap_or(0).to_string(),
            "ports" => self.describe_ports(element),
            "handlers" => {
                let own: Vec<&Handler> = info.handlers.iter().collect();
                let more = GENERIC.iter().filter(|generic| {
                    !info.handlers.iter().any(|handler| handler.name == generic.name)
                });
                let mut text = String::new();
                for known in more.chain(own) {
                    let flags = self
                        .handler(Some(element), &known.name)
                        .map(|handler| handler.flags())
                        .unwrap_or_default();
                    text.push_str(&format!("{}\t{flags}\n", known.name));
                }
                text
            }
            _ => return Err(format!("no '{}.{handler}' read handler", info.name)),
        })
    }

    fn describe_ports(&self, element: usize) -> String {
        let info = &self.info[element];
        let mut text = String::new();
        for (output, count) in [(false, info.inputs), (true, info.outputs)] {
            let plural = if count == 1 { "" } else { "s" };
            let kind = if output { "output" } else { "input" };
            text.push_str(&format!("{count} {kind}{plural}\n"));
            for port in 0..count {
                let push = if output {
                    self.output_is_push(element, port)
                } else {
                    self.input_is_push(element, port)
                };
                let way = if push { "push" } else { "pull" };
                let others: Vec<String> = self
                    .connections
                    .iter()
                    .filter_map(|link| {
                        let (here, there) =
                            if output { (link.from, link.to) } else { (link.to, link.from) };
                        (here.element == element && here.port == port).then(|| {
                            let name = &self.info[there.element].name;
                            if output {
                                format!("[{}] {name}", there.port)
                            } else {
                                format!("{name} [{}]", there.port)
                            }
                        })
                    })
                    .collect();
                text.push_str(&format!("{way}\t-\t{}\n", others.join(", ")));
            }
        }
        text
    }

    fn read_global(&mut self, handler: &str, _host: &mut dyn Host) -> Answer {
        Ok(match handler {
            "version" => self.options.version.into(),
            "driver" => "userlevel".into(),
            "config" if self.graph.compact => self.flat_configuration(),
            "config" => self.text.clone(),
            "flatconfig" => self.flat_configuration(),
            "list" => {
                let mut text = format!("{}\n", self.len());
                for info in &self.info {
                    text.push_str(&format!("{}\n", info.name));
                }
                text
            }
            "requirements" => self
                .graph
                .requirements
                .iter()
                .map(|(kind, value)| format!("{kind}\n{value}\n"))
                .collect(),
            "classes" => {
                self.options.classes.iter().map(|class| format!("{}\n", class.name)).collect()
            }
            "handlers" => GLOBAL
                .iter()
                .filter_map(|handler| self.handler(None, &handler.name))
                .map(|handler| format!("{}\t{}\n", handler.name, handler.flags()))
                .collect(),
            "packages" => String::new(),
            "active_ports" => self.active_ports(|router, element, port| {
                format!("{}\to{port}\n", router.info[element].name)
            }),
            "active_port_stats" => self.active_ports(|router, element, port| {
                let at = router.info[element].first_output + port;
                format!("{}\n", router.sent[at])
            }),
            "timewarp" => match self.clock {
                Clock::Simulated(_) => "simulation".into(),
                Clock::Real => "1".into(),
                Clock::Warped { speed, .. } => speed.to_string(),
            },
            _ => return Err(format!("no '{handler}' read handler")),
        })
    }

    fn active_ports(&self, line: impl Fn(&Self, usize, usize) -> String) -> String {
        let mut text = String::new();
        for element in 0..self.len() {
            for port in 0..self.info[element].outputs {
                text.push_str(&line(self, element, port));
            }
        }
        text
    }

    fn flat_configuration(&self) -> String {
        let mut graph = self.graph.clone();
        for (element, info) in graph.elements.iter_mut().zip(&self.info) {
            element.configuration.clone_from(&info.configuration);
        }
        graph.unparse()
    }

    fn write_global(&mut self, handler: &str, value: &str, host: &mut dyn Host) -> Answer {
        match handler {
            "stop" => {
                let text = config::uncomment(value);
                match click_language::value::integer(&text) {
                    Some(count) => self.stops = self.stops.saturating_add(count.max(0)),
                    None => self.stops += 1,
                }
                Ok(String::new())
            }
            "timewarp" => {
                let speed = click_language::value::real(value).ok_or("expected double")?;
                if speed <= 0.0 {
                    return Err("timefactor must be > 0".into());
                }
                self.warp(speed, host);
                Ok(String::new())
            }
            "hotconfig" => self.hot_configuration(value, host),
            _ => Err(format!("no '{handler}' write handler")),
        }
    }

    /// Builds the router that is to take over. The running one goes on if that fails.
    fn hot_configuration(&mut self, text: &str, host: &mut dyn Host) -> Answer {
        let mut report = Report::new();
        let classes = self.options.classes;
        let known = |name: &str| classes.iter().any(|class| class.name == name);
        let options = Options { mode: Mode::Driver(&known), parameters: &[], libraries: None };
        let graph = parse(text, "", options, &mut report);
        let mut next = None;
        if report.errors() == 0 {
            let options = RouterOptions {
                simulated: match self.clock {
                    Clock::Simulated(now) => Some(now),
                    _ => None,
                },
                replaces: true,
                ..self.options.clone()
            };
            next = Self::build(graph, text, options, host, &mut report);
        }
        match next {
            Some(next) => {
                self.next = Some(next);
                Ok(String::new())
            }
            None => Err(report.take_lines(true).join("\n")),
        }
    }
}

/// Handlers that may call handlers, one inside the other.
const MOST_CALLS: u32 = 64;

const GENERIC: &[Handler] = &[
    Handler::read("name"),
    Handler::read("class"),
    Handler::read("config"),
    Handler::read("ports"),
    Handler::read("handlers"),
    Handler::read("scheduled"),
    Handler::read("tickets"),
    Handler::read("home_thread"),
];

const GLOBAL: &[Handler] = &[
    Handler::read("version"),
    Handler::read("driver"),
    Handler::read("config").raw(),
    Handler::read("flatconfig"),
    Handler::read("list"),
    Handler::read("requirements"),
    Handler::read("classes"),
    Handler::read("handlers"),
    Handler::read("packages"),
    Handler::read("active_ports"),
    Handler::read("active_port_stats"),
    Handler::both("timewarp"),
    Handler::write("stop"),
    Handler::write("hotconfig").raw(),
];
