//! The tools around configurations: `click-flatten`, `click-check`, `click-pretty` and
//! `click-buildtool`.

use std::io::Write;

use click_elements::CLASSES;
use click_language::{Graph, Mode, Options, Report, parse, text};
use click_runtime::{Router, RouterOptions};

use crate::driver::VERSION;
use crate::files::{Shelf, path, read_configuration};
use crate::host::{ProcessHost, reason};
use crate::options::{self, Argument, Known, Takes, known};

mod handlers;
mod page;

pub use handlers::{read, write};

const LIST: &[Known] = &[
    known("file", 'f', Takes::Value),
    known("expression", 'e', Takes::Value),
    known("output", 'o', Takes::Value),
    known("clickpath", 'C', Takes::Value),
    known("config", 'c', Takes::Nothing),
    known("config-only", ' ', Takes::Nothing),
    known("no-line-directives", ' ', Takes::Nothing),
    known("declarations", 'd', Takes::Nothing),
    known("classes", ' ', Takes::Nothing),
    known("filter", ' ', Takes::Value),
    known("userlevel", 'u', Takes::Nothing),
    known("quiet", 'q', Takes::Nothing),
    known("help", ' ', Takes::Nothing),
    known("version", 'v', Takes::Nothing),
];

struct Input {
    text: String,
    file: String,
    output: Option<String>,
    declarations: bool,
    classes: bool,
    clickpath: Option<String>,
}

/// Reads the command line and the configuration of a tool.
fn input(program: &str, arguments: &[String]) -> Result<Input, u8> {
    let fail = |error: String| {
        eprintln!("{program}: {error}");
        1
    };
    let mut source: Option<(String, bool)> = None;
    let mut input = Input {
        text: String::new(),
        file: String::new(),
        output: None,
        declarations: false,
        classes: false,
        clickpath: None,
    };
    for argument in options::parse(arguments, LIST).map_err(fail)? {
        match argument {
            Argument::Plain(file) => source = Some((file, false)),
            Argument::Option(index, value, _) => {
                let value = value.unwrap_or_default();
                match LIST[index].long {
                    "file" => source = Some((value, false)),
                    "expression" => source = Some((value, true)),
                    "output" => input.output = Some(value),
                    "clickpath" => input.clickpath = Some(value),
                    "declarations" => input.declarations = true,
                    "classes" => input.classes = true,
                    "help" => {
                        println!("Usage: {program} [-f FILE | -e TEXT] [-o FILE] [ROUTERFILE]");
                        return Err(0);
                    }
                    "version" => {
                        println!("{program} (drupe {}) {VERSION}", env!("CARGO_PKG_VERSION"));
                        return Err(0);
                    }
                    _ => {}
                }
            }
        }
    }
    (input.text, input.file) = match source {
        Some((text, true)) => (text, "config".into()),
        Some((file, false)) => read_configuration(Some(&file)).map_err(fail)?,
        None => read_configuration(None).map_err(fail)?,
    };
    Ok(input)
}

fn print_lines(report: &mut Report) {
    for line in report.take_lines(true) {
        let mut bytes = text::to_bytes(&line);
        bytes.push(b'\n');
        // Nobody to tell if standard error is gone.
        let _ = std::io::stderr().write_all(&bytes);
    }
}

fn read_graph(input: &Input, report: &mut Report) -> Graph {
    let mut shelf = Shelf::new(input.clickpath.clone());
    let options = Options { mode: Mode::Tool, parameters: &[], libraries: Some(&mut shelf) };
    parse(&input.text, &input.file, options, report)
}

fn emit(output: Option<&str>, content: &str) -> u8 {
    let bytes = text::to_bytes(content);
    let result = match output {
        None | Some("-") => std::io::stdout().write_all(&bytes),
        Some(file) => std::fs::write(path(file), bytes),
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{}: {}", output.unwrap_or("<stdout>"), reason(&error));
            1
        }
    }
}

