use drupe_net_base::SECOND;

use crate::congestion::Algorithm;

/// The options of one connection, mostly as `tcp(7)` and `socket(7)` name them. Times are
/// nanoseconds, sizes octets.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Send small segments at once (`TCP_NODELAY`).
    pub no_delay: bool,
    /// Hold back segments that are not full (`TCP_CORK`).
    pub cork: bool,
    /// Acknowledge at once rather than delayed (`TCP_QUICKACK`).
    pub quick_ack: bool,
    /// Probe a silent peer (`SO_KEEPALIVE`).
    pub keepalive: bool,
    /// Silence before the first probe (`TCP_KEEPIDLE`).
    pub keepalive_idle: u64,
    /// Time between probes (`TCP_KEEPINTVL`).
    pub keepalive_interval: u64,
    /// Unanswered probes that end the connection (`TCP_KEEPCNT`).
    pub keepalive_count: u8,
    /// Give up when sent data stays unacknowledged this long (`TCP_USER_TIMEOUT`); 0: after
    /// fifteen retransmissions.
    pub user_timeout: u64,
    /// Unacknowledged SYNs that end a connection attempt (`TCP_SYNCNT`).
    pub syn_retries: u8,
    /// How long an orphan waits for the peer's FIN (`TCP_LINGER2`).
    pub fin_timeout: u64,
    /// Most data held for sending (`SO_SNDBUF`).
    pub send_buffer: u32,
    /// Autotuning may raise `send_buffer` up to this; equal to it once the user has chosen.
    pub send_buffer_max: u32,
    /// Most received data held (`SO_RCVBUF`).
    pub receive_buffer: u32,
    /// Autotuning may raise `receive_buffer` up to this; equal to it once the user has chosen.
    pub receive_buffer_max: u32,
    /// Least octets for the socket to count as readable (`SO_RCVLOWAT`).
    pub receive_low_water: u32,
    /// Unsent octets above which the socket does not count as writable
    /// (`TCP_NOTSENT_LOWAT`).
    pub unsent_low_water: u32,
    /// Upper bound of the segment size (`TCP_MAXSEG`); 0: none.
    pub max_segment: u16,
    /// Congestion control (`TCP_CONGESTION`).
    pub algorithm: Algorithm,
    /// Use timestamps.
    pub timestamps: bool,
    /// Use selective acknowledgments.
    pub sack: bool,
    /// Use window scaling.
    pub window_scaling: bool,
    /// Leave urgent octets in the stream (`SO_OOBINLINE`).
    pub urgent_inline: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            no_delay: false,
            cork: false,
            quick_ack: false,
            keepalive: false,
            keepalive_idle: 7200 * SECOND,
            keepalive_interval: 75 * SECOND,
            keepalive_count: 9,
            user_timeout: 0,
            syn_retries: 6,
            fin_timeout: 60 * SECOND,
            send_buffer: 128 * 1024,
            send_buffer_max: 4 << 20,
            receive_buffer: 128 * 1024,
            receive_buffer_max: 6 << 20,
            receive_low_water: 1,
            unsent_low_water: u32::MAX,
            max_segment: 0,
            algorithm: Algorithm::Cubic,
            timestamps: true,
            sack: true,
            window_scaling: true,
            urgent_inline: false,
        }
    }
}

impl Config {
    /// The window scale to offer: enough for the largest receive buffer.
    pub fn window_scale(&self) -> u8 {
        let largest = self.receive_buffer_max.max(self.receive_buffer);
        let mut scale = 0;
        while scale < 14 && largest >> scale > 0xffff {
            scale += 1;
        }
        scale
    }
}
