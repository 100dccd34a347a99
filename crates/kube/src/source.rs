//! Bytes from files, directories and standard input, decompressed, within limits.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use memchr::memrchr;

/// The most that is read of one input after decompression: a dump of 100,000 pods is a third of it.
pub(crate) const MAX_BYTES: usize = 1 << 30;
/// The longest line of YAML: an object as a whole has at most 1.5 MiB in the store of the cluster.
pub(crate) const MAX_LINE: usize = 4 << 20;
/// How deep directories are searched.
const MAX_DIRECTORIES: usize = 32;

/// Why an input cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is longer than {} MiB", MAX_BYTES >> 20)]
    TooLong,
    #[error("has a line longer than {} MiB", MAX_LINE >> 20)]
    LongLine {
        /// The line.
        line: u32,
    },
}

/// Reads to the end. gzip and zstd are known by their first bytes, whatever the name says.
pub(crate) fn read(mut input: impl Read) -> Result<Vec<u8>, SourceError> {
    let mut magic = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut magic)?;
    let whole = io::Cursor::new(magic.clone()).chain(input);
    match magic.as_slice() {
        [0x1f, 0x8b, ..] => limited(flate2::read::MultiGzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd] => limited(zstd::Decoder::new(whole)?),
        _ => limited(whole),
    }
}

/// Reads a file.
pub(crate) fn file(path: &Path) -> Result<Vec<u8>, SourceError> {
    read(File::open(path)?)
}

fn limited(mut input: impl Read) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    let mut line_start = 0;
    loop {
        let before = bytes.len();
        let read = input.by_ref().take(1 << 20).read_to_end(&mut bytes)?;
        if read == 0 {
            return Ok(bytes);
        }
        if bytes.len() > MAX_BYTES {
            return Err(SourceError::TooLong);
        }
        if let Some(newline) = memrchr(b'\n', &bytes[before..]) {
            line_start = before + newline + 1;
        }
        // JSON is often one line; its strings are bounded by the file.
        if bytes.len() - line_start > MAX_LINE && !is_json(&bytes) {
            let line = memchr::memchr_iter(b'\n', &bytes).count() + 1;
            return Err(SourceError::LongLine { line: u32::try_from(line).unwrap_or(u32::MAX) });
        }
    }
}

/// Whether the text looks like JSON rather than YAML.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// The manifests below a directory, sorted. Hidden entries are left out, so that neither `.git` nor the links with
/// which a mounted `ConfigMap` is updated are read.
pub(crate) fn manifests(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![(directory.to_path_buf(), 0)];
    while let Some((directory, depth)) = open.pop() {
        if !seen.insert(directory.canonicalize()?) {
            continue;
        }
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                if depth < MAX_DIRECTORIES {
                    open.push((path, depth + 1));
                }
            } else if is_manifest(&path) {
                found.insert(path);
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn is_manifest(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return false };
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    Path::new(name).extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}
