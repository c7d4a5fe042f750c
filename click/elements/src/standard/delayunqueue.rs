//! DelayUnqueue: pulls packets and pushes each after a delay.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Packet;
use click_runtime::args::Time;
use click_runtime::notify::Signal;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "DelayUnqueue",
    ports: "1/1",
    processing: "l/h",
    flow: "",
    make: || Box::<DelayUnqueue>::default(),
    documentation: Documentation {
        summary: "Pulls packets and pushes each after a delay.",
        arguments: &[("DELAY", "the delay")],
        handlers: &[],
    },
};

struct DelayUnqueue {
    delay: i64,
    waiting: Option<Packet>,
    signal: Signal,
}

impl Default for DelayUnqueue {
    fn default() -> Self {
        Self { delay: 0, waiting: None, signal: Signal::busy() }
    }
}

impl Element for DelayUnqueue {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut delay = Time::default();
        args.required("DELAY", &mut delay);
        args.finish();
        self.delay = delay.0;
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        self.signal = cx.upstream_signal(0, true);
        cx.reschedule();
    }

    fn task(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = false;
        loop {
            if self.waiting.is_none()
                && let Some(mut packet) = cx.pull_one(0)
            {
                if packet.timestamp() < 1_000_000_000 {
                    let now = cx.now();
                    packet.set_timestamp(now);
                }
                packet.set_timestamp(packet.timestamp() + self.delay);
                self.waiting = Some(packet);
            }
            let Some(packet) = self.waiting.take() else {
                if cx.is_active(&self.signal) {
                    cx.reschedule();
                }
                return worked;
            };
            let now = cx.now();
            if packet.timestamp() > now {
                cx.set_timer_after(0, packet.timestamp() - now);
                self.waiting = Some(packet);
                return worked;
            }
            cx.push_one(0, packet);
            worked = true;
        }
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        cx.reschedule();
    }
}
