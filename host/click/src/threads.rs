//! Configurations on several threads: one router per thread, each with the parts of the
//! configuration that have nothing to do with the others.
//!
//! Parts are held together by connections, and by elements that name each other in their
//! configurations. A part runs on the thread that StaticThreadSched gives to one of its
//! elements, or else on thread 0. So no packet and no handler crosses threads, and nothing
//! on the path of a packet needs a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use click_language::{Connection, Graph, Port, config, value};
use click_runtime::Router;

use crate::host::{Bell, ProcessHost};

/// A router and what it runs on.
pub struct Part {
    /// The router.
    pub router: Box<Router>,
    /// Its files, sockets and clocks.
    pub host: ProcessHost,
}

/// Classes whose elements only say things to others, so that each thread has its own.
const SAYERS: [&str; 4] = ["AddressInfo", "PortInfo", "IPRewriterPatterns", "StaticThreadSched"];

/// The representative of an element's part.
fn find(parents: &mut [usize], mut element: usize) -> usize {
    while parents[element] != element {
        parents[element] = parents[parents[element]];
        element = parents[element];
    }
    element
}

fn join(parents: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(parents, a), find(parents, b));
    // The first element of a part represents it.
    parents[a.max(b)] = a.min(b);
}

/// Elements that a configuration string of an element may mean.
fn mentioned(graph: &Graph, element: usize) -> Vec<usize> {
    let declared = &graph.elements[element];
    let scope = declared.name.rfind('/').map_or("", |slash| &declared.name[..=slash]);
    let is_name = |letter: char| letter.is_alphanumeric() || "_/@".contains(letter);
    let words = declared.configuration.split(|letter| !is_name(letter));
    let mut found = Vec::new();
    for word in words.filter(|word| !word.is_empty()) {
        let mut scope = scope;
        loop {
            let full = format!("{scope}{word}");
            if let Some(other) = graph.find(&full) {
                found.push(other);
                break;
            }
            let Some(outer) = scope.strip_suffix('/') else { break };
            scope = outer.rfind('/').map_or("", |slash| &outer[..=slash]);
        }
    }
    found
}

/// Threads that StaticThreadSched elements give to elements; what is said about an element
/// itself counts more than what is said about a compound around it.
fn assigned(graph: &Graph, threads: u32) -> Vec<Option<u32>> {
    let mut assigned: Vec<Option<(usize, u32)>> = vec![None; graph.elements.len()];
    for scheduler in graph.elements.iter().filter(|e| e.class == "StaticThreadSched") {
        let scope = scheduler.name.rfind('/').map_or("", |slash| &scheduler.name[..=slash]);
        for argument in config::split_arguments(&scheduler.configuration) {
            let words = config::split_words(&argument);
            let [name, thread] = words.as_slice() else { continue };
            let Some(thread) = value::integer(thread).and_then(|t| u32::try_from(t).ok()) else {
                continue;
            };
            let full = format!("{scope}{name}");
            for (element, slot) in graph.elements.iter().zip(&mut assigned) {
                let inside = element.name.strip_prefix(&full);
                let fits = inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                if fits && slot.is_none_or(|(length, _)| full.len() >= length) {
                    *slot = Some((full.len(), thread.min(threads - 1)));
                }
            }
        }
    }
    assigned.into_iter().map(|slot| slot.map(|(_, thread)| thread)).collect()
}

/// Divides a graph into those of the threads; the first is there in any case. Adds what
/// could not be done as asked to `warnings`.
pub fn divide(graph: &Graph, threads: u32, warnings: &mut Vec<String>) -> Vec<Graph> {
    let count = graph.elements.len();
    let says = |element: usize| SAYERS.contains(&graph.elements[element].class.as_str());
    let mut parents: Vec<usize> = (0..count).collect();
    for link in &graph.connections {
        join(&mut parents, link.from.element, link.to.element);
    }
    for element in (0..count).filter(|element| !says(*element)) {
        for other in mentioned(graph, element).into_iter().filter(|other| !says(*other)) {
            join(&mut parents, element, other);
        }
    }
    let mut threads_of: Vec<Option<u32>> = vec![None; count];
    for (element, thread) in assigned(graph, threads).into_iter().enumerate() {
        let Some(thread) = thread else { continue };
        let part = find(&mut parents, element);
        match threads_of[part] {
            Some(known) if known != thread => {
                warnings.push(format!(
                    "warning: '{}' has to do with elements of thread {known} and runs there, \
                     not on thread {thread}",
                    graph.elements[element].name
                ));
            }
            _ => threads_of[part] = Some(thread),
        }
    }
    let thread_of: Vec<u32> =
        (0..count).map(|element| threads_of[find(&mut parents, element)].unwrap_or(0)).collect();
    let mut parts: Vec<Graph> = (0..threads)
        .map(|thread| part(graph, &|element| says(element) || thread_of[element] == thread))
        .collect();
    let mut thread = 0;
    parts.retain(|part| {
        thread += 1;
        thread == 1 || !part.connections.is_empty()
    });
    parts
}

