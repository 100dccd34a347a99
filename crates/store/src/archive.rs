//! What leaves a store with an archive, and comes into another.

use ringfence_model::Timestamp;

use crate::audit::AuditEntry;
use crate::edges::StoredEdge;
use crate::granularity::Granularity;
use crate::objects::ObjectVersion;
use crate::reviews::ReviewVersion;
use crate::source::{SourceKey, SourceState};

/// A part of what is stored of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A source, how far it came, and its ledger.
    Source(SourceKey, SourceState),
    /// A version of an object.
    Object(ObjectVersion),
    /// What was counted of an edge in a bucket.
    Edge(EdgeBucket),
    /// A version of a review.
    Review(ReviewVersion),
    /// A setting of the cluster.
    Setting {
        /// Its key, without `cluster/` and the name of the cluster.
        key: String,
        /// Its value.
        value: String,
    },
    /// Who changed something of the cluster.
    Audit(AuditEntry),
}

/// What was counted of an edge in a bucket. One edge may stand in a bucket more than once, with other Service ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeBucket {
    /// How long the bucket is.
    pub granularity: Granularity,
    /// When it begins.
    pub at: Timestamp,
    /// The edge.
    pub edge: StoredEdge,
}
