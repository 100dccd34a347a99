use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use ringfence_bpf::{Closed, Direction, Observer, Options, State};

use crate::namespace::{Pair, Seen, observer, options};
use crate::traffic::{ANSWER, FAMILIES, REQUEST, answer, ask, connections, serve};

/// A BPF file system of the test's own.
struct Pins(tempfile::TempDir);

impl Pins {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        mount(Some("bpf"), directory.path(), Some("bpf"), MsFlags::empty(), None::<&Path>).unwrap();
        Self(directory)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("ringfence")
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        umount2(self.0.path(), MntFlags::MNT_DETACH).unwrap();
    }
}

fn exchange(client: &mut TcpStream, server: &mut TcpStream) {
    client.write_all(&[0; 10]).unwrap();
    server.read_exact(&mut [0; 10]).unwrap();
}

#[test]
fn a_restart_goes_on_counting_and_counts_nothing_twice() {
    if observer(&options()).is_none() {
        return;
    }
    let (pins, pair) = (Pins::new(), Pair::new());
    let options = Options { pins: Some(pins.path()), ..options() };
    let at: SocketAddr = "10.77.0.2:90".parse().unwrap();
    let listener = pair.server.run(move || TcpListener::bind(at).unwrap());
    let connect = || {
        let client = pair.client.run(move || TcpStream::connect(at).unwrap());
        (client, listener.accept().unwrap().0)
    };
    let both = [&pair.client, &pair.server];

    let mut first = Observer::start(&options).unwrap();
    let incarnation = first.incarnation();
    let (mut client, mut server) = connect();
    exchange(&mut client, &mut server);
    // Read, but not known to be safe when the agent dies.
    let closed = first.turn().unwrap();
    let (epoch, read) = (closed.epoch, closed.flows.clone());
    drop(closed);
    drop(first);

    // Nobody reads; the programs count.
    exchange(&mut client, &mut server);
    drop((client, server));
    let (client, server) = connect();

    let mut second = Observer::start(&options).unwrap();
    assert_eq!(second.incarnation(), incarnation);
    assert_eq!(second.findings()[0].state, State::Kept);
    let again = second.turn().unwrap();
    assert_eq!(again.epoch, epoch);
    assert!(read.iter().all(|flow| again.flows.contains(flow)));
    let mut seen = Seen::default();
    seen.take(again, &both).unwrap();
    drop((client, server));
    seen.take(second.turn().unwrap(), &both).unwrap();
    for side in [Direction::Out, Direction::In] {
        let counts = seen.at(side, true, 90);
        assert_eq!((counts.opened, counts.closed), (2, 2), "{side:?}");
    }
    let out = seen.at(Direction::Out, true, 90);
    assert_eq!((out.sent_bytes, out.received_bytes), (20, 0));
    drop(second);

    Observer::unpin(&pins.path()).unwrap();
    drop(connect());
    let mut third = Observer::start(&options).unwrap();
    assert_ne!(third.incarnation(), incarnation);
    let mut seen = Seen::default();
    seen.take(third.turn().unwrap(), &both).unwrap();
    assert_eq!(seen.at(Direction::Out, true, 90).opened, 0);
    Observer::unpin(&pins.path()).unwrap();
}

/// What an agent keeps of an epoch: of each direction at the port of the test connections opened and closed, bytes sent
/// and received. An epoch that is kept already is not kept again.
fn keep(closed: Closed<'_>, incarnation: u64, directory: &Path, namespaces: &[u64]) {
    let path = directory.join(format!("{incarnation}-{}", closed.epoch));
    if !path.exists() {
        let mut text = String::new();
        let flows = closed.flows.iter().filter(|flow| namespaces.contains(&flow.key.netns));
        for flow in flows.filter(|flow| flow.key.port == BUSY) {
            let (out, counts) = (flow.key.direction == Direction::Out, flow.counts);
            let (sent, received) = (counts.sent_bytes, counts.received_bytes);
            let (opened, closed) = (counts.opened, counts.closed);
            writeln!(text, "{out} {opened} {closed} {sent} {received}").unwrap();
        }
        let unfinished = directory.join("unfinished");
        fs::write(&unfinished, text).unwrap();
        fs::rename(unfinished, path).unwrap();
    }
    closed.forget().unwrap();
}

const BUSY: u16 = 93;
const CLIENTS: u64 = 4;

