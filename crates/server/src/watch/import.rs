//! Clusters from files.

use std::collections::BTreeSet;
use std::path::Path;

use ringfence_kube::read::Reader;
use ringfence_kube::record::Record;
use ringfence_model::{Diagnostic, Name, Severity, Span, Timestamp};
use ringfence_store::{ObjectChange, ObjectKey, StoreError};

use super::load;
use crate::App;

/// Why a cluster was not imported. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Objects that cannot be read.
    #[error("{} of the objects cannot be read", .0.len())]
    Unreadable(Vec<Diagnostic>),
    /// The store does not take them.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Stores the objects of manifests and dumps as what a cluster holds, and loads it. Other objects that it held before
/// are gone, but for hosts. Returns what was odd. Blocks.
///
/// Files do not say since when their objects are as they are; `since` does.
pub fn import(
    app: &App,
    cluster: &Name,
    path: &Path,
    since: Timestamp,
) -> Result<Vec<Diagnostic>, ImportError> {
    let mut reader = Reader::recording();
    reader.path(path);
    let (input, records) = reader.finish_recording();
    let diagnostics = input.diagnostics;
    if diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return Err(ImportError::Unreadable(diagnostics));
    }
    let now = app.clock.now();
    let present = Span { from: now, until: Timestamp::MAX };
    let mut before: BTreeSet<ObjectKey> = BTreeSet::new();
    for version in app.store.objects(cluster, present)? {
        // Hosts come from agents too, so that files need not know them all.
        if !version.deleted && &*version.key.kind != "Host" {
            before.insert(version.key);
        }
    }
    let mut changes = Vec::with_capacity(records.len());
    for Record { kind, namespace, name, uid, json } in records {
        let key = ObjectKey { kind: kind.into(), namespace, name: name.as_str().into(), uid };
        before.remove(&key);
        changes.push(ObjectChange { key, at: since, json: Some(json) });
    }
    let gone = before.into_iter().map(|key| ObjectChange { key, at: now, json: None });
    changes.extend(gone);
    app.store.record_objects(cluster, &changes)?;
    load(app, cluster)?;
    Ok(diagnostics)
}
