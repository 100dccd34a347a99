//! Where and when nobody observed, or not everything: there the absence of connections proves nothing.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_advise::{Gap, Lost};
use ringfence_inventory::{Inventory, Workload};
use ringfence_model::{Name, Span, Timestamp};
use ringfence_store::{Loss, LossReason, Presence, SourceKind};

/// A shorter time without an observer is a restart, and not told.
const SHORTEST_NANOS: i64 = 60_000_000_000;

/// What the agents of a cluster say of themselves, by node.
pub(super) struct Coverage {
    nodes: BTreeMap<Name, Node>,
    /// The time that is asked about.
    window: Span,
}

#[derive(Default)]
struct Node {
    spans: Vec<Span>,
    blind: BTreeMap<String, Span>,
    losses: BTreeMap<LossReason, (Span, u64)>,
}

impl Coverage {
    /// What was observed in a window, by all presences until its end: from the first of them on agents tell. `None` in
    /// clusters without agents: other sources do not say where they look.
    pub(super) fn new(presences: Vec<Presence>, losses: Vec<Loss>, window: Span) -> Option<Self> {
        let told_from = presences.iter().map(|presence| presence.span.from).min()?;
        let window = Span { from: window.from.max(told_from), ..window };
        let mut nodes: BTreeMap<Name, Node> = BTreeMap::new();
        for Presence { source, span, observer: _, blind } in presences {
            if source.kind == SourceKind::Agent
                && let Ok(name) = Name::new(&*source.name)
            {
                let node = nodes.entry(name).or_default();
                node.spans.push(span);
                for what in blind {
                    let known = node.blind.entry(what).or_insert(span);
                    *known = around(*known, span);
                }
            }
        }
        for Loss { source, span, reason, count } in losses {
            if source.kind == SourceKind::Agent
                && let Ok(name) = Name::new(&*source.name)
            {
                let node = nodes.entry(name).or_default();
                let known = node.losses.entry(reason).or_insert((span, 0));
                *known = (around(known.0, span), known.1.saturating_add(count));
            }
        }
        Some(Self { nodes, window })
    }

    /// What is not known of a workload's pods, by node and time.
    pub(super) fn gaps(&self, inventory: &Inventory, workload: &Workload) -> Vec<Gap> {
        // From when on each node has one of its pods.
        let mut since: BTreeMap<&Name, Timestamp> = BTreeMap::new();
        for pod in workload.pods.iter().filter_map(|&n| inventory.pods().get(n)) {
            if let Some(node) = &pod.node {
                let started = pod.started.unwrap_or(Timestamp::MIN);
                let known = since.entry(node).or_insert(started);
                *known = started.min(*known);
            }
        }
        since.into_iter().flat_map(|(node, started)| self.of_node(node, started)).collect()
    }

    fn of_node(&self, name: &Name, started: Timestamp) -> Vec<Gap> {
        let window = Span { from: self.window.from.max(started), until: self.window.until };
        let unknown = Node::default();
        let node = self.nodes.get(name).unwrap_or(&unknown);
        // `None` for what lies outside.
        let inside = |span: &Span| {
            let (from, until) = (span.from.max(window.from), span.until.min(window.until));
            (from < until).then_some(Span { from, until })
        };
        let holes = holes(&node.spans, window).into_iter();
        let holes = holes.map(|span| Gap::NoObserver { node: name.clone(), span });
        let blind = node.blind.iter().filter_map(|(what, span)| {
            let (node, what) = (name.clone(), what.clone());
            Some(Gap::ObserverBlind { node, what, span: inside(span)? })
        });
        let lost = node.losses.iter().filter_map(|(reason, (span, count))| {
            let (node, why, count) = (name.clone(), why(*reason), *count);
            Some(Gap::ObserverLost { node, why, count, span: inside(span)? })
        });
        holes.chain(blind).chain(lost).collect()
    }
}

const fn why(reason: LossReason) -> Lost {
    match reason {
        LossReason::MapFull => Lost::MapFull,
        LossReason::EventsLost => Lost::EventsLost,
        LossReason::Unattributed => Lost::Unattributed,
        LossReason::SpoolFull => Lost::SpoolFull,
        LossReason::ProbeRefused => Lost::ProbeRefused,
        LossReason::Other => Lost::Other,
    }
}

fn around(a: Span, b: Span) -> Span {
    Span { from: a.from.min(b.from), until: a.until.max(b.until) }
}

/// What spans leave of a window, but for short times.
fn holes(spans: &[Span], window: Span) -> Vec<Span> {
    let sorted: BTreeSet<(Timestamp, Timestamp)> =
        spans.iter().map(|span| (span.from, span.until)).collect();
    let mut holes = Vec::new();
    let mut covered = window.from;
    for (from, until) in sorted.into_iter().chain([(window.until, window.until)]) {
        let hole = Span { from: covered, until: from.min(window.until) };
        if hole.until.nanos().saturating_sub(hole.from.nanos()) >= SHORTEST_NANOS {
            holes.push(hole);
        }
        covered = covered.max(until);
    }
    holes
}

