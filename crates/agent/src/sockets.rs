//! The TCP sockets and the addresses of network namespaces, as the kernel lists them (`sock_diag(7)`, `rtnetlink(7)`).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread;

use rustix::net::netlink::SOCK_DIAG;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::netlink::{Netlink, attributes};
use crate::owner::inode;

/// What the kernel tells nobody by itself needs little room.
const ROOM: usize = 1 << 20;

/// A network namespace as it is now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// The addresses of its interfaces, loopback ones left out.
    pub(crate) addresses: Vec<IpAddr>,
    /// Its TCP sockets.
    pub(crate) sockets: Vec<TcpSocket>,
}

/// A TCP socket that listens or was connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpSocket {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) stage: Stage,
    /// Payload that was sent and acknowledged, and that was received.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Packets.
    pub(crate) sent_packets: u64,
    pub(crate) received_packets: u64,
}

/// Where a socket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It waits for connections.
    Listening,
    /// It was connected, and may be closing.
    Connected,
}

/// The network namespaces of the processes under a `/proc`, by their inodes. That a process ends meanwhile is no fault.
pub(crate) fn namespaces(proc: &Path) -> io::Result<HashMap<u64, File>> {
    let mut found = HashMap::new();
    for entry in fs::read_dir(proc)? {
        let link = entry?.path().join("ns/net");
        let Some(inode) = inode(&link) else { continue };
        if !found.contains_key(&inode)
            && let Ok(file) = File::open(&link)
        {
            found.insert(inode, file);
        }
    }
    Ok(found)
}

/// Does something in a network namespace, in a thread that is not used again. Takes `CAP_SYS_ADMIN`.
pub(crate) fn within<T: Send>(
    namespace: &File,
    act: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let entered = thread::Builder::new().spawn_scoped(scope, || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind)?;
            act()
        })?;
        entered.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    })
}

impl Place {
    /// Looks at the namespace of the calling thread.
    pub(crate) fn look() -> io::Result<Self> {
        const GET_ADDRESSES: u16 = 22;
        const BY_FAMILY: u16 = 20;
        let mut place = Self::default();
        // A header of no particular interface.
        Netlink::open(None, 0, ROOM)?.dump(GET_ADDRESSES, &[0; 8], |message| {
            place.addresses.extend(address(message.body));
        })?;
        let mut diag = Netlink::open(Some(SOCK_DIAG), 0, ROOM)?;
        for family in [INET, INET6] {
            diag.dump(BY_FAMILY, &request(family), |message| {
                place.sockets.extend(TcpSocket::decode(message.body));
            })?;
        }
        Ok(place)
    }

    /// Whether a socket accepts connections at the local address of another.
    pub(crate) fn listens_at(&self, local: SocketAddr) -> bool {
        self.sockets.iter().any(|socket| {
            let TcpSocket { local: at, stage, .. } = socket;
            let is_there = at.ip() == local.ip() || at.ip().is_unspecified();
            *stage == Stage::Listening && at.port() == local.port() && is_there
        })
    }
}

const INET: u8 = 2;
const INET6: u8 = 10;
const TCP: u8 = 6;

/// `struct inet_diag_req_v2`: all states but those of a connection that is still being opened, with the counters.
fn request(family: u8) -> Vec<u8> {
    const INFO: u8 = 1 << 1;
    const OPENING: u32 = 1 << 2 | 1 << 3 | 1 << 12;
    let mut bytes = vec![family, TCP, INFO, 0];
    bytes.extend((0x1fff & !OPENING).to_ne_bytes());
    bytes.resize(56, 0);
    bytes
}

/// `struct ifaddrmsg` and its attributes.
fn address(body: &[u8]) -> Option<IpAddr> {
    let (mut address, mut local) = (None, None);
    for (kind, value) in attributes(body.get(8..)?) {
        match kind {
            1 => address = ip(value),
            2 => local = ip(value),
            _ => {}
        }
    }
    // Where both are there, the other one is the far end's.
    local.or(address).filter(|ip| !ip.is_loopback())
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

impl TcpSocket {
    /// `struct inet_diag_msg`, and `struct tcp_info` among its attributes.
    fn decode(body: &[u8]) -> Option<Self> {
        const LISTEN: u8 = 10;
        const CLOSE: u8 = 7;
        let header: &[u8; 72] = body.first_chunk()?;
        let (family, code) = (header[0], header[1]);
        let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let ip = |at: usize| -> Option<IpAddr> {
            match family {
                INET => Some(IpAddr::from(<[u8; 4]>::try_from(&header[at..at + 4]).ok()?)),
                INET6 => {
                    let bytes = <[u8; 16]>::try_from(&header[at..at + 16]).ok()?;
                    Some(Ipv6Addr::from(bytes).to_canonical())
                }
                _ => None,
            }
        };
        let stage = match code {
            LISTEN => Stage::Listening,
            CLOSE => return None,
            _ => Stage::Connected,
        };
        let info = attributes(&body[72..]).find(|(kind, _)| *kind == 2).map(|(_, value)| value);
        let long = |at: usize| {
            let bytes = info?.get(at..at + 8)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        let short = |at: usize| {
            let bytes = info?.get(at..at + 4)?;
            Some(u64::from(u32::from_ne_bytes(bytes.try_into().ok()?)))
        };
        Some(Self {
            local: SocketAddr::new(ip(8)?, port(4)),
            remote: SocketAddr::new(ip(24)?, port(6)),
            stage,
            // A socket that only waits for stray packets has no counters any more.
            sent: long(120).unwrap_or(0),
            received: long(128).unwrap_or(0),
            sent_packets: short(136).unwrap_or(0),
            received_packets: short(140).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn sockets_of_this_namespace_are_listed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let place = Place::look().unwrap();
        let of = |local| {
            let mut sockets = place.sockets.iter();
            sockets.find(|s| s.local == local && s.stage == Stage::Connected).map(|s| s.remote)
        };
        assert_eq!((of(local), of(remote)), (Some(remote), Some(local)));
        assert!(place.listens_at(remote) && !place.listens_at(local));
    }

    #[test]
    fn short_answers_are_no_sockets() {
        for length in 0..72 {
            assert_eq!(TcpSocket::decode(&vec![2; length]), None);
        }
        assert_eq!(address(&[0; 7]), None);
    }
}
