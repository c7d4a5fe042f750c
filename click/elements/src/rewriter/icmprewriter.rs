//! ICMPRewriter: rewrites ICMP error messages about flows that rewriters changed, so that they reach the sender.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use click_language::config;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Packet;
use click_runtime::Phase;
use click_runtime::args::Annotation;
use click_runtime::args::Raw;

use crate::nat;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ICMPRewriter",
    ports: "1-2/1-2",
    processing: "h/h",
    flow: "",
    make: || Box::<ICMPRewriter>::default(),
    documentation: Documentation {
        summary: "Rewrites ICMP error messages about flows that rewriters changed, so that they reach the sender.",
        arguments: &[
            ("REWRITERS", "the rewriters"),
            ("DST_ANNO", "whether to set the destination annotation, default true"),
            ("REPLY_ANNO", "annotation of the flow to put on messages"),
        ],
        handlers: &[],
    },
};

use super::iprewriter::Rewriter;
use crate::nat::flow::Group;

struct ICMPRewriter {
    rewriters: Vec<usize>,
    annotate: bool,
    reply_annotation: Option<usize>,
}

impl Default for ICMPRewriter {
    fn default() -> Self {
        Self { rewriters: Vec::new(), annotate: true, reply_annotation: None }
    }
}

/// Messages that quote the packet that they are about.
fn quotes(kind: u8) -> bool {
    matches!(kind, 3 | 4 | 5 | 11 | 12)
}

/// Where headers are in a message: outer header, quoted packet, quoted transport header.
fn layout(ip: &[u8]) -> Option<(usize, usize, usize)> {
    let outer = wire::header_length(ip);
    let quoted = outer + 8;
    let inner = ip.get(quoted..)?;
    let transport = quoted + wire::header_length(inner);
    (wire::protocol(ip) == wire::ICMP
        && wire::is_first_fragment(ip)
        && quotes(*ip.get(outer)?)
        && ip.len() >= transport + 8
        && wire::is_first_fragment(inner))
    .then_some((outer, quoted, transport))
}

/// The flow of the quoted packet as this flavor knows it.
fn quoted_flow(
    flavor: nat::Flavor,
    inner: &[u8],
    transport: &[u8],
) -> Option<(Group, nat::FlowId)> {
    let (source, destination) = (wire::ip_at(inner, 12), wire::ip_at(inner, 16));
    let plain = nat::FlowId { source, sport: 0, destination, dport: 0 };
    let ports = nat::FlowId {
        sport: wire::u16_at(transport, 0),
        dport: wire::u16_at(transport, 2),
        ..plain
    };
    Some(match (flavor, wire::protocol(inner)) {
        (nat::Flavor::Ports, wire::TCP) => (Group::Tcp, ports),
        (nat::Flavor::Ports, wire::UDP) => (Group::Udp, ports),
        (nat::Flavor::Ping, wire::ICMP) => {
            let identifier = wire::u16_at(transport, 4);
            let id = match transport[0] {
                8 => nat::FlowId { sport: identifier, ..plain },
                0 => nat::FlowId { dport: identifier, ..plain },
                _ => return None,
            };
            (Group::Other, id)
        }
        (nat::Flavor::Address | nat::Flavor::Pair, _) => (Group::Other, plain),
        _ => return None,
    })
}

impl ICMPRewriter {
    /// Rewrites a message. False if it belongs to no known flow.
    fn rewrite(&self, packet: &mut Packet, cx: &mut Context<'_>) -> bool {
        let ip = packet.network_data();
        let Some((outer, quoted, transport)) = layout(ip) else { return false };
        let mut found = None;
        for &rewriter in &self.rewriters {
            let (inner, segment) = (&ip[quoted..], &ip[transport..]);
            found = cx
                .with(rewriter, |rewriter: &mut Rewriter, _| {
                    let (group, id) = quoted_flow(rewriter.flavor(), inner, segment)?;
                    // The quoted packet came out of the rewriter: its replies lead back.
                    let (new, reply, _, annotation) = rewriter.lookup(group, id.reverse())?;
                    Some((rewriter.flavor(), new.reverse(), reply, annotation))
                })
                .flatten();
            if found.is_some() {
                break;
            }
        }
        let Some((flavor, new, _, annotation)) = found else { return false };
        let ip = packet.network_data_mut();
        let old_source = wire::ip_at(ip, quoted + 12);
        wire::put(ip, quoted + 12, &new.source);
        wire::put(ip, quoted + 16, &new.destination);
        let header = transport - quoted;
        wire::set_ip_checksum(&mut ip[quoted..quoted + header]);
        let inner_protocol = wire::protocol(&ip[quoted..]);
        match flavor {
            nat::Flavor::Ports => {
                wire::put(ip, transport, &new.sport.to_be_bytes());
                wire::put(ip, transport + 2, &new.dport.to_be_bytes());
            }
            nat::Flavor::Ping => {
                let identifier = if ip[transport] == 8 { new.sport } else { new.dport };
                wire::put(ip, transport + 4, &identifier.to_be_bytes());
            }
            nat::Flavor::Address | nat::Flavor::Pair => {}
        }
        // A quoted packet that is whole keeps a right checksum.
        let inner_total = usize::from(wire::u16_at(ip, quoted + 2));
        if ip.len() >= quoted + inner_total && inner_total >= header {
            let checked = inner_protocol != wire::UDP || wire::u16_at(ip, transport + 6) != 0;
            if checked {
                wire::set_transport_checksum(&mut ip[quoted..quoted + inner_total]);
            }
        }
        // The message goes to whom the packet came from.
        if wire::ip_at(ip, 16) == old_source {
            wire::put(ip, 16, &new.source);
        }
        let total = usize::from(wire::u16_at(ip, 2)).clamp(outer, ip.len());
        wire::set_ip_checksum(&mut ip[..outer]);
        wire::set_transport_checksum(&mut ip[..total]);
        let destination = wire::ip_at(ip, 16);
        if self.annotate {
            packet.set_dst_ip(destination);
        }
        if let Some(at) = self.reply_annotation {
            packet.set_anno_u8(at, annotation);
        }
        true
    }
}

impl Element for ICMPRewriter {
    fn phase(&self) -> Phase {
        Phase::Late
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut rewriters, mut annotation) = (Raw::default(), None::<Annotation<1>>);
        args.required("REWRITERS", &mut rewriters);
        args.keyword("DST_ANNO", &mut self.annotate);
        args.keyword("REPLY_ANNO", &mut annotation);
        args.finish();
        self.reply_annotation = annotation.map(|annotation| annotation.0.offset);
        for word in config::split_words(&rewriters.0) {
            match args.element(&word) {
                Some(element) => self.rewriters.push(element),
                None => args.error(&format!("'{word}' does not name an element")),
            }
        }
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        for mut packet in batch {
            let output = usize::from(!self.rewrite(&mut packet, cx));
            cx.push_one(output, packet);
        }
    }
}
