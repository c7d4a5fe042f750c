//! What is measured.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// A configuration to run.
pub struct Case {
    /// Name in the table.
    pub name: &'static str,
    /// Packets for ours; the peer gets fewer.
    pub packets: u64,
    /// How many times as fast as the peer ours shall be.
    pub goal: f64,
    /// Options for the program besides the configuration.
    pub options: &'static [&'static str],
    /// The configuration for a number of packets.
    pub text: Box<dyn Fn(u64) -> String>,
}

/// Two configurations of different size.
pub struct Scale {
    /// Name in the table.
    pub name: &'static str,
    /// The small one.
    pub small: Case,
    /// The large one.
    pub large: Case,
    /// How many times as fast the small one must be at least.
    pub least: f64,
    /// And may be at most.
    pub most: f64,
    /// Whether time on the wall counts, not that of the processors.
    pub wall: bool,
    /// What the large one has more of than the small one.
    pub items: f64,
    /// Bytes of memory for each of those.
    pub memory: Option<f64>,
}

/// A UDP packet from 10.0.0.2 port 5001 to 192.0.2.77 port 53 in an Ethernet frame of 64
/// bytes.
const FRAME: &str = "000000000002 000000000001 0800 \
    45000032 00000000 4011ae6c 0a000002 c000024d 13890035 001e0000 \
    00000000 00000000 00000000 00000000 00000000 0000";

fn source(packets: u64) -> String {
    format!("InfiniteSource(DATA \\<{FRAME}>, LIMIT {packets}, BURST 32, STOP true)")
}

fn case(name: &'static str, packets: u64, goal: f64, path: impl Into<String>) -> Case {
    let path = path.into();
    let text = Box::new(move |packets| format!("{} -> {path} -> Discard;\n", source(packets)));
    Case { name, packets, goal, options: &[], text }
}

/// An element with several outputs that all lead to the same sink.
fn spread(element: &str, outputs: usize) -> String {
    let mut text = format!("x :: {element};\nsink :: Null;\n");
    for output in 0..outputs {
        let _ = writeln!(text, "x[{output}] -> sink;");
    }
    text
}

/// A case whose last element has several outputs.
fn branching(
    name: &'static str,
    packets: u64,
    goal: f64,
    path: &'static str,
    (element, outputs): (String, usize),
) -> Case {
    let tail = spread(&element, outputs);
    let text = Box::new(move |packets| {
        format!("{tail}{} -> {path} -> x;\nsink -> Discard;\n", source(packets))
    });
    Case { name, packets, goal, options: &[], text }
}

/// Rules of a small firewall; the ninth is for the frame.
const RULES: [&str; 10] = [
    "tcp dst port 22",
    "src net 172.16.0.0/12 and dst port 80",
    "icmp type echo",
    "dst host 192.0.2.1 and udp dst port 123",
    "tcp dst port 80 or 443",
    "src host 10.9.9.9",
    "dst net 198.51.100.0/24 and udp",
    "udp src port 67 and dst port 68",
    "dst host 192.0.2.77 and udp dst port 53",
    "-",
];

/// A filter of that many rules of mixed kinds, of which the last is for the frame.
fn filter(rules: usize) -> String {
    let mut list = Vec::new();
    for at in 0..rules - 1 {
        let (high, low) = (at / 200 + 1, at % 200 + 1);
        list.push(match at % 5 {
            0 => format!("deny src host 172.20.{high}.{low}"),
            1 => format!("allow dst net 198.{high}.{low}.0/24 && tcp dst port {}", 1000 + at),
            2 => format!("deny src net 10.{high}.{low}.0/24 && dst host 192.0.2.{low}"),
            3 => format!("allow udp dst port {} && src net 172.{high}.0.0/16", 2000 + at),
            _ => format!("deny tcp && src host 10.{low}.{high}.1 && dst port {}", 3000 + at),
        });
    }
    list.push("allow dst host 192.0.2.77 && udp dst port 53".into());
    format!("IPFilter({})", list.join(", "))
}

