//! Options of TCP sockets.

use alloc::vec;
use alloc::vec::Vec;

use errno::Errno;
use net_service::stack::base::{MILLISECOND, SECOND};
use net_service::stack::tcp::{Algorithm, Config, Info, State};

use super::ip_options::{IPPROTO_IP, IPPROTO_IPV6, exact, int};
use super::tcp::TcpSocket;
use super::{IPPROTO_TCP, interfaces, ip_options};
use crate::error::{Result, fail};
use crate::socket::options::option;

const SOCKET: u32 = 1;

const NODELAY: u32 = 1;
const MAXSEG: u32 = 2;
const CORK: u32 = 3;
const KEEPIDLE: u32 = 4;
const KEEPINTVL: u32 = 5;
const KEEPCNT: u32 = 6;
const SYNCNT: u32 = 7;
const LINGER2: u32 = 8;
const DEFER_ACCEPT: u32 = 9;
const WINDOW_CLAMP: u32 = 10;
const INFO: u32 = 11;
const QUICKACK: u32 = 12;
const CONGESTION: u32 = 13;
const USER_TIMEOUT: u32 = 18;
const FASTOPEN: u32 = 23;
const NOTSENT_LOWAT: u32 = 25;
const ULP: u32 = 31;

fn config_of(socket: &TcpSocket) -> Config {
    let open = socket.with_open(|stack, id, _| stack.tcp_config(id)).flatten();
    open.unwrap_or_else(|| socket.state.lock().config)
}

/// `getsockopt(2)`.
pub fn get(socket: &TcpSocket, level: u32, name: u32) -> Result<Vec<u8>> {
    match level {
        SOCKET => {
            let interface = socket.state.lock().interface;
            return interfaces::socket_option(interface, name);
        }
        IPPROTO_IP | IPPROTO_IPV6 => {
            let ip = socket.state.lock().ip;
            let unknown = ip_options::unknown(socket.family, level);
            return ip.get(socket.family, level, name).ok_or(unknown.into());
        }
        IPPROTO_TCP => {}
        _ => return fail(Errno::EOPNOTSUPP),
    }
    let config = config_of(socket);
    let seconds = |time: u64| int((time / SECOND) as i64);
    Ok(match name {
        NODELAY => int(config.no_delay),
        CORK => int(config.cork),
        QUICKACK => int(config.quick_ack),
        MAXSEG => {
            let info = socket.with_open(|stack, id, _| stack.tcp_info(id)).flatten();
            // Before there is a connection, what every path carries.
            int(info.map_or(536, |info| i64::from(info.send_mss)))
        }
        KEEPIDLE => seconds(config.keepalive_idle),
        KEEPINTVL => seconds(config.keepalive_interval),
        KEEPCNT => int(config.keepalive_count),
        SYNCNT => int(config.syn_retries),
        LINGER2 => seconds(config.fin_timeout),
        USER_TIMEOUT => int((config.user_timeout / MILLISECOND) as i64),
        NOTSENT_LOWAT => int(config.unsent_low_water),
        DEFER_ACCEPT | WINDOW_CLAMP | FASTOPEN => int(0i64),
        CONGESTION => {
            let mut name = vec![0; 16];
            let text: &[u8] = match config.algorithm {
                Algorithm::Cubic => b"cubic",
                Algorithm::NewReno => b"reno",
            };
            name[..text.len()].copy_from_slice(text);
            name
        }
        INFO => info(socket),
        ULP => Vec::new(),
        _ => return fail(Errno::ENOPROTOOPT),
    })
}

