//! TCP between two stacks over a link in virtual time.

mod common;

use common::*;
use drupe_net_base::SECOND;
use drupe_net_stack::tcp::{Failure, IoError, Ready};
use drupe_net_stack::*;
use proptest::prelude::*;

const OFFLOADS: Offloads =
    Offloads { checksum: true, segmentation_v4: true, segmentation_v6: true };

#[test]
fn streams_over_ipv4_and_ipv6() {
    for to in ["10.0.0.2:80", "[fd00::2]:80"] {
        let mut world = World::new(1, PERFECT);
        let (client, server, listener) = world.pair(to);
        world.transfer(client, server, [2_000_000, 500_000], 60_000);
        let now = world.now;
        world.hosts[1].stacks[0].close_listener(&listener, now);
        drop(listener);
        world.assert_clean();
        assert_eq!(world.hosts[0].stacks[0].tcp_counters().retransmitted, 0);
    }
}

#[test]
fn offloaded_segments_arrive_whole() {
    for to in ["10.0.0.2:80", "[fd00::2]:80"] {
        let limits = Limits::default();
        let mut world = World::with(2, PERFECT, 1, limits, OFFLOADS);
        let (client, server, _listener) = world.pair(to);
        world.transfer(client, server, [3_000_000, 300_000], 60_000);
        let counters = *world.hosts[0].stacks[0].counters();
        assert_eq!(counters.bad_checksum, 0);
        assert!(counters.frames_out < 1200, "{}", counters.frames_out);
    }
}

#[test]
fn flows_find_their_shard() {
    let mut world = World::with(3, PERFECT, 4, Limits::default(), OFFLOADS);
    let listener = world.listen(1, "10.0.0.2:80", 64);
    let clients: Vec<_> = (0..32).map(|_| world.connect(0, "10.0.0.2:80")).collect();
    let mut servers = Vec::new();
    world.run_until("32 connections", |_| {
        servers.extend(std::iter::from_fn(|| listener.accept()));
        servers.len() == 32
    });
    let mut shards: Vec<_> = servers.iter().map(|accepted| accepted.id.shard).collect();
    shards.sort_unstable();
    shards.dedup();
    assert_eq!(shards.len(), 4, "all shards take part");
    for client in &clients {
        let local = world.stack(0, *client).tcp_ends(*client).unwrap().0;
        let accepted = servers.iter().find(|accepted| accepted.remote == local).unwrap();
        let server = accepted.id;
        world.transfer(*client, server, [50_000, 50_000], 10_000);
    }
    let now = world.now;
    world.hosts[1].stacks[2].close_listener(&listener, now);
    world.assert_clean();
}

#[test]
fn loopback_carries_large_segments() {
    for shards in [1, 3] {
        let mut world = World::with(4, PERFECT, shards, Limits::default(), OFFLOADS);
        let listener = world.listen(0, "127.0.0.1:9000", 16);
        let client = world.connect(0, "127.0.0.1:9000");
        let mut server = None;
        world.run_until("loopback", |_| {
            server = listener.accept().map(|accepted| accepted.id);
            server.is_some()
        });
        let server = server.unwrap();
        let data = pattern(1_000_000, 3);
        let (mut sent, mut got) = (0, Vec::new());
        world.run_until("loopback data", |world| {
            while let Ok(count) = world.send(0, client, &data[sent..]) {
                sent += count;
                if sent == data.len() {
                    break;
                }
            }
            while let Ok(bytes) = world.receive(0, server) {
                got.extend(bytes);
            }
            got.len() == data.len()
        });
        assert!(got == data);
        world.close(0, client, false);
        world.close(0, server, false);
        let now = world.now;
        world.hosts[0].stacks[0].close_listener(&listener, now);
        assert_eq!(world.frames, 0, "nothing leaves the machine");
        world.assert_clean();
    }
}

#[test]
fn a_port_without_listener_refuses() {
    let mut world = World::new(5, PERFECT);
    let client = world.connect(0, "10.0.0.2:81");
    world.run_for(SECOND);
    let now = world.now;
    let failure = world.stack(0, client).tcp_take_failure(client, now);
    assert_eq!(failure, Some(Failure::Refused));
    assert_eq!(world.hosts[1].stacks[0].counters().no_connection, 1);
    world.close(0, client, false);
    world.assert_clean();
}

