//! What became of every line.

use std::fmt;

/// Why a line or flow is no evidence for an edge, though nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// An event that is not about a packet or socket: L7 records, agent events, node states.
    OtherEvent,
    /// No IP address.
    NoAddress,
    /// Neither TCP, UDP, SCTP nor ICMP.
    OtherProtocol,
    /// The datapath gave no verdict.
    NoVerdict,
    /// An ICMP message that nobody asked for: errors, neighbour discovery, router solicitations.
    IcmpMessage,
    /// From or to an IPv6 link-local address (RFC 4291 section 2.5.6), which no policy can select. IPv4 link-local
    /// addresses are not skipped: node-local DNS and cloud metadata live there.
    LinkLocal,
    /// From or to a multicast, broadcast, loopback or unspecified address.
    NotUnicast,
}

impl Skip {
    /// All reasons, in the order of every listing.
    pub const ALL: [Self; 7] = [
        Self::OtherEvent,
        Self::NoAddress,
        Self::OtherProtocol,
        Self::NoVerdict,
        Self::IcmpMessage,
        Self::LinkLocal,
        Self::NotUnicast,
    ];
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OtherEvent => "other kinds of events",
            Self::NoAddress => "no IP address",
            Self::OtherProtocol => "other protocols",
            Self::NoVerdict => "no verdict",
            Self::IcmpMessage => "ICMP messages that are not echo requests",
            Self::LinkLocal => "link-local addresses",
            Self::NotUnicast => "multicast, broadcast or loopback addresses",
        })
    }
}

/// Where every line went. [`Ledger::lines`] is the sum of the categories; flows that come without lines count as
/// one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Lines that showed a connection for the first time, and records of counted connections.
    pub used: u64,
    /// Lines from the client's side of a connection that was known: more packets, retransmissions, the other
    /// reporter, and lines that are there twice.
    pub repeated: u64,
    /// Lines from the server's side.
    pub replies: u64,
    /// Views before a Service address was translated, and socket events about translation.
    pub translations: u64,
    /// Lines that are no evidence, by the place of the reason in [`Skip::ALL`].
    pub skipped: [u64; Skip::ALL.len()],
    /// Lines about flows outside the time window.
    pub outside_window: u64,
    /// Lines in which the source says that it lost events.
    pub loss_reports: u64,
    /// Lines that could not be read.
    pub malformed: u64,
    /// Lines over the limit.
    pub oversized: u64,
    /// Not lines: events that the source says it lost.
    pub lost_events: u64,
    /// Not lines: connections forgotten to bound memory. Each may have been counted again when more of it came.
    pub evicted: u64,
}

impl Ledger {
    /// Lines read, blank ones not counted.
    pub fn lines(&self) -> u64 {
        let Self {
            used,
            repeated,
            replies,
            translations,
            skipped,
            outside_window,
            loss_reports,
            malformed,
            oversized,
            lost_events: _,
            evicted: _,
        } = self;
        used + repeated
            + replies
            + translations
            + skipped.iter().sum::<u64>()
            + outside_window
            + loss_reports
            + malformed
            + oversized
    }

    /// Lines skipped for a reason.
    pub fn skipped(&self, reason: Skip) -> u64 {
        Skip::ALL.iter().position(|r| *r == reason).map_or(0, |at| self.skipped[at])
    }

    pub(crate) fn skip(&mut self, reason: Skip) {
        if let Some(at) = Skip::ALL.iter().position(|r| *r == reason) {
            self.skipped[at] += 1;
        }
    }
}
