//! Reading an archive.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use ringfence_flows::{EdgeRecord, KnownEdge};
use ringfence_model::Name;
use ringfence_store::{Import, Record, Sqlite};
use serde::de::DeserializeOwned;

use super::line::{self, Audit, Object, Review, Setting, Source};
use super::{
    AUDIT, ArchiveError, EDGES, HEAD, Head, PAST_OBJECTS, PAST_REVIEWS, SETTINGS, SOURCES, VERSION,
    at, is_file,
};

/// Takes a cluster from an archive into a store, under another name when one is given. Nothing is seen of it before
/// all of it is there. Returns the name.
pub fn import(store: &Sqlite, from: &Path, name: Option<&Name>) -> Result<Name, ArchiveError> {
    let head = head(from)?;
    let foreign = |fault: String| ArchiveError::Foreign { path: from.to_owned(), fault };
    if head.archive_version != VERSION {
        return Err(foreign(format!(
            "it has version {}, and this version of ringfence reads {VERSION}",
            head.archive_version
        )));
    }
    let own = Name::new(head.cluster).map_err(|e| foreign(e.to_string()))?;
    let cluster = name.cloned().unwrap_or(own);
    let mut taking = Taking { import: store.import(&cluster)?, cluster: cluster.clone() };
    if is_file(from) {
        let mut tar = unpacked(from)?;
        for entry in tar.entries().map_err(at(from))? {
            let entry = entry.map_err(at(from))?;
            let file = entry.path().map_err(at(from))?.to_string_lossy().into_owned();
            taking.file(&file, entry)?;
        }
    } else {
        for file in [PAST_OBJECTS, PAST_REVIEWS, SOURCES, SETTINGS, AUDIT, EDGES] {
            let path = from.join(file);
            taking.file(file, File::open(&path).map_err(at(&path))?)?;
        }
    }
    taking.import.finish()?;
    Ok(cluster)
}

/// What the archive says of itself.
fn head(from: &Path) -> Result<Head, ArchiveError> {
    let foreign = |fault: String| ArchiveError::Foreign { path: from.to_owned(), fault };
    let read = |input: &mut dyn Read| {
        serde_json::from_reader(input.take(1 << 16)).map_err(|e| foreign(format!("{HEAD}: {e}")))
    };
    if !is_file(from) {
        let path = from.join(HEAD);
        return read(&mut File::open(&path).map_err(at(&path))?);
    }
    let mut tar = unpacked(from)?;
    let mut entries = tar.entries().map_err(at(from))?;
    match entries.next() {
        Some(Ok(mut entry)) if entry.path().is_ok_and(|path| path == Path::new(HEAD)) => {
            read(&mut entry)
        }
        _ => Err(foreign(format!("it does not begin with {HEAD}"))),
    }
}

type Unpacked = tar::Archive<zstd::stream::read::Decoder<'static, BufReader<File>>>;

fn unpacked(from: &Path) -> Result<Unpacked, ArchiveError> {
    let file = File::open(from).map_err(at(from))?;
    Ok(tar::Archive::new(zstd::stream::read::Decoder::new(file).map_err(at(from))?))
}

/// A cluster on its way in.
struct Taking<'s> {
    import: Import<'s>,
    cluster: Name,
}

impl Taking<'_> {
    /// Takes a file of the archive. What can be made again from the others is left out.
    fn file(&mut self, file: &str, input: impl Read) -> Result<(), ArchiveError> {
        let cluster = self.cluster.clone();
        match file {
            PAST_OBJECTS => {
                self.lines(file, input, |line: Object| Ok(Record::Object(line.stored()?)))
            }
            PAST_REVIEWS => {
                self.lines(file, input, |line: Review| Ok(Record::Review(line.stored(&cluster)?)))
            }
            SOURCES => self.lines(file, input, |line: Source| {
                let (key, state) = line.stored(&cluster)?;
                Ok(Record::Source(key, state))
            }),
            SETTINGS => {
                self.lines(file, input, |Setting { key, value }| Ok(Record::Setting { key, value }))
            }
            AUDIT => self.lines(file, input, |line: Audit| Ok(Record::Audit(line.into()))),
            EDGES => self.lines(file, input, |line: EdgeRecord| {
                Ok(Record::Edge(line::bucket(KnownEdge::try_from(line)?)?))
            }),
            _ => Ok(()),
        }
    }

    fn lines<L: DeserializeOwned>(
        &mut self,
        file: &str,
        input: impl Read,
        record: impl Fn(L) -> Result<Record, String>,
    ) -> Result<(), ArchiveError> {
        let mut input = BufReader::new(input);
        let mut text = String::new();
        let mut number = 0;
        loop {
            text.clear();
            number += 1;
            if input.read_line(&mut text).map_err(at(Path::new(file)))? == 0 {
                return Ok(());
            }
            let line = serde_json::from_str(&text).map_err(|e| e.to_string()).and_then(&record);
            let line = line.map_err(|fault| ArchiveError::Line {
                file: file.to_owned(),
                line: number,
                fault,
            })?;
            self.import.add(line)?;
        }
    }
}
