//! RandomSeed: seeds the random numbers of the router.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::Phase;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "RandomSeed",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::<RandomSeed>::default(),
    documentation: Documentation {
        summary: "Seeds the random numbers of the router.",
        arguments: &[("SEED", "the seed")],
        handlers: &[("seed", "sets the seed")],
    },
};

#[derive(Default)]
struct RandomSeed {
    seed: Option<u32>,
}

impl Element for RandomSeed {
    fn phase(&self) -> Phase {
        Phase::Info
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("SEED", &mut self.seed);
        args.finish();
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        if let Some(seed) = self.seed {
            cx.seed(seed);
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::write("seed")]
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        let seed = common::value(value, cx)?;
        cx.seed(seed);
        common::done()
    }
}
