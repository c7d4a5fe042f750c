//! Names of ICMP types and codes, as configurations and dumps use them.
//!
//! Source: RFC 792, 950, 1122, 1256, 1812.

const TYPES: &[(&str, u8)] = &[
    ("echo-reply", 0),
    ("unreachable", 3),
    ("sourcequench", 4),
    ("redirect", 5),
    ("echo", 8),
    ("routeradvert", 9),
    ("routersolicit", 10),
    ("timeexceeded", 11),
    ("parameterproblem", 12),
    ("timestamp", 13),
    ("timestamp-reply", 14),
    ("inforeq", 15),
    ("inforeq-reply", 16),
    ("maskreq", 17),
    ("maskreq-reply", 18),
];

const CODES: &[(u8, &str, u8)] = &[
    (3, "net", 0),
    (3, "host", 1),
    (3, "protocol", 2),
    (3, "port", 3),
    (3, "needfrag", 4),
    (3, "srcroutefail", 5),
    (3, "netunknown", 6),
    (3, "hostunknown", 7),
    (3, "hostisolated", 8),
    (3, "netprohibited", 9),
    (3, "hostprohibited", 10),
    (3, "nettos", 11),
    (3, "hosttos", 12),
    (3, "filterprohibited", 13),
    (3, "hostprecedence", 14),
    (3, "precedencecutoff", 15),
    (5, "net", 0),
    (5, "host", 1),
    (5, "nettos", 2),
    (5, "hosttos", 3),
    (11, "transit", 0),
    (11, "reassembly", 1),
    (12, "erroratptr", 0),
    (12, "missingopt", 1),
    (12, "length", 2),
];

/// The name of a type.
pub(crate) fn type_name(kind: u8) -> Option<&'static str> {
    TYPES.iter().find(|(_, number)| *number == kind).map(|(name, _)| *name)
}

/// The type of that name or number.
pub(crate) fn parse_type(text: &str) -> Option<u8> {
    let known = TYPES.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    known.or_else(|| u8::try_from(click_language::value::unsigned(text)?).ok())
}

/// The name of a code.
pub(crate) fn code_name(kind: u8, code: u8) -> Option<&'static str> {
    CODES.iter().find(|(of, _, number)| *of == kind && *number == code).map(|(_, name, _)| *name)
}

/// The code of that name or number.
pub(crate) fn parse_code(kind: u8, text: &str) -> Option<u8> {
    let known = CODES.iter().find(|(of, name, _)| *of == kind && *name == text);
    let known = known.map(|(_, _, number)| *number);
    known.or_else(|| u8::try_from(click_language::value::unsigned(text)?).ok())
}
