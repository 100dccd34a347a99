use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};
use ringfence_bpf::{Counts, Direction, Mechanism, Observer, State, Transport};

use crate::namespace::{Pair, Seen, observer, options};
use crate::traffic::{ANSWER, FAMILIES, REQUEST, answer, ask, assert_mirrored, connections, serve};

const CLIENTS: u16 = 8;

#[test]
fn short_connections_are_counted_exactly_while_the_tables_turn() {
    let Some(mut observer) = observer(&options()) else { return };
    let pair = Pair::new();
    let mut seen = Seen::default();
    let connections = connections(250);
    for (v4, ip) in FAMILIES {
        let mut clients = Vec::new();
        let mut servers = Vec::new();
        for client in 0..CLIENTS {
            let to = SocketAddr::new(ip, 8000 + client);
            servers.push(serve(&pair.server, to, connections, answer));
            clients.push(pair.client.spawn(move || (0..connections).for_each(|_| ask(to))));
        }
        // The tables turn in the midst of it, many times.
        while !servers.iter().all(std::thread::JoinHandle::is_finished) {
            seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
        }
        clients.into_iter().chain(servers).for_each(|end| end.join().unwrap());
        seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
        for client in 0..CLIENTS {
            let out = seen.at(Direction::Out, v4, 8000 + client);
            let expected = Counts {
                opened: connections,
                closed: connections,
                sent_bytes: connections * REQUEST.len() as u64,
                received_bytes: connections * ANSWER.len() as u64,
                sent_packets: out.sent_packets,
                received_packets: out.received_packets,
                ..Counts::default()
            };
            assert_eq!(out, expected);
            // SYN, ACK, request, FIN at least.
            assert!(out.sent_packets >= 4 * connections, "{out:?}");
            assert_mirrored(out, seen.at(Direction::In, v4, 8000 + client));
        }
    }
    assert!(seen.losses.len() > 4, "the tables turned while connections came and went");
    assert_eq!(seen.overflow(), Counts::default());
}