/// Random numbers that are the same each time.
fn next(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as u32
}

/// Different routes below 10.0.0.0/8 and 64.0.0.0/2, most of them of 24 bits as in the
/// tables of backbones, and how many hops they may lead to.
fn routes(count: usize, gateways: u32) -> Vec<String> {
    let mut state = 1;
    let mut seen = std::collections::BTreeSet::new();
    let mut list = vec!["0.0.0.0/0 192.0.2.1 0".to_owned()];
    while list.len() < count {
        let length = match next(&mut state) % 20 {
            0 => 16,
            1 => 20,
            2 | 3 => 22,
            4 => 32,
            _ => 24,
        };
        let address = 0x4000_0000 | next(&mut state) >> 1 & 0x3fff_ffff;
        let network = address & (u32::MAX << (32 - length));
        if seen.insert((network, length)) {
            let [a, b, c, d] = network.to_be_bytes();
            let hop = next(&mut state) % gateways;
            let [e, f] = (hop as u16).to_be_bytes();
            list.push(format!("{a}.{b}.{c}.{d}/{length} 192.168.{e}.{f} {}", hop % 4));
        }
    }
    list
}

/// What is compared with the peer.
pub fn compared(conf: Option<&Path>) -> Result<Vec<Case>> {
    let ip = "Strip(14) -> CheckIPHeader";
    let nat = "rw :: IPRewriter(pattern 100.64.0.0-100.79.255.255# - - - 0 0)";
    let flows = "SetRandIPAddress(10.0.0.0/8, 10000) -> StoreIPAddress(src)";
    let thousand = || (format!("RadixIPLookup({})", routes(1000, 200).join(", ")), 4);
    let destinations = "Strip(14) -> SetRandIPAddress(64.0.0.0/2, 10000)";
    let mut list = vec![
        case("source, Discard", 60_000_000, 3.0, "Null"),
        case("Counter", 60_000_000, 3.0, "Counter"),
        case("Queue, Unqueue", 60_000_000, 3.0, "Queue -> Unqueue(32)"),
        case("10 x Null", 40_000_000, 3.0, ["Null"; 10].join(" -> ")),
        case("CheckIPHeader", 60_000_000, 3.0, ip),
        branching(
            "IPClassifier, 10 rules",
            20_000_000,
            3.0,
            "Strip(14) -> MarkIPHeader",
            (format!("IPClassifier({})", RULES.join(", ")), 10),
        ),
        branching(
            "IPFilter, 100 rules",
            15_000_000,
            3.0,
            "Strip(14) -> MarkIPHeader",
            (filter(100), 1),
        ),
        branching(
            "RadixIPLookup, 1000 routes",
            40_000_000,
            3.0,
            "Strip(14) -> SetIPAddress(64.1.2.3)",
            thousand(),
        ),
        branching("the same, 10000 destinations", 20_000_000, 3.0, destinations, thousand()),
        case("IPRewriter, 1 flow", 15_000_000, 2.0, format!("{ip} -> {nat}")),
        case("IPRewriter, 10000 flows", 10_000_000, 2.0, format!("{ip} -> {flows} -> {nat}")),
    ];
    // The source alone has no other element.
    list[0].text = Box::new(|packets| format!("{} -> Discard;\n", source(packets)));
    if let Some(conf) = conf {
        let file = conf.join("fake-iprouter.click");
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let text = move |packets| {
            let limit = format!("LIMIT {packets}, BURST 32");
            text.replacen("LIMIT 600000", &limit, 1)
        };
        let (name, packets, goal) = ("fake-iprouter", 10_000_000, 2.0);
        list.push(Case { name, packets, goal, options: &[], text: Box::new(text) });
    }
    Ok(list)
}

