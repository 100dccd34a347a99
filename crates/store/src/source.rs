//! Where flows come from, and what became of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringfence_model::{Name, Timestamp};

/// The kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// An agent on a node or host.
    Agent,
    /// A Hubble Relay.
    Hubble,
    /// A flow log, sent or found in the watched directory.
    File,
}

/// A source of flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey {
    /// The cluster it tells of.
    pub cluster: Name,
    /// Its kind.
    pub kind: SourceKind,
    /// The node of an agent, the address of a relay, the digest of a file's contents.
    pub name: Arc<str>,
}

/// Why a record was not stored. A closed list: they are labels of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// It could not be read.
    Malformed,
    /// It was longer than the limit.
    Oversized,
    /// It was lost before it reached the server, as the source itself says. Not among the received.
    LostAtSource,
    /// It is no evidence of a connection: replies, translations, layer 7, multicast.
    NoConnection,
    /// Its time lies outside what the server keeps.
    OutsideRetention,
    /// It speaks of a node other than the agent's own.
    ForeignNode,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Malformed,
        Self::Oversized,
        Self::LostAtSource,
        Self::NoConnection,
        Self::OutsideRetention,
        Self::ForeignNode,
    ];
}

/// What became of every record of a source: `received = stored + duplicate + dropped`, [`DropReason::LostAtSource`]
/// apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Records that reached the server.
    pub received: u64,
    /// Records whose counts are in the edges.
    pub stored: u64,
    /// Records that had come before.
    pub duplicate: u64,
    /// Records that were not stored.
    pub dropped: BTreeMap<DropReason, u64>,
}

impl Ledger {
    /// Adds what became of further records.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        for (&reason, &count) in &other.dropped {
            *self.dropped.entry(reason).or_default() += count;
        }
    }

    /// Whether every received record is accounted for.
    pub fn adds_up(&self) -> bool {
        let dropped: u64 = self
            .dropped
            .iter()
            .filter(|(reason, _)| **reason != DropReason::LostAtSource)
            .map(|(_, count)| count)
            .sum();
        self.received == self.stored + self.duplicate + dropped
    }
}

/// How far a source has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The source.
    pub source: SourceKey,
    /// Tells a source that began its sequence anew from one that repeats itself.
    pub incarnation: u64,
    /// The number of its last batch inside the group, greater than any before in this incarnation. Unchanged when
    /// the group only adds to the ledger; then the ledger must have nothing stored.
    pub sequence: u64,
    /// When the last batch arrived.
    pub at: Timestamp,
    /// What became of the records.
    pub ledger: Ledger,
}

/// What is stored of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// The latest incarnation.
    pub incarnation: u64,
    /// The last batch stored.
    pub sequence: u64,
    /// When the last batch arrived.
    pub last: Timestamp,
    /// What became of all its records.
    pub ledger: Ledger,
}
