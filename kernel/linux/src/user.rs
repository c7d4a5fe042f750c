//! User memory: the one place through which system calls read and write it.
//!
//! An address from a program is a claim until a copy has succeeded.

use alloc::vec;
use alloc::vec::Vec;

use errno::Errno;
use hal::{PhysAddr, UserFault};

use crate::abi::{IoVec, Layout};
use crate::error::{Result, fail};

/// Copies, and tries again when what a fault met can be shown by now.
fn with_faults(
    mut copy: impl FnMut() -> core::result::Result<(), UserFault>,
) -> core::result::Result<(), UserFault> {
    let mut last = None;
    loop {
        match copy() {
            Ok(()) => return Ok(()),
            Err(fault) if last == Some(fault.address) || !resolve(fault) => return Err(fault),
            Err(fault) => last = Some(fault.address),
        }
    }
}

#[cold]
fn resolve(fault: UserFault) -> bool {
    crate::thread::with_current(|thread| crate::memory::resolve_copy(&thread.memory(), fault))
        .unwrap_or(false)
}

fn copy_from_user(buffer: &mut [u8], from: u64) -> core::result::Result<(), UserFault> {
    with_faults(|| hal::copy_from_user(buffer, from))
}

fn copy_to_user(to: u64, bytes: &[u8]) -> core::result::Result<(), UserFault> {
    with_faults(|| hal::copy_to_user(to, bytes))
}

fn copy_frames_to_user(
    to: u64,
    from: PhysAddr,
    length: usize,
) -> core::result::Result<(), UserFault> {
    with_faults(|| hal::copy_frames_to_user(to, from, length))
}

fn copy_user_to_frames(
    to: PhysAddr,
    from: u64,
    length: usize,
) -> core::result::Result<(), UserFault> {
    with_faults(|| hal::copy_user_to_frames(to, from, length))
}

/// Atomically replaces an aligned 32-bit word by `new` where it equals `expected`; gives the
/// word found.
pub fn compare_exchange(address: u64, expected: u32, new: u32) -> Result<u32> {
    let mut found = 0;
    with_faults(|| {
        found = hal::user_compare_exchange(address, expected, new)?;
        Ok(())
    })?;
    Ok(found)
}

/// Bytes that a value of [`Layout`] has at most when it is copied through the stack.
const LARGEST: usize = 512;

/// Reads a value.
pub fn read<T: Layout>(address: u64) -> Result<T> {
    const { assert!(T::SIZE <= LARGEST) };
    let mut bytes = [0; LARGEST];
    copy_from_user(&mut bytes[..T::SIZE], address)?;
    Ok(T::decode(&bytes[..T::SIZE]))
}

/// Writes a value.
pub fn write<T: Layout>(address: u64, value: &T) -> Result<()> {
    const { assert!(T::SIZE <= LARGEST) };
    let mut bytes = [0; LARGEST];
    value.encode(&mut bytes[..T::SIZE]);
    Ok(copy_to_user(address, &bytes[..T::SIZE])?)
}

/// Writes a value unless the address is null.
pub fn write_if<T: Layout>(address: u64, value: &T) -> Result<()> {
    if address == 0 { Ok(()) } else { write(address, value) }
}

/// Reads `length` bytes.
pub fn read_bytes(address: u64, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    copy_from_user(&mut bytes, address)?;
    Ok(bytes)
}

/// Writes bytes.
pub fn write_bytes(address: u64, bytes: &[u8]) -> Result<()> {
    Ok(copy_to_user(address, bytes)?)
}

/// Reads a string that ends with a NUL, which is not part of the result. One of `limit` bytes
/// or more is too long.
pub fn read_string(address: u64, limit: usize, too_long: Errno) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut position = address;
    let mut chunk = [0; 256];
    while text.len() < limit {
        // Up to the next page boundary, so that a string that ends before one is read whole.
        let room = (4096 - position % 4096).min(chunk.len() as u64) as usize;
        copy_from_user(&mut chunk[..room], position)?;
        if let Some(end) = chunk[..room].iter().position(|&byte| byte == 0) {
            text.extend_from_slice(&chunk[..end]);
            return if text.len() < limit { Ok(text) } else { fail(too_long) };
        }
        text.extend_from_slice(&chunk[..room]);
        position += room as u64;
    }
    fail(too_long)
}

