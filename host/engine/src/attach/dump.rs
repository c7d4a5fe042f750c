//! Asking a guest what it does: trace rings and the stacks of its tasks.
//!
//! A kernel that works answers a frame. One that hangs is asked by what it cannot hold off: an
//! NMI in a virtual machine, a host signal as processes.

use std::time::{Duration, Instant};

use abi_report::Kind;

use super::Session;
use crate::provider::Instance;

/// How long a guest may be silent before more is done to make it speak.
const SILENCE: Duration = Duration::from_secs(3);

/// How long it may speak.
const LONGEST: Duration = Duration::from_secs(20);

/// Reports that are expected.
pub struct Expected {
    /// When the patience with a silent guest ends.
    pub until: Instant,
    latest: Instant,
    /// What is done then.
    next: Step,
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Insist,
    GiveUp,
}

impl Expected {
    fn new(next: Step) -> Self {
        let now = Instant::now();
        Self { until: now + SILENCE, latest: now + LONGEST, next }
    }

    /// Those of a guest that dies and says so by itself.
    pub fn unasked() -> Self {
        Self::new(Step::GiveUp)
    }

    /// Something came.
    pub fn goes_on(&mut self) {
        self.until = (Instant::now() + SILENCE).min(self.latest);
    }
}

impl Session {
    /// Asks the guest what it does.
    pub(super) fn ask(&mut self, instance: &Instance) {
        if self.dump.is_some() {
            // The answer to the last question may say what is no longer so.
            self.ask_again = true;
            return;
        }
        self.dump = Some(Expected::new(Step::Insist));
        if self.is_listening {
            self.control.queue(Kind::Dump, &[]);
        } else if self.end.is_some() {
            self.insist(instance);
        } else {
            // What it cannot hold off is no way to treat a kernel that has only begun to start.
            self.dump = None;
            self.tell("drupe: the guest is starting");
        }
    }

    /// The guest is silent: asks it in another way, or gives up.
    pub(super) fn insist(&mut self, instance: &Instance) {
        let Some(dump) = self.dump.take() else { return };
        let asked = dump.next == Step::Insist
            && Instant::now() < dump.latest
            && instance.interrogate().unwrap_or(false);
        if asked {
            self.dump =
                Some(Expected { until: Instant::now() + SILENCE, next: Step::GiveUp, ..dump });
        } else if dump.next == Step::GiveUp && self.end.is_none() {
            self.tell("drupe: the guest does not say what it does");
        }
    }
}
