//! IPAddrPairRewriter: rewrites pairs of addresses, whatever the ports.

use alloc::boxed::Box;

use click_runtime::Class;
use click_runtime::Documentation;

use crate::nat;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "IPAddrPairRewriter",
    ports: "1-/1-",
    processing: "h/h",
    flow: "",
    make: || Box::new(super::iprewriter::Rewriter::new(nat::Flavor::Pair)),
    documentation: Documentation {
        summary: "Rewrites pairs of addresses, whatever the ports.",
        arguments: &[
            (
                "INPUTSPEC...",
                "one per input: `drop`, `pass OUTPUT`, `keep FOUTPUT ROUTPUT`, `pattern SADDR SPORT DADDR DPORT FOUTPUT ROUTPUT`, or an element that chooses",
            ),
            ("MAPPING_CAPACITY", "most flows, default 65536, or a rewriter to share with"),
            ("GUARANTEE", "time for which a flow cannot be replaced after a packet, default 5s"),
            (
                "TCP_TIMEOUT, TCP_DONE_TIMEOUT, TCP_NODATA_TIMEOUT",
                "when TCP flows end: default 24h, 4m, 5m",
            ),
            ("UDP_TIMEOUT, UDP_STREAMING_TIMEOUT", "when UDP flows end: default 5m"),
            ("TIMEOUT, STREAMING_TIMEOUT", "the same for rewriters of one kind"),
            ("REAP_INTERVAL", "how often ended flows are removed, default 15m"),
            ("DST_ANNO", "whether to set the destination annotation, default true"),
            ("REPLY_ANNO", "annotation of new flows to put on replies"),
        ],
        handlers: &[
            ("table, tcp_table, udp_table", "the flows"),
            ("patterns", "input specifications"),
            ("pattern0, ...", "changes an input specification"),
            ("lookup, tcp_lookup, udp_lookup", "the identity that a flow is rewritten to"),
            ("size", "number of flows"),
            ("capacity", "most flows"),
            ("mapping_failures", "new flows that found no place"),
            ("clear", "removes all flows"),
        ],
    },
};
