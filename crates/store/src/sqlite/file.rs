//! The file: made, locked, checked and opened.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{Access, Options, readers, schema};
use crate::error::StoreError;

/// How long a connection waits for another process, such as a backup or a shell, to let go of a lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// After so many pages of log it is copied into the file.
const CHECKPOINT_PAGES: u32 = 16_384;

/// How many bytes the log has at most once it is copied.
const LOG_SIZE: u32 = 64 << 20;

/// Keeps other processes from writing to the file. Gone with the process, however it ends.
pub(super) struct Lock {
    _file: File,
}

/// Makes the file when it is new, and takes the lock.
pub(super) fn prepare(path: &Path) -> Result<Lock, StoreError> {
    let failed = |fault| StoreError::File { path: path.to_owned(), fault };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        private_directory().create(directory).map_err(failed)?;
    }
    // Beside the file: closing any handle of the file itself would release the locks of SQLite.
    let beside = with_suffix(path, ".lock");
    let file = private_file().create(true).truncate(false).open(&beside).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(fault)) => return Err(failed(fault)),
    }
    match private_file().create_new(true).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    Ok(Lock { _file: file })
}

/// The path with something after the file name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Options for a file that only its owner may read.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn private_directory() -> DirBuilder {
    let mut directory = DirBuilder::new();
    directory.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut directory, 0o700);
    directory
}

/// Opens the file, checks it and brings it up to date.
pub(super) fn connect(path: &Path, options: &Options) -> Result<Connection, StoreError> {
    if options.access == Access::Read {
        let db = readers::open(path)?;
        schema::check(&db, path)?;
        return Ok(db);
    }
    // The last process to close the file removes the log.
    let was_killed = fs::metadata(with_suffix(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    schema::check(&db, path)?;
    // These two hold only from before the first table on.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -65_536)?;
    db.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
    db.pragma_update_and_check(None, "journal_size_limit", LOG_SIZE, |_| Ok(()))?;
    if let Some(limit) = options.limit {
        let page: u32 = db.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = u32::try_from(limit / u64::from(page)).unwrap_or(u32::MAX - 1);
        db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    check(&db, path, was_killed)?;
    schema::migrate(&mut db, path)?;
    Ok(db)
}

/// How many faults are told.
const FAULTS: u32 = 3;

/// What nobody can observe or list again, and what is little.
const PRECIOUS: [&str; 7] =
    ["cluster", "source", "source_dropped", "source_incarnation", "review", "setting", "audit"];

/// Looks for damage. What is precious is always checked, all of it only when the process before was killed, and then
/// for no longer than [`PATIENCE`]. Damage that this does not find is found when it is read.
fn check(db: &Connection, path: &Path, was_killed: bool) -> Result<(), StoreError> {
    let mut is_there = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?1")?;
    for table in PRECIOUS {
        if is_there.exists([table])? {
            faults(db, path, table)?;
        }
    }
    if was_killed {
        patiently(db, PATIENCE, |db| faults(db, path, &FAULTS.to_string()))?;
    }
    Ok(())
}

/// How long everything is checked.
const PATIENCE: Duration = Duration::from_secs(3);

/// Gives up after some time, which counts as nothing found.
fn patiently(
    db: &Connection,
    patience: Duration,
    check: impl FnOnce(&Connection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let handle = db.get_interrupt_handle();
    let (done, waiting) = mpsc::channel::<()>();
    let result = thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                handle.interrupt();
            }
        });
        let result = check(db);
        drop(done);
        result
    });
    match result {
        Err(StoreError::Database(rusqlite::Error::SqliteFailure(failure, _)))
            if failure.code == ErrorCode::OperationInterrupted =>
        {
            Ok(())
        }
        result => result,
    }
}

fn faults(db: &Connection, path: &Path, what: &str) -> Result<(), StoreError> {
    let mut statement = db.prepare(&format!("PRAGMA quick_check({what})"))?;
    let faults: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    if faults == ["ok"] {
        return Ok(());
    }
    Err(StoreError::Damaged { path: path.to_owned(), fault: faults.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_takes_too_long_finds_nothing() {
        let db = Connection::open_in_memory().unwrap();
        let patience = Duration::from_millis(10);
        let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                       SELECT count(*) FROM n";
        let check = |db: &Connection| Ok(db.query_row(endless, [], |_| Ok(()))?);
        patiently(&db, patience, check).unwrap();
        let found = patiently(&db, patience, |_| {
            Err(StoreError::Damaged { path: "db".into(), fault: "page 7".into() })
        });
        assert!(matches!(found, Err(StoreError::Damaged { .. })), "{found:?}");
        faults(&db, Path::new("db"), "3").unwrap();
    }
}
