//! `click`: runs a router configuration.

use std::io::Write;
use std::time::Instant;

use click_elements::CLASSES;
use click_language::{Mode, Options, Report, config, parse, text, value};
use click_runtime::{Outcome, Router, RouterOptions};

use crate::files::{Shelf, path, read_configuration};
use crate::host::{ProcessHost, reason};
use crate::options::{self, Argument, Known, Takes, known, negatable};
use crate::threads::{self, Part};
use crate::tools;

const LIST: &[Known] = &[
    known("file", 'f', Takes::Value),
    known("expression", 'e', Takes::Value),
    known("port", 'p', Takes::Value),
    known("unix-socket", 'u', Takes::Value),
    known("socket", ' ', Takes::Value),
    negatable("allow-reconfigure", 'R', Takes::Nothing),
    known("handler", 'h', Takes::Value),
    known("exit-handler", 'x', Takes::Value),
    known("output", 'o', Takes::Value),
    known("quit", 'q', Takes::Nothing),
    known("time", 't', Takes::Nothing),
    negatable("warnings", ' ', Takes::Nothing),
    negatable("no-warnings", 'w', Takes::Nothing),
    known("simtime", ' ', Takes::Optional),
    known("simulation-time", ' ', Takes::Optional),
    known("clickpath", 'C', Takes::Value),
    known("threads", 'j', Takes::Value),
    negatable("cpu", ' ', Takes::Optional),
    negatable("affinity", 'a', Takes::Optional),
    known("help", ' ', Takes::Nothing),
    known("version", 'v', Takes::Nothing),
    known("batch", ' ', Takes::Value),
];

/// The version of Click whose behaviour this is.
pub const VERSION: &str = "2.1";

const HELP: &str = "\
Runs a Click router configuration until it stops or is interrupted.

Usage: click [OPTION]... [NAME=VALUE]... [ROUTERFILE]

  -f, --file FILE               Read the configuration from FILE (default: standard input).
  -e, --expression TEXT         Use TEXT as the configuration.
  -j, --threads N               Threads that elements may be assigned to (default 1).
  -a, --affinity[=N]            Bind the process to CPU N (default 0).
  -p, --port PORT               Listen for control connections on a TCP port.
  -u, --unix-socket FILE        Listen for control connections on a Unix socket.
  -R, --allow-reconfigure       Let the 'hotconfig' handler replace the configuration.
  -h, --handler ELEMENT.H       Print read handler H of ELEMENT after the run.
  -x, --exit-handler ELEMENT.H  Exit with the value of handler H of ELEMENT.
  -o, --output FILE             Write the flat configuration to FILE.
  -q, --quit                    Do not run the router.
  -t, --time                    Print how long the run took.
  -w, --no-warnings             Print no warnings.
      --simtime[=TIME]          Run in simulated time.
      --batch N                 Move at most N packets at once (default 64).
  -C, --clickpath PATH          Look for libraries along PATH.
      --help                    Print this and exit.
  -v, --version                 Print the version and exit.
";

/// What the command line asks for.
struct Settings {
    source: Option<(String, bool)>,
    parameters: Vec<(String, String)>,
    output: Option<String>,
    handlers: Vec<String>,
    exit_handler: Option<String>,
    sockets: Vec<String>,
    quit: bool,
    time: bool,
    warnings: bool,
    reconfigurable: bool,
    simulated: Option<i64>,
    threads: u32,
    affinity: Option<usize>,
    clickpath: Option<String>,
    batch: usize,
}

enum Reading {
    Run(Box<Settings>),
    Exit(u8),
}

fn complain(text: &str) -> u8 {
    eprintln!("click: {text}");
    eprintln!("Usage: click [OPTION]... [ROUTERFILE]\nTry 'click --help' for more information.");
    1
}

