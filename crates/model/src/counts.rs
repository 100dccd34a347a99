//! What was counted of an edge in a time bucket.

use crate::edge::Evidence;
use crate::observers::Observers;
use crate::time::Timestamp;

/// Connections and volume as one side, or a source that merged both sides, counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections opened and let pass, refused ones included.
    pub opened: u64,
    /// Of the opened ones, those that the server refused.
    pub refused: u64,
    /// Attempts that the datapath dropped.
    pub denied: u64,
    /// Bytes from the client to the server.
    pub sent: u64,
    /// Bytes from the server to the client.
    pub received: u64,
}

impl Tally {
    /// Adds what was counted elsewhere or later.
    pub fn add(&mut self, other: &Self) {
        let Self { opened, refused, denied, sent, received } = other;
        self.opened = self.opened.saturating_add(*opened);
        self.refused = self.refused.saturating_add(*refused);
        self.denied = self.denied.saturating_add(*denied);
        self.sent = self.sent.saturating_add(*sent);
        self.received = self.received.saturating_add(*received);
    }
}

/// What was counted of an edge in a time bucket.
///
/// Where agents stand at both ends, both report each connection, in batches that arrive apart. So the two sides are
/// added up apart, and merged when read; what only one side can report is added up by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// First moment seen.
    pub first_seen: Timestamp,
    /// Last moment seen.
    pub last_seen: Timestamp,
    /// Reported by one observer alone, or merged by the source.
    pub alone: Tally,
    /// Reported from the client's end, where the server's end has an observer too.
    pub client: Tally,
    /// Reported from the server's end, where the client's end has an observer too.
    pub server: Tally,
    /// Who reported it, and who watched its ends.
    pub observers: Observers,
}

impl Counts {
    /// Nothing counted yet.
    pub const fn seen(first_seen: Timestamp, last_seen: Timestamp) -> Self {
        const NONE: Tally = Tally { opened: 0, refused: 0, denied: 0, sent: 0, received: 0 };
        let observers = Observers::NONE;
        Self { first_seen, last_seen, alone: NONE, client: NONE, server: NONE, observers }
    }

    /// Adds what was counted elsewhere or later.
    pub fn add(&mut self, other: &Self) {
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.alone.add(&other.alone);
        self.client.add(&other.client);
        self.server.add(&other.server);
        self.observers = self.observers.with(other.observers);
    }

    /// The two sides merged: what the client's side let pass and the server's side dropped was dropped; of what
    /// both saw the larger number counts. Traffic without an opening belongs to a connection older than the
    /// observation, and counts once.
    pub fn evidence(&self) -> Evidence {
        let Self { first_seen, last_seen, alone, client, server, observers: _ } = *self;
        let dropped = alone.denied + client.denied + server.denied;
        let both = client.opened.saturating_sub(server.denied).max(server.opened);
        let mut forwarded = alone.opened + both;
        if forwarded == 0 && dropped == 0 {
            forwarded = 1;
        }
        let refused = (alone.refused + client.refused.max(server.refused)).min(forwarded);
        Evidence { first_seen, last_seen, forwarded, dropped, refused }
    }

    /// Bytes from client to server and back, as the better informed side counted them.
    pub fn bytes(&self) -> (u64, u64) {
        (
            self.alone.sent + self.client.sent.max(self.server.sent),
            self.alone.received + self.client.received.max(self.server.received),
        )
    }
}

impl From<&Evidence> for Counts {
    fn from(evidence: &Evidence) -> Self {
        let Evidence { first_seen, last_seen, forwarded, dropped, refused } = *evidence;
        let alone = Tally { opened: forwarded, refused, denied: dropped, ..Tally::default() };
        Self { alone, ..Self::seen(first_seen, last_seen) }
    }
}
