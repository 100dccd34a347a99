//! What is counted rather than followed: connections that observers counted, and echo requests.

use ringfence_model::flow::{Connections, Side, Verdict};
use ringfence_model::{Evidence, Port, Protocol, Timestamp};

use crate::connection::{KnownEnd, Sight};
use crate::resolution::{EndId, ServiceId};

/// Connections of one client address to one server port, as observers counted them.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) sight: Sight,
    /// The Service port at the server's own address: then the counts are of an untranslated view.
    pub(crate) untranslated: Option<ServiceId>,
    /// The Service port that was translated.
    pub(crate) service: Option<ServiceId>,
    client: Counts,
    server: Counts,
}

/// What one side counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    opened: u64,
    refused: u64,
    denied: u64,
    traffic: bool,
}

impl Tally {
    pub(crate) fn new(sight: Sight, untranslated: Option<ServiceId>) -> Self {
        let (client, server) = Default::default();
        Self { sight, untranslated, service: None, client, server }
    }

    pub(crate) fn add(&mut self, counted: &Connections) {
        let side = match counted.side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        side.opened = side.opened.saturating_add(counted.opened);
        side.refused = side.refused.saturating_add(counted.refused);
        side.denied = side.denied.saturating_add(counted.denied);
        side.traffic |= counted.traffic;
    }

    /// The two sides merged, as the `record` module explains.
    pub(crate) fn evidence(&self) -> Evidence {
        let Self { client, server, sight, .. } = self;
        let dropped = client.denied.saturating_add(server.denied);
        let mut forwarded = client.opened.saturating_sub(server.denied).max(server.opened);
        if forwarded == 0 && dropped == 0 && (client.traffic || server.traffic) {
            // Older than the log: it counts once.
            forwarded = 1;
        }
        let refused = client.refused.max(server.refused).min(forwarded);
        let (first_seen, last_seen) = (sight.first, sight.last);
        Evidence { first_seen, last_seen, forwarded, dropped, refused }
    }
}

/// Echo requests from one address to another. Nothing in a flow tells two requests apart but their time, which
/// differs between observation points: each point counts by itself, and the largest count is taken.
#[derive(Debug)]
pub(crate) struct Pings {
    pub(crate) sight: Sight,
    points: Vec<PingsAt>,
}

#[derive(Debug)]
struct PingsAt {
    point: u8,
    forwarded: u64,
    dropped: u64,
}

impl Pings {
    pub(crate) fn new(sight: Sight) -> Self {
        Self { sight, points: Vec::new() }
    }

    pub(crate) fn add(&mut self, point: u8, verdict: Verdict) {
        let at = self.points.iter().position(|p| p.point == point).unwrap_or_else(|| {
            self.points.push(PingsAt { point, forwarded: 0, dropped: 0 });
            self.points.len() - 1
        });
        match verdict {
            Verdict::Forwarded => self.points[at].forwarded += 1,
            Verdict::Dropped => self.points[at].dropped += 1,
        }
    }

    pub(crate) fn evidence(&self) -> Evidence {
        let most = |count: fn(&PingsAt) -> u64| self.points.iter().map(count).max().unwrap_or(0);
        let dropped = most(|p| p.dropped);
        // What one point forwarded and a later one dropped was dropped.
        let forwarded = most(|p| p.forwarded).saturating_sub(dropped);
        let (first_seen, last_seen) = (self.sight.first, self.sight.last);
        Evidence { first_seen, last_seen, forwarded, dropped, refused: 0 }
    }
}

/// The calls of one client socket, before and after translation.
#[derive(Clone, Debug)]
pub(crate) struct SocketCalls {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) client: KnownEnd,
    pub(crate) protocol: Protocol,
    pub(crate) dialled: Option<Called>,
    pub(crate) translated: Option<Called>,
}

/// Where a socket call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) end: EndId,
    pub(crate) port: Port,
    /// The Service port at that address, if it is one.
    pub(crate) service: Option<ServiceId>,
}

impl SocketCalls {
    pub(crate) fn new(
        (first, last): (Timestamp, Timestamp),
        client: KnownEnd,
        protocol: Protocol,
    ) -> Self {
        Self { first, last, client, protocol, dialled: None, translated: None }
    }

    /// One connection.
    pub(crate) fn evidence(&self) -> Evidence {
        let (first_seen, last_seen) = (self.first, self.last);
        Evidence { first_seen, last_seen, forwarded: 1, dropped: 0, refused: 0 }
    }
}
