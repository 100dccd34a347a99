//! One connection and what was seen of it.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};

use ringfence_model::flow::{End, Sense, TcpFlags, Verdict};
use ringfence_model::resolve::Resolver;
use ringfence_model::{Evidence, Port, Protocol, Timestamp};

use crate::resolution::{EndId, Resolution, strength};

/// An address in 16 bytes; IPv4 as the IPv4-mapped IPv6 address, which is the same address (RFC 4291 section
/// 2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ip([u8; 16]);

impl From<IpAddr> for Ip {
    fn from(ip: IpAddr) -> Self {
        Self(match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        })
    }
}

impl From<Ip> for IpAddr {
    fn from(ip: Ip) -> Self {
        Self::V6(Ipv6Addr::from(ip.0)).to_canonical()
    }
}

/// As one number, which is faster than as bytes.
impl Hash for Ip {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.0));
    }
}

/// The client's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientSocket {
    pub(crate) ip: Ip,
    /// `None` when the connections of all ports are counted together.
    pub(crate) port: Option<Port>,
    pub(crate) protocol: Protocol,
}

/// A socket pair. While it is not known who is the client, one of the two stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SocketPair {
    pub(crate) client: ClientSocket,
    pub(crate) server: Ip,
    pub(crate) server_port: Port,
}

/// One end: who it is, by the best description of it so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownEnd {
    pub(crate) id: EndId,
    pub(crate) strength: u8,
}

/// When something was seen, and between whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) client: KnownEnd,
    pub(crate) server: KnownEnd,
}

impl Sight {
    /// Seen for the first time.
    pub(crate) fn new(
        (first, last): (Timestamp, Timestamp),
        (client, server): (&End, &End),
        resolution: &mut Resolution<'_, impl Resolver>,
    ) -> Self {
        let client = resolution.end(client, first);
        Self { first, last, client, server: resolution.end(server, first) }
    }

    /// Seen again. Each end is resolved by its best description, and of equal ones by the earliest, so that the
    /// order does not matter.
    pub(crate) fn renew(
        &mut self,
        (first, last): (Timestamp, Timestamp),
        (client, server): (&End, &End),
        resolution: &mut Resolution<'_, impl Resolver>,
    ) {
        for (known, end) in [(&mut self.client, client), (&mut self.server, server)] {
            let strength = strength(end.hint.as_deref());
            if strength > known.strength || (strength == known.strength && first < self.first) {
                *known = resolution.end(end, first);
            }
        }
        self.first = self.first.min(first);
        self.last = self.last.max(last);
    }
}

/// What was seen of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) sight: Sight,
    signs: Signs,
    /// Whether the client is known, not guessed.
    pub(crate) oriented: bool,
    /// Whether it is counted already.
    pub(crate) told: Told,
    /// The step in which it was seen first.
    pub(crate) born: u32,
}

/// Whether a connection that is still followed is counted already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Told {
    No,
    /// And nothing was seen of it since.
    Yes,
    /// And more was seen of it since.
    Before,
}

impl Connection {
    pub(crate) fn new(sight: Sight, oriented: bool, born: u32) -> Self {
        Self { sight, signs: Signs::default(), oriented, told: Told::No, born }
    }

    pub(crate) fn see(&mut self, sense: Sense, flags: TcpFlags, verdict: Verdict) {
        self.signs.see(sense, flags, verdict);
        if self.told == Told::Yes {
            self.told = Told::Before;
        }
    }

    /// Changes client and server over.
    pub(crate) fn turn(&mut self) {
        std::mem::swap(&mut self.sight.client, &mut self.sight.server);
        self.signs.turn();
    }

    /// Takes in what was seen of the same connection apart.
    pub(crate) fn absorb(&mut self, other: &Self) {
        let Self { sight, signs, oriented, told, born } = other;
        for (mine, other) in
            [(&mut self.sight.client, sight.client), (&mut self.sight.server, sight.server)]
        {
            let earlier = other.strength == mine.strength && sight.first < self.sight.first;
            if other.strength > mine.strength || earlier {
                *mine = other;
            }
        }
        self.sight.first = self.sight.first.min(sight.first);
        self.sight.last = self.sight.last.max(sight.last);
        self.signs.request |= signs.request;
        self.signs.reply |= signs.reply;
        self.oriented |= oriented;
        self.told = self.told.max(*told);
        self.born = self.born.min(*born);
    }

    /// What is to be counted of it; nothing when all is. One that is counted and goes on has no further counts.
    pub(crate) fn evidence(&self) -> Option<Evidence> {
        let Sight { first, last, .. } = self.sight;
        let (forwarded, dropped, refused) = match (self.told, self.signs.outcome()) {
            (Told::Yes, _) => return None,
            (Told::Before, _) => (0, 0, 0),
            (Told::No, Outcome::Forwarded) => (1, 0, 0),
            (Told::No, Outcome::Refused) => (1, 0, 1),
            (Told::No, Outcome::Dropped) => (0, 1, 0),
        };
        let first_seen = if self.told == Told::Before { last } else { first };
        Some(Evidence { first_seen, last_seen: last, forwarded, dropped, refused })
    }
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Forwarded,
    Refused,
    Dropped,
}

/// The kinds of packets seen each way, as bits.
#[derive(Clone, Copy, Debug, Default)]
struct Signs {
    request: u8,
    reply: u8,
}

impl Signs {
    /// A segment with SYN.
    const SYN: u8 = 1;
    /// A segment with RST.
    const RST: u8 = 2;
    /// Anything else that passed.
    const OTHER: u8 = 4;
    /// Something that was dropped.
    const DROPPED: u8 = 8;

    fn see(&mut self, sense: Sense, flags: TcpFlags, verdict: Verdict) {
        let bit = match verdict {
            Verdict::Dropped => Self::DROPPED,
            Verdict::Forwarded if flags.has(TcpFlags::RST) => Self::RST,
            Verdict::Forwarded if flags.has(TcpFlags::SYN) => Self::SYN,
            Verdict::Forwarded => Self::OTHER,
        };
        match sense {
            Sense::Request => self.request |= bit,
            Sense::Reply => self.reply |= bit,
        }
    }

    fn turn(&mut self) {
        std::mem::swap(&mut self.request, &mut self.reply);
    }

    fn outcome(self) -> Outcome {
        // An answer that passed proves that the server was reached, whatever was dropped before or after.
        if self.reply & (Self::SYN | Self::OTHER) != 0 {
            return Outcome::Forwarded;
        }
        // Without an answer a drop anywhere decides: the client's node forwards what the server's node drops.
        if self.request & Self::DROPPED != 0
            || (self.request == 0 && self.reply & Self::DROPPED != 0)
        {
            return Outcome::Dropped;
        }
        // A reset in answer to data ends a connection that was there; in answer to a SYN alone it refuses.
        if self.reply & Self::RST != 0 && self.request & Self::OTHER == 0 {
            return Outcome::Refused;
        }
        Outcome::Forwarded
    }
}
