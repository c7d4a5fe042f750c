//! Lengths of instructions, and whether they can be moved (Intel SDM volume 2, chapter 2 and
//! appendix A; 64-bit mode only).

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Bytes of its encoding, 1 to 15.
    pub length: u8,
    /// What moving it takes.
    pub kind: Kind,
}

/// What it takes to move an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The same bytes do the same anywhere.
    Plain,
    /// As before, and the next instruction is not reached through it.
    Ends,
    /// It does nothing: padding between functions.
    Padding,
    /// It addresses memory relative to itself, by the 32-bit displacement at this offset.
    Relative {
        /// Offset of the displacement.
        displacement_at: u8,
    },
    /// It jumps relative to itself.
    Jump {
        /// The condition code, 0 to 15; `None`: always.
        condition: Option<u8>,
        /// From the end of the instruction to the target.
        distance: i32,
    },
    /// It cannot be moved.
    Fixed,
}

/// Prefixes in front of an opcode.
#[derive(Clone, Copy, Default)]
struct Prefixes {
    operand: bool,
    address: bool,
    lock: bool,
    repeat: bool,
    rex: u8,
}

/// Immediate operands of an opcode.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Immediate {
    None,
    Byte,
    Word,
    /// 4 bytes, or 2 with the operand prefix.
    Full,
    /// 8 bytes with REX.W, else as `Full`.
    Move,
    /// An address of 8 bytes, or 4 with the address prefix.
    Address,
    /// 2 bytes and 1 byte (`ENTER`).
    WordAndByte,
    /// 1 byte if the ModRM byte's register is 0 or 1 (`TEST` of group 3).
    ByteIfTest,
    /// The same with `Full`.
    FullIfTest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    modrm: bool,
    immediate: Immediate,
    kind: Kind,
}

const fn shape(modrm: bool, immediate: Immediate) -> Option<Shape> {
    Some(Shape { modrm, immediate, kind: Kind::Plain })
}

const fn with_kind(modrm: bool, immediate: Immediate, kind: Kind) -> Option<Shape> {
    Some(Shape { modrm, immediate, kind })
}

/// One-byte opcodes. `None`: invalid, privileged, or not worth knowing.
fn one_byte(opcode: u8, prefixes: Prefixes) -> Option<Shape> {
    use Immediate::{Address, Byte, ByteIfTest, Full, FullIfTest, Move, None, Word, WordAndByte};
    match opcode {
        0x00..=0x3f => match opcode & 7 {
            0..=3 => shape(true, None),
            4 => shape(false, Byte),
            5 => shape(false, Full),
            _ => Option::None,
        },
        0x50..=0x5f | 0x91..=0x99 | 0x9b..=0x9f | 0xaa..=0xaf | 0xa4..=0xa7 => shape(false, None),
        0x90 => {
            with_kind(false, None, if prefixes.rex & 1 == 0 { Kind::Padding } else { Kind::Plain })
        }
        0x63 | 0x84..=0x8e | 0xd0..=0xd3 => shape(true, None),
        // POP to memory: the register field must be 0; others are XOP.
        0x68 => shape(false, Full),
        0x69 | 0x81 => shape(true, Full),
        0x6a | 0xa8 | 0xb0..=0xb7 => shape(false, Byte),
        0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 => shape(true, Byte),
        0xa0..=0xa3 => shape(false, Address),
        0xa9 => shape(false, Full),
        0xb8..=0xbf => shape(false, Move),
        0xc2 => with_kind(false, Word, Kind::Ends),
        0xc3 => with_kind(false, None, Kind::Ends),
        0xc6 => shape(true, Byte),
        0xc7 => shape(true, Full),
        0xc8 => shape(false, WordAndByte),
        0xc9 | 0xf5 | 0xf8 | 0xf9 | 0xfc | 0xfd => shape(false, None),
        0xcc => with_kind(false, None, Kind::Fixed),
        0xd8..=0xdf => shape(true, None),
        0xf6 => shape(true, ByteIfTest),
        0xf7 => shape(true, FullIfTest),
        0xfe | 0xff => shape(true, None),
        _ => Option::None,
    }
}