fn read_settings(arguments: &[String]) -> Result<Reading, String> {
    let mut settings = Settings {
        source: None,
        parameters: Vec::new(),
        output: None,
        handlers: Vec::new(),
        exit_handler: None,
        sockets: Vec::new(),
        quit: false,
        time: false,
        warnings: true,
        reconfigurable: false,
        simulated: None,
        threads: 1,
        affinity: None,
        clickpath: None,
        batch: 64,
    };
    for argument in options::parse(arguments, LIST)? {
        let (index, given, negated) = match argument {
            Argument::Plain(text) => {
                match text.split_once('=') {
                    Some((name, value)) if !name.is_empty() && name.chars().all(text::is_name) => {
                        settings.parameters.push((name.into(), value.into()));
                    }
                    _ => settings.set_source(text, false)?,
                }
                continue;
            }
            Argument::Option(index, given, negated) => (index, given, negated),
        };
        let value = given.clone().unwrap_or_default();
        let number =
            || value::integer(&value).ok_or_else(|| format!("'{value}' is not an integer"));
        match LIST[index].long {
            "file" => settings.set_source(value, false)?,
            "expression" => settings.set_source(value, true)?,
            "port" => {
                let digits = value.strip_suffix('+').unwrap_or(&value);
                if !digits.parse::<u16>().is_ok_and(|port| port > 0) {
                    return Err(format!("'-p' expects a TCP port number, not '{value}'"));
                }
                settings.sockets.push(format!("TCP, {value}"));
            }
            "unix-socket" => settings.sockets.push(format!("UNIX, {value}")),
            "socket" => return Err("'--socket' is not supported".into()),
            "allow-reconfigure" => settings.reconfigurable = !negated,
            "handler" => settings.handlers.push(value),
            "exit-handler" if settings.exit_handler.is_some() => {
                return Err("--exit-handler specified twice".into());
            }
            "exit-handler" => settings.exit_handler = Some(value),
            "output" if settings.output.is_some() => {
                return Err("output file specified twice".into());
            }
            "output" => settings.output = Some(value),
            "quit" => settings.quit = true,
            "time" => settings.time = true,
            "warnings" => settings.warnings = !negated,
            "no-warnings" => settings.warnings = negated,
            "simtime" | "simulation-time" => {
                let start = given.unwrap_or_else(|| "1000000000".into());
                let start = value::scaled(&start, 9).ok_or("'--simtime' expects a time")?;
                settings.simulated = Some(start);
            }
            "clickpath" => settings.clickpath = Some(value),
            "threads" => settings.threads = u32::try_from(number()?.max(1)).unwrap_or(1),
            "cpu" | "affinity" => {
                settings.affinity = match given {
                    _ if negated => None,
                    None => Some(0),
                    Some(_) => usize::try_from(number()?).ok(),
                };
            }
            "batch" => settings.batch = usize::try_from(number()?.clamp(1, 1024)).unwrap_or(1),
            "help" => {
                print!("{HELP}");
                return Ok(Reading::Exit(0));
            }
            _ => {
                println!("click (drupe {}) {VERSION}", env!("CARGO_PKG_VERSION"));
                return Ok(Reading::Exit(0));
            }
        }
    }
    Ok(Reading::Run(Box::new(settings)))
}

impl Settings {
    fn set_source(&mut self, text: String, is_text: bool) -> Result<(), String> {
        if self.source.is_some() {
            return Err("router configuration specified twice".into());
        }
        self.source = Some((text, is_text));
        Ok(())
    }
}

pub fn main(arguments: &[String]) -> u8 {
    match read_settings(arguments) {
        Ok(Reading::Run(settings)) => run(*settings),
        Ok(Reading::Exit(status)) => status,
        Err(error) => complain(&error),
    }
}

fn print_lines(report: &mut Report, settings: &Settings) {
    for line in report.take_lines(settings.warnings) {
        let mut bytes = text::to_bytes(&line);
        bytes.push(b'\n');
        // Nobody to tell if standard error is gone.
        let _ = std::io::stderr().write_all(&bytes);
    }
}