#[test]
fn a_host_that_is_not_there_is_unreachable() {
    let mut world = World::new(6, PERFECT);
    let client = world.connect(0, "10.0.0.77:80");
    world.run_for(10 * SECOND);
    let now = world.now;
    let failure = world.stack(0, client).tcp_take_failure(client, now);
    assert_eq!(failure, Some(Failure::HostUnreachable));
    world.close(0, client, false);
    world.assert_clean();
}

#[test]
fn the_backlog_limits_what_waits() {
    let mut world = World::new(7, PERFECT);
    let listener = world.listen(1, "10.0.0.2:80", 4);
    let clients: Vec<_> = (0..20).map(|_| world.connect(0, "10.0.0.2:80")).collect();
    world.run_for(500 * MS);
    assert_eq!(listener.backlog().0, 5, "the backlog and one, as in Linux");
    // Those that wait are served when room appears: their SYNs are repeated.
    let mut accepted = 0;
    world.run_until("all are accepted", |_| {
        while listener.accept().is_some() {
            accepted += 1;
        }
        accepted == 20
    });
    for client in clients {
        assert!(world.send(0, client, b"x").is_ok());
    }
}

#[test]
fn a_flood_of_syns_leaves_the_server_answering() {
    let mut world = World::new(8, PERFECT);
    let listener = world.listen(1, "10.0.0.2:80", 16);
    // Learn the neighbour first.
    let first = world.connect(0, "10.0.0.2:80");
    world.run_for(100 * MS);
    listener.accept().unwrap();
    // Spoofed SYNs: replay a real one from ports that nobody owns.
    let mut syn = Vec::new();
    let to = sock("10.0.0.2:80");
    let mut frames = Vec::new();
    {
        let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let sink = seen.clone();
        world.filter = Box::new(move |from, bytes| {
            if from == 0 && bytes.len() > 47 && bytes[47] == 2 {
                sink.borrow_mut().push(bytes.to_vec());
            }
            true
        });
        let second = world.connect(0, &to.to_string());
        world.run_for(100 * MS);
        syn.extend(seen.borrow().first().unwrap().clone());
        world.close(0, second, true);
        listener.accept().unwrap();
        world.filter = Box::new(|from, _| from != 1);
    }
    for port in 1..20_000u16 {
        let mut frame = syn.clone();
        frame[34..36].copy_from_slice(&port.to_be_bytes());
        // Keep the checksum right: the port moves, its complement goes into the urgent pointer.
        let old = u16::from_be_bytes([syn[34], syn[35]]);
        let mut sum = Sum::default();
        sum.add_word(!u16::from_be_bytes([frame[50], frame[51]]));
        sum.add_word(!old);
        sum.add_word(port);
        frame[50..52].copy_from_slice(&sum.finish().to_be_bytes());
        frames.push(frame);
    }
    for frame in frames {
        world.deliver(1, frame);
        world.settle();
    }
    let counters = *world.hosts[1].stacks[0].tcp_counters();
    assert!(counters.cookies_sent > 19_000, "{}", counters.cookies_sent);
    assert!(world.hosts[1].stacks[0].population().1 <= 128);
    // A client that answers gets through by its cookie, with window scaling and SACK.
    world.filter = Box::new(|_, _| true);
    world.clear_wire();
    let client = world.connect(0, "10.0.0.2:80");
    let mut server = None;
    world.run_until("a cookie connects", |_| {
        server = listener.accept().map(|accepted| accepted.id);
        server.is_some()
    });
    assert_eq!(world.hosts[1].stacks[0].tcp_counters().cookies_received, 1);
    let info = world.stack(1, server.unwrap()).tcp_info(server.unwrap()).unwrap();
    assert!(info.sack && info.timestamps && info.window_scales == (7, 7), "{info:?}");
    world.transfer(client, server.unwrap(), [300_000, 300_000], 50_000);
    world.close(0, first, true);
}

