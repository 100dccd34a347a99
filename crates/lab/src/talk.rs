//! What runs in a pod: answers at some ports, and calls others, for as long as it lives.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ringfence_model::Protocol;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use crate::dns;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);
const QUESTION: &[u8] = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
/// Where names are asked for.
const DNS: u16 = 53;
/// What is asked for where no particular name is wanted.
const SOME_NAME: &str = "kubernetes.default.svc.cluster.local";

/// An address and a port of a protocol: `TCP/10.0.0.1:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

impl TryFrom<String> for Spot {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Spot> for String {
    fn from(spot: Spot) -> Self {
        spot.to_string()
    }
}

/// What becomes of a call where the policies are those of the example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// The other end refuses it.
    Refused,
    /// A policy stops it.
    Denied,
}

/// A call that is made again and again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Call {
    /// Whom.
    pub to: Spot,
    /// By which name, which is looked up first.
    pub name: Option<String>,
    /// From which of one's own addresses; any if left out.
    pub from: Option<IpAddr>,
    /// What becomes of it.
    pub fate: Fate,
}

/// What one of the lab does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where it answers.
    pub answer: Vec<Spot>,
    /// Whom it calls.
    pub call: Vec<Call>,
    /// Where it looks names up.
    pub resolver: Option<SocketAddr>,
    /// The names that it knows where it is asked for them.
    pub zone: BTreeMap<String, Ipv4Addr>,
}

/// For how long somebody calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// Once round.
    One,
    /// As long as it lives.
    Endless,
}

/// Begins to answer at all spots of a part.
pub fn answer(part: &Part) -> io::Result<()> {
    let zone = Arc::new(part.zone.clone());
    for spot in &part.answer {
        let zone = Arc::clone(&zone);
        match spot.protocol {
            Protocol::Tcp => {
                let listener = TcpListener::bind(spot.at)?;
                thread::Builder::new().spawn(move || answer_streams(&listener, &zone))?;
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind(spot.at)?;
                thread::Builder::new().spawn(move || answer_datagrams(&socket, &zone))?;
            }
            Protocol::Sctp => {}
        }
    }
    Ok(())
}

/// Calls everybody of a part once in every period, evenly spread.
pub fn call(part: &Part, every: Duration, rounds: Rounds) {
    let calls = u32::try_from(part.call.len()).unwrap_or(u32::MAX);
    let pause = every.checked_div(calls).unwrap_or(every);
    loop {
        for call in &part.call {
            // Whoever does not answer is asked again the next time.
            let _ = make(call, part.resolver);
            thread::sleep(pause);
        }
        match rounds {
            Rounds::One => return,
            Rounds::Endless if part.call.is_empty() => thread::park(),
            Rounds::Endless => {}
        }
    }
}

fn answer_streams(listener: &TcpListener, zone: &BTreeMap<String, Ipv4Addr>) {
    let is_dns = listener.local_addr().is_ok_and(|at| at.port() == DNS);
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let mut question = [0; 512];
        let answered = stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.read(&mut question))
            .and_then(|length| {
                let question = question.get(..length).unwrap_or_default();
                if !is_dns {
                    return stream.write_all(ANSWER);
                }
                // Each message has its length in front.
                let answer = question.get(2..).and_then(|question| dns::answer(question, zone));
                stream.write_all(&answer.map(|answer| framed(&answer)).unwrap_or_default())
            });
        // A caller that is gone is none of our business.
        drop(answered);
    }
}

fn answer_datagrams(socket: &UdpSocket, zone: &BTreeMap<String, Ipv4Addr>) {
    let is_dns = socket.local_addr().is_ok_and(|at| at.port() == DNS);
    let mut question = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut question) {
        let question = question.get(..length).unwrap_or_default();
        let answer = if is_dns { dns::answer(question, zone) } else { Some(ANSWER.to_vec()) };
        if let Some(answer) = answer {
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// Makes a call, and waits for the answer. Names that have no address are not called.
pub fn make(call: &Call, resolver: Option<SocketAddr>) -> io::Result<()> {
    let mut to = call.to;
    if let (Some(name), Some(resolver)) = (&call.name, resolver) {
        let at = Spot { protocol: Protocol::Udp, at: resolver };
        let id = u16::from_be_bytes([0x52, 0x46]);
        let answer = exchange(at, None, &dns::question(id, name))?;
        let address = dns::address(&answer, id).ok_or(io::ErrorKind::NotFound)?;
        to.at.set_ip(address.into());
    }
    let question = match (to.at.port(), to.protocol) {
        (DNS, Protocol::Tcp) => framed(&dns::question(1, SOME_NAME)),
        (DNS, _) => dns::question(1, SOME_NAME),
        _ => QUESTION.to_vec(),
    };
    let answer = exchange(to, call.from, &question)?;
    if answer.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// Says something, and hears the answer.
fn exchange(to: Spot, from: Option<IpAddr>, question: &[u8]) -> io::Result<Vec<u8>> {
    let kind = match to.protocol {
        Protocol::Tcp => Type::STREAM,
        Protocol::Udp => Type::DGRAM,
        Protocol::Sctp => return Err(io::ErrorKind::Unsupported.into()),
    };
    let mut socket = Socket::new(Domain::for_address(to.at), kind, None)?;
    let any: IpAddr = match to.at {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    socket.bind(&SocketAddr::new(from.unwrap_or(any), 0).into())?;
    socket.connect_timeout(&to.at.into(), PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(question)?;
    let mut answer = vec![0; 512];
    let length = socket.read(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

/// A message with its length in front.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), message].concat()
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