/// Opcodes behind 0x0f.
fn two_byte(opcode: u8) -> Option<Shape> {
    use Immediate::{Byte, None};
    match opcode {
        // Endbranch and the long no-operations.
        0x1e => shape(true, None),
        0x1f => with_kind(true, None, Kind::Padding),
        0x0b => with_kind(false, None, Kind::Fixed),
        0x31 | 0xa2 | 0xc8..=0xcf | 0x77 => shape(false, None),
        0x05 => with_kind(false, None, Kind::Fixed),
        0x10..=0x17
        | 0x18
        | 0x28..=0x2f
        | 0x40..=0x6f
        | 0x74..=0x76
        | 0x7e
        | 0x7f
        | 0x90..=0x9f
        | 0xa3
        | 0xa5
        | 0xab
        | 0xad
        | 0xaf
        | 0xb0
        | 0xb1
        | 0xb3
        | 0xb6
        | 0xb7
        | 0xbb..=0xbf
        | 0xc0
        | 0xc1
        | 0xc3
        | 0xd1..=0xfe => shape(true, None),
        0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 => shape(true, Byte),
        _ => Option::None,
    }
}

/// The bytes of an instruction, read one by one; never more than 15.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        if self.at >= 15 {
            return None;
        }
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= 15 && self.at <= self.bytes.len()).then_some(())
    }

    /// Reads a ModRM byte and what it brings. Gives the byte, and where a displacement relative
    /// to the instruction is.
    fn modrm(&mut self) -> Option<(u8, Option<u8>)> {
        let modrm = self.byte()?;
        let (mode, memory) = (modrm >> 6, modrm & 7);
        if mode == 3 {
            return Some((modrm, None));
        }
        let base = if memory == 4 { self.byte()? & 7 } else { memory };
        let relative = mode == 0 && memory == 5;
        let at = self.at as u8;
        self.skip(match mode {
            0 if base == 5 => 4,
            1 => 1,
            2 => 4,
            _ => 0,
        })?;
        Some((modrm, relative.then_some(at)))
    }
}

/// Decodes the instruction at the start of `bytes`. `None`: it is none, it is cut off, or it is
/// one that is not known here.
pub fn decode(bytes: &[u8]) -> Option<Instruction> {
    let mut reader = Reader { bytes, at: 0 };
    let mut prefixes = Prefixes::default();
    let opcode = loop {
        let byte = reader.byte()?;
        match byte {
            0x66 => prefixes.operand = true,
            0x67 => prefixes.address = true,
            0xf0 => prefixes.lock = true,
            0xf2 | 0xf3 => prefixes.repeat = true,
            0x2e | 0x36 | 0x3e | 0x26 | 0x64 | 0x65 => {}
            0x40..=0x4f => {
                prefixes.rex = byte;
                break reader.byte()?;
            }
            _ => break byte,
        }
    };
    let kind = match opcode {
        0x0f => match reader.byte()? {
            escape @ (0x38 | 0x3a) => {
                reader.byte()?;
                let immediate = if escape == 0x3a { Immediate::Byte } else { Immediate::None };
                operands(&mut reader, prefixes, true, immediate, Kind::Plain)?
            }
            second @ 0x80..=0x8f => jump_near(&mut reader, prefixes, Some(second & 15))?,
            second => {
                let shape = two_byte(second)?;
                operands(&mut reader, prefixes, shape.modrm, shape.immediate, shape.kind)?
            }
        },
        0x70..=0x7f => jump_short(&mut reader, Some(opcode & 15))?,
        0xeb => jump_short(&mut reader, None)?,
        0xe9 => jump_near(&mut reader, prefixes, None)?,
        0xe8 => {
            if prefixes.operand {
                return None;
            }
            reader.skip(4)?;
            Kind::Fixed
        }
        0xe0..=0xe3 => {
            reader.skip(1)?;
            Kind::Fixed
        }
        0xc4 | 0xc5 => vector(&mut reader, prefixes, opcode)?,
        _ => {
            let shape = one_byte(opcode, prefixes)?;
            let register = reader.bytes.get(reader.at).map_or(0, |modrm| modrm >> 3 & 7);
            let kind = operands(&mut reader, prefixes, shape.modrm, shape.immediate, shape.kind)?;
            match opcode {
                0xfe.. => through_memory(prefixes, opcode, register, kind)?,
                // XABORT and XBEGIN.
                0xc6 | 0xc7 if register != 0 => return None,
                _ => kind,
            }
        }
    };
    // LOCK in front of what cannot be locked faults: not worth telling apart.
    if prefixes.lock && matches!(kind, Kind::Ends | Kind::Jump { .. } | Kind::Padding) {
        return None;
    }
    Some(Instruction { length: reader.at as u8, kind })
}

