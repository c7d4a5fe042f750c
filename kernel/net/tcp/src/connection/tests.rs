//! Two connections, or one and a script, over a link in virtual time.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use drupe_net_base::{Chain, HeapPool, Instant, MILLISECOND, Random, SECOND};
use proptest::prelude::*;

use super::*;
use crate::{
    Algorithm, ChallengeLimit, Embryo, EmbryoAnswer, Flags, Header, IoError, Secrets, Segment,
};

const MSS: u16 = 1448 + 12;

/// What the link does to segments, in parts per thousand.
#[derive(Debug, Clone, Copy)]
struct Link {
    loss: u64,
    duplicate: u64,
    /// Share of segments that are delayed by a further `jitter`.
    reorder: u64,
    delay: u64,
    jitter: u64,
    /// Octets per second; 0: unlimited.
    rate: u64,
}

const PERFECT: Link =
    Link { loss: 0, duplicate: 0, reorder: 0, delay: 10 * MILLISECOND, jitter: 0, rate: 0 };

enum End {
    Listening,
    Embryo(Embryo),
    Open(alloc::boxed::Box<Connection>),
    Over,
}

struct World {
    now: Instant,
    random: Random,
    link: Link,
    pool: Arc<HeapPool>,
    ends: [End; 2],
    config: Config,
    counters: Counters,
    challenges: ChallengeLimit,
    secrets: Secrets,
    wire: BTreeMap<(u64, u64), (usize, Segment)>,
    order: u64,
    busy: [Instant; 2],
    gso: usize,
    /// Segments sent per end.
    sent: [u64; 2],
    drop_next: Vec<usize>,
}

macro_rules! env {
    ($world:expr) => {
        &mut Env {
            now: $world.now,
            pool: &*$world.pool,
            counters: &mut $world.counters,
            challenges: &mut $world.challenges,
        }
    };
}

const FLOW: crate::FlowWords = [1, 2, 3, 4, 5];

impl World {
    fn new(seed: u64, link: Link, config: Config) -> Self {
        let mut random = Random::new([seed, 1]);
        let secrets = Secrets::new(&mut random);
        let mut world = World {
            now: Instant::from_millis(1000),
            secrets,
            link,
            pool: HeapPool::new(64 << 20),
            ends: [End::Listening, End::Listening],
            config,
            counters: Counters::default(),
            challenges: ChallengeLimit::new(100),
            wire: BTreeMap::new(),
            order: 0,
            busy: [Instant::ZERO; 2],
            gso: 64000,
            sent: [0; 2],
            drop_next: Vec::new(),
            random,
        };
        let iss = Seq(world.random.bits() as u32);
        let client = Connection::connect(config, iss, 7, MSS, env!(world));
        world.ends[0] = End::Open(client.into());
        world.drain();
        world
    }

    fn end(&mut self, side: usize) -> &mut Connection {
        match &mut self.ends[side] {
            End::Open(connection) => connection,
            _ => panic!("side {side} is not open"),
        }
    }

