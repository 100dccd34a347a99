//! Files of the spool: whole or not at all, and found out when they are damaged.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// Bytes of the digest before the contents.
const DIGEST: usize = 32;

/// The name of a batch: it says how many records are in it, so that they can be counted when the rest is damaged.
pub(super) fn name(sequence: u64, records: u32) -> String {
    format!("{sequence:020}.{records}.batch")
}

/// The number of a batch and its records, by its name.
pub(super) fn parse(name: &str) -> Option<(u64, u32)> {
    let (sequence, records) = name.strip_suffix(".batch")?.split_once('.')?;
    Some((sequence.parse().ok()?, records.parse().ok()?))
}

/// What a file of a batch holds.
pub(super) fn close(body: &[u8], sequence: u64) -> Vec<u8> {
    let mut bytes = digest(body, sequence).to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// The body again, unless it is damaged or another batch's.
pub(super) fn open(bytes: &[u8], sequence: u64) -> Option<&[u8]> {
    let (found, body) = bytes.split_at_checked(DIGEST)?;
    (found == digest(body, sequence)).then_some(body)
}

fn digest(body: &[u8], sequence: u64) -> [u8; DIGEST] {
    let mut digest = Sha256::new();
    digest.update(sequence.to_be_bytes());
    digest.update(body);
    digest.finalize().into()
}

/// Writes a file that is there whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&unfinished, path)
    };
    let outcome = write();
    if outcome.is_err() {
        // It takes room, which may be what is missing.
        let _ = fs::remove_file(&unfinished);
    }
    outcome
}

/// Waits until the names of what was written are on disk too.
pub(super) fn settle(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
