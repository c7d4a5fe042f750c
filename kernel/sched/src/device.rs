//! Device events: how what a device has to say reaches whoever serves it.
//!
//! A platform counts events per vCPU, in interrupt context, and does no more. The vCPU notices
//! at its next yield point that leads out of a program or of waiting, and calls the registered
//! handlers there. They do little: wake a task, most of all.

use core::sync::atomic::{AtomicU64, Ordering};

use hal::{PerCpu, per_cpu};
use spin::Once;

/// The most handlers.
const MOST: usize = 8;

static HANDLERS: [Once<fn()>; MOST] = [const { Once::new() }; MOST];

/// How many events each vCPU has dealt with.
static SEEN: PerCpu<AtomicU64> = per_cpu!(AtomicU64::new(0));

/// Calls `handler` after each device event, on the vCPU that noticed it, without locks held.
///
/// # Panics
/// When more than eight are registered.
pub fn on_device_event(handler: fn()) {
    for place in &HANDLERS {
        let mut placed = false;
        place.call_once(|| {
            placed = true;
            handler
        });
        if placed {
            return;
        }
    }
    panic!("too many handlers of device events");
}

/// Calls the handlers if there were device events on this vCPU.
#[inline]
pub(crate) fn serve() {
    let now = hal::device_events();
    let seen = SEEN.this();
    if seen.load(Ordering::Relaxed) != now {
        seen.store(now, Ordering::Relaxed);
        for handler in HANDLERS.iter().map_while(Once::get) {
            handler();
        }
    }
}
