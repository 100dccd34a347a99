//! Long texts, compressed, with a checksum: damage inside of them would not be noticed otherwise.

use std::error::Error;

use rusqlite::Row;
use rusqlite::types::Type;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

/// Fast, and no slower to read than a better one.
const LEVEL: i32 = 1;

/// How many bytes a text has at most, so that a damaged length does not take all memory.
const LONGEST: usize = 1 << 28;

/// Compresses texts.
pub(super) struct Writer(Compressor<'static>);

impl Writer {
    pub(super) fn new() -> rusqlite::Result<Self> {
        let new = || {
            let mut compressor = Compressor::new(LEVEL)?;
            compressor.set_parameter(CParameter::ChecksumFlag(true))?;
            Ok::<_, std::io::Error>(compressor)
        };
        new().map(Self).map_err(unwritable)
    }

    pub(super) fn write(&mut self, text: &str) -> rusqlite::Result<Vec<u8>> {
        if text.len() > LONGEST {
            return Err(unwritable("the text is too long"));
        }
        self.0.compress(text.as_bytes()).map_err(unwritable)
    }
}

fn unwritable(error: impl Into<Box<dyn Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

/// Reads texts back.
pub(super) struct Reader(Decompressor<'static>);

impl Reader {
    pub(super) fn new() -> rusqlite::Result<Self> {
        Decompressor::new().map(Self).map_err(unwritable)
    }

    pub(super) fn read(&mut self, row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
        let unreadable = |error: Box<dyn Error + Send + Sync>| {
            rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, error)
        };
        let document = row.get_ref(column)?.as_blob()?;
        let length = Decompressor::upper_bound(document).filter(|&length| length <= LONGEST);
        let length = length.ok_or_else(|| unreadable("the length makes no sense".into()))?;
        let bytes =
            self.0.decompress(document, length).map_err(|error| unreadable(error.into()))?;
        String::from_utf8(bytes).map_err(|error| unreadable(error.into()))
    }
}
