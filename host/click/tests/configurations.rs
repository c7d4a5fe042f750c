//! Whole configurations, run as a user would.

use std::process::{Command, Stdio};

/// Runs the program; gives status, output and messages.
fn click(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_drupe-click"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Runs a configuration in simulated time; it must succeed. Gives its output and messages.
fn run(configuration: &str, more: &[&str]) -> (String, String) {
    let mut arguments = vec!["run", "--simtime", "-e", configuration];
    arguments.extend_from_slice(more);
    let (status, output, messages) = click(&arguments);
    assert_eq!(status, 0, "{messages}");
    (output, messages)
}

#[test]
fn packets_are_counted() {
    let source = "InfiniteSource(LIMIT 1000, STOP true) -> c :: Counter -> Discard";
    assert_eq!(run(source, &["-h", "c.count"]).0, "1000\n");
}

#[test]
fn a_full_queue_drops() {
    let source =
        "RatedSource(RATE 1000, LIMIT 10) -> q :: Queue(4) -> Idle; DriverManager(wait 1s)";
    let (output, _) = run(source, &["-h", "q.length", "-h", "q.drops"]);
    assert_eq!(output, "q.length:\n4\n\nq.drops:\n6\n\n");
}

#[test]
fn errors_say_where() {
    let (status, _, messages) = click(&["run", "-e", "Idle ->\n  Nothing;"]);
    assert_ne!(status, 0);
    assert!(messages.starts_with("config:2: "), "{messages}");
}

#[test]
fn compound_elements_are_flattened() {
    let text =
        "elementclass E { $n | input -> Strip($n) -> output }; Idle -> e :: E(14) -> Discard;";
    let (status, output, _) = click(&["flatten", "-e", text]);
    assert_eq!(status, 0);
    assert!(output.contains("e/Strip@1 :: Strip(14);"), "{output}");
}

#[test]
fn classifiers_choose_outputs() {
    let frame = "\\<ffffffffffff 000102030405 0806 00010800>";
    let text = format!(
        "InfiniteSource(DATA {frame}, LIMIT 3, STOP true) -> c :: Classifier(12/0800, 12/0806, -);
         c[0] -> Discard; c[1] -> arp :: Counter -> Discard; c[2] -> Discard"
    );
    assert_eq!(run(&text, &["-h", "arp.count"]).0, "3\n");
}

#[test]
fn addresses_are_rewritten_and_checksums_kept() {
    let text = "InfiniteSource(LENGTH 20, LIMIT 1, STOP true)
        -> UDPIPEncap(10.0.0.1, 1000, 192.0.2.9, 53)
        -> rw :: IPRewriter(pattern 198.51.100.7 2000 - - 0 0)
        -> CheckUDPHeader -> CheckIPHeader -> IPPrint(out) -> Discard";
    let (_, messages) = run(text, &[]);
    assert!(messages.contains("198.51.100.7.2000 > 192.0.2.9.53"), "{messages}");
}

#[test]
fn a_querier_asks_and_then_sends() {
    let text = "InfiniteSource(LENGTH 20, LIMIT 2)
        -> UDPIPEncap(10.0.0.1, 1000, 10.0.0.2, 53)
        -> q :: ARPQuerier(10.0.0.1, 2:0:0:0:0:1) -> sent :: Counter -> Discard;
        q[1] -> ARPResponder(10.0.0.2 2:0:0:0:0:2) -> [1] q;
        DriverManager(wait 1s)";
    let (output, _) = run(text, &["-h", "sent.count", "-h", "q.queries"]);
    assert_eq!(output, "sent.count:\n2\n\nq.queries:\n1\n\n");
}

#[test]
fn scripts_wait_in_simulated_time() {
    let text = "Script(print \"a\", wait 3600s, print $(add 1 2), stop)";
    assert_eq!(run(text, &[]).0, "a\n3\n");
}

#[test]
fn a_router_is_replaced_while_it_runs() {
    let file = std::env::temp_dir().join(format!("drupe-click-{}.click", std::process::id()));
    let next = "c :: Counter; Idle -> c -> Discard; Script(print $(c.count), stop)";
    std::fs::write(&file, next).expect("the file is written");
    let text = format!(
        "c :: Counter; RatedSource(RATE 100) -> c -> Discard;
         Script(wait 0.105s, write hotconfig $(cat {}), wait 1s, stop)",
        file.display()
    );
    let (output, _) = run(&text, &["-R"]);
    std::fs::remove_file(&file).expect("the file is removed");
    let count: u32 = output.trim().parse().expect("a count");
    assert!((9..=12).contains(&count), "{count}");
}
