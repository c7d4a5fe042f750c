//! Everything beside TCP: datagrams, fragments, neighbours, groups, raw sockets, and how a host
//! finds its configuration.

mod common;

use std::net::IpAddr;

use common::*;
use drupe_net_base::{Chain, SECOND};
use drupe_net_stack::*;

fn bound(world: &World, host: usize, local: &str) -> std::sync::Arc<Datagram> {
    let shared = &world.hosts[host].shared;
    let socket = shared.datagram(DatagramKind::Udp, 3);
    socket.attach(shared.bind(BindRequest::new(Protocol::Udp, sock(local))).unwrap());
    socket
}

fn send(
    world: &mut World,
    host: usize,
    socket: &std::sync::Arc<Datagram>,
    data: Vec<u8>,
    to: &str,
) -> Result<usize, SendError> {
    let now = world.now;
    world.hosts[host].stacks[0].send_datagram(socket, Chain::from(data), Some(sock(to)), now)
}

#[test]
fn datagrams_of_all_sizes() {
    for (from, to) in [("10.0.0.1:5000", "10.0.0.2:6000"), ("[fd00::1]:5000", "[fd00::2]:6000")] {
        let mut world = World::with(1, PERFECT, 2, Limits::default(), Offloads::default());
        let (here, there) = (bound(&world, 0, from), bound(&world, 1, to));
        for size in [0, 1, 1472, 1473, 9000, 65_000] {
            let data = pattern(size, size);
            assert_eq!(send(&mut world, 0, &here, data.clone(), to), Ok(size));
            world.run_for(100 * MS);
            let message = there.receive(false).unwrap().unwrap();
            assert!(message.data.to_vec() == data, "{size}");
            assert_eq!(message.source, sock(from));
            assert_eq!(message.ancillary.interface, ETH);
        }
        assert_eq!(send(&mut world, 0, &here, vec![0; 65_508], to), Err(SendError::TooLarge));
        drop((here, there));
        world.assert_clean();
    }
}

#[test]
fn a_closed_port_is_reported_to_a_connected_socket() {
    for to in ["10.0.0.2:6000", "[fd00::2]:6000"] {
        let mut world = World::new(2, PERFECT);
        let socket = world.hosts[0].shared.datagram(DatagramKind::Udp, 3);
        let now = world.now;
        world.hosts[0].stacks[0].connect_datagram(&socket, Some(sock(to)), now).unwrap();
        send(&mut world, 0, &socket, vec![1], to).unwrap();
        world.run_for(100 * MS);
        assert_eq!(
            socket.receive(false).map(drop),
            Err(ReceiveError::Failed(SocketError::Refused))
        );
        assert_eq!(socket.receive(false).map(drop), Err(ReceiveError::WouldBlock));
    }
}

#[test]
fn fragments_that_overlap_or_stay_alone_are_dropped_and_their_memory_comes_back() {
    let limits = Limits { reassembly: 100_000, ..Limits::default() };
    let mut world = World::with(3, PERFECT, 1, limits, Offloads::default());
    let here = bound(&world, 0, "10.0.0.1:5000");
    let there = bound(&world, 1, "10.0.0.2:6000");
    send(&mut world, 0, &here, vec![1], "10.0.0.2:6000").unwrap();
    world.run_for(100 * MS);
    there.receive(false).unwrap();
    // The last fragment of each packet is lost.
    world.filter = Box::new(|_, bytes| bytes[20] & 0x20 != 0 || bytes[21] == 0);
    for _ in 0..200 {
        send(&mut world, 0, &here, vec![7; 4000], "10.0.0.2:6000").unwrap();
        world.run_for(MS);
    }
    assert!(world.hosts[1].stacks[0].reassembly_octets() <= 100_000);
    assert!(world.hosts[1].stacks[0].reassembly_octets() > 50_000);
    world.run_for(40 * SECOND);
    assert_eq!(world.hosts[1].stacks[0].reassembly_octets(), 0);
    assert!(world.hosts[1].stacks[0].counters().reassembly_timeouts > 5);
    drop((here, there));
    world.assert_clean();
}

