//! Service addresses that nftables translates, and connections without programs in the kernel, in network namespaces
//! made for the test. Needs root; without, every test says that it was skipped. On CI's machines that is a failure.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod network;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use network::{Namespace, Network};
use ringfence_agent::observation::{Observation, Side};
use ringfence_agent::owner::{Machine, Sources};
use ringfence_agent::watch::{Kernel, ObserverKind, Report, Watch};
use ringfence_bpf::{Dialled, Observer, ObserverError, Options, Transport};

/// The address of the Service, which no interface has.
const SERVICE: &str = "10.96.7.1:80";
const SERVERS: [&str; 2] = ["10.78.2.2:8080", "10.78.2.3:8080"];
const CLIENT: &str = "10.78.1.2";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn sources() -> Sources {
    Sources { machine: Machine::Node, proc: "/proc".into(), pod_logs: "/nonexistent".into() }
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "CI runs this as root");
    if !root {
        println!("skipped: not root");
    }
    root
}

/// Answers every connection with its end.
fn serve(namespace: &Namespace, address: &'static str) {
    let listener = namespace.run(move || TcpListener::bind(at(address)).unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 16]);
                let _ = stream.write_all(b"fine");
            });
        }
    });
}

/// Opens so many connections one after the other.
fn call(address: &str, times: usize) {
    for _ in 0..times {
        let mut stream = TcpStream::connect(at(address)).unwrap();
        stream.write_all(b"hello").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "fine");
    }
}

/// Four at once call the Service, fifty times each, and one calls a server itself, ten times.
fn talk(network: &Network) {
    let callers = [(SERVICE, 50), (SERVICE, 50), (SERVICE, 50), (SERVICE, 50), (SERVERS[0], 10)]
        .map(|(address, times)| network.client.spawn(move || call(address, times)));
    for caller in callers {
        caller.join().unwrap();
    }
}

/// Reports until the connections to the servers are in them, of both sides.
fn reports(watch: &mut Watch, connections: u64) -> Vec<Report> {
    let mut reports: Vec<Report> = Vec::new();
    let begun = Instant::now();
    loop {
        watch
            .step(|report| {
                reports.push(report);
                Ok(())
            })
            .unwrap();
        let opened = |side| {
            let all = reports.iter().flat_map(|report| &report.observations);
            all.filter(|o| o.side == side && is_ours(o)).map(|o| o.opened).sum::<u64>()
        };
        if opened(Side::Client) >= connections && opened(Side::Server) >= connections {
            return reports;
        }
        let seen = (opened(Side::Client), opened(Side::Server));
        assert!(begun.elapsed() < Duration::from_secs(10), "{seen:?} of {connections}");
        thread::sleep(Duration::from_millis(200));
    }
}

fn is_ours(observation: &Observation) -> bool {
    let Observation { transport, local, remote, port, .. } = observation;
    let ends = [local.to_string(), remote.to_string()];
    *transport == Transport::Tcp && *port == 8080 && ends.iter().any(|ip| ip == CLIENT)
}

/// Connections of one side with a server, by what was dialled.
fn opened(reports: &[Report], side: Side, server: &str, dialled: Option<&str>) -> (u64, u64) {
    let dialled = dialled.map(|to| Dialled { ip: at(to).ip(), port: at(to).port() });
    let client = CLIENT.parse().unwrap();
    let (local, remote) = match side {
        Side::Client => (client, at(server).ip()),
        Side::Server => (at(server).ip(), client),
    };
    let all = reports.iter().flat_map(|report| &report.observations);
    let mut sum = (0, 0);
    for o in all.filter(|o| {
        (o.side, o.local, o.remote, o.port) == (side, local, remote, at(server).port())
            && o.dialled == dialled
    }) {
        sum = (sum.0 + o.opened, sum.1 + o.refused);
    }
    sum
}

fn assert_both_addresses(reports: &[Report]) {
    for side in [Side::Client, Side::Server] {
        // The rule deals them out in turn.
        for server in SERVERS {
            assert_eq!(opened(reports, side, server, Some(SERVICE)), (100, 0), "{side:?} {server}");
        }
        assert_eq!(opened(reports, side, SERVERS[0], None), (10, 0), "{side:?}");
        assert_eq!(opened(reports, side, SERVERS[1], None), (0, 0), "{side:?}");
    }
    let lost: u64 = reports.iter().map(|report| report.events_lost).sum();
    assert_eq!(lost, 0);
}

