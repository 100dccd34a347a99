//! Everything that is stored of a cluster.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;

use ringfence_model::{Name, Span};
use rusqlite::{Connection, params};

use super::bucket::{self, COUNTS};
use super::dimension::{Cluster, EdgeReader, find_cluster};
use super::window::Kept;
use super::{journal, object, review, source};
use crate::archive::{EdgeBucket, Record};
use crate::edges::StoredEdge;
use crate::granularity::Granularity;

/// Hands out every record of a cluster, until told to stop.
pub(super) fn export(
    db: &Connection,
    name: &Name,
    each: &mut dyn FnMut(Record) -> ControlFlow<()>,
) -> rusqlite::Result<ControlFlow<()>> {
    let Some(Cluster { id, kept, .. }) = find_cluster(db, name)? else {
        return Ok(ControlFlow::Continue(()));
    };
    let small = source::sources(db, Some(name))?
        .into_iter()
        .map(|(key, state)| Record::Source(key, state))
        .chain(review::all_versions(db, name)?.into_iter().map(Record::Review))
        .chain(settings(db, name)?)
        .chain(journal::of_cluster(db, name)?.into_iter().map(Record::Audit));
    for record in small {
        if each(record).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    let objects = object::each(db, id, Span::ALL, &mut |version| each(Record::Object(version)))?;
    if objects.is_break() {
        return Ok(objects);
    }
    edges(db, id, kept, each)
}

/// The prefix of the settings of a cluster.
pub(super) fn prefix(cluster: &Name) -> String {
    format!("cluster/{cluster}/")
}

fn settings(db: &Connection, cluster: &Name) -> rusqlite::Result<Vec<Record>> {
    let prefix = prefix(cluster);
    let sql = "SELECT substr(key, length(?1) + 1), value FROM setting
               WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key";
    db.prepare(sql)?
        .query_map([prefix], |row| Ok(Record::Setting { key: row.get(0)?, value: row.get(1)? }))?
        .collect()
}

/// Every moment once, in the shortest buckets that are kept of it.
fn edges(
    db: &Connection,
    cluster: i64,
    kept: Kept,
    each: &mut dyn FnMut(Record) -> ControlFlow<()>,
) -> rusqlite::Result<ControlFlow<()>> {
    let mut reader = EdgeReader::new(db)?;
    let mut known = HashMap::new();
    for (granularity, until) in [
        (Granularity::Day, kept.hours),
        (Granularity::Hour, kept.minutes),
        (Granularity::Minute, i64::MAX),
    ] {
        let length = granularity.minutes();
        let sql = format!(
            "SELECT bucket, edge, {COUNTS} FROM {}
             WHERE cluster = ?1 AND bucket >= ?2 AND bucket < ?3
             ORDER BY bucket, pair, edge",
            bucket::table(granularity)
        );
        let mut statement = db.prepare(&sql)?;
        let from = kept.from(granularity) / length;
        let mut rows = statement.query(params![cluster, from, until / length])?;
        while let Some(row) = rows.next()? {
            let (key, services) = match known.entry(row.get::<_, i64>(1)?) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let edge = reader.read(*entry.key())?;
                    entry.insert(edge)
                }
            };
            let edge = StoredEdge {
                key: key.clone(),
                counts: bucket::counts(row, 2)?,
                services: services.clone(),
            };
            let at = granularity.start(row.get(0)?);
            if each(Record::Edge(EdgeBucket { granularity, at, edge })).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}
