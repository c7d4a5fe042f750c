//! What an ELF program asks for when it is started (System V ABI, "Program Loading").
//!
//! Principles: headers are claims. Every number is checked before it is used, so that whoever
//! maps the [`Segment`]s needs no checks of overflow or order; the file is read only through a
//! function that the caller gives.
//!
//! Not here: mapping, symbols, sections, relocations.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

use elf::abi::{EM_X86_64, ET_DYN, ET_EXEC, PF_R, PF_W, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::parse::{ParseAt, ParsingTable};
use elf::segment::ProgramHeader;

/// The most program headers of a program, and bytes of an interpreter's name.
const MAX_HEADERS: usize = 128;
const MAX_INTERPRETER: u64 = 4096;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// It is no program for this machine, or a damaged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotExecutable;

/// A part of a program to be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Address in the program.
    pub address: u64,
    /// Offset in the file; equal to the address modulo the size of a page.
    pub offset: u64,
    /// Bytes from the file.
    pub file_size: u64,
    /// Bytes in memory, not fewer.
    pub memory_size: u64,
    /// Whether the program may load, store, and fetch instructions there.
    pub rights: (bool, bool, bool),
}

impl Segment {
    /// The address behind its last byte in memory.
    pub fn end(&self) -> u64 {
        self.address + self.memory_size
    }
}

/// An ELF program, as far as starting it needs.
#[derive(Clone, Debug)]
pub struct Executable {
    /// Its parts, lowest first; none overlap. As on Linux there may be none, of which the program
    /// learns by a fault.
    pub segments: Vec<Segment>,
    /// Where it starts.
    pub entry: u64,
    /// Whether it can be loaded anywhere.
    pub relocatable: bool,
    /// The address of its program headers, and how many they are.
    pub headers: (u64, u64),
    /// The path of the interpreter that it asks for.
    pub interpreter: Option<Vec<u8>>,
    /// Whether its stack is to be executable.
    pub executable_stack: bool,
}

impl Executable {
    /// Reads the headers of a program. `at` gives bytes of its file: as many as asked for from
    /// an offset on, or an error. No segment ends at or above `limit`.
    ///
    /// # Errors
    /// [`NotExecutable`], or what `at` gave.
    pub fn read<E: From<NotExecutable>>(
        limit: u64,
        mut at: impl FnMut(u64, usize) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let head = at(0, 64)?;
        let (identity, rest) = head.split_at_checked(16).ok_or(NotExecutable)?;
        let identity = parse_ident::<LittleEndian>(identity).map_err(|_| NotExecutable)?;
        if identity.1 != Class::ELF64 {
            return Err(NotExecutable.into());
        }
        let header = FileHeader::parse_tail(identity, rest).map_err(|_| NotExecutable)?;
        let kind_is_known = header.e_type == ET_EXEC || header.e_type == ET_DYN;
        let count = usize::from(header.e_phnum);
        let entry_size = ProgramHeader::size_for(Class::ELF64);
        if header.e_machine != EM_X86_64
            || !kind_is_known
            || usize::from(header.e_phentsize) != entry_size
            || !(1..=MAX_HEADERS).contains(&count)
        {
            return Err(NotExecutable.into());
        }
        let bytes = at(header.e_phoff, count * entry_size)?;
        let table = ParsingTable::<_, ProgramHeader>::new(LittleEndian, Class::ELF64, &bytes);
        let mut executable = Self {
            segments: Vec::new(),
            entry: header.e_entry,
            relocatable: header.e_type == ET_DYN,
            headers: (0, count as u64),
            interpreter: None,
            executable_stack: false,
        };
        for part in table.iter() {
            match part.p_type {
                PT_LOAD if part.p_memsz > 0 => executable.add(&part, header.e_phoff, limit)?,
                PT_INTERP => {
                    if !(2..=MAX_INTERPRETER).contains(&part.p_filesz) {
                        return Err(NotExecutable.into());
                    }
                    let mut path = at(part.p_offset, part.p_filesz as usize)?;
                    if path.pop() != Some(0) {
                        return Err(NotExecutable.into());
                    }
                    executable.interpreter = Some(path);
                }
                PT_GNU_STACK => executable.executable_stack = part.p_flags & PF_X != 0,
                _ => {}
            }
        }
        Ok(executable)
    }

