//! StripEtherVLANHeader: takes off the Ethernet header and its VLAN tag, and notes the tag.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::anno;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "StripEtherVLANHeader",
    ports: "1/1-2",
    processing: "a/ah",
    flow: "",
    make: || Box::<StripEtherVLANHeader>::default(),
    documentation: Documentation {
        summary: "Takes off the Ethernet header and its VLAN tag, and notes the tag.",
        arguments: &[("NATIVE_VLAN", "network of packets without a tag, default 0")],
        handlers: &[],
    },
};

#[derive(Default)]
struct StripEtherVLANHeader {
    native: u16,
}

impl Element for StripEtherVLANHeader {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.keyword("NATIVE_VLAN", &mut self.native);
        args.finish();
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let native = self.native;
        cx.split(batch, 1, |packet| {
            let data = packet.data();
            if data.len() < 14 {
                return false;
            }
            packet.set_mac(0);
            let data = packet.data();
            if wire::u16_at(data, 12) == 0x8100 && data.len() >= 18 {
                let tag = [data[14], data[15]];
                packet.set_anno(anno::VLAN_TCI, tag);
                packet.strip(18);
            } else {
                packet.set_anno(anno::VLAN_TCI, native.to_be_bytes());
                packet.strip(14);
            }
            true
        });
    }
}