/// `click-flatten`: compounds and groups expanded.
pub fn flatten(arguments: &[String]) -> u8 {
    let input = match input("click-flatten", arguments) {
        Ok(input) => input,
        Err(status) => return status,
    };
    let mut report = Report::new();
    let graph = read_graph(&input, &mut report);
    print_lines(&mut report);
    if report.errors() > 0 {
        return 1;
    }
    let content = if input.classes {
        let mut classes: Vec<&str> =
            graph.elements.iter().map(|element| element.class.as_str()).collect();
        classes.sort_unstable();
        classes.dedup();
        classes.iter().map(|class| format!("{class}\n")).collect()
    } else if input.declarations {
        graph
            .elements
            .iter()
            .map(|element| {
                format!("{} :: {}({});\n", element.name, element.class, element.configuration)
            })
            .collect()
    } else {
        graph.unparse()
    };
    emit(input.output.as_deref(), &content)
}

/// `click-check`: whether a driver would take the configuration.
pub fn check(arguments: &[String]) -> u8 {
    let input = match input("click-check", arguments) {
        Ok(input) => input,
        Err(status) => return status,
    };
    let mut report = Report::new();
    let graph = read_graph(&input, &mut report);
    let missing: Vec<_> = graph
        .elements
        .iter()
        .filter(|element| !CLASSES.iter().any(|class| class.name == element.class))
        .collect();
    for element in &missing {
        let text = format!("unknown element class '{}'", element.class);
        report.warning_at(&element.landmark, &text);
    }
    check_requirements(&graph, &input.file, &mut report);
    let fine = report.errors() == 0;
    if fine && missing.is_empty() {
        let options = RouterOptions {
            replaces: false,
            classes: CLASSES,
            simulated: None,
            reconfigurable: false,
            burst: 1,
            threads: 1,
            version: VERSION,
            extra: Vec::new(),
        };
        Router::check(&graph, options, &mut ProcessHost::new(), &mut report);
    }
    print_lines(&mut report);
    if report.errors() > 0 {
        return 1;
    }
    match &input.output {
        Some(output) => emit(Some(output), &input.text),
        None => 0,
    }
}

/// `click-pretty`: the configuration as a page with its graph.
pub fn pretty(arguments: &[String]) -> u8 {
    let input = match input("click-pretty", arguments) {
        Ok(input) => input,
        Err(status) => return status,
    };
    let mut report = Report::new();
    let graph = read_graph(&input, &mut report);
    print_lines(&mut report);
    let status = emit(input.output.as_deref(), &page::html(&graph, &input.file));
    if report.errors() > 0 { 1 } else { status }
}

/// The reference of the elements, or of those that are named.
pub fn elements(arguments: &[String]) -> u8 {
    if let Some(unknown) =
        arguments.iter().find(|name| !CLASSES.iter().any(|class| class.name == **name))
    {
        eprintln!(
            "click-elements: unknown element class '{unknown}'; without a name all are shown"
        );
        return 1;
    }
    let shown = |class: &str| arguments.is_empty() || arguments.iter().any(|name| name == class);
    emit(None, &click_elements::documentation::markdown(&shown))
}

/// Features of the driver that scripts ask for besides element classes.
const FEATURES: &[&str] = &["userlevel", "umultithread", "int64", "ip6"];

/// Whether a feature or element class of this name is there.
fn is_provided(name: &str) -> bool {
    FEATURES.contains(&name) || CLASSES.iter().any(|class| class.name == name)
}

/// Complains about packages that a configuration requires and that are not there.
pub fn check_requirements(graph: &Graph, file: &str, report: &mut Report) {
    for (kind, name) in &graph.requirements {
        if kind == "package" && !is_provided(name) {
            report.error(&format!(
                "{file}: required package '{name}' is not there; all elements are built in, and \
                 packages cannot be loaded"
            ));
        }
    }
}

/// `click-buildtool`: `provides NAME...` says by its status whether all of them are there.
pub fn buildtool(arguments: &[String]) -> u8 {
    match arguments.split_first() {
        Some((first, names)) if first == "provides" => {
            u8::from(!names.iter().all(|name| is_provided(name)))
        }
        _ => {
            eprintln!("Usage: click-buildtool provides NAME...");
            1
        }
    }
}