#[test]
fn broadcasts_and_groups_reach_those_who_want_them() {
    let mut world = World::new(4, PERFECT);
    let here = bound(&world, 0, "0.0.0.0:5000");
    let there = bound(&world, 1, "0.0.0.0:6000");
    let broadcast = "255.255.255.255:6000";
    assert_eq!(send(&mut world, 0, &here, vec![1], broadcast), Err(SendError::Broadcast));
    here.set_options(DatagramOptions { broadcast: true, ..here.options() });
    for to in [broadcast, "10.0.0.255:6000"] {
        send(&mut world, 0, &here, vec![1], to).unwrap();
        world.run_for(10 * MS);
        assert!(there.receive(false).is_ok(), "{to}");
    }
    let group = Group { address: addr("239.1.2.3"), interface: ETH };
    send(&mut world, 0, &here, vec![2], "239.1.2.3:6000").unwrap();
    world.run_for(10 * MS);
    assert!(there.receive(false).is_err());
    let now = world.now;
    world.hosts[1].stacks[0].join(&there, group, now).unwrap();
    send(&mut world, 0, &here, vec![2], "239.1.2.3:6000").unwrap();
    world.run_for(10 * MS);
    let message = there.receive(false).unwrap().unwrap();
    assert_eq!((message.ancillary.destination, message.ancillary.hop_limit), (group.address, 1));
    let now = world.now;
    world.hosts[1].stacks[0].leave(&there, group, now).unwrap();
    send(&mut world, 0, &here, vec![2], "239.1.2.3:6000").unwrap();
    world.run_for(10 * MS);
    assert!(there.receive(false).is_err());
    let six = bound(&world, 1, "[::]:7000");
    let group = Group { address: addr("ff15::77"), interface: ETH };
    let now = world.now;
    world.hosts[1].stacks[0].join(&six, group, now).unwrap();
    let here = bound(&world, 0, "[::]:5001");
    send(&mut world, 0, &here, vec![3], "[ff15::77]:7000").unwrap();
    world.run_for(10 * MS);
    assert!(six.receive(false).is_ok());
    let now = world.now;
    world.hosts[1].stacks[0].close_datagram(&six, now);
}

#[test]
fn a_dual_stack_socket_takes_ipv4() {
    let mut world = World::new(5, PERFECT);
    let here = bound(&world, 0, "10.0.0.1:5000");
    let there = bound(&world, 1, "[::]:6000");
    send(&mut world, 0, &here, vec![1], "10.0.0.2:6000").unwrap();
    world.run_for(10 * MS);
    let message = there.receive(false).unwrap().unwrap();
    assert_eq!(message.source, sock("10.0.0.1:5000"));
    send(&mut world, 1, &there, vec![2], "[::ffff:10.0.0.1]:5000").unwrap();
    world.run_for(10 * MS);
    assert!(here.receive(false).is_ok());
}

#[test]
fn echo_and_raw_and_packet_sockets() {
    let mut world = World::new(6, PERFECT);
    let raw = world.hosts[1]
        .shared
        .datagram(DatagramKind::Raw { protocol: 1, ipv6: false, header_included: false }, 4);
    let tap =
        world.hosts[1].shared.datagram(DatagramKind::Packet { protocol: 3, cooked: false }, 5);
    let ping = world.hosts[0].shared.datagram(DatagramKind::Ping, 3);
    let mut echo = vec![8, 0, 0, 0, 0, 0, 0, 1];
    echo.extend(pattern(3000, 1));
    send(&mut world, 0, &ping, echo.clone(), "10.0.0.2:0").unwrap();
    world.run_for(50 * MS);
    let reply = ping.receive(false).unwrap().unwrap().data.to_vec();
    assert!(reply[0] == 0 && reply[8..] == echo[8..]);
    let copy = raw.receive(false).unwrap().unwrap().data.to_vec();
    assert!(copy[0] == 0x45 && copy.len() == 20 + 3008);
    let mut frames = 0;
    while tap.receive(false).is_ok() {
        frames += 1;
    }
    // ARP both ways, and three fragments each way.
    assert!(frames >= 8, "{frames}");
    assert_eq!(send(&mut world, 0, &ping, vec![9; 20], "10.0.0.2:0"), Err(SendError::Invalid));
}

