//! EtherVLANEncap: puts an Ethernet header with a VLAN tag in front of packets.

use alloc::boxed::Box;

use click_language::value as parse;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Packet;
use click_runtime::anno;
use click_runtime::args::Ethernet;
use click_runtime::args::Raw;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "EtherVLANEncap",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<EtherVLANEncap>::default(),
    documentation: Documentation {
        summary: "Puts an Ethernet header with a VLAN tag in front of packets.",
        arguments: &[
            ("ETHERTYPE", "the type"),
            ("SRC", "source address"),
            ("DST", "destination address"),
            ("VLAN_TCI", "the tag, or `ANNO`"),
            ("NATIVE_VLAN", "network whose packets go without a tag"),
        ],
        handlers: &[],
    },
};

/// A tag: fixed, or what the annotation says.
#[derive(Default)]
struct Tag {
    fixed: Option<u16>,
    native: Option<u16>,
}

impl Tag {
    /// The tag for a packet; none for packets of the native network.
    fn of(&self, packet: &Packet) -> Option<u16> {
        let tag = self.fixed.unwrap_or_else(|| u16::from_be_bytes(packet.anno(anno::VLAN_TCI)));
        (self.native != Some(tag & 0xfff)).then_some(tag)
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut text, mut priority, mut native) = (Raw::default(), 0u16, None::<i32>);
        text.0 = "ANNO".into();
        let given = args.positional("VLAN_TCI", &mut text);
        let (mut id, mut by_id) = (Raw::default(), false);
        if args.keyword("VLAN_ID", &mut id) {
            text = id;
            by_id = true;
        }
        args.keyword("VLAN_PCP", &mut priority);
        args.keyword("NATIVE_VLAN", &mut native);
        if text.0 != "ANNO" {
            match parse::unsigned(&text.0) {
                Some(tag @ 0..=0xffff) => self.fixed = Some(tag as u16 | priority << 13),
                _ if given || by_id => args.error("VLAN_TCI: expected a tag or 'ANNO'"),
                _ => args.error("VLAN_TCI: required argument missing"),
            }
        }
        self.native = native.and_then(|native| u16::try_from(native).ok());
    }
}

#[derive(Default)]
struct EtherVLANEncap {
    header: [u8; 18],
    tag: Tag,
}

impl Element for EtherVLANEncap {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut kind, mut source, mut destination) =
            (0u16, Ethernet::default(), Ethernet::default());
        args.required("ETHERTYPE", &mut kind);
        args.required("SRC", &mut source);
        args.required("DST", &mut destination);
        self.tag.configure(args);
        args.finish();
        self.header[..6].copy_from_slice(&destination.0);
        self.header[6..12].copy_from_slice(&source.0);
        self.header[12..14].copy_from_slice(&0x8100u16.to_be_bytes());
        self.header[16..].copy_from_slice(&kind.to_be_bytes());
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let mut header = self.header;
            match self.tag.of(packet) {
                Some(tag) => {
                    header[14..16].copy_from_slice(&tag.to_be_bytes());
                    packet.prepend(18);
                    packet.data_mut()[..18].copy_from_slice(&header);
                }
                None => {
                    packet.prepend(14);
                    packet.data_mut()[..12].copy_from_slice(&header[..12]);
                    packet.data_mut()[12..14].copy_from_slice(&header[16..]);
                }
            }
            packet.set_mac(0);
        }
    }
}
