//! BandwidthRatedSplitter: passes packets up to a rate; sends those beyond it to output 1.

use alloc::boxed::Box;
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

use crate::bucket;
use crate::bucket::Bucket;
use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "BandwidthRatedSplitter",
    ports: "1/1-2",
    processing: "h/h",
    flow: "",
    make: || Box::<BandwidthRatedSplitter>::default(),
    documentation: Documentation {
        summary: "Passes packets up to a rate; sends those beyond it to output 1.",
        arguments: &[
            ("RATE", "bandwidth"),
            ("BURST_DURATION", "time that a burst may make up for, default 20ms"),
            ("BURST_BYTES", "or: size of a burst"),
        ],
        handlers: &[("rate", "the rate")],
    },
};

#[derive(Default)]
struct BandwidthRatedSplitter {
    bucket: Bucket,
}

const BANDWIDTH: bool = true;

impl Element for BandwidthRatedSplitter {
    fn configure(&mut self, args: &mut Args<'_>) {
        if let Some(bucket) = bucket::configure(args, BANDWIDTH) {
            self.bucket = bucket;
        }
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let now = cx.time();
        self.bucket.refill(now);
        let bucket = &mut self.bucket;
        cx.split(batch, 1, |packet| {
            if BANDWIDTH {
                let pass = bucket.contains(bucket::BANDWIDTH_SLACK);
                if pass {
                    bucket.remove(bucket::cost(packet.len(), true));
                }
                pass
            } else {
                bucket.remove_if(1)
            }
        });
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("rate")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(bucket::unparse_rate(self.bucket.rate(), BANDWIDTH))
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        let rate = bucket::parse_rate(value, BANDWIDTH, cx)?;
        self.bucket = bucket::default_bucket(rate, BANDWIDTH);
        common::show_keyword("RATE", value, Some(0), cx);
        common::done()
    }
}
