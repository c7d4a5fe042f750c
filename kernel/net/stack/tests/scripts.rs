//! Runs the exchanges in `tests/scripts` against a stack in virtual time.

mod common;

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;

use common::{MS, host, pattern, sock};
use drupe_net_base::{Chain, Chunk, Instant, SECOND};
use drupe_net_stack::tcp::{Config, Failure, Flags, Options, SackBlocks, Seq};
use drupe_net_stack::*;

const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const PEER: [u8; 4] = [10, 0, 0, 9];
const OWN: [u8; 4] = [10, 0, 0, 1];
/// Initial sequence number of the peer.
const PEER_ISS: u32 = 0xffff_f000;

/// A segment, numbers relative to both sides' initial ones; `None`: not given.
#[derive(Debug, Clone, Default)]
struct Line {
    flags: u8,
    seq: u32,
    end: u32,
    ack: Option<u32>,
    window: Option<u16>,
    options: Options,
}

struct Runner {
    host: common::Host,
    now: Instant,
    config: Config,
    listener: Option<Arc<Listener>>,
    id: Option<TcpId>,
    iss: Option<u32>,
    ports: (u16, u16),
    sent: VecDeque<(Line, String)>,
}

fn flags(text: &str) -> u8 {
    text.chars().fold(0, |bits, c| {
        bits | match c {
            'F' => Flags::FIN.0,
            'S' => Flags::SYN.0,
            'R' => Flags::RST.0,
            'P' => Flags::PSH.0,
            'A' => Flags::ACK.0,
            '.' => 0,
            _ => panic!("flag {c}"),
        }
    })
}

fn range(text: &str) -> (u32, u32) {
    let (start, end) = text.split_once(':').expect("a range");
    (start.parse().unwrap(), end.parse().unwrap())
}

/// Reads a segment line; options hold relative numbers.
fn parse(text: &str) -> Line {
    let mut line = Line::default();
    let (head, options) = text.split_once('<').unwrap_or((text, ""));
    let mut words = head.split_whitespace();
    line.flags = flags(words.next().unwrap());
    (line.seq, line.end) = range(words.next().unwrap());
    while let Some(word) = words.next() {
        let value = words.next().unwrap();
        match word {
            "ack" => line.ack = Some(value.parse().unwrap()),
            "win" => line.window = Some(value.parse().unwrap()),
            _ => panic!("{word}"),
        }
    }
    let mut sack = SackBlocks::default();
    for option in options.trim_end_matches('>').split(',').filter(|text| !text.is_empty()) {
        let words: Vec<&str> = option.split_whitespace().collect();
        match words[..] {
            ["mss", value] => line.options.mss = value.parse().ok(),
            ["ws", value] => line.options.window_scale = value.parse().ok(),
            ["sackok"] => line.options.sack_permitted = true,
            ["ts", value, echo] => {
                line.options.timestamps = Some((value.parse().unwrap(), echo.parse().unwrap()));
            }
            ["sack", blocks] => {
                let (start, end) = range(blocks);
                sack.push(Seq(start), Seq(end));
            }
            [blocks] => {
                let (start, end) = range(blocks);
                sack.push(Seq(start), Seq(end));
            }
            _ => panic!("option {option}"),
        }
    }
    line.options.sack = sack;
    line
}

impl Runner {
    fn new() -> Self {
        let now = Instant::from_millis(100_000);
        let host = host(1, 1, Limits::default(), Offloads::default(), now);
        host.shared.neighbours().set_permanent(InterfaceId(2), PEER.into(), PEER_MAC);
        let config = Config { window_scaling: true, ..Config::default() };
        let (sent, ports) = (VecDeque::new(), (80, 5000));
        Runner { host, now, config, listener: None, id: None, iss: None, ports, sent }
    }