    fn with<R>(&mut self, side: usize, f: impl FnOnce(&mut Connection, &mut Env<'_>) -> R) -> R {
        let End::Open(connection) = &mut self.ends[side] else { panic!("not open") };
        let result = f(connection, env!(self));
        self.drain();
        result
    }

    fn put(&mut self, from: usize, segment: Segment) {
        self.sent[from] += 1;
        let mut payload = segment.payload.clone();
        assert!(self.gso > 0 || payload.len() <= usize::from(segment.segment_size));
        let mut seq = segment.seq;
        // The device cuts large segments.
        loop {
            let part = payload.split_to(usize::from(segment.segment_size).max(1));
            let last = payload.is_empty();
            let mut cut = segment.clone();
            cut.seq = seq;
            seq += part.len() as u32;
            if !last {
                cut.flags = cut.flags.without(Flags::FIN).without(Flags::PSH);
            }
            cut.payload = part;
            assert!(cut.payload.len() + cut.options.as_slice().len() <= usize::from(MSS));
            self.carry(from, cut);
            if last {
                break;
            }
        }
    }

    fn carry(&mut self, from: usize, segment: Segment) {
        if let Some(index) = self.drop_next.iter().position(|&side| side == from)
            && !segment.payload.is_empty()
        {
            self.drop_next.remove(index);
            return;
        }
        let mut chance = |permille| self.random.below(1000) < permille;
        if chance(self.link.loss) {
            return;
        }
        let copies = 1 + usize::from(chance(self.link.duplicate));
        let late = chance(self.link.reorder);
        let mut at = self.now;
        let octets = segment.payload.len() as u64 + 60;
        if let Some(time) = (octets * SECOND).checked_div(self.link.rate) {
            at = at.max(self.busy[from]) + time;
            self.busy[from] = at;
        }
        at += self.link.delay;
        if late {
            at += self.random.below(self.link.jitter + 1);
        }
        for _ in 0..copies {
            self.order += 1;
            self.wire.insert((at.nanos(), self.order), (1 - from, segment.clone()));
        }
    }

    fn drain(&mut self) {
        for side in 0..2 {
            while let End::Open(connection) = &mut self.ends[side] {
                let Some(segment) = connection.next_segment(self.gso, env!(self)) else {
                    let over = connection.into_time_wait(self.now).is_some()
                        || connection.state() == State::Closed;
                    if over && connection.is_orphan() {
                        self.ends[side] = End::Over;
                    }
                    break;
                };
                self.put(side, segment);
            }
        }
    }

    fn deliver(&mut self, side: usize, segment: Segment) {
        let header = Header {
            seq: segment.seq,
            ack: segment.ack,
            flags: segment.flags,
            window: segment.window,
            urgent: segment.urgent,
            options: Options::parse(segment.options.as_slice()),
        };
        match &mut self.ends[side] {
            End::Open(connection) => connection.on_segment(&header, segment.payload, env!(self)),
            End::Listening if header.flags == Flags::SYN => {
                let config = self.config;
                let embryo =
                    Embryo::new(&header, &config, &self.secrets, &FLOW, MSS, None, self.now);
                self.put(side, embryo.syn_ack(self.now));
                self.ends[side] = End::Embryo(embryo);
            }
            End::Embryo(embryo) => {
                match embryo.on_segment(&header, segment.payload.len(), env!(self)) {
                    EmbryoAnswer::Reply(reply) => self.put(side, reply),
                    EmbryoAnswer::Complete => {
                        let mut connection = embryo.complete(self.config, env!(self));
                        connection.on_segment(&header, segment.payload, env!(self));
                        self.ends[side] = End::Open(connection.into());
                    }
                    EmbryoAnswer::Remove => self.ends[side] = End::Listening,
                    EmbryoAnswer::Drop => {}
                }
            }
            End::Listening | End::Over => {}
        }
        self.drain();
    }

    fn next_event(&self) -> Instant {
        let wire = self
            .wire
            .first_key_value()
            .map_or(Instant::NEVER, |((at, _), _)| Instant::from_nanos(*at));
        self.ends.iter().fold(wire, |at, end| match end {
            End::Open(connection) => at.min(connection.deadline()),
            End::Embryo(embryo) => at.min(embryo.deadline()),
            _ => at,
        })
    }

    /// Goes to the next event. False when nothing will ever happen again.
    fn step(&mut self) -> bool {
        let at = self.next_event();
        if !at.is_armed() {
            return false;
        }
        self.now = self.now.max(at);
        while let Some(entry) = self.wire.first_entry()
            && entry.key().0 <= self.now.nanos()
        {
            let (side, segment) = entry.remove();
            self.deliver(side, segment);
        }
        for side in 0..2 {
            match &mut self.ends[side] {
                End::Open(connection) if connection.deadline() <= self.now => {
                    connection.on_timer(env!(self));
                }
                End::Embryo(embryo) if embryo.deadline() <= self.now => {
                    match embryo.on_timer(self.now) {
                        Some(segment) => self.put(side, segment),
                        None => self.ends[side] = End::Listening,
                    }
                }
                _ => {}
            }
        }
        self.drain();
        true
    }

    fn run_for(&mut self, nanoseconds: u64) {
        let end = self.now + nanoseconds;
        while self.next_event() <= end && self.step() {}
        self.now = end;
    }

    fn establish(&mut self) {
        for _ in 0..100 {
            if matches!(&self.ends[1], End::Open(c) if c.state() == State::Established) {
                return;
            }
            self.step();
        }
        panic!("no connection");
    }
}

fn pattern(length: usize, salt: usize) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(31) >> 3 ^ n ^ salt) as u8).collect()
}

