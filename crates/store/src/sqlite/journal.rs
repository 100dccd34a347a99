//! Settings, and the trail of who changed what.

use ringfence_model::{Name, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::text::moment;
use crate::audit::AuditEntry;

/// A setting.
pub(super) fn setting(db: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    db.query_row("SELECT value FROM setting WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// The settings whose keys begin with a text, sorted by key.
pub(super) fn settings(db: &Connection, prefix: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "SELECT key, value FROM setting WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key";
    db.prepare(sql)?.query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Stores or removes a setting.
pub(super) fn put_setting(db: &Connection, key: &str, value: Option<&str>) -> rusqlite::Result<()> {
    match value {
        Some(value) => db.execute(
            "INSERT INTO setting (key, value) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET value = excluded.value",
            [key, value],
        )?,
        None => db.execute("DELETE FROM setting WHERE key = ?1", [key])?,
    };
    Ok(())
}

/// Adds to the trail.
pub(super) fn add(db: &Connection, entry: &AuditEntry) -> rusqlite::Result<()> {
    let AuditEntry { at, who, action, object, detail } = entry;
    let sql = "INSERT INTO audit (at, who, action, object, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
    db.execute(sql, params![at.nanos(), who, action, object, detail])?;
    Ok(())
}

/// The newest entries from before a moment, newest first.
pub(super) fn trail(
    db: &Connection,
    before: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<AuditEntry>> {
    let sql = "SELECT at, who, action, object, detail FROM audit WHERE at < ?1
               ORDER BY at DESC, id DESC LIMIT ?2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db.prepare(sql)?.query_map([before.nanos(), limit], read)?.collect()
}

/// What was done to a cluster or something in it, oldest first.
pub(super) fn of_cluster(db: &Connection, cluster: &Name) -> rusqlite::Result<Vec<AuditEntry>> {
    let sql = "SELECT at, who, action, object, detail FROM audit
               WHERE object = ?1 OR substr(object, 1, length(?1) + 1) = ?1 || '/' ORDER BY id";
    db.prepare(sql)?.query_map([cluster.as_str()], read)?.collect()
}

/// Reads time, who, action, object and detail.
fn read(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        at: moment(row, 0)?,
        who: row.get(1)?,
        action: row.get(2)?,
        object: row.get(3)?,
        detail: row.get(4)?,
    })
}
