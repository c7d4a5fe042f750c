//! Devices: who looks at them when they ask for it.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hal::{PerCpu, per_cpu};
use spin::Once;

/// The most subsystems with devices.
const MOST: usize = 4;

static HOOKS: [Once<fn()>; MOST] = [const { Once::new() }; MOST];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The events of each vCPU that were dealt with.
static SEEN: PerCpu<AtomicU64> = per_cpu!(AtomicU64::new(0));

/// Has `hook` called after devices asked for attention on a vCPU ([`hal::device_events`]): by that
/// vCPU, at a yield point, without locks held. It must not sleep.
pub fn on_device_event(hook: fn()) {
    let index = COUNT.fetch_add(1, Ordering::Relaxed);
    match HOOKS.get(index) {
        Some(slot) => {
            slot.call_once(|| hook);
        }
        None => panic!("more than {MOST} subsystems have devices"),
    }
}

/// Calls the hooks if a device of this vCPU asked for attention.
pub(crate) fn run() {
    let events = hal::device_events();
    if SEEN.this().swap(events, Ordering::Relaxed) == events {
        return;
    }
    HOOKS.iter().filter_map(Once::get).for_each(|hook| hook());
}
