//! Machines outside Kubernetes, as their agents describe them, on their way into the history of their cluster.

use std::sync::Arc;

use ringfence_kube::record::{Record, host as record};
use ringfence_model::object::Host;
use ringfence_model::{Name, Timestamp};
use ringfence_store::{ObjectChange, ObjectKey, StoreError};

use crate::app::App;

/// A host as its agent described it at a moment.
pub(super) struct Described {
    pub(super) cluster: Name,
    pub(super) host: Host,
    pub(super) at: Timestamp,
}

/// Stores what is new of hosts, and tells who watches their clusters.
pub(super) fn note(app: &App, described: &[Described]) -> Result<(), StoreError> {
    for Described { cluster: name, host, at } in described {
        let host = record(host);
        let cluster = app.cluster_or_new(name);
        if cluster.is_described(&host) {
            continue;
        }
        let Record { kind, namespace, name, uid, json } = &host;
        let key = ObjectKey {
            kind: (*kind).into(),
            namespace: namespace.clone(),
            name: name.as_str().into(),
            uid: Arc::clone(uid),
        };
        let change = ObjectChange { key, at: *at, json: Some(Arc::clone(json)) };
        app.store.record_objects(cluster.name(), &[change])?;
        cluster.describe(host);
    }
    Ok(())
}
