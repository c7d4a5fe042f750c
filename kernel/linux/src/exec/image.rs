//! Mapping a program and its interpreter.

use errno::Errno;
use hal::{Protection, Range};

use super::elf::{Program, Segment, protection};
use crate::error::{Result, fail};
use crate::memory::{
    Areas, Layout, Mapped, Memory, STACK_LEN, find_below, is_usable, page_down, page_up,
};
use crate::{random, user};

/// What was loaded, for the initial stack.
pub struct Loaded {
    /// Where to start.
    pub entry: u64,
    /// The program's own entry, for `AT_ENTRY`.
    pub program_entry: u64,
    /// Address and number of its program headers.
    pub headers: (u64, u64),
    /// Where the interpreter was loaded, or 0.
    pub interpreter_base: u64,
    /// Where the vDSO is, or 0.
    pub vdso: u64,
}

/// Decides where a program goes, as far as that does not depend on what else is mapped.
pub fn place(program: &Program, layout: &mut Layout) {
    let (first, length) = program.extent();
    let base = if program.relocatable { layout.program_base } else { 0 };
    let end = base.wrapping_add(first).wrapping_add(length);
    // The heap starts at a random distance behind the program.
    layout.heap_start = page_up(end).wrapping_add((random::number() & 0x1fff) * 4096);
    let text = program.segments.iter().find(|segment| protection(segment).execute);
    if let Some(text) = text {
        let start = base.wrapping_add(text.address);
        layout.text = (start, start.wrapping_add(text.memory_size));
    }
}

fn map_segment(
    program: &Program,
    segment: &Segment,
    base: u64,
    memory: &Memory,
    areas: &mut Areas,
) -> Result<()> {
    let start = base.wrapping_add(segment.address);
    let first = page_down(start);
    let file_end = start + segment.file_size;
    let end = page_up(start + segment.memory_size);
    let file_pages = page_up(file_end).min(end);
    if segment.file_size > 0 {
        let range = Range { start: first, end: file_pages };
        let file =
            Mapped { inode: program.inode.clone(), location: Some(program.location.clone()) };
        let content = Some((file, page_down(segment.offset)));
        memory.map_at(areas, range, protection(segment), false, content, "")?;
    }
    let zeros = if segment.file_size > 0 { file_pages } else { first };
    if zeros < end {
        let range = Range { start: zeros, end };
        memory.map_at(areas, range, protection(segment), false, None, "")?;
    }
    Ok(())
}

static ZEROS: [u8; 4096] = [0; 4096];

/// Clears what the file shows behind a segment's file part in its last page.
fn clear_tails(program: &Program, base: u64) -> Result<()> {
    for segment in &program.segments {
        let file_end = base.wrapping_add(segment.address + segment.file_size);
        let needs = protection(segment).write
            && segment.memory_size > segment.file_size
            && segment.file_size > 0;
        if needs && file_end != page_up(file_end) {
            user::write_bytes(file_end, &ZEROS[..(page_up(file_end) - file_end) as usize])?;
        }
    }
    Ok(())
}

fn map_program(program: &Program, base: u64, memory: &Memory, areas: &mut Areas) -> Result<()> {
    let (first, length) = program.extent();
    let Some(start) = base.checked_add(first) else { return fail(Errno::ENOEXEC) };
    let Some(end) = start.checked_add(length) else { return fail(Errno::ENOEXEC) };
    if start < 0x1_0000 || !is_usable(Range { start, end }) {
        return fail(Errno::ENOMEM);
    }
    for segment in &program.segments {
        map_segment(program, segment, base, memory, areas)?;
    }
    Ok(())
}

/// Maps a program, its interpreter and its stack into the active, empty memory.
pub fn load(
    program: &Program,
    interpreter: Option<&Program>,
    memory: &Memory,
    layout: &Layout,
) -> Result<Loaded> {
    let mut areas = memory.areas.lock();
    let base = if program.relocatable { layout.program_base } else { 0 };
    map_program(program, base, memory, &mut areas)?;
    let stack = Range { start: layout.stack_top - STACK_LEN, end: layout.stack_top };
    let protection = Protection { execute: program.executable_stack, ..Protection::READ_WRITE };
    memory.map_at(&mut areas, stack, protection, false, None, "[stack]")?;
    let program_entry = base.wrapping_add(program.entry);
    let mut loaded = Loaded {
        entry: program_entry,
        program_entry,
        headers: (base.wrapping_add(program.headers.0), program.headers.1),
        interpreter_base: 0,
        vdso: super::vdso::map(memory, &mut areas, layout.map_top)?,
    };
    if let Some(interpreter) = interpreter {
        let (first, length) = interpreter.extent();
        let range = find_below(&areas, layout.map_top, length).ok_or(Errno::ENOMEM)?;
        let interpreter_base = range.start - first;
        map_program(interpreter, interpreter_base, memory, &mut areas)?;
        loaded.interpreter_base = interpreter_base;
        loaded.entry = interpreter_base.wrapping_add(interpreter.entry);
        drop(areas);
        clear_tails(interpreter, interpreter_base)?;
    } else {
        drop(areas);
    }
    clear_tails(program, base)?;
    hal::drupe_program_loaded(base, loaded.interpreter_base);
    Ok(loaded)
}
