//! Planning the patch of one site.

use crate::decode::{Instruction, Kind, decode};
use crate::{ZONE, Zone};

/// Bytes that a stub takes at most.
pub const LONGEST_STUB: usize = 48;

/// The jump that is written into the text.
const JUMP: usize = 5;
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// Where the program's instructions begin in a stub that displaces what follows the call.
const HEAD: usize = 7 + 8 + 4;

/// What is to be patched.
pub struct Request<'a> {
    /// The block's text as it is now: not more than [`BLOCK`](crate::BLOCK) bytes.
    pub text: &'a [u8],
    /// Offset of the `syscall` instruction, which was executed.
    pub site: usize,
    /// The number that was asked for there.
    pub number: u64,
    /// From the block's first byte to the zone's.
    pub distance: i64,
    /// Offset from the GS base of the word that holds the kernel's entry point.
    pub entry: u32,
}

/// Why a site stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What is there cannot be displaced, or not without doubt.
    Shape,
    /// The zone has no suitable room left.
    Full,
}

/// A displaced instruction: where it was in the text, where it is in the stub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moved {
    text: u32,
    stub: u8,
}

/// A patch, to be applied: first the stub, then the jump.
#[derive(Clone, Copy, Debug)]
pub struct Patch {
    /// Offset in the text at which the jump is written.
    pub at: usize,
    /// The jump.
    pub jump: [u8; JUMP],
    /// What it replaces.
    pub replaced: [u8; JUMP],
    /// Offset of the stub in the zone.
    pub stub_at: usize,
    stub: [u8; LONGEST_STUB],
    length: u8,
    /// Offset of the `syscall` instruction.
    site: u32,
    /// Whether the jump stands in the place of the instruction before the call.
    before: bool,
    /// Displaced instructions, then where the stub goes back.
    moved: [Moved; 4],
    count: u8,
}

/// Plans the patch of a site and takes room for its stub.
///
/// # Errors
/// When the site cannot be patched.
pub fn plan(request: &Request<'_>, zone: &mut Zone) -> Result<Patch, Refusal> {
    let text = request.text;
    if text.get(request.site..request.site + 2) != Some(&SYSCALL) {
        return Err(Refusal::Shape);
    }
    match after(request, zone) {
        Err(Refusal::Shape) => before(request, zone),
        result => result,
    }
}

/// Overwrites the call and what follows it.
fn after(request: &Request<'_>, zone: &mut Zone) -> Result<Patch, Refusal> {
    let Request { text, site, distance, .. } = *request;
    let mut displaced = [(0, Instruction { length: 0, kind: Kind::Fixed }); 3];
    let mut count = 0;
    let mut at = site + 2;
    let mut ends = false;
    while at < site + JUMP {
        let instruction = text.get(at..).and_then(decode).ok_or(Refusal::Shape)?;
        if ends {
            // Nothing reaches what follows but a jump: only padding is certain to have none.
            if instruction.kind != Kind::Padding && text[at] != 0xcc {
                return Err(Refusal::Shape);
            }
        } else {
            if instruction.kind == Kind::Fixed {
                return Err(Refusal::Shape);
            }
            displaced[count] = (at, instruction);
            count += 1;
        }
        ends |= matches!(instruction.kind, Kind::Ends | Kind::Jump { condition: None, .. });
        at += usize::from(instruction.length);
    }
    if at > text.len() {
        return Err(Refusal::Shape);
    }
    let displaced = &displaced[..count];
    let length = HEAD
        + displaced.iter().map(|(_, instruction)| moved_length(instruction)).sum::<usize>()
        + JUMP;
    // A jump to a displaced instruction must fault there.
    let faults = |stub_at: usize| {
        let Some(jump) = jump_bytes(site, distance, stub_at) else { return false };
        displaced.iter().all(|&(at, _)| at - site >= JUMP || is_fault(jump[at - site]))
    };
    let stub_at = zone.take(length, faults).ok_or(Refusal::Full)?;
    let mut patch = Patch::new(request, site, stub_at, false)?;
    patch.head(request, displaced)?;
    if !ends {
        patch.note(at);
        patch.go_to(request, at)?;
    }
    Ok(patch)
}

