//! The vDSO: the shared object that the kernel maps into every program, by which C libraries
//! and language runtimes read clocks without a system call (vdso(7)).
//!
//! [`image`] puts machine code into an ELF image that every loader of the field understands:
//! one read-only segment that contains everything, symbols with the version `LINUX_2.6` found
//! through a System V hash table, no relocations (System V ABI, chapters 4 and 5).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

/// Offset of the code in the image, so that the code can find what lies at a fixed distance
/// from the image.
pub const CODE_AT: usize = 0x800;

/// A function of the code.
#[derive(Clone, Copy, Debug)]
pub struct Function<'a> {
    /// Its name as on Linux, `__vdso_…`.
    pub name: &'a str,
    /// Its offset in the code.
    pub offset: usize,
}

const VERSION: &str = "LINUX_2.6";
const NAME: &str = "linux-vdso.so.1";

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SYMBOL: usize = 24;

/// Strings one after the other, each with a NUL.
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, text: &str) -> u32 {
        let at = self.0.len() as u32;
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        at
    }
}

/// The hash function of ELF's symbol tables and versions.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0, |sum: u32, byte| {
        let sum = (sum << 4).wrapping_add(u32::from(byte));
        let high = sum & 0xf000_0000;
        (sum ^ high >> 24) & !high
    })
}

fn pad(bytes: &mut Vec<u8>, alignment: usize) {
    bytes.resize(bytes.len().next_multiple_of(alignment), 0);
}