/// Prints the memory in use when the packets have passed.
const MEMORY: &str = "Script(TYPE DRIVER, pause, print $(cat /proc/self/status));\n";

fn with_memory(mut case: Case) -> Case {
    let text = case.text;
    case.text = Box::new(move |packets| format!("{}{MEMORY}", text(packets)));
    case
}

fn filtered(rules: usize) -> Case {
    branching("", 20_000_000, 0.0, "Strip(14) -> MarkIPHeader", (filter(rules), 1))
}

fn translated(flows: u32) -> Case {
    let nat = "IPRewriter(pattern 100.64.0.0-100.127.255.255# - - - 0 0, MAPPING_CAPACITY 4000000)";
    let path = format!(
        "Strip(14) -> CheckIPHeader -> SetRandIPAddress(10.0.0.0/8, {flows})
         -> StoreIPAddress(src) -> {nat}"
    );
    with_memory(case("", 40_000_000, 0.0, path))
}

/// Look-ups of random destinations in a table that is read from a file.
fn routed(count: usize, work: &Path) -> Result<Case> {
    let file = work.join(format!("routes-{count}"));
    let lines: Vec<String> =
        routes(count, 1000).into_iter().map(|route| format!("set {route}\n")).collect();
    std::fs::write(&file, lines.concat())?;
    let tail = spread("RadixIPLookup", 4);
    let text = move |packets| {
        format!(
            "{tail}{} -> Strip(14) -> SetRandIPAddress(64.0.0.0/2, 100000) -> x;
             sink -> Discard;
             Script(TYPE DRIVER, write x.ctrl $(cat {}), pause, print $(cat /proc/self/status));\n",
            source(packets).replace("STOP true", "STOP true, ACTIVE true"),
            file.display()
        )
    };
    Ok(Case { name: "", packets: 40_000_000, goal: 0.0, options: &[], text: Box::new(text) })
}

/// Two sources with paths of their own, on as many threads as asked for.
fn threads(options: &'static [&'static str]) -> Case {
    let path = "Strip(14) -> CheckIPHeader -> IPClassifier(tcp, udp, -)";
    let text = move |packets: u64| {
        let mut text = String::new();
        for name in ["a", "b"] {
            let source = source(packets / 2).replace("STOP true", "END_CALL stop");
            let _ = write!(
                text,
                "{name} :: {source} -> {path} => ([0] -> [0]; [1] -> Counter -> [0]; [2] -> [0])
                 -> Discard;\n"
            );
        }
        text + "StaticThreadSched(a 0, b 1);\nDriverManager(wait_stop, wait_stop);\n"
    };
    Case { name: "", packets: 60_000_000, goal: 0.0, options, text: Box::new(text) }
}

/// How ours grows with rules, flows, routes and threads.
pub fn scales(work: &Path) -> Result<Vec<Scale>> {
    Ok(vec![
        Scale {
            name: "IPFilter, 10 and 1000 rules",
            small: filtered(10),
            large: filtered(1000),
            least: 0.0,
            most: 2.0,
            wall: false,
            items: 1.0,
            memory: None,
        },
        Scale {
            name: "IPRewriter, 10000 and 1 M flows",
            small: translated(10_000),
            large: translated(1_000_000),
            least: 0.0,
            most: 2.0,
            wall: false,
            items: 990_000.0,
            memory: Some(120.0),
        },
        Scale {
            name: "RadixIPLookup, 1000 and 1 M routes",
            small: routed(1000, work)?,
            large: routed(1_000_000, work)?,
            least: 0.0,
            most: 2.0,
            wall: false,
            items: 999_000.0,
            memory: Some(60.0),
        },
        Scale {
            name: "two threads and one",
            small: threads(&["-j", "2"]),
            large: threads(&["-j", "1"]),
            least: 1.8,
            most: f64::INFINITY,
            wall: true,
            items: 1.0,
            memory: None,
        },
    ])
}
