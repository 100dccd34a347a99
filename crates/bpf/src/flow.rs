//! What the programs counted, read from the bytes of their maps. Touches no kernel.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::AddAssign;

use thiserror::Error;

use crate::record::{DIRECTION_IN, DIRECTION_OUT, Fields, RawCounts, RawKey};

/// Connections that are counted together, and their counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Which.
    pub key: FlowKey,
    /// How many, and how much.
    pub counts: Counts,
}

/// What connections have in common that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Cookie of the network namespace of the socket: never used again while the machine runs.
    pub netns: u64,
    /// Id of the cgroup of the socket: the inode of its directory in the cgroup2 file system. 1, the root, where
    /// processes are only in cgroups of version 1; 0 where there was no socket.
    pub cgroup: u64,
    /// Address of the socket.
    pub local: IpAddr,
    /// Address of the other end, as the socket knows it: what netfilter makes of it later is not in it.
    pub remote: IpAddr,
    /// What the application asked for, where a load balancer at the socket put `remote` in its place.
    pub dialled: Option<Dialled>,
    /// The server's port: of `remote` if [`Direction::Out`], of `local` if [`Direction::In`]. 0 for ICMP.
    pub port: u16,
    /// The protocol.
    pub transport: Transport,
    /// Who called.
    pub direction: Direction,
}

/// An address and a port that an application asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dialled {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
}

/// The protocols that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP, by its packets.
    Sctp,
    /// Echoes of ICMP for IPv4 (RFC 792).
    Icmp,
    /// Echoes of ICMP for IPv6 (RFC 4443).
    IcmpV6,
}

impl Transport {
    /// By its number (IANA, Protocol Numbers).
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Icmp),
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            58 => Some(Self::IcmpV6),
            132 => Some(Self::Sctp),
            _ => None,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
            Self::IcmpV6 => "ICMPv6",
        })
    }
}

/// Who called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The local end.
    Out,
    /// The remote end.
    In,
}

/// Sums over the connections of a [`FlowKey`] in one epoch. A conversation is what takes the place of a connection
/// in the protocols that have none: the packets between two socket addresses with no pause of two minutes.
///
/// Bytes are those of the application, without headers: of TCP each byte once, however often it was sent. What went
/// through a connection that is still open is counted up to the last but one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// TCP connections established; conversations begun.
    pub opened: u64,
    /// TCP connections that ended, of those established in this epoch or before.
    pub closed: u64,
    /// Conversations that went both ways.
    pub answered: u64,
    /// Attempts that a reset ended; conversations that met a port-unreachable error.
    pub refused: u64,
    /// TCP attempts that ran into a time-out or an unreachable host.
    pub unanswered: u64,
    /// TCP attempts that the caller gave up.
    pub abandoned: u64,
    /// TCP connections that a reset from the other end closed, of those in `closed`.
    pub reset: u64,
    /// Bytes from the local end.
    pub sent_bytes: u64,
    /// Bytes to the local end.
    pub received_bytes: u64,
    /// Packets from the local end, those without payload included.
    pub sent_packets: u64,
    /// Packets to the local end, those without payload included.
    pub received_packets: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let Self {
            opened,
            closed,
            answered,
            refused,
            unanswered,
            abandoned,
            reset,
            sent_bytes,
            received_bytes,
            sent_packets,
            received_packets,
        } = other;
        self.opened += opened;
        self.closed += closed;
        self.answered += answered;
        self.refused += refused;
        self.unanswered += unanswered;
        self.abandoned += abandoned;
        self.reset += reset;
        self.sent_bytes += sent_bytes;
        self.received_bytes += received_bytes;
        self.sent_packets += sent_packets;
        self.received_packets += received_packets;
    }
}

/// Bytes that no program of this version writes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// A record of another size.
    #[error("a record has {found} bytes, not {expected}")]
    Length {
        /// Bytes that it should have.
        expected: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// A protocol that is not counted.
    #[error("protocol {0} is none that is counted")]
    Protocol(u8),
    /// Neither way.
    #[error("direction {0} is neither out nor in")]
    Direction(u8),
}

impl FlowKey {
    /// The bytes of a key.
    pub(crate) const SIZE: usize = size_of::<RawKey>();

    /// Reads `struct flow_key`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        check_length(bytes, Self::SIZE)?;
        let mut fields = Fields(bytes);
        let netns = fields.u64();
        let cgroup = fields.u64();
        let local = address(fields.bytes());
        let remote = address(fields.bytes());
        let dialled_ip = address(fields.bytes());
        let dialled_port = fields.u16();
        let port = fields.u16();
        let protocol = fields.u8();
        let direction = match fields.u8() {
            DIRECTION_OUT => Direction::Out,
            DIRECTION_IN => Direction::In,
            other => return Err(DecodeError::Direction(other)),
        };
        let transport = Transport::from_number(protocol).ok_or(DecodeError::Protocol(protocol))?;
        let dialled = (dialled_port != 0).then_some(Dialled { ip: dialled_ip, port: dialled_port });
        Ok(Self { netns, cgroup, local, remote, dialled, port, transport, direction })
    }
}

impl Counts {
    /// The bytes of the counts.
    pub(crate) const SIZE: usize = size_of::<RawCounts>();

    /// Reads `struct counts`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        check_length(bytes, Self::SIZE)?;
        let mut fields = Fields(bytes);
        Ok(Self {
            opened: fields.u64(),
            closed: fields.u64(),
            answered: fields.u64(),
            refused: fields.u64(),
            unanswered: fields.u64(),
            abandoned: fields.u64(),
            reset: fields.u64(),
            sent_bytes: fields.u64(),
            received_bytes: fields.u64(),
            sent_packets: fields.u64(),
            received_packets: fields.u64(),
        })
    }
}

fn check_length(bytes: &[u8], expected: usize) -> Result<(), DecodeError> {
    let found = bytes.len();
    if found == expected { Ok(()) } else { Err(DecodeError::Length { expected, found }) }
}

/// IPv4 comes mapped into IPv6 (RFC 4291 section 2.5.5.2).
fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

#[cfg(test)]
mod tests;
