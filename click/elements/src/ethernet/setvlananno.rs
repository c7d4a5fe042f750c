//! SetVLANAnno: sets the VLAN tag annotation.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::anno;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "SetVLANAnno",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<SetVLANAnno>::default(),
    documentation: Documentation {
        summary: "Sets the VLAN tag annotation.",
        arguments: &[
            ("VLAN_ID", "number of the network"),
            ("VLAN_PCP", "priority"),
            ("VLAN_TCI", "or: the whole tag"),
        ],
        handlers: &[],
    },
};

#[derive(Default)]
struct SetVLANAnno {
    tag: u16,
}

impl Element for SetVLANAnno {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut id, mut priority, mut tag) = (0u16, 0u16, None::<u16>);
        args.positional("VLAN_ID", &mut id);
        args.positional("VLAN_PCP", &mut priority);
        args.keyword("VLAN_TCI", &mut tag);
        args.finish();
        if id > 0xfff || priority > 7 {
            args.error("out of range");
        }
        self.tag = tag.unwrap_or(id | priority << 13);
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            packet.set_anno(anno::VLAN_TCI, self.tag.to_be_bytes());
        }
    }
}
