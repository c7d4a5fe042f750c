//! RandomSample: passes packets at random.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "RandomSample",
    ports: "1/1-2",
    processing: "a/ah",
    flow: "",
    make: || Box::<RandomSample>::default(),
    documentation: Documentation {
        summary: "Passes packets at random.",
        arguments: &[
            ("P", "probability that a packet passes"),
            ("DROP", "probability that it does not"),
            ("ACTIVE", "whether to sample, default true"),
        ],
        handlers: &[
            ("sampling_prob", "probability that a packet passes"),
            ("active", "whether to sample"),
            ("drops", "packets that did not pass"),
        ],
    },
};

struct RandomSample {
    pass: u32,
    active: bool,
    drops: u64,
}

impl Default for RandomSample {
    fn default() -> Self {
        Self { pass: CERTAIN, active: true, drops: 0 }
    }
}

/// Probability 1 in the fixed point that is compared with random numbers.
const CERTAIN: u32 = 1 << 28;

impl Element for RandomSample {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut pass, mut drop) = (None::<f64>, None::<f64>);
        args.positional("P", &mut pass);
        args.keyword("SAMPLE", &mut pass);
        args.keyword("DROP", &mut drop);
        args.keyword("ACTIVE", &mut self.active);
        args.finish();
        let probability = match (pass, drop) {
            (Some(pass), None) => pass,
            (None, Some(drop)) => 1.0 - drop,
            _ => {
                args.error("must specify one of 'P' and 'DROP'");
                return;
            }
        };
        if !(0.0..=1.0).contains(&probability) {
            args.error("probability must be between 0 and 1");
            return;
        }
        self.pass = (probability * f64::from(CERTAIN)) as u32;
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        if !self.active || self.pass == CERTAIN {
            return;
        }
        let mut kept = cx.batch();
        let mut rest = cx.batch();
        for packet in batch.drain(..) {
            let pass = cx.random() % CERTAIN < self.pass;
            if pass { kept.push(packet) } else { rest.push(packet) }
        }
        core::mem::swap(batch, &mut kept);
        cx.kill_all(kept);
        self.drops += rest.len() as u64;
        cx.push(1, rest);
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("sampling_prob"), Handler::checkbox("active"), Handler::read("drops")]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "active" => self.active.to_string(),
            "drops" => self.drops.to_string(),
            _ => common::real(f64::from(self.pass) / f64::from(CERTAIN)),
        })
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        self.active = common::value(value, cx)?;
        common::done()
    }
}
