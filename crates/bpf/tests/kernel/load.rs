//! Much at once: nothing is lost, nothing counted twice. In CI the clients do ten times as much, as they do for
//! `RINGFENCE_CONNECTIONS=20000 cargo nextest run -p ringfence-bpf -E "test(exactly)"`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ringfence_bpf::{Counts, Direction, Mechanism, State};

use crate::namespace::{Namespace, Pair, Seen, observer, options};
use crate::traffic::{ANSWER, FAMILIES, REQUEST, answer, ask, assert_mirrored, connections, serve};

const CLIENTS: u16 = 8;
const SHORT: u16 = 8000;
const HALF: u16 = 8100;
const REFUSED: u16 = 8200;
const DATAGRAM: u16 = 8300;
const PROCESS: u16 = 8400;
const SILENT: u16 = 8500;

/// Answers so many datagrams.
fn echo(namespace: &Namespace, at: SocketAddr, datagrams: u64) -> JoinHandle<()> {
    let socket = namespace.run(move || UdpSocket::bind(at).unwrap());
    namespace.spawn(move || {
        let mut request = [0; REQUEST.len()];
        for _ in 0..datagrams {
            let (_, from) = socket.recv_from(&mut request).unwrap();
            socket.send_to(&ANSWER, from).unwrap();
        }
    })
}

/// Takes all that the other end sends before it answers.
fn answer_after_end(mut stream: TcpStream) {
    let mut request = Vec::new();
    stream.read_to_end(&mut request).unwrap();
    assert_eq!(request.len(), REQUEST.len());
    stream.write_all(&ANSWER).unwrap();
}

fn ask_to_the_end(to: SocketAddr) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(&REQUEST).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.len(), ANSWER.len());
}

/// From a port that no other datagram comes from: a process that is being started may hold the socket for a while.
fn ask_by_datagram(to: SocketAddr, port: u16, connected: bool) {
    let any: IpAddr = if to.is_ipv4() { "0.0.0.0" } else { "::" }.parse().unwrap();
    let socket = UdpSocket::bind((any, port)).unwrap();
    if connected {
        socket.connect(to).unwrap();
        socket.send(&REQUEST).unwrap();
    } else {
        socket.send_to(&REQUEST, to).unwrap();
    }
    assert_eq!(socket.recv(&mut [0; 1000]).unwrap(), ANSWER.len());
}