#[test]
fn failed_attempts_are_told_apart() {
    let Some(mut observer) = observer(&options()) else { return };
    let pair = Pair::new();
    pair.client.ip("neighbour add 10.77.0.9 lladdr 02:00:00:00:00:09 dev eth0");
    pair.client.run(|| {
        std::fs::write("/proc/sys/net/ipv4/tcp_syn_retries", "1").unwrap();
    });
    for (_, ip) in FAMILIES {
        pair.client.run(move || {
            for _ in 0..200 {
                let error = TcpStream::connect((ip, 81)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            }
        });
    }
    let silent: SocketAddr = "10.77.0.9:82".parse().unwrap();
    let attempts: Vec<_> = (0..16)
        .map(|_| pair.client.spawn(move || TcpStream::connect(silent).unwrap_err().kind()))
        .collect();
    pair.client.run(move || {
        for _ in 0..10 {
            let limit = Duration::from_millis(1);
            assert!(TcpStream::connect_timeout(&SocketAddr::new(silent.ip(), 83), limit).is_err());
        }
    });
    for attempt in attempts {
        assert_eq!(attempt.join().unwrap(), ErrorKind::TimedOut);
    }

    let mut seen = Seen::default();
    seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
    let failures = |counts: Counts| {
        (counts.opened, counts.closed, counts.refused, counts.unanswered, counts.abandoned)
    };
    for (v4, _) in FAMILIES {
        assert_eq!(failures(seen.at(Direction::Out, v4, 81)), (0, 0, 200, 0, 0));
        if works(&observer, Mechanism::TcpRefusals) {
            assert_eq!(failures(seen.at(Direction::In, v4, 81)), (0, 0, 200, 0, 0));
        }
    }
    assert_eq!(failures(seen.at(Direction::Out, true, 82)), (0, 0, 0, 16, 0));
    assert_eq!(failures(seen.at(Direction::Out, true, 83)), (0, 0, 0, 0, 10));
}

fn works(observer: &Observer, mechanism: Mechanism) -> bool {
    observer.findings().iter().any(|f| f.mechanism == mechanism && f.state == State::Works)
}

#[test]
fn half_closed_and_reset_connections_are_counted_once() {
    let Some(mut observer) = observer(&options()) else { return };
    let pair = Pair::new();
    let half = SocketAddr::new(FAMILIES[0].1, 84);
    let server = serve(&pair.server, half, 100, |mut stream| {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        assert_eq!(request.len(), REQUEST.len());
        stream.write_all(&ANSWER).unwrap();
    });
    pair.client.run(move || {
        for _ in 0..100 {
            let mut stream = TcpStream::connect(half).unwrap();
            stream.write_all(&REQUEST).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            assert_eq!(answer.len(), ANSWER.len());
        }
    });
    server.join().unwrap();
    // Closing with unread data resets the connection.
    let reset = SocketAddr::new(FAMILIES[0].1, 85);
    let server = serve(&pair.server, reset, 100, |mut stream| {
        stream.read_exact(&mut [0]).unwrap();
    });
    pair.client.run(move || {
        for _ in 0..100 {
            let mut stream = TcpStream::connect(reset).unwrap();
            stream.write_all(&REQUEST).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    });
    server.join().unwrap();

    let mut seen = Seen::default();
    seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
    let (out, into) = (seen.at(Direction::Out, true, 84), seen.at(Direction::In, true, 84));
    assert_mirrored(out, into);
    assert_eq!((out.opened, out.closed, out.reset), (100, 100, 0));
    assert_eq!((out.sent_bytes, out.received_bytes), (10_000, 30_000));
    let (out, into) = (seen.at(Direction::Out, true, 85), seen.at(Direction::In, true, 85));
    assert_mirrored(out, into);
    assert_eq!((out.opened, out.closed, out.reset, into.reset), (100, 100, 100, 0));
}

#[test]
fn an_open_connection_shows_its_bytes() {
    let Some(mut observer) = observer(&options()) else { return };
    let pair = Pair::new();
    let at = SocketAddr::new(FAMILIES[0].1, 86);
    let listener = pair.server.run(move || TcpListener::bind(at).unwrap());
    let mut client = pair.client.run(move || TcpStream::connect(at).unwrap());
    let mut server = listener.accept().unwrap().0;
    let mut seen = Seen::default();
    let mut total = |client: &mut TcpStream, bytes: usize| {
        client.write_all(&vec![0; bytes]).unwrap();
        server.read_exact(&mut vec![0; bytes]).unwrap();
        seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
        let (out, into) = (seen.at(Direction::Out, true, 86), seen.at(Direction::In, true, 86));
        (out.sent_bytes, into.received_bytes, out.opened + into.opened)
    };
    // What was received is counted up to the last byte but one while the connection is open.
    assert_eq!(total(&mut client, 1000), (1000, 999, 2));
    assert_eq!(total(&mut client, 500), (1500, 1499, 2));
    drop((client, server));
    seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
    let (out, into) = (seen.at(Direction::Out, true, 86), seen.at(Direction::In, true, 86));
    assert_eq!((out.sent_bytes, into.received_bytes), (1500, 1500));
    assert_eq!((out.closed, into.closed), (1, 1));
}

/// So many that sockets find the place of their record taken by another.
#[test]
fn thousands_of_open_connections_are_told_apart() {
    const OPEN: u64 = 3000;
    let Some(mut observer) = observer(&options()) else { return };
    setrlimit(Resource::RLIMIT_NOFILE, 8192, 8192).unwrap();
    let pair = Pair::new();
    let at = SocketAddr::new(FAMILIES[0].1, 88);
    let listener = pair.server.run(move || TcpListener::bind(at).unwrap());
    let mut ends = pair.client.run(move || {
        (0..OPEN)
            .map(|_| (TcpStream::connect(at).unwrap(), listener.accept().unwrap().0))
            .collect::<Vec<_>>()
    });
    let mut seen = Seen::default();
    let mut counts = |observer: &mut Observer| {
        seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
        [Direction::Out, Direction::In].map(|side| seen.at(side, true, 88))
    };
    for side in counts(&mut observer) {
        assert_eq!((side.opened, side.closed), (OPEN, 0));
    }
    for (client, server) in &mut ends {
        client.write_all(&REQUEST).unwrap();
        server.read_exact(&mut [0; REQUEST.len()]).unwrap();
    }
    let bytes = OPEN * REQUEST.len() as u64;
    let [out, into] = counts(&mut observer);
    assert_eq!((out.sent_bytes, into.received_bytes), (bytes, bytes - OPEN));
    drop(ends);
    let [out, into] = counts(&mut observer);
    assert_mirrored(out, into);
    assert_eq!((out.opened, out.closed, out.sent_bytes), (OPEN, OPEN, bytes));
}

#[test]
fn short_lived_processes_are_seen() {
    let Some(mut observer) = observer(&options()) else { return };
    let pair = Pair::new();
    let at = SocketAddr::new(FAMILIES[0].1, 87);
    let server = serve(&pair.server, at, 20, drop);
    pair.client.run(|| {
        for _ in 0..20 {
            let script = "exec 3<>/dev/tcp/10.77.0.2/87";
            let status = std::process::Command::new("bash").args(["-c", script]).status();
            assert!(status.unwrap().success());
        }
    });
    server.join().unwrap();
    let mut seen = Seen::default();
    seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
    let (out, into) = (seen.at(Direction::Out, true, 87), seen.at(Direction::In, true, 87));
    assert_mirrored(out, into);
    assert_eq!((out.opened, out.closed), (20, 20));
    // The namespaces are known by the process that was in them first, though it is gone.
    let known = observer.namespaces().unwrap();
    for namespace in [&pair.client, &pair.server] {
        let met = known.iter().find(|met| met.cookie == namespace.cookie).unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&namespace.file().metadata().unwrap());
        assert_eq!(u64::from(met.inode), inode);
        assert!(met.process > 0);
    }
}

#[test]
fn datagrams_are_counted_exactly_by_conversation() {
    let Some(mut observer) = observer(&options()) else { return };
    let pair = Pair::new();
    let mut seen = Seen::default();
    let connections = connections(250);
    for (v4, ip) in FAMILIES {
        let server = pair.server.run(move || UdpSocket::bind((ip, 53)).unwrap());
        let echo = pair.server.spawn(move || {
            let mut buffer = [0; 1000];
            for _ in 0..connections * 2 {
                let (_, from) = server.recv_from(&mut buffer).unwrap();
                server.send_to(&ANSWER, from).unwrap();
            }
        });
        // Each client asks twice: connected the one half, unconnected the other. Two may get the same port one after
        // the other, which is then one conversation.
        let conversations = pair.client.run(move || {
            let mut ports = BTreeSet::new();
            for client in 0..connections {
                let any: SocketAddr = if v4 { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
                let socket = UdpSocket::bind(any).unwrap();
                ports.insert(socket.local_addr().unwrap().port());
                let mut buffer = [0; 1000];
                if client % 2 == 0 {
                    socket.connect((ip, 53)).unwrap();
                    for _ in 0..2 {
                        socket.send(&REQUEST).unwrap();
                        assert_eq!(socket.recv(&mut buffer).unwrap(), ANSWER.len());
                    }
                } else {
                    for _ in 0..2 {
                        socket.send_to(&REQUEST, (ip, 53)).unwrap();
                        assert_eq!(socket.recv(&mut buffer).unwrap(), ANSWER.len());
                    }
                }
            }
            ports.len() as u64
        });
        echo.join().unwrap();
        seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
        let expected = Counts {
            opened: conversations,
            answered: conversations,
            sent_bytes: 2 * connections * REQUEST.len() as u64,
            received_bytes: 2 * connections * ANSWER.len() as u64,
            sent_packets: 2 * connections,
            received_packets: 2 * connections,
            ..Counts::default()
        };
        assert_eq!(seen.at(Direction::Out, v4, 53), expected);
        let mirrored = Counts {
            sent_bytes: expected.received_bytes,
            received_bytes: expected.sent_bytes,
            ..expected
        };
        assert_eq!(seen.at(Direction::In, v4, 53), mirrored);
    }
    assert!(seen.flows.iter().all(|flow| flow.key.transport == Transport::Udp));
}

#[test]
fn refused_datagrams_are_counted_once_a_conversation() {
    let Some(mut observer) = observer(&options()) else { return };
    let pair = Pair::new();
    // The kernel sends only so many such errors a second, so that some conversations may meet none.
    let refused = pair.client.run(|| {
        let mut refused = 0;
        for _ in 0..20 {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            socket.connect("10.77.0.2:54").unwrap();
            let errors = (0..3).filter(|_| {
                socket.send(&REQUEST).unwrap();
                let error = socket.recv(&mut [0]).unwrap_err();
                error.kind() == ErrorKind::ConnectionRefused
            });
            refused += u64::from(errors.count() > 0);
        }
        refused
    });
    assert!(refused > 0);
    let mut seen = Seen::default();
    seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
    let out = seen.at(Direction::Out, true, 54);
    assert_eq!((out.opened, out.answered, out.refused, out.sent_packets), (20, 0, refused, 60));
}

#[test]
fn what_finds_no_room_is_counted_in_the_ledger() {
    let Some(mut observer) = observer(&ringfence_bpf::Options { capacity: 16, ..options() }) else {
        return;
    };
    let pair = Pair::new();
    let servers: Vec<_> = (0..200)
        .map(|port| serve(&pair.server, SocketAddr::new(FAMILIES[0].1, 9000 + port), 1, answer))
        .collect();
    pair.client.run(|| {
        for port in 0..200 {
            ask(SocketAddr::new(FAMILIES[0].1, 9000 + port));
        }
    });
    for server in servers {
        server.join().unwrap();
    }
    let mut seen = Seen::default();
    seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
    let mut total = seen.sum(|_| true);
    assert!(total.opened < 400, "{total:?}");
    total += seen.overflow();
    // Others on the machine may have found no room either, but nothing of ours is missing.
    assert!(total.opened >= 400 && total.closed >= 400, "{total:?}");
    assert!(total.sent_bytes >= 200 * 400 && total.received_bytes >= 200 * 400, "{total:?}");
    // The next epoch begins with nothing.
    let mut next = Seen::default();
    next.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
    assert_eq!(next.sum(|_| true), Counts::default());
}
