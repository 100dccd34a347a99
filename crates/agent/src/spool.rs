//! Batches on disk until the server has them: bounded, numbered, and each report once.
//!
//! A report is kept in two steps: its batches are written, then the state says that they count. Batches with numbers
//! beyond the state's are of a report that was not finished; they go when the spool is opened, and the report comes
//! again from the kernel's tables.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use prost::Message as _;
use ringfence_proto::agent::{Batch, Body, LossReason};
use serde::{Deserialize, Serialize};

use crate::batch::{Encoded, loss};

/// How much is kept while nobody takes it.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of all batches together.
    pub bytes: u64,
    /// Age of the oldest batch.
    pub age: Duration,
}

/// What the batches do not say themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Chosen when the numbers began.
    incarnation: u64,
    /// Number of the last batch.
    sequence: u64,
    /// The last report that is in the batches.
    last: Option<(u64, u64)>,
    /// Records that were given up and not yet told of.
    given_up: u64,
}

/// Batches that the server does not have yet.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    bounds: Bounds,
    state: State,
    /// Number, size and time of each batch.
    batches: BTreeMap<u64, (u64, SystemTime)>,
}

impl Spool {
    /// Opens the spool in a directory, which is made if it is not there.
    pub fn open(directory: &Path, bounds: Bounds) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let state = match fs::read(directory.join("state.json")) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State {
                // The random keys of a hasher: as unique as needed.
                incarnation: RandomState::new().build_hasher().finish(),
                sequence: 0,
                last: None,
                given_up: 0,
            },
            Err(error) => return Err(error),
        };
        let mut batches = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(number) = name.to_str().and_then(|name| name.strip_suffix(".batch")) else {
                continue;
            };
            let number: u64 = number.parse().map_err(io::Error::other)?;
            if number > state.sequence {
                fs::remove_file(entry.path())?;
            } else {
                let metadata = entry.metadata()?;
                batches.insert(number, (metadata.len(), metadata.modified()?));
            }
        }
        let spool = Self { directory: directory.to_owned(), bounds, state, batches };
        spool.save()?;
        Ok(spool)
    }

    /// What the numbers belong to.
    pub const fn incarnation(&self) -> u64 {
        self.state.incarnation
    }

    /// Keeps a report, unless it is the one that was kept last: then it came again because the agent stopped before
    /// it could empty the kernel's tables.
    pub fn keep(&mut self, number: (u64, u64), mut batches: Vec<Encoded>) -> io::Result<()> {
        if self.state.last == Some(number) {
            return Ok(());
        }
        let given_up = self.make_room(&batches)?;
        if given_up > 0 {
            batches.push(given_up_batch(given_up));
        }
        let mut sequence = self.state.sequence;
        let mut written = Vec::with_capacity(batches.len());
        for Encoded { records, body } in batches {
            sequence += 1;
            let batch = Batch { sequence, records, body: body.into() }.encode_to_vec();
            write(&self.path(sequence), &batch)?;
            written.push((sequence, (batch.len() as u64, SystemTime::now())));
        }
        let state = State { sequence, last: Some(number), given_up: 0, ..self.state.clone() };
        let before = std::mem::replace(&mut self.state, state);
        if let Err(error) = self.save() {
            self.state = State { given_up, ..before };
            return Err(error);
        }
        self.batches.extend(written);
        Ok(())
    }

    /// The first batch after a number.
    pub fn after(&self, sequence: u64) -> io::Result<Option<Batch>> {
        match self.batches.range(sequence + 1..).next() {
            None => Ok(None),
            Some((number, _)) => {
                let bytes = fs::read(self.path(*number))?;
                Ok(Some(Batch::decode(&*bytes).map_err(io::Error::other)?))
            }
        }
    }

    /// Drops everything up to a number: the server has it.
    pub fn acknowledged(&mut self, sequence: u64) -> io::Result<()> {
        while let Some((number, _)) = self.batches.first_key_value()
            && *number <= sequence
        {
            self.remove(*number)?;
        }
        Ok(())
    }

    /// Gives up a batch that the server will never take, and says so in the next report.
    pub fn give_up(&mut self, sequence: u64) -> io::Result<()> {
        if self.batches.contains_key(&sequence) {
            self.state.given_up += self.records(sequence)?;
            self.save()?;
            self.remove(sequence)?;
        }
        Ok(())
    }

    /// How many batches wait.
    pub fn waiting(&self) -> usize {
        self.batches.len()
    }

    /// Removes the oldest batches as far as it takes, and says how many records were given up so far.
    fn make_room(&mut self, batches: &[Encoded]) -> io::Result<u64> {
        let new: u64 = batches.iter().map(|batch| batch.body.len() as u64 + 64).sum();
        let now = SystemTime::now();
        while let Some((number, (_, written))) = self.batches.first_key_value() {
            let used: u64 = self.batches.values().map(|(size, _)| size).sum();
            let old = now.duration_since(*written).is_ok_and(|age| age > self.bounds.age);
            if !old && used + new <= self.bounds.bytes {
                break;
            }
            let number = *number;
            self.give_up(number)?;
        }
        Ok(self.state.given_up)
    }

    fn records(&self, sequence: u64) -> io::Result<u64> {
        let bytes = fs::read(self.path(sequence))?;
        Ok(u64::from(Batch::decode(&*bytes).map_err(io::Error::other)?.records))
    }

    fn remove(&mut self, sequence: u64) -> io::Result<()> {
        fs::remove_file(self.path(sequence))?;
        self.batches.remove(&sequence);
        Ok(())
    }

    fn path(&self, sequence: u64) -> PathBuf {
        self.directory.join(format!("{sequence:020}.batch"))
    }

    fn save(&self) -> io::Result<()> {
        write(&self.directory.join("state.json"), &serde_json::to_vec(&self.state)?)
    }
}

fn given_up_batch(records: u64) -> Encoded {
    let losses = loss(LossReason::SpoolFull, records).into_iter().collect();
    Encoded { records: 0, body: Body { losses, ..Body::default() }.encode_to_vec() }
}

/// Writes a file that is there whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests;
