//! GetIPAddress: sets the destination address annotation from the packet.

use alloc::boxed::Box;
use alloc::string::String;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::anno;
use click_runtime::anno::Slot;
use click_runtime::args::Annotation;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "GetIPAddress",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<GetIPAddress>::default(),
    documentation: Documentation {
        summary: "Sets the destination address annotation from the packet.",
        arguments: &[
            ("OFFSET", "where the address is"),
            ("IP", "or: `src` or `dst` of the IP header"),
            ("ANNO", "annotation to set"),
        ],
        handlers: &[],
    },
};

#[derive(Default)]
struct GetIPAddress {
    offset: Option<usize>,
    source: bool,
    slot: usize,
}

impl Element for GetIPAddress {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut ip, mut offset) = (String::new(), None::<usize>);
        let mut slot = Annotation::<4>(Slot { offset: anno::DST_IP, size: 4 });
        args.positional("OFFSET", &mut offset);
        args.keyword("IP", &mut ip);
        args.keyword("ANNO", &mut slot);
        args.finish();
        self.slot = slot.0.offset;
        self.offset = offset;
        match ip.as_str() {
            "" | "dst" => {}
            "src" => self.source = true,
            _ => args.error("IP: expected 'src' or 'dst'"),
        }
        if ip.is_empty() && offset.is_none() {
            args.error("OFFSET: required argument missing");
        }
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let address = match self.offset {
                Some(offset) => wire::ip_at(packet.data(), offset),
                None => wire::ip_at(packet.network_data(), if self.source { 12 } else { 16 }),
            };
            packet.set_anno(self.slot, address);
        }
    }
}
