//! Notifiers: elements say that packets are there, or that there is room, so that the
//! tasks that wait for it can sleep.

use alloc::vec::Vec;

/// Which notifier of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Packets are there.
    Empty,
    /// There is room.
    Full,
}

pub(crate) fn id(element: usize, which: Which) -> usize {
    element * 2 + usize::from(which == Which::Full)
}

#[derive(Clone)]
pub(crate) struct Notifier {
    pub(crate) sleeping: bool,
    /// Packets that fit in, for a notifier of room.
    pub(crate) room: usize,
    pub(crate) listeners: Vec<usize>,
}

impl Default for Notifier {
    fn default() -> Self {
        Self { sleeping: false, room: usize::MAX, listeners: Vec::new() }
    }
}

/// What a set of notifiers says together: active if one of them is, or if a part of the
/// graph has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    pub(crate) notifiers: Vec<usize>,
    pub(crate) busy: bool,
}

impl Default for Signal {
    fn default() -> Self {
        Self { notifiers: Vec::new(), busy: true }
    }
}

impl Signal {
    /// A signal that is always active.
    pub fn busy() -> Self {
        Self::default()
    }

    /// A signal that is never active.
    pub fn idle() -> Self {
        Self { notifiers: Vec::new(), busy: false }
    }

    /// Whether the signal is always active.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// This one or the other.
    pub fn add(&mut self, other: &Self) {
        self.busy |= other.busy;
        for id in &other.notifiers {
            if !self.notifiers.contains(id) {
                self.notifiers.push(*id);
            }
        }
    }
}
