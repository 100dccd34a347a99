//! A store whose disk stalls for as long as the test wants.

use std::sync::{Arc, Mutex, PoisonError};

use ringfence_model::{Name, Span, Timestamp};
use ringfence_store::{
    Arrivals, AuditEntry, EdgeQuery, Loss, NewReview, ObjectChange, ObjectVersion, Presence,
    ReviewKey, ReviewVersion, SourceKey, SourceState, Sqlite, Store, StoreError, StoredEdge,
};

pub(crate) struct Stalled {
    pub(crate) store: Sqlite,
    /// Whoever holds it stalls the disk.
    pub(crate) disk: Arc<Mutex<()>>,
}

impl Store for Stalled {
    fn record(&self, arrivals: &Arrivals) -> Result<(), StoreError> {
        let _disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.record(arrivals)
    }

    fn edges(&self, query: &EdgeQuery) -> Result<Vec<StoredEdge>, StoreError> {
        self.store.edges(query)
    }

    fn observed(&self, cluster: &Name) -> Result<Option<Span>, StoreError> {
        self.store.observed(cluster)
    }

    fn sources(&self) -> Result<Vec<(SourceKey, SourceState)>, StoreError> {
        self.store.sources()
    }

    fn source(&self, key: &SourceKey) -> Result<Option<SourceState>, StoreError> {
        self.store.source(key)
    }

    fn presences(&self, cluster: &Name, window: Span) -> Result<Vec<Presence>, StoreError> {
        self.store.presences(cluster, window)
    }

    fn losses(&self, cluster: &Name, window: Span) -> Result<Vec<Loss>, StoreError> {
        self.store.losses(cluster, window)
    }

    fn clusters(&self) -> Result<Vec<Name>, StoreError> {
        self.store.clusters()
    }

    fn record_objects(&self, cluster: &Name, changes: &[ObjectChange]) -> Result<(), StoreError> {
        self.store.record_objects(cluster, changes)
    }

    fn objects(&self, cluster: &Name, window: Span) -> Result<Vec<ObjectVersion>, StoreError> {
        self.store.objects(cluster, window)
    }

    fn review(
        &self,
        key: &ReviewKey,
        version: Option<u64>,
    ) -> Result<Option<ReviewVersion>, StoreError> {
        self.store.review(key, version)
    }

    fn review_versions(&self, key: &ReviewKey) -> Result<Vec<ReviewVersion>, StoreError> {
        self.store.review_versions(key)
    }

    fn reviews(&self, cluster: &Name) -> Result<Vec<ReviewVersion>, StoreError> {
        self.store.reviews(cluster)
    }

    fn put_review_and_settings(
        &self,
        review: &NewReview,
        settings: &[(&str, Option<&str>)],
    ) -> Result<ReviewVersion, StoreError> {
        self.store.put_review_and_settings(review, settings)
    }

    fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.store.setting(key)
    }

    fn settings(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        self.store.settings(prefix)
    }

    fn put_settings(
        &self,
        changes: &[(&str, Option<&str>)],
        audit: &AuditEntry,
    ) -> Result<(), StoreError> {
        self.store.put_settings(changes, audit)
    }

    fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.store.audit(entry)
    }

    fn audit_trail(&self, before: Timestamp, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.store.audit_trail(before, limit)
    }
}