#[test]
fn many_connections_in_a_row_do_not_exhaust_ports() {
    let limits = Limits { ephemeral: (40_000, 40_099), ..Limits::default() };
    let link = Link { delay: 100_000, ..PERFECT };
    let mut world = World::with(9, link, 1, limits, Offloads::default());
    let listener = world.listen(1, "10.0.0.2:80", 16);
    for round in 0..1000 {
        let client = world.connect(0, "10.0.0.2:80");
        let mut server = None;
        world.run_until("round", |_| {
            server = listener.accept().map(|accepted| accepted.id);
            server.is_some()
        });
        // The client closes first: TIME-WAIT is its own.
        world.close(0, client, false);
        world.run_for(MS);
        world.close(1, server.unwrap(), false);
        world.run_for(20 * MS);
        assert!(round < 100 || world.hosts[0].stacks[0].tcp_counters().time_wait_reused > 0);
    }
    let now = world.now;
    world.hosts[1].stacks[0].close_listener(&listener, now);
    world.assert_clean();
}

#[test]
fn time_wait_entries_are_limited_and_the_server_side_reuses_them() {
    let limits = Limits { time_waits: 50, ..Limits::default() };
    let mut world = World::with(10, PERFECT, 1, limits, Offloads::default());
    let listener = world.listen(1, "10.0.0.2:80", 16);
    for _ in 0..120 {
        let client = world.connect(0, "10.0.0.2:80");
        let mut server = None;
        world.run_until("round", |_| {
            server = listener.accept().map(|accepted| accepted.id);
            server.is_some()
        });
        world.close(1, server.unwrap(), false);
        world.run_for(10 * MS);
        world.close(0, client, false);
        world.run_for(10 * MS);
    }
    let stack = &world.hosts[1].stacks[0];
    assert_eq!(stack.population().2, 50);
    assert_eq!(stack.tcp_counters().time_wait_overflow, 70);
    let now = world.now;
    world.hosts[1].stacks[0].close_listener(&listener, now);
    world.assert_clean();
}

#[test]
fn closing_a_listener_resets_what_waits() {
    let mut world = World::with(11, PERFECT, 2, Limits::default(), Offloads::default());
    let listener = world.listen(1, "10.0.0.2:80", 16);
    let clients: Vec<_> = (0..8).map(|_| world.connect(0, "10.0.0.2:80")).collect();
    world.run_for(100 * MS);
    let now = world.now;
    world.hosts[1].stacks[0].close_listener(&listener, now);
    world.run_for(100 * MS);
    for client in clients {
        let now = world.now;
        let failure = world.stack(0, client).tcp_take_failure(client, now);
        assert_eq!(failure, Some(Failure::Reset));
        world.close(0, client, false);
    }
    let again = world.listen(1, "10.0.0.2:80", 16);
    let now = world.now;
    world.hosts[1].stacks[1].close_listener(&again, now);
    world.assert_clean();
}

#[test]
fn events_tell_what_happens_once_per_edge() {
    let mut world = World::new(12, PERFECT);
    let listener = world.listen(1, "10.0.0.2:80", 16);
    let client = world.connect(0, "10.0.0.2:80");
    world.run_for(100 * MS);
    let connected = world.events(0);
    assert_eq!(connected.len(), 1);
    assert!(connected[0].token == 5 && connected[0].ready.has(Ready::WRITABLE));
    let incoming = world.events(1);
    assert!(incoming.len() == 1 && incoming[0].token == 1);
    assert!(incoming[0].ready.has(Ready::READABLE));
    let accepted = listener.accept().unwrap();
    assert!(!listener.readiness().ready().has(Ready::READABLE));
    accepted.readiness.set_token(9);
    for round in 0..3 {
        let before = accepted.readiness.generation();
        world.send(0, client, b"hello").unwrap();
        world.run_for(100 * MS);
        assert_ne!(accepted.readiness.generation(), before);
        let events = world.events(1);
        assert_eq!(events.len(), 1, "round {round}");
        assert!(events[0].token == 9 && events[0].ready.has(Ready::READABLE));
    }
    assert_eq!(world.receive(1, accepted.id).unwrap().len(), 15);
    assert!(!accepted.readiness.ready().has(Ready::READABLE));
    assert_eq!(world.receive(1, accepted.id), Err(IoError::WouldBlock));
}

