//! What ingest has done, in numbers that never go down, and what waits.

use std::sync::atomic::{AtomicU64, Ordering};

use ringfence_proto::agent::LossReason;
use ringfence_store::{DropReason, Ledger, SourceKind};

/// Counters since the start of the process. Ledgers over all time are in the store.
#[derive(Debug, Default)]
pub struct Stats {
    pub(super) streams: AtomicU64,
    pub(super) queued: AtomicU64,
    pub(super) queued_bytes: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) failed_commits: AtomicU64,
    agents: Counters,
    relays: Counters,
    files: Counters,
    losses: [AtomicU64; REASONS.len()],
}

#[derive(Debug, Default)]
struct Counters {
    received: AtomicU64,
    stored: AtomicU64,
    duplicate: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

/// What became of the records of a kind of source since the start of the process.
pub type SourceCounts = Ledger;

impl Stats {
    /// Streams of agents that are open.
    pub fn streams(&self) -> u64 {
        read(&self.streams)
    }

    /// Batches and logs that wait to be stored.
    pub fn queued(&self) -> u64 {
        read(&self.queued)
    }

    /// Bytes of them.
    pub fn queued_bytes(&self) -> u64 {
        read(&self.queued_bytes)
    }

    /// Batches of agents stored, repeated ones included.
    pub fn batches(&self) -> u64 {
        read(&self.batches)
    }

    /// Transactions that were stored.
    pub fn commits(&self) -> u64 {
        read(&self.commits)
    }

    /// Transactions that the store refused.
    pub fn failed_commits(&self) -> u64 {
        read(&self.failed_commits)
    }

    /// What became of the records of a kind of source.
    pub fn counts(&self, kind: SourceKind) -> SourceCounts {
        let Counters { received, stored, duplicate, dropped } = self.counters(kind);
        Ledger {
            received: read(received),
            stored: read(stored),
            duplicate: read(duplicate),
            dropped: DropReason::ALL.into_iter().zip(dropped.iter().map(read)).collect(),
        }
    }

    /// What agents could not see or had to give up, by reason.
    pub fn losses(&self) -> impl Iterator<Item = (LossReason, u64)> {
        REASONS.into_iter().zip(self.losses.iter().map(read))
    }

    pub(super) fn add(&self, kind: SourceKind, ledger: &Ledger) {
        let counters = self.counters(kind);
        add(&counters.received, ledger.received);
        add(&counters.stored, ledger.stored);
        add(&counters.duplicate, ledger.duplicate);
        for (reason, counter) in DropReason::ALL.iter().zip(&counters.dropped) {
            add(counter, ledger.dropped.get(reason).copied().unwrap_or_default());
        }
    }

    pub(super) fn lost(&self, reason: LossReason, count: u64) {
        for (known, counter) in REASONS.iter().zip(&self.losses) {
            if *known == reason {
                add(counter, count);
            }
        }
    }

    fn counters(&self, kind: SourceKind) -> &Counters {
        match kind {
            SourceKind::Agent => &self.agents,
            SourceKind::Hubble => &self.relays,
            SourceKind::File => &self.files,
        }
    }
}

const REASONS: [LossReason; 7] = [
    LossReason::Unspecified,
    LossReason::MapFull,
    LossReason::EventsLost,
    LossReason::Unattributed,
    LossReason::SpoolFull,
    LossReason::ProbeRefused,
    LossReason::SpoolDamaged,
];

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

pub(super) fn take(counter: &AtomicU64, count: u64) {
    counter.fetch_sub(count, Ordering::Relaxed);
}