/// Does a bit of everything, over and over.
fn talk(client: u16, connections: u64) {
    let at = |family: usize, port| SocketAddr::new(FAMILIES[family].1, port + client);
    let ports = u16::try_from(connections / 8).unwrap();
    for round in 0..ports {
        for family in [0, 1] {
            ask(at(family, SHORT));
            ask(at(family, SHORT));
            let port = 20_000 + (client * 2 + u16::from(family == 0)) * ports + round;
            ask_by_datagram(at(family, DATAGRAM), port, round % 2 == 0);
        }
        let family = usize::from(round % 2 == 0);
        ask_to_the_end(at(0, HALF));
        let error = TcpStream::connect(at(family, REFUSED)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}

#[test]
fn all_kinds_at_once_are_counted_exactly() {
    let Some(mut observer) = observer(&options()) else { return };
    let pair = Pair::new();
    let mut seen = Seen::default();
    // A multiple of the kinds, and each family refused as often.
    let usual = if std::env::var_os("CI").is_some() { 20_000 } else { 2000 };
    let connections = connections(usual) / 16 * 16;
    let eighth = connections / 8;
    let mut ends = Vec::new();
    for client in 0..CLIENTS {
        for (_, ip) in FAMILIES {
            let at = |port| SocketAddr::new(ip, port + client);
            ends.push(serve(&pair.server, at(SHORT), 2 * eighth, answer));
            ends.push(echo(&pair.server, at(DATAGRAM), eighth));
        }
        let half = SocketAddr::new(FAMILIES[0].1, HALF + client);
        ends.push(serve(&pair.server, half, eighth, answer_after_end));
        ends.push(pair.client.spawn(move || talk(client, connections)));
    }
    ends.push(serve(&pair.server, SocketAddr::new(FAMILIES[0].1, PROCESS), 20, drop));
    ends.push(pair.client.spawn(|| {
        for _ in 0..20 {
            let script = format!("exec 3<>/dev/tcp/10.77.0.2/{PROCESS}");
            assert!(Command::new("bash").args(["-c", &script]).status().unwrap().success());
        }
    }));
    pair.client.ip("neighbour add 10.77.0.9 lladdr 02:00:00:00:00:09 dev eth0");
    pair.client.run(|| std::fs::write("/proc/sys/net/ipv4/tcp_syn_retries", "1").unwrap());
    for _ in 0..16 {
        ends.push(pair.client.spawn(|| {
            let error = TcpStream::connect(("10.77.0.9", SILENT)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        }));
    }
    let both = [&pair.client, &pair.server];
    while !ends.iter().all(JoinHandle::is_finished) {
        seen.take(observer.turn().unwrap(), &both).unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    for end in ends {
        end.join().unwrap();
    }
    seen.take(observer.turn().unwrap(), &both).unwrap();

    let bytes = |counts: Counts| (counts.sent_bytes, counts.received_bytes);
    let exchanged = |times| (times * REQUEST.len() as u64, times * ANSWER.len() as u64);
    for client in 0..CLIENTS {
        for (v4, _) in FAMILIES {
            let out = seen.at(Direction::Out, v4, SHORT + client);
            assert_eq!((out.opened, out.closed), (2 * eighth, 2 * eighth));
            assert_eq!((out.refused, out.unanswered, out.abandoned, out.reset), (0, 0, 0, 0));
            assert_eq!(bytes(out), exchanged(2 * eighth));
            assert_mirrored(out, seen.at(Direction::In, v4, SHORT + client));

            let out = seen.at(Direction::Out, v4, DATAGRAM + client);
            let into = seen.at(Direction::In, v4, DATAGRAM + client);
            assert_eq!((out.opened, out.answered), (eighth, eighth));
            assert_eq!((out.sent_packets, out.received_packets), (eighth, eighth));
            assert_eq!(bytes(out), exchanged(eighth));
            assert_eq!((into.answered, into.sent_packets), (eighth, eighth));
            assert_mirrored(out, into);

            let out = seen.at(Direction::Out, v4, REFUSED + client);
            assert_eq!((out.opened, out.closed, out.refused), (0, 0, eighth / 2));
            let refusals = observer.findings().iter().any(|finding| {
                finding.mechanism == Mechanism::TcpRefusals && finding.state == State::Works
            });
            if refusals {
                let into = seen.at(Direction::In, v4, REFUSED + client);
                assert_eq!((into.opened, into.refused), (0, eighth / 2));
            }
        }
        let out = seen.at(Direction::Out, true, HALF + client);
        assert_eq!((out.opened, out.closed, out.reset), (eighth, eighth, 0));
        assert_eq!(bytes(out), exchanged(eighth));
        assert_mirrored(out, seen.at(Direction::In, true, HALF + client));
    }
    let out = seen.at(Direction::Out, true, PROCESS);
    assert_eq!((out.opened, out.closed), (20, 20));
    let out = seen.at(Direction::Out, true, SILENT);
    assert_eq!((out.opened, out.unanswered), (0, 16));
    assert_eq!(seen.overflow(), Counts::default());
    assert!(seen.losses.len() > 4, "the tables turned while connections came and went");
}

/// A node of many peers. Both ends are on this machine, so that each edge takes room twice.
#[test]
fn fifty_thousand_edges_are_all_there() {
    const EDGES: u16 = 50_000;
    const THREADS: u16 = 4;
    let Some(mut observer) = observer(&options()) else { return };
    let pair = Pair::new();
    pair.server.ip("route add local 10.78.0.0/16 dev lo");
    pair.client.ip("route add 10.78.0.0/16 via 10.77.0.2");
    let listener = pair.server.run(|| TcpListener::bind("0.0.0.0:80").unwrap());
    let server = pair.server.spawn(move || {
        for _ in 0..EDGES {
            answer(listener.accept().unwrap().0);
        }
    });
    let begun = Instant::now();
    let clients: Vec<_> = (0..THREADS)
        .map(|client| {
            pair.client.spawn(move || {
                for edge in (client..EDGES).step_by(usize::from(THREADS)) {
                    let [high, low] = edge.to_be_bytes();
                    ask((Ipv4Addr::new(10, 78, high, low), 80).into());
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    server.join().unwrap();
    let talked = begun.elapsed();

    let begun = Instant::now();
    let closed = observer.turn().unwrap();
    let room = closed.room;
    let mut seen = Seen::default();
    seen.take(closed, &[&pair.client, &pair.server]).unwrap();
    println!(
        "{EDGES} edges in {talked:.1?}; read and emptied in {:.1?}; {}% of the table",
        begun.elapsed(),
        room.percent()
    );
    for side in [Direction::Out, Direction::In] {
        let flows =
            seen.flows.iter().filter(|flow| flow.key.direction == side && flow.key.port == 80);
        assert_eq!(flows.clone().count(), usize::from(EDGES));
        for flow in flows {
            assert_eq!((flow.counts.opened, flow.counts.closed), (1, 1), "{flow:?}");
        }
    }
    assert_eq!(seen.overflow(), Counts::default());
    assert!(room.percent() >= 76, "{room:?}");
}