/// Overwrites the instruction before the call, when that is certain to be the one that loaded
/// the number.
fn before(request: &Request<'_>, zone: &mut Zone) -> Result<Patch, Refusal> {
    let Request { text, site, number, .. } = *request;
    let number = u32::try_from(number).map_err(|_| Refusal::Shape)?.to_le_bytes();
    let ends_with = |length: usize, opcode: &[u8]| {
        let start = site.checked_sub(length)?;
        let bytes = &text[start..site];
        (bytes[..opcode.len()] == *opcode && bytes[opcode.len()..] == number).then_some(start)
    };
    let start = ends_with(7, &[0x48, 0xc7, 0xc0])
        .or_else(|| {
            // A prefix in front would make it another instruction.
            ends_with(5, &[0xb8]).filter(|&start| {
                let Some(previous) = start.checked_sub(1) else { return false };
                !matches!(
                    text[previous],
                    0x41 | 0x43 | 0x45 | 0x47..=0x4f | 0x66 | 0xd5 | 0xf2 | 0xf3
                )
            })
        })
        .ok_or(Refusal::Shape)?;
    let load = site - start;
    let stub_at = zone.take(load + HEAD + JUMP, |_| true).ok_or(Refusal::Full)?;
    let mut patch = Patch::new(request, start, stub_at, true)?;
    patch.push(&text[start..site])?;
    patch.head(request, &[])?;
    patch.note(site + 2);
    patch.go_to(request, site + 2)?;
    Ok(patch)
}

/// Bytes of a displaced instruction in the stub.
fn moved_length(instruction: &Instruction) -> usize {
    match instruction.kind {
        Kind::Jump { condition: None, .. } => 5,
        Kind::Jump { .. } => 6,
        _ => usize::from(instruction.length),
    }
}

/// The jump from `at` in the text to `stub_at` in the zone.
fn jump_bytes(at: usize, distance: i64, stub_at: usize) -> Option<[u8; JUMP]> {
    let relative = i32::try_from(distance + stub_at as i64 - (at + JUMP) as i64).ok()?;
    let [a, b, c, d] = relative.to_le_bytes();
    Some([0xe9, a, b, c, d])
}

/// Whether an instruction that begins with this byte faults in 64-bit user mode, whatever
/// follows: it is invalid (#UD), or wants a privilege that programs never have (#GP).
const fn is_fault(byte: u8) -> bool {
    matches!(
        byte,
        0x06 | 0x07 | 0x0e | 0x16 | 0x17 | 0x1e | 0x1f | 0x27 | 0x2f | 0x37 | 0x3f | 0x60 | 0x61
            | 0x9a | 0xce | 0xd6 | 0xea          // no instructions in 64-bit mode
            | 0x6c..=0x6f | 0xe4..=0xe7 | 0xec..=0xef // ports
            | 0xf4                               // HLT
    )
}

impl Patch {
    fn new(
        request: &Request<'_>,
        at: usize,
        stub_at: usize,
        before: bool,
    ) -> Result<Self, Refusal> {
        let jump = jump_bytes(at, request.distance, stub_at).ok_or(Refusal::Shape)?;
        let replaced = request.text.get(at..at + JUMP).ok_or(Refusal::Shape)?;
        Ok(Self {
            at,
            jump,
            replaced: replaced.try_into().map_err(|_| Refusal::Shape)?,
            stub_at,
            stub: [0xcc; LONGEST_STUB],
            length: 0,
            site: request.site as u32,
            before,
            moved: [Moved::default(); 4],
            count: 0,
        })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let start = usize::from(self.length);
        let room = self.stub.get_mut(start..start + bytes.len()).ok_or(Refusal::Shape)?;
        room.copy_from_slice(bytes);
        self.length += bytes.len() as u8;
        Ok(())
    }

    /// The present end of the stub, as an offset from the block.
    fn position(&self, request: &Request<'_>) -> i64 {
        request.distance + self.stub_at as i64 + i64::from(self.length)
    }

    /// Notes that the next byte of the stub stands for `text`.
    fn note(&mut self, text: usize) {
        self.moved[usize::from(self.count)] = Moved { text: text as u32, stub: self.length };
        self.count += 1;
    }

