//! The review of a namespace as it counts: its own decisions, with the aliases, labels and ranges that the
//! configuration of the cluster gives to all namespaces.

pub mod change;

use ringfence_kube::review;
use ringfence_model::review::Review;
use ringfence_model::{Diagnostic, Name};
use ringfence_store::{ReviewKey, ReviewVersion, Store, StoreError};

/// What is decided about a namespace.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The decisions, with places in [`Effective::yaml`].
    pub review: Review,
    /// The same as a review file: what `ringfence generate --review` gets, to the byte.
    pub yaml: String,
    /// The version of the namespace's own decisions, when there is one.
    pub own: Option<ReviewVersion>,
    /// The version of the configuration; 0 when nothing was set yet.
    pub configuration: u64,
}

impl Effective {
    /// The version of the namespace's own decisions; 0 when nothing was decided yet.
    pub fn version(&self) -> u64 {
        self.own.as_ref().map_or(0, |own| own.version)
    }
}

/// Why a review cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is not a review, or the decisions do not fit the configuration.
    #[error("the stored review of {object} cannot be read: {}", first(.faults))]
    Unreadable {
        /// The cluster, or cluster and namespace.
        object: String,
        /// What is wrong with it.
        faults: Vec<Diagnostic>,
    },
}

fn first(faults: &[Diagnostic]) -> String {
    faults.first().map(ToString::to_string).unwrap_or_default()
}

/// What a review is called in the audit trail and in messages.
pub fn object(key: &ReviewKey) -> String {
    match &key.namespace {
        Some(namespace) => format!("{}/{namespace}", key.cluster),
        None => key.cluster.to_string(),
    }
}

/// The file that the effective review of a namespace goes into, inside an export and for download. Generated policies
/// name it in their comments.
pub fn file_name(namespace: &Name) -> String {
    format!("{namespace}.yaml")
}

/// What is decided about a namespace.
pub fn effective(
    store: &dyn Store,
    cluster: &Name,
    namespace: &Name,
) -> Result<Effective, ReviewError> {
    let (configuration, version) = configuration(store, cluster)?;
    let key = ReviewKey { cluster: cluster.clone(), namespace: Some(namespace.clone()) };
    let own = store.review(&key, None)?;
    let decisions = own.as_ref().map_or_else(|| Ok(Review::default()), read)?;
    let (yaml, review) = join(namespace, decisions, &configuration)
        .map_err(|faults| ReviewError::Unreadable { object: object(&key), faults })?;
    Ok(Effective { review, yaml, own, configuration: version.map_or(0, |v| v.version) })
}

/// The configuration of a cluster, and the version that it is.
pub fn configuration(
    store: &dyn Store,
    cluster: &Name,
) -> Result<(Review, Option<ReviewVersion>), ReviewError> {
    let key = ReviewKey { cluster: cluster.clone(), namespace: None };
    let version = store.review(&key, None)?;
    let review = version.as_ref().map_or_else(|| Ok(Review::default()), read)?;
    Ok((review, version))
}

/// What a stored version says.
pub fn read(version: &ReviewVersion) -> Result<Review, ReviewError> {
    let object = object(&version.key);
    review::part(&object, version.yaml.as_bytes())
        .map_err(|faults| ReviewError::Unreadable { object, faults })
}

/// Decisions with the configuration as one file, and what that file says. Fails when they do not fit together.
pub fn join(
    namespace: &Name,
    decisions: Review,
    configuration: &Review,
) -> Result<(String, Review), Vec<Diagnostic>> {
    let Review { rules, workloads, edges, cidr_rules, .. } = decisions;
    let Review { aliases, labels, cluster, .. } = configuration.clone();
    let whole = Review { rules, workloads, edges, cidr_rules, aliases, labels, cluster };
    let yaml = review::yaml(namespace, &whole);
    let review = review::bytes(&file_name(namespace), yaml.as_bytes())?;
    Ok((yaml, review))
}

/// A whole review as the decisions about a namespace, and the part that belongs to the configuration of its cluster.
pub fn split(review: Review) -> (Review, Review) {
    let Review { rules, workloads, edges, cidr_rules, aliases, labels, cluster } = review;
    let decisions = Review { rules, workloads, edges, cidr_rules, ..Review::default() };
    let configuration = Review { aliases, labels, cluster, ..Review::default() };
    (decisions, configuration)
}