/// `setsockopt(2)`.
pub fn set(socket: &TcpSocket, level: u32, name: u32, value: &[u8]) -> Result<()> {
    match level {
        SOCKET => {
            if let Some(interface) = interfaces::set_socket_option(name, value)? {
                socket.state.lock().interface = interface;
            }
            return Ok(());
        }
        IPPROTO_IP | IPPROTO_IPV6 => {
            let bound = socket.is_bound();
            let set = socket.state.lock().ip.set(socket.family, level, name, value, bound);
            set.unwrap_or_else(|| fail(Errno::ENOPROTOOPT))?;
            socket.apply_ip_options();
            return Ok(());
        }
        IPPROTO_TCP => {}
        _ => return fail(Errno::ENOPROTOOPT),
    }
    if name == CONGESTION {
        let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
        let algorithm = match &value[..end] {
            b"cubic" => Algorithm::Cubic,
            b"reno" => Algorithm::NewReno,
            _ => return fail(Errno::ENOENT),
        };
        socket.change(|config| config.algorithm = algorithm);
        return Ok(());
    }
    if name == ULP {
        return fail(Errno::ENOENT);
    }
    let number = exact(value)?;
    let flag = number != 0;
    let within = |low: i32, high: i32| match number {
        number if (low..=high).contains(&number) => Ok(number as u64),
        _ => fail(Errno::EINVAL),
    };
    match name {
        NODELAY => socket.change(|config| config.no_delay = flag),
        CORK => socket.change(|config| config.cork = flag),
        QUICKACK => socket.change(|config| config.quick_ack = flag),
        MAXSEG => {
            let size = if number == 0 { 0 } else { within(88, 32_767)? };
            socket.change(|config| config.max_segment = size as u16);
        }
        KEEPIDLE => {
            let time = within(1, 32_767)? * SECOND;
            socket.change(|config| config.keepalive_idle = time);
        }
        KEEPINTVL => {
            let time = within(1, 32_767)? * SECOND;
            socket.change(|config| config.keepalive_interval = time);
        }
        KEEPCNT => {
            let count = within(1, 127)?;
            socket.change(|config| config.keepalive_count = count as u8);
        }
        SYNCNT => {
            let count = within(1, 127)?;
            socket.change(|config| config.syn_retries = count as u8);
        }
        LINGER2 => {
            let time = u64::from(number.clamp(0, 120) as u32) * SECOND;
            socket.change(|config| config.fin_timeout = if time == 0 { 60 * SECOND } else { time });
        }
        USER_TIMEOUT => {
            let time = within(0, i32::MAX)? * MILLISECOND;
            socket.change(|config| config.user_timeout = time);
        }
        NOTSENT_LOWAT => {
            socket.change(|config| config.unsent_low_water = number as u32);
        }
        // A connection may be accepted before its first data: that is all this is about.
        DEFER_ACCEPT => {}
        // Data in a SYN is never taken; the handshake works without.
        FASTOPEN => {}
        WINDOW_CLAMP => {
            let limit = within(1, i32::MAX)? as u32;
            socket
                .change(|config| config.receive_buffer_max = config.receive_buffer_max.min(limit));
        }
        _ => return fail(Errno::ENOPROTOOPT),
    }
    Ok(())
}

/// An option that all sockets have was changed.
pub fn follow(socket: &TcpSocket, name: u32) {
    let options = &socket.options;
    match name {
        option::REUSE_ADDRESS | option::REUSE_PORT => socket.share_port(),
        option::KEEP_ALIVE => {
            let on = options.switch(option::KEEP_ALIVE);
            socket.change(|config| config.keepalive = on);
        }
        option::OOB_INLINE => {
            let on = options.switch(option::OOB_INLINE);
            socket.change(|config| config.urgent_inline = on);
        }
        option::SEND_BUFFER => {
            let size = options.send_buffer() as u32;
            socket.change(|config| {
                config.send_buffer = size;
                config.send_buffer_max = size;
            });
        }
        option::RECEIVE_BUFFER => {
            let size = options.receive_buffer() as u32;
            socket.change(|config| {
                config.receive_buffer = size;
                config.receive_buffer_max = size;
            });
        }
        option::LOWEST_RECEIVED => {
            let count = options.low_water();
            socket.change(|config| config.receive_low_water = count);
        }
        _ => {}
    }
}

/// Linux's number of a state.
pub fn state_number(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Closing => 11,
    }
}

const CLOSED: u8 = 7;
const LISTEN: u8 = 10;

/// `struct tcp_info`.
fn info(socket: &TcpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 232];
    let mut word = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let info = socket.with_open(|stack, id, _| stack.tcp_info(id)).flatten();
    let Some(info) = info else {
        match socket.listener() {
            Some(listener) => {
                let (waiting, backlog) = listener.backlog();
                word(24, waiting);
                word(28, backlog);
                bytes[0] = LISTEN;
            }
            None => bytes[0] = CLOSED,
        }
        return bytes;
    };
    let Info { window_scales: (their_scale, own_scale), round_trip: (smoothed, variation), .. } =
        info;
    let micro = |time: u64| u32::try_from(time / 1000).unwrap_or(u32::MAX);
    word(8, micro(info.timeout));
    word(16, info.send_mss);
    word(20, info.receive_mss);
    word(24, info.unacknowledged.div_ceil(info.send_mss.max(1)));
    word(28, info.sacked.div_ceil(info.send_mss.max(1)));
    word(32, info.lost.div_ceil(info.send_mss.max(1)));
    word(60, info.send_mss + 40);
    word(68, micro(smoothed));
    word(72, micro(variation));
    word(76, info.threshold / info.send_mss.max(1));
    word(80, info.congestion_window / info.send_mss.max(1));
    word(84, info.send_mss);
    word(96, info.receive_space);
    word(100, info.total_retransmissions);
    word(136, info.segments.0);
    word(140, info.segments.1);
    word(144, info.unsent);
    word(148, micro(info.min_round_trip));
    word(228, info.send_window);
    bytes[120..128].copy_from_slice(&info.octets_acked.to_le_bytes());
    bytes[128..136].copy_from_slice(&info.octets_received.to_le_bytes());
    bytes[0] = state_number(info.state);
    bytes[1] = if info.in_recovery { 3 } else { 0 };
    bytes[2] = info.retransmissions;
    bytes[3] = info.probes;
    // Timestamps, SACK, window scaling (TCPI_OPT_*).
    bytes[5] = u8::from(info.timestamps) | u8::from(info.sack) << 1 | 4;
    bytes[6] = their_scale & 15 | own_scale << 4;
    bytes
}