#[test]
fn idle_connections_cost_little() {
    let mut world = World::with(13, PERFECT, 1, Limits::default(), Offloads::default());
    let listener = world.listen(1, "10.0.0.2:80", 2000);
    let mut clients = vec![world.connect(0, "10.0.0.2:80")];
    world.run_for(50 * MS);
    for _ in 1..1000 {
        clients.push(world.connect(0, "10.0.0.2:80"));
        if clients.len() % 100 == 0 {
            world.run_for(50 * MS);
        }
    }
    for client in &clients {
        world.send(0, *client, &[7; 3000]).unwrap();
    }
    world.run_for(SECOND);
    while let Some(accepted) = listener.accept() {
        assert_eq!(world.receive(1, accepted.id).unwrap().len(), 3000);
    }
    world.run_for(2 * SECOND);
    assert_eq!(world.hosts[0].stacks[0].population().0, 1000);
    for host in &world.hosts {
        assert_eq!(host.pool.usage().used, 0, "buffers only while there is data");
    }
}

#[test]
fn a_router_that_needs_smaller_packets_is_obeyed() {
    let mut world = World::new(14, PERFECT);
    let (client, server, _listener) = world.pair("10.0.0.2:80");
    // Whatever is larger than 1000 octets is reported back.
    let reports = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let sink = reports.clone();
    world.filter = Box::new(move |from, bytes| {
        let fits = bytes.len() <= 1014;
        if !fits && from == 0 {
            sink.borrow_mut().push(bytes.to_vec());
        }
        fits
    });
    world.send(0, client, &pattern(20_000, 1)).unwrap();
    let mut got = Vec::new();
    world.run_until("small packets", |world| {
        for frame in reports.borrow_mut().drain(..) {
            world.deliver(0, too_big(&frame, 1000));
        }
        while let Ok(bytes) = world.receive(1, server) {
            got.extend(bytes);
        }
        got.len() == 20_000
    });
    assert!(got == pattern(20_000, 1));
    let counters = world.hosts[0].stacks[0].tcp_counters();
    assert_eq!(counters.timeouts, 0);
}

/// The message of a router that a frame is too large, as a frame to its sender.
fn too_big(frame: &[u8], mtu: u16) -> Vec<u8> {
    let mut icmp = vec![3, 4, 0, 0, 0, 0];
    icmp.extend(mtu.to_be_bytes());
    icmp.extend(&frame[14..14 + 28]);
    let mut sum = Sum::default();
    sum.add(&icmp);
    icmp[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    let mut ip = vec![0x45, 0, 0, 20 + icmp.len() as u8, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 9];
    ip.extend(&frame[26..30]);
    let mut sum = Sum::default();
    sum.add(&ip);
    ip[10..12].copy_from_slice(&sum.finish().to_be_bytes());
    let mut out = frame[6..12].to_vec();
    out.extend([2, 0, 0, 0, 0, 9, 8, 0]);
    out.extend(ip);
    out.extend(icmp);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// The delivered stream is the sent stream, through all layers, under any schedule.
    #[test]
    fn the_delivered_stream_is_the_sent_stream(
        seed in any::<u64>(),
        loss in 0u64..100,
        duplicate in 0u64..50,
        reorder in 0u64..300,
        corrupt in 0u64..30,
        delay in 0u64..50,
        jitter in 0u64..30,
        rate in prop_oneof![Just(0u64), 200_000u64..5_000_000],
        lengths in [0usize..100_000, 0usize..100_000],
        piece in 500usize..40_000,
        shards in 1usize..4,
        offload in any::<bool>(),
        ipv6 in any::<bool>(),
    ) {
        let link = Link {
            loss, duplicate, reorder, corrupt, rate,
            delay: delay * MS, jitter: jitter * MS,
        };
        let offloads = if offload { OFFLOADS } else { Offloads::default() };
        let mut world = World::with(seed, PERFECT, shards, Limits::default(), offloads);
        let to = if ipv6 { "[fd00::2]:80" } else { "10.0.0.2:80" };
        let (client, server, listener) = world.pair(to);
        world.link = link;
        world.transfer(client, server, lengths, piece);
        world.link = PERFECT;
        let now = world.now;
        world.hosts[1].stacks[0].close_listener(&listener, now);
        world.assert_clean();
    }
}
