//! What the tests do over the network.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use ringfence_bpf::Counts;

use crate::namespace::Namespace;

pub(crate) const REQUEST: [u8; 100] = [1; 100];
pub(crate) const ANSWER: [u8; 300] = [2; 300];
pub(crate) const FAMILIES: [(bool, IpAddr); 2] = [
    (true, IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2))),
    (false, IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2))),
];

/// Connections of each client in the tests of load, if no other number is asked for.
pub(crate) fn connections(usual: u64) -> u64 {
    std::env::var("RINGFENCE_CONNECTIONS").map_or(usual, |number| number.parse().unwrap())
}

/// Listens in the namespace and handles so many connections.
pub(crate) fn serve(
    namespace: &Namespace,
    at: SocketAddr,
    connections: u64,
    handle: impl Fn(TcpStream) + Send + 'static,
) -> std::thread::JoinHandle<()> {
    let listener = namespace.run(move || TcpListener::bind(at).unwrap());
    namespace.spawn(move || {
        for _ in 0..connections {
            handle(listener.accept().unwrap().0);
        }
    })
}

pub(crate) fn answer(mut stream: TcpStream) {
    let mut request = [0; REQUEST.len()];
    stream.read_exact(&mut request).unwrap();
    stream.write_all(&ANSWER).unwrap();
    // The client closes first, so that the server's ports stay free of waiting sockets.
    assert_eq!(stream.read(&mut request).unwrap(), 0);
}

pub(crate) fn ask(to: SocketAddr) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(&REQUEST).unwrap();
    let mut answer = [0; ANSWER.len()];
    stream.read_exact(&mut answer).unwrap();
}

/// Both ends count the same, the bytes crosswise.
pub(crate) fn assert_mirrored(out: Counts, into: Counts) {
    assert_eq!(
        (out.opened, out.closed, out.sent_bytes, out.received_bytes),
        (into.opened, into.closed, into.received_bytes, into.sent_bytes)
    );
}
