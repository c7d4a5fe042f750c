//! Finding room for mappings.

use hal::Range;

use super::areas::Areas;
use super::layout::TASK_END;

/// The lowest address that a program can map, as Linux's default.
pub const LOWEST: u64 = 0x1_0000;

/// Whether all of a range can be a program's.
pub fn is_usable(range: Range) -> bool {
    range.end <= TASK_END && range.start < range.end && hal::space_kept(range).is_none()
}

/// The highest free range of `length` bytes below `top`.
pub fn find_below(areas: &Areas, top: u64, length: u64) -> Option<Range> {
    let mut end = top;
    let mut above = areas.iter().rev().peekable();
    loop {
        // The next obstacle below `end`: an area or something that the platform keeps.
        let start = end.checked_sub(length)?;
        if start < LOWEST {
            return None;
        }
        while above.peek().is_some_and(|(area_start, _)| *area_start >= end) {
            above.next();
        }
        let area =
            above.peek().filter(|(_, area)| area.end > start).map(|(area_start, _)| *area_start);
        let kept = hal::space_kept(Range { start, end }).map(|kept| kept.start);
        match (area, kept) {
            (None, None) => return Some(Range { start, end }),
            (area, kept) => end = area.unwrap_or(u64::MAX).min(kept.unwrap_or(u64::MAX)),
        }
    }
}

/// A free range of `length` bytes: at the hint if that is free, else below the layout's top, else
/// anywhere.
pub fn find(areas: &Areas, hint: u64, top: u64, length: u64) -> Option<Range> {
    let wanted = Range { start: hint, end: hint.checked_add(length)? };
    if hint >= LOWEST && is_usable(wanted) && areas.overlapping(wanted).next().is_none() {
        return Some(wanted);
    }
    find_below(areas, top, length).or_else(|| find_below(areas, TASK_END, length))
}

/// A free range of `length` bytes in the low 2 GiB, for `MAP_32BIT`.
pub fn find_low(areas: &Areas, length: u64) -> Option<Range> {
    find_below(areas, 1 << 31, length).filter(|range| range.start >= 1 << 30)
}
