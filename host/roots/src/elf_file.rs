//! The part of an ELF file that says whether and with what it runs.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use elf::abi;
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;

/// Headers and tables larger than this are not read: no sound file has them.
const LONGEST_TABLE: u64 = 16 << 20;

/// User space ends here on x86-64 with four levels of page tables.
const USER_END: u64 = 1 << 47;

/// Why a file is no program that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// It has not got the magic number of ELF.
    NotElf,
    /// It is empty.
    Empty,
    /// It is for 32-bit processors.
    Not64Bit,
    /// It is for another architecture; its name, or its number.
    Architecture(String),
    /// It is an object file, a core dump or the like.
    NotExecutable(&'static str),
    /// It ends before what its headers promise.
    Truncated,
    /// Its headers contradict each other; says which.
    Malformed(&'static str),
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("it is neither an ELF file nor a script"),
            Self::Empty => f.write_str("it is empty"),
            Self::Not64Bit => f.write_str("it is a 32-bit program; only 64-bit ones are supported"),
            Self::Architecture(name) => {
                write!(f, "it is made for {name}, and this guest is x86-64")
            }
            Self::NotExecutable(what) => write!(f, "it is {what}, not a program"),
            Self::Truncated => f.write_str("it is cut off: its headers promise more data"),
            Self::Malformed(what) => write!(f, "its ELF headers are damaged: {what}"),
        }
    }
}

impl std::error::Error for ElfError {}

/// What is of interest in an ELF file. Everything in it was inside the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElfFile {
    /// The dynamic linker that it asks for.
    pub interpreter: Option<PathBuf>,
    /// Names of the shared libraries that it needs, in order.
    pub needed: Vec<String>,
    /// Where libraries are looked for (`DT_RPATH`), for this file and what it loads.
    pub rpath: Vec<String>,
    /// Where this file's libraries are looked for (`DT_RUNPATH`).
    pub runpath: Vec<String>,
    /// Whether it can be loaded anywhere: a shared library or a position-independent program.
    pub is_shared: bool,
}

impl ElfFile {
    /// Reads the headers of `path`.
    ///
    /// # Errors
    /// The outer one when the file cannot be read, the inner one when it is no program.
    pub fn open(path: &Path) -> io::Result<Result<Self, ElfError>> {
        Self::read(&File::open(path)?)
    }

