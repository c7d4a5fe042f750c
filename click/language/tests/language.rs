//! The language, seen from outside: text in, flat graph and messages out.

use click_language::{Libraries, Mode, Options, Report, parse};

fn flat(text: &str) -> (String, Vec<String>) {
    let mut report = Report::new();
    let options = Options { mode: Mode::Tool, parameters: &[], libraries: None };
    let graph = parse(text, "", options, &mut report);
    (graph.unparse(), report.take_lines(true))
}

fn drive(text: &str) -> (String, Vec<String>) {
    let known = |name: &str| matches!(name, "Idle" | "Null" | "Queue" | "Print");
    let mut report = Report::new();
    let options = Options { mode: Mode::Driver(&known), parameters: &[], libraries: None };
    let graph = parse(text, "", options, &mut report);
    (graph.unparse(), report.take_lines(true))
}

fn same(left: &str, right: &str) {
    let (left, right) = (flat(left), flat(right));
    assert_eq!(left.1, [""; 0]);
    assert_eq!(left.0, right.0);
}

#[test]
fn declarations_and_chains() {
    let (text, errors) = drive("a, b :: Idle(1); a [1] -> [2] b -> q :: Queue; a -> Null -> q");
    assert_eq!(errors, [""; 0]);
    assert_eq!(
        text,
        "a :: Idle(1);\nb :: Idle(1);\nq :: Queue;\nNull@4 :: Null;\n\n\
         a [1] -> [2] b;\nb -> q;\na -> Null@4\n    -> q;\n"
    );
}

#[test]
fn many_to_many() {
    same("a::X; a => b::Y, c::Z", "a::X; b::Y; c::Z; a[0] -> b; a[1] -> c");
    same("a::X; b::Y; a[0-2] => [0,1,2] b", "a::X; b::Y; a->b; a[1]->[1]b; a[2]->[2]b");
    same("a::X; b::Y; a[] => [0,1] b", "a::X; b::Y; a->b; a[1]->[1]b");
    same("a::X, b::Y -> c::Z", "a::X; b::Y; c::Z; a -> c; b -> c");
    assert_eq!(
        flat("a::X; b::Y;\na[0,1] => [0,1,2] b").1,
        ["config:2: connection mismatch: 2 outputs connected to 3 inputs"]
    );
    assert_eq!(
        flat("a::X; b::Y; a[0,1] -> [0,1] b").1,
        ["config:1: syntax error: many-to-many connections require '=>'"]
    );
}

#[test]
fn groups_vanish() {
    same("x::X -> (->) -> y::Y", "x::X -> y::Y");
    same("x::X => ([0]->[0]; [1]->p::P->[0]) -> y::Y", "x::X; p::P; y::Y; x -> y; x[1] -> p -> y");
    assert_eq!(
        flat("x::X => ( [0]->[0]; [2]->Idle ) -> y::Y").1,
        ["config:1: '<anonymous group>' input 1 missing", "config:1: '@2' has no input 1"]
    );
}

#[test]
fn compounds_expand_in_their_scope() {
    let text = "elementclass Queue { input -> Queue -> Shaper(1000) -> output }
        a :: Idle -> q :: Queue -> b :: Idle";
    let flat = flat(text);
    assert_eq!(flat.1, [""; 0]);
    assert!(flat.0.contains("q/Queue@1 :: Queue;") && flat.0.contains("a -> q/Queue@1"));
    same(
        "define($b 9) {$a, K $k, __REST__ $r | X($a $k $r $b ${c-d} '$a')} (1, K 2, 3, L 4)",
        "@1/X@1 :: X(1 2 3, L 4 9 d '$a')",
    );
}