#[test]
fn an_unknown_neighbour_is_asked_again_and_given_up() {
    let mut world = World::new(7, PERFECT);
    let here = bound(&world, 0, "10.0.0.1:5000");
    let before = world.frames;
    send(&mut world, 0, &here, vec![1], "10.0.0.99:1").unwrap();
    world.run_for(20 * SECOND);
    assert_eq!(world.frames - before, 3);
    assert_eq!(world.hosts[0].stacks[0].counters().unresolved, 1);
    assert!(world.hosts[0].shared.neighbours().list().is_empty());
}

#[test]
fn a_neighbour_that_went_away_is_noticed() {
    let mut world = World::new(8, PERFECT);
    let here = bound(&world, 0, "10.0.0.1:5000");
    let _there = bound(&world, 1, "10.0.0.2:6000");
    send(&mut world, 0, &here, vec![1], "10.0.0.2:6000").unwrap();
    world.run_for(SECOND);
    let state = |world: &World| world.hosts[0].shared.neighbours().list()[0].3;
    assert_eq!(state(&world), NeighbourState::Reachable);
    world.run_for(40 * SECOND);
    world.filter = Box::new(|from, _| from == 0);
    send(&mut world, 0, &here, vec![1], "10.0.0.2:6000").unwrap();
    assert_eq!(state(&world), NeighbourState::Delay);
    world.run_for(20 * SECOND);
    assert!(world.hosts[0].shared.neighbours().list().is_empty());
}

/// Host 1 of the world plays a router by hand.
fn advertise(world: &mut World, flags: u8, lifetime: u16) {
    let source = addr("fe80::1");
    let all = addr("ff02::1");
    let mut icmp = vec![134, 0, 0, 0, 64, flags];
    icmp.extend(lifetime.to_be_bytes());
    icmp.extend([0; 8]);
    icmp.extend([1, 1, 2, 0, 0, 0, 0, 1]);
    icmp.extend([5, 1, 0, 0, 0, 0, 0x05, 0x14]);
    icmp.extend([3, 4, 64, 0xc0]);
    icmp.extend(1000u32.to_be_bytes());
    icmp.extend(500u32.to_be_bytes());
    icmp.extend([0; 4]);
    icmp.extend("2001:db8:1::".parse::<std::net::Ipv6Addr>().unwrap().octets());
    icmp.extend([25, 3, 0, 0, 0, 0, 1, 0]);
    icmp.extend("2001:db8::53".parse::<std::net::Ipv6Addr>().unwrap().octets());
    icmp.extend(b"\x1f\x03\0\0\0\0\x01\0\x07example\x03org\0\0\0\0");
    let mut sum = Sum::pseudo_header(&source, &all, 58, icmp.len());
    sum.add(&icmp);
    let checksum = sum.finish();
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0];
    frame.extend((icmp.len() as u16).to_be_bytes());
    frame.extend([58, 255]);
    frame.extend("fe80::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    frame.extend("ff02::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    frame.extend(icmp);
    world.deliver(0, frame);
    world.settle();
}

fn blank(seed: u64, shards: usize, autoconf: Autoconf) -> World {
    let world = World::with(seed, PERFECT, shards, Limits::default(), Offloads::default());
    world.hosts[0].shared.configure(|config| {
        config.routes.clear();
        config.host_name = "guest".into();
        let device = config.interface_mut(ETH).unwrap();
        device.addresses.clear();
        device.autoconf = autoconf;
    });
    world
}