fn run(settings: Settings) -> u8 {
    let (text, file) = match &settings.source {
        Some((text, true)) => (text.clone(), "config".to_owned()),
        other => match read_configuration(other.as_ref().map(|(file, _)| file.as_str())) {
            Ok(found) => found,
            Err(error) => {
                eprintln!("{error}");
                return 1;
            }
        },
    };
    let mut report = Report::new();
    let Some((mut parts, flat)) = build(&text, &file, &settings, &mut report) else {
        print_lines(&mut report, &settings);
        return 1;
    };
    print_lines(&mut report, &settings);
    let mut status = 0;
    if let Some(output) = &settings.output {
        status = write_flat(&flat, output);
    }
    let (started, before) = (Instant::now(), processor_time());
    if !settings.quit && parts.iter().any(|part| !part.router.is_empty()) {
        let first = parts.remove(0);
        parts = threads::run(first, parts, |part| drive(part, &settings));
    } else if !settings.quit && settings.warnings {
        eprintln!("{file}: warning: configuration has no elements, exiting");
    }
    if settings.time {
        report_time(started, before);
    }
    if !print_handlers(&mut parts, &settings.handlers) {
        status = 1;
    }
    if let Some(handler) = &settings.exit_handler {
        status = exit_status(&mut parts, handler);
    }
    for part in &mut parts {
        part.router.cleanup(&mut part.host);
        part.host.flush();
    }
    status
}

/// Builds the routers, one per thread, and the flat configuration.
fn build(
    text: &str,
    file: &str,
    settings: &Settings,
    report: &mut Report,
) -> Option<(Vec<Part>, String)> {
    let known = |name: &str| CLASSES.iter().any(|class| class.name == name);
    let mut shelf = Shelf::new(settings.clickpath.clone());
    let options = Options {
        mode: Mode::Driver(&known),
        parameters: &settings.parameters,
        libraries: Some(&mut shelf),
    };
    let graph = parse(text, file, options, report);
    tools::check_requirements(&graph, file, report);
    if report.errors() > 0 {
        return None;
    }
    let name = |at: usize| match at {
        0 => "click_driver@@ControlSocket".to_owned(),
        at => format!("click_driver@@ControlSocket@{at}"),
    };
    let sockets = settings.sockets.iter().enumerate();
    let extra =
        sockets.map(|(at, text)| (name(at), "ControlSocket".into(), text.clone())).collect();
    let options = RouterOptions {
        classes: CLASSES,
        replaces: false,
        simulated: settings.simulated,
        reconfigurable: settings.reconfigurable,
        burst: settings.batch,
        threads: settings.threads,
        version: VERSION,
        extra,
    };
    let flat = graph.unparse();
    // Simulated time is one for all.
    let threads = if settings.simulated.is_some() { 1 } else { settings.threads };
    let mut warnings = Vec::new();
    let graphs =
        if threads > 1 { threads::divide(&graph, threads, &mut warnings) } else { vec![graph] };
    if graphs.len() > 1 && settings.reconfigurable {
        warnings.push("warning: on several threads a configuration cannot be replaced".into());
    }
    let single = graphs.len() == 1;
    let mut parts = Vec::new();
    for (number, graph) in graphs.into_iter().enumerate() {
        let mut options = options.clone();
        options.reconfigurable &= single;
        if number > 0 {
            options.extra.clear();
        }
        let mut host = ProcessHost::new();
        let router = Router::build(graph, text, options, &mut host, report)?;
        parts.push(Part { router, host });
    }
    for warning in warnings.iter().filter(|_| settings.warnings) {
        eprintln!("{file}: {warning}");
    }
    Some((parts, flat))
}

/// Runs the router, and those that replace it, to the end.
fn drive(part: Part, settings: &Settings) -> Part {
    let Part { mut router, mut host } = part;
    if let Some(cpu) = settings.affinity {
        let mut set = rustix::thread::CpuSet::new();
        set.set(cpu);
        if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
            eprintln!("click: warning: cannot bind to CPU {cpu}: {error}");
        }
    }
    // Interrupts end the run in order, so that handlers can still be printed.
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        host.end_on(signal);
    }
    loop {
        match router.run(&mut host) {
            Outcome::Replaced => {
                if let Some(next) = router.replacement(&mut host) {
                    router = next;
                }
            }
            _ => return Part { router, host },
        }
    }
}

fn write_flat(flat: &str, output: &str) -> u8 {
    let bytes = text::to_bytes(flat);
    let result = if output == "-" {
        std::io::stdout().write_all(&bytes)
    } else {
        std::fs::write(path(output), bytes)
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{output}: {}", reason(&error));
            1
        }
    }
}

