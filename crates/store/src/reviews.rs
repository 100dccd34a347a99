//! Reviews and their versions.

use ringfence_model::{Name, Timestamp};

/// What a review is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReviewKey {
    /// The cluster.
    pub cluster: Name,
    /// The namespace; `None` for the configuration of the cluster: aliases, labels and CIDRs, which hold for every
    /// namespace.
    pub namespace: Option<Name>,
}

/// One version of a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewVersion {
    /// What it is about.
    pub key: ReviewKey,
    /// 1 for the first.
    pub version: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it.
    pub who: String,
    /// Why, in a few words.
    pub note: String,
    /// The review file.
    pub yaml: String,
}

/// A change on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReview {
    /// What it is about.
    pub key: ReviewKey,
    /// The version that it was made from; 0 for the first.
    pub base: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// Why, in a few words.
    pub note: String,
    /// The whole review file.
    pub yaml: String,
}