/// Moves `lengths` both ways and closes; checks that the streams arrive whole. Returns the time
/// it took.
fn transfer(world: &mut World, lengths: [usize; 2], piece: usize) -> u64 {
    let start = world.now;
    let data = [pattern(lengths[0], 1), pattern(lengths[1], 2)];
    let mut given = [0; 2];
    let mut taken = [Vec::new(), Vec::new()];
    let mut shut = [false; 2];
    let mut finished = [false; 2];
    let mut steps = 0u64;
    while !(finished[0] && finished[1]) {
        for side in 0..2 {
            if !matches!(&world.ends[side], End::Open(_)) {
                continue;
            }
            while given[side] < data[side].len() {
                let rest = &data[side][given[side]..];
                let rest = &rest[..rest.len().min(piece)];
                match world.with(side, |c, env| c.send(rest, env)) {
                    Ok(count) => given[side] += count,
                    Err(IoError::WouldBlock | IoError::NotConnected) => break,
                    Err(error) => panic!("send: {error:?}"),
                }
            }
            if given[side] == data[side].len() && !shut[side] && world.end(side).is_synchronized() {
                shut[side] = true;
                world.with(side, |c, _| c.shut_send());
            }
            while !finished[side] {
                match world.with(side, |c, env| c.receive(piece, env)) {
                    Ok(chain) if chain.is_empty() => finished[side] = true,
                    Ok(chain) => taken[side].extend(chain.to_vec()),
                    Err(IoError::WouldBlock | IoError::NotConnected) => break,
                    Err(error) => panic!("receive: {error:?} at {:?}", world.now),
                }
            }
        }
        if finished[0] && finished[1] {
            break;
        }
        steps += 1;
        assert!(world.step(), "stuck: {:?}", (given, [taken[0].len(), taken[1].len()], shut));
        assert!(steps < 3_000_000, "too many steps");
    }
    assert!(taken[1] == data[0], "side 1 got other bytes");
    assert!(taken[0] == data[1], "side 0 got other bytes");
    world.now.since(start)
}

fn finish(world: &mut World) {
    for side in 0..2 {
        if let End::Open(connection) = &mut world.ends[side] {
            connection.close(false, env!(world));
        }
    }
    world.drain();
    for _ in 0..20_000 {
        if !world.step() {
            break;
        }
    }
    world.wire.clear();
    assert!(world.ends.iter().all(|end| matches!(end, End::Over | End::Listening)));
    assert_eq!(world.pool.usage().used, 0, "memory came back");
}

#[test]
fn a_stream_arrives_in_both_directions() {
    let mut world = World::new(1, PERFECT, Config::default());
    let time = transfer(&mut world, [3_000_000, 1_000_000], 50_000);
    assert!(time < SECOND, "{time}");
    assert_eq!(world.counters.retransmitted, 0);
    finish(&mut world);
}

#[test]
fn a_rate_limited_path_is_filled() {
    let link = Link { rate: 1_250_000, ..PERFECT };
    let mut world = World::new(2, link, Config::default());
    let time = transfer(&mut world, [5_000_000, 0], 100_000);
    // 4 s of transmission; headers cost 4 %.
    assert!((4 * SECOND..9 * SECOND / 2).contains(&time), "{time}");
    finish(&mut world);
}

#[test]
fn one_lost_segment_costs_no_timeout() {
    let mut world = World::new(3, PERFECT, Config::default());
    world.establish();
    world.drop_next.push(0);
    transfer(&mut world, [300_000, 0], 100_000);
    assert_eq!(world.counters.timeouts, 0);
    assert_eq!(world.counters.retransmitted, 1);
    assert_eq!(world.counters.recoveries, 1);
    finish(&mut world);
}

#[test]
fn a_lost_tail_is_probed() {
    let mut world = World::new(4, PERFECT, Config::default());
    world.establish();
    transfer_some(&mut world, 20_000);
    world.drop_next.push(0);
    transfer_some(&mut world, 100);
    assert_eq!(world.counters.timeouts, 0);
    assert_eq!(world.counters.loss_probes, 1);
}

