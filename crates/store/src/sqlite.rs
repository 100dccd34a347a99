//! The store in one SQLite file.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ringfence_model::{Name, Span, Timestamp};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::archive::Record;
use crate::audit::AuditEntry;
use crate::edges::{Arrivals, EdgeQuery, StoredEdge};
use crate::error::StoreError;
use crate::objects::{ObjectChange, ObjectVersion};
use crate::presence::{Loss, Presence};
use crate::retention::{Maintenance, Retention};
use crate::reviews::{NewReview, ReviewKey, ReviewVersion};
use crate::source::{SourceKey, SourceState};
use crate::store::Store;

mod backup;
mod bucket;
mod dimension;
mod document;
mod edge;
mod export;
mod file;
mod import;
mod journal;
mod object;
mod presence;
mod readers;
mod retention;
mod review;
mod schema;
mod source;
mod text;
mod window;

use dimension::Dimensions;
use file::Lock;
use readers::Readers;

pub use import::Import;

/// What may be done with a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Everything. One process at a time.
    #[default]
    Write,
    /// Reading, while another process may write.
    Read,
}

/// How a file is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What may be done with it.
    pub access: Access,
    /// How many bytes the file may have: beyond that the disk counts as full. `None` for as many as fit.
    pub limit: Option<u64>,
}

/// The store in one SQLite file: one writer, and a few readers beside it.
///
/// The file is in WAL mode and synced at every commit, so that what was acknowledged survives a crash of the process
/// and of the machine.
pub struct Sqlite {
    path: PathBuf,
    // Dropped before the writer: the last connection to close cleans up, and a reader could not.
    readers: Option<Readers>,
    writer: Mutex<Writer>,
    _lock: Option<Lock>,
}

struct Writer {
    db: Connection,
    known: Dimensions,
}

impl Sqlite {
    /// Opens a file, or makes it. Only its owner may read it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it open for writing, [`StoreError::Newer`] when a newer version
    /// wrote it, [`StoreError::Damaged`] when it is damaged or something else than a store.
    pub fn open(path: &Path, options: &Options) -> Result<Self, StoreError> {
        let lock = match options.access {
            Access::Write => Some(file::prepare(path)?),
            Access::Read => None,
        };
        let db = file::connect(path, options).map_err(|error| classify(path, error))?;
        let readers = Some(Readers::new(path));
        let writer = Mutex::new(Writer { db, known: Dimensions::default() });
        Ok(Self { path: path.to_owned(), readers, writer, _lock: lock })
    }

    /// A store that is gone with the process, for tests.
    pub fn in_memory() -> Result<Self, StoreError> {
        let mut db = Connection::open_in_memory()?;
        db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        schema::migrate(&mut db, Path::new(":memory:"))?;
        let writer = Mutex::new(Writer { db, known: Dimensions::default() });
        Ok(Self { path: ":memory:".into(), readers: None, writer, _lock: None })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes a little of what is too old or too much: at most some 20,000 rows, in one transaction, so that others
    /// do not wait for long. To be called again after a pause, short unless it says that it is done.
    ///
    /// `now` counts for no more than a week after the newest observation that is left, so that neither a clock that jumps ahead nor
    /// a long silence empties the store.
    pub fn maintain(
        &self,
        now: Timestamp,
        retention: &Retention,
    ) -> Result<Maintenance, StoreError> {
        self.write(|db, known| Ok(retention::maintain(db, known, now, retention)?))
    }

    /// From when on edges of a cluster are kept. What is recorded from before that is not stored.
    pub fn kept_from(&self, cluster: &Name) -> Result<Timestamp, StoreError> {
        self.read(|db| edge::kept_from(db, cluster))
    }

    /// Copies the store as it is now to a new file, while others read and write.
    ///
    /// # Errors
    /// [`StoreError::File`] when the new file is there already.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let result = match &self.readers {
            Some(_) => readers::open(&self.path)
                .map_err(StoreError::from)
                .and_then(|db| backup::copy(&db, to)),
            None => {
                let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
                backup::copy(&writer.db, to)
            }
        };
        result.map_err(|error| classify(&self.path, error))
    }

    /// Hands out everything that is stored of a cluster as it is now, until told to stop.
    pub fn export(
        &self,
        cluster: &Name,
        each: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        self.read(|db| export::export(db, cluster, each))
    }

    /// Begins to take a cluster in, under a name that nothing is stored of.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when something is stored of that name.
    pub fn import(&self, cluster: &Name) -> Result<Import<'_>, StoreError> {
        Import::begin(self, cluster)
    }

    /// Reads in one transaction, so that all of it is of one moment.
    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let in_transaction = |db: &Connection| {
            let transaction = db.unchecked_transaction()?;
            read(&transaction)
        };
        let result = match &self.readers {
            Some(readers) => readers.with(in_transaction),
            None => {
                let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
                in_transaction(&writer.db)
            }
        };
        result.map_err(|error| classify(&self.path, error.into()))
    }

    /// Writes in one transaction, which is durable when this returns, or leaves no trace when it fails.
    fn write<T>(
        &self,
        write: impl FnOnce(&Transaction<'_>, &mut Dimensions) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer.lock().unwrap_or_else(|poisoned| {
            let mut writer = poisoned.into_inner();
            writer.known.forget();
            self.writer.clear_poison();
            writer
        });
        let Writer { db, known } = &mut *writer;
        let result = (|| {
            let transaction =
                Transaction::new(db, TransactionBehavior::Immediate).map_err(StoreError::from)?;
            let done = write(&transaction, known)?;
            transaction.commit()?;
            Ok(done)
        })();
        let result = result.map_err(|error| classify(&self.path, error));
        if let Err(error) = &result {
            known.forget();
            if matches!(error, StoreError::DiskFull(_)) {
                // What stands in the log stands in the file then, and the log gives back its room. If that fails too,
                // the disk is still full, as is said already.
                let _ = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            }
        }
        result
    }
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Tells a full disk and a damaged file from everything else that a database may say.
fn classify(path: &Path, error: StoreError) -> StoreError {
    let StoreError::Database(error) = error else {
        return error;
    };
    let damaged = |error: &rusqlite::Error| StoreError::Damaged {
        path: path.into(),
        fault: error.to_string(),
    };
    match &error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => StoreError::DiskFull(error),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => damaged(&error),
            _ => StoreError::Database(error),
        },
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::QueryReturnedNoRows => damaged(&error),
        _ => StoreError::Database(error),
    }
}

