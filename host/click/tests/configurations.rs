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
fn packages_that_are_not_there_are_told() {
    let (status, _, messages) = click(&["run", "-e", "require(package wireless); Idle -> Discard"]);
    assert_ne!(status, 0);
    assert!(messages.contains("required package 'wireless'"), "{messages}");
    let text = "require(package userlevel); InfiniteSource(LIMIT 1, STOP true) -> Discard";
    run(text, &[]);
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

#[test]
fn captures_are_written_and_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.pcap").display().to_string();
    let text = format!(
        "InfiniteSource(LENGTH 20, LIMIT 5, STOP true) -> UDPIPEncap(10.0.0.1, 1, 10.0.0.2, 2)
         -> EtherEncap(0x0800, 2:0:0:0:0:1, 2:0:0:0:0:2) -> SetTimestamp(12.5) -> ToDump({file})"
    );
    run(&text, &[]);
    let bytes = std::fs::read(&file).expect("a capture");
    assert_eq!(bytes.len(), 24 + 5 * (16 + 62));
    let text = format!(
        "FromDump({file}, STOP true, FORCE_IP true)
         -> ToIPSummaryDump(-, HEADER false, FIELDS timestamp src dport)"
    );
    assert_eq!(run(&text, &[]).0, "12.500000 10.0.0.1 2\n".repeat(5));
    // A file that ends in the middle gives what is whole.
    std::fs::write(&file, &bytes[..bytes.len() - 1]).expect("a shorter capture");
    let text = format!("FromDump({file}, STOP true) -> c :: Counter -> Discard");
    let (output, messages) = run(&text, &["-h", "c.count"]);
    assert_eq!(output, "4\n");
    assert!(messages.contains("ends within a packet"), "{messages}");
}

#[test]
fn a_capture_that_is_none_is_refused() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let text = format!("FromDump({file}) -> Discard");
    let (status, _, messages) = click(&["run", "-e", &text]);
    assert_ne!(status, 0);
    assert!(messages.contains("bad magic number"), "{messages}");
}

/// Lines of a dump of TCP packets go through a configuration; gives what comes out.
fn dump(fields: &str, lines: &[&str], path: &str) -> Vec<String> {
    let data = format!("!data {fields}\n{}\n", lines.join("\n"));
    let text = format!(
        "FromIPSummaryDump(DATA {}, STOP true, CHECKSUM true) -> CheckIPHeader -> CheckTCPHeader
         -> {path} -> CheckIPHeader -> CheckTCPHeader
         -> ToIPSummaryDump(-, HEADER false, FIELDS {fields})",
        quote(&data)
    );
    run(&text, &[]).0.lines().map(str::to_owned).collect()
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$"))
}

