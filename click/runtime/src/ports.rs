//! Port counts, processing and flow codes of classes, and the checks that follow from them.
//!
//! Source: elementdoc(7) and the Click programming manual on processing and flow codes.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use click_language::{Connection, Graph, Port, Report};

use crate::element::Class;

/// Fewest and most ports on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    least: usize,
    most: usize,
}

fn count(text: &str) -> Option<Count> {
    let number = |text: &str| text.parse::<usize>().ok();
    Some(match text.split_once('-') {
        None => Count { least: number(text)?, most: number(text)? },
        Some((least, most)) => Count {
            least: if least.is_empty() { 0 } else { number(least)? },
            most: if most.is_empty() { usize::MAX } else { number(most)? },
        },
    })
}

/// The numbers of inputs and outputs that an element of the class has when `inputs` and
/// `outputs` are used.
pub(crate) fn settle(class: &Class, inputs: usize, outputs: usize) -> (usize, usize) {
    let (left, right) = class.ports.split_once('/').unwrap_or((class.ports, class.ports));
    let zero = Count { least: 0, most: 0 };
    let left = count(left).unwrap_or(zero);
    let inputs = inputs.clamp(left.least, left.most);
    let right = match right.strip_prefix('=') {
        Some(more) => {
            let count = inputs + more.len();
            Count { least: count, most: count }
        }
        None => count(right).unwrap_or(zero),
    };
    let outputs = outputs.clamp(right.least, right.most);
    // With `=` the unused side follows the used one.
    (inputs, outputs)
}

/// How packets pass a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processing {
    Agnostic,
    Push,
    Pull,
}

fn processing(class: &Class, output: bool, port: usize) -> Processing {
    let code = class.processing;
    let (left, right) = code.split_once('/').unwrap_or((code, code));
    let side = if output { right } else { left };
    match side.as_bytes().get(port).or(side.as_bytes().last()) {
        Some(b'h') => Processing::Push,
        Some(b'l') => Processing::Pull,
        _ => Processing::Agnostic,
    }
}

/// Whether packets from input `input` may leave at output `output`.
pub fn flows(class: &Class, input: usize, output: usize) -> bool {
    if class.flow.is_empty() {
        return true;
    }
    let (left, right) = class.flow.split_once('/').unwrap_or((class.flow, class.flow));
    let (left, right) = (flow_code(left, input), flow_code(right, output));
    match (left.contains(&b'#'), right.contains(&b'#')) {
        (true, true) if input == output => return true,
        _ => {}
    }
    let letters = |code: &[u8], letter: u8| match code.strip_prefix(b"^") {
        Some(code) => !code.contains(&letter),
        None => code.contains(&letter),
    };
    (b'A'..=b'z')
        .filter(u8::is_ascii_alphabetic)
        .any(|letter| letters(left, letter) && letters(right, letter))
}

/// The code of one port: a letter, or what brackets hold.
fn flow_code(side: &str, port: usize) -> &[u8] {
    let bytes = side.as_bytes();
    let (mut at, mut last): (usize, &[u8]) = (0, b"");
    let mut number = 0;
    while at < bytes.len() && number <= port {
        let end = if bytes[at] == b'[' {
            let close = bytes[at..].iter().position(|&byte| byte == b']');
            let close = close.map_or(bytes.len(), |close| at + close);
            last = &bytes[at + 1..close];
            close + 1
        } else {
            last = &bytes[at..=at];
            at + 1
        };
        at = end;
        number += 1;
    }
    last
}

/// What the checks found out about each element.
pub(crate) struct Layout {
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
    /// Processing per input and output of each element.
    pub(crate) input_processing: Vec<Vec<Processing>>,
    pub(crate) output_processing: Vec<Vec<Processing>>,
    pub(crate) connections: Vec<Connection>,
}

/// Settles port numbers and processing; complains and gives none if they do not fit.
pub(crate) fn check(graph: &Graph, classes: &[&Class], report: &mut Report) -> Option<Layout> {
    let before = report.errors();
    let mut layout = range(graph, classes, report);
    if report.errors() != before {
        return None;
    }
    push_and_pull(graph, classes, &mut layout, report);
    if report.errors() != before {
        return None;
    }
    completeness(graph, &layout, report);
    (report.errors() == before).then_some(layout)
}

fn described(graph: &Graph, element: usize) -> String {
    let element = &graph.elements[element];
    format!("{} :: {}", element.name, element.class)
}

