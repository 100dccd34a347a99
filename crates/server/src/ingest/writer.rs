//! The one writer: counts what waits, and stores it in groups.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ringfence_flows::{CountedFlow, Counter};
use ringfence_model::flow::Side;
use ringfence_model::object::Host;
use ringfence_model::resolve::Resolver;
use ringfence_model::{Name, ObserverKind, Span, Timestamp};
use ringfence_proto::agent::{Batch, LossReason};
use ringfence_store::{Advance, Arrivals, DropReason, Ledger, SourceKey, StoreError};
use tokio::sync::mpsc::UnboundedReceiver;
use tonic::Code;

use super::Options;
use super::agents::Agents;
use super::body::{Body, Row};
use super::counted::counted;
use super::hosts::{Described, note};
use super::presence::Said;
use super::queue::{Job, Ready, Waiting};
use super::stats::{Stats, add};
use crate::app::App;
use crate::event::Event;

/// Seconds of the time buckets that batches are counted in. The store cuts them down to its own.
const BUCKET: u32 = 60;

/// A group that has so many bytes is stored without waiting for more.
const GROUP: usize = 16 << 20;

/// How many sources to remember the progress of. The store knows it of all.
const SOURCES: usize = 100_000;

/// Counts and stores, on a thread of its own, because storing waits for the disk.
pub(super) struct Writer {
    app: Arc<App>,
    agents: Arc<Agents>,
    stats: Arc<Stats>,
    retention: Option<i64>,
    ahead: i64,
    /// How far the incarnations of sources have come.
    marks: HashMap<(SourceKey, u64), u64>,
}

/// What a group comes to.
struct Counted {
    arrivals: Arrivals,
    /// What agents say of the machines outside Kubernetes that they run on.
    hosts: Vec<Described>,
    /// How far the incarnations of its sources come with it.
    marks: HashMap<(SourceKey, u64), u64>,
    /// What agents say is missing.
    losses: Vec<(LossReason, u64)>,
}

/// What is stored together.
#[derive(Default)]
struct Group {
    batches: Vec<Waiting>,
    bytes: usize,
    incarnations: HashMap<SourceKey, u64>,
}

impl Writer {
    pub(super) fn new(
        app: Arc<App>,
        options: &Options,
        agents: &Arc<Agents>,
        stats: &Arc<Stats>,
    ) -> Self {
        let nanos =
            |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        Self {
            app,
            agents: Arc::clone(agents),
            stats: Arc::clone(stats),
            retention: options.retention.map(nanos),
            ahead: nanos(options.ahead),
            marks: HashMap::new(),
        }
    }

    /// Works until nobody can put jobs any more.
    pub(super) fn run(mut self, mut jobs: UnboundedReceiver<Job>) {
        let mut next = None;
        while let Some(job) = next.take().or_else(|| jobs.blocking_recv()) {
            match job {
                Job::Batch(first) => {
                    let mut group = Group::default();
                    let mut job = Some(Job::Batch(first));
                    while let Some(taken) = job.take() {
                        match group.take(taken) {
                            None if group.bytes < GROUP => job = jobs.try_recv().ok(),
                            other => next = other,
                        }
                    }
                    self.store(group);
                }
                Job::Ready(Ready { arrivals, done, room }) => {
                    // Who gave up waiting need not know.
                    let _ = done.send(self.record(&arrivals));
                    drop(room);
                }
                Job::Mark(done) => drop(done.send(())),
            }
        }
    }

    /// Stores arrivals, and tells who watches.
    fn record(&self, arrivals: &Arrivals) -> Result<(), StoreError> {
        if let Err(fault) = self.app.store.record(arrivals) {
            if !matches!(fault, StoreError::Repeated { .. }) {
                add(&self.stats.failed_commits, 1);
                tracing::error!(%fault, "flows cannot be stored");
            }
            return Err(fault);
        }
        add(&self.stats.commits, 1);
        for advance in &arrivals.advances {
            self.stats.add(advance.source.kind, &advance.ledger);
        }
        let clusters: BTreeSet<&Name> = arrivals.edges.iter().map(|edge| &edge.cluster).collect();
        for cluster in clusters {
            self.app.events.send(Event::Edges { cluster: cluster.clone() });
        }
        Ok(())
    }

