//! A way out of a namespace that has none to the machine: a port there, whose connections go on from here.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Takes the connections of a listener, which may be of another namespace, to an address in this one, for as long as
/// the process lives.
pub(crate) fn relay(listener: TcpListener, to: SocketAddr) -> io::Result<()> {
    let accept = move || {
        for stream in listener.incoming() {
            // Whoever is not taken on asks again.
            let _ = stream.and_then(|stream| join(stream, TcpStream::connect(to)?));
        }
    };
    thread::Builder::new().name("relay".to_owned()).spawn(accept).map(drop)
}

fn join(one: TcpStream, other: TcpStream) -> io::Result<()> {
    for (from, to) in [(one.try_clone()?, other.try_clone()?), (other, one)] {
        thread::Builder::new().name("relay".to_owned()).spawn(move || pass_on(from, to))?;
    }
    Ok(())
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    // However it ended, the other end is told.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn bytes_go_both_ways_until_the_end() {
        let far = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = near.local_addr().unwrap();
        relay(near, far.local_addr().unwrap()).unwrap();
        let mut client = TcpStream::connect(at).unwrap();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (mut server, _) = far.accept().unwrap();
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "question");
        server.write_all(b"answer").unwrap();
        drop(server);
        text.clear();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");
    }
}