fn cgroup() -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|words| words[2] == "cgroup2")
        .map_or_else(|| PathBuf::from("/sys/fs/cgroup"), |words| PathBuf::from(words[1]))
}

#[test]
fn programs_and_tracking_together_tell_what_was_dialled_and_what_was_reached() {
    if !is_root() {
        return;
    }
    let options = Options { pins: None, cgroup: cgroup(), capacity: 4096 };
    let observer = match Observer::start(&options) {
        Ok(observer) => observer,
        Err(ObserverError::Indispensable(findings))
            if std::env::var_os("CI").is_none()
                && format!("{findings:?}").contains("not permitted") =>
        {
            println!("skipped: {findings:?}");
            return;
        }
        Err(error) => panic!("{error:?}"),
    };
    let network = Network::new(SERVICE, SERVERS);
    let router = network.router.file();
    let mut watch = Watch::new(observer, sources(), Kernel::Own, &[router]).unwrap();
    assert_eq!(watch.observer(), ObserverKind::Programs);
    for server in SERVERS {
        serve(&network.server, server);
    }
    talk(&network);
    let reports = reports(&mut watch, 210);
    assert_both_addresses(&reports);
    let rest = reports.iter().flat_map(|report| &report.observations);
    let service = at(SERVICE).ip();
    assert_eq!(rest.filter(|o| o.remote == service).count(), 0, "all of it is resolved");
}

#[test]
fn without_programs_tracked_connections_are_counted_exactly() {
    if !is_root() {
        return;
    }
    let network = Network::new(SERVICE, SERVERS);
    let router = network.router.file();
    let mut watch = Watch::without_programs(sources(), Kernel::Own, &[router]).unwrap();
    assert_eq!(watch.observer(), ObserverKind::Tracking);
    assert!(watch.blind().iter().any(|blind| blind.contains("refused UDP")));
    for server in SERVERS {
        serve(&network.server, server);
    }
    talk(&network);
    let datagrams = network.server.run(|| UdpSocket::bind(at("10.78.2.2:53")).unwrap());
    network.client.run(|| {
        for _ in 0..5 {
            TcpStream::connect(at("10.78.2.2:81")).unwrap_err();
        }
        for _ in 0..3 {
            let socket = UdpSocket::bind(at("0.0.0.0:0")).unwrap();
            socket.send_to(b"?", at("10.78.2.2:53")).unwrap();
        }
    });
    datagrams.recv(&mut [0; 9]).unwrap();
    let reports = reports(&mut watch, 210);
    assert_both_addresses(&reports);
    assert_eq!(opened(&reports, Side::Client, "10.78.2.2:81", None), (5, 5));
    assert_eq!(opened(&reports, Side::Client, "10.78.2.2:53", None), (3, 0));
    assert_eq!(opened(&reports, Side::Server, "10.78.2.2:53", None), (3, 0));
}

#[test]
fn without_programs_and_tracking_sockets_are_found() {
    if !is_root() {
        return;
    }
    let network = Network::new(SERVICE, SERVERS);
    let mut watch = Watch::without_programs(sources(), Kernel::Own, &[]).unwrap();
    serve(&network.server, SERVERS[0]);
    // The server closes first, and its sockets linger for a minute.
    network.client.run(|| call(SERVERS[0], 20));
    let mut seen = Vec::new();
    watch
        .step(|report| {
            seen.push(report);
            Ok(())
        })
        .unwrap();
    assert_eq!(opened(&seen, Side::Server, SERVERS[0], None), (20, 0));
    let again = |watch: &mut Watch, seen: &mut Vec<Report>| {
        seen.clear();
        watch
            .step(|report| {
                seen.push(report);
                Ok(())
            })
            .unwrap();
    };
    again(&mut watch, &mut seen);
    assert_eq!(opened(&seen, Side::Server, SERVERS[0], None), (0, 0), "nothing counts twice");
    let held = network.client.run(|| TcpStream::connect(at(SERVERS[0])).unwrap());
    again(&mut watch, &mut seen);
    assert_eq!(opened(&seen, Side::Client, SERVERS[0], None), (1, 0));
    assert_eq!(opened(&seen, Side::Server, SERVERS[0], None), (1, 0));
    drop(held);
}