    fn store(&mut self, mut group: Group) {
        // Of a stream that has failed nothing more may be stored.
        group.batches.retain(|waiting| !waiting.outlet.has_failed());
        if group.batches.is_empty() {
            return;
        }
        loop {
            let Counted { arrivals, hosts, marks, losses } = self.count(&group);
            // Before what refers to it; storing it again does no harm.
            let noted = note(&self.app, &hosts);
            match noted.and_then(|()| self.record(&arrivals)) {
                Ok(()) => {
                    self.keep(marks);
                    for (reason, count) in losses {
                        self.stats.lost(reason, count);
                    }
                    return group.done(&self.stats);
                }
                // Stored in an earlier life of the server, under an older incarnation: now it is known.
                Err(StoreError::Repeated { source_key, sequence })
                    if self.learn(&group, &source_key, sequence) => {}
                Err(fault) => return group.failed(&fault),
            }
        }
    }

    /// Takes note of how far the store says that a source is. `false`: it was known.
    fn learn(&mut self, group: &Group, source: &SourceKey, sequence: u64) -> bool {
        let Some(&incarnation) = group.incarnations.get(source) else { return false };
        self.marks.insert((source.clone(), incarnation), sequence) != Some(sequence)
    }

    fn keep(&mut self, marks: HashMap<(SourceKey, u64), u64>) {
        if self.marks.len() > SOURCES {
            self.marks.clear();
        }
        self.marks.extend(marks);
    }

    /// How far an incarnation of a source has come, as far as it is known.
    fn mark(&self, key: &(SourceKey, u64)) -> u64 {
        if let Some(sequence) = self.marks.get(key) {
            return *sequence;
        }
        let (source, incarnation) = key;
        match self.app.store.source(source) {
            Ok(Some(state)) if state.incarnation == *incarnation => state.sequence,
            Ok(_) => 0,
            Err(fault) => {
                // The store refuses what it has already, so that nothing counts twice for it.
                tracing::error!(%fault, "source cannot be read");
                0
            }
        }
    }

    /// What a group comes to.
    fn count(&self, group: &Group) -> Counted {
        let now = self.app.clock.now();
        let window = Span {
            from: self.retention.map_or(Timestamp::MIN, |retention| {
                Timestamp::from_nanos(now.nanos().saturating_sub(retention))
            }),
            until: Timestamp::from_nanos(now.nanos().saturating_add(self.ahead)),
        };
        let mut marks = HashMap::new();
        let mut losses = Vec::new();
        let mut hosts = Vec::new();
        let mut arrivals = Arrivals::default();
        let mut advances: BTreeMap<&SourceKey, Advance> = BTreeMap::new();
        let mut by_cluster: BTreeMap<&Name, Vec<&Waiting>> = BTreeMap::new();
        for waiting in &group.batches {
            by_cluster.entry(&waiting.source.cluster).or_default().push(waiting);
        }
        for (name, batches) in by_cluster {
            let view = self.app.cluster_or_new(name).view();
            let present = self.agents.present(name);
            let mut counter =
                Counter::new(&*view.inventory, BUCKET, |node: &Name| present.get(node).copied());
            for waiting in batches {
                let Waiting { source, incarnation, batch, .. } = waiting;
                let mark = marks
                    .entry((source.clone(), *incarnation))
                    .or_insert_with_key(|key| self.mark(key));
                let advance = advances.entry(source).or_insert_with(|| Advance {
                    source: source.clone(),
                    incarnation: *incarnation,
                    sequence: *mark,
                    at: now,
                    ledger: Ledger::default(),
                });
                let records = u64::from(batch.records);
                advance.ledger.received += records;
                if batch.sequence <= *mark {
                    advance.ledger.duplicate += records;
                    continue;
                }
                *mark = batch.sequence;
                advance.sequence = batch.sequence;
                let told = batch_of(waiting, window, &mut counter, &mut advance.ledger);
                let Some(Told { said, host }) = told else { continue };
                hosts.extend(host.map(|(host, at)| Described {
                    cluster: name.clone(),
                    host,
                    at: at.min(now),
                }));
                self.agents.observe(source, said.observer);
                arrivals.presences.extend(said.presence(source, window));
                arrivals.losses.extend(said.lost(source, window, now));
                losses.extend(said.losses);
            }
            arrivals.edges.extend(counter.finish().into_iter().map(|edge| counted(name, edge)));
        }
        arrivals.advances.extend(advances.into_values());
        Counted { arrivals, hosts, marks, losses }
    }
}

