//! Writing an archive.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::Path;

use ringfence_flows::EdgeRecord;
use ringfence_model::{Name, Timestamp};
use ringfence_store::{ObjectVersion, Record, Sqlite, Store as _};
use serde::Serialize;

use super::line::{self, Audit, Object, Review, Setting, Source};
use super::{
    AUDIT, ArchiveError, EDGES, HEAD, Head, OBJECTS, PAST_OBJECTS, PAST_REVIEWS, SETTINGS, SOURCES,
    VERSION, at, is_file,
};
use crate::review;

/// Writes everything that is stored of a cluster to a new directory, or to a new file that ends in `.tar.zst`. Works
/// while a server writes to the store: the archive is of one moment.
pub fn export(store: &Sqlite, cluster: &Name, to: &Path) -> Result<(), ArchiveError> {
    if to.exists() {
        return Err(ArchiveError::Exists { path: to.to_owned() });
    }
    if !store.clusters()?.contains(cluster) {
        return Err(ArchiveError::Unknown(cluster.clone()));
    }
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    // Beside its place, so that it can be put there whole.
    let draft = tempfile::tempdir_in(parent).map_err(at(parent))?;
    directory(store, cluster, draft.path())?;
    if is_file(to) {
        pack(draft.path(), to)
    } else {
        std::fs::rename(draft.keep(), to).map_err(at(to))
    }
}

fn directory(store: &Sqlite, cluster: &Name, to: &Path) -> Result<(), ArchiveError> {
    for part in ["cluster", "reviews", "history"] {
        std::fs::create_dir(to.join(part)).map_err(at(to))?;
    }
    let head = Head { archive_version: VERSION, cluster: cluster.to_string() };
    Lines::create(to, HEAD)?.end_with(&head)?;
    let mut files = Files {
        objects: List::create(to)?,
        past: Lines::create(to, PAST_OBJECTS)?,
        edges: Lines::create(to, EDGES)?,
        reviews: Lines::create(to, PAST_REVIEWS)?,
        sources: Lines::create(to, SOURCES)?,
        settings: Lines::create(to, SETTINGS)?,
        audit: Lines::create(to, AUDIT)?,
        namespaces: Vec::new(),
    };
    let mut fault = None;
    let _ = store.export(cluster, &mut |record| match files.add(record) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            fault = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = fault {
        return Err(error);
    }
    let Files { objects, past, edges, reviews, sources, settings, audit, mut namespaces } = files;
    objects.end()?;
    for lines in [past, edges, reviews, sources, settings, audit] {
        lines.end()?;
    }
    namespaces.sort();
    namespaces.dedup();
    for namespace in namespaces {
        let review = review::effective(store, cluster, &namespace).map_err(|error| {
            ArchiveError::Review { namespace: namespace.clone(), fault: error.to_string() }
        })?;
        let path = to.join("reviews").join(review::file_name(&namespace));
        std::fs::write(&path, review.yaml).map_err(at(&path))?;
    }
    Ok(())
}

/// The files in the making.
struct Files {
    objects: List,
    past: Lines,
    edges: Lines,
    reviews: Lines,
    sources: Lines,
    settings: Lines,
    audit: Lines,
    /// With a review of their own.
    namespaces: Vec<Name>,
}

impl Files {
    fn add(&mut self, record: Record) -> Result<(), ArchiveError> {
        match record {
            Record::Object(version) => {
                if !version.deleted && version.valid.until == Timestamp::MAX {
                    self.objects.add(&version)?;
                }
                let file = self.past.file.clone();
                let object = Object::new(version).map_err(|fault| ArchiveError::Line {
                    file,
                    line: self.past.number,
                    fault,
                })?;
                self.past.add(&object)
            }
            Record::Edge(bucket) => self.edges.add(&EdgeRecord::from(&line::known(bucket))),
            Record::Review(version) => {
                self.namespaces.extend(version.key.namespace.clone());
                self.reviews.add(&Review::from(version))
            }
            Record::Source(key, state) => self.sources.add(&Source::new(&key, state)),
            Record::Setting { key, value } => self.settings.add(&Setting { key, value }),
            Record::Audit(entry) => self.audit.add(&Audit::from(entry)),
        }
    }
}

/// A file with a JSON object a line.
struct Lines {
    file: String,
    number: u64,
    out: BufWriter<File>,
}

impl Lines {
    fn create(directory: &Path, file: &str) -> Result<Self, ArchiveError> {
        let path = directory.join(file);
        let out = BufWriter::new(File::create_new(&path).map_err(at(&path))?);
        Ok(Self { file: file.to_owned(), number: 1, out })
    }

    fn add(&mut self, line: &impl Serialize) -> Result<(), ArchiveError> {
        serde_json::to_writer(&mut self.out, line)
            .map_err(std::io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(at(Path::new(&self.file)))?;
        self.number += 1;
        Ok(())
    }

    fn end_with(mut self, line: &impl Serialize) -> Result<(), ArchiveError> {
        self.add(line)?;
        self.end()
    }

    fn end(mut self) -> Result<(), ArchiveError> {
        self.out.flush().map_err(at(Path::new(&self.file)))
    }
}

/// The objects as `kubectl get -o json` prints them.
struct List {
    lines: Lines,
    is_first: bool,
}

impl List {
    fn create(directory: &Path) -> Result<Self, ArchiveError> {
        let mut list = Self { lines: Lines::create(directory, OBJECTS)?, is_first: true };
        list.write("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n")?;
        Ok(list)
    }

    fn add(&mut self, version: &ObjectVersion) -> Result<(), ArchiveError> {
        if !std::mem::take(&mut self.is_first) {
            self.write(",\n")?;
        }
        self.write(&version.json)
    }

    fn end(mut self) -> Result<(), ArchiveError> {
        self.write("\n]}\n")?;
        self.lines.end()
    }

    fn write(&mut self, text: &str) -> Result<(), ArchiveError> {
        self.lines.out.write_all(text.as_bytes()).map_err(at(Path::new(OBJECTS)))
    }
}

/// Packs a directory into one file, which is there only when it is whole.
fn pack(directory: &Path, to: &Path) -> Result<(), ArchiveError> {
    let parent = directory.parent().unwrap_or_else(|| Path::new("."));
    let draft = tempfile::NamedTempFile::new_in(parent).map_err(at(parent))?;
    let packed = || -> std::io::Result<()> {
        let encoder = zstd::stream::write::Encoder::new(draft.as_file(), 0)?;
        let mut tar = tar::Builder::new(encoder);
        tar.mode(tar::HeaderMode::Deterministic);
        // The head first: an import wants to know what it reads.
        tar.append_path_with_name(directory.join(HEAD), HEAD)?;
        for part in ["cluster", "reviews", "history"] {
            tar.append_dir_all(part, directory.join(part))?;
        }
        tar.append_path_with_name(directory.join(EDGES), EDGES)?;
        tar.into_inner()?.finish()?.sync_all()
    };
    packed().map_err(at(to))?;
    draft.persist_noclobber(to).map_err(|error| at(to)(error.error))?;
    Ok(())
}