/// The agent of the next test, which kills it.
#[test]
#[ignore = "no test: the next one starts it"]
fn agent_that_is_killed() {
    let (Some(pins), Some(directory)) = (std::env::var_os("RF_PINS"), std::env::var_os("RF_KEPT"))
    else {
        return;
    };
    let namespaces = std::env::var("RF_NAMESPACES").unwrap();
    let namespaces: Vec<u64> = namespaces.split(' ').map(|word| word.parse().unwrap()).collect();
    let options = Options { pins: Some(pins.into()), ..options() };
    let mut observer = Observer::start(&options).unwrap();
    let incarnation = observer.incarnation();
    loop {
        keep(observer.turn().unwrap(), incarnation, directory.as_ref(), &namespaces);
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn an_agent_killed_again_and_again_under_load_loses_nothing_and_counts_nothing_twice() {
    if observer(&options()).is_none() {
        return;
    }
    let (pins, pair, kept) = (Pins::new(), Pair::new(), tempfile::tempdir().unwrap());
    let options = Options { pins: Some(pins.path()), ..options() };
    let namespaces = [pair.client.cookie, pair.server.cookie];
    drop(Observer::start(&options).unwrap());

    let connections = connections(2000);
    let at = SocketAddr::new(FAMILIES[0].1, BUSY);
    let mut ends = vec![serve(&pair.server, at, CLIENTS * connections, answer)];
    for _ in 0..CLIENTS {
        ends.push(pair.client.spawn(move || {
            for _ in 0..connections {
                ask(at);
                thread::sleep(Duration::from_micros(500));
            }
        }));
    }
    let mut kills = 0;
    while !ends.iter().all(JoinHandle::is_finished) {
        let [client, server] = namespaces;
        let mut agent: Child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "restart::agent_that_is_killed"])
            .env("RF_PINS", pins.path())
            .env("RF_KEPT", kept.path())
            .env("RF_NAMESPACES", format!("{client} {server}"))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Before it has begun, or in the midst of anything that it does.
        thread::sleep(Duration::from_micros(60_000 + 37_700 * (kills % 13)));
        assert_eq!(agent.try_wait().unwrap(), None, "the agent ended by itself");
        agent.kill().unwrap();
        agent.wait().unwrap();
        kills += 1;
    }
    for end in ends {
        end.join().unwrap();
    }
    assert!(kills > 2, "{kills}");

    let mut last = Observer::start(&options).unwrap();
    let incarnation = last.incarnation();
    for _ in 0..2 {
        keep(last.turn().unwrap(), incarnation, kept.path(), &namespaces);
    }
    let mut sums = [[0; 4]; 2];
    let mut epochs = 0;
    for entry in fs::read_dir(kept.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("unfinished") {
            continue;
        }
        epochs += 1;
        for line in fs::read_to_string(path).unwrap().lines() {
            let mut words = line.split(' ');
            let sum = &mut sums[usize::from(words.next() == Some("true"))];
            for (total, word) in sum.iter_mut().zip(words) {
                *total += word.parse::<u64>().unwrap();
            }
        }
    }
    println!("{kills} kills, {epochs} epochs kept");
    let times = CLIENTS * connections;
    let (request, answer) = (times * REQUEST.len() as u64, times * ANSWER.len() as u64);
    assert_eq!(sums, [[times, times, answer, request], [times, times, request, answer]]);
    assert!(epochs > 4, "{epochs}");
    Observer::unpin(&pins.path()).unwrap();
}

#[test]
fn another_version_begins_anew_and_ends_what_the_one_before_left() {
    if observer(&options()).is_none() {
        return;
    }
    let (pins, pair) = (Pins::new(), Pair::new());
    let at = SocketAddr::new(FAMILIES[0].1, 94);
    let talk = || {
        let server = serve(&pair.server, at, 1, answer);
        pair.client.run(move || ask(at));
        server.join().unwrap();
    };
    // The same programs for another cgroup are as different as those of another version.
    let cgroup = options().cgroup.join(format!("rf-test-{}", std::process::id()));
    fs::create_dir(&cgroup).unwrap();
    let before = Options { pins: Some(pins.path()), cgroup: cgroup.clone(), ..options() };
    let incarnation = Observer::start(&before).unwrap().incarnation();
    talk();

    let after = Options { pins: Some(pins.path()), ..options() };
    let mut observer = Observer::start(&after).unwrap();
    fs::remove_dir(&cgroup).unwrap();
    assert_ne!(observer.incarnation(), incarnation);
    assert_eq!(observer.findings()[0].state, State::Works);
    assert_eq!(fs::read_dir(pins.path()).unwrap().count(), 1);
    talk();
    let mut seen = Seen::default();
    seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
    for side in [Direction::Out, Direction::In] {
        let counts = seen.at(side, true, 94);
        assert_eq!((counts.opened, counts.closed), (1, 1), "{side:?}");
    }
    Observer::unpin(&pins.path()).unwrap();
}

#[test]
fn connections_older_than_the_programs_are_taken_in() {
    if observer(&options()).is_none() {
        return;
    }
    let pair = Pair::new();
    let at: SocketAddr = "10.77.0.2:91".parse().unwrap();
    let listener = pair.server.run(move || TcpListener::bind(at).unwrap());
    let mut client = pair.client.run(move || TcpStream::connect(at).unwrap());
    let mut server = listener.accept().unwrap().0;
    exchange(&mut client, &mut server);
    let datagrams = pair.server.run(|| std::net::UdpSocket::bind("10.77.0.2:92").unwrap());

    let mut observer = Observer::start(&options()).unwrap();
    for namespace in [&pair.client, &pair.server] {
        use std::os::fd::AsFd as _;
        observer.seed(namespace.file().as_fd()).unwrap();
    }
    exchange(&mut client, &mut server);
    pair.client.run(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(&[0; 7], "10.77.0.2:92").unwrap();
    });
    datagrams.recv(&mut [0; 10]).unwrap();
    drop((client, server));
    let mut seen = Seen::default();
    seen.take(observer.turn().unwrap(), &[&pair.client, &pair.server]).unwrap();
    let (out, into) = (seen.at(Direction::Out, true, 91), seen.at(Direction::In, true, 91));
    assert_eq!((out.opened, out.closed, out.sent_bytes), (0, 1, 10));
    assert_eq!((into.opened, into.closed, into.received_bytes), (0, 1, 10));
    let datagram = seen.at(Direction::In, true, 92);
    assert_eq!((datagram.opened, datagram.received_bytes), (1, 7));
}