/// Reads ModRM and immediate operands.
fn operands(
    reader: &mut Reader<'_>,
    prefixes: Prefixes,
    modrm: bool,
    immediate: Immediate,
    kind: Kind,
) -> Option<Kind> {
    let mut register = 0;
    let mut relative = None;
    if modrm {
        let (byte, displacement) = reader.modrm()?;
        register = byte >> 3 & 7;
        relative = displacement;
    }
    let wide = prefixes.rex & 8 != 0;
    let full = if prefixes.operand && !wide { 2 } else { 4 };
    reader.skip(match immediate {
        Immediate::None => 0,
        Immediate::Byte => 1,
        Immediate::Word => 2,
        Immediate::WordAndByte => 3,
        Immediate::Full => full,
        Immediate::Move => {
            if wide {
                8
            } else {
                full
            }
        }
        Immediate::Address => {
            if prefixes.address {
                4
            } else {
                8
            }
        }
        Immediate::ByteIfTest => usize::from(register < 2),
        Immediate::FullIfTest => {
            if register < 2 {
                full
            } else {
                0
            }
        }
    })?;
    Some(match relative {
        // With the address prefix the sum is cut to 32 bits.
        Some(_) if prefixes.address => Kind::Fixed,
        Some(displacement_at) if kind == Kind::Plain => Kind::Relative { displacement_at },
        _ => kind,
    })
}

fn jump_short(reader: &mut Reader<'_>, condition: Option<u8>) -> Option<Kind> {
    let distance = i32::from(reader.byte()? as i8);
    Some(Kind::Jump { condition, distance })
}

fn jump_near(reader: &mut Reader<'_>, prefixes: Prefixes, condition: Option<u8>) -> Option<Kind> {
    // The operand prefix means different things to different processors.
    if prefixes.operand {
        return None;
    }
    let bytes = reader.bytes.get(reader.at..reader.at + 4)?;
    let distance = i32::from_le_bytes(bytes.try_into().ok()?);
    reader.skip(4)?;
    Some(Kind::Jump { condition, distance })
}

/// Instructions with a VEX prefix: of the maps that have one length rule.
fn vector(reader: &mut Reader<'_>, prefixes: Prefixes, opcode: u8) -> Option<Kind> {
    if prefixes.operand || prefixes.lock || prefixes.repeat || prefixes.rex != 0 {
        return None;
    }
    let map = if opcode == 0xc5 {
        reader.byte()?;
        1
    } else {
        let map = reader.byte()? & 31;
        reader.byte()?;
        map
    };
    let opcode = reader.byte()?;
    let immediate = match (map, opcode) {
        (1, 0x77) => return Some(Kind::Plain),
        (1, 0x70..=0x73 | 0xc2 | 0xc4..=0xc6) | (3, _) => Immediate::Byte,
        (1, 0x10..=0x17 | 0x28..=0x2f | 0x50..=0x6f | 0x74..=0x76 | 0x7c..=0x7f | 0xd0..=0xfe)
        | (2, _) => Immediate::None,
        _ => return None,
    };
    operands(reader, prefixes, true, immediate, Kind::Plain)
}