/// What an agent says beside its records.
struct Told {
    /// Of itself.
    said: Said,
    /// The host that it runs on, and when it was so.
    host: Option<(Host, Timestamp)>,
}

/// Counts a batch, and gives what its agent says beside; `None` when it cannot be read.
fn batch_of(
    waiting: &Waiting,
    window: Span,
    counter: &mut Counter<'_, impl Resolver, impl Fn(&Name) -> Option<ObserverKind>>,
    ledger: &mut Ledger,
) -> Option<Told> {
    let Waiting { source, machine, batch, .. } = waiting;
    let mut drop = |reason, count| *ledger.dropped.entry(reason).or_default() += count;
    let body = match Body::read(batch, *machine, &source.name) {
        Ok(body) => body,
        Err(fault) => {
            let Batch { sequence, records, .. } = *batch;
            tracing::warn!(node = %source.name, sequence, %fault, "batch cannot be read");
            if records > 0 {
                drop(DropReason::Malformed, u64::from(records));
            }
            return None;
        }
    };
    let mut stored = 0;
    for n in 0..batch.records as usize {
        let Some(row) = body.row(n) else {
            drop(DropReason::Malformed, 1);
            continue;
        };
        if row.is_foreign(*machine, &source.name) {
            drop(DropReason::ForeignNode, 1);
            continue;
        }
        let Row { start, end, side, local, remote, l4, dialled, counts, traffic } = row;
        if !window.contains(start) {
            drop(DropReason::OutsideRetention, 1);
            continue;
        }
        let (client, server) = match side {
            Side::Client => (local, remote),
            Side::Server => (remote, local),
        };
        let observer = body.said.observer;
        let flow = CountedFlow {
            start,
            end,
            client,
            server,
            l4,
            dialled,
            observer,
            side,
            counts,
            traffic,
        };
        if counter.add(&flow) {
            stored += 1;
        } else {
            drop(DropReason::NoConnection, 1);
        }
    }
    for &(_, count) in &body.said.losses {
        drop(DropReason::LostAtSource, count);
    }
    ledger.stored += stored;
    let at = body.base();
    Some(Told { said: body.said, host: body.host.zip(at) })
}

impl Group {
    /// Takes a job in, or gives it back when it has to wait for the group to be stored.
    fn take(&mut self, job: Job) -> Option<Job> {
        let Job::Batch(waiting) = job else { return Some(job) };
        // A source that began to number anew begins in a group of its own.
        let known = self.incarnations.get(&waiting.source);
        if known.is_some_and(|known| *known != waiting.incarnation) {
            return Some(Job::Batch(waiting));
        }
        self.incarnations.insert(waiting.source.clone(), waiting.incarnation);
        self.bytes += waiting.batch.body.len();
        self.batches.push(waiting);
        None
    }

    /// Tells everybody that it is stored.
    fn done(self, stats: &Stats) {
        for Waiting { batch, outlet, .. } in self.batches {
            add(&stats.batches, 1);
            outlet.stored(batch.sequence);
        }
    }

    /// Tells everybody that nothing of it is stored.
    fn failed(self, fault: &StoreError) {
        let (code, reason) = match fault {
            StoreError::DiskFull(_) => {
                (Code::ResourceExhausted, "the disk of the server is full; nothing was stored")
            }
            _ => (Code::Unavailable, "the server cannot store now"),
        };
        for waiting in &self.batches {
            waiting.outlet.fail(code, reason);
        }
    }
}