/// The part of a graph with the elements that are to be in it.
fn part(graph: &Graph, inside: &dyn Fn(usize) -> bool) -> Graph {
    let mut numbers = vec![None; graph.elements.len()];
    let mut part = Graph {
        requirements: graph.requirements.clone(),
        compact: graph.compact,
        ..Graph::default()
    };
    for (element, declared) in graph.elements.iter().enumerate().filter(|(e, _)| inside(*e)) {
        numbers[element] = Some(part.elements.len());
        part.elements.push(declared.clone());
    }
    let place = |port: Port| Some(Port { element: numbers[port.element]?, port: port.port });
    part.connections = graph
        .connections
        .iter()
        .filter_map(|link| Some(Connection { from: place(link.from)?, to: place(link.to)? }))
        .collect();
    part
}

/// How the threads of a router tell each other that they end.
#[derive(Clone, Default)]
pub struct Ends {
    /// Everything is to end.
    all: Arc<AtomicBool>,
    /// Threads that have stopped; the first counts them as stops of its own.
    stopped: Arc<AtomicU32>,
}

impl Ends {
    /// Whether this thread is to end.
    pub fn is_over(&self) -> bool {
        self.all.load(Ordering::Acquire)
    }

    /// Threads that have stopped since the last call.
    pub fn take_stopped(&self) -> u32 {
        self.stopped.swap(0, Ordering::AcqRel)
    }
}

/// Runs the first part with `run`, and the others on threads of their own until it ends.
pub fn run(first: Part, others: Vec<Part>, run: impl FnOnce(Part) -> Part) -> Vec<Part> {
    let ends = Ends::default();
    let mut first = first;
    let bell: Option<Bell> = first.host.join_threads(ends.clone(), true);
    std::thread::scope(|scope| {
        let mut bells = Vec::new();
        let mut handles = Vec::new();
        for mut part in others {
            bells.extend(part.host.join_threads(ends.clone(), false));
            let (ends, bell) = (&ends, &bell);
            handles.push(scope.spawn(move || {
                part.router.run(&mut part.host);
                ends.stopped.fetch_add(1, Ordering::AcqRel);
                if let Some(bell) = bell {
                    bell.ring();
                }
                part
            }));
        }
        let mut parts = vec![run(first)];
        ends.all.store(true, Ordering::Release);
        for bell in &bells {
            bell.ring();
        }
        // A thread that panicked has ended the process.
        parts.extend(handles.into_iter().filter_map(|handle| handle.join().ok()));
        parts
    })
}

#[cfg(test)]
mod tests {
    use click_language::{Mode, Options, Report, parse};

    use super::*;

    fn names(text: &str, threads: u32) -> (Vec<Vec<String>>, usize) {
        let options = Options { mode: Mode::Tool, parameters: &[], libraries: None };
        let graph = parse(text, "test", options, &mut Report::new());
        let mut warnings = Vec::new();
        let parts = divide(&graph, threads, &mut warnings);
        let names = |part: Graph| part.elements.into_iter().map(|element| element.name).collect();
        (parts.into_iter().map(names).collect(), warnings.len())
    }

    #[test]
    fn parts_go_to_their_threads() {
        let text = "a :: A -> b :: B; c :: C -> d :: D; i :: AddressInfo(x 1.2.3.4);
            StaticThreadSched(a 0, c 1); e :: E -> f :: F";
        let (parts, warnings) = names(text, 2);
        assert_eq!(warnings, 0);
        assert_eq!(parts[0], ["a", "b", "i", "StaticThreadSched@6", "e", "f"]);
        assert_eq!(parts[1], ["c", "d", "i", "StaticThreadSched@6"]);
        assert_eq!(names(text, 1).0.len(), 1);
    }

    #[test]
    fn elements_that_name_each_other_stay_together() {
        let text = "a :: A -> b :: B; c :: C -> d :: D; s :: Script(print $(a.x) $(c.y));
            StaticThreadSched(a 0, c 1)";
        let (parts, warnings) = names(text, 2);
        assert_eq!((parts.len(), warnings), (1, 1));
    }
}
