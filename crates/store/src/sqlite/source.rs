//! How far sources have come.

use std::collections::BTreeMap;

use ringfence_model::Name;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::dimension::{Numbers, cluster_or_new};
use super::text::{count, malformed, moment, name, stored};
use crate::error::StoreError;
use crate::source::{Advance, DropReason, Ledger, SourceKey, SourceKind, SourceState};

/// How many incarnations of a source are remembered.
const INCARNATIONS: u32 = 100;

const fn kind_text(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Agent => "agent",
        SourceKind::Hubble => "hubble",
        SourceKind::File => "file",
    }
}

const fn reason_text(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Malformed => "malformed",
        DropReason::Oversized => "oversized",
        DropReason::LostAtSource => "lost_at_source",
        DropReason::NoConnection => "no_connection",
        DropReason::OutsideRetention => "outside_retention",
        DropReason::ForeignNode => "foreign_node",
    }
}

/// Notes how far a source has come, unless it was there before.
pub(super) fn advance(db: &Connection, advance: &Advance) -> Result<(), StoreError> {
    let Advance { source: key, incarnation, sequence, at, ledger } = advance;
    let (incarnation, sequence) = (incarnation.cast_signed(), *sequence);
    let source = number(db, key)?;
    let sql = "SELECT sequence FROM source_incarnation WHERE source = ?1 AND incarnation = ?2";
    let before: Option<i64> =
        db.query_row(sql, [source, incarnation], |row| row.get(0)).optional()?;
    if let Some(before) = before.map(i64::cast_unsigned) {
        let adds_to_ledger_only = sequence == before && ledger.stored == 0;
        if sequence <= before && !adds_to_ledger_only {
            return Err(StoreError::Repeated { source_key: key.clone(), sequence: before });
        }
    }
    progress(db, source, incarnation, sequence.cast_signed())?;
    if before.is_none() {
        let sql = "DELETE FROM source_incarnation WHERE source = ?1 AND id NOT IN (
                       SELECT id FROM source_incarnation WHERE source = ?1 ORDER BY id DESC LIMIT ?2
                   )";
        db.execute(sql, params![source, INCARNATIONS])?;
    }
    let sql =
        "UPDATE source SET incarnation = ?2, sequence = ?3, last = max(last, ?4) WHERE id = ?1";
    db.execute(sql, [source, incarnation, sequence.cast_signed(), at.nanos()])?;
    add_ledger(db, source, ledger)?;
    Ok(())
}

/// Stores a source as it is.
pub(super) fn insert(
    db: &Connection,
    key: &SourceKey,
    state: &SourceState,
) -> Result<(), StoreError> {
    let SourceState { incarnation, sequence, last, ledger } = state.clone();
    advance(db, &Advance { source: key.clone(), incarnation, sequence, at: last, ledger })
}

pub(super) fn number(db: &Connection, key: &SourceKey) -> rusqlite::Result<i64> {
    let SourceKey { cluster, kind, name } = key;
    let cluster = cluster_or_new(db, cluster)?.id;
    Numbers::new(db, "source", &["cluster", "kind", "name"])?.find(params![
        cluster,
        kind_text(*kind),
        &**name
    ])
}

fn progress(db: &Connection, source: i64, incarnation: i64, sequence: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO source_incarnation (source, incarnation, sequence) VALUES (?1, ?2, ?3)
               ON CONFLICT DO UPDATE SET sequence = excluded.sequence";
    db.execute(sql, [source, incarnation, sequence])?;
    Ok(())
}

fn add_ledger(db: &Connection, source: i64, ledger: &Ledger) -> rusqlite::Result<()> {
    let Ledger { received, stored: kept, duplicate, dropped } = ledger;
    let sql = "UPDATE source SET received = received + ?2, stored = stored + ?3,
                   duplicate = duplicate + ?4 WHERE id = ?1";
    db.execute(sql, [source, stored(*received), stored(*kept), stored(*duplicate)])?;
    for (&reason, &count) in dropped {
        let sql = "INSERT INTO source_dropped (source, reason, count) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO UPDATE SET count = count + excluded.count";
        db.execute(sql, params![source, reason_text(reason), stored(count)])?;
    }
    Ok(())
}

const COLUMNS: &str = "source.id, cluster.name, kind, source.name, incarnation, sequence, last,
    received, stored, duplicate";

/// Every source, or those of a cluster, sorted.
pub(super) fn sources(
    db: &Connection,
    cluster: Option<&Name>,
) -> rusqlite::Result<Vec<(SourceKey, SourceState)>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM source JOIN cluster ON cluster.id = source.cluster
         WHERE importing = 0 AND (?1 IS NULL OR cluster.name = ?1)"
    );
    let mut statement = db.prepare(&sql)?;
    let mut sources = statement
        .query_map([cluster.map(Name::as_str)], |row| read(db, row))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    sources.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(sources)
}

/// One source.
pub(super) fn source(db: &Connection, key: &SourceKey) -> rusqlite::Result<Option<SourceState>> {
    let SourceKey { cluster, kind, name } = key;
    let sql = format!(
        "SELECT {COLUMNS} FROM source JOIN cluster ON cluster.id = source.cluster
         WHERE cluster.name = ?1 AND kind = ?2 AND source.name = ?3"
    );
    let key = params![cluster.as_str(), kind_text(*kind), &**name];
    let found = db.query_row(&sql, key, |row| read(db, row)).optional()?;
    Ok(found.map(|(_, state)| state))
}

fn read(db: &Connection, row: &Row<'_>) -> rusqlite::Result<(SourceKey, SourceState)> {
    let key = key(row, 1)?;
    let ledger = Ledger {
        received: count(row, 7)?,
        stored: count(row, 8)?,
        duplicate: count(row, 9)?,
        dropped: dropped(db, row.get(0)?)?,
    };
    let state = SourceState {
        incarnation: row.get::<_, i64>(4)?.cast_unsigned(),
        sequence: row.get::<_, i64>(5)?.cast_unsigned(),
        last: moment(row, 6)?,
        ledger,
    };
    Ok((key, state))
}

/// A source: the columns of its cluster, kind and name, from one on.
pub(super) fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<SourceKey> {
    let kind = match row.get_ref(column + 1)?.as_str()? {
        "agent" => SourceKind::Agent,
        "hubble" => SourceKind::Hubble,
        "file" => SourceKind::File,
        other => return Err(malformed(column + 1, other)),
    };
    let source: String = row.get(column + 2)?;
    Ok(SourceKey { cluster: name(row, column)?, kind, name: source.into() })
}

fn dropped(db: &Connection, source: i64) -> rusqlite::Result<BTreeMap<DropReason, u64>> {
    let mut statement = db.prepare("SELECT reason, count FROM source_dropped WHERE source = ?1")?;
    let rows = statement.query_map([source], |row| {
        let text: String = row.get(0)?;
        let reason = DropReason::ALL.into_iter().find(|&reason| reason_text(reason) == text);
        Ok((reason.ok_or_else(|| malformed(0, &text))?, count(row, 1)?))
    })?;
    rows.collect()
}
