//! The contract.

use ringfence_model::{Name, Span, Timestamp};

use crate::audit::AuditEntry;
use crate::edges::{Arrivals, EdgeQuery, StoredEdge};
use crate::error::StoreError;
use crate::objects::{ObjectChange, ObjectVersion};
use crate::presence::{Loss, Presence};
use crate::reviews::{NewReview, ReviewKey, ReviewVersion};
use crate::source::{SourceKey, SourceState};

/// Keeps everything that must survive the process. All calls block; each writing call is one transaction, durable
/// when it returns.
pub trait Store: Send + Sync {
    /// Stores a group of arrivals: the edges and how far each source has come, together or not at all. Counts beyond
    /// 2^63-1 stay there.
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

    /// When the sources of a cluster observed, as far as it touches a window, by source and time.
    fn presences(&self, cluster: &Name, window: Span) -> Result<Vec<Presence>, StoreError>;

    /// What the sources of a cluster lost, as far as it touches a window, by source and time.
    fn losses(&self, cluster: &Name, window: Span) -> Result<Vec<Loss>, StoreError>;

    /// Every cluster that anything is stored of, sorted.
    fn clusters(&self) -> Result<Vec<Name>, StoreError>;

    /// Notes what changed in a cluster, in the order given. A version equal to the last one is not stored again. A
    /// change that claims to be earlier than the one before it counts as of the same moment, because clocks jump.
    fn record_objects(&self, cluster: &Name, changes: &[ObjectChange]) -> Result<(), StoreError>;

    /// Every version of an object that was there at some time inside the window, sorted by key and time. What is there
    /// still is valid until [`Timestamp::MAX`]; a window that begins now finds little else.
    fn objects(&self, cluster: &Name, window: Span) -> Result<Vec<ObjectVersion>, StoreError>;

    /// The newest version of a review, or the given one.
    fn review(
        &self,
        key: &ReviewKey,
        version: Option<u64>,
    ) -> Result<Option<ReviewVersion>, StoreError>;

    /// All versions of a review, newest first.
    fn review_versions(&self, key: &ReviewKey) -> Result<Vec<ReviewVersion>, StoreError>;

    /// The newest version of each review of a cluster, sorted by key.
    fn reviews(&self, cluster: &Name) -> Result<Vec<ReviewVersion>, StoreError>;

    /// Stores the next version of a review, and its audit entry with it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the newest version is not the one that the change was made from.
    fn put_review(&self, review: &NewReview) -> Result<ReviewVersion, StoreError> {
        self.put_review_and_settings(review, &[])
    }

    /// Stores the next version of a review, settings that change with it (`None` removes one), and the audit entry of
    /// the review for all of it, together or not at all.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the newest version is not the one that the change was made from.
    fn put_review_and_settings(
        &self,
        review: &NewReview,
        settings: &[(&str, Option<&str>)],
    ) -> Result<ReviewVersion, StoreError>;

    /// A setting, as text. Keys are `scope/name`, such as `ui/theme`, or `cluster/prod/profile` for a setting of a
    /// cluster.
    fn setting(&self, key: &str) -> Result<Option<String>, StoreError>;

    /// The settings whose keys begin with a text, sorted by key.
    fn settings(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError>;

    /// Stores a setting (`None` removes it), and its audit entry with it.
    fn put_setting(
        &self,
        key: &str,
        value: Option<&str>,
        audit: &AuditEntry,
    ) -> Result<(), StoreError> {
        self.put_settings(&[(key, value)], audit)
    }

    /// Stores several settings (`None` removes one) and one audit entry, together or not at all.
    fn put_settings(
        &self,
        changes: &[(&str, Option<&str>)],
        audit: &AuditEntry,
    ) -> Result<(), StoreError>;

    /// Adds to the audit trail.
    fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// The audit trail, newest first: at most `limit` entries from before a moment.
    fn audit_trail(&self, before: Timestamp, limit: usize) -> Result<Vec<AuditEntry>, StoreError>;
}
