//! How much evidence there is, so that nobody isolates a workload on one quiet afternoon's traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ringfence_inventory::{Inventory, Workload};
use ringfence_model::{
    Edge, L4, Name, Nature, Peer, Port, ServicePortRef, Span, Timestamp, Values, WorkloadKind,
    WorkloadRef,
};
use serde::Serialize;

use crate::said::{Said, Say, values};
use crate::scope::Scope;

/// Shorter windows than this are warned about: they miss what runs once a day.
const SHORTEST_WINDOW_HOURS: f64 = 12.0;

/// The evidence for one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = CertificateReadiness))]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// The workload, `namespace/Kind/name`.
    pub workload: String,
    /// Connections observed with it at either end, probes left out.
    pub connections: u64,
    /// Edges observed with it at either end.
    pub edges: usize,
    /// Edges on which only one connection was observed.
    pub edges_seen_once: usize,
    /// Estimate of the probability that its next connection is on an edge not seen yet (Good-Turing: edges seen
    /// once divided by connections); `None` when nothing was observed.
    #[cfg_attr(feature = "schema", schema(required))]
    pub unseen_probability: Option<f64>,
    /// What is missing.
    pub gaps: Vec<Said<GapCode>>,
}

/// Something missing in the evidence for a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// No connection was observed.
    NothingObserved,
    /// The window is shorter than 12 hours.
    WindowShort,
    /// A `CronJob` with this schedule opened no connection.
    DidNotRun(Option<String>),
    /// Nobody used this port of a Service that it backs.
    ServicePortUnused(ServicePortRef),
    /// A node that one of its pods runs on had no observer for a time: what did not show then may have been there.
    NoObserver {
        /// The node.
        node: Name,
        /// From when until when.
        span: Span,
    },
    /// The observer on a node that one of its pods runs on does not see something.
    ObserverBlind {
        /// The node.
        node: Name,
        /// What, in the observer's words.
        what: String,
        /// From when until when.
        span: Span,
    },
    /// The observer on a node that one of its pods runs on lost something.
    ObserverLost {
        /// The node.
        node: Name,
        /// Why.
        why: Lost,
        /// How many records or events, at least.
        count: u64,
        /// From when until when.
        span: Span,
    },
}

/// Why an observer lost something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A map in the kernel was full.
    MapFull,
    /// Events were lost between the kernel and the observer.
    EventsLost,
    /// It could not be told whose connections were.
    Unattributed,
    /// Nobody took its batches for too long.
    SpoolFull,
    /// The kernel refused a probe.
    ProbeRefused,
    /// It does not say.
    Other,
}

impl Lost {
    /// As a value of a sentence.
    const fn word(self) -> &'static str {
        match self {
            Self::MapFull => "map-full",
            Self::EventsLost => "events-lost",
            Self::Unattributed => "unattributed",
            Self::SpoolFull => "spool-full",
            Self::ProbeRefused => "probe-refused",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MapFull => "a map in the kernel was full",
            Self::EventsLost => "events of the kernel were lost",
            Self::Unattributed => "it could not be told whose they are",
            Self::SpoolFull => "no server took its batches for too long",
            Self::ProbeRefused => "the kernel refused a probe",
            Self::Other => "it does not say why",
        })
    }
}

/// What is missing in the evidence for a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum GapCode {
    /// No connection was observed.
    NothingObserved,
    /// The flows cover less than `hours`.
    WindowShort,
    /// A `CronJob` did not run in the window; its `schedule`.
    DidNotRun,
    /// The Service port `port`, `namespace/name:port`, was never used.
    ServicePortUnused,
    /// The `node` of a pod had no observer from `from` to `until`.
    NoObserver,
    /// The observer on the `node` of a pod did not see `what`, in its words, from `from` to `until`.
    ObserverBlind,
    /// The observer on the `node` of a pod lost `count` records or events between `from` and `until`. `why` is
    /// `map-full`, `events-lost`, `unattributed`, `spool-full`, `probe-refused` or `other`.
    ObserverLost,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingObserved => f.write_str("no connection was observed"),
            Self::WindowShort => {
                write!(f, "the flows cover less than {SHORTEST_WINDOW_HOURS} hours")
            }
            Self::DidNotRun(schedule) => {
                let schedule = schedule.as_deref().unwrap_or("unknown");
                write!(f, "it did not run in the window (schedule {schedule})")
            }
            Self::ServicePortUnused(port) => write!(f, "Service port {port} was never used"),
            Self::NoObserver { node, span: Span { from, until } } => {
                write!(f, "no observer on node {node} from {from} to {until}")
            }
            Self::ObserverBlind { node, what, span: _ } => {
                write!(f, "the observer on node {node} does not see: {what}")
            }
            Self::ObserverLost { node, why, count, span: Span { from, until } } => {
                write!(f, "the observer on node {node} lost {count} from {from} to {until}: {why}")
            }
        }
    }
}

impl Say for Gap {
    type Code = GapCode;

    fn code(&self) -> GapCode {
        match self {
            Self::NothingObserved => GapCode::NothingObserved,
            Self::WindowShort => GapCode::WindowShort,
            Self::DidNotRun(_) => GapCode::DidNotRun,
            Self::ServicePortUnused(_) => GapCode::ServicePortUnused,
            Self::NoObserver { .. } => GapCode::NoObserver,
            Self::ObserverBlind { .. } => GapCode::ObserverBlind,
            Self::ObserverLost { .. } => GapCode::ObserverLost,
        }
    }

