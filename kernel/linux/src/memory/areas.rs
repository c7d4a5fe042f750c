//! Areas: ranges with one protection and one content.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use hal::{Protection, Range};
use vfs::Extent;

use super::Mapped;

/// What an area shows.
#[derive(Clone)]
pub enum Content {
    /// Private memory.
    Anonymous,
    /// A file from an offset on.
    File {
        /// The file.
        file: Mapped,
        /// The offset of the area's start in bytes.
        offset: u64,
        /// Keeps what is mapped alive.
        extents: Arc<sched::Mutex<Vec<Extent>>>,
    },
}

/// A range with one protection and one content.
#[derive(Clone)]
pub struct Area {
    /// The address after its last.
    pub end: u64,
    /// What the program may do.
    pub protection: Protection,
    /// Whether stores are seen by others.
    pub shared: bool,
    /// What `mprotect` can at most give: a shared mapping of a file opened for reading is not
    /// writable.
    pub may_write: bool,
    /// What it shows.
    pub content: Content,
    /// What `/proc/self/maps` calls it when no file is behind it.
    pub label: &'static str,
    /// What a forked process gets of it.
    pub on_fork: OnFork,
    /// It grows when the page below is touched (`MAP_GROWSDOWN`).
    pub grows_down: bool,
    /// Locked (`mlock`).
    pub locked: bool,
}

/// What a forked process gets of an area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFork {
    /// A copy.
    #[default]
    Copy,
    /// Zeros (`MADV_WIPEONFORK`).
    Wipe,
    /// Nothing (`MADV_DONTFORK`).
    Leave,
}

impl Area {
    /// The same area, seen from `offset` bytes further on.
    fn advanced(&self, by: u64) -> Self {
        let mut area = self.clone();
        if let Content::File { offset, .. } = &mut area.content {
            *offset += by;
        }
        area
    }

    /// Whether `next` goes on where this ends, so that both can be one.
    fn continues(&self, start: u64, next: &Self) -> bool {
        self.protection == next.protection
            && self.shared == next.shared
            && self.label == next.label
            && self.on_fork == next.on_fork
            && self.grows_down == next.grows_down
            && self.may_write == next.may_write
            && self.locked == next.locked
            && matches!((&self.content, &next.content), (Content::Anonymous, Content::Anonymous))
            && self.end > start
    }
}

/// All areas of a process, by their start.
#[derive(Default)]
pub struct Areas {
    map: BTreeMap<u64, Area>,
    /// Bytes of all areas.
    total: u64,
}

impl Areas {
    /// None.
    pub const fn new() -> Self {
        Self { map: BTreeMap::new(), total: 0 }
    }

    /// A copy for a forked process, which locks nothing.
    pub fn duplicate(&self) -> Self {
        let mut copy = Self::new();
        for (start, area) in self.iter().filter(|(_, area)| area.on_fork != OnFork::Leave) {
            copy.total += area.end - start;
            copy.map.insert(start, Area { locked: false, ..area.clone() });
        }
        copy
    }

    /// The first area above an address where none is.
    pub fn above(&self, address: u64) -> Option<(u64, &Area)> {
        self.map.range(address..).next().map(|(&start, area)| (start, area))
    }

    /// Bytes that are locked.
    pub fn locked(&self) -> u64 {
        let locked = self.iter().filter(|(_, area)| area.locked);
        locked.map(|(start, area)| area.end - start).sum()
    }

    /// Bytes of a range that are locked.
    pub fn locked_in(&self, range: Range) -> u64 {
        let locked = self.overlapping(range).filter(|(_, area)| area.locked);
        locked.map(|(start, area)| area.end.min(range.end) - start.max(range.start)).sum()
    }

    /// Bytes of all areas.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.map.len()
    }

    /// The area at an address, with its start.
    pub fn find(&self, address: u64) -> Option<(u64, &Area)> {
        let (&start, area) = self.map.range(..=address).next_back()?;
        (address < area.end).then_some((start, area))
    }

    /// All areas, lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &Area)> {
        self.map.iter().map(|(&start, area)| (start, area))
    }

    /// The areas that meet a range, lowest first.
    pub fn overlapping(&self, range: Range) -> impl Iterator<Item = (u64, &Area)> {
        let before = self.find(range.start).filter(|(start, _)| *start < range.start);
        let inside = self.map.range(range.start..range.end).map(|(&start, area)| (start, area));
        before.into_iter().chain(inside)
    }

    /// Whether every address of a range is in an area.
    pub fn covers(&self, range: Range) -> bool {
        let mut position = range.start;
        for (start, area) in self.overlapping(range) {
            if start > position {
                return false;
            }
            position = area.end;
        }
        position >= range.end
    }

    /// Splits areas so that none crosses an end of the range.
    fn cut(&mut self, range: Range) {
        for position in [range.start, range.end] {
            let Some((&start, area)) = self.map.range_mut(..position).next_back() else { continue };
            if area.end > position {
                let mut rest = area.advanced(position - start);
                rest.end = area.end;
                area.end = position;
                self.map.insert(position, rest);
            }
        }
    }

    /// Removes what is in a range and gives it.
    pub fn remove(&mut self, range: Range) -> Vec<(u64, Area)> {
        self.cut(range);
        let starts: Vec<u64> =
            self.map.range(range.start..range.end).map(|(&start, _)| start).collect();
        let removed: Vec<(u64, Area)> = starts
            .into_iter()
            .filter_map(|start| self.map.remove(&start).map(|area| (start, area)))
            .collect();
        self.total -= removed.iter().map(|(start, area)| area.end - start).sum::<u64>();
        removed
    }

    /// Adds an area where none is.
    pub fn insert(&mut self, start: u64, area: Area) {
        self.total += area.end - start;
        self.map.insert(start, area);
        self.join(start);
    }

    /// Changes all areas of a range.
    pub fn update(&mut self, range: Range, mut change: impl FnMut(&mut Area)) {
        self.cut(range);
        let starts: Vec<u64> =
            self.map.range(range.start..range.end).map(|(&start, _)| start).collect();
        for start in &starts {
            if let Some(area) = self.map.get_mut(start) {
                change(area);
            }
        }
        for start in starts {
            self.join(start);
        }
        self.join(range.end);
    }

    /// Joins the area at `start` with the one before it when they are alike.
    fn join(&mut self, start: u64) {
        let Some(area) = self.map.get(&start) else { return };
        let Some((&before, previous)) = self.map.range(..start).next_back() else { return };
        if previous.end == start && previous.continues(before, area) {
            let end = area.end;
            self.map.remove(&start);
            if let Some(previous) = self.map.get_mut(&before) {
                previous.end = end;
            }
        }
    }
}
