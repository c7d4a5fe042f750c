//! SetIPDSCP: sets the differentiated services code point.

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
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "SetIPDSCP",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<SetIPDSCP>::default(),
    documentation: Documentation {
        summary: "Sets the differentiated services code point.",
        arguments: &[("DSCP", "the code point")],
        handlers: &[("dscp", "the code point")],
    },
};

#[derive(Default)]
struct SetIPDSCP {
    dscp: u8,
}

impl Element for SetIPDSCP {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.required("DSCP", &mut self.dscp);
        args.finish();
        if self.dscp > 63 {
            args.error("diffserv code point out of range");
        }
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let dscp = self.dscp;
            let ip = packet.network_data_mut();
            let old = wire::u16_at(ip, 0);
            let new = old & 0xff03 | u16::from(dscp) << 2;
            let checksum = wire::update(wire::u16_at(ip, 10), old, new);
            wire::put(ip, 10, &checksum.to_be_bytes());
            wire::put(ip, 0, &new.to_be_bytes());
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("dscp")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.dscp.to_string())
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        let dscp: u8 = common::value(value, cx)?;
        if dscp > 63 {
            return Err("diffserv code point out of range".into());
        }
        self.dscp = dscp;
        common::done()
    }
}
