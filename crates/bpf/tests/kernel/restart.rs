use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use ringfence_bpf::{Direction, Observer, Options, State};

use crate::namespace::{Pair, Seen, observer, options};

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
