//! Batches on disk until the server has them: bounded, numbered, and each report once.
//!
//! A report is kept in two steps: its batches are written, then the state says that they count. Batches with numbers
//! beyond the state's are of a report that was not finished; they go when the spool is opened, and the report comes
//! again from the kernel's tables. What has to be given up is counted, and told to the server by name.

mod file;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use prost::Message as _;
use ringfence_proto::agent::{Batch, Body, Loss, LossReason};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::batch::Encoded;

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
    /// What was given up and not yet told of.
    given_up: GivenUp,
}

/// Records that were given up, and losses that nobody will hear of from the batches that told of them: counts by
/// [`LossReason`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct GivenUp(BTreeMap<i32, u64>);

/// A batch that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    records: u32,
    size: u64,
    /// When it was found or written. Ages are told by a clock that does not jump.
    since: Instant,
    /// How old it was then.
    age: Duration,
}

/// Batches that the server does not have yet.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    bounds: Bounds,
    state: State,
    batches: BTreeMap<u64, Waiting>,
}

/// Why a batch cannot be had.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// A file.
    #[error("the spool cannot be read or written")]
    File(#[from] io::Error),
    /// The batch was damaged on disk; it is given up, and that is told with the next report.
    #[error("{} is damaged: {records} records are given up", path.display())]
    Damaged {
        /// Its file.
        path: PathBuf,
        /// How many records were in it.
        records: u32,
    },
}

/// The state was damaged, so that nobody knows which batches the server has: all are given up, lest anything counts
/// twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the state of the spool is damaged: {records} records are given up, and the numbers begin anew"
)]
pub struct Damage {
    /// How many records were in the batches.
    pub records: u64,
}

impl Spool {
    /// Opens the spool in a directory, which is made if it is not there; and says when it was damaged.
    pub fn open(directory: &Path, bounds: Bounds) -> io::Result<(Self, Option<Damage>)> {
        fs::create_dir_all(directory)?;
        let mut batches = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let Some((number, records)) = entry.file_name().to_str().and_then(file::parse) else {
                continue;
            };
            let metadata = entry.metadata()?;
            let age = SystemTime::now().duration_since(metadata.modified()?).unwrap_or_default();
            let (size, since) = (metadata.len(), Instant::now());
            batches.insert(number, Waiting { records, size, since, age });
        }
        let new = State {
            // The random keys of a hasher: as unique as needed.
            incarnation: RandomState::new().build_hasher().finish(),
            sequence: 0,
            last: None,
            given_up: GivenUp::default(),
        };
        let (state, intact) = match fs::read(directory.join("state.json")) {
            Ok(text) => serde_json::from_slice(&text).map_or((new, false), |state| (state, true)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (new, true),
            Err(error) => return Err(error),
        };
        let mut spool = Self { directory: directory.to_owned(), bounds, state, batches };
        let mut damage = None;
        if !intact {
            let batches: Vec<_> = spool.batches.iter().map(|(&n, &batch)| (n, batch)).collect();
            for &(number, batch) in &batches {
                spool.count(number, batch, LossReason::SpoolDamaged);
            }
            let records = batches.iter().map(|(_, batch)| u64::from(batch.records)).sum();
            damage = Some(Damage { records });
        }
        while let Some((&number, _)) = spool.batches.last_key_value()
            && number > spool.state.sequence
        {
            spool.remove(number)?;
        }
        spool.save()?;
        Ok((spool, damage))
    }

    /// What the numbers belong to.
    pub const fn incarnation(&self) -> u64 {
        self.state.incarnation
    }

