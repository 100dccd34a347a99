//! Flow logs: plain or compressed, in any of the formats.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use ringfence_model::resolve::Resolver;
use ringfence_model::{Flow, Origin, Span, Timestamp};

use crate::aggregate::Aggregator;
use crate::fault::Fault;
use crate::hubble::Hubble;
use crate::json::Cursor;
use crate::known::{EdgeRecord, KnownEdge};
use crate::ledger::Skip;
use crate::lines::{Line, Lines};
use crate::record::Records;

/// How to read.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Lines with more bytes are counted and skipped.
    pub max_line: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { max_line: 4 << 20 }
    }
}

/// Why a log could not be read to its end. What was read until then has gone to the aggregator.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("{name}: cannot be opened: {source}")]
    Open {
        /// The file.
        name: Arc<str>,
        /// Why.
        source: io::Error,
    },
    /// The compressed data ends before the end that its format marks.
    #[error(
        "{name}: the compressed data ends too early, after {lines} lines ({bytes} bytes of the file)"
    )]
    Truncated {
        /// The file.
        name: Arc<str>,
        /// Whole lines read.
        lines: u64,
        /// Bytes of the file read.
        bytes: u64,
    },
    /// Reading or decompressing failed.
    #[error("{name}: reading failed after {lines} lines ({bytes} bytes of the file): {source}")]
    Read {
        /// The file.
        name: Arc<str>,
        /// Whole lines read.
        lines: u64,
        /// Bytes of the file read.
        bytes: u64,
        /// Why.
        source: io::Error,
    },
    /// There are lines, and none is of a known format.
    #[error("{name}: none of the {lines} lines is a Hubble flow or a Ringfence record")]
    Format {
        /// The file.
        name: Arc<str>,
        /// Lines read.
        lines: u64,
    },
}

/// What a line turned out to be.
pub(crate) enum Item {
    /// A flow.
    Flow(Flow),
    /// An edge that was resolved and counted before.
    Known(Box<KnownEdge>),
    /// The source lost this many events.
    Lost(u64),
    /// No evidence, and nothing wrong.
    Skip(Skip),
}

/// The format of a log, found from its first line that has one.
enum Format {
    Unknown,
    Hubble(Hubble),
    Records(Records),
    Edges,
}

impl Format {
    fn decode(&mut self, line: &[u8]) -> Result<Item, Fault> {
        if !line.is_ascii() && std::str::from_utf8(line).is_err() {
            return Err(Fault::Utf8);
        }
        if let Self::Unknown = self {
            *self = Self::detect(line)?;
        }
        match self {
            Self::Unknown => Err(Fault::Unknown),
            Self::Hubble(hubble) => hubble.decode(line),
            Self::Records(records) => records.decode(line),
            Self::Edges => EdgeRecord::decode(line).map(|edge| Item::Known(Box::new(edge))),
        }
    }

    fn detect(line: &[u8]) -> Result<Self, Fault> {
        let mut format = Self::Unknown;
        let mut cursor = Cursor::new(line);
        cursor.object::<Fault>(|key, at| {
            at.value()?;
            if let Self::Unknown = format {
                if Hubble::is_key(key) {
                    format = Self::Hubble(Hubble::new());
                } else if Records::is_key(key) {
                    format = Self::Records(Records::new());
                } else if EdgeRecord::is_key(key) {
                    format = Self::Edges;
                }
            }
            Ok(())
        })?;
        cursor.finish()?;
        Ok(format)
    }
}

/// Reads the log in a file into the aggregator. `progress` is told the bytes of the file read so far, now and then.
pub fn read_file(
    path: &Path,
    options: ReadOptions,
    aggregator: &mut Aggregator<'_, impl Resolver>,
    progress: impl FnMut(u64),
) -> Result<(), ReadError> {
    let name: Arc<str> = path.display().to_string().into();
    match File::open(path) {
        Ok(file) => read_flows(file, &name, options, aggregator, progress),
        Err(source) => Err(ReadError::Open { name, source }),
    }
}

