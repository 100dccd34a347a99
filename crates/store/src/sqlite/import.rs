//! A cluster from an archive.

use ringfence_model::{Name, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::dimension::{Dimensions, cluster_or_new};
use super::export::prefix;
use super::{Sqlite, edge, journal, object, retention, review, source};
use crate::archive::{EdgeBucket, Record};
use crate::audit::AuditEntry;
use crate::edges::Counted;
use crate::error::StoreError;
use crate::granularity::{Granularity, minute};
use crate::objects::ObjectVersion;
use crate::reviews::ReviewVersion;
use crate::source::{SourceKey, SourceState};

/// How many records are stored in one transaction.
const GROUP: usize = 20_000;

/// A cluster on its way in from an archive. Nothing of it is seen before [`Import::finish`]; what an import left that
/// was never finished is removed when the next one of the cluster begins.
pub struct Import<'s> {
    store: &'s Sqlite,
    cluster: Name,
    // Stored group by group.
    edges: Vec<EdgeBucket>,
    objects: Vec<ObjectVersion>,
    // Little, and stored at the end.
    sources: Vec<(SourceKey, SourceState)>,
    reviews: Vec<ReviewVersion>,
    settings: Vec<(String, String)>,
    audit: Vec<AuditEntry>,
}

impl<'s> Import<'s> {
    /// Begins an import under a name that nothing is stored of.
    pub(super) fn begin(store: &'s Sqlite, cluster: &Name) -> Result<Self, StoreError> {
        store.write(|db, _| {
            let sql = "SELECT importing FROM cluster WHERE name = ?1";
            let found: Option<bool> =
                db.query_row(sql, [cluster.as_str()], |row| row.get(0)).optional()?;
            if found == Some(false) {
                return Err(StoreError::Exists { cluster: cluster.clone() });
            }
            let id = cluster_or_new(db, cluster)?.id;
            db.execute("UPDATE cluster SET importing = 1 WHERE id = ?1", [id])?;
            Ok(())
        })?;
        while store.write(|db, _| Ok(remove_some(db, cluster)?))? > 0 {}
        Ok(Self {
            store,
            cluster: cluster.clone(),
            edges: Vec::new(),
            objects: Vec::new(),
            sources: Vec::new(),
            reviews: Vec::new(),
            settings: Vec::new(),
            audit: Vec::new(),
        })
    }

    /// Takes a record, whichever cluster it names and in any order.
    pub fn add(&mut self, record: Record) -> Result<(), StoreError> {
        match record {
            Record::Edge(bucket) => self.edges.push(bucket),
            Record::Object(version) => self.objects.push(version),
            Record::Source(mut key, state) => {
                key.cluster = self.cluster.clone();
                self.sources.push((key, state));
            }
            Record::Review(mut version) => {
                version.key.cluster = self.cluster.clone();
                self.reviews.push(version);
            }
            Record::Setting { key, value } => {
                self.settings.push((format!("{}{key}", prefix(&self.cluster)), value));
            }
            Record::Audit(entry) => self.audit.push(entry),
        }
        if self.edges.len() + self.objects.len() >= GROUP {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let (cluster, edges, objects) = (&self.cluster, &self.edges, &self.objects);
        self.store.write(|db, known| {
            object::insert(db, cluster, objects)?;
            Ok(add_edges(db, known, cluster, edges)?)
        })?;
        self.edges.clear();
        self.objects.clear();
        Ok(())
    }

    /// Makes all of it visible.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.flush()?;
        self.store.write(|db, _| {
            for (key, state) in &self.sources {
                source::insert(db, key, state)?;
            }
            for review in &self.reviews {
                review::insert(db, review)?;
            }
            for (key, value) in &self.settings {
                journal::put_setting(db, key, Some(value))?;
            }
            for entry in &self.audit {
                journal::add(db, entry)?;
            }
            let sql = "UPDATE cluster SET importing = 0 WHERE name = ?1";
            db.execute(sql, [self.cluster.as_str()])?;
            Ok(())
        })
    }
}

fn add_edges(
    db: &Connection,
    known: &mut Dimensions,
    cluster: &Name,
    buckets: &[EdgeBucket],
) -> rusqlite::Result<()> {
    for finest in Granularity::ALL {
        let of_length = buckets.iter().filter(|bucket| bucket.granularity == finest);
        let counted = |EdgeBucket { at, edge, .. }: &EdgeBucket| Counted {
            cluster: cluster.clone(),
            at: *at,
            key: edge.key.clone(),
            counts: edge.counts,
            services: edge.services.clone(),
        };
        let edges: Vec<Counted> = of_length.map(counted).collect();
        if let Some(last) = edges.iter().map(|edge| edge.at).max() {
            edge::add(db, known, &edges, finest)?;
            keep_no_finer(db, cluster, finest, minute(last) + finest.minutes())?;
        }
    }
    Ok(())
}

/// What came in long buckets cannot be told by shorter ones.
fn keep_no_finer(
    db: &Connection,
    cluster: &Name,
    finest: Granularity,
    until: i64,
) -> rusqlite::Result<()> {
    let column = match finest {
        Granularity::Minute => return Ok(()),
        Granularity::Hour => "minutes_from = max(minutes_from, ?2)",
        Granularity::Day => {
            "minutes_from = max(minutes_from, ?2), hours_from = max(hours_from, ?2)"
        }
    };
    let until = until.div_euclid(finest.minutes()) * finest.minutes();
    let sql = format!("UPDATE cluster SET {column} WHERE name = ?1");
    db.execute(&sql, (cluster.as_str(), until))?;
    Ok(())
}

/// Removes some of what an unfinished import left, and says how much.
fn remove_some(db: &Connection, cluster: &Name) -> rusqlite::Result<u64> {
    let id = cluster_or_new(db, cluster)?.id;
    let most = GROUP as u64;
    let mut removed = retention::remove_versions(db, id, Timestamp::MAX, most)?;
    for granularity in Granularity::ALL {
        removed += retention::remove_buckets(db, granularity, id, i64::MAX, most)?;
    }
    Ok(removed)
}
