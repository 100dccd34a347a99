//! From what the flows crate counts to what the store keeps.

use ringfence_flows::{Bucket, CountedEdge, SideCounts, Sides};
use ringfence_model::{Edge, Name};
use ringfence_store::{Counted, Counts, Tally};

/// What agents counted.
pub(super) fn counted(cluster: &Name, edge: CountedEdge) -> Counted {
    let CountedEdge { at, key, first_seen, last_seen, sides, services } = edge;
    let Sides { alone, client, server } = sides;
    let counts = Counts {
        alone: tally(alone),
        client: tally(client),
        server: tally(server),
        ..Counts::seen(first_seen, last_seen)
    };
    Counted { cluster: cluster.clone(), at, key, counts, services }
}

#[expect(dead_code, reason = "logs and relays come with the next commits")]
/// What an aggregator told, which merges the sides by itself.
pub(super) fn told(cluster: &Name, buckets: Vec<Bucket>) -> impl Iterator<Item = Counted> {
    buckets.into_iter().flat_map(move |Bucket { at, edges }| {
        edges.into_iter().map(move |Edge { key, evidence, services }| {
            let counts = Counts::from(&evidence);
            Counted { cluster: cluster.clone(), at, key, counts, services }
        })
    })
}

fn tally(counts: SideCounts) -> Tally {
    let SideCounts { opened, refused, denied, sent, received } = counts;
    Tally { opened, refused, denied, sent, received }
}
