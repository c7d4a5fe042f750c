//! Reading ELF programs. Headers are claims: every number is checked before it is used.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ::elf::abi::{EM_X86_64, ET_DYN, ET_EXEC, PF_R, PF_W, PF_X, PT_INTERP, PT_LOAD};
use ::elf::endian::LittleEndian;
use ::elf::file::{Class, FileHeader, parse_ident};
use ::elf::parse::{ParseAt, ParsingTable};
use ::elf::segment::ProgramHeader;
use errno::Errno;
use hal::Protection;
use vfs::{Inode, Location};

use crate::error::{Result, fail};
use crate::file::read_pages;
use crate::memory::TASK_END;
use crate::user::{Collected, Sink};

/// The most program headers of a program, and bytes of an interpreter's name.
const MAX_HEADERS: usize = 128;
const MAX_INTERPRETER: u64 = 4096;

/// A part of a program to be mapped.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Address in the program.
    pub address: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes from the file.
    pub file_size: u64,
    /// Bytes in memory.
    pub memory_size: u64,
    /// What the program may do there.
    pub protection: Protection,
}

/// An ELF program, as far as starting it needs.
pub struct Program {
    /// Its file.
    pub location: Location,
    /// Its content.
    pub inode: Arc<dyn Inode>,
    /// Its parts, lowest first.
    pub segments: Vec<Segment>,
    /// Where it starts.
    pub entry: u64,
    /// Whether it can be loaded anywhere.
    pub relocatable: bool,
    /// The address of its program headers, and how many they are.
    pub headers: (u64, u64),
    /// The interpreter that it asks for.
    pub interpreter: Option<Vec<u8>>,
    /// Whether its stack is to be executable.
    pub executable_stack: bool,
}

fn read_exactly(inode: &dyn Inode, offset: u64, length: usize) -> Result<Vec<u8>> {
    let mut sink = Collected::new(length);
    read_pages(inode, &mut sink, offset)?;
    if sink.room() > 0 { fail(Errno::ENOEXEC) } else { Ok(sink.bytes) }
}

impl Program {
    /// Reads the headers of the program in a file.
    ///
    /// # Errors
    /// `ENOEXEC` when it is no program for this machine, or a damaged one.
    pub fn read(location: &Location) -> Result<Self> {
        let inode = Arc::clone(location.inode());
        let header = read_exactly(&*inode, 0, 64)?;
        let malformed = |_| Errno::ENOEXEC;
        let identity = parse_ident::<LittleEndian>(&header[..16]).map_err(malformed)?;
        if identity.1 != Class::ELF64 {
            return fail(Errno::ENOEXEC);
        }
        let header = FileHeader::parse_tail(identity, &header[16..]).map_err(malformed)?;
        let kind_is_known = header.e_type == ET_EXEC || header.e_type == ET_DYN;
        let count = usize::from(header.e_phnum);
        let entry_size = ProgramHeader::size_for(Class::ELF64);
        if header.e_machine != EM_X86_64
            || !kind_is_known
            || usize::from(header.e_phentsize) != entry_size
            || !(1..=MAX_HEADERS).contains(&count)
        {
            return fail(Errno::ENOEXEC);
        }
        let bytes = read_exactly(&*inode, header.e_phoff, count * entry_size)?;
        let table = ParsingTable::<_, ProgramHeader>::new(LittleEndian, Class::ELF64, &bytes);
        let mut program = Self {
            location: location.clone(),
            inode,
            segments: Vec::new(),
            entry: header.e_entry,
            relocatable: header.e_type == ET_DYN,
            headers: (0, count as u64),
            interpreter: None,
            executable_stack: false,
        };
        for part in table.iter() {
            program.add(&part, header.e_phoff)?;
        }
        Ok(program)
    }

    fn add(&mut self, part: &ProgramHeader, table_offset: u64) -> Result<()> {
        const PT_GNU_STACK: u32 = 0x6474_e551;
        match part.p_type {
            PT_LOAD if part.p_memsz > 0 => {
                let end = part.p_vaddr.checked_add(part.p_memsz).filter(|end| *end < TASK_END);
                let file_end = part.p_offset.checked_add(part.p_filesz);
                let previous =
                    self.segments.last().map_or(0, |last| last.address + last.memory_size);
                if end.is_none()
                    || file_end.is_none()
                    || part.p_filesz > part.p_memsz
                    || part.p_vaddr % 4096 != part.p_offset % 4096
                    || part.p_vaddr < previous
                {
                    return fail(Errno::ENOEXEC);
                }
                let inside =
                    part.p_offset <= table_offset && table_offset < part.p_offset + part.p_filesz;
                if inside && self.headers.0 == 0 {
                    self.headers.0 = table_offset - part.p_offset + part.p_vaddr;
                }
                self.segments.push(Segment {
                    address: part.p_vaddr,
                    offset: part.p_offset,
                    file_size: part.p_filesz,
                    memory_size: part.p_memsz,
                    protection: Protection {
                        read: part.p_flags & PF_R != 0,
                        write: part.p_flags & PF_W != 0,
                        execute: part.p_flags & PF_X != 0,
                    },
                });
            }
            PT_INTERP => {
                if !(2..=MAX_INTERPRETER).contains(&part.p_filesz) {
                    return fail(Errno::ENOEXEC);
                }
                let mut path = vec![];
                path.extend(read_exactly(&*self.inode, part.p_offset, part.p_filesz as usize)?);
                if path.pop() != Some(0) {
                    return fail(Errno::ENOEXEC);
                }
                self.interpreter = Some(path);
            }
            PT_GNU_STACK => self.executable_stack = part.p_flags & PF_X != 0,
            _ => {}
        }
        Ok(())
    }

    /// First address and length in memory, in whole pages.
    pub fn extent(&self) -> (u64, u64) {
        let first = self.segments.first().map_or(0, |segment| segment.address & !4095);
        let end = self.segments.last().map_or(0, |segment| segment.address + segment.memory_size);
        (first, crate::memory::page_up(end) - first)
    }
}