#[test]
fn routers_configure_a_host() {
    for shards in [1, 2] {
        let mut world = blank(9, shards, Autoconf { ipv6: true, dhcp4: false });
        world.run_for(2 * SECOND);
        let config = world.hosts[0].shared.config();
        let device = config.interface(ETH).unwrap();
        let link_local = device.link_local().expect("after the test for duplicates");
        assert_eq!(IpAddr::from(link_local), addr("fe80::ff:fe00:1"));
        advertise(&mut world, 0, 1800);
        world.run_for(2 * SECOND);
        let config = world.hosts[0].shared.config();
        let device = config.interface(ETH).unwrap();
        let own = addr("2001:db8:1:0:0:ff:fe00:1");
        assert!(device.usable().any(|address| address.prefix.address == own));
        assert_eq!(device.mtu, 1300);
        assert_eq!(config.dns.servers, [(ETH, addr("2001:db8::53"))]);
        assert_eq!(config.dns.search, [(ETH, "example.org".into())]);
        assert!(config.routes.iter().any(|route| route.gateway == Some(addr("fe80::1"))));
        // Everything ends when it is not renewed.
        world.run_for(3600 * SECOND);
        let config = world.hosts[0].shared.config();
        assert!(config.owner(&own).is_none());
        assert!(config.routes.iter().all(|route| route.gateway.is_none()));
    }
}

#[test]
fn a_duplicate_address_is_not_used() {
    let mut world = blank(10, 1, Autoconf::default());
    let prefix = Prefix::new(addr("fd00::2"), 64);
    world.hosts[0].shared.configure(|config| {
        let address =
            InterfaceAddress { state: AddressState::Tentative, ..InterfaceAddress::fixed(prefix) };
        config.add_address(ETH, address);
    });
    world.run_for(5 * SECOND);
    let config = world.hosts[0].shared.config();
    assert_eq!(config.interface(ETH).unwrap().addresses[0].state, AddressState::Duplicate);
    assert_eq!(config.owner(&prefix.address), None);
}

/// A DHCP server on host 1: answers what arrives on port 67.
fn serve_dhcp(world: &mut World, server: &std::sync::Arc<Datagram>) {
    while let Ok(Some(message)) = server.receive(false) {
        let request = message.data.to_vec();
        let kind = request[242];
        let mut reply = request[..240].to_vec();
        reply[0] = 2;
        reply[16..20].copy_from_slice(&[10, 0, 0, 77]);
        reply.extend([53, 1, if kind == 1 { 2 } else { 5 }, 54, 4, 10, 0, 0, 2]);
        reply.extend([51, 4, 0, 0, 0x0e, 0x10, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 2]);
        reply.extend([6, 4, 10, 0, 0, 53, 15, 11]);
        reply.extend(b"example.net");
        reply.push(255);
        // As unicast to an address that the client does not have yet.
        let now = world.now;
        world.hosts[1].shared.neighbours().set_permanent(
            ETH,
            addr("10.0.0.77"),
            [2, 0, 0, 0, 0, 1],
        );
        let to = Some(sock("10.0.0.77:68"));
        world.hosts[1].stacks[0].send_datagram(server, Chain::from(reply), to, now).unwrap();
        world.settle();
    }
}

#[test]
fn dhcp_configures_a_host() {
    for shards in [1, 3] {
        let mut world = blank(11, shards, Autoconf { ipv6: false, dhcp4: true });
        let server = bound(&world, 1, "0.0.0.0:67");
        let start = world.now;
        world.run_until("a lease", |world| {
            serve_dhcp(world, &server);
            world.hosts[0].shared.config().owner(&addr("10.0.0.77")).is_some()
        });
        assert!(world.now.since(start) < 3 * SECOND);
        let config = world.hosts[0].shared.config();
        assert_eq!(config.dns.servers, [(ETH, addr("10.0.0.53"))]);
        assert_eq!(config.dns.search, [(ETH, "example.net".into())]);
        assert!(config.routes.iter().any(|route| route.gateway == Some(addr("10.0.0.2"))));
        // It stays as long as the server renews it, and goes with the server.
        let end = world.now + 20_000 * SECOND;
        while world.now < end {
            world.run_for(10 * SECOND);
            serve_dhcp(&mut world, &server);
        }
        assert!(world.hosts[0].shared.config().owner(&addr("10.0.0.77")).is_some());
        world.run_for(4000 * SECOND);
        let config = world.hosts[0].shared.config();
        assert!(config.owner(&addr("10.0.0.77")).is_none() && config.dns.servers.is_empty());
    }
}