/// Stores or removes settings, and makes the clusters that they are of.
fn put_settings(db: &Connection, changes: &[(&str, Option<&str>)]) -> Result<(), StoreError> {
    for &(key, value) in changes {
        journal::put_setting(db, key, value)?;
        if let Some(cluster) = cluster_of_setting(key).filter(|_| value.is_some()) {
            dimension::cluster_or_new(db, &cluster)?;
        }
    }
    Ok(())
}

/// The cluster that a setting `cluster/prod/profile` is of.
fn cluster_of_setting(key: &str) -> Option<Name> {
    let (cluster, _) = key.strip_prefix("cluster/")?.split_once('/')?;
    Name::new(cluster).ok()
}

impl Store for Sqlite {
    fn record(&self, arrivals: &Arrivals) -> Result<(), StoreError> {
        self.write(|db, known| edge::record(db, known, arrivals))
    }

    fn edges(&self, query: &EdgeQuery) -> Result<Vec<StoredEdge>, StoreError> {
        self.read(|db| edge::edges(db, query))
    }

    fn observed(&self, cluster: &Name) -> Result<Option<Span>, StoreError> {
        self.read(|db| edge::observed(db, cluster))
    }

    fn sources(&self) -> Result<Vec<(SourceKey, SourceState)>, StoreError> {
        self.read(|db| source::sources(db, None))
    }

    fn source(&self, key: &SourceKey) -> Result<Option<SourceState>, StoreError> {
        self.read(|db| source::source(db, key))
    }

    fn presences(&self, cluster: &Name, window: Span) -> Result<Vec<Presence>, StoreError> {
        self.read(|db| presence::presences(db, cluster, window))
    }

    fn losses(&self, cluster: &Name, window: Span) -> Result<Vec<Loss>, StoreError> {
        self.read(|db| presence::losses(db, cluster, window))
    }

    fn clusters(&self) -> Result<Vec<Name>, StoreError> {
        self.read(dimension::clusters)
    }

    fn record_objects(&self, cluster: &Name, changes: &[ObjectChange]) -> Result<(), StoreError> {
        self.write(|db, _| Ok(object::record(db, cluster, changes)?))
    }

    fn objects(&self, cluster: &Name, window: Span) -> Result<Vec<ObjectVersion>, StoreError> {
        self.read(|db| object::objects(db, cluster, window))
    }

    fn review(
        &self,
        key: &ReviewKey,
        version: Option<u64>,
    ) -> Result<Option<ReviewVersion>, StoreError> {
        self.read(|db| review::review(db, key, version))
    }

    fn review_versions(&self, key: &ReviewKey) -> Result<Vec<ReviewVersion>, StoreError> {
        self.read(|db| review::versions(db, key))
    }

    fn reviews(&self, cluster: &Name) -> Result<Vec<ReviewVersion>, StoreError> {
        self.read(|db| review::reviews(db, cluster))
    }

    fn put_review_and_settings(
        &self,
        review: &NewReview,
        settings: &[(&str, Option<&str>)],
    ) -> Result<ReviewVersion, StoreError> {
        self.write(|db, _| {
            put_settings(db, settings)?;
            review::put(db, review)
        })
    }

    fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.read(|db| journal::setting(db, key))
    }

    fn settings(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        self.read(|db| journal::settings(db, prefix))
    }

    fn put_settings(
        &self,
        changes: &[(&str, Option<&str>)],
        audit: &AuditEntry,
    ) -> Result<(), StoreError> {
        self.write(|db, _| {
            put_settings(db, changes)?;
            Ok(journal::add(db, audit)?)
        })
    }

    fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.write(|db, _| Ok(journal::add(db, entry)?))
    }

    fn audit_trail(&self, before: Timestamp, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(|db| journal::trail(db, before, limit))
    }
}
