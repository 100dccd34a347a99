//! What a cluster held when.

use std::sync::Arc;

use ringfence_model::{Name, Span, Timestamp};

/// An object of a cluster over its life: one name used again later is another object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The kind, as Kubernetes spells it.
    pub kind: Arc<str>,
    /// Its namespace, if it lives in one.
    pub namespace: Option<Name>,
    /// Its name.
    pub name: Arc<str>,
    /// `metadata.uid`; empty for objects from files.
    pub uid: Arc<str>,
}

/// A change of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectChange {
    /// Which object.
    pub key: ObjectKey,
    /// When it was seen.
    pub at: Timestamp,
    /// The object as JSON, reduced to what is read of it; `None` when it is gone.
    pub json: Option<Arc<str>>,
}

/// An object as it was for some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectVersion {
    /// Which object.
    pub key: ObjectKey,
    /// From when it was like this to when it changed or went.
    pub valid: Span,
    /// Whether it was gone at the end.
    pub deleted: bool,
    /// The object as JSON.
    pub json: Arc<str>,
}