    fn poll(&mut self) -> Instant {
        loop {
            let poll = self.host.stacks[0].poll(self.now, &mut self.host.ports[0]);
            while let Some(mut frame) = self.host.ports[0].sent.pop_front() {
                frame.complete_checksum();
                let mut bytes = frame.header.as_slice().to_vec();
                bytes.extend(frame.payload.to_vec());
                self.note(&bytes);
            }
            if !poll.more {
                return poll.deadline;
            }
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        if bytes[12..14] != [8, 0] || bytes[23] != 6 {
            return;
        }
        let header = usize::from(bytes[46] >> 4) * 4;
        let length = bytes.len() - 34 - header;
        let bits = bytes[47];
        if bits & Flags::SYN.0 != 0 {
            self.iss = Some(word(38));
            self.ports.0 = u16::from_be_bytes([bytes[34], bytes[35]]);
        }
        let iss = self.iss.unwrap_or(0);
        let seq = word(38).wrapping_sub(iss);
        let mut options = Options::parse(&bytes[54..34 + header]);
        let mut sack = SackBlocks::default();
        for (start, end) in options.sack.as_slice() {
            sack.push(*start - PEER_ISS, *end - PEER_ISS);
        }
        options.sack = sack;
        let line = Line {
            flags: bits,
            seq,
            end: seq + length as u32,
            ack: (bits & Flags::ACK.0 != 0).then(|| word(42).wrapping_sub(PEER_ISS)),
            window: Some(u16::from_be_bytes([bytes[48], bytes[49]])),
            options,
        };
        let mut text = String::new();
        let _ = write!(
            text,
            "flags {bits:02x} {seq}:{} ack {:?} win {:?} {:?}",
            line.end, line.ack, line.window, line.options
        );
        self.sent.push_back((line, text));
    }

    fn inject(&mut self, line: &Line) {
        let iss = self.iss.unwrap_or(0);
        let mut options = line.options;
        let mut sack = SackBlocks::default();
        for (start, end) in options.sack.as_slice() {
            sack.push(*start + iss, *end + iss);
        }
        options.sack = sack;
        let encoded = options.encode();
        let encoded = encoded.as_slice();
        let header = 20 + encoded.len();
        let mut tcp = Vec::new();
        tcp.extend(self.ports.1.to_be_bytes());
        tcp.extend(self.ports.0.to_be_bytes());
        tcp.extend(line.seq.wrapping_add(PEER_ISS).to_be_bytes());
        let ack = line.ack.map_or(0, |ack| ack.wrapping_add(iss));
        tcp.extend(ack.to_be_bytes());
        tcp.extend([(header as u8 / 4) << 4, line.flags]);
        tcp.extend(line.window.unwrap_or(65_535).to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(encoded);
        tcp.extend(pattern((line.end - line.seq) as usize, 0));
        let mut sum = Sum::pseudo_header(&PEER.into(), &OWN.into(), 6, tcp.len());
        sum.add(&tcp);
        tcp[16..18].copy_from_slice(&sum.finish().to_be_bytes());
        let mut ip = vec![0x45, 0];
        ip.extend((20 + tcp.len() as u16).to_be_bytes());
        ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        ip.extend(PEER);
        ip.extend(OWN);
        let mut sum = Sum::default();
        sum.add(&ip);
        ip[10..12].copy_from_slice(&sum.finish().to_be_bytes());
        let mut frame = vec![2, 0, 0, 0, 0, 1];
        frame.extend(PEER_MAC);
        frame.extend([8, 0]);
        frame.extend(ip);
        frame.extend(tcp);
        let data = Chain::from(Chunk::from_vec(frame));
        self.host.ports[0].receive.push_back(Received { data, meta: ReceivedMeta::default() });
    }

    fn expect(&mut self, wanted: &Line) -> Result<(), String> {
        let Some((got, text)) = self.sent.pop_front() else {
            return Err("nothing was sent".into());
        };
        let mask = Flags::FIN.0 | Flags::SYN.0 | Flags::RST.0 | Flags::ACK.0 | Flags::PSH.0;
        let (w, g) = (&wanted.options, &got.options);
        let same = got.flags & mask == wanted.flags
            && (got.seq, got.end) == (wanted.seq, wanted.end)
            && (wanted.ack.is_none() || wanted.ack == got.ack)
            && (wanted.window.is_none() || wanted.window == got.window)
            && (w.mss.is_none() || w.mss == g.mss)
            && (w.window_scale.is_none() || w.window_scale == g.window_scale)
            && (!w.sack_permitted || g.sack_permitted)
            && (w.sack.as_slice().is_empty() || w.sack == g.sack);
        if same { Ok(()) } else { Err(format!("sent instead: {text}")) }
    }

    fn pass(&mut self, nanoseconds: u64) {
        let end = self.now + nanoseconds;
        loop {
            let deadline = self.poll();
            if deadline > end {
                break;
            }
            self.now = self.now.max(deadline);
        }
        self.now = end;
        self.poll();
    }

    fn set(&mut self, option: &str, value: u64) {
        let config = &mut self.config;
        match option {
            "nodelay" => config.no_delay = value != 0,
            "sack" => config.sack = value != 0,
            "timestamps" => config.timestamps = value != 0,
            "rcvbuf" => {
                config.receive_buffer = value as u32;
                config.receive_buffer_max = value as u32;
            }
            "keepalive" => {
                config.keepalive = true;
                config.keepalive_idle = value * SECOND;
            }
            _ => panic!("option {option}"),
        }
    }

    fn run(&mut self, command: &str) -> Result<(), String> {
        let now = self.now;
        let words: Vec<&str> = command.split_whitespace().collect();
        let id = self.id;
        let stack = &mut self.host.stacks[0];
        match words[..] {
            ["set", option, value] => self.set(option, value.parse().unwrap()),
            ["listen", backlog] => {
                let request = BindRequest::new(Protocol::Tcp, sock("10.0.0.1:80"));
                let binding = self.host.shared.bind(request).map_err(|e| format!("{e:?}"))?;
                let backlog = backlog.parse().unwrap();
                let listener = self.host.shared.listen(binding, backlog, self.config, 1);
                self.listener = Some(listener.map_err(|e| format!("{e:?}"))?);
            }
            ["connect"] => {
                let to = sock("10.0.0.9:5000");
                let made = stack.connect(&mut None, to, self.config, 1, now);
                self.id = Some(made.map_err(|e| format!("{e:?}"))?.0);
            }
            ["accept"] => {
                let accepted = self.listener.as_ref().and_then(|listener| listener.accept());
                self.id = Some(accepted.ok_or("nothing to accept")?.id);
            }
            ["write", count] => {
                let count: usize = count.parse().unwrap();
                let sent = stack.tcp_send(id.unwrap(), &pattern(count, 1), now);
                if sent != Ok(count) {
                    return Err(format!("{sent:?}"));
                }
            }
            ["read", count] => {
                let got = stack.tcp_receive(id.unwrap(), 1 << 20, now).map(|data| data.len());
                if got != Ok(count.parse().unwrap()) {
                    return Err(format!("{got:?}"));
                }
            }
            ["eof"] => {
                let got = stack.tcp_receive(id.unwrap(), 1, now).map(|data| data.len());
                if got != Ok(0) {
                    return Err(format!("{got:?}"));
                }
            }
            ["fails", name] => {
                let wanted = match name {
                    "refused" => Failure::Refused,
                    "reset" => Failure::Reset,
                    "timedout" => Failure::TimedOut,
                    _ => panic!("{name}"),
                };
                let failure = stack.tcp_take_failure(id.unwrap(), now);
                if failure != Some(wanted) {
                    return Err(format!("{failure:?}"));
                }
            }
            ["shut"] => stack.tcp_shutdown(id.unwrap(), false, true, now),
            ["close"] => stack.tcp_close(id.unwrap(), false, now),
            ["reset"] => stack.tcp_close(id.unwrap(), true, now),
            ["quiet"] => {
                if let Some((_, text)) = self.sent.front() {
                    return Err(format!("sent: {text}"));
                }
            }
            [">", ..] => self.expect(&parse(&command[1..]))?,
            ["<", ..] => self.inject(&parse(&command[1..])),
            [time] if time.starts_with('+') => self.pass(time[1..].parse::<u64>().unwrap() * MS),
            _ => panic!("command {command}"),
        }
        self.poll();
        Ok(())
    }
}

#[test]
fn scripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
    let mut failures = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        count += 1;
        let mut runner = Runner::new();
        for (number, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            if let Err(error) = runner.run(line) {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                failures.push(format!("{name}:{}: {line}: {error}", number + 1));
                break;
            }
        }
    }
    assert!(count > 10);
    assert!(failures.is_empty(), "{failures:#?}");
}
