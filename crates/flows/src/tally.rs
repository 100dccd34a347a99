//! What is counted rather than followed: connections that observers counted, and echo requests.

use ringfence_model::flow::{Connections, Side, Verdict};
use ringfence_model::{Evidence, Port, Protocol, Timestamp};

use crate::connection::{KnownEnd, Sight};
use crate::resolution::{EndId, ServiceId};
use crate::sums::Buckets;

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
    /// The same by time bucket, sorted; none while all time is one.
    pub(crate) parts: Vec<Part>,
    /// The step in which it was added to last.
    pub(crate) step: u32,
}

/// What was counted in a time bucket.
#[derive(Debug)]
pub(crate) struct Part {
    bucket: Timestamp,
    first: Timestamp,
    last: Timestamp,
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
        Self { sight, untranslated, service: None, client, server, parts: Vec::new(), step: 0 }
    }

    pub(crate) fn add(
        &mut self,
        counted: &Connections,
        (first, last): (Timestamp, Timestamp),
        buckets: Buckets,
    ) {
        match counted.side {
            Side::Client => self.client.add(counted),
            Side::Server => self.server.add(counted),
        }
        if buckets == Buckets::One {
            return;
        }
        let bucket = buckets.at(first);
        let at = self.parts.binary_search_by_key(&bucket, |part| part.bucket);
        let at = at.unwrap_or_else(|at| {
            let (client, server) = Default::default();
            self.parts.insert(at, Part { bucket, first, last, client, server });
            at
        });
        let part = &mut self.parts[at];
        part.first = part.first.min(first);
        part.last = part.last.max(last);
        match counted.side {
            Side::Client => part.client.add(counted),
            Side::Server => part.server.add(counted),
        }
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

    /// The whole spread over the time buckets. The two sides may report one connection in different ones, so that
    /// they can be merged over all time only; then each bucket gets no more than a side reported for it.
    pub(crate) fn spread(&self, whole: &Evidence) -> Vec<Evidence> {
        let Evidence { mut forwarded, mut refused, .. } = *whole;
        let mut out: Vec<Evidence> = self
            .parts
            .iter()
            .map(|Part { first, last, client, server, .. }| {
                let here = forwarded.min(client.opened.max(server.opened));
                forwarded -= here;
                let dropped = client.denied.saturating_add(server.denied);
                let (first_seen, last_seen) = (*first, *last);
                Evidence { first_seen, last_seen, forwarded: here, dropped, refused: 0 }
            })
            .collect();
        if let Some(first) = out.first_mut() {
            first.forwarded += forwarded;
        }
        // First where they were reported, then where there is room.
        for reported in [true, false] {
            for (part, evidence) in self.parts.iter().zip(&mut out) {
                let room = evidence.forwarded - evidence.refused;
                let most = part.client.refused.max(part.server.refused);
                let here = refused.min(room).min(if reported { most } else { u64::MAX });
                evidence.refused += here;
                refused -= here;
            }
        }
        out
    }
}

impl Counts {
    fn add(&mut self, counted: &Connections) {
        self.opened = self.opened.saturating_add(counted.opened);
        self.refused = self.refused.saturating_add(counted.refused);
        self.denied = self.denied.saturating_add(counted.denied);
        self.traffic |= counted.traffic;
    }
}

/// Echo requests from one address to another. Nothing in a flow tells two requests apart but their time, which
/// differs between observation points: each point counts by itself, and the largest count is taken.
#[derive(Debug)]
pub(crate) struct Pings {
    pub(crate) sight: Sight,
    points: Vec<PingsAt>,
    /// What is counted already, forwarded and dropped.
    told: (u64, u64),
    /// What was there a step ago and is not counted yet.
    known: Option<Evidence>,
}

#[derive(Debug)]
struct PingsAt {
    point: u8,
    forwarded: u64,
    dropped: u64,
}

impl Pings {
    pub(crate) fn new(sight: Sight) -> Self {
        Self { sight, points: Vec::new(), told: (0, 0), known: None }
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

    /// What is to be counted, and is from now on.
    pub(crate) fn tell(&mut self) -> Evidence {
        self.known = None;
        let evidence = self.evidence();
        self.count(&evidence);
        evidence
    }

    /// What is to be counted of what was there at the last call, and is from now on.
    pub(crate) fn tell_known(&mut self) -> Evidence {
        let Evidence { first_seen, last_seen, .. } = self.evidence();
        let nothing = Evidence { first_seen, last_seen, forwarded: 0, dropped: 0, refused: 0 };
        let known = self.known.take().unwrap_or(nothing);
        self.count(&known);
        self.known = Some(self.evidence());
        known
    }

    fn count(&mut self, evidence: &Evidence) {
        self.told.0 += evidence.forwarded;
        self.told.1 += evidence.dropped;
        if evidence.forwarded > 0 || evidence.dropped > 0 {
            self.sight.first = evidence.last_seen;
        }
    }

    /// What is to be counted.
    pub(crate) fn evidence(&self) -> Evidence {
        let most = |count: fn(&PingsAt) -> u64| self.points.iter().map(count).max().unwrap_or(0);
        let dropped = most(|p| p.dropped);
        // What one point forwarded and a later one dropped was dropped.
        let forwarded = most(|p| p.forwarded).saturating_sub(dropped);
        let forwarded = forwarded.saturating_sub(self.told.0);
        let dropped = dropped.saturating_sub(self.told.1);
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
    /// The step of the last call.
    pub(crate) step: u32,
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
        Self { first, last, client, protocol, dialled: None, translated: None, step: 0 }
    }

    /// One connection.
    pub(crate) fn evidence(&self) -> Evidence {
        let (first_seen, last_seen) = (self.first, self.last);
        Evidence { first_seen, last_seen, forwarded: 1, dropped: 0, refused: 0 }
    }
}
