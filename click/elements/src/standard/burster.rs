//! Burster: pulls packets at intervals and pushes them in bursts.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::args::Time;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Burster",
    ports: "1/1",
    processing: "l/h",
    flow: "",
    make: || Box::<Burster>::default(),
    documentation: Documentation {
        summary: "Pulls packets at intervals and pushes them in bursts.",
        arguments: &[
            ("INTERVAL", "time between bursts"),
            ("BURST", "packets per burst, default 8"),
        ],
        handlers: &[],
    },
};

struct Burster {
    interval: i64,
    burst: usize,
}

impl Default for Burster {
    fn default() -> Self {
        Self { interval: 0, burst: 8 }
    }
}

impl Element for Burster {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut interval = Time::default();
        args.required("INTERVAL", &mut interval);
        args.positional("BURST", &mut self.burst);
        args.finish();
        if interval.0 <= 0 {
            args.error("INTERVAL must be > 0");
        }
        self.interval = interval.0;
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        cx.set_timer_after(0, self.interval);
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        let batch = cx.pull(0, self.burst);
        cx.push(0, batch);
        cx.set_timer_after(0, self.interval);
    }
}
