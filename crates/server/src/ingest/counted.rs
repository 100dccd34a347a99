//! From what the flows crate counts to what the store keeps.

use ringfence_flows::{Bucket, CountedEdge, Ledger as Lines, Skip};
use ringfence_model::{Edge, EdgeKey, Name, ObserverKind, Observers};
use ringfence_store::{Counted, Counts, DropReason, Ledger};

/// What agents counted.
pub(super) fn counted(cluster: &Name, edge: CountedEdge) -> Counted {
    let CountedEdge { at, key, counts, services } = edge;
    Counted { cluster: cluster.clone(), at, key, counts, services }
}

/// What an aggregator told, which merges the sides by itself.
pub(super) fn told(
    cluster: &Name,
    observer: ObserverKind,
    buckets: Vec<Bucket>,
) -> impl Iterator<Item = Counted> {
    buckets.into_iter().flat_map(move |Bucket { at, edges }| {
        edges.into_iter().map(move |Edge { key, evidence, services }| {
            let observers = observers(observer, &key);
            let counts = Counts { observers, ..Counts::from(&evidence) };
            Counted { cluster: cluster.clone(), at, key, counts, services }
        })
    })
}

/// Who watched the ends. Hubble is on every node that has a pod; where a log was written nobody knows.
fn observers(observer: ObserverKind, key: &EdgeKey) -> Observers {
    let mut observers = Observers::reported_by(observer);
    if observer == ObserverKind::Hubble {
        if key.source.workload().is_some() {
            observers = observers.at_client(observer);
        }
        if key.destination.workload().is_some() {
            observers = observers.at_server(observer);
        }
    }
    observers
}

/// What became of the lines of a log or the messages of a relay. Those that only add to a connection count as stored
/// with it.
pub(super) fn ledger(lines: &Lines) -> Ledger {
    let Lines {
        used,
        repeated,
        replies,
        translations,
        skipped: _,
        outside_window,
        loss_reports,
        malformed,
        oversized,
        lost_events,
        evicted: _,
    } = lines;
    let skipped: u64 = Skip::ALL.into_iter().map(|reason| lines.skipped(reason)).sum();
    let dropped = [
        (DropReason::Malformed, *malformed),
        (DropReason::Oversized, *oversized),
        (DropReason::LostAtSource, *lost_events),
        (DropReason::NoConnection, replies + translations + skipped + loss_reports),
        (DropReason::OutsideRetention, *outside_window),
    ];
    Ledger {
        received: lines.lines(),
        stored: used + repeated,
        duplicate: 0,
        dropped: dropped.into_iter().filter(|(_, count)| *count > 0).collect(),
    }
}

/// What a ledger has more than an earlier one of the same source.
pub(super) fn more(now: &Ledger, before: &Ledger) -> Ledger {
    let Ledger { received, stored, duplicate, dropped } = now;
    let earlier = |reason| before.dropped.get(reason).copied().unwrap_or_default();
    let dropped = dropped.iter().map(|(reason, count)| (*reason, count - earlier(reason)));
    Ledger {
        received: received - before.received,
        stored: stored - before.stored,
        duplicate: duplicate - before.duplicate,
        dropped: dropped.filter(|(_, count)| *count > 0).collect(),
    }
}
