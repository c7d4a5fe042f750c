/// Packets and what became of them, below TCP. Each dropped packet counts in one field besides
/// the totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames taken from devices, and their octets.
    pub frames_in: u64,
    /// Octets of those.
    pub octets_in: u64,
    /// Frames given to devices.
    pub frames_out: u64,
    /// Octets of those.
    pub octets_out: u64,
    /// Frames too short for their headers.
    pub truncated: u64,
    /// Frames for other hardware addresses.
    pub other_host: u64,
    /// Frames of an unknown protocol.
    pub unknown_ethertype: u64,
    /// Frames on an interface that is down or not there.
    pub no_interface: u64,
    /// Malformed ARP packets, and those that lie.
    pub bad_arp: u64,
    /// IP headers that are malformed.
    pub bad_ip_header: u64,
    /// Wrong header or transport checksums.
    pub bad_checksum: u64,
    /// Source addresses that cannot be (RFC 1122 §3.2.1.3).
    pub martian: u64,
    /// Packets for addresses that are not ours.
    pub not_local: u64,
    /// Transport headers that are malformed.
    pub bad_transport: u64,
    /// Packets of a transport protocol without a taker.
    pub unknown_protocol: u64,
    /// Datagrams without a socket.
    pub no_port: u64,
    /// TCP segments without a connection or listener.
    pub no_connection: u64,
    /// Datagrams dropped because the socket's buffer was full.
    pub socket_full: u64,
    /// Fragments received.
    pub fragments_in: u64,
    /// Packets put together.
    pub reassembled: u64,
    /// Fragments dropped: overlapping, too late, malformed or too many.
    pub bad_fragment: u64,
    /// Packets of which fragments were missing in time.
    pub reassembly_timeouts: u64,
    /// Fragments sent.
    pub fragments_out: u64,
    /// Malformed ICMP messages, and errors that match nothing we sent.
    pub bad_icmp: u64,
    /// ICMP messages taken.
    pub icmp_in: u64,
    /// ICMP messages sent.
    pub icmp_out: u64,
    /// ICMP errors that were not sent because of the rate limit.
    pub icmp_limited: u64,
    /// Malformed neighbour discovery messages.
    pub bad_ndp: u64,
    /// Addresses found to be in use by someone else.
    pub duplicate_addresses: u64,
    /// Packets without a route or source address.
    pub no_route: u64,
    /// Packets whose neighbour did not answer, or that waited behind too many others.
    pub unresolved: u64,
    /// Packets dropped because the transmit queue was full.
    pub transmit_full: u64,
    /// Packets dropped because another shard's inbox was full.
    pub inbox_full: u64,
    /// Packets dropped for want of memory.
    pub no_memory: u64,
    /// Packets handed to another shard.
    pub steered: u64,
    /// Segments joined before TCP saw them.
    pub merged: u64,
    /// Datagrams received and sent.
    pub datagrams_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Connections refused because of a limit.
    pub connection_limit: u64,
    /// DHCP messages that made no sense.
    pub bad_dhcp: u64,
}
