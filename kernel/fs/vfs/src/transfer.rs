//! Copying file data to and from kernel memory.

use errno::Errno;

use crate::inode::Inode;
use crate::memory::{Intent, PAGE_SIZE, PageMemory};
use crate::types::Timestamp;

/// Copies file data from `offset` on into `buffer`; returns how many bytes there were. For what
/// the kernel itself reads (program headers, scripts); programs' reads copy from extents to user
/// memory in the same way.
///
/// # Errors
/// Those of [`Inode::open`] and [`Inode::extent`].
pub fn read_at(
    inode: &dyn Inode,
    memory: &dyn PageMemory,
    offset: u64,
    buffer: &mut [u8],
) -> Result<usize, Errno> {
    if let Some(content) = inode.open()? {
        let mut done = 0;
        while done < buffer.len() {
            match content.read(offset + done as u64, &mut buffer[done..])? {
                0 => break,
                count => done += count,
            }
        }
        return Ok(done);
    }
    let end = offset.saturating_add(buffer.len() as u64).min(inode.size());
    let mut position = offset;
    while position < end {
        let (first, last) = (position / PAGE_SIZE, (end - 1) / PAGE_SIZE);
        let extent = match inode.extent(first, (last - first + 1) as usize, Intent::Read) {
            Ok(extent) => extent,
            // Cut off in the meantime.
            Err(Errno::ENXIO) => break,
            Err(error) => return Err(error),
        };
        let within = position % PAGE_SIZE;
        let length = (extent.pages() as u64 * PAGE_SIZE - within).min(end - position);
        let at = (position - offset) as usize;
        memory.read(extent.phys() + within, &mut buffer[at..at + length as usize]);
        position += length;
    }
    Ok(position.saturating_sub(offset) as usize)
}

/// Copies `bytes` into the file at `offset`; returns how many bytes fitted.
///
/// # Errors
/// Those of [`Inode::begin_write`] and, for the first byte, of [`Inode::extent`].
pub fn write_at(
    inode: &dyn Inode,
    memory: &dyn PageMemory,
    offset: u64,
    bytes: &[u8],
    now: Timestamp,
) -> Result<usize, Errno> {
    if let Some(content) = inode.open()? {
        return content.write(offset, bytes);
    }
    let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::EFBIG)?;
    inode.begin_write(offset, end)?;
    let mut position = offset;
    while position < end {
        let (first, last) = (position / PAGE_SIZE, (end - 1) / PAGE_SIZE);
        let extent = match inode.extent(first, (last - first + 1) as usize, Intent::Write) {
            Ok(extent) => extent,
            Err(_) if position > offset => break,
            Err(error) => return Err(error),
        };
        let within = position % PAGE_SIZE;
        let length = (extent.pages() as u64 * PAGE_SIZE - within).min(end - position);
        let at = (position - offset) as usize;
        memory.write(extent.phys() + within, &bytes[at..at + length as usize]);
        position += length;
    }
    if position > offset {
        inode.written(offset, position, now);
    }
    Ok((position - offset) as usize)
}
