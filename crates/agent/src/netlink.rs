//! Netlink: requests to the kernel and what it answers or tells by itself (RFC 3549; `linux/netlink.h`).

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{
    Timeout, set_socket_recv_buffer_size, set_socket_recv_buffer_size_force, set_socket_timeout,
};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto,
    socket_with,
};

/// The longest piece that the kernel hands over at once.
const PIECE: usize = 64 << 10;
/// How long the kernel may take over an answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// Message types below the families' own.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Flags of a request: one, and for all that there is.
const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;
const HEADER: usize = 16;

/// A socket to a part of the kernel, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

/// What came from the kernel since the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// All of it was handed over.
    All,
    /// There was more than found room: some of it is lost.
    Lost,
}

/// A message without its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// What it is.
    pub(crate) kind: u16,
    /// Its flags.
    pub(crate) flags: u16,
    /// The family's header and the attributes.
    pub(crate) body: &'a [u8],
}

impl Netlink {
    /// Opens a socket that hears of the groups of a bit mask; none for requests alone. `room` is for what the kernel
    /// tells while nobody reads, in bytes.
    pub(crate) fn open(protocol: Option<Protocol>, groups: u32, room: usize) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        // Without the privilege it is as much as the machine allows.
        set_socket_recv_buffer_size_force(&socket, room)
            .or_else(|_| set_socket_recv_buffer_size(&socket, room))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self { socket, buffer: vec![0; PIECE] })
    }

    /// Hands over what the kernel has told, without waiting for more.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(Message<'_>)) -> io::Result<Drained> {
        let mut drained = Drained::All;
        loop {
            match recv(&self.socket, &mut *self.buffer, RecvFlags::DONTWAIT) {
                Ok((length, _)) => messages(&self.buffer[..length]).for_each(&mut each),
                Err(Errno::AGAIN) => return Ok(drained),
                Err(Errno::INTR) => {}
                // Told once; what found room is still there.
                Err(Errno::NOBUFS) => drained = Drained::Lost,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Asks for everything of a kind and hands it over. Not for a socket that hears of groups.
    pub(crate) fn dump(
        &mut self,
        kind: u16,
        body: &[u8],
        mut each: impl FnMut(Message<'_>),
    ) -> io::Result<()> {
        let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        let mut request = Vec::with_capacity(HEADER + body.len());
        request.extend(length.to_ne_bytes());
        request.extend(kind.to_ne_bytes());
        request.extend((REQUEST | DUMP).to_ne_bytes());
        request.extend([0; 8]);
        request.extend(body);
        sendto(&self.socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        loop {
            let length = match recv(&self.socket, &mut *self.buffer, RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for message in messages(&self.buffer[..length]) {
                match message.kind {
                    DONE => return Ok(()),
                    ERROR => return Err(refusal(message.body)),
                    _ => each(message),
                }
            }
        }
    }
}

/// The error in an answer: a negative number of the kernel's.
fn refusal(body: &[u8]) -> io::Error {
    let number = body.first_chunk().map_or(0, |number| i32::from_ne_bytes(*number));
    io::Error::from_raw_os_error(number.saturating_neg())
}

/// The messages of a piece, up to the first that makes no sense.
fn messages(piece: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        let header: &[u8; HEADER] = rest.first_chunk()?;
        let &[a, b, c, d, kind0, kind1, flags0, flags1, ..] = header;
        let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
        let body = rest.get(HEADER..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        let kind = u16::from_ne_bytes([kind0, kind1]);
        Some(Message { kind, flags: u16::from_ne_bytes([flags0, flags1]), body })
    })
}

/// The attributes after a header of the family's, by their numbers, up to the first that makes no sense.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// Nested, and in network byte order.
    const FLAGS: u16 = 0xc000;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let &[length0, length1, kind0, kind1] = rest.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([length0, length1]));
        let value = rest.get(4..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some((u16::from_ne_bytes([kind0, kind1]) & !FLAGS, value))
    })
}

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An attribute with its header.
    pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    #[test]
    fn attributes_are_told_apart() {
        let bytes = [attribute(1, b"abc"), attribute(0x8002, b""), attribute(3, b"wxyz")].concat();
        let found: Vec<_> = attributes(&bytes).collect();
        assert_eq!(found, [(1, &b"abc"[..]), (2, b""), (3, b"wxyz")]);
    }

    #[test]
    fn what_makes_no_sense_ends_it() {
        let good = attribute(1, b"abcd");
        for tail in [&[0, 0, 0, 0][..], &[3, 0, 1, 0], &[200, 0, 1, 0], &[8]] {
            let bytes = [&good, tail].concat();
            assert_eq!(attributes(&bytes).count(), 1, "{tail:?}");
        }
        for piece in [&[0; 16][..], &[15; 15], &[255; 40], &[]] {
            assert_eq!(messages(piece).count(), 0, "{piece:?}");
        }
    }
}