    /// Keeps a report, unless it is the one that was kept last: then it came again because the agent stopped before
    /// it could empty the kernel's tables. When the disk is full, the oldest reports are given up for it, and at last
    /// it itself; neither is an error.
    pub fn keep(
        &mut self,
        number: (u64, u64),
        batches: &[Encoded],
        now: Instant,
    ) -> io::Result<()> {
        if self.state.last == Some(number) {
            return Ok(());
        }
        self.make_room(batches, now)?;
        loop {
            match self.write(number, batches, now) {
                Err(error) if is_full(&error) => {
                    let Some((&oldest, &batch)) = self.batches.first_key_value() else {
                        for Encoded { records, body } in batches {
                            self.state.given_up.add(LossReason::SpoolFull, *records, Some(body));
                        }
                        return Ok(());
                    };
                    self.count(oldest, batch, LossReason::SpoolFull);
                    self.remove(oldest)?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Notes what is missing for another reason, to be told with the next report.
    pub fn lost(&mut self, reason: LossReason, count: u64) {
        let GivenUp(counts) = &mut self.state.given_up;
        *counts.entry(reason.into()).or_default() += count;
    }

    /// The first batch after a number.
    ///
    /// # Errors
    /// [`SpoolError::Damaged`] when it is not what was written: then it is given up, and the next call goes on behind.
    pub fn after(&mut self, sequence: u64) -> Result<Option<Batch>, SpoolError> {
        let Some((&number, &batch)) = self.batches.range(sequence + 1..).next() else {
            return Ok(None);
        };
        let records = batch.records;
        let path = self.path(number, records);
        let body = match fs::read(&path) {
            Ok(bytes) => file::open(&bytes, number).map(<[u8]>::to_vec),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        match body {
            Some(body) => Ok(Some(Batch { sequence: number, records, body: body.into() })),
            None => {
                self.count(number, batch, LossReason::SpoolDamaged);
                self.save()?;
                self.remove(number)?;
                Err(SpoolError::Damaged { path, records })
            }
        }
    }

    /// Drops everything up to a number: the server has it.
    pub fn acknowledged(&mut self, sequence: u64) -> io::Result<()> {
        while let Some((&number, _)) = self.batches.first_key_value()
            && number <= sequence
        {
            self.remove(number)?;
        }
        Ok(())
    }

    /// Gives up a batch that the server will never take, and says so in the next report.
    pub fn give_up(&mut self, sequence: u64) -> io::Result<()> {
        if let Some(&batch) = self.batches.get(&sequence) {
            self.count(sequence, batch, LossReason::SpoolFull);
            match self.save() {
                // It is told with the next report that is written.
                Err(error) if is_full(&error) => {}
                outcome => outcome?,
            }
            self.remove(sequence)?;
        }
        Ok(())
    }

    /// How many batches wait.
    pub fn waiting(&self) -> usize {
        self.batches.len()
    }

    /// Writes a report and what was given up before it, and then that it counts. When that fails, nothing of it counts.
    fn write(&mut self, number: (u64, u64), batches: &[Encoded], now: Instant) -> io::Result<()> {
        let told = self.state.given_up.told();
        let mut sequence = self.state.sequence;
        let mut written = Vec::with_capacity(batches.len() + 1);
        let outcome = batches.iter().chain(&told).try_for_each(|Encoded { records, body }| {
            sequence += 1;
            let contents = file::close(body, sequence);
            let path = self.path(sequence, *records);
            let size = contents.len() as u64;
            let batch = Waiting { records: *records, size, since: now, age: Duration::ZERO };
            written.push((sequence, batch));
            file::write(&path, &contents)
        });
        let outcome = outcome.and_then(|()| file::settle(&self.directory)).and_then(|()| {
            let given_up = GivenUp::default();
            let state = State { sequence, last: Some(number), given_up, ..self.state.clone() };
            self.save_as(&state)?;
            self.state = state;
            Ok(())
        });
        match outcome {
            Ok(()) => self.batches.extend(written),
            Err(_) => {
                for (sequence, batch) in written {
                    // What is left of them goes at the latest when the spool is opened again.
                    let _ = fs::remove_file(self.path(sequence, batch.records));
                }
            }
        }
        outcome
    }

    /// Removes the oldest batches as far as it takes.
    fn make_room(&mut self, batches: &[Encoded], now: Instant) -> io::Result<()> {
        let new: u64 = batches.iter().map(|batch| batch.body.len() as u64 + 64).sum();
        let mut used: u64 = self.batches.values().map(|batch| batch.size).sum();
        while let Some((&number, batch)) = self.batches.first_key_value() {
            let age = now.saturating_duration_since(batch.since) + batch.age;
            if age <= self.bounds.age && used + new <= self.bounds.bytes {
                break;
            }
            used -= batch.size;
            self.give_up(number)?;
        }
        Ok(())
    }

    /// Counts a batch among what was given up.
    fn count(&mut self, sequence: u64, batch: Waiting, reason: LossReason) {
        let bytes = fs::read(self.path(sequence, batch.records)).ok();
        let body = bytes.as_deref().and_then(|bytes| file::open(bytes, sequence));
        self.state.given_up.add(reason, batch.records, body);
    }

    fn remove(&mut self, sequence: u64) -> io::Result<()> {
        if let Some(batch) = self.batches.get(&sequence) {
            match fs::remove_file(self.path(sequence, batch.records)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => drop(self.batches.remove(&sequence)),
            }
        }
        Ok(())
    }

    fn path(&self, sequence: u64, records: u32) -> PathBuf {
        self.directory.join(file::name(sequence, records))
    }

    fn save(&self) -> io::Result<()> {
        self.save_as(&self.state)
    }

    fn save_as(&self, state: &State) -> io::Result<()> {
        file::write(&self.directory.join("state.json"), &serde_json::to_vec(state)?)?;
        file::settle(&self.directory)
    }
}

impl GivenUp {
    /// Adds the records of a batch, and the losses that it would have told of.
    fn add(&mut self, reason: LossReason, records: u32, body: Option<&[u8]>) {
        let Self(counts) = self;
        *counts.entry(reason.into()).or_default() += u64::from(records);
        let body = body.and_then(|body| Body::decode(body).ok());
        for Loss { reason, count } in body.map(|body| body.losses).unwrap_or_default() {
            *counts.entry(reason).or_default() += count;
        }
    }

    /// All of it as a batch of its own.
    fn told(&self) -> Option<Encoded> {
        let Self(counts) = self;
        let counts = counts.iter().filter(|(_, count)| **count > 0);
        let losses: Vec<_> = counts.map(|(&reason, &count)| Loss { reason, count }).collect();
        if losses.is_empty() {
            return None;
        }
        Some(Encoded { records: 0, body: Body { losses, ..Body::default() }.encode_to_vec() })
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests;
