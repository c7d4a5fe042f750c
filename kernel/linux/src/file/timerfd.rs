//! `timerfd_create(2)` and its kin.

use alloc::sync::{Arc, Weak};
use core::any::Any;

use errno::Errno;
use lock::SpinLock;
use sched::{Expire, Timer};

use super::{File, OpenFile, events, flags};
use crate::abi::Timespec;
use crate::error::{Result, fail};
use crate::notifier::Notifier;
use crate::thread::Thread;
use crate::time::clock;
use crate::user::{self, Sink};
use crate::{layout, rank};

#[derive(Default)]
struct State {
    /// When it expires next, by [`hal::monotonic`]; 0: never.
    next: u64,
    /// Nanoseconds between expirations; 0: it expires once.
    interval: u64,
    timer: Option<Timer>,
}

impl State {
    /// How often it has expired by now since the last look; moves on to the next expiration.
    fn expirations(&mut self, now: u64) -> u64 {
        if self.next == 0 || now < self.next {
            return 0;
        }
        if self.interval == 0 {
            self.next = 0;
            return 1;
        }
        let count = (now - self.next) / self.interval + 1;
        self.next += count * self.interval;
        count
    }
}

struct TimerFile {
    /// The clock that absolute times are by.
    clock: u64,
    state: SpinLock<State>,
    notifier: Notifier,
    own: Weak<Self>,
}

impl TimerFile {
    fn arm(&self, state: &mut State) {
        state.timer = match self.own.upgrade() {
            Some(own) if state.next != 0 => Some(Timer::new(state.next, own)),
            _ => None,
        };
    }

    fn is_realtime(&self) -> bool {
        matches!(self.clock, clock::REALTIME | clock::REALTIME_ALARM)
    }
}

impl Expire for TimerFile {
    fn expire(self: Arc<Self>, _now: u64) {
        self.notifier.notify_of(events::IN | events::RDNORM);
    }
}

impl File for TimerFile {
    fn read(&self, _open: &OpenFile, to: &mut dyn Sink, _position: u64) -> Result<usize> {
        if to.room() < 8 {
            return fail(Errno::EINVAL);
        }
        let mut state = self.state.lock();
        let count = state.expirations(hal::monotonic());
        if count == 0 {
            return fail(Errno::EAGAIN);
        }
        self.arm(&mut state);
        drop(state);
        to.put(&count.to_le_bytes())
    }

    fn ready(&self) -> u32 {
        let state = self.state.lock();
        if state.next != 0 && hal::monotonic() >= state.next { events::IN } else { 0 }
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.notifier)
    }

    fn label(&self) -> alloc::string::String {
        "anon_inode:[timerfd]".into()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn closed(&self, _open: &OpenFile) {
        let timer = self.state.lock().timer.take();
        timer.map(Timer::cancel);
    }
}

layout! {
    /// `struct itimerspec`.
    pub struct TimerSetting {
        pub interval: [i64; 2],
        pub value: [i64; 2],
    }
}

fn nanoseconds([seconds, nanoseconds]: [i64; 2]) -> Result<u64> {
    Ok(Timespec { seconds, nanoseconds }.nanoseconds().ok_or(Errno::EINVAL)?)
}

fn pair(time: u64) -> [i64; 2] {
    let time = Timespec::from_nanoseconds(time);
    [time.seconds, time.nanoseconds]
}

/// `timerfd_create(2)`.
pub fn timerfd_create(thread: &Thread, [number, options, ..]: [u64; 6]) -> Result {
    let options = options as u32;
    let clock = u64::from(number as u32);
    let known = matches!(
        clock,
        clock::REALTIME
            | clock::MONOTONIC
            | clock::BOOTTIME
            | clock::REALTIME_ALARM
            | clock::BOOTTIME_ALARM
    );
    if options & !(flags::CLOEXEC | flags::NONBLOCK) != 0 || !known {
        return fail(Errno::EINVAL);
    }
    const WAKE_ALARM: u32 = 35;
    if matches!(clock, clock::REALTIME_ALARM | clock::BOOTTIME_ALARM)
        && !thread.has_capability(WAKE_ALARM)
    {
        return fail(Errno::EPERM);
    }
    let file = Arc::new_cyclic(|own| TimerFile {
        clock,
        state: SpinLock::new(rank::STREAM, State::default()),
        notifier: Notifier::new(),
        own: Weak::clone(own),
    });
    let open = OpenFile::new(file, None, flags::RDWR | options & flags::NONBLOCK);
    thread.add_file(open, options & flags::CLOEXEC != 0)
}

fn with_timer<T>(
    thread: &Thread,
    descriptor: u64,
    with: impl FnOnce(&TimerFile) -> Result<T>,
) -> Result<T> {
    let open = thread.files().get(descriptor)?;
    match open.file.as_any().downcast_ref::<TimerFile>() {
        Some(file) => with(file),
        None => fail(Errno::EINVAL),
    }
}

/// What a timer is set to, looking at it now.
fn setting_of(state: &State, now: u64) -> TimerSetting {
    let left = match state.next {
        0 => 0,
        next if next > now => next - now,
        // It has expired: with an interval, the next time counts.
        _ if state.interval == 0 => 0,
        next => state.interval - (now - next) % state.interval,
    };
    TimerSetting { interval: pair(state.interval), value: pair(left) }
}

/// `timerfd_settime(2)`.
pub fn timerfd_settime(thread: &Thread, [descriptor, options, new, old, ..]: [u64; 6]) -> Result {
    const ABSOLUTE: u32 = 1;
    const CANCEL_ON_SET: u32 = 2;
    let options = options as u32;
    let setting: TimerSetting = user::read(new)?;
    if options & !(ABSOLUTE | CANCEL_ON_SET) != 0 {
        return fail(Errno::EINVAL);
    }
    let (value, interval) = (nanoseconds(setting.value)?, nanoseconds(setting.interval)?);
    let before = with_timer(thread, descriptor, |file| {
        let now = hal::monotonic();
        let next = match value {
            0 => 0,
            value if options & ABSOLUTE == 0 => now.saturating_add(value),
            value if file.is_realtime() => {
                now.saturating_add(value.saturating_sub(hal::realtime())).max(1)
            }
            value => value,
        };
        let mut state = file.state.lock();
        let before = setting_of(&state, now);
        let timer = state.timer.take();
        state.next = next;
        state.interval = interval;
        file.arm(&mut state);
        drop(state);
        timer.map(Timer::cancel);
        Ok(before)
    })?;
    user::write_if(old, &before)?;
    Ok(0)
}

/// `timerfd_gettime(2)`.
pub fn timerfd_gettime(thread: &Thread, [descriptor, to, ..]: [u64; 6]) -> Result {
    let setting = with_timer(thread, descriptor, |file| {
        Ok(setting_of(&file.state.lock(), hal::monotonic()))
    })?;
    user::write(to, &setting)?;
    Ok(0)
}
