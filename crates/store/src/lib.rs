//! What has to be there tomorrow: edges in time buckets, what the clusters held when, reviews, settings, and who
//! changed what. **Invariant**: knows model only; what was acknowledged is on disk, and counted once.
//!
//! [`Store`] is the contract, [`Sqlite`] keeps it in one file.

mod audit;
mod counts;
mod edges;
mod error;
mod objects;
mod reviews;
mod source;

pub use audit::AuditEntry;
pub use counts::{Counts, Tally};
pub use edges::{Arrivals, Counted, EdgeQuery, StoredEdge};
pub use error::StoreError;
pub use objects::{ObjectChange, ObjectKey, ObjectVersion};
pub use reviews::{NewReview, ReviewKey, ReviewVersion};
pub use source::{Advance, DropReason, Ledger, SourceKey, SourceKind, SourceState};

use ringfence_model::{Name, Span, Timestamp};

/// Keeps everything that must survive the process. All calls block; each writing call is one transaction, durable
/// when it returns.
pub trait Store: Send + Sync {
    /// Stores a group of arrivals: the edges and how far each source has come, together or not at all.
    ///
    /// # Errors
    /// [`StoreError::Repeated`] when a source is already as far as the group says: nothing is stored.
    fn record(&self, arrivals: &Arrivals) -> Result<(), StoreError>;

    /// The edges of a window, sorted by key, their buckets added up.
    fn edges(&self, query: &EdgeQuery) -> Result<Vec<StoredEdge>, StoreError>;

    /// From the first to just after the last observation of a cluster.
    fn observed(&self, cluster: &Name) -> Result<Option<Span>, StoreError>;

    /// Every source, sorted, with how far it came and its ledger.
    fn sources(&self) -> Result<Vec<(SourceKey, SourceState)>, StoreError>;

    /// One source.
    fn source(&self, key: &SourceKey) -> Result<Option<SourceState>, StoreError>;

    /// Every cluster that anything is stored of, sorted.
    fn clusters(&self) -> Result<Vec<Name>, StoreError>;

    /// Notes what changed in a cluster. A version equal to the last one is not stored again.
    fn record_objects(&self, cluster: &Name, changes: &[ObjectChange]) -> Result<(), StoreError>;

    /// Every version of an object that was there at some time inside the window, sorted by key and time.
    fn objects(&self, cluster: &Name, window: Span) -> Result<Vec<ObjectVersion>, StoreError>;

    /// The newest version of a review, or the given one.
    fn review(
        &self,
        key: &ReviewKey,
        version: Option<u64>,
    ) -> Result<Option<ReviewVersion>, StoreError>;

    /// The versions of a review, newest first.
    fn review_versions(&self, key: &ReviewKey) -> Result<Vec<ReviewVersion>, StoreError>;

    /// The reviews of a cluster.
    fn reviews(&self, cluster: &Name) -> Result<Vec<ReviewVersion>, StoreError>;

    /// Stores the next version of a review, and its audit entry with it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the newest version is not the one that the change was made from.
    fn put_review(&self, review: &NewReview) -> Result<ReviewVersion, StoreError>;

    /// A setting, as text. Keys are `scope/name`, such as `cluster/prod/profile`.
    fn setting(&self, key: &str) -> Result<Option<String>, StoreError>;

    /// Stores a setting (`None` removes it), and its audit entry with it.
    fn put_setting(
        &self,
        key: &str,
        value: Option<&str>,
        audit: &AuditEntry,
    ) -> Result<(), StoreError>;

    /// Adds to the audit trail.
    fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// The audit trail, newest first: at most `limit` entries from before a moment.
    fn audit_trail(&self, before: Timestamp, limit: usize) -> Result<Vec<AuditEntry>, StoreError>;
}
