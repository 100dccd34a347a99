//! What has to be there tomorrow: edges in time buckets, what the clusters held when, reviews, settings, and who
//! changed what. **Invariant**: knows model only; what was acknowledged is on disk, and counted once.
//!
//! [`Store`] is the contract, [`Sqlite`] keeps it in one file.

mod archive;
mod audit;
mod edges;
mod error;
mod granularity;
mod objects;
mod presence;
mod retention;
mod reviews;
mod source;
mod sqlite;
mod store;

pub use archive::{EdgeBucket, Record};
pub use audit::AuditEntry;
pub use edges::{Arrivals, Counted, EdgeQuery, StoredEdge};
pub use error::StoreError;
pub use granularity::Granularity;
pub use objects::{ObjectChange, ObjectKey, ObjectVersion};
pub use presence::{Loss, LossReason, Presence};
pub use retention::{Maintenance, Retention};
pub use reviews::{NewReview, ReviewKey, ReviewVersion};
pub use source::{Advance, DropReason, Ledger, SourceKey, SourceKind, SourceState};
pub use sqlite::{Access, Import, Options, Sqlite};
pub use store::Store;

pub use ringfence_model::{Counts, Tally};