    /// Enters the kernel, and runs the displaced instructions afterwards.
    ///
    /// The kernel finds the address to go on at in RCX, and in front of it what has to be added
    /// to that address to get the one behind the call in the text.
    fn head(
        &mut self,
        request: &Request<'_>,
        displaced: &[(usize, Instruction)],
    ) -> Result<(), Refusal> {
        // lea rcx, [rip + 12]
        self.push(&[0x48, 0x8d, 0x0d, 12, 0, 0, 0])?;
        // jmp gs:[entry]
        self.push(&[0x65, 0xff, 0x24, 0x25])?;
        self.push(&request.entry.to_le_bytes())?;
        let back = request.site as i64 + 2 - (self.position(request) + 4);
        self.push(&i32::try_from(back).map_err(|_| Refusal::Shape)?.to_le_bytes())?;
        for (at, instruction) in displaced {
            self.note(*at);
            self.displace(request, *at, instruction)?;
        }
        Ok(())
    }

    fn displace(
        &mut self,
        request: &Request<'_>,
        at: usize,
        instruction: &Instruction,
    ) -> Result<(), Refusal> {
        let end = at + usize::from(instruction.length);
        let bytes = &request.text[at..end];
        match instruction.kind {
            Kind::Plain | Kind::Ends | Kind::Padding => self.push(bytes),
            Kind::Fixed => Err(Refusal::Shape),
            Kind::Relative { displacement_at } => {
                let field = usize::from(displacement_at);
                let mut moved = [0; 15];
                let moved = &mut moved[..bytes.len()];
                moved.copy_from_slice(bytes);
                let old = i32::from_le_bytes([
                    bytes[field],
                    bytes[field + 1],
                    bytes[field + 2],
                    bytes[field + 3],
                ]);
                let target = end as i64 + i64::from(old);
                let new = target - (self.position(request) + bytes.len() as i64);
                let new = i32::try_from(new).map_err(|_| Refusal::Shape)?;
                moved[field..field + 4].copy_from_slice(&new.to_le_bytes());
                self.push(moved)
            }
            Kind::Jump { condition, distance } => {
                let target = end as i64 + i64::from(distance);
                match condition {
                    None => self.push(&[0xe9])?,
                    Some(condition) => self.push(&[0x0f, 0x80 | condition])?,
                }
                self.push_relative(request, target)
            }
        }
    }

    /// Jumps back into the text.
    fn go_to(&mut self, request: &Request<'_>, text: usize) -> Result<(), Refusal> {
        self.push(&[0xe9])?;
        self.push_relative(request, text as i64)
    }

    fn push_relative(&mut self, request: &Request<'_>, target: i64) -> Result<(), Refusal> {
        let relative = target - (self.position(request) + 4);
        self.push(&i32::try_from(relative).map_err(|_| Refusal::Shape)?.to_le_bytes())
    }

    /// The stub's bytes.
    pub fn stub(&self) -> &[u8] {
        &self.stub[..usize::from(self.length)]
    }

    /// The program's own address (as an offset in the block) for an address in the stub (as an
    /// offset in the zone): that of the instruction that would run next without the patch.
    /// `None`: no instruction begins there.
    pub fn program_address(&self, zone_offset: usize) -> Option<usize> {
        let offset = zone_offset.checked_sub(self.stub_at)?;
        let site = self.site as usize;
        // The displaced instruction before the call, then what enters the kernel.
        let load = if self.before { site - self.at } else { 0 };
        if self.before && offset == 0 {
            return Some(self.at);
        }
        if offset == load || offset == load + 7 {
            return Some(site);
        }
        let moved = &self.moved[..usize::from(self.count)];
        moved
            .iter()
            .find(|moved| usize::from(moved.stub) == offset)
            .map(|moved| moved.text as usize)
    }

    /// Where (as an offset in the zone) to go on instead of at `text`, the offset in the block
    /// of an instruction that was overwritten.
    pub fn continuation(&self, text: usize) -> Option<usize> {
        let overwritten = self.at + 1..self.at + JUMP;
        if self.before || !overwritten.contains(&text) {
            return None;
        }
        let moved = &self.moved[..usize::from(self.count)];
        let found = moved.iter().find(|moved| moved.text as usize == text)?;
        Some(self.stub_at + usize::from(found.stub))
    }

    /// Whether the stub covers this offset of the zone.
    pub fn covers(&self, zone_offset: usize) -> bool {
        (self.stub_at..self.stub_at + usize::from(self.length)).contains(&zone_offset)
    }
}

