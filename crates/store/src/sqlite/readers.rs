//! Connections that only read.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

use super::file::BUSY_TIMEOUT;

/// How many queries run at the same time; others wait.
const MOST: usize = 8;

/// Connections that only read, opened when they are needed first.
pub(super) struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    busy: usize,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), pool: Mutex::default(), returned: Condvar::new() }
    }

    /// Reads with a connection.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let mut taken = Taken { readers: self, db: self.take() };
        let db = match &mut taken.db {
            Some(db) => db,
            none => none.insert(open(&self.path)?),
        };
        read(db)
    }

    fn take(&self) -> Option<Connection> {
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pool = self
            .returned
            .wait_while(pool, |pool| pool.busy >= MOST)
            .unwrap_or_else(PoisonError::into_inner);
        pool.busy += 1;
        pool.idle.pop()
    }
}

/// A place among the readers, given back when dropped.
struct Taken<'r> {
    readers: &'r Readers,
    db: Option<Connection>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.busy -= 1;
        pool.idle.extend(self.db.take());
        self.readers.returned.notify_one();
    }
}

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "cache_size", -16_384)?;
    Ok(db)
}
