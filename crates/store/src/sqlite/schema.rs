//! The tables, and how they came to be.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::StoreError;

/// What brings the tables from each version to the next. `PRAGMA user_version` says how many were done.
const MIGRATIONS: [&str; 2] = [include_str!("schema1.sql"), include_str!("schema2.sql")];

/// The version of the tables that this program writes.
pub(super) const VERSION: u32 = 2;

/// Marks the file as a store: "Rfnc".
const APPLICATION: u32 = 0x5266_6e63;

/// Refuses what a newer program or another one wrote.
pub(super) fn check(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: u32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: u32 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_new = tables == 0 && found == 0;
    if application != APPLICATION && !is_new {
        let fault = "it is another program's database".to_owned();
        return Err(StoreError::Damaged { path: path.to_owned(), fault });
    }
    if found > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    Ok(())
}

/// Brings the tables to [`VERSION`].
pub(super) fn migrate(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    check(db, path)?;
    let found: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (migration, version) in MIGRATIONS.iter().zip(1..).skip(found as usize) {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}
