//! The versions of objects.

use std::sync::Arc;

use ringfence_model::{Name, Span, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, Statement, params};

use super::dimension::{Numbers, cluster_or_new, find_cluster};
use super::text::{moment, optional_name};
use crate::objects::{ObjectChange, ObjectKey, ObjectVersion};

/// Fast, and no slower to read than a better one.
const COMPRESSION: i32 = 1;

/// Notes changes, in the order given.
pub(super) fn record(
    db: &Connection,
    cluster: &Name,
    changes: &[ObjectChange],
) -> rusqlite::Result<()> {
    let cluster = cluster_or_new(db, cluster)?.id;
    let mut writer = Writer::new(db, cluster)?;
    for change in changes {
        writer.note(change)?;
    }
    Ok(())
}

struct Writer<'c> {
    cluster: i64,
    object: Numbers<'c>,
    last: Statement<'c>,
    insert: Statement<'c>,
    replace: Statement<'c>,
    remove: Statement<'c>,
    end: Statement<'c>,
}

/// The last version of an object.
struct Last {
    id: i64,
    since: Timestamp,
    until: Timestamp,
    document: Vec<u8>,
}

impl<'c> Writer<'c> {
    fn new(db: &'c Connection, cluster: i64) -> rusqlite::Result<Self> {
        let object = Numbers::new(db, "object", &["cluster", "kind", "namespace", "name", "uid"])?;
        let insert = "INSERT INTO object_version (object, cluster, since, until, deleted, document)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let last = "SELECT id, since, until, document FROM object_version WHERE object = ?1
                    ORDER BY since DESC LIMIT 1";
        let end = "UPDATE object_version SET until = ?2, deleted = ?3 WHERE id = ?1";
        Ok(Self {
            cluster,
            object,
            last: db.prepare(last)?,
            insert: db.prepare(insert)?,
            replace: db.prepare("UPDATE object_version SET document = ?2 WHERE id = ?1")?,
            remove: db.prepare("DELETE FROM object_version WHERE id = ?1")?,
            end: db.prepare(end)?,
        })
    }

    fn number(&mut self, key: &ObjectKey) -> rusqlite::Result<i64> {
        let ObjectKey { kind, namespace, name, uid } = key;
        let namespace = namespace.as_ref().map_or("", Name::as_str);
        self.object.find(params![self.cluster, &**kind, namespace, &**name, &**uid])
    }

    fn last(&mut self, object: i64) -> rusqlite::Result<Option<Last>> {
        let read = |row: &Row<'_>| {
            let (since, until) = (moment(row, 1)?, moment(row, 2)?);
            Ok(Last { id: row.get(0)?, since, until, document: row.get(3)? })
        };
        self.last.query_row([object], read).optional()
    }

    /// A change is never earlier than the one before it: clocks jump.
    fn note(&mut self, change: &ObjectChange) -> rusqlite::Result<()> {
        let ObjectChange { key, at, json } = change;
        let object = self.number(key)?;
        let last = self.last(object)?;
        let current = last.as_ref().filter(|last| last.until == Timestamp::MAX);
        match (current, json) {
            (None, None) => Ok(()),
            (None, Some(json)) => {
                let since = last.as_ref().map_or(*at, |gone| gone.until.max(*at));
                self.begin(object, since, json)
            }
            (Some(current), None) if *at <= current.since => self.undo(object, current),
            (Some(current), None) => self.finish(current.id, *at, true),
            (Some(current), Some(json)) => {
                if decompress(&current.document)? == **json {
                    return Ok(());
                }
                if *at <= current.since {
                    self.replace.execute(params![current.id, compress(json)?])?;
                    return Ok(());
                }
                self.finish(current.id, *at, false)?;
                self.begin(object, *at, json)
            }
        }
    }

    fn begin(&mut self, object: i64, since: Timestamp, json: &str) -> rusqlite::Result<()> {
        let until = Timestamp::MAX.nanos();
        let document = compress(json)?;
        self.insert.execute(params![
            object,
            self.cluster,
            since.nanos(),
            until,
            false,
            document
        ])?;
        Ok(())
    }

    fn finish(&mut self, version: i64, at: Timestamp, deleted: bool) -> rusqlite::Result<()> {
        self.end.execute(params![version, at.nanos(), deleted])?;
        Ok(())
    }

    /// A version that ended when it began was never there; the one that it followed ended with the object.
    fn undo(&mut self, object: i64, current: &Last) -> rusqlite::Result<()> {
        self.remove.execute([current.id])?;
        match self.last(object)? {
            Some(before) if before.until == current.since => {
                self.finish(before.id, before.until, true)
            }
            _ => Ok(()),
        }
    }
}

/// Every version of an object that was there at some time inside the window, sorted by key and time.
pub(super) fn objects(
    db: &Connection,
    cluster: &Name,
    window: Span,
) -> rusqlite::Result<Vec<ObjectVersion>> {
    let Some(cluster) = find_cluster(db, cluster)? else {
        return Ok(Vec::new());
    };
    if window.from >= window.until {
        return Ok(Vec::new());
    }
    let sql = "SELECT kind, namespace, name, uid, since, until, deleted, document
               FROM object_version JOIN object ON object.id = object_version.object
               WHERE object_version.cluster = ?1 AND until > ?2 AND since < ?3";
    let mut statement = db.prepare(sql)?;
    let mut versions = statement
        .query_map([cluster.id, window.from.nanos(), window.until.nanos()], version)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    versions.sort_by(|a, b| (&a.key, a.valid.from).cmp(&(&b.key, b.valid.from)));
    Ok(versions)
}

fn version(row: &Row<'_>) -> rusqlite::Result<ObjectVersion> {
    let text = |column| row.get::<_, String>(column).map(Arc::from);
    let namespace = optional_name(row, 1)?;
    Ok(ObjectVersion {
        key: ObjectKey { kind: text(0)?, namespace, name: text(2)?, uid: text(3)? },
        valid: Span { from: moment(row, 4)?, until: moment(row, 5)? },
        deleted: row.get(6)?,
        json: decompress(row.get_ref(7)?.as_blob()?)?.into(),
    })
}

fn compress(json: &str) -> rusqlite::Result<Vec<u8>> {
    zstd::bulk::compress(json.as_bytes(), COMPRESSION)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn decompress(document: &[u8]) -> rusqlite::Result<String> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, error)
    };
    let bytes = zstd::stream::decode_all(document).map_err(|error| failed(error.into()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.into()))
}
