//! The vDSO: where every program finds the functions that read clocks without a system call.

use arch::clock_code::{self, DATA_BEFORE};
use hal::{PAGE_SIZE, Protection, Range};
use spin::Once;
use vdso::{CODE_AT, Function};

use crate::error::Result;
use crate::file::memory_file_of;
use crate::memory::{Areas, Mapped, Memory, find_below, page_up};

const _: () = assert!(DATA_BEFORE == CODE_AT + PAGE_SIZE as usize);

/// The page of data and the image, in a file that programs map privately.
static FILE: Once<Option<(Mapped, u64)>> = Once::new();

fn make() -> Result<(Mapped, u64)> {
    let functions = clock_code::functions().map(|(name, offset)| Function { name, offset });
    let image = vdso::image(clock_code::code(), &functions);
    let mut bytes = hal::user_clock().words().map(u64::to_le_bytes).as_flattened().to_vec();
    bytes.resize(PAGE_SIZE as usize, 0);
    bytes.extend_from_slice(&image);
    Ok((memory_file_of(&bytes)?, page_up(bytes.len() as u64)))
}

/// Maps the vDSO somewhere below `top` and gives the image's address; 0 when there is no memory
/// for it, which programs can live with.
pub fn map(memory: &Memory, areas: &mut Areas, top: u64) -> Result<u64> {
    let Some((file, length)) = FILE.call_once(|| make().ok()) else { return Ok(0) };
    let Some(range) = find_below(areas, top, *length) else { return Ok(0) };
    let image = Range { start: range.start + PAGE_SIZE, end: range.end };
    let data = Range { start: range.start, end: image.start };
    let content = |offset| Some((file.clone(), offset));
    memory.map_at(areas, data, Protection::READ, false, content(0), "[vvar]")?;
    let protection = Protection::READ_EXECUTE;
    memory.map_at(areas, image, protection, false, content(PAGE_SIZE), "[vdso]")?;
    Ok(image.start)
}
