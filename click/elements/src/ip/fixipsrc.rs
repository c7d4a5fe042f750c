//! FixIPSrc: sets the source address of packets that ask for it.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::anno;
use click_runtime::args::Ip;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "FixIPSrc",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<FixIPSrc>::default(),
    documentation: Documentation {
        summary: "Sets the source address of packets that ask for it.",
        arguments: &[("IPADDR", "the address")],
        handlers: &[],
    },
};

#[derive(Default)]
struct FixIPSrc {
    address: [u8; 4],
}

impl Element for FixIPSrc {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut address = Ip::default();
        args.required("IPADDR", &mut address);
        args.finish();
        self.address = address.0;
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            if packet.anno_u8(anno::FIX_IP_SRC) != 0 {
                packet.set_anno_u8(anno::FIX_IP_SRC, 0);
                let address = self.address;
                let ip = packet.network_data_mut();
                wire::put(ip, 12, &address);
                wire::set_ip_checksum(ip);
            }
        }
    }
}
