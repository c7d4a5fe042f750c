//! What a primitive of the language checks in a packet.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::language::{Datum, Direction, Parts, Protocol, Relation, Subject};
use super::matcher::{NETWORK, TRANSPORT};
use super::program::{Expression, Test};
use crate::wire;

fn word(offset: u32, mask: u32, value: u32) -> Expression {
    Expression::Test(Test { offset, mask, value: value & mask })
}

fn protocol_test(protocol: Protocol) -> Option<Expression> {
    let one = |number: u8| word(NETWORK + 8, 0xff_0000, u32::from(number) << 16);
    match protocol {
        Protocol::One(number) => Some(one(number)),
        Protocol::TcpOrUdp => Some(Expression::Or(alloc::vec![one(wire::TCP), one(wire::UDP)])),
        Protocol::Transport => None,
    }
}

fn first_fragment() -> Expression {
    word(NETWORK + 4, 0x1fff, 0)
}

/// A number compared under a mask, shifted to its place in the word.
fn comparison(
    offset: u32,
    shift: u32,
    full: u32,
    mask: Option<u32>,
    relation: Relation,
    number: u32,
) -> Result<Expression, String> {
    let mask = mask.unwrap_or(full);
    if mask & full != mask {
        return Err(format!("mask out of range, bound 0x{full:X}"));
    }
    if matches!(relation, Relation::Equal | Relation::NotEqual) {
        if number > full {
            return Err(format!("out of range, bound {full}"));
        }
        let test = word(offset, mask << shift, number << shift);
        return Ok(if relation == Relation::NotEqual { test.not(true) } else { test });
    }
    // All other relations are `greater than` or its opposite.
    let (bound, negated) = match relation {
        Relation::Greater => (Some(number), false),
        Relation::LessOrEqual => (Some(number), true),
        Relation::GreaterOrEqual => (number.checked_sub(1), false),
        _ => (number.checked_sub(1), true),
    };
    let always = Expression::Test(Test::ALWAYS);
    let Some(mut bound) = bound else {
        return Ok(if negated { always.not(false) } else { always });
    };
    if bound >= mask {
        return Ok(if negated { always } else { always.not(false) });
    }
    // Under a mask, compare with the largest number below that the mask allows.
    let missing = bound & !mask & full;
    if missing != 0 {
        let lower = u32::MAX >> missing.leading_zeros();
        bound = (bound | lower) & mask;
    }
    let test = greater(offset, shift, mask, bound & mask);
    Ok(if negated { test.not(true) } else { test })
}

/// Whether the bits under `mask` are more than `bound`: tests of runs of high bits.
fn greater(offset: u32, shift: u32, mask: u32, bound: u32) -> Expression {
    if bound >= mask {
        return Expression::Test(Test::ALWAYS).not(false);
    }
    let high = bound > mask >> 1;
    // The bits above the first one that is unlike the rest decide together.
    let differing = if high { !(bound.wrapping_add(1)) & mask } else { bound };
    let upper = match differing {
        0 => mask,
        bits => mask & !(u32::MAX >> bits.leading_zeros()),
    };
    let rest = mask & !upper;
    let value = if high { upper } else { 0 };
    let mut test = word(offset, upper << shift, value << shift);
    if !high {
        test = test.not(true);
    }
    if rest == 0 || bound & rest >= rest {
        return test;
    }
    let lower = greater(offset, shift, rest, bound & rest);
    if high {
        Expression::And(alloc::vec![test, lower])
    } else {
        Expression::Or(alloc::vec![test, lower])
    }
}

fn by_direction(
    direction: Option<Direction>,
    source: Expression,
    destination: Expression,
) -> Expression {
    match direction.unwrap_or(Direction::Either) {
        Direction::Source => Expression::Or(alloc::vec![source]),
        Direction::Destination => Expression::Or(alloc::vec![destination]),
        Direction::Either => Expression::Or(alloc::vec![source, destination]),
        Direction::Both => Expression::And(alloc::vec![source, destination]),
    }
}

fn ethernet_test(first: u32, address: [u8; 6], mask: [u8; 6]) -> Expression {
    let [a, b, c, d, e, f] = address;
    let [m, n, o, p, q, r] = mask;
    let word_of = u32::from_be_bytes;
    let tests = if first == 8 {
        [
            word(8, word_of([m, n, o, p]), word_of([a, b, c, d])),
            word(12, word_of([q, r, 0, 0]), word_of([e, f, 0, 0])),
        ]
    } else {
        [
            word(0, word_of([0, 0, m, n]), word_of([0, 0, a, b])),
            word(4, word_of([o, p, q, r]), word_of([c, d, e, f])),
        ]
    };
    Expression::And(tests.to_vec())
}

fn number_mask(mask: Option<Datum>, what: &str) -> Result<Option<u32>, String> {
    match mask {
        None => Ok(None),
        Some(Datum::Number(mask)) => Ok(Some(mask)),
        Some(_) => Err(format!("'{what}': bad mask")),
    }
}