fn words<const N: usize>(bytes: &mut Vec<u8>, words: [u64; N]) {
    for word in words {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
}

fn halves<const N: usize>(bytes: &mut Vec<u8>, words: [u32; N]) {
    for word in words {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
}

fn quarters<const N: usize>(bytes: &mut Vec<u8>, words: [u16; N]) {
    for word in words {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
}

/// The image, to be mapped at a page boundary, readable and executable.
///
/// # Panics
/// When the names take more room than there is before [`CODE_AT`]: a dozen functions fit.
pub fn image(code: &[u8], functions: &[Function<'_>]) -> Vec<u8> {
    let mut strings = Strings(alloc::vec![0]);
    let library = strings.add(NAME);
    let version = strings.add(VERSION);
    let mut symbols = alloc::vec![0; SYMBOL];
    let mut versions = alloc::vec![0u8; 2];
    let mut hashes = Vec::new();
    for function in functions {
        hashes.push(hash(function.name));
        halves(&mut symbols, [strings.add(function.name)]);
        // A global function of the only section that there would be.
        symbols.extend_from_slice(&[0x12, 0]);
        quarters(&mut symbols, [1]);
        words(&mut symbols, [(CODE_AT + function.offset) as u64, 0]);
        quarters(&mut versions, [2]);
    }

    let headers = HEADER + 3 * PROGRAM_HEADER;
    let mut tables = Vec::new();
    let symbols_at = headers;
    tables.extend_from_slice(&symbols);
    let hash_at = headers + tables.len();
    hash_table(&mut tables, &hashes);
    let versions_at = headers + tables.len();
    tables.extend_from_slice(&versions);
    pad(&mut tables, 8);
    let definitions_at = headers + tables.len();
    definition(&mut tables, 1, 1, NAME, library, false);
    definition(&mut tables, 0, 2, VERSION, version, true);
    pad(&mut tables, 8);
    let dynamic_at = headers + tables.len();
    let strings_at = dynamic_at + 10 * 16;
    for (tag, value) in [
        (14, u64::from(library)),             // DT_SONAME
        (4, hash_at as u64),                  // DT_HASH
        (5, strings_at as u64),               // DT_STRTAB
        (6, symbols_at as u64),               // DT_SYMTAB
        (10, strings.0.len() as u64),         // DT_STRSZ
        (11, SYMBOL as u64),                  // DT_SYMENT
        (0x6fff_fffc, definitions_at as u64), // DT_VERDEF
        (0x6fff_fffd, 2),                     // DT_VERDEFNUM
        (0x6fff_fff0, versions_at as u64),    // DT_VERSYM
        (0, 0),
    ] {
        words(&mut tables, [tag, value]);
    }
    tables.extend_from_slice(&strings.0);

    let end = CODE_AT + code.len();
    let mut image = Vec::with_capacity(end);
    image.extend_from_slice(b"\x7fELF\x02\x01\x01");
    image.resize(16, 0);
    // A shared object for x86-64.
    quarters(&mut image, [3, 62]);
    halves(&mut image, [1]);
    words(&mut image, [CODE_AT as u64, HEADER as u64, 0]);
    halves(&mut image, [0]);
    quarters(&mut image, [HEADER as u16, PROGRAM_HEADER as u16, 3, 64, 0, 0]);
    let dynamic_len = (strings_at - dynamic_at) as u64;
    for (kind, flags, at, length, alignment) in [
        (1, 5, 0, end as u64, 4096),               // PT_LOAD
        (2, 4, dynamic_at as u64, dynamic_len, 8), // PT_DYNAMIC
        (0x6474_e551, 6, 0, 0, 16),                // PT_GNU_STACK
    ] {
        halves(&mut image, [kind, flags]);
        words(&mut image, [at, at, at, length, length, alignment]);
    }
    image.extend_from_slice(&tables);
    assert!(image.len() <= CODE_AT, "too many functions for the vDSO");
    image.resize(CODE_AT, 0);
    image.extend_from_slice(code);
    image
}

/// A hash table of one bucket: there are few symbols.
fn hash_table(tables: &mut Vec<u8>, hashes: &[u32]) {
    let count = hashes.len() as u32 + 1;
    halves(tables, [1, count, if count > 1 { 1 } else { 0 }, 0]);
    for index in 1..count {
        halves(tables, [if index + 1 < count { index + 1 } else { 0 }]);
    }
    pad(tables, 8);
}

/// A version definition (`Elf64_Verdef`) with its name.
fn definition(tables: &mut Vec<u8>, flags: u16, index: u16, name: &str, string: u32, last: bool) {
    quarters(tables, [1, flags, index, 1]);
    halves(tables, [hash(name), 20, if last { 0 } else { 28 }, string, 0]);
}

#[cfg(test)]
mod tests {
    use elf::ElfBytes;
    use elf::endian::LittleEndian;

    use super::*;

    const FUNCTIONS: [Function<'static>; 3] = [
        Function { name: "__vdso_clock_gettime", offset: 0 },
        Function { name: "__vdso_time", offset: 16 },
        Function { name: "__vdso_getcpu", offset: 32 },
    ];

    #[test]
    fn every_function_is_found_by_name_and_version() {
        let bytes = image(&[0xc3; 48], &FUNCTIONS);
        let file = ElfBytes::<LittleEndian>::minimal_parse(&bytes).unwrap();
        let dynamic = file.dynamic().unwrap().unwrap();
        let value = |tag: i64| {
            let entry = dynamic.iter().find(|entry| entry.d_tag == tag).unwrap();
            entry.d_val() as usize
        };
        let strings = elf::string_table::StringTable::new(&bytes[value(5)..][..value(10)]);
        let symbols = elf::symbol::SymbolTable::new(
            LittleEndian,
            elf::file::Class::ELF64,
            &bytes[value(6)..][..24 * 4],
        );
        let table = elf::hash::SysVHashTable::new(
            LittleEndian,
            elf::file::Class::ELF64,
            &bytes[value(4)..][..4 * 8],
        )
        .unwrap();
        for function in FUNCTIONS {
            let name = function.name.as_bytes();
            let (index, symbol) = table.find(name, &symbols, &strings).unwrap().unwrap();
            assert_eq!(symbol.st_value as usize, CODE_AT + function.offset);
            let version = &bytes[value(0x6fff_fff0) + 2 * index..][..2];
            assert_eq!(version, 2u16.to_le_bytes());
        }
        assert!(table.find(b"__vdso_clock_getres", &symbols, &strings).unwrap().is_none());
    }

    #[test]
    fn versions_have_the_hashes_that_loaders_look_for() {
        // As C libraries have it built in.
        assert_eq!(hash("LINUX_2.6"), 0x3ae75f6);
    }

    #[test]
    fn the_segment_holds_all() {
        let bytes = image(&[0xc3; 48], &FUNCTIONS);
        let file = ElfBytes::<LittleEndian>::minimal_parse(&bytes).unwrap();
        let segments = file.segments().unwrap();
        let load = segments.iter().find(|segment| segment.p_type == 1).unwrap();
        assert_eq!((load.p_offset, load.p_vaddr, load.p_filesz), (0, 0, bytes.len() as u64));
        assert_eq!(bytes[CODE_AT..], [0xc3; 48]);
    }
}
