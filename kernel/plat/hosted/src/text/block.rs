//! Patched copies of pieces of program text, shared by all address spaces that show the piece.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use hal::{PAGE_SIZE, PhysAddr};
use mm::frames;
use text_patch::{BLOCK, Patch, Refusal, Request, ZONE, Zone, plan};

use crate::vcpu::Vcpu;
use crate::{stop, window};

/// Traps in a piece before it is copied.
const WARM: u32 = 12;
/// Traps at a site before it is patched.
const HOT: u8 = 2;

/// Frames that all copies take.
static COPIED: AtomicUsize = AtomicUsize::new(0);

/// A piece of program text, as it is in a file.
pub struct Piece {
    /// Where its bytes are.
    pub source: PhysAddr,
    /// How many.
    pub length: u64,
    /// System calls that trapped in it.
    traps: AtomicU32,
    /// It cannot be patched: there is no memory for a copy.
    hopeless: AtomicBool,
    block: spin::Mutex<Option<Block>>,
}

/// The copy of a piece, and the zone that its jumps lead to.
pub struct Block {
    /// From the text to the zone.
    pub distance: i64,
    /// The patched text.
    pub copy: PhysAddr,
    /// The stubs.
    pub zone: PhysAddr,
    room: Zone,
    /// By their place in the text.
    patches: Vec<Patch>,
    /// Sites that trapped, and how often; those with [`REFUSED`] stay as they are.
    sites: Vec<(u32, u8)>,
}

const REFUSED: u8 = u8::MAX;

/// Pieces of the boot module, by their place: these bytes never change, so that every address
/// space that shows them can share a copy.
static SHARED: spin::Mutex<BTreeMap<u64, Arc<Piece>>> = spin::Mutex::new(BTreeMap::new());

/// Calls `with` for the pieces of a run of text, with their offsets in it.
pub fn pieces(source: PhysAddr, length: u64, mut with: impl FnMut(u64, Arc<Piece>)) {
    let end = source.0 + length;
    let mut at = source.0;
    while at < end {
        let next = (at / BLOCK + 1).saturating_mul(BLOCK).min(end);
        with(at - source.0, Piece::at(PhysAddr(at), next - at));
        at = next;
    }
}

fn frames_of(length: u64) -> usize {
    (length / PAGE_SIZE) as usize
}

impl Piece {
    fn at(source: PhysAddr, length: u64) -> Arc<Self> {
        let new = || {
            Arc::new(Self {
                source,
                length,
                traps: AtomicU32::new(0),
                hopeless: AtomicBool::new(false),
                block: spin::Mutex::new(None),
            })
        };
        if !window::is_module(source) {
            return new();
        }
        let mut shared = SHARED.lock();
        let piece = shared.entry(source.0).or_insert_with(new);
        // The same place seen at another length: not worth a second copy.
        if piece.length == length { Arc::clone(piece) } else { new() }
    }

    /// Whether a copy was made.
    pub fn has_block(&self) -> bool {
        self.block.lock().is_some()
    }

    /// Calls `with` with the copy, if there is one.
    pub fn with_block<T>(&self, with: impl FnOnce(&Block) -> T) -> Option<T> {
        self.block.lock().as_ref().map(with)
    }

    /// Notes a trap. Whether the piece is hot enough for a copy.
    pub fn note_trap(&self) -> bool {
        !self.hopeless.load(Ordering::Relaxed) && self.traps.fetch_add(1, Ordering::Relaxed) >= WARM
    }

    /// Makes the copy; `distance` finds a place for the zone and gives its distance.
    pub fn copy(&self, distance: impl FnOnce(PhysAddr) -> Option<i64>) {
        let mut block = self.block.lock();
        if block.is_some() {
            return;
        }
        *block = Block::new(self, distance);
        if block.is_none() {
            self.hopeless.store(true, Ordering::Relaxed);
        }
    }

