//! Edges on their way in and out.

use ringfence_model::{Edge, EdgeKey, Name, ServicePortRef, Span, Timestamp};

use crate::presence::{Loss, Presence};
use crate::source::Advance;
use ringfence_model::Counts;

/// What was counted of one edge in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// In which cluster.
    pub cluster: Name,
    /// The moment by which the bucket is chosen; the store cuts it down to its own granularity.
    pub at: Timestamp,
    /// Who talks to whom over what.
    pub key: EdgeKey,
    /// How often.
    pub counts: Counts,
    /// The Service ports dialled, sorted.
    pub services: Vec<ServicePortRef>,
}

/// A group of arrivals that is stored together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// What was counted. The same edge and bucket may stand in it more than once.
    pub edges: Vec<Counted>,
    /// How far the sources have come with it.
    pub advances: Vec<Advance>,
    /// When sources observed.
    pub presences: Vec<Presence>,
    /// What sources lost.
    pub losses: Vec<Loss>,
}

/// Which edges to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeQuery {
    /// The cluster.
    pub cluster: Name,
    /// Only what was seen inside. Its ends are cut outwards to whole buckets, see [`Granularity::of_window`](crate::Granularity::of_window).
    pub window: Span,
    /// Only edges with an end in this namespace.
    pub namespace: Option<Name>,
}

/// An edge with its buckets added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEdge {
    /// Who talks to whom over what.
    pub key: EdgeKey,
    /// How often.
    pub counts: Counts,
    /// The Service ports dialled, sorted.
    pub services: Vec<ServicePortRef>,
}

impl From<StoredEdge> for Edge {
    fn from(stored: StoredEdge) -> Self {
        let StoredEdge { key, counts, services } = stored;
        Self { key, evidence: counts.evidence(), services }
    }
}