    /// Reads the headers of `file`; see [`ElfFile::open`].
    ///
    /// # Errors
    /// Likewise.
    pub fn read(file: &File) -> io::Result<Result<Self, ElfError>> {
        let length = file.metadata()?.len();
        let mut head = [0; 64];
        let mut filled = 0;
        while filled < head.len() {
            match file.read_at(&mut head[filled..], filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        let at = |offset: u64, size: u64| -> io::Result<Option<Vec<u8>>> {
            let inside = offset.checked_add(size).is_some_and(|end| end <= length);
            if !inside || size > LONGEST_TABLE {
                return Ok(None);
            }
            let mut bytes = vec![0; size as usize];
            file.read_exact_at(&mut bytes, offset)?;
            Ok(Some(bytes))
        };
        match parse(&head[..filled], length, &mut |offset, size| at(offset, size)) {
            Ok(elf) => Ok(Ok(elf)),
            Err(Problem::Elf(error)) => Ok(Err(error)),
            Err(Problem::Io(error)) => Err(error),
        }
    }
}

enum Problem {
    Elf(ElfError),
    Io(io::Error),
}

impl From<ElfError> for Problem {
    fn from(error: ElfError) -> Self {
        Self::Elf(error)
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a range of the file; `None` when it is not inside.
type ReadAt<'a> = dyn FnMut(u64, u64) -> io::Result<Option<Vec<u8>>> + 'a;

fn parse(head: &[u8], length: u64, at: &mut ReadAt<'_>) -> Result<ElfFile, Problem> {
    let malformed = |what| Problem::Elf(ElfError::Malformed(what));
    if head.is_empty() {
        return Err(ElfError::Empty.into());
    }
    let Some(ident) = head.first_chunk::<16>() else {
        return Err(if head.starts_with(b"\x7fELF") {
            ElfError::Truncated
        } else {
            ElfError::NotElf
        }
        .into());
    };
    if !ident.starts_with(b"\x7fELF") {
        return Err(ElfError::NotElf.into());
    }
    match (ident[4], ident[5]) {
        (1, _) => return Err(ElfError::Not64Bit.into()),
        (2, 1) => {}
        (2, 2) => return Err(ElfError::Architecture("a big-endian processor".to_owned()).into()),
        _ => return Err(malformed("neither 32 nor 64 bits")),
    }
    let ident = (LittleEndian, Class::ELF64, ident[7], ident[8]);
    let tail = head.get(16..64).ok_or(ElfError::Truncated)?;
    let header =
        elf::file::FileHeader::parse_tail(ident, tail).map_err(|_| malformed("the file header"))?;
    if header.e_machine != abi::EM_X86_64 {
        return Err(ElfError::Architecture(machine(header.e_machine)).into());
    }
    let is_shared = match header.e_type {
        abi::ET_EXEC => false,
        abi::ET_DYN => true,
        abi::ET_REL => return Err(ElfError::NotExecutable("an object file").into()),
        abi::ET_CORE => return Err(ElfError::NotExecutable("a core dump").into()),
        _ => return Err(malformed("the type")),
    };
    if header.e_phentsize != 56 || header.e_phnum == 0 {
        return Err(malformed("the program headers"));
    }
    let table = at(header.e_phoff, u64::from(header.e_phnum) * 56)?.ok_or(ElfError::Truncated)?;
    let segments: Vec<ProgramHeader> =
        elf::parse::ParsingTable::new(LittleEndian, Class::ELF64, &table).iter().collect();
    check_segments(&segments, length)?;
    let mut file = ElfFile { is_shared, ..ElfFile::default() };
    if let Some(segment) = segments.iter().find(|segment| segment.p_type == abi::PT_INTERP) {
        if !(2..=4096).contains(&segment.p_filesz) {
            return Err(malformed("the interpreter's name"));
        }
        let name = at(segment.p_offset, segment.p_filesz)?.ok_or(ElfError::Truncated)?;
        let name = name.strip_suffix(b"\0").ok_or(malformed("the interpreter's name"))?;
        let name = std::str::from_utf8(name).map_err(|_| malformed("the interpreter's name"))?;
        if !name.starts_with('/') || name.contains('\0') {
            return Err(malformed("the interpreter's name"));
        }
        file.interpreter = Some(name.into());
    }
    if let Some(segment) = segments.iter().find(|segment| segment.p_type == abi::PT_DYNAMIC) {
        dynamic(&mut file, segment, &segments, at)?;
    }
    Ok(file)
}

fn check_segments(segments: &[ProgramHeader], length: u64) -> Result<(), Problem> {
    let malformed = |what| Problem::Elf(ElfError::Malformed(what));
    let mut loads = 0;
    let mut previous_end = 0;
    for segment in segments {
        if segment.p_type != abi::PT_LOAD {
            continue;
        }
        loads += 1;
        let end = segment.p_offset.checked_add(segment.p_filesz);
        if end.is_none_or(|end| end > length) {
            return Err(ElfError::Truncated.into());
        }
        if segment.p_filesz > segment.p_memsz {
            return Err(malformed("a segment larger in the file than in memory"));
        }
        let end = segment.p_vaddr.checked_add(segment.p_memsz);
        if end.is_none_or(|end| end > USER_END) {
            return Err(malformed("a segment outside of user memory"));
        }
        if segment.p_align > 1
            && (!segment.p_align.is_power_of_two()
                || segment.p_vaddr % segment.p_align != segment.p_offset % segment.p_align)
        {
            return Err(malformed("the alignment of a segment"));
        }
        if segment.p_vaddr < previous_end {
            return Err(malformed("segments that overlap"));
        }
        previous_end = segment.p_vaddr + segment.p_memsz;
    }
    if loads == 0 {
        return Err(malformed("nothing to load"));
    }
    Ok(())
}

fn dynamic(
    file: &mut ElfFile,
    segment: &ProgramHeader,
    segments: &[ProgramHeader],
    at: &mut ReadAt<'_>,
) -> Result<(), Problem> {
    let malformed = || Problem::Elf(ElfError::Malformed("the dynamic section"));
    let table = at(segment.p_offset, segment.p_filesz)?.ok_or(ElfError::Truncated)?;
    let mut names = Vec::new();
    let (mut strings_at, mut strings_size) = (None, None);
    let table = elf::parse::ParsingTable::<LittleEndian, elf::dynamic::Dyn>::new(
        LittleEndian,
        Class::ELF64,
        &table,
    );
    for entry in table.iter() {
        match entry.d_tag {
            abi::DT_NULL => break,
            abi::DT_STRTAB => strings_at = Some(entry.d_ptr()),
            abi::DT_STRSZ => strings_size = Some(entry.d_val()),
            abi::DT_NEEDED | abi::DT_RPATH | abi::DT_RUNPATH => {
                names.push((entry.d_tag, entry.d_val()));
            }
            _ => {}
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    let (address, size) = strings_at.zip(strings_size).ok_or_else(malformed)?;
    let offset = segments
        .iter()
        .filter(|load| load.p_type == abi::PT_LOAD)
        .find(|load| address >= load.p_vaddr && address - load.p_vaddr < load.p_filesz)
        .map(|load| load.p_offset + (address - load.p_vaddr))
        .ok_or_else(malformed)?;
    let strings = at(offset, size)?.ok_or(ElfError::Truncated)?;
    for (tag, start) in names {
        let rest = usize::try_from(start).ok().and_then(|start| strings.get(start..));
        let rest = rest.ok_or_else(malformed)?;
        let end = memchr::memchr(0, rest).ok_or_else(malformed)?;
        let name = String::from_utf8(rest[..end].to_vec()).map_err(|_| malformed())?;
        let folders = || name.split(':').filter(|part| !part.is_empty()).map(str::to_owned);
        match tag {
            abi::DT_RPATH => file.rpath.extend(folders()),
            abi::DT_RUNPATH => file.runpath.extend(folders()),
            _ if name.is_empty() => return Err(malformed()),
            _ => file.needed.push(name),
        }
    }
    Ok(())
}

fn machine(number: u16) -> String {
    match number {
        abi::EM_386 => "x86 (32-bit)".to_owned(),
        abi::EM_AARCH64 => "aarch64".to_owned(),
        abi::EM_ARM => "arm".to_owned(),
        abi::EM_RISCV => "riscv".to_owned(),
        abi::EM_PPC64 => "ppc64".to_owned(),
        abi::EM_S390 => "s390x".to_owned(),
        number => format!("a processor with the number {number}"),
    }
}

/// The interpreter and its argument that a script names behind `#!`, if `file` is a script.
///
/// # Errors
/// When the file cannot be read.
pub fn script_interpreter(file: &mut File) -> io::Result<Option<(PathBuf, Option<String>)>> {
    let mut line = Vec::new();
    file.take(4096).read_to_end(&mut line)?;
    let Some(rest) = line.strip_prefix(b"#!") else { return Ok(None) };
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let text = String::from_utf8_lossy(&rest[..end]);
    let text = text.trim();
    let (name, argument) = match text.split_once([' ', '\t']) {
        Some((name, argument)) => (name, Some(argument.trim().to_owned())),
        None => (text, None),
    };
    Ok((!name.is_empty()).then(|| (name.into(), argument)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    fn check(bytes: &[u8]) -> Result<ElfFile, ElfError> {
        let length = bytes.len() as u64;
        let head = &bytes[..bytes.len().min(64)];
        let mut at = |offset: u64, size: u64| {
            let end = offset.checked_add(size).filter(|end| *end <= length);
            Ok(end.map(|end| bytes[offset as usize..end as usize].to_vec()))
        };
        parse(head, length, &mut at).map_err(|problem| match problem {
            Problem::Elf(error) => error,
            Problem::Io(error) => panic!("{error}"),
        })
    }

    #[test]
    fn a_dynamic_program_is_understood() {
        let elf = check(&program()).unwrap();
        assert_eq!(elf.interpreter, Some("/lib64/ld-linux-x86-64.so.2".into()));
        assert!(elf.needed.iter().any(|name| name == "libc.so.6"), "{elf:?}");
        assert!(elf.is_shared);
        let opened = ElfFile::open(&std::env::current_exe().unwrap()).unwrap().unwrap();
        assert_eq!(opened, elf);
    }

    #[test]
    fn what_is_no_program_is_named() {
        assert_eq!(check(b""), Err(ElfError::Empty));
        assert_eq!(check(b"hello, world: no program"), Err(ElfError::NotElf));
        assert_eq!(check(b"\x7fELF"), Err(ElfError::Truncated));
        let mut bytes = program();
        bytes[18] = 183;
        assert_eq!(check(&bytes), Err(ElfError::Architecture("aarch64".to_owned())));
        bytes[4] = 1;
        assert_eq!(check(&bytes), Err(ElfError::Not64Bit));
        let mut bytes = program();
        bytes[16] = 1;
        assert_eq!(check(&bytes), Err(ElfError::NotExecutable("an object file")));
    }

    #[test]
    fn every_cut_in_the_headers_is_refused() {
        let bytes = program();
        for length in 0..2000 {
            assert!(check(&bytes[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn hostile_headers_never_panic() {
        let bytes = program();
        let mut seed = 1u64;
        for _ in 0..20_000 {
            let mut hostile = bytes[..bytes.len().min(8192)].to_vec();
            for _ in 0..3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                let position = (seed >> 33) as usize % 1024;
                hostile[position] = (seed >> 20) as u8;
            }
            let _ = check(&hostile);
        }
    }
}
