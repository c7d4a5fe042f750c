//! Program text whose system calls do not trap.
//!
//! A piece of text in which calls trap often is copied to the shared memory, once for all
//! address spaces, and shown instead of the original; sites that trap again are turned into jumps
//! ([`text_patch`]) while no program runs. Fork copies the mappings; a program that maps the
//! piece afterwards gets the copy at once.
//!
//! Invariants:
//! - Only text that was mapped executable and was never writable since is patched. Before a
//!   program gets the right to write it, the original comes back for good.
//! - A zone stays mapped as long as text of its block is, also when that text was put back:
//!   a thread may still be in a stub, or in a call that returns to one.
//! - Whoever changes mappings of a space holds its lock, so that nothing else gets a zone's
//!   place.
//!
//! A program that reads its own text sees the jumps.

mod block;

use alloc::sync::Arc;
use alloc::vec::Vec;

use hal::{MapError, PhysAddr, Range};
use text_patch::{DISTANCES, LOW_DISTANCES, ZONE};

use crate::host::{
    self, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_NORESERVE, MAP_PRIVATE, PROT_EXEC, PROT_READ,
};
use crate::{vcpu, window};

use block::Piece;

/// A piece of text in an address space.
#[derive(Clone)]
struct Text {
    start: u64,
    piece: Arc<Piece>,
    /// Whether the copy is shown.
    is_patched: bool,
}

impl Text {
    fn range(&self) -> Range {
        Range::new(self.start, self.piece.length)
    }
}

/// A mapped zone.
#[derive(Clone)]
struct MappedZone {
    start: u64,
    /// The text that it serves, or served.
    text: u64,
    piece: Arc<Piece>,
}

impl MappedZone {
    fn range(&self) -> Range {
        Range::new(self.start, ZONE)
    }
}

/// The text of an address space.
#[derive(Clone, Default)]
pub struct Texts {
    /// Text that can be patched, by address.
    texts: Vec<Text>,
    /// By address.
    zones: Vec<MappedZone>,
}

fn overlap(a: Range, b: Range) -> bool {
    a.start < b.end && b.start < a.end
}

fn is_within(inner: Range, outer: Range) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Shows memory at a range, executable.
fn show(range: Range, from: PhysAddr, more_flags: usize) -> bool {
    let (descriptor, offset) = window::file_of(from);
    let flags = MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED | more_flags;
    let (start, length) = (range.start as usize, range.len() as usize);
    // SAFETY: the range is user memory that shows this text, or is free.
    unsafe { host::mmap(start, length, PROT_READ | PROT_EXEC, flags, Some(descriptor), offset) }
        .is_ok()
}

impl Texts {
    pub const fn new() -> Self {
        Self { texts: Vec::new(), zones: Vec::new() }
    }

    /// The lowest zone that meets a range.
    pub fn zone_in(&self, range: Range) -> Option<Range> {
        self.zones.iter().map(MappedZone::range).find(|zone| overlap(*zone, range))
    }

    /// Calls `with` for the parts of a range that are no zone's.
    pub fn outside_zones(
        &self,
        range: Range,
        mut with: impl FnMut(Range) -> Result<(), MapError>,
    ) -> Result<(), MapError> {
        let mut start = range.start;
        for zone in self.zones.iter().map(MappedZone::range).filter(|zone| overlap(*zone, range)) {
            if start < zone.start {
                with(Range { start, end: zone.start })?;
            }
            start = zone.end;
        }
        if start < range.end { with(Range { start, end: range.end }) } else { Ok(()) }
    }

    /// Forgets the text in a range, whose mappings are about to be replaced or removed. Text that
    /// sticks out is put back as it was.
    pub fn replace(&mut self, range: Range) {
        self.texts.retain(|text| {
            if !overlap(text.range(), range) {
                return true;
            }
            if text.is_patched && !is_within(text.range(), range) {
                show(text.range(), text.piece.source, 0);
            }
            false
        });
        self.zones.retain(|zone| {
            let is_over = is_within(Range::new(zone.text, zone.piece.length), range);
            if is_over {
                // SAFETY: the zone's own mapping; the text that used it goes as well.
                let _ = unsafe { host::munmap(zone.start as usize, ZONE as usize) };
            }
            !is_over
        });
    }

    /// Puts all text that meets a range back as it was, for good.
    pub fn put_back(&mut self, range: Range) {
        self.texts.retain(|text| {
            let meets = overlap(text.range(), range);
            if meets && text.is_patched {
                show(text.range(), text.piece.source, 0);
            }
            !meets
        });
    }