/// `INC`, `DEC`, calls and jumps through registers and memory, `PUSH`: told apart by the
/// register field of the ModRM byte.
fn through_memory(prefixes: Prefixes, opcode: u8, register: u8, kind: Kind) -> Option<Kind> {
    match (opcode, register) {
        (_, 0 | 1) | (0xff, 6) => Some(kind),
        (0xff, 4) if !prefixes.operand && kind == Kind::Plain => Some(Kind::Ends),
        (0xff, 2..=5) => Some(Kind::Fixed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, OpKind};
    use proptest::prelude::*;

    use super::*;

    /// What the disassembler says; `None`: invalid.
    fn judge(bytes: &[u8]) -> Option<Instruction> {
        let mut decoder = Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE);
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        let length = instruction.len() as u8;
        let target = || {
            let end = 0x1000 + u64::from(length);
            instruction.near_branch_target().wrapping_sub(end) as i32
        };
        let code = instruction.code();
        let kind = match instruction.flow_control() {
            _ if code == Code::Int3 => Kind::Fixed,
            FlowControl::Next if code == Code::Syscall => Kind::Fixed,
            FlowControl::Next if instruction.is_ip_rel_memory_operand() => {
                Kind::Relative { displacement_at: 0 }
            }
            FlowControl::Next => Kind::Plain,
            FlowControl::Return => Kind::Ends,
            FlowControl::IndirectBranch if instruction.is_ip_rel_memory_operand() => Kind::Fixed,
            FlowControl::IndirectBranch => Kind::Ends,
            FlowControl::UnconditionalBranch if instruction.op0_kind() == OpKind::NearBranch64 => {
                Kind::Jump { condition: None, distance: target() }
            }
            FlowControl::ConditionalBranch if instruction.is_jcc_short_or_near() => {
                let condition = instruction.condition_code() as u8 - 1;
                Kind::Jump { condition: Some(numbered(condition)), distance: target() }
            }
            _ => Kind::Fixed,
        };
        Some(Instruction { length, kind })
    }

    /// The disassembler's order of conditions is the processor's.
    fn numbered(condition: u8) -> u8 {
        condition
    }

    /// Compares where we claim to know the instruction.
    fn agree(bytes: &[u8]) -> Result<bool, TestCaseError> {
        let Some(ours) = decode(bytes) else { return Ok(false) };
        let Some(judged) = judge(bytes) else {
            // Combinations of prefixes and operands that the processor refuses: they fault
            // wherever they are, as long as they are taken for no jump.
            prop_assert!(!matches!(ours.kind, Kind::Jump { .. }), "{bytes:02x?}: {ours:?}");
            return Ok(false);
        };
        prop_assert_eq!(ours.length, judged.length, "{:02x?}", bytes);
        match (ours.kind, judged.kind) {
            (Kind::Padding, Kind::Plain | Kind::Relative { .. }) | (Kind::Fixed, _) => {}
            (Kind::Relative { .. }, Kind::Relative { .. }) => {}
            (ours, judged) => prop_assert_eq!(ours, judged, "{:02x?}", bytes),
        }
        Ok(true)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn any_bytes(bytes in proptest::array::uniform15(any::<u8>())) {
            agree(&bytes)?;
        }

        #[test]
        fn behind_escapes(
            prefix in proptest::sample::subsequence(vec![0x66u8, 0xf2, 0xf3, 0x64, 0x48, 0x41], 0..3),
            opcode in any::<u8>(),
            rest in proptest::array::uniform10(any::<u8>()),
        ) {
            let bytes: Vec<u8> =
                prefix.into_iter().chain([0x0f, opcode]).chain(rest).take(15).collect();
            agree(&bytes)?;
        }
    }

    #[test]
    fn the_text_of_a_program_is_known() {
        // This very program's, disassembled from end to end.
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let word = |at: usize, length: usize| {
            program[at..at + length]
                .iter()
                .rev()
                .fold(0u64, |sum, &byte| sum << 8 | u64::from(byte))
        };
        let (table, count) = (word(0x28, 8) as usize, word(0x3c, 2) as usize);
        let sections = (0..count).map(|index| table + 64 * index);
        // SHT_PROGBITS, executable.
        let text = sections.filter(|&at| word(at + 4, 4) == 1 && word(at + 8, 8) & 4 != 0);
        let (mut known, mut all) = (0, 0);
        for section in text {
            let (start, length) = (word(section + 24, 8) as usize, word(section + 32, 8) as usize);
            let bytes = &program[start..start + length];
            let mut at = 0;
            while at + 15 < bytes.len() {
                let Some(judged) = judge(&bytes[at..]) else { break };
                all += 1;
                known += u32::from(agree(&bytes[at..at + 15]).unwrap());
                at += usize::from(judged.length);
            }
        }
        assert!(all > 100_000, "only {all} instructions found");
        assert!(known * 1000 > all * 995, "{known} of {all} are known");
    }
}
