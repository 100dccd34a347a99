//! Flows: what an observer saw between two addresses.

use std::net::IpAddr;
use std::sync::Arc;

use crate::identity::Name;
use crate::net::{Port, Protocol};
use crate::resolve::Hint;
use crate::time::Timestamp;

/// One observation of traffic between two socket addresses in an interval, from one observation point.
///
/// Readers of wire formats produce flows; the aggregator turns them into edges. A flow keeps what the observer
/// said: who was the client, whether two flows are of one connection, and who stood at the addresses is for the
/// aggregator to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// First moment. A single packet has `start == end`.
    pub start: Timestamp,
    /// Last moment.
    pub end: Timestamp,
    /// The sender of the packet; of sockets and counted connections the client.
    pub source: End,
    /// The receiver of the packet; of sockets and counted connections the server.
    pub destination: End,
    /// The node or host that observed, when it said its name.
    pub observer: Option<Name>,
    /// What was seen.
    pub seen: Seen,
}

/// One end of a [`Flow`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The address in the packet.
    pub ip: IpAddr,
    /// What the observer knew about the address. Shared, because observers repeat themselves.
    pub hint: Option<Arc<Hint>>,
}

/// What a [`Flow`] tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// One packet at one point of the datapath.
    Packet(Packet),
    /// A system call of a client whose address a socket-level load balancer may translate.
    Socket(Socket),
    /// Connections that the observer counted over the interval.
    Connections(Connections),
}

/// A packet at one point of the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it carried.
    pub transport: Transport,
    /// What the datapath did with it.
    pub verdict: Verdict,
    /// Which way it went, when connection tracking knew.
    pub sense: Option<Sense>,
    /// The observation point, as a number of the producer's choosing. It tells apart the points at which one packet
    /// is reported, where the packet has nothing else that would.
    pub point: u8,
}

/// What a [`Packet`] carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A segment or datagram with ports.
    Ports {
        /// The protocol.
        protocol: Protocol,
        /// Port of the sender.
        source: Port,
        /// Port of the receiver.
        destination: Port,
        /// TCP flags; none for the other protocols.
        flags: TcpFlags,
    },
    /// ICMP for IPv4 (RFC 792).
    Icmp(IcmpKind),
    /// ICMP for IPv6 (RFC 4443).
    IcmpV6(IcmpKind),
}

/// The TCP flags that tell where a connection stands (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// No flag, or not known.
    pub const NONE: Self = Self(0);
    /// Opens a connection.
    pub const SYN: Self = Self(1);
    /// Acknowledges.
    pub const ACK: Self = Self(2);
    /// Ends one direction.
    pub const FIN: Self = Self(4);
    /// Refuses or aborts.
    pub const RST: Self = Self(8);
    /// Carries data to hand over at once.
    pub const PSH: Self = Self(16);

    /// These flags and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of the flags are set.
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

/// The kinds of ICMP messages that matter to edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpKind {
    /// Somebody asks: the one message that is like opening a connection.
    EchoRequest,
    /// The answer.
    EchoReply,
    /// Errors, neighbour discovery and everything else.
    Other,
}

/// What the datapath did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Let it pass.
    Forwarded,
    /// Dropped it, for a policy or another reason.
    Dropped,
}

/// The way of a packet within its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sense {
    /// From the client.
    Request,
    /// From the server.
    Reply,
}

/// A client's system call seen at the socket. It has no source port yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Identity of the socket, unique on its node.
    pub cookie: u64,
    /// The protocol.
    pub protocol: Protocol,
    /// The port at the destination.
    pub port: Port,
    /// Which address the destination is.
    pub stage: SocketStage,
}

/// Which destination a [`Socket`] flow shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SocketStage {
    /// The address that the application dialled.
    Dialled,
    /// The address after translation.
    Translated,
}

/// Connections to one server port that an observer counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// The protocol.
    pub protocol: Protocol,
    /// The client's port when the count is of a single socket pair.
    pub client_port: Option<Port>,
    /// The port at the server, after translation.
    pub port: Port,
    /// The Service address and port that the client dialled, when they were translated and the observer saw it.
    pub dialled: Option<(IpAddr, Port)>,
    /// At whose end the observer stood.
    pub side: Side,
    /// Connections that it saw being opened and let pass, refused ones included.
    pub opened: u64,
    /// Of the opened ones, those that the server refused with a reset or a port-unreachable error.
    pub refused: u64,
    /// Attempts that it dropped.
    pub denied: u64,
    /// Whether anything but openings passed: a connection older than the interval shows in no other way.
    pub traffic: bool,
}

/// The end of a connection that an observer stood at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The client's.
    Client,
    /// The server's.
    Server,
}
