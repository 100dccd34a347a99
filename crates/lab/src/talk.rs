//! What runs in a pod: answers at some ports, and calls others, for as long as it lives.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use ringfence_model::Protocol;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
const QUESTION: &[u8] = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";

/// An address and a port of a protocol: `TCP/10.0.0.1:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// TCP or UDP; the lab speaks no SCTP.
    pub protocol: Protocol,
    /// Where.
    pub at: SocketAddr,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.at)
    }
}

impl FromStr for Spot {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("{text:?} is not like TCP/10.0.0.1:80");
        let (protocol, at) = text.split_once('/').ok_or_else(fault)?;
        let protocol = protocol.parse().map_err(|_| fault())?;
        Ok(Self { protocol, at: at.parse().map_err(|_| fault())? })
    }
}

/// Answers at all spots, and then calls each of the others once in every period. Returns only when it cannot answer.
pub fn talk(answer: &[Spot], call: &[Spot], every: Duration) -> io::Result<()> {
    for spot in answer {
        match spot.protocol {
            Protocol::Tcp => {
                let listener = TcpListener::bind(spot.at)?;
                thread::Builder::new().spawn(move || answer_streams(&listener))?;
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind(spot.at)?;
                thread::Builder::new().spawn(move || answer_datagrams(&socket))?;
            }
            Protocol::Sctp => {}
        }
    }
    loop {
        for spot in call {
            // Whoever does not answer is asked again the next time.
            let _ = ask(*spot);
        }
        thread::sleep(every);
    }
}

fn answer_streams(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let answered = stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.read(&mut [0; 256]))
            .and_then(|_| stream.write_all(ANSWER));
        // A caller that is gone is none of our business.
        drop(answered);
    }
}

fn answer_datagrams(socket: &UdpSocket) {
    let mut question = [0; 512];
    while let Ok((_, from)) = socket.recv_from(&mut question) {
        let _ = socket.send_to(ANSWER, from);
    }
}

fn ask(spot: Spot) -> io::Result<()> {
    match spot.protocol {
        Protocol::Tcp => {
            let mut stream = TcpStream::connect_timeout(&spot.at, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(QUESTION)?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        }
        Protocol::Udp => {
            let any = if spot.at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.connect(spot.at)?;
            socket.send(QUESTION)?;
            socket.recv(&mut [0; 512]).map(drop)
        }
        Protocol::Sctp => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spots_go_both_ways() {
        for text in ["TCP/10.0.0.1:80", "UDP/[fd00::1]:53"] {
            assert_eq!(text.parse::<Spot>().unwrap().to_string(), text);
        }
        for bad in ["", "TCP", "ICMP/10.0.0.1:1", "TCP/10.0.0.1"] {
            assert!(bad.parse::<Spot>().is_err(), "{bad}");
        }
    }
}
