//! Reviews and their versions.

use ringfence_model::Name;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::dimension::cluster_or_new;
use super::text::{count, moment, name, optional_name, stored};
use super::{document, journal};
use crate::audit::AuditEntry;
use crate::error::StoreError;
use crate::reviews::{NewReview, ReviewKey, ReviewVersion};

const COLUMNS: &str = "cluster.name, namespace, version, at, who, note, yaml
    FROM review JOIN cluster ON cluster.id = review.cluster";

fn read(row: &Row<'_>) -> rusqlite::Result<ReviewVersion> {
    Ok(ReviewVersion {
        key: ReviewKey { cluster: name(row, 0)?, namespace: optional_name(row, 1)? },
        version: count(row, 2)?,
        at: moment(row, 3)?,
        who: row.get(4)?,
        note: row.get(5)?,
        yaml: document::Reader::new()?.read(row, 6)?,
    })
}

fn namespace(key: &ReviewKey) -> &str {
    key.namespace.as_ref().map_or("", Name::as_str)
}

/// The newest version, or the given one.
pub(super) fn review(
    db: &Connection,
    key: &ReviewKey,
    version: Option<u64>,
) -> rusqlite::Result<Option<ReviewVersion>> {
    let sql = format!(
        "SELECT {COLUMNS} WHERE cluster.name = ?1 AND namespace = ?2 AND (?3 IS NULL OR version = ?3)
         ORDER BY version DESC LIMIT 1"
    );
    let wanted = params![key.cluster.as_str(), namespace(key), version.map(stored)];
    db.query_row(&sql, wanted, read).optional()
}

/// All versions, newest first.
pub(super) fn versions(db: &Connection, key: &ReviewKey) -> rusqlite::Result<Vec<ReviewVersion>> {
    let sql = format!(
        "SELECT {COLUMNS} WHERE cluster.name = ?1 AND namespace = ?2 ORDER BY version DESC"
    );
    db.prepare(&sql)?.query_map([key.cluster.as_str(), namespace(key)], read)?.collect()
}

/// All versions of all reviews of a cluster, sorted by key and version.
pub(super) fn all_versions(
    db: &Connection,
    cluster: &Name,
) -> rusqlite::Result<Vec<ReviewVersion>> {
    let sql = format!("SELECT {COLUMNS} WHERE cluster.name = ?1 ORDER BY namespace, version");
    db.prepare(&sql)?.query_map([cluster.as_str()], read)?.collect()
}

/// The newest version of every review of a cluster, sorted by key.
pub(super) fn reviews(db: &Connection, cluster: &Name) -> rusqlite::Result<Vec<ReviewVersion>> {
    let sql = format!(
        "SELECT {COLUMNS} WHERE cluster.name = ?1 AND version = (
             SELECT max(version) FROM review AS newer
             WHERE newer.cluster = review.cluster AND newer.namespace = review.namespace
         ) ORDER BY namespace"
    );
    db.prepare(&sql)?.query_map([cluster.as_str()], read)?.collect()
}

/// Stores the next version, and its audit entry.
pub(super) fn put(db: &Connection, review: &NewReview) -> Result<ReviewVersion, StoreError> {
    let NewReview { key, base, at, who, note, yaml } = review.clone();
    let cluster = cluster_or_new(db, &key.cluster)?;
    let sql = "SELECT coalesce(max(version), 0) FROM review WHERE cluster = ?1 AND namespace = ?2";
    let current = db.query_row(sql, params![cluster.id, namespace(&key)], |row| count(row, 0))?;
    if current != base {
        return Err(StoreError::Conflict { base, current });
    }
    let stored = ReviewVersion { key, version: current + 1, at, who, note, yaml };
    insert(db, &stored)?;
    let ReviewVersion { key, version, at, who, note, .. } = &stored;
    let (action, object) = match &key.namespace {
        Some(namespace) => ("review.change", format!("{}/{namespace}", key.cluster)),
        None => ("config.change", key.cluster.to_string()),
    };
    let detail = if note.is_empty() {
        format!("version {version}")
    } else {
        format!("version {version}: {note}")
    };
    let entry = AuditEntry { at: *at, who: who.clone(), action: action.into(), object, detail };
    journal::add(db, &entry)?;
    Ok(stored)
}

/// Stores a version as it is.
pub(super) fn insert(db: &Connection, review: &ReviewVersion) -> rusqlite::Result<()> {
    let ReviewVersion { key, version, at, who, note, yaml } = review;
    let cluster = cluster_or_new(db, &key.cluster)?.id;
    let sql = "INSERT INTO review (cluster, namespace, version, at, who, note, yaml)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (version, yaml) = (stored(*version), document::Writer::new()?.write(yaml)?);
    db.execute(sql, params![cluster, namespace(key), version, at.nanos(), who, note, yaml])?;
    Ok(())
}
