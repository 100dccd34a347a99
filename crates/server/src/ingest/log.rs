//! A flow log, whole: read in bounded memory, and stored once, known by its contents.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::sync::Arc;
use std::time::Duration;

use ringfence_flows::{Aggregator, Bucketed, Options, ReadError, ReadOptions, read_flows, span_of};
use ringfence_inventory::Inventory;
use ringfence_model::{Name, ObserverKind, Span, Timestamp};
use ringfence_store::{Advance, Arrivals, Ledger, SourceKey, SourceKind, SourceState, StoreError};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::Shared;
use super::counted::{ledger, told};
use super::queue::{Job, Ready};

/// How many connections of a log to keep in mind.
const CONNECTIONS: usize = 200_000;

/// The time buckets of its edges.
const BUCKET: Duration = Duration::from_mins(1);

/// About how many bytes an edge takes while it waits.
const EDGE: usize = 256;

/// What became of a log.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// The digest of its contents.
    pub(super) digest: String,
    /// What became of its lines.
    pub(super) ledger: Ledger,
    /// How many edges it told of, in how many minutes.
    pub(super) edges: usize,
    /// From its first flow to just after the last.
    pub(super) window: Option<Span>,
}

/// Why a log was not stored. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be read again.
    #[error("the log cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The store does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server stops.
    #[error("the server stops")]
    Stopped,
}

/// The digest of what a file contains.
pub(super) fn digest(mut file: &File) -> io::Result<String> {
    file.rewind()?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&digest.finalize())),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// Bytes as text.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| DIGITS[usize::from(digit)])
        .collect()
}

impl Shared {
    /// What is stored of a log.
    pub(super) async fn known(
        self: &Arc<Self>,
        source: &SourceKey,
    ) -> Result<Option<SourceState>, LogError> {
        let (shared, source) = (Arc::clone(self), source.clone());
        let known = tokio::task::spawn_blocking(move || shared.app.store.source(&source)).await;
        Ok(known.map_err(|_| LogError::Stopped)??)
    }

    /// Takes a log in. `name` is for messages.
    pub(super) async fn log(
        self: &Arc<Self>,
        cluster: &Name,
        file: File,
        digest: String,
        name: String,
    ) -> Result<Taken, LogError> {
        let kind = SourceKind::File;
        let source = SourceKey { cluster: cluster.clone(), kind, name: digest.as_str().into() };
        // Two that send the same wait for each other here, so that the second finds it stored.
        let _turn = self.logs.acquire().await.map_err(|_| LogError::Stopped)?;
        if let Some(state) = self.known(&source).await? {
            return self.again(source, &state, digest).await;
        }
        let shared = Arc::clone(self);
        let from = source.clone();
        let read = tokio::task::spawn_blocking(move || shared.read(&from, &file, &name)).await;
        let (arrivals, window) = read.map_err(|_| LogError::Stopped)??;
        let edges = arrivals.edges.len();
        let ledger = arrivals.advances.first().map(|a| a.ledger.clone()).unwrap_or_default();
        self.record(arrivals).await?;
        Ok(Taken { digest, ledger, edges, window })
    }

    /// A log that is stored already: all of its lines are duplicates.
    async fn again(
        &self,
        source: SourceKey,
        state: &SourceState,
        digest: String,
    ) -> Result<Taken, LogError> {
        // Every time before it came with as many lines.
        let lines = state.ledger.received - state.ledger.duplicate;
        let ledger = Ledger { received: lines, duplicate: lines, ..Ledger::default() };
        let SourceState { incarnation, sequence, .. } = *state;
        let at = self.app.clock.now();
        let advance = Advance { source, incarnation, sequence, at, ledger: ledger.clone() };
        self.record(Arrivals { advances: vec![advance], ..Arrivals::default() }).await?;
        Ok(Taken { digest, ledger, edges: 0, window: None })
    }

    /// Puts arrivals into the queue and waits until they are stored.
    pub(super) async fn record(&self, arrivals: Arrivals) -> Result<(), LogError> {
        let room = self.queue.room(arrivals.edges.len() * EDGE).await.ok_or(LogError::Stopped)?;
        let (done, stored) = oneshot::channel();
        if !self.queue.put(Job::Ready(Ready { arrivals, done, room })) {
            return Err(LogError::Stopped);
        }
        Ok(stored.await.map_err(|_| LogError::Stopped)??)
    }

    /// Reads a log twice: when it was, and what it says. Blocks.
    fn read(
        &self,
        source: &SourceKey,
        mut file: &File,
        name: &str,
    ) -> Result<(Arrivals, Option<Span>), LogError> {
        let cluster = &source.cluster;
        file.rewind()?;
        let span = span_of(file, name, ReadOptions::default())?;
        let inventory = self.inventory(cluster, span)?;
        let now = self.app.clock.now();
        let options =
            Options { window: self.window(now), connections: CONNECTIONS, bucket: Some(BUCKET) };
        let mut aggregator = Aggregator::new(&*inventory, options);
        file.rewind()?;
        read_flows(file, name, ReadOptions::default(), &mut aggregator, |_| {})?;
        let Bucketed { buckets, ledger: lines, window, diagnostics } =
            aggregator.finish_in_buckets();
        for finding in diagnostics {
            tracing::warn!(%finding, "flow log");
        }
        let advance = Advance {
            source: source.clone(),
            incarnation: 0,
            sequence: 1,
            at: now,
            ledger: ledger(&lines),
        };
        let edges = told(cluster, ObserverKind::FlowLog, buckets).collect();
        Ok((Arrivals { edges, advances: vec![advance], ..Arrivals::default() }, window))
    }

    /// The flows that are stored.
    pub(super) fn window(&self, now: Timestamp) -> Span {
        let before = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        Span {
            from: self.options.retention.map_or(Timestamp::MIN, |retention| {
                Timestamp::from_nanos(now.nanos().saturating_sub(before(retention)))
            }),
            until: Timestamp::from_nanos(now.nanos().saturating_add(before(self.options.ahead))),
        }
    }

    /// The cluster as it was, from its history; as it is now when there is none of that time. Blocks.
    fn inventory(&self, cluster: &Name, span: Option<Span>) -> Result<Arc<Inventory>, StoreError> {
        if let Some(span) = span {
            let (past, _) = crate::watch::past(&self.app, cluster, span)?;
            if !past.pods().is_empty() || !past.nodes().is_empty() {
                return Ok(Arc::new(past));
            }
        }
        Ok(Arc::clone(&self.app.cluster_or_new(cluster).view().inventory))
    }
}
