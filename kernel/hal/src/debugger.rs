//! A place where a debugger stops.

/// A program has been loaded into the active address space: `program` and `interpreter` are what
/// was added to the addresses in their files. Does nothing; a debugger that stops here can load
/// the program's symbols. The arguments are in the first two registers of the C convention.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn drupe_program_loaded(program: u64, interpreter: u64) {
    core::hint::black_box((program, interpreter));
}