/// Reads a log into the aggregator: plain, gzip or zstd, in whatever format it is. `name` is for messages.
/// `progress` is told the bytes of the input read so far, now and then.
pub fn read_flows(
    input: impl Read,
    name: &str,
    options: ReadOptions,
    aggregator: &mut Aggregator<'_, impl Resolver>,
    progress: impl FnMut(u64),
) -> Result<(), ReadError> {
    read_lines(input, name, options, progress, |line, at| match line {
        Outcome::Oversized => aggregator.oversized(at()),
        Outcome::Item(Item::Flow(flow)) => aggregator.add(&flow),
        Outcome::Item(Item::Known(edge)) => aggregator.know(*edge),
        Outcome::Item(Item::Lost(events)) => aggregator.lost(events),
        Outcome::Item(Item::Skip(reason)) => aggregator.skip(reason),
        Outcome::Fault(fault) => aggregator.malformed(&fault, at()),
    })
}

/// From the first flow of a log to just after the last; `None` without flows. Reads all of it.
pub fn span_of(
    input: impl Read,
    name: &str,
    options: ReadOptions,
) -> Result<Option<Span>, ReadError> {
    let mut span: Option<(Timestamp, Timestamp)> = None;
    read_lines(
        input,
        name,
        options,
        |_| {},
        |line, _| {
            if let Outcome::Item(Item::Flow(Flow { start, end, .. })) = line {
                let (first, last) = span.get_or_insert((start, end));
                *first = start.min(*first);
                *last = end.max(*last);
            }
        },
    )?;
    Ok(span.map(|(from, last)| Span {
        from,
        until: Timestamp::from_nanos(last.nanos().saturating_add(1)),
    }))
}

/// A line as it was read.
enum Outcome {
    Item(Item),
    Fault(Fault),
    Oversized,
}

/// Reads a log. `each` is given every line that is not blank, and where it is.
fn read_lines(
    input: impl Read,
    name: &str,
    options: ReadOptions,
    mut progress: impl FnMut(u64),
    mut each: impl FnMut(Outcome, &dyn Fn() -> Origin),
) -> Result<(), ReadError> {
    let origin = Origin::new(name, 0);
    let mut taken = 0;
    let counted = Counted {
        input,
        taken: |bytes| {
            taken += bytes;
            progress(taken);
        },
    };
    let mut lines = 0u64;
    let mut format = Format::Unknown;
    let result = decompressed(counted).and_then(|input| {
        let mut input = Lines::new(input, options.max_line);
        let mut number = 0u32;
        while let Some(line) = input.next()? {
            number = number.saturating_add(1);
            let at = || origin.at(number);
            let outcome = match line {
                Line::Oversized => Outcome::Oversized,
                Line::Whole(line) if line.trim_ascii().is_empty() => continue,
                Line::Whole(line) => format.decode(line).map_or_else(Outcome::Fault, Outcome::Item),
            };
            each(outcome, &at);
            lines += 1;
        }
        Ok(())
    });
    let name = || Arc::clone(&origin.file);
    match result {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(ReadError::Truncated { name: name(), lines, bytes: taken })
        }
        Err(source) => Err(ReadError::Read { name: name(), lines, bytes: taken, source }),
        Ok(()) if lines > 0 && matches!(format, Format::Unknown) => {
            Err(ReadError::Format { name: name(), lines })
        }
        Ok(()) => Ok(()),
    }
}

/// Tells how many bytes are taken from an input.
struct Counted<R, F> {
    input: R,
    taken: F,
}

impl<R: Read, F: FnMut(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        (self.taken)(read as u64);
        Ok(read)
    }
}

/// Looks at the first bytes for the signs of gzip (RFC 1952) and zstd (RFC 8878).
fn decompressed<'a>(mut input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut magic)?;
    let gzip = magic.starts_with(&[0x1f, 0x8b]);
    let zstd = magic == [0x28, 0xb5, 0x2f, 0xfd];
    let whole = io::Cursor::new(magic).chain(input);
    Ok(if gzip {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, whole)))
    } else if zstd {
        Box::new(zstd::stream::read::Decoder::new(whole)?)
    } else {
        Box::new(whole)
    })
}
