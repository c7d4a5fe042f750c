//! ICMPPingResponder: turns ICMP echo requests into replies; sends other packets to output 1.

use alloc::boxed::Box;

use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ICMPPingResponder",
    ports: "1/1-2",
    processing: "a/ah",
    flow: "",
    make: || Box::<ICMPPingResponder>::default(),
    documentation: Documentation {
        summary: "Turns ICMP echo requests into replies; sends other packets to output 1.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct ICMPPingResponder;

impl Element for ICMPPingResponder {
    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        cx.split(batch, 1, |packet| {
            let ip = packet.network_data_mut();
            let header = wire::header_length(ip);
            if wire::protocol(ip) != wire::ICMP
                || wire::is_fragment(ip)
                || ip.get(header) != Some(&8)
            {
                return false;
            }
            let (source, destination) = (wire::ip_at(ip, 12), wire::ip_at(ip, 16));
            wire::put(ip, 12, &destination);
            wire::put(ip, 16, &source);
            ip[header] = 0;
            let total = usize::from(wire::u16_at(ip, 2)).clamp(header, ip.len());
            wire::set_transport_checksum(&mut ip[..total]);
            packet.set_dst_ip(source);
            true
        });
    }
}
