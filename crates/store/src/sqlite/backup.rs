//! Copies of the whole file while it is written to.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::file::{private_file, with_suffix};
use crate::error::StoreError;

/// How many pages are copied at a time.
const PAGES: i32 = 4_096;

/// Copies everything as it is at one moment to a file, which must not be there yet.
pub(super) fn copy(source: &Connection, to: &Path) -> Result<(), StoreError> {
    let failed = |fault| StoreError::File { path: to.to_owned(), fault };
    // Takes the name, so that nothing is overwritten, and nothing that is unfinished ever bears it.
    private_file().create_new(true).open(to).map_err(failed)?;
    let unfinished = with_suffix(to, ".unfinished");
    let result = private_file()
        .create(true)
        .truncate(true)
        .open(&unfinished)
        .map_err(failed)
        .and_then(|_| Ok(copy_pages(source, &unfinished)?))
        .and_then(|()| sync_and_rename(&unfinished, to).map_err(failed));
    if result.is_err() {
        // The fault that led here is the one to tell.
        let _ = fs::remove_file(&unfinished);
        let _ = fs::remove_file(to);
    }
    result
}

fn copy_pages(source: &Connection, to: &Path) -> rusqlite::Result<()> {
    // The copy is of the moment at which this begins; what is written meanwhile does not disturb it.
    let transaction = source.unchecked_transaction()?;
    transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    let mut destination = Connection::open(to)?;
    let backup = Backup::new(&transaction, &mut destination)?;
    while backup.step(PAGES)? != StepResult::Done {}
    Ok(())
}

fn sync_and_rename(from: &Path, to: &Path) -> std::io::Result<()> {
    File::open(from)?.sync_all()?;
    fs::rename(from, to)?;
    match to.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