/// Reads a path.
pub fn read_path(address: u64) -> Result<Vec<u8>> {
    read_string(address, vfs::PATH_MAX, Errno::ENAMETOOLONG)
}

/// Reads an array of pointers to strings that ends with a null pointer (`argv`, `envp`). `room`
/// is what is left of the bytes that all strings may take; a null array is empty.
pub fn read_strings(array: u64, room: &mut usize) -> Result<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    if array == 0 {
        return Ok(strings);
    }
    loop {
        let pointer: u64 = read(array + 8 * strings.len() as u64)?;
        if pointer == 0 {
            return Ok(strings);
        }
        let string = read_string(pointer, (*room).min(128 << 10), Errno::E2BIG)?;
        *room = room.checked_sub(string.len() + 9).ok_or(Errno::E2BIG)?;
        strings.push(string);
    }
}

/// The most elements of an `iovec` array.
const MAX_IOVECS: usize = 1024;
/// The most bytes that one call transfers.
pub const MAX_TRANSFER: u64 = 0x7fff_f000;

/// User memory in pieces, filled or emptied from front to back.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    first: IoVec,
    rest: Vec<IoVec>,
    next: usize,
}

impl Buffer {
    /// One piece.
    pub fn new(base: u64, length: u64) -> Self {
        let length = length.min(MAX_TRANSFER);
        Self { first: IoVec { base, length }, rest: Vec::new(), next: 0 }
    }

    /// The pieces of an array in user memory.
    pub fn from_array(array: u64, count: u64) -> Result<Self> {
        let count = usize::try_from(count as i32).map_err(|_| Errno::EINVAL)?;
        if count > MAX_IOVECS {
            return fail(Errno::EINVAL);
        }
        let bytes = read_bytes(array, count * IoVec::SIZE)?;
        let mut room = MAX_TRANSFER;
        let mut rest = Vec::with_capacity(count);
        for chunk in bytes.chunks(IoVec::SIZE) {
            let mut piece = IoVec::decode(chunk);
            if piece.length > i64::MAX as u64 {
                return fail(Errno::EINVAL);
            }
            piece.length = piece.length.min(room);
            room -= piece.length;
            rest.push(piece);
        }
        Ok(Self { first: IoVec::default(), rest, next: 0 })
    }

    /// The pieces that are left.
    pub fn pieces(&self) -> impl Iterator<Item = IoVec> {
        let first = Some(self.first).filter(|first| first.length > 0);
        first.into_iter().chain(self.rest[self.next..].iter().copied())
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        self.first.length + self.rest[self.next..].iter().map(|piece| piece.length).sum::<u64>()
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.left() == 0
    }

    /// The next piece, not empty, of at most `limit` bytes.
    fn piece(&mut self, limit: usize) -> Option<(u64, usize)> {
        while self.first.length == 0 {
            self.first = *self.rest.get(self.next)?;
            self.next += 1;
        }
        Some((self.first.base, self.first.length.min(limit as u64) as usize))
    }

    fn advance(&mut self, count: usize) {
        self.first.base += count as u64;
        self.first.length -= count as u64;
    }

    /// Moves bytes by `copy(address, offset, length)` until `limit` of them are moved or nothing
    /// is left. Gives how many were; fails only when the first byte could not be.
    fn transfer(
        &mut self,
        limit: usize,
        mut copy: impl FnMut(u64, usize, usize) -> core::result::Result<(), UserFault>,
    ) -> Result<usize> {
        let mut done = 0;
        while done < limit {
            let Some((base, length)) = self.piece(limit - done) else { break };
            if let Err(fault) = copy(base, done, length) {
                let copied = fault.address.saturating_sub(base).min(length as u64) as usize;
                self.advance(copied);
                done += copied;
                return if done > 0 { Ok(done) } else { fail(Errno::EFAULT) };
            }
            self.advance(length);
            done += length;
        }
        Ok(done)
    }
}