    /// Notes a trap at a site of the copy and patches the site when it is hot.
    pub fn patch(&self, site: u64, number: u64) {
        let mut block = self.block.lock();
        let Some(block) = block.as_mut() else { return };
        let site = site as u32;
        let index = match block.sites.binary_search_by_key(&site, |(at, _)| *at) {
            Ok(index) => index,
            Err(index) => {
                block.sites.insert(index, (site, 0));
                index
            }
        };
        let count = &mut block.sites[index].1;
        if *count == REFUSED {
            return;
        }
        *count += 1;
        if *count < HOT {
            return;
        }
        // Also when it worked: a site that traps nevertheless is reached past its patch.
        *count = REFUSED;
        block.apply(self.length, site as usize, number);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(block) = self.block.get_mut().take() {
            COPIED.fetch_sub(frames_of(self.length + ZONE), Ordering::Relaxed);
            frames::release_run(block.copy, frames_of(self.length));
            frames::release_run(block.zone, frames_of(ZONE));
        }
    }
}

impl Block {
    fn new(piece: &Piece, distance: impl FnOnce(PhysAddr) -> Option<i64>) -> Option<Self> {
        let count = frames_of(piece.length + ZONE);
        // Copies never take more than an eighth of the memory.
        if COPIED.fetch_add(count, Ordering::Relaxed) + count > frames::total() / 8 {
            COPIED.fetch_sub(count, Ordering::Relaxed);
            return None;
        }
        let give_up = || {
            COPIED.fetch_sub(count, Ordering::Relaxed);
            None
        };
        let Some(copy) = frames::allocate_run(frames_of(piece.length)) else { return give_up() };
        let Some(zone) = frames::allocate_run(frames_of(ZONE)) else {
            frames::release_run(copy, frames_of(piece.length));
            return give_up();
        };
        frames::copy(piece.source, copy, piece.length as usize);
        // SAFETY: frames of our own. What is no stub traps.
        unsafe { zone.pointer().write_bytes(0xcc, ZONE as usize) };
        let Some(distance) = distance(zone) else {
            frames::release_run(copy, frames_of(piece.length));
            frames::release_run(zone, frames_of(ZONE));
            return give_up();
        };
        Some(Self {
            distance,
            copy,
            zone,
            room: Zone::new(),
            patches: Vec::new(),
            sites: Vec::new(),
        })
    }

    fn apply(&mut self, length: u64, site: usize, number: u64) {
        // SAFETY: the copy is ours, and only this function, which has the block alone, writes it.
        let text = unsafe {
            core::slice::from_raw_parts(self.copy.pointer().cast_const(), length as usize)
        };
        let entry = offset_of!(Vcpu, patched_entry) as u32;
        let request = Request { text, site, number, distance: self.distance, entry };
        // What is overwritten must not have been overwritten before.
        let near = |patch: &Patch| patch.at < site + 16 && patch.at + 16 > site;
        let patch = match plan(&request, &mut self.room) {
            Ok(patch) if !self.patches.iter().any(near) => patch,
            Ok(_) | Err(Refusal::Shape | Refusal::Full) => return,
        };
        stop::with_programs_stopped(|| {
            // SAFETY: both places are in frames of our own; no program runs.
            unsafe {
                let stub = self.zone.pointer().add(patch.stub_at);
                stub.copy_from_nonoverlapping(patch.stub().as_ptr(), patch.stub().len());
                let jump = self.copy.pointer().add(patch.at);
                jump.copy_from_nonoverlapping(patch.jump.as_ptr(), patch.jump.len());
            }
        });
        let index = self.patches.partition_point(|other| other.at < patch.at);
        self.patches.insert(index, patch);
    }

    /// The patch whose stub covers this offset of the zone.
    pub fn patch_of_stub(&self, zone_offset: usize) -> Option<&Patch> {
        self.patches.iter().find(|patch| patch.covers(zone_offset))
    }

    /// Where in the zone to go on instead of at an overwritten instruction of the text.
    pub fn continuation(&self, text_offset: usize) -> Option<usize> {
        let end = self.patches.partition_point(|patch| patch.at < text_offset);
        let patch = self.patches.get(end.checked_sub(1)?)?;
        patch.continuation(text_offset)
    }
}