    fn add(
        &mut self,
        part: &ProgramHeader,
        table_offset: u64,
        limit: u64,
    ) -> Result<(), NotExecutable> {
        let end = part.p_vaddr.checked_add(part.p_memsz).filter(|end| *end < limit);
        let file_end = part.p_offset.checked_add(part.p_filesz);
        let previous = self.segments.last().map_or(0, Segment::end);
        let (Some(_), Some(file_end)) = (end, file_end) else { return Err(NotExecutable) };
        if part.p_filesz > part.p_memsz
            || part.p_vaddr % PAGE != part.p_offset % PAGE
            || part.p_vaddr < previous
        {
            return Err(NotExecutable);
        }
        if self.headers.0 == 0 && (part.p_offset..file_end).contains(&table_offset) {
            self.headers.0 = table_offset - part.p_offset + part.p_vaddr;
        }
        let has = |flag| part.p_flags & flag != 0;
        self.segments.push(Segment {
            address: part.p_vaddr,
            offset: part.p_offset,
            file_size: part.p_filesz,
            memory_size: part.p_memsz,
            rights: (has(PF_R), has(PF_W), has(PF_X)),
        });
        Ok(())
    }

    /// First address and length in memory, in whole pages.
    pub fn extent(&self) -> (u64, u64) {
        let first = self.segments.first().map_or(0, |segment| segment.address & !(PAGE - 1));
        let end = self.segments.last().map_or(0, Segment::end);
        (first, end.next_multiple_of(PAGE) - first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 0x7fff_ffff_f000;

    fn read(bytes: &[u8]) -> Result<Executable, NotExecutable> {
        Executable::read(LIMIT, |offset, length| {
            let start = usize::try_from(offset).map_err(|_| NotExecutable)?;
            let part = bytes.get(start..).and_then(|rest| rest.get(..length));
            part.map(<[u8]>::to_vec).ok_or(NotExecutable)
        })
    }

    /// A program with one segment over the whole file.
    fn program() -> Vec<u8> {
        let mut bytes = vec![0; 120];
        bytes[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        let mut put = |at: usize, value: u64, length: usize| {
            bytes[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
        };
        put(16, 2, 2); // ET_EXEC
        put(18, 62, 2); // x86-64
        put(20, 1, 4);
        put(24, 0x40_0078, 8); // entry
        put(32, 64, 8); // program headers
        put(52, 64, 2);
        put(54, 56, 2);
        put(56, 1, 2);
        put(64, 1, 4); // PT_LOAD
        put(68, 5, 4);
        put(80, 0x40_0000, 8);
        put(96, 120, 8);
        put(104, 0x2000, 8);
        bytes
    }

    #[test]
    fn a_program_is_read() {
        let executable = read(&program()).unwrap();
        assert_eq!(executable.headers, (0x40_0040, 1));
        assert_eq!(executable.extent(), (0x40_0000, 0x2000));
        assert_eq!(executable.segments[0].rights, (true, false, true));
        assert!(!executable.relocatable && executable.interpreter.is_none());
    }

    #[test]
    fn claims_that_do_not_hold_are_refused() {
        // Offset of a field, and a value that it must not have.
        let claims = [
            (4, 1, 1),               // 32-bit
            (16, 4, 2),              // a core file
            (18, 3, 2),              // another machine
            (32, u64::MAX, 8),       // program headers nowhere
            (54, 32, 2),             // of another size
            (56, 0, 2),              // none
            (56, 0xffff, 2),         // too many
            (80, u64::MAX - 1, 8),   // ends behind the last address
            (80, LIMIT - 0x2000, 8), // ends at the limit
            (80, 0x40_0001, 8),      // address and offset differ in the page
            (96, 0x3000, 8),         // more in the file than in memory
        ];
        for (at, value, length) in claims {
            let mut bytes = program();
            bytes[at..at + length].copy_from_slice(&u64::to_le_bytes(value)[..length]);
            assert!(read(&bytes).is_err(), "{value:#x} at {at}");
        }
        for length in 0..120 {
            assert!(read(&program()[..length]).is_err(), "{length} bytes");
        }
    }
}