const _: () = assert!(ZONE.is_multiple_of(4096));

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions};
    use proptest::prelude::*;

    use super::*;
    use crate::{BLOCK, DISTANCES, LOW_DISTANCES};

    const ENTRY: u32 = 0x40;

    /// A block of no-operations with `code` such that its first `syscall` is at `site`.
    fn block(site: usize, code: &[u8]) -> Vec<u8> {
        let mut text = vec![0x90; BLOCK as usize];
        let at = code.windows(2).position(|pair| pair == SYSCALL).unwrap();
        text[site - at..site - at + code.len()].copy_from_slice(code);
        text
    }

    fn planned(text: &[u8], site: usize, number: u64, distance: i64) -> Result<Patch, Refusal> {
        plan(&Request { text, site, number, distance, entry: ENTRY }, &mut Zone::new())
    }

    /// The instructions of a stub, as text, with addresses relative to the block.
    fn listing(patch: &Patch, distance: i64) -> Vec<(usize, String)> {
        let start = distance + patch.stub_at as i64;
        let mut lines = Vec::new();
        let mut bytes = patch.stub().to_vec();
        // The word in the middle is data.
        let data = bytes.windows(4).position(|word| word == ENTRY.to_le_bytes()).unwrap() + 4;
        bytes[data..data + 4].fill(0x90);
        let mut decoder = Decoder::with_ip(64, &bytes, start as u64, DecoderOptions::NONE);
        while decoder.can_decode() {
            let at = decoder.position();
            let instruction = decoder.decode();
            assert!(!instruction.is_invalid(), "{:02x?}", patch.stub());
            if !(data..data + 4).contains(&at) {
                let target = if instruction.is_ip_rel_memory_operand() {
                    instruction.ip_rel_memory_address()
                } else {
                    instruction.near_branch_target()
                };
                let name = format!("{:?} {}", instruction.mnemonic(), target as i64);
                lines.push((patch.stub_at + at, name));
            }
        }
        lines
    }

    #[test]
    fn the_comparison_behind_a_call_is_displaced() {
        // mov eax, 3; syscall; cmp rax, -4096
        let code = [0xb8, 3, 0, 0, 0, 0x0f, 5, 0x48, 0x3d, 0, 0xf0, 0xff, 0xff, 0x77, 5];
        for distance in DISTANCES.into_iter().chain(LOW_DISTANCES) {
            for site in [5, 0x1234, BLOCK as usize - 20] {
                let text = block(site, &code);
                let patch = planned(&text, site, 3, distance).unwrap();
                assert_eq!(patch.at, site);
                assert!(is_fault(patch.jump[2]));
                let names: Vec<String> =
                    listing(&patch, distance).into_iter().map(|(_, name)| name).collect();
                let back = site + 8;
                assert_eq!(names[2..], ["Cmp 0".to_owned(), format!("Jmp {back}")]);
                let stub = patch.stub_at;
                assert_eq!(patch.program_address(stub), Some(site));
                assert_eq!(patch.program_address(stub + 7), Some(site));
                assert_eq!(patch.program_address(stub + HEAD), Some(site + 2));
                assert_eq!(patch.program_address(stub + HEAD + 6), Some(back));
                assert_eq!(patch.program_address(stub + 3), None);
                assert_eq!(patch.continuation(site + 2), Some(stub + HEAD));
                assert_eq!(patch.continuation(site), None);
            }
        }
    }

    #[test]
    fn short_instructions_displace_each_other() {
        // syscall; pop rbx; pop rbp; xor edx, edx: boundaries at 2, 3 and 4
        let code = [0x0f, 5, 0x5b, 0x5d, 0x31, 0xd2, 0x90];
        for distance in DISTANCES {
            let site = 0x2_3456;
            let patch = planned(&block(site, &code), site, 0, distance).unwrap();
            assert!(patch.jump[2..].iter().all(|&byte| is_fault(byte)), "{:02x?}", patch.jump);
            for (place, text) in [(0, site + 2), (1, site + 3), (2, site + 4)] {
                let stub = patch.continuation(text).unwrap();
                assert_eq!(stub, patch.stub_at + HEAD + place);
                assert_eq!(patch.program_address(stub), Some(text));
            }
        }
    }

    #[test]
    fn a_return_needs_padding_behind_it() {
        let padded = [0x0f, 5, 0xc3, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0];
        let patch = planned(&block(100, &padded), 100, 0, DISTANCES[0]).unwrap();
        assert_eq!(patch.stub().last(), Some(&0xc3));
        let followed = [0x0f, 5, 0xc3, 0x48, 0x89, 0xf8];
        assert_eq!(
            planned(&block(100, &followed), 100, 0, DISTANCES[0]).err(),
            Some(Refusal::Shape)
        );
    }

    #[test]
    fn jumps_and_relative_addresses_keep_their_targets() {
        // syscall; mov [rip+0x100], rax
        let store = [0x0f, 5, 0x48, 0x89, 5, 0, 1, 0, 0];
        // syscall; test eax, eax; jne +0x20
        let test = [0x0f, 5, 0x85, 0xc0, 0x75, 0x20];
        for distance in DISTANCES {
            let patch = planned(&block(200, &store), 200, 0, distance).unwrap();
            assert_eq!(listing(&patch, distance)[2].1, format!("Mov {}", 209 + 0x100));
            let patch = planned(&block(200, &test), 200, 0, distance).unwrap();
            assert_eq!(listing(&patch, distance)[3].1, format!("Jne {}", 206 + 0x20));
        }
    }

    #[test]
    fn the_number_is_replaced_only_when_it_is_certain() {
        // mov eax, 231; syscall; call
        let call = [0xe8, 0, 0, 0, 0];
        let with = |load: &[u8]| [load, &SYSCALL, &call].concat();
        let plain = with(&[0x90, 0xb8, 231, 0, 0, 0]);
        let patch = planned(&block(100, &plain), 100, 231, DISTANCES[0]).unwrap();
        assert_eq!((patch.at, patch.replaced), (95, [0xb8, 231, 0, 0, 0]));
        assert_eq!(patch.program_address(patch.stub_at), Some(95));
        assert_eq!(patch.program_address(patch.stub_at + 5), Some(100));
        assert_eq!(patch.program_address(patch.stub_at + 5 + HEAD), Some(102));
        let long = with(&[0x48, 0xc7, 0xc0, 231, 0, 0, 0]);
        assert_eq!(planned(&block(100, &long), 100, 231, DISTANCES[0]).unwrap().at, 93);
        // Another number was asked for: somebody jumped to the call.
        assert!(planned(&block(100, &plain), 100, 60, DISTANCES[0]).is_err());
        // mov r8d, 231 is another instruction.
        let other = with(&[0x41, 0xb8, 231, 0, 0, 0]);
        assert!(planned(&block(100, &other), 100, 231, DISTANCES[0]).is_err());
    }

    #[test]
    fn a_full_zone_refuses() {
        let code = [0x0f, 5, 0x48, 0x3d, 0, 0xf0, 0xff, 0xff];
        let text = block(0x800, &code);
        let request =
            Request { text: &text, site: 0x800, number: 0, distance: DISTANCES[0], entry: 0 };
        let mut zone = Zone::new();
        let mut count = 0;
        let refusal = loop {
            match plan(&request, &mut zone) {
                Ok(_) => count += 1,
                Err(refusal) => break refusal,
            }
        };
        assert_eq!(refusal, Refusal::Full);
        assert!(count > 20, "only {count}");
    }

    proptest! {
        /// Whatever follows the call: a plan keeps inside its room, and every address of its
        /// displaced instructions leads there and back.
        #[test]
        fn any_text(
            code in proptest::collection::vec(any::<u8>(), 40),
            site in 60usize..BLOCK as usize - 60,
            number in 0u64..500,
            distance in proptest::sample::select(DISTANCES.to_vec()),
        ) {
            let mut text = vec![0x90; BLOCK as usize];
            text[site - 20..site + 20].copy_from_slice(&code);
            text[site..site + 2].copy_from_slice(&SYSCALL);
            if let Ok(patch) = planned(&text, site, number, distance) {
                prop_assert!(patch.stub_at + patch.stub().len() <= ZONE as usize);
                prop_assert_eq!(patch.stub_at % crate::SLOT, 0);
                for text in site + 2..site + 5 {
                    if let Some(stub) = patch.continuation(text) {
                        prop_assert!(is_fault(patch.jump[text - site]));
                        prop_assert_eq!(patch.program_address(stub), Some(text));
                        prop_assert!(patch.covers(stub));
                    }
                }
            }
        }
    }
}