fn range(graph: &Graph, classes: &[&Class], report: &mut Report) -> Layout {
    let count = graph.elements.len();
    let (mut used_in, mut used_out) = (alloc::vec![0; count], alloc::vec![0; count]);
    for link in &graph.connections {
        used_out[link.from.element] = used_out[link.from.element].max(link.from.port + 1);
        used_in[link.to.element] = used_in[link.to.element].max(link.to.port + 1);
    }
    let (mut inputs, mut outputs) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for element in 0..count {
        let (ins, outs) = settle(classes[element], used_in[element], used_out[element]);
        inputs.push(ins);
        outputs.push(outs);
    }
    let mut connections = Vec::with_capacity(graph.connections.len());
    for link in &graph.connections {
        let mut fine = true;
        for (port, kind, count) in [(link.to, "input", &inputs), (link.from, "output", &outputs)] {
            if port.port >= count[port.element] {
                fine = false;
                let name = described(graph, port.element);
                let text = format!("'{name}' has no {kind} {}", port.port);
                report.error_at(&graph.elements[port.element].landmark, &text);
            }
        }
        if fine {
            connections.push(*link);
        }
    }
    let side = |output: bool, counts: &[usize]| {
        counts
            .iter()
            .enumerate()
            .map(|(element, &count)| {
                (0..count).map(|port| processing(classes[element], output, port)).collect()
            })
            .collect()
    };
    let input_processing = side(false, &inputs);
    let output_processing = side(true, &outputs);
    Layout { inputs, outputs, input_processing, output_processing, connections }
}

/// Spreads push and pull through agnostic ports until nothing changes.
fn push_and_pull(graph: &Graph, classes: &[&Class], layout: &mut Layout, report: &mut Report) {
    let mut links: Vec<(Connection, bool)> =
        layout.connections.iter().map(|link| (*link, false)).collect();
    for (element, class) in classes.iter().enumerate() {
        for input in 0..layout.inputs[element] {
            for output in 0..layout.outputs[element] {
                if layout.input_processing[element][input] == Processing::Agnostic
                    && layout.output_processing[element][output] == Processing::Agnostic
                    && flows(class, input, output)
                {
                    let from = Port { element, port: output };
                    links.push((Connection { from, to: Port { element, port: input } }, true));
                }
            }
        }
    }
    loop {
        let mut changed = false;
        links.retain(|(link, inner)| {
            let from = layout.output_processing[link.from.element][link.from.port];
            let to = layout.input_processing[link.to.element][link.to.port];
            match (from, to) {
                (from, to) if from == to => {}
                (_, Processing::Agnostic) => {
                    layout.input_processing[link.to.element][link.to.port] = from;
                    changed = true;
                }
                (Processing::Agnostic, _) => {
                    layout.output_processing[link.from.element][link.from.port] = to;
                    changed = true;
                }
                _ => {
                    report.error(&mismatch(graph, *link, *inner, from));
                    return false;
                }
            }
            true
        });
        if !changed {
            return;
        }
    }
}

fn mismatch(graph: &Graph, link: Connection, inner: bool, from: Processing) -> String {
    let (first, second) =
        if from == Processing::Push { ("push", "pull") } else { ("pull", "push") };
    let (source, destination) =
        (described(graph, link.from.element), described(graph, link.to.element));
    let (output, input) = (link.from.port, link.to.port);
    if inner {
        format!(
            "agnostic '{source}' in mixed context: {second} input {input}, {first} output {output}"
        )
    } else {
        format!(
            "'{source}' {first} output {output} connected to '{destination}' {second} input {input}"
        )
    }
}

fn completeness(graph: &Graph, layout: &Layout, report: &mut Report) {
    let sides = [
        (false, "input", &layout.inputs, &layout.input_processing),
        (true, "output", &layout.outputs, &layout.output_processing),
    ];
    for (output, kind, counts, processing) in sides {
        let mut uses: Vec<Vec<usize>> = counts.iter().map(|&count| alloc::vec![0; count]).collect();
        for link in &layout.connections {
            let port = if output { link.from } else { link.to };
            uses[port.element][port.port] += 1;
        }
        let each = || {
            uses.iter().enumerate().flat_map(|(element, ports)| {
                ports.iter().enumerate().map(move |(port, &uses)| (element, port, uses))
            })
        };
        for (element, port, uses) in each() {
            let passive = if output { Processing::Pull } else { Processing::Push };
            // Ports that could be either push.
            let agnostic = processing[element][port] == Processing::Agnostic;
            if uses > 1 && processing[element][port] != passive && (output || !agnostic) {
                let way = if output { "push" } else { "pull" };
                let name = described(graph, element);
                let text = format!("illegal reuse of '{name}' {way} {kind} {port}");
                for _ in 1..uses {
                    report.error_at(&graph.elements[element].landmark, &text);
                }
            }
        }
    }
    for (output, kind, counts, ..) in sides {
        let mut used: Vec<Vec<bool>> = counts.iter().map(|&n| alloc::vec![false; n]).collect();
        for link in &layout.connections {
            let port = if output { link.from } else { link.to };
            used[port.element][port.port] = true;
        }
        for (element, ports) in used.iter().enumerate() {
            for (port, used) in ports.iter().enumerate() {
                if !used {
                    let name = described(graph, element);
                    let text = format!("'{name}' {kind} {port} unused");
                    report.error_at(&graph.elements[element].landmark, &text);
                }
            }
        }
    }
}
