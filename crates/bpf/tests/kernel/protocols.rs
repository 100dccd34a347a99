//! What is neither TCP nor UDP.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ringfence_bpf::{Counts, Direction, Transport};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::namespace::{Namespace, Pair, Seen, observer, options};
use crate::traffic::FAMILIES;

const SCTP: i32 = 132;

fn raw(namespace: &Namespace, domain: Domain, protocol: Protocol) -> Socket {
    namespace.run(move || {
        let socket = Socket::new(domain, Type::RAW, Some(protocol)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    })
}

/// One end asks by a socket, the kernel of the other answers.
#[test]
fn echoes_are_counted_at_both_ends() {
    let Some(mut observer) = observer(&options()) else { return };
    let pair = Pair::new();
    let mut seen = Seen::default();
    for (v4, ip) in FAMILIES {
        let (domain, protocol, request, transport) = if v4 {
            (Domain::IPV4, Protocol::ICMPV4, 8, Transport::Icmp)
        } else {
            (Domain::IPV6, Protocol::ICMPV6, 128, Transport::IcmpV6)
        };
        let socket = raw(&pair.client, domain, protocol);
        // Type, code, checksum, identifier, number, and 16 bytes. Of ICMPv6 the kernel sums up.
        let mut packet = vec![request, 0, 0, 0, 0x12, 0x34, 0, 1];
        packet.extend([0; 16]);
        if v4 {
            let sum = !(u16::from_be_bytes([request, 0]) + 0x1234 + 1);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        for _ in 0..5 {
            socket.send_to(&packet, &SockAddr::from(SocketAddr::new(ip, 0))).unwrap();
            while {
                let mut answer = [std::mem::MaybeUninit::uninit(); 100];
                let (_, from) = socket.recv_from(&mut answer).unwrap();
                // Neighbours are also found by ICMPv6.
                from.as_socket().unwrap().ip() != ip
            } {}
        }
        seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
        let sum = |side| {
            seen.sum(|key| key.transport == transport && key.direction == side && key.port == 0)
        };
        let out = sum(Direction::Out);
        assert_eq!((out.opened, out.answered), (1, 1), "{:?}", seen.flows);
        assert_eq!((out.sent_packets, out.sent_bytes), (5, 80));
        // The kernel takes the question without a socket, but answers by one of its own.
        let into = sum(Direction::In);
        assert_eq!(
            (into.opened, into.sent_packets, into.received_packets),
            (1, 5, 0),
            "{:?} {:?}",
            seen.flows,
            seen.losses
        );
    }
}

/// No socket of SCTP is needed: its packets are counted by what they are.
#[test]
fn packets_of_sctp_are_counted_as_conversations() {
    let Some(mut observer) = observer(&options()) else { return };
    let pair = Pair::new();
    let (client, server) = (
        raw(&pair.client, Domain::IPV4, Protocol::from(SCTP)),
        raw(&pair.server, Domain::IPV4, Protocol::from(SCTP)),
    );
    let packet = |source: u16, destination: u16| {
        let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
        [ports, vec![0; 28]].concat()
    };
    let to = |last| SockAddr::from(SocketAddr::from((Ipv4Addr::new(10, 77, 0, last), 0)));
    let mut buffer = [std::mem::MaybeUninit::uninit(); 100];
    for _ in 0..3 {
        client.send_to(&packet(40_000, 3868), &to(2)).unwrap();
        server.recv(&mut buffer).unwrap();
        server.send_to(&packet(3868, 40_000), &to(1)).unwrap();
        client.recv(&mut buffer).unwrap();
    }
    let mut seen = Seen::default();
    seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
    assert!(seen.flows.iter().all(|flow| flow.key.transport == Transport::Sctp));
    // Three times 20 bytes of chunks.
    let expected = Counts {
        opened: 1,
        answered: 1,
        sent_bytes: 60,
        received_bytes: 60,
        sent_packets: 3,
        received_packets: 3,
        ..Counts::default()
    };
    assert_eq!(seen.at(Direction::Out, true, 3868), expected);
    assert_eq!(seen.at(Direction::In, true, 3868), expected);
}