    fn values(&self) -> Values {
        match self {
            Self::NothingObserved | Self::DidNotRun(None) => Values::new(),
            Self::WindowShort => values([("hours", &SHORTEST_WINDOW_HOURS)]),
            Self::DidNotRun(Some(schedule)) => values([("schedule", schedule)]),
            Self::ServicePortUnused(port) => values([("port", port)]),
            Self::NoObserver { node, span: Span { from, until } } => {
                values([("node", node), ("from", from), ("until", until)])
            }
            Self::ObserverBlind { node, what, span: Span { from, until } } => {
                values([("node", node), ("what", what), ("from", from), ("until", until)])
            }
            Self::ObserverLost { node, why, count, span: Span { from, until } } => values([
                ("node", node),
                ("why", &why.word()),
                ("count", count),
                ("from", from),
                ("until", until),
            ]),
        }
    }
}

/// The evidence for every workload in scope, sorted by workload. `observed` is the first and the last observation.
pub fn readiness(
    inventory: &Inventory,
    edges: &[Edge],
    scope: &Scope,
    observed: Option<(Timestamp, Timestamp)>,
) -> Vec<Readiness> {
    let mut by_workload: BTreeMap<&WorkloadRef, Vec<&Edge>> = BTreeMap::new();
    let mut node_ports: BTreeSet<Port> = BTreeSet::new();
    for edge in edges.iter().filter(|edge| edge.key.nature == Nature::Ordinary) {
        if let (Peer::Node(_), L4::Port(_, port)) = (&edge.key.destination, edge.key.l4) {
            node_ports.insert(port);
        }
        let ends: BTreeSet<&WorkloadRef> = [&edge.key.source, &edge.key.destination]
            .into_iter()
            .filter_map(Peer::workload)
            .collect();
        for workload in ends {
            by_workload.entry(workload).or_default().push(edge);
        }
    }
    scope
        .workloads(inventory)
        .map(|workload| {
            let edges = by_workload.get(&workload.reference).map_or(&[][..], Vec::as_slice);
            let accepted = || edges.iter().map(|edge| edge.evidence.accepted()).filter(|n| *n > 0);
            let (connections, once) =
                (accepted().sum::<u64>(), accepted().filter(|n| *n == 1).count());
            let mut gaps = Vec::new();
            if connections == 0 {
                gaps.push(Gap::NothingObserved);
            }
            if let Some((first, last)) = observed
                && last.seconds_since(first) / 3600.0 < SHORTEST_WINDOW_HOURS
            {
                gaps.push(Gap::WindowShort);
            }
            let opened =
                edges.iter().any(|edge| edge.key.source.workload() == Some(&workload.reference));
            if workload.reference.kind == WorkloadKind::CronJob && !opened {
                gaps.push(Gap::DidNotRun(workload.schedule.as_deref().map(str::to_owned)));
            }
            let unused = unused_service_ports(inventory, workload, edges, &node_ports);
            gaps.extend(unused.into_iter().map(Gap::ServicePortUnused));
            Readiness {
                workload: workload.reference.to_string(),
                connections,
                edges: edges.len(),
                edges_seen_once: once,
                unseen_probability: ratio(once, connections),
                gaps: gaps.iter().map(Say::said).collect(),
            }
        })
        .collect()
}

/// The ports of the Services that a workload backs and at which nothing was observed: neither at the pods' port
/// behind it, nor at its port on the nodes.
fn unused_service_ports(
    inventory: &Inventory,
    workload: &Workload,
    edges: &[&Edge],
    node_ports: &BTreeSet<Port>,
) -> Vec<ServicePortRef> {
    let reached = |port: Port| {
        edges.iter().any(|edge| {
            let here = edge.key.destination.workload() == Some(&workload.reference);
            here && matches!(edge.key.l4, L4::Port(_, p) if p == port)
                && edge.evidence.accepted() > 0
        })
    };
    let mut unused = Vec::new();
    for &n in &workload.services {
        let Some(service) = inventory.services().get(n) else { continue };
        for (port, backends) in service.ports.iter().zip(inventory.backends(n)) {
            let mine = |peer: &Peer| peer.workload() == Some(&workload.reference);
            let used = backends.iter().any(|(peer, target)| mine(peer) && reached(*target))
                || port.node_port.is_some_and(|port| node_ports.contains(&port));
            if !used {
                unused.push(ServicePortRef { service: service.reference.clone(), port: port.port });
            }
        }
    }
    unused
}

#[expect(clippy::cast_precision_loss, reason = "an estimate to three digits")]
fn ratio(once: usize, connections: u64) -> Option<f64> {
    (connections > 0).then(|| (once as f64 / connections as f64 * 1000.0).round() / 1000.0)
}

/// A warning when the flows cover too little time, or none.
pub fn window_warning(
    observed: Option<(Timestamp, Timestamp)>,
) -> Option<ringfence_model::Diagnostic> {
    let Some((first, last)) = observed else {
        let finding = ringfence_model::Diagnostic::warning("no-flows", "no flow was observed");
        return Some(finding.hint("check the flow logs, and --since and --until"));
    };
    let hours = last.seconds_since(first) / 3600.0;
    (hours < SHORTEST_WINDOW_HOURS).then(|| {
        ringfence_model::Diagnostic::warning(
            "window-short",
            format!("the flows cover {hours:.1} hours only, from {first} to {last}"),
        )
        .value("hours", format_args!("{hours:.1}"))
        .value("first", first)
        .value("last", last)
        .hint("observe a day, better a week, before you enforce: nightly jobs and rare errors need connections too")
    })
}