fn transfer_some(world: &mut World, length: usize) {
    let data = pattern(length, 5);
    assert_eq!(world.with(0, |c, env| c.send(&data, env)), Ok(length));
    let mut got = 0;
    while got < length {
        assert!(world.step());
        while let Ok(chain) = world.with(1, |c, env| c.receive(1 << 20, env)) {
            got += chain.len();
        }
    }
}

#[test]
fn recovery_works_without_sack_and_without_timestamps() {
    for (sack, timestamps) in [(false, true), (false, false), (true, false)] {
        let config = Config { sack, timestamps, ..Config::default() };
        let link = Link { loss: 10, ..PERFECT };
        let mut world = World::new(5, link, config);
        transfer(&mut world, [2_000_000, 0], 100_000);
        finish(&mut world);
    }
}

#[test]
fn a_receiver_that_does_not_read_stops_the_sender_and_can_resume() {
    let config = Config { receive_buffer: 20_000, receive_buffer_max: 20_000, ..Config::default() };
    let mut world = World::new(6, PERFECT, config);
    world.establish();
    let data = pattern(100_000, 3);
    assert_eq!(world.with(0, |c, env| c.send(&data, env)), Ok(100_000));
    world.run_for(30 * SECOND);
    assert!(world.counters.probes > 3);
    assert!(world.end(1).readable_octets() <= 20_000);
    assert!(world.end(1).readable_octets() > 17_000);
    let mut got = Vec::new();
    while got.len() < data.len() {
        while let Ok(chain) = world.with(1, |c, env| c.receive(5000, env)) {
            got.extend(chain.to_vec());
        }
        assert!(world.step());
    }
    assert!(got == data);
}

#[test]
fn small_writes_are_joined_unless_told_not_to() {
    for (no_delay, least, most) in [(false, 2, 6), (true, 50, 60)] {
        let mut world = World::new(7, PERFECT, Config { no_delay, ..Config::default() });
        world.establish();
        let before = world.sent[0];
        for _ in 0..50 {
            world.with(0, |c, env| c.send(b"0123456789", env)).unwrap();
            world.run_for(MILLISECOND);
        }
        world.run_for(SECOND);
        assert_eq!(world.end(1).readable_octets(), 500);
        let sent = world.sent[0] - before;
        assert!((least..=most).contains(&sent), "{no_delay} {sent}");
    }
}

#[test]
fn a_cork_holds_back_the_last_part() {
    let mut world = World::new(8, PERFECT, Config { cork: true, ..Config::default() });
    world.establish();
    world.with(0, |c, env| c.send(&pattern(2000, 0), env)).unwrap();
    world.run_for(SECOND);
    assert_eq!(world.end(1).readable_octets(), 1448);
    world.with(0, |c, env| {
        let config = Config { cork: false, ..*c.config() };
        c.set_config(config, env);
    });
    world.run_for(SECOND);
    assert_eq!(world.end(1).readable_octets(), 2000);
}

#[test]
fn a_silent_peer_is_found_by_keepalive() {
    let config = Config {
        keepalive: true,
        keepalive_idle: 10 * SECOND,
        keepalive_interval: SECOND,
        keepalive_count: 3,
        ..Config::default()
    };
    let mut world = World::new(9, PERFECT, config);
    world.establish();
    world.run_for(60 * SECOND);
    assert_eq!(world.end(0).state(), State::Established);
    world.link.loss = 1000;
    world.run_for(20 * SECOND);
    assert_eq!(world.end(0).state(), State::Closed);
    assert_eq!(world.end(0).take_failure(), Some(Failure::TimedOut));
}

#[test]
fn unanswered_data_ends_the_connection() {
    let mut world = World::new(10, PERFECT, Config::default());
    world.establish();
    world.with(0, |c, env| c.send(b"hello", env)).unwrap();
    world.link.loss = 1000;
    world.wire.clear();
    world.run_for(2000 * SECOND);
    assert_eq!(world.end(0).take_failure(), Some(Failure::TimedOut));
}

