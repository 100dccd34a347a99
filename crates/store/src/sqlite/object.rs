//! The versions of objects.

use std::ops::ControlFlow;
use std::sync::Arc;

use ringfence_model::{Name, Span, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, Statement, params};

use super::dimension::{Numbers, cluster_or_new, find_cluster};
use super::document;
use super::text::{moment, optional_name};
use crate::objects::{ObjectChange, ObjectKey, ObjectVersion};

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
    reader: document::Reader,
    compressor: document::Writer,
}

/// The last version of an object.
struct Last {
    id: i64,
    since: Timestamp,
    until: Timestamp,
    json: String,
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
            reader: document::Reader::new()?,
            compressor: document::Writer::new()?,
        })
    }

    fn number(&mut self, key: &ObjectKey) -> rusqlite::Result<i64> {
        let ObjectKey { kind, namespace, name, uid } = key;
        let namespace = namespace.as_ref().map_or("", Name::as_str);
        self.object.find(params![self.cluster, &**kind, namespace, &**name, &**uid])
    }

    fn last(&mut self, object: i64) -> rusqlite::Result<Option<Last>> {
        let reader = &mut self.reader;
        let read = |row: &Row<'_>| {
            let (since, until) = (moment(row, 1)?, moment(row, 2)?);
            Ok(Last { id: row.get(0)?, since, until, json: reader.read(row, 3)? })
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
                if *current.json == **json {
                    return Ok(());
                }
                if *at <= current.since {
                    let document = self.compressor.write(json)?;
                    self.replace.execute(params![current.id, document])?;
                    return Ok(());
                }
                self.finish(current.id, *at, false)?;
                self.begin(object, *at, json)
            }
        }
    }

    fn begin(&mut self, object: i64, since: Timestamp, json: &str) -> rusqlite::Result<()> {
        self.insert(object, Span { from: since, until: Timestamp::MAX }, false, json)
    }

    fn insert(
        &mut self,
        object: i64,
        valid: Span,
        deleted: bool,
        json: &str,
    ) -> rusqlite::Result<()> {
        let (since, until) = (valid.from.nanos(), valid.until.nanos());
        let document = self.compressor.write(json)?;
        self.insert.execute(params![object, self.cluster, since, until, deleted, document])?;
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

/// Stores versions as they are.
pub(super) fn insert(
    db: &Connection,
    cluster: &Name,
    versions: &[ObjectVersion],
) -> rusqlite::Result<()> {
    let mut writer = Writer::new(db, cluster_or_new(db, cluster)?.id)?;
    for ObjectVersion { key, valid, deleted, json } in versions {
        let object = writer.number(key)?;
        writer.insert(object, *valid, *deleted, json)?;
    }
    Ok(())
}

/// Every version of an object that was there at some time inside the window, sorted by key and time.
pub(super) fn objects(
    db: &Connection,
    cluster: &Name,
    window: Span,
) -> rusqlite::Result<Vec<ObjectVersion>> {
    let mut versions = Vec::new();
    if let Some(cluster) = find_cluster(db, cluster)? {
        let finished = each(db, cluster.id, window, &mut |version| {
            versions.push(version);
            ControlFlow::Continue(())
        })?;
        debug_assert!(finished.is_continue());
    }
    versions.sort_by(|a, b| (&a.key, a.valid.from).cmp(&(&b.key, b.valid.from)));
    Ok(versions)
}

/// Hands out every version that was there at some time inside the window, until told to stop.
pub(super) fn each(
    db: &Connection,
    cluster: i64,
    window: Span,
    each: &mut dyn FnMut(ObjectVersion) -> ControlFlow<()>,
) -> rusqlite::Result<ControlFlow<()>> {
    if window.from >= window.until {
        return Ok(ControlFlow::Continue(()));
    }
    let sql = "SELECT kind, namespace, name, uid, since, until, deleted, document
               FROM object_version JOIN object ON object.id = object_version.object
               WHERE object_version.cluster = ?1 AND until > ?2 AND since < ?3";
    let mut reader = document::Reader::new()?;
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([cluster, window.from.nanos(), window.until.nanos()])?;
    while let Some(row) = rows.next()? {
        if each(version(row, &mut reader)?).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn version(row: &Row<'_>, reader: &mut document::Reader) -> rusqlite::Result<ObjectVersion> {
    let text = |column| row.get::<_, String>(column).map(Arc::from);
    let namespace = optional_name(row, 1)?;
    Ok(ObjectVersion {
        key: ObjectKey { kind: text(0)?, namespace, name: text(2)?, uid: text(3)? },
        valid: Span { from: moment(row, 4)?, until: moment(row, 5)? },
        deleted: row.get(6)?,
        json: reader.read(row, 7)?.into(),
    })
}