#[cfg(test)]
mod tests {
    use ringfence_model::ObserverKind;
    use ringfence_store::SourceKey;

    use super::*;

    /// From a minute until another.
    type Minutes = (i64, i64);

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_nanos(minute * 60_000_000_000)
    }

    fn span((from, until): Minutes) -> Span {
        Span { from: at(from), until: at(until) }
    }

    fn source(node: &str) -> SourceKey {
        let cluster = "prod".parse().unwrap();
        SourceKey { cluster, kind: SourceKind::Agent, name: node.into() }
    }

    fn presence(node: &str, minutes: Minutes, blind: &[&str]) -> Presence {
        Presence {
            source: source(node),
            span: span(minutes),
            observer: ObserverKind::AgentConntrack,
            blind: blind.iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    fn texts(coverage: &Coverage, node: &str, started: i64) -> Vec<String> {
        let all = coverage.of_node(&node.parse().unwrap(), at(started));
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn holes_are_what_nobody_observed() {
        let window = span((10, 20));
        let cases: [(&[Minutes], &[Minutes]); 7] = [
            (&[], &[(10, 20)]),
            (&[(0, 30)], &[]),
            (&[(10, 20)], &[]),
            (&[(12, 14)], &[(10, 12), (14, 20)]),
            (&[(0, 12), (11, 13), (16, 25)], &[(13, 16)]),
            (&[(0, 30), (12, 13)], &[]),
            (&[(0, 5), (25, 30)], &[(10, 20)]),
        ];
        for (spans, expected) in cases {
            let spans: Vec<Span> = spans.iter().copied().map(span).collect();
            let expected: Vec<Span> = expected.iter().copied().map(span).collect();
            assert_eq!(holes(&spans, window), expected, "{spans:?}");
        }
    }

    #[test]
    fn a_node_without_an_agent_proves_nothing() {
        let presences = vec![presence("a", (0, 30), &[])];
        let coverage = Coverage::new(presences, vec![], span((10, 20))).unwrap();
        assert_eq!(texts(&coverage, "a", 0), [""; 0]);
        let all = texts(&coverage, "b", 0);
        insta::assert_snapshot!(all.join("\n"), @"no observer on node b from 1970-01-01T00:10:00Z to 1970-01-01T00:20:00Z");
        // Before it ran there, nobody had to look.
        let all = texts(&coverage, "b", 15);
        insta::assert_snapshot!(all.join("\n"), @"no observer on node b from 1970-01-01T00:15:00Z to 1970-01-01T00:20:00Z");
        assert_eq!(texts(&coverage, "b", 25), [""; 0]);
    }

    #[test]
    fn what_an_agent_misses_and_loses_is_told_for_its_time() {
        let presences = vec![
            presence("a", (0, 12), &["refused UDP"]),
            presence("a", (12, 30), &["refused UDP", "bytes"]),
        ];
        let loss = |minutes, reason, count| Loss {
            source: source("a"),
            span: span(minutes),
            reason,
            count,
        };
        let losses = vec![
            loss((11, 12), LossReason::EventsLost, 2),
            loss((13, 14), LossReason::EventsLost, 3),
            loss((40, 41), LossReason::MapFull, 3),
        ];
        let coverage = Coverage::new(presences, losses, span((10, 20))).unwrap();
        insta::assert_snapshot!(texts(&coverage, "a", 0).join("\n"), @"
        the observer on node a does not see: bytes
        the observer on node a does not see: refused UDP
        the observer on node a lost 5 from 1970-01-01T00:11:00Z to 1970-01-01T00:14:00Z: events of the kernel were lost
        ");
        // Only what is inside of the window.
        assert_eq!(texts(&coverage, "a", 15).len(), 2);
        let all = coverage.of_node(&"a".parse().unwrap(), at(0));
        let Gap::ObserverBlind { span: found, .. } = &all[1] else { panic!("{all:?}") };
        assert_eq!(*found, span((10, 20)));
    }

    #[test]
    fn from_the_first_agent_on_silence_is_told() {
        // All of them ended.
        let coverage = Coverage::new(vec![presence("a", (0, 5), &[])], vec![], span((10, 20)));
        assert_eq!(texts(&coverage.unwrap(), "a", 0).len(), 1);
        // Nobody can say what was before.
        let coverage = Coverage::new(vec![presence("a", (15, 20), &[])], vec![], span((10, 20)));
        assert_eq!(texts(&coverage.unwrap(), "a", 0), [""; 0]);
    }

    #[test]
    fn clusters_without_agents_have_no_holes() {
        assert!(Coverage::new(vec![], vec![], span((10, 20))).is_none());
    }
}
