//! What the store and the clusters say at the moment of a scrape.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use ringfence_store::{DropReason, SourceKind, StoreError};

use crate::app::App;
use crate::cluster::{KindState, View};

/// Reads a number at a moment.
pub type Gauge = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Numbers that others know, by name and help text.
#[derive(Clone, Default)]
pub struct Gauges(Vec<(&'static str, &'static str, Gauge)>);

impl Gauges {
    /// Adds one.
    #[must_use]
    pub fn with(
        mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.0.push((name, help, Arc::new(read)));
        self
    }
}

type Labels = Vec<(&'static str, String)>;

/// All numbers of one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    counters: Vec<Numbers<u64>>,
    gauges: Vec<Numbers<i64>>,
}

#[derive(Debug)]
struct Numbers<N> {
    name: &'static str,
    help: &'static str,
    values: Vec<(Labels, N)>,
}

impl<N> Numbers<N> {
    fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, values: Vec::new() }
    }
}

impl Snapshot {
    pub(super) fn take(app: &App, others: &Gauges) -> Result<Self, StoreError> {
        let mut gauges: Vec<Numbers<i64>> = others
            .0
            .iter()
            .map(|(name, help, read)| {
                let value = i64::try_from(read()).unwrap_or(i64::MAX);
                Numbers { name, help, values: vec![(Vec::new(), value)] }
            })
            .collect();
        gauges.extend(clusters(app));
        Ok(Self { counters: flows(app)?, gauges })
    }
}

/// What became of flow records, by cluster and kind of source.
fn flows(app: &App) -> Result<Vec<Numbers<u64>>, StoreError> {
    let mut ledgers = std::collections::BTreeMap::new();
    for (key, state) in app.store.sources()? {
        let sum: &mut ringfence_store::Ledger = ledgers.entry((key.cluster, key.kind)).or_default();
        sum.add(&state.ledger);
    }
    let mut received = Numbers::new("flows_received", "Flow records that reached the server");
    let mut stored = Numbers::new("flows_stored", "Flow records that are counted in edges");
    let mut duplicate = Numbers::new("flows_duplicate", "Flow records that had come before");
    let mut dropped = Numbers::new("flows_dropped", "Flow records that were not stored");
    for ((cluster, kind), ledger) in ledgers {
        let labels: Labels =
            vec![("cluster", cluster.to_string()), ("source", source(kind).into())];
        received.values.push((labels.clone(), ledger.received));
        stored.values.push((labels.clone(), ledger.stored));
        duplicate.values.push((labels.clone(), ledger.duplicate));
        for why in DropReason::ALL {
            let mut labels = labels.clone();
            labels.push(("reason", reason(why).into()));
            dropped.values.push((labels, ledger.dropped.get(&why).copied().unwrap_or(0)));
        }
    }
    Ok(vec![received, stored, duplicate, dropped])
}

fn source(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Agent => "agent",
        SourceKind::Hubble => "hubble",
        SourceKind::File => "file",
    }
}

fn reason(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Malformed => "malformed",
        DropReason::Oversized => "oversized",
        DropReason::LostAtSource => "lost_at_source",
        DropReason::NoConnection => "no_connection",
        DropReason::OutsideRetention => "outside_retention",
        DropReason::ForeignNode => "foreign_node",
    }
}

/// How large and how fresh the clusters are.
fn clusters(app: &App) -> [Numbers<i64>; 2] {
    let mut objects = Numbers::new("inventory_objects", "Objects known of a cluster");
    let mut states = Numbers::new("sync_kinds", "Watched kinds of a cluster by how fresh they are");
    for cluster in app.clusters() {
        let name = || ("cluster", cluster.name().to_string());
        let view = cluster.view();
        let View { inventory, diagnostics: _, sync } = &*view;
        let sizes = [
            ("Namespace", inventory.namespaces().len()),
            ("NetworkPolicy", inventory.policies().len()),
            ("Node", inventory.nodes().len()),
            ("Pod", inventory.pods().len()),
            ("Workload", inventory.workloads().len()),
        ];
        for (kind, count) in sizes {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            objects.values.push((vec![name(), ("kind", kind.into())], count));
        }
        for state in ["syncing", "synced", "stale", "forbidden", "absent"] {
            let count = sync.kinds.iter().filter(|kind| word(&kind.state) == state).count();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            states.values.push((vec![name(), ("state", state.into())], count));
        }
    }
    [objects, states]
}

fn word(state: &KindState) -> &'static str {
    match state {
        KindState::Syncing => "syncing",
        KindState::Synced => "synced",
        KindState::Stale { .. } => "stale",
        KindState::Forbidden => "forbidden",
        KindState::Absent => "absent",
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Numbers { name, help, values } in &self.counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, value) in values {
                ConstCounter::new(*value).encode(family.encode_family(labels)?)?;
            }
        }
        for Numbers { name, help, values } in &self.gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            match &values[..] {
                // One number without labels: no braces around nothing.
                [(labels, value)] if labels.is_empty() => ConstGauge::new(*value).encode(family)?,
                values => {
                    for (labels, value) in values {
                        ConstGauge::new(*value).encode(family.encode_family(labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }
}