/// The tests of a primitive.
pub(super) fn compile(
    about: Subject,
    direction: Option<Direction>,
    over: Option<Protocol>,
    parts: &Parts<'_>,
) -> Result<Expression, String> {
    let missing = |what: &str| format!("'{what}': value missing");
    let mut tests: Vec<Expression> = Vec::new();
    let transport = |tests: &mut Vec<Expression>, protocol: Protocol| {
        tests.extend(protocol_test(protocol));
        tests.push(first_fragment());
    };
    match about {
        Subject::Host | Subject::Net => {
            let Some(Datum::Address(address, mut mask)) = parts.datum else {
                return Err("'ip host': address missing".into());
            };
            match parts.mask {
                Some(Datum::Address(given, _)) => mask = given,
                Some(Datum::Number(given)) => mask = given.to_be_bytes(),
                Some(_) => return Err("'ip host': bad mask".into()),
                None => {}
            }
            let negated = parts.equality("ip host")?;
            tests.extend(over.and_then(protocol_test));
            let (address, mask) = (u32::from_be_bytes(address), u32::from_be_bytes(mask));
            let test = by_direction(
                direction,
                word(NETWORK + 12, mask, address),
                word(NETWORK + 16, mask, address),
            );
            tests.push(if negated { test.not(true) } else { test });
        }
        Subject::Ethernet => {
            let Some(Datum::Ethernet(address)) = parts.datum else {
                return Err("'ether host': address missing".into());
            };
            let mask = match parts.mask {
                Some(Datum::Ethernet(mask)) => mask,
                Some(_) => return Err("'ether host': bad mask".into()),
                None => [255; 6],
            };
            let negated = parts.equality("ether host")?;
            let test = by_direction(
                direction,
                ethernet_test(8, address, mask),
                ethernet_test(0, address, mask),
            );
            tests.push(if negated { test.not(true) } else { test });
        }
        Subject::Protocol => {
            let number = match (parts.datum, over) {
                (Some(Datum::Number(number)), None) => number,
                (Some(Datum::Protocol(protocol)), None) | (None, Some(protocol)) => {
                    if let Protocol::One(number) = protocol {
                        u32::from(number)
                    } else {
                        let test = protocol_test(protocol);
                        return Ok(test.unwrap_or(Expression::Test(Test::ALWAYS)));
                    }
                }
                (None, None) => return Err(missing("proto")),
                _ => return Err("'proto': specified twice".into()),
            };
            let mask = number_mask(parts.mask, "proto")?;
            tests.push(comparison(NETWORK + 8, 16, 0xff, mask, parts.relation(), number)?);
        }
        Subject::Port => {
            let number = match parts.datum {
                Some(Datum::Number(number)) => number,
                Some(Datum::Port(port)) => u32::from(port),
                _ => return Err(missing("port")),
            };
            let protocol = over.unwrap_or(Protocol::TcpOrUdp);
            if !matches!(protocol, Protocol::One(wire::TCP | wire::UDP | 33) | Protocol::TcpOrUdp) {
                return Err("'port': bad protocol".into());
            }
            transport(&mut tests, protocol);
            let mask = number_mask(parts.mask, "port")?;
            // Negation applies to both ports together.
            let (relation, negated) = match parts.relation() {
                Relation::NotEqual => (Relation::Equal, true),
                Relation::LessOrEqual => (Relation::Greater, true),
                Relation::Less => (Relation::GreaterOrEqual, true),
                other => (other, false),
            };
            let test = by_direction(
                direction,
                comparison(TRANSPORT, 16, 0xffff, mask, relation, number)?,
                comparison(TRANSPORT, 0, 0xffff, mask, relation, number)?,
            );
            tests.push(if negated { test.not(true) } else { test });
        }
        Subject::TcpOption => {
            let bits = match parts.datum {
                Some(Datum::Number(bits @ 0..=255)) => bits,
                Some(Datum::TcpOption(flag)) => u32::from(flag),
                _ => return Err(missing("tcp opt")),
            };
            transport(&mut tests, Protocol::One(wire::TCP));
            tests.push(word(TRANSPORT + 12, bits << 16, bits << 16));
        }
        Subject::Fragment | Subject::Unfragmented => {
            let whole = word(NETWORK + 4, 0x3fff, 0);
            tests.extend(over.and_then(protocol_test));
            tests.push(if about == Subject::Fragment { whole.not(true) } else { whole });
        }
        Subject::EcnCapable => match parts.datum {
            Some(Datum::Number(number)) => {
                tests.push(comparison(NETWORK, 16, 3, None, parts.relation(), number)?);
            }
            _ => tests.push(word(NETWORK, 3 << 16, 0).not(true)),
        },
        Subject::Congested => tests.push(word(NETWORK, 3 << 16, 3 << 16)),
        Subject::Field { transport: over_field, bit, length, .. } => {
            let Some(Datum::Number(number)) = parts.datum else {
                return Err(missing("field"));
            };
            if parts.header == Some("ether") {
                return Err("'ip field': ip only".into());
            }
            let base = match over_field {
                Some(protocol) => {
                    transport(&mut tests, protocol);
                    TRANSPORT
                }
                None => NETWORK,
            };
            let full = u32::MAX >> (32 - length);
            let shift = 32 - (bit % 32 + length);
            let mask = number_mask(parts.mask, "field")?;
            let offset = base + bit / 32 * 4;
            tests.push(comparison(offset, shift, full, mask, parts.relation(), number)?);
        }
    }
    Ok(Expression::And(tests))
}
