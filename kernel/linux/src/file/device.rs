//! Character devices that need no driver.

use alloc::sync::Arc;
use core::any::Any;

use errno::Errno;
use vfs::DeviceNumber;

use super::{File, OpenFile};
use crate::error::{Result, fail};
use crate::memory::Mapped;
use crate::random;
use crate::user::{Sink, Source};

/// Takes everything that is left of a source.
fn swallow(from: &mut dyn Source) -> usize {
    from.left() as usize
}

/// `/dev/null`.
struct Null;

impl File for Null {
    fn read(&self, _open: &OpenFile, _to: &mut dyn Sink, _position: u64) -> Result<usize> {
        Ok(0)
    }

    fn write(&self, _open: &OpenFile, from: &mut dyn Source, _position: u64) -> Result<usize> {
        Ok(swallow(from))
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn keeps_position(&self) -> bool {
        false
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `/dev/zero`, and `/dev/full`, which takes nothing.
struct Zero {
    full: bool,
}

impl File for Zero {
    fn read(&self, _open: &OpenFile, to: &mut dyn Sink, _position: u64) -> Result<usize> {
        let zeros = [0; 1024];
        let mut done = 0;
        while to.room() > 0 {
            let wanted = zeros.len().min(to.room() as usize);
            match to.put(&zeros[..wanted]) {
                Ok(count) => done += count,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn write(&self, _open: &OpenFile, from: &mut dyn Source, _position: u64) -> Result<usize> {
        if self.full { fail(Errno::ENOSPC) } else { Ok(swallow(from)) }
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn keeps_position(&self) -> bool {
        false
    }

    fn mappable(&self) -> Option<Option<Mapped>> {
        Some(None)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `/dev/random` and `/dev/urandom`.
struct Random;

impl File for Random {
    fn read(&self, _open: &OpenFile, to: &mut dyn Sink, _position: u64) -> Result<usize> {
        let mut bytes = [0; 256];
        let mut done = 0;
        while to.room() > 0 {
            let wanted = bytes.len().min(to.room() as usize);
            random::fill(&mut bytes[..wanted]);
            match to.put(&bytes[..wanted]) {
                Ok(count) => done += count,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn write(&self, _open: &OpenFile, from: &mut dyn Source, _position: u64) -> Result<usize> {
        Ok(swallow(from))
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The file that a character device stands for.
pub fn open_device(device: DeviceNumber) -> Result<Arc<dyn File>> {
    match (device.major, device.minor) {
        (1, 3) => Ok(Arc::new(Null)),
        (1, 5) => Ok(Arc::new(Zero { full: false })),
        (1, 7) => Ok(Arc::new(Zero { full: true })),
        (1, 8 | 9) => Ok(Arc::new(Random)),
        _ => fail(Errno::ENXIO),
    }
}