#[test]
fn a_reset_must_be_exact() {
    let mut world = World::new(11, PERFECT, Config::default());
    world.establish();
    let info = world.end(0).receive_next;
    let reset = |seq| Segment { seq, flags: Flags::RST, ..Segment::default() };
    world.deliver(0, reset(info + 100));
    assert_eq!(world.end(0).state(), State::Established);
    assert_eq!(world.counters.challenges, 1);
    world.deliver(0, reset(info - 1));
    assert_eq!(world.end(0).state(), State::Established);
    world.deliver(0, reset(info));
    assert_eq!(world.end(0).take_failure(), Some(Failure::Reset));
}

#[test]
fn closing_with_unread_data_resets_the_peer() {
    let mut world = World::new(12, PERFECT, Config::default());
    world.establish();
    world.with(0, |c, env| c.send(b"nobody reads this", env)).unwrap();
    world.run_for(100 * MILLISECOND);
    world.with(1, |c, env| c.close(false, env));
    world.run_for(100 * MILLISECOND);
    assert_eq!(world.end(0).take_failure(), Some(Failure::Reset));
}

#[test]
fn a_late_segment_is_not_taken_for_a_loss() {
    let link = Link { reorder: 100, jitter: 8 * MILLISECOND, rate: 3_000_000, ..PERFECT };
    let mut world = World::new(13, link, Config::default());
    let time = transfer(&mut world, [6_000_000, 0], 100_000);
    let share = world.counters.retransmitted_octets * 100 / 6_000_000;
    assert!(share < 5, "{share} % were sent again");
    assert!(time < 6 * SECOND, "{time}");
}

#[test]
fn a_smaller_path_is_followed() {
    let mut world = World::new(14, PERFECT, Config::default());
    world.establish();
    world.with(0, |c, env| c.send(&pattern(5000, 0), env)).unwrap();
    // The large segments vanish, the network reports the size that fits.
    world.wire.clear();
    world.with(0, |c, _| c.on_path_mss(1000));
    world.run_for(300 * MILLISECOND);
    assert_eq!(world.end(1).readable_octets(), 5000);
    assert_eq!(world.counters.timeouts, 0);
}

#[test]
fn an_urgent_octet_leaves_the_stream() {
    let mut world = World::new(15, PERFECT, Config::default());
    world.establish();
    world.with(0, |c, env| {
        c.send(b"abcX", env).unwrap();
        c.mark_urgent();
        c.send(b"def", env).unwrap();
    });
    world.run_for(100 * MILLISECOND);
    assert!(world.end(1).ready().has(Ready::PRIORITY));
    assert_eq!(world.end(1).receive_urgent(), Some(b'X'));
    let data = world.with(1, |c, env| c.receive(100, env)).unwrap();
    assert_eq!(data.to_vec(), b"abcdef");
}

#[test]
fn data_and_fin_in_time_wait_are_acknowledged() {
    let mut world = World::new(16, PERFECT, Config::default());
    world.establish();
    world.with(0, |c, env| c.close(false, env));
    world.run_for(50 * MILLISECOND);
    world.with(1, |c, env| c.close(false, env));
    finish(&mut world);
    assert_eq!(world.counters.established_resets, 0);
}

#[test]
fn readiness_edges_follow_room_and_data() {
    let mut world = World::new(
        17,
        PERFECT,
        Config { send_buffer_max: 10_000, send_buffer: 10_000, ..Config::default() },
    );
    world.establish();
    world.end(0).take_changes();
    assert_eq!(world.with(0, |c, env| c.send(&pattern(20_000, 0), env)), Ok(10_000));
    assert!(!world.end(0).ready().has(Ready::WRITABLE));
    world.run_for(200 * MILLISECOND);
    assert!(world.end(0).take_changes().has(Ready::WRITABLE));
    assert!(world.end(1).take_changes().has(Ready::READABLE));
    assert!(world.end(0).ready().has(Ready::WRITABLE));
}

#[test]
fn an_idle_connection_is_small() {
    let size = size_of::<Connection>();
    assert!(size <= 1024, "{size}");
    let mut world = World::new(18, PERFECT, Config::default());
    world.establish();
    transfer_some(&mut world, 100_000);
    world.run_for(SECOND);
    assert_eq!(world.pool.usage().used, 0);
}