/// Where a read puts its bytes.
pub trait Sink {
    /// Bytes that it still takes.
    fn room(&self) -> u64;

    /// Takes bytes; gives how many. Fails only when it could take none.
    fn put(&mut self, bytes: &[u8]) -> Result<usize>;

    /// Takes bytes from a frame run that the caller holds.
    fn put_frames(&mut self, from: PhysAddr, length: usize) -> Result<usize>;
}

/// Where a write gets its bytes.
pub trait Source {
    /// Bytes that it still has.
    fn left(&self) -> u64;

    /// Fills `bytes` as far as it can; gives how far. Fails only when it could give none.
    fn get(&mut self, bytes: &mut [u8]) -> Result<usize>;

    /// Fills `bytes` as [`get`](Self::get) would, without taking anything.
    fn look(&self, bytes: &mut [u8]) -> Result<usize>;

    /// Fills part of a frame run that the caller holds.
    fn get_frames(&mut self, to: PhysAddr, length: usize) -> Result<usize>;
}

impl Sink for Buffer {
    fn room(&self) -> u64 {
        self.left()
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        self.transfer(bytes.len(), |address, offset, length| {
            copy_to_user(address, &bytes[offset..offset + length])
        })
    }

    fn put_frames(&mut self, from: PhysAddr, length: usize) -> Result<usize> {
        self.transfer(length, |address, offset, length| {
            copy_frames_to_user(address, PhysAddr(from.0 + offset as u64), length)
        })
    }
}

impl Source for Buffer {
    fn left(&self) -> u64 {
        Self::left(self)
    }

    fn get(&mut self, bytes: &mut [u8]) -> Result<usize> {
        self.transfer(bytes.len(), |address, offset, length| {
            copy_from_user(&mut bytes[offset..offset + length], address)
        })
    }

    fn look(&self, bytes: &mut [u8]) -> Result<usize> {
        self.clone().get(bytes)
    }

    fn get_frames(&mut self, to: PhysAddr, length: usize) -> Result<usize> {
        self.transfer(length, |address, offset, length| {
            copy_user_to_frames(PhysAddr(to.0 + offset as u64), address, length)
        })
    }
}

/// A sink in the kernel: grows up to a limit.
pub struct Collected {
    /// What came.
    pub bytes: Vec<u8>,
    limit: usize,
}

impl Collected {
    /// An empty one that takes `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }
}

impl Sink for Collected {
    fn room(&self) -> u64 {
        (self.limit - self.bytes.len()) as u64
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        let count = bytes.len().min(self.limit - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn put_frames(&mut self, from: PhysAddr, length: usize) -> Result<usize> {
        let start = self.bytes.len();
        let count = length.min(self.limit - start);
        self.bytes.resize(start + count, 0);
        crate::frames::MEMORY.read_at(from, &mut self.bytes[start..]);
        Ok(count)
    }
}

/// A source in the kernel.
pub struct Bytes<'a>(pub &'a [u8]);

impl Source for Bytes<'_> {
    fn left(&self) -> u64 {
        self.0.len() as u64
    }

    fn get(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let count = bytes.len().min(self.0.len());
        let (head, rest) = self.0.split_at(count);
        bytes[..count].copy_from_slice(head);
        self.0 = rest;
        Ok(count)
    }

    fn look(&self, bytes: &mut [u8]) -> Result<usize> {
        Bytes(self.0).get(bytes)
    }

    fn get_frames(&mut self, to: PhysAddr, length: usize) -> Result<usize> {
        let count = length.min(self.0.len());
        let (head, rest) = self.0.split_at(count);
        crate::frames::MEMORY.write_at(to, head);
        self.0 = rest;
        Ok(count)
    }
}
