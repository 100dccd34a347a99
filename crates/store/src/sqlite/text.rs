//! Values out of columns. What cannot be read means that the file is damaged.

use std::error::Error;
use std::str::FromStr;

use ringfence_model::{Name, Timestamp};
use rusqlite::Row;
use rusqlite::types::Type;

/// A text that nothing of this program wrote.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} makes no sense here")]
struct Malformed(String);

/// The error for a text that cannot be what it should be.
pub(super) fn malformed(column: usize, text: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        Type::Text,
        Box::new(Malformed(text.chars().take(100).collect())),
    )
}

/// A text as what it stands for.
pub(super) fn parsed<T>(column: usize, text: &str) -> rusqlite::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

/// A name.
pub(super) fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<Name> {
    parsed(column, row.get_ref(column)?.as_str()?)
}

/// A name, or the empty text for none.
pub(super) fn optional_name(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Name>> {
    match row.get_ref(column)?.as_str()? {
        "" => Ok(None),
        text => parsed(column, text).map(Some),
    }
}

/// A moment.
pub(super) fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_nanos)
}

/// A count as it is stored: SQLite knows no unsigned numbers, so that counts end at 2^63-1.
pub(super) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let count: i64 = row.get(column)?;
    u64::try_from(count).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, count))
}