#[test]
fn new_reno_and_cubic_share_a_lossy_path() {
    for algorithm in [Algorithm::NewReno, Algorithm::Cubic] {
        let link = Link { loss: 5, rate: 10_000_000, ..PERFECT };
        let mut world = World::new(19, link, Config { algorithm, ..Config::default() });
        let time = transfer(&mut world, [10_000_000, 0], 100_000);
        // sqrt(3/2)/sqrt(0.005) · 1448 / 20 ms is about 1.25 MB/s.
        assert!(time < 12 * SECOND, "{algorithm:?} {time}");
        assert!(world.counters.timeouts <= 4, "{}", world.counters.timeouts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// The delivered stream is the sent stream under any schedule of loss, delay, duplication
    /// and reordering, with any options.
    #[test]
    fn the_delivered_stream_is_the_sent_stream(
        seed in any::<u64>(),
        loss in 0u64..150,
        duplicate in 0u64..100,
        reorder in 0u64..300,
        delay in 0u64..80,
        jitter in 0u64..60,
        rate in prop_oneof![Just(0u64), 100_000u64..5_000_000],
        lengths in [0usize..120_000, 0usize..120_000],
        piece in 1usize..40_000,
        options in any::<[bool; 6]>(),
        buffer in prop_oneof![Just(131_072u32), 3_000u32..60_000],
    ) {
        let [sack, timestamps, no_delay, window_scaling, new_reno, offload] = options;
        let algorithm = if new_reno { Algorithm::NewReno } else { Algorithm::Cubic };
        let config = Config {
            sack, timestamps, no_delay, window_scaling, algorithm,
            receive_buffer: buffer, receive_buffer_max: buffer,
            syn_retries: 60,
            ..Config::default()
        };
        let link = Link {
            loss, duplicate, reorder, rate,
            delay: delay * MILLISECOND, jitter: jitter * MILLISECOND,
        };
        let mut world = World::new(seed, link, config);
        world.gso = if offload { 64_000 } else { 0 };
        let piece = piece.max(lengths[0].max(lengths[1]) / 400);
        transfer(&mut world, lengths, piece);
        finish(&mut world);
    }
}

fn arbitrary_segment() -> impl Strategy<Value = (i32, i32, u8, u16, usize, Vec<u8>)> {
    (
        prop_oneof![Just(0i32), -3000i32..70_000, any::<i32>()],
        prop_oneof![Just(0i32), -3000i32..3000, any::<i32>()],
        prop_oneof![Just(0x10u8), Just(0x11), Just(0x04), Just(0x14), Just(0x02), any::<u8>()],
        any::<u16>(),
        prop_oneof![Just(0usize), 0usize..3000],
        prop::collection::vec(any::<u8>(), 0..40),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Hostile segments around the right numbers neither panic nor leak, in any state.
    #[test]
    fn hostile_segments_do_no_harm(
        seed in any::<u64>(),
        segments in prop::collection::vec(arbitrary_segment(), 1..60),
        actions in prop::collection::vec(0u8..6, 1..60),
    ) {
        let mut world = World::new(seed, PERFECT, Config::default());
        world.establish();
        for ((seq, ack, flags, window, length, options), action) in
            segments.into_iter().zip(actions.into_iter().cycle())
        {
            for side in 0..2 {
                let End::Open(connection) = &mut world.ends[side] else { continue };
                let header = Header {
                    seq: connection.receive_next + seq as u32,
                    ack: connection.nxt + ack as u32,
                    flags: Flags(flags),
                    window,
                    urgent: window,
                    options: Options::parse(&options),
                };
                let payload = Chain::from(pattern(length, 0));
                connection.on_segment(&header, payload, env!(world));
                match action {
                    0 => { let _ = connection.send(&pattern(5000, 0), env!(world)); }
                    1 => { let _ = connection.receive(700, env!(world)); }
                    2 if seed % 3 == 0 => connection.shut_send(),
                    3 if seed % 5 == 0 => connection.close(false, env!(world)),
                    _ => {}
                }
            }
            world.drain();
            world.run_for(50 * MILLISECOND);
        }
        for end in &mut world.ends {
            if let End::Open(connection) = end { connection.close(true, env!(world)); }
        }
        world.drain();
        world.wire.clear();
        world.ends = [End::Over, End::Over];
        prop_assert_eq!(world.pool.usage().used, 0);
    }
}