#[test]
fn overloads_choose_by_arguments_and_ports() {
    let class =
        "elementclass F { $a | input -> One($a) -> output || $a, $b | input -> Two -> output }
        elementclass F { input -> None -> output || ... }\n";
    let (text, errors) = flat(&format!("{class} a::I -> F(1) -> F(1,2) -> F -> b::I"));
    assert_eq!(errors, [""; 0]);
    assert!(text.contains("One(1)") && text.contains(":: Two") && text.contains(":: None"));
    let (_, errors) = flat("elementclass F { $a | || $a, $b | }\nF");
    assert_eq!(
        errors,
        [
            "config:2: no match for 'F[0 inputs, 0 outputs]'",
            "config:2: candidates are:",
            "config:1: F(<arg>)[0 inputs, 0 outputs]",
            "config:1: F(<arg>, <arg>)[0 inputs, 0 outputs]",
        ]
    );
}

#[test]
fn mistakes_have_positions() {
    let cases = [
        ("->Null;", "config:1: syntax error near '->'"),
        ("x -> Idle", "config:1: undeclared element 'x'"),
        ("x :: Nix", "config:1: unknown element class 'Nix'"),
        ("x :: Idle; Idle :: Null", "config:1: class 'Idle' used as element name"),
        ("1 :: Idle", "config:1: element name '1' has all-digit component"),
        ("{ input[1] -> Idle } ", "config:1: '<anonymous>' input 0 missing"),
        ("define(x 1)", "config:1: bad 'define' declaration: not a variable"),
        ("require(a b)", "config:1: syntax error at requirement"),
        ("x :: { Idle", "config:1: expected '}'"),
    ];
    for (text, expected) in cases {
        let errors = drive(text).1;
        assert!(errors.iter().any(|error| error == expected), "{text}: {errors:?}");
    }
    assert_eq!(
        drive("x :: Idle;\n# 9 \"g\"\nx :: Idle").1,
        ["g:9: redeclaration of element 'x'", "config:1: element 'x' previously declared here"]
    );
}

#[test]
fn tunnels_used_on_one_side_only() {
    assert_eq!(
        drive("x :: Idle -> c :: { input -> Idle; input [1] -> Idle }").1,
        ["config:1: 'c' input 1 unused"]
    );
    let (_, errors) = drive("c :: { Idle -> output }; x :: Idle -> c -> Idle");
    assert_eq!(errors, ["config:1: 'c' has no input 0"]);
}

struct Shelf;

impl Libraries for Shelf {
    fn find(&mut self, name: &str, folder: &str) -> Option<Result<(String, String), String>> {
        assert_eq!(folder, ".");
        match name {
            "a" => Some(Ok(("./a".into(), "require(library b) elementclass A { B }".into()))),
            "b" => Some(Ok(("./b".into(), "require(library a) elementclass B { I }".into()))),
            _ => None,
        }
    }
}

#[test]
fn libraries_are_read_once() {
    let mut report = Report::new();
    let mut shelf = Shelf;
    let options = Options { mode: Mode::Tool, parameters: &[], libraries: Some(&mut shelf) };
    let graph = parse("require(library a, library b); x :: A", "main", options, &mut report);
    assert_eq!(report.take_lines(true), [""; 0]);
    assert_eq!(graph.unparse(), "x/B@1/I@1 :: I;\n\n");
}

/// Every prefix of a text, and texts with bytes changed, are read without a panic.
#[test]
fn damaged_text_is_refused_politely() {
    let text = "require(compact_config); elementclass F { $a, __REST__ $b | input -> [0]\
        X(\"$a\\n\", \\<00 11>, ${b-c}) [1, 2-5] => ( [0] -> [0]; ) , {->} -> output || ... }\
        define($x 'y'); a, b :: F(1, 2) /* c */ // d\n# 1 \"f\"\na => [] b; (->), {} :: F";
    for end in 0..text.len() {
        flat(&text[..end]);
        drive(&text[end..]);
    }
    let mut state = 12345u32;
    for _ in 0..3000 {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..4 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = state as usize / 7 % bytes.len();
            bytes[at] = b"(){}[]|,;:->=$\"'\\<#/ \nax0.@"[(state >> 20) as usize % 27];
        }
        flat(&click_language::text::from_bytes(&bytes));
    }
    flat(&"(".repeat(10_000));
    flat(&"{".repeat(10_000));
    flat(&("x::X".to_owned() + &" -> (->)".repeat(3_000) + " -> y::Y"));
}
