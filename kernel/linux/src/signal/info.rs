//! `siginfo_t`.

use crate::abi::Layout;
use crate::process::{Process, Status};
use crate::thread::Thread;

/// Bytes of a `siginfo_t`.
pub const LENGTH: usize = 128;

// Values of `si_code`.
pub const SI_USER: i32 = 0;
pub const SI_KERNEL: i32 = 0x80;
pub const SI_TKILL: i32 = -6;
pub const SI_TIMER: i32 = -2;

/// What is told about a signal, besides its number.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// `si_code`.
    pub code: i32,
    /// The bytes from `_sifields` on.
    pub fields: [u8; LENGTH - 16],
    /// `si_errno`.
    pub error: i32,
}

impl Info {
    /// Only a code.
    pub fn code(code: i32) -> Self {
        Self { code, fields: [0; LENGTH - 16], error: 0 }
    }

    fn with_words(code: i32, words: &[u32]) -> Self {
        let mut info = Self::code(code);
        for (chunk, word) in info.fields.chunks_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        info
    }

    /// Sent by the kernel.
    pub fn kernel() -> Self {
        Self::code(SI_KERNEL)
    }

    /// Sent by a process with `kill(2)`.
    pub fn user(sender: &Thread) -> Self {
        Self::with_words(SI_USER, &[sender.process.pid, sender.identity().uid])
    }

    /// Sent on behalf of a process that ends.
    pub fn process(sender: &Process) -> Self {
        Self::with_words(SI_USER, &[sender.pid, sender.identity().uid])
    }

    /// Sent by a process with `tgkill(2)`.
    pub fn thread(sender: &Thread) -> Self {
        Self::with_words(SI_TKILL, &[sender.process.pid, sender.identity().uid])
    }

    /// About an address.
    pub fn address(code: i32, address: u64) -> Self {
        Self::with_words(code, &[address as u32, (address >> 32) as u32])
    }

    /// About a child that changed its state.
    pub fn child(child: &Process) -> Self {
        let status = child.status.lock().unwrap_or(Status::Exited(0));
        let uid = child.identity().uid;
        let time = child.cpu_time() / (crate::abi::SECOND / crate::time::TICKS);
        let mut info = Self::of_status(child.pid, uid, status);
        info.fields[16..24].copy_from_slice(&time.to_le_bytes());
        info
    }

    /// About a process with this status.
    pub fn of_status(pid: u32, uid: u32, status: Status) -> Self {
        let (code, value) = match status {
            Status::Exited(code) => (1, u32::from(code)),
            Status::Killed { signal, core } => (if core { 3 } else { 2 }, u32::from(signal)),
            Status::Stopped(signal) => (5, u32::from(signal)),
            Status::Continued => (6, 18),
        };
        Self::with_words(code, &[pid, uid, value])
    }

    /// About a POSIX timer: its identity, overruns and value.
    pub fn timer(identity: u32, overruns: u32, value: u64) -> Self {
        Self::with_words(SI_TIMER, &[identity, overruns, value as u32, (value >> 32) as u32])
    }

    /// What it tells of a POSIX timer: its identity and its overruns.
    pub fn timer_overruns(&self) -> Option<(u32, u32)> {
        let word = |at: usize| u32::decode(&self.fields[at..at + 4]);
        (self.code == SI_TIMER).then(|| (word(0), word(4)))
    }

    /// One more expiration of the timer that this, not taken yet, tells of.
    fn count_overruns(&mut self, more: u32) {
        let overruns = u32::decode(&self.fields[4..8]).saturating_add(more).min(i32::MAX as u32);
        self.fields[4..8].copy_from_slice(&overruns.to_le_bytes());
    }

    /// Takes in a later expiration of the same timer; `false`: it is another's.
    pub fn absorb(&mut self, later: &Self) -> bool {
        match (self.timer_overruns(), later.timer_overruns()) {
            (Some((own, _)), Some((identity, overruns))) if own == identity => {
                self.count_overruns(overruns.saturating_add(1));
                true
            }
            _ => false,
        }
    }

    /// As a program gave it.
    pub fn decode(bytes: &[u8; LENGTH]) -> Self {
        let mut fields = [0; LENGTH - 16];
        fields.copy_from_slice(&bytes[16..]);
        Self { code: i32::decode(&bytes[8..12]), error: i32::decode(&bytes[4..8]), fields }
    }

    /// As programs see it.
    pub fn encode(&self, signal: u8) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..4].copy_from_slice(&i32::from(signal).to_le_bytes());
        bytes[4..8].copy_from_slice(&self.error.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.code.to_le_bytes());
        bytes[16..].copy_from_slice(&self.fields);
        bytes
    }
}
