//! Sleeping and waking of a task: the state that decides who queues it.
//!
//! A task that wants to sleep first [takes](Parking::take) a notification that came before. If
//! there was none, it leaves its stack, and whoever runs next there [commits](Parking::commit)
//! the sleep: only then can the task be found by others. A waker [notifies](Parking::notify).
//!
//! Guarantees, which the models in this crate check under every interleaving
//! (`RUSTFLAGS="--cfg loom" cargo test -p parking --release`):
//! - A task that sleeps is queued exactly once, by the waker or by whoever commits.
//! - A notification is not lost: it ends a sleep that began before or the next one.
//! - What a waker did before it notified is seen by the task afterwards.
//!
//! Not here: queues, and what a task waits for.
#![cfg_attr(not(any(test, loom)), no_std)]
#![forbid(unsafe_code)]

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU8, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicU8, Ordering};

/// It runs or waits for a processor.
const RUNNABLE: u8 = 0;
/// As before, and its next sleep is over before it begins.
const NOTIFIED: u8 = 1;
/// It sleeps, its registers are saved.
const PARKED: u8 = 2;

/// Where a task is in its sleep.
pub struct Parking {
    state: AtomicU8,
}

impl Parking {
    /// Of a task that runs or is queued.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self { state: AtomicU8::new(RUNNABLE) }
    }

    /// Of a task that runs or is queued.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self { state: AtomicU8::new(RUNNABLE) }
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Takes a notification that came since the last sleep; `false`: there is none, and the
    /// task may leave its stack.
    #[inline]
    pub fn take(&self) -> bool {
        self.change(NOTIFIED, RUNNABLE)
    }

    /// Begins the sleep of a task that has left its stack; `false`: it was notified meanwhile,
    /// and the caller queues it.
    #[inline]
    pub fn commit(&self) -> bool {
        if self.change(RUNNABLE, PARKED) {
            return true;
        }
        // Only a notification stands in the way, and only the task itself takes one.
        self.state.swap(RUNNABLE, Ordering::AcqRel);
        false
    }

    /// Ends the sleep, or makes the next one end at once; `true`: the caller queues the task.
    #[inline]
    pub fn notify(&self) -> bool {
        loop {
            match self.state.load(Ordering::Acquire) {
                // Also when it is notified already: what this waker did is to be seen, too.
                state @ (RUNNABLE | NOTIFIED) => {
                    if self.change(state, NOTIFIED) {
                        return false;
                    }
                }
                _ => {
                    if self.change(PARKED, RUNNABLE) {
                        return true;
                    }
                }
            }
        }
    }

    /// Whether the task sleeps at this moment.
    pub fn is_parked(&self) -> bool {
        self.state.load(Ordering::Acquire) == PARKED
    }
}

impl Default for Parking {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_early_notification_is_kept() {
        let parking = Parking::new();
        assert!(!parking.notify() && !parking.notify());
        assert!(parking.take() && !parking.take());
        assert!(!parking.notify());
        assert!(!parking.commit(), "notified before the sleep began");
        assert!(parking.commit() && parking.is_parked());
        assert!(parking.notify() && !parking.is_parked());
    }
}

#[cfg(all(test, loom))]
mod models {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use loom::thread;

    use super::Parking;

    /// A task and the queue that it may be put into.
    struct Model {
        parking: Parking,
        queued: AtomicUsize,
        done: AtomicUsize,
    }

    impl Model {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                parking: Parking::new(),
                queued: AtomicUsize::new(0),
                done: AtomicUsize::new(0),
            })
        }

        fn queue(&self) {
            let before = self.queued.fetch_add(1, Ordering::AcqRel);
            assert_eq!(before, 0, "queued twice");
        }

        /// The task sleeps until it is queued: one step of a scheduler that has nothing else.
        fn sleep(&self) {
            if self.parking.take() {
                return;
            }
            if !self.parking.commit() {
                self.queue();
            }
            while self.queued.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Acquire).is_err() {
                thread::yield_now();
            }
        }

        fn wake(&self) {
            // Relaxed: what the task sees of it is the parking's matter.
            self.done.fetch_add(1, Ordering::Relaxed);
            if self.parking.notify() {
                self.queue();
            }
        }
    }

    /// Wakers and a task that sleeps until all of them have done their work.
    fn all_are_seen(wakers: usize) {
        loom::model(move || {
            let model = Model::new();
            let threads: Vec<_> = (0..wakers)
                .map(|_| {
                    let model = Arc::clone(&model);
                    thread::spawn(move || model.wake())
                })
                .collect();
            while model.done.load(Ordering::Relaxed) < wakers {
                model.sleep();
            }
            for thread in threads {
                thread.join().unwrap();
            }
            assert!(model.queued.load(Ordering::Relaxed) == 0, "queued while it ran");
        });
    }

    #[test]
    fn one_waker_is_seen() {
        all_are_seen(1);
    }

    #[test]
    fn two_wakers_are_seen() {
        all_are_seen(2);
    }

    /// What was written before the notification is seen after a sleep that it ended.
    #[test]
    fn a_sleep_sees_what_the_waker_did() {
        loom::model(|| {
            let model = Model::new();
            let flag = Arc::new(AtomicBool::new(false));
            let waker = {
                let (model, flag) = (Arc::clone(&model), Arc::clone(&flag));
                thread::spawn(move || {
                    flag.store(true, Ordering::Relaxed);
                    model.wake();
                })
            };
            model.sleep();
            assert!(flag.load(Ordering::Relaxed));
            waker.join().unwrap();
        });
    }
}