/// User and system time of the process so far, in seconds.
fn processor_time() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may hold anything; fields count after it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let mut times = fields.split_whitespace().skip(11).map(|field| field.parse().unwrap_or(0.0));
    let mut next = || times.next().unwrap_or(0.0) / ticks;
    (next(), next())
}

fn report_time(started: Instant, before: (f64, f64)) {
    let after = processor_time();
    let elapsed = started.elapsed().as_secs_f64();
    println!(
        "{:.3}u {:.3}s {}:{:05.2}",
        after.0 - before.0,
        after.1 - before.1,
        elapsed as u64 / 60,
        elapsed % 60.0
    );
}

/// Elements that `pattern` means: one by name, several by pattern or class.
fn matching(router: &Router, pattern: &str) -> Vec<usize> {
    if let Some(element) = router.find(pattern) {
        return vec![element];
    }
    let is_pattern = pattern.contains(['?', '*', '[']);
    (0..router.len())
        .filter(|&element| {
            if is_pattern {
                text::glob_match(router.name(element), pattern)
            } else {
                router.class(element).name == pattern
            }
        })
        .collect()
}

fn print_handlers(parts: &mut [Part], handlers: &[String]) -> bool {
    let mut fine = true;
    for handler in handlers {
        let several = handlers.len() > 1;
        let Some((pattern, name)) = handler.split_once('.') else {
            let Part { router, host } = &mut parts[0];
            fine &= print_handler(router, None, handler, several, host);
            continue;
        };
        let mut found = false;
        for Part { router, host } in parts.iter_mut() {
            let exact = router.find(pattern).is_some();
            for element in matching(router, pattern) {
                // Those that each thread has are shown once.
                if exact && found {
                    continue;
                }
                found = true;
                let readable = router.handler(Some(element), name).is_some_and(|known| known.read);
                if exact || readable {
                    let named = several || !exact;
                    fine &= print_handler(router, Some(element), name, named, host);
                }
            }
        }
        if !found {
            let what = if pattern.contains(['?', '*', '[']) { "matching " } else { "" };
            eprintln!("no element {what}'{pattern}'");
            fine = false;
        }
    }
    fine
}

fn print_handler(
    router: &mut Router,
    element: Option<usize>,
    name: &str,
    named: bool,
    host: &mut ProcessHost,
) -> bool {
    let full = match element {
        Some(element) => format!("{}.{name}", router.name(element)),
        None => name.to_owned(),
    };
    let handler = match router.handler(element, name) {
        None => {
            eprintln!("no '{full}' handler");
            return false;
        }
        Some(handler) if !handler.read || handler.private => {
            eprintln!("'{full}' is a write handler");
            return false;
        }
        Some(handler) => handler,
    };
    let answer = router.read_handler(element, name, "", host);
    host.flush();
    let mut result = match answer {
        Ok(result) => result,
        Err(error) => {
            eprintln!("{error}");
            return false;
        }
    };
    if !handler.raw && !result.is_empty() && !result.ends_with('\n') {
        result.push('\n');
    }
    let text = if named { format!("{full}:\n{result}\n") } else { result };
    let _ = std::io::stdout().write_all(&text::to_bytes(&text));
    true
}

fn exit_status(parts: &mut [Part], handler: &str) -> u8 {
    let mut value = handler.to_owned();
    let name = config::shift_word(&mut value);
    let has = |part: &Part| part.router.resolve_call(None, &name, value.clone(), false).is_ok();
    let number = parts.iter().position(has).unwrap_or(0);
    let Part { router, host } = &mut parts[number];
    let answer = router
        .resolve_call(None, &name, value, false)
        .and_then(|call| router.read_handler(call.element, &call.handler, &call.value, host));
    match answer {
        Err(error) => {
            eprintln!("{error}");
            255
        }
        Ok(answer) => {
            let answer = config::uncomment(&answer);
            match (value::integer(&answer), value::boolean(&answer)) {
                (Some(number), _) => number as u8,
                (None, Some(fine)) => u8::from(!fine),
                _ => {
                    eprintln!("exit handler value should be integer");
                    255
                }
            }
        }
    }
}