    /// Takes note of text that was just mapped, and shows copies that are there already.
    pub fn note(&mut self, range: Range, source: PhysAddr) {
        let index = self.texts.partition_point(|text| text.start < range.start);
        let mut new = Vec::new();
        block::pieces(source, range.len(), |offset, piece| {
            new.push(Text { start: range.start + offset, piece, is_patched: false });
        });
        let count = new.len();
        self.texts.splice(index..index, new);
        for index in index..index + count {
            if self.texts[index].piece.has_block() {
                self.install(index);
            }
        }
    }

    /// Shows the copy of a text and its zone. Gives whether it is shown.
    fn install(&mut self, index: usize) -> bool {
        let text = &self.texts[index];
        if text.is_patched {
            return true;
        }
        let (start, piece) = (text.start, Arc::clone(&text.piece));
        let Some((distance, copy, zone)) =
            piece.with_block(|block| (block.distance, block.copy, block.zone))
        else {
            return false;
        };
        let Some(at) = start.checked_add_signed(distance) else { return false };
        let has_zone = self.zones.iter().any(|mapped| mapped.start == at && mapped.text == start);
        if !has_zone && !self.map_zone(at, start, &piece, zone) {
            return false;
        }
        let shown = show(self.texts[index].range(), copy, 0);
        self.texts[index].is_patched = shown;
        shown
    }

    /// Maps a zone if its place is free.
    fn map_zone(&mut self, at: u64, text: u64, piece: &Arc<Piece>, zone: PhysAddr) -> bool {
        let range = Range::new(at, ZONE);
        if range.end > window::USER_END
            || vcpu::overlaps(range.start, range.end, window::reserved())
            || !show(range, zone, MAP_FIXED_NOREPLACE)
        {
            return false;
        }
        let index = self.zones.partition_point(|zone| zone.start < at);
        self.zones.insert(index, MappedZone { start: at, text, piece: Arc::clone(piece) });
        true
    }

    /// The index of the text at an address.
    fn find(&self, address: u64) -> Option<usize> {
        let index = self.texts.partition_point(|text| text.start <= address).checked_sub(1)?;
        (address < self.texts[index].range().end).then_some(index)
    }

    /// A system call trapped: `behind` is the address behind it, `number` what was asked for.
    pub fn trapped(&mut self, behind: u64, number: u64) {
        let site = behind.wrapping_sub(2);
        let Some(index) = self.find(site) else { return };
        let text = self.texts[index].clone();
        if !text.piece.note_trap() {
            return;
        }
        text.piece.copy(|zone| {
            let distances: &[i64] =
                if text.start < window::UNIT { &LOW_DISTANCES } else { &DISTANCES };
            distances.iter().copied().find(|&distance| {
                let at = text.start.checked_add_signed(distance);
                at.is_some_and(|at| self.map_zone(at, text.start, &text.piece, zone))
            })
        });
        if self.install(index) {
            text.piece.patch(site - text.start, number);
        }
    }

    /// What an address in a zone stands for.
    pub fn place(&self, address: u64) -> Place {
        let index = self.zones.partition_point(|zone| zone.start <= address);
        let Some(zone) = index.checked_sub(1).map(|index| &self.zones[index]) else {
            return Place::Program;
        };
        let offset = address - zone.start;
        if offset >= ZONE {
            return Place::Program;
        }
        let place = zone.piece.with_block(|block| {
            let patch = block.patch_of_stub(offset as usize)?;
            let program = zone.text + patch.program_address(offset as usize)? as u64;
            let is_start = offset as usize == patch.stub_at;
            Some(Place::Stub { program, is_start })
        });
        place.flatten().unwrap_or(Place::Program)
    }

    /// Where to go on instead of at an overwritten instruction.
    pub fn continuation(&self, address: u64) -> Option<u64> {
        let text = &self.texts[self.find(address)?];
        if !text.is_patched {
            return None;
        }
        let offset = (address - text.start) as usize;
        text.piece.with_block(|block| {
            let zone = text.start.checked_add_signed(block.distance)?;
            Some(zone + block.continuation(offset)? as u64)
        })?
    }
}

/// What an address of an interrupted program is.
pub enum Place {
    /// The program's own.
    Program,
    /// In a stub.
    Stub {
        /// The program's own address that it stands for.
        program: u64,
        /// Whether the stub has done nothing yet.
        is_start: bool,
    },
}