#[test]
fn ftp_commands_and_sequence_numbers_follow_the_translation() {
    let out = dump(
        "src sport dst dport proto tcp_seq tcp_ack payload tcp_opt",
        &[
            r#"10.0.0.2 4000 192.0.2.1 21 T 100 0 "USER x\r\n" ."#,
            r#"10.0.0.2 4000 192.0.2.1 21 T 108 0 "PORT 10,0,0,2,200,201\r\n" ."#,
            r#"10.0.0.2 4000 192.0.2.1 21 T 131 0 "LIST\r\n" ."#,
            r#"192.0.2.1 21 198.51.100.99 5000 T 7 134 "" sack108-134"#,
            r#"192.0.2.1 21 198.51.100.99 5000 T 7 108 "" ."#,
        ],
        "FTPPortMapper(rw, rw, 0)
         -> rw :: TCPRewriter(pattern 198.51.100.99 5000-6000# - - 0 0)",
    );
    let wanted = [
        r#"198.51.100.99 5000 192.0.2.1 21 T 100 0 "USER x\r\n" ."#,
        r#"198.51.100.99 5000 192.0.2.1 21 T 108 0 "PORT 198,51,100,99,19,137\r\n" ."#,
        r#"198.51.100.99 5000 192.0.2.1 21 T 135 0 "LIST\r\n" ."#,
        r#"192.0.2.1 21 10.0.0.2 4000 T 7 134 "" sack108-134"#,
        r#"192.0.2.1 21 10.0.0.2 4000 T 7 108 "" ."#,
    ];
    assert_eq!(out, wanted);
}

#[test]
fn flows_are_numbered_with_their_fragments() {
    let out = dump_flows(&[
        "10.0.0.1 5 10.0.0.2 80 U 1 0 100",
        "10.0.0.2 80 10.0.0.1 5 U 2 0 100",
        // The second fragment waits for the first; what is behind it waits, too.
        "10.0.0.2 0 10.0.0.1 0 U 3 24 60",
        "10.0.0.1 6 10.0.0.2 80 U 4 0 100",
        "10.0.0.9 1 10.0.0.2 80 U 5 0 100",
        "10.0.0.2 80 10.0.0.1 5 U 3 0+ 44",
    ]);
    // Number, direction, identifier.
    assert_eq!(out, ["1 0 1", "1 1 2", "2 0 5", "1 1 3", "3 0 4", "1 1 3"]);
}

fn dump_flows(lines: &[&str]) -> Vec<String> {
    let data =
        format!("!data src sport dst dport proto ip_id ip_fragoff ip_len\n{}\n", lines.join("\n"));
    let text = format!(
        "FromIPSummaryDump(DATA {}, STOP true) -> SetTimestamp -> a :: AggregateIPFlows
         -> ToIPSummaryDump(-, HEADER false, FIELDS aggregate link ip_id)",
        quote(&data)
    );
    run(&text, &[]).0.lines().map(str::to_owned).collect()
}

#[test]
fn rules_of_a_filter_count_in_order() {
    let rules: Vec<String> = (0..150)
        .map(|at| format!("{} src host 10.0.{}.{} && udp", at % 3, at / 50, at % 50))
        .collect();
    let text = format!(
        "f :: IPFilter(deny dst port 7, {}, 3 udp, allow all);
         InfiniteSource(LENGTH 20, LIMIT 1) -> UDPIPEncap(10.0.2.49, 1, 10.9.9.9, 2) -> f;
         InfiniteSource(LENGTH 20, LIMIT 2) -> UDPIPEncap(10.0.2.50, 1, 10.9.9.9, 2) -> f;
         InfiniteSource(LENGTH 20, LIMIT 4) -> UDPIPEncap(10.0.2.49, 1, 10.9.9.9, 7) -> f;
         f[0] -> a :: Counter -> Discard; f[1] -> b :: Counter -> Discard;
         f[2] -> c :: Counter -> Discard; f[3] -> d :: Counter -> Discard;
         DriverManager(wait 1s)",
        rules.join(", ")
    );
    let (output, _) = run(&text, &["-h", "*.count"]);
    let count = |name: &str| {
        let rest = output.split(&format!("{name}.count:\n")).nth(1).unwrap_or_default();
        rest.lines().next().unwrap_or_default().to_owned()
    };
    // The hundred and fiftieth rule leads to output 149 % 3.
    assert_eq!(["a", "b", "c", "d"].map(count), ["0", "0", "1", "2"], "{output}");
}

#[test]
fn packets_in_a_circle_do_not_keep_a_router_from_ending() {
    use std::io::{BufRead, BufReader};
    let text = "Script(print \"going\"); InfiniteSource(LIMIT 1) -> n :: Null -> n";
    let mut child = Command::new(env!("CARGO_BIN_EXE_drupe-click"))
        .args(["run", "-e", text])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut line).expect("a line");
    assert_eq!(line, "going\n");
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("a signal");
    let status = child.wait().expect("its end");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn handlers_of_a_running_router_are_read_and_written() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("control").display().to_string();
    let text = "c :: Counter; Idle -> c -> Discard; s :: Script(TYPE PASSIVE, return 42);
        Script(print \"ready\")";
    let mut child = Command::new(env!("CARGO_BIN_EXE_drupe-click"))
        .args(["run", "-u", &socket, "-e", text])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let output = child.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut String::new()).expect("a line");
    let (status, output, _) = click(&["read", "-u", &socket, "c.count", "s.run"]);
    assert_eq!((status, output.as_str()), (0, "c.count:\n0\ns.run:\n42\n"));
    let (status, _, messages) = click(&["write", "-u", &socket, "c.nothing", "1"]);
    assert_eq!(status, 1);
    assert!(messages.contains("c.nothing"), "{messages}");
    let (status, ..) = click(&["write", "-u", &socket, "stop", "1"]);
    assert_eq!(status, 0);
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    let (status, _, messages) = click(&["read", "-u", &socket, "list"]);
    assert_eq!(status, 1);
    assert!(messages.contains("is a router running"), "{messages}");
}

#[test]
fn parts_of_a_configuration_run_on_threads_of_their_own() {
    let text = "a :: InfiniteSource(LIMIT 100000, END_CALL stop) -> ca :: Counter -> Discard;
        b :: InfiniteSource(LIMIT 200000, END_CALL stop) -> cb :: Counter -> Discard;
        StaticThreadSched(a 0, b 1); DriverManager(wait_stop, wait_stop)";
    let arguments = ["run", "-j", "2", "-e", text, "-h", "ca.count", "-h", "cb.count"];
    let (status, output, messages) = click(&arguments);
    assert_eq!((status, messages.as_str()), (0, ""));
    assert_eq!(output, "ca.count:\n100000\n\ncb.count:\n200000\n\n");
    // Only the other thread has work.
    let text = "Idle -> Discard; b :: RatedSource(RATE 1000, LIMIT 5, STOP true) -> c :: Counter
        -> Discard; StaticThreadSched(b 1)";
    let (status, output, _) = click(&["run", "-j", "2", "-e", text, "-h", "c.count"]);
    assert_eq!((status, output.as_str()), (0, "5\n"));
    // An element that knows both keeps them on one thread.
    let text = "a :: Idle -> ca :: Counter -> Discard; b :: Idle -> cb :: Counter -> Discard;
        Script(print $(ca.count) $(cb.count), stop); StaticThreadSched(a 0, b 1)";
    let (status, output, messages) = click(&["run", "-j", "2", "-e", text]);
    assert_eq!((status, output.as_str()), (0, "0 0\n"));
    assert!(messages.contains("runs there, not on thread 1"), "{messages}");
}
