//! Signals that wait to be taken.

use alloc::collections::VecDeque;

use super::number::REALTIME;
use super::{Info, Set, set_of};

/// The most that can wait in one queue.
const MAX_QUEUED: usize = 30_000;

/// Signals that wait, each with its information, in the order they came.
pub struct Pending {
    set: Set,
    queue: VecDeque<(u8, Info)>,
}

impl Pending {
    /// None.
    pub const fn new() -> Self {
        Self { set: 0, queue: VecDeque::new() }
    }

    /// Which signals wait.
    pub fn set(&self) -> Set {
        self.set
    }

    /// Adds one. A signal below the real-time ones waits at most once. `false`: the queue is full.
    pub fn add(&mut self, signal: u8, info: Info) -> bool {
        let bit = set_of(signal);
        let same = self.queue.iter_mut().filter(|(number, _)| *number == signal);
        if self.set & bit != 0 && same.into_iter().any(|(_, waiting)| waiting.absorb(&info)) {
            return true;
        }
        if signal < REALTIME && self.set & bit != 0 {
            return true;
        }
        if self.queue.len() >= MAX_QUEUED {
            return false;
        }
        self.set |= bit;
        self.queue.push_back((signal, info));
        true
    }

    /// Takes the next one of `wanted`: synchronous ones first, then the lowest number, then the
    /// oldest.
    pub fn take(&mut self, wanted: Set) -> Option<(u8, Info)> {
        // SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE and SIGSYS.
        const SYNCHRONOUS: Set =
            set_of(11) | set_of(7) | set_of(4) | set_of(5) | set_of(8) | set_of(31);
        let available = self.set & wanted;
        if available == 0 {
            return None;
        }
        let urgent = available & SYNCHRONOUS;
        let signal = (if urgent != 0 { urgent } else { available }).trailing_zeros() as u8 + 1;
        let index = self.queue.iter().position(|(number, _)| *number == signal)?;
        let taken = self.queue.remove(index);
        if !self.queue.iter().any(|(number, _)| *number == signal) {
            self.set &= !set_of(signal);
        }
        taken
    }

    /// Forgets all of these.
    pub fn discard(&mut self, unwanted: Set) {
        if self.set & unwanted != 0 {
            self.queue.retain(|(signal, _)| set_of(*signal) & unwanted == 0);
            self.set &= !unwanted;
        }
    }
}
