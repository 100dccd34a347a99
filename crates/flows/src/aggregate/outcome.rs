//! From what is kept in mind to edges: when a table is full, between two steps, and at the end.

use std::collections::BTreeMap;

use ringfence_model::resolve::Resolver;
use ringfence_model::{Counts, Diagnostic, Edge, EdgeKey, ServicePortRef, Span, Timestamp};

use super::{Aggregator, Bucketed, Observations, PLACES};
use crate::connection::{Connection, Told};
use crate::ledger::Ledger;
use crate::retire::{
    retire, retire_calls, retire_dialled, retire_known_pings, retire_pings, retire_tally,
};
use crate::sums::Bucket;

impl<R: Resolver> Aggregator<'_, R> {
    /// The edges of connections that have been known for a whole step at least, and were not told of before; and
    /// without counts those of connections told of before that went on. A step is from one call to the next: what
    /// the observers see of one connection should not arrive further apart.
    ///
    /// So what is told is of flows that were there at the last call, and the next tells of all others.
    ///
    /// What is told is not taken back: packets that come later and show that a connection was refused or dropped
    /// after all change nothing.
    pub fn settle(&mut self) -> Vec<Bucket> {
        let Self { connections, dialled, resolution, sums, step, .. } = self;
        let known = |connection: &Connection| connection.born < *step;
        for (pair, connection) in connections.iter_mut() {
            if connection.told == Told::Before || (connection.told == Told::No && known(connection))
            {
                retire(*pair, connection, dialled, resolution, sums);
                connection.told = Told::Yes;
            }
        }
        for (socket, views) in dialled.iter_mut() {
            for view in views.iter_mut() {
                let told = view.connection.told;
                if told == Told::Before || (told == Told::No && known(&view.connection)) {
                    retire_dialled(*socket, std::slice::from_ref(view), resolution, sums);
                    view.connection.told = Told::Yes;
                }
            }
        }
        for (_, calls) in self.sockets.give_up(|calls| calls.step < *step) {
            retire_calls(&calls, resolution, sums);
        }
        for (pair, tally) in self.tallies.give_up(|tally| tally.step < *step) {
            retire_tally(pair, &tally, resolution, sums);
        }
        for ((_, _, l4), pings) in self.pings.iter_mut() {
            retire_known_pings(*l4, pings, resolution, sums);
        }
        *step = step.saturating_add(1);
        sums.take(resolution)
    }

    /// Takes everything seen so far as told of before: nothing of it counts, and more of the same connections is
    /// recognised. For who begins in the middle, and reads again what was counted by another before.
    pub fn acquaint(&mut self) {
        for (_, connection) in self.connections.iter_mut() {
            connection.told = Told::Yes;
        }
        for (_, views) in self.dialled.iter_mut() {
            for view in views.iter_mut() {
                view.connection.told = Told::Yes;
            }
        }
        self.sockets.drain().for_each(drop);
        self.tallies.drain().for_each(drop);
        for (_, pings) in self.pings.iter_mut() {
            pings.tell();
        }
        self.known.clear();
        self.sums.take(&self.resolution);
    }

    /// Everything that was observed, and not told of before.
    pub fn finish(self) -> Observations {
        let Bucketed { buckets, ledger, window, diagnostics } = self.finish_in_buckets();
        let mut edges: Vec<Edge> = buckets.into_iter().flat_map(|bucket| bucket.edges).collect();
        edges.sort_by(|a, b| a.key.cmp(&b.key));
        edges.dedup_by(|later, first| {
            let same = later.key == first.key;
            if same {
                first.evidence.merge(&later.evidence);
            }
            same
        });
        Observations { edges, ledger, window, diagnostics }
    }

    /// Everything that was observed and not told of before, by time bucket.
    pub fn finish_in_buckets(mut self) -> Bucketed {
        // Connections before what they may be paired with.
        for (pair, connection) in self.connections.drain() {
            retire(pair, &connection, &mut self.dialled, &self.resolution, &mut self.sums);
        }
        for (socket, dialled) in self.dialled.drain() {
            retire_dialled(socket, &dialled, &self.resolution, &mut self.sums);
        }
        for (_, calls) in self.sockets.drain() {
            retire_calls(&calls, &self.resolution, &mut self.sums);
        }
        for (pair, tally) in self.tallies.drain() {
            retire_tally(pair, &tally, &self.resolution, &mut self.sums);
        }
        for ((_, _, l4), mut pings) in self.pings.drain() {
            retire_pings(l4, &mut pings, &self.resolution, &mut self.sums);
        }
        let mut buckets = self.sums.take(&self.resolution);
        join(&mut buckets, self.known);
        let window = self.observed.map(|(first, last)| Span {
            from: first,
            until: Timestamp::from_nanos(last.nanos().saturating_add(1)),
        });
        let mut diagnostics = self.diagnostics;
        diagnostics.extend(summaries(&self.ledger));
        Bucketed { buckets, ledger: self.ledger, window, diagnostics }
    }

    /// Gives up what was not seen for longest where a table is full.
    pub(super) fn make_room(&mut self) {
        if self.connections.is_full() || self.dialled.is_full() {
            for (pair, connection) in self.connections.age() {
                self.ledger.evicted += 1;
                retire(pair, &connection, &mut self.dialled, &self.resolution, &mut self.sums);
            }
            // Only now: a connection and its dialled view age together, and each looks for the other before it goes.
            for (socket, dialled) in self.dialled.age() {
                retire_dialled(socket, &dialled, &self.resolution, &mut self.sums);
            }
        }
        if self.sockets.is_full() {
            for (_, calls) in self.sockets.age() {
                retire_calls(&calls, &self.resolution, &mut self.sums);
            }
        }
        if self.tallies.is_full() {
            for (pair, tally) in self.tallies.age() {
                self.ledger.evicted += 1;
                retire_tally(pair, &tally, &self.resolution, &mut self.sums);
            }
        }
        if self.pings.is_full() {
            for ((_, _, l4), mut pings) in self.pings.age() {
                retire_pings(l4, &mut pings, &self.resolution, &mut self.sums);
            }
        }
        if self.counted.is_full() {
            self.counted.age().for_each(drop);
        }
    }
}

/// What the user should know about the whole.
fn summaries(ledger: &Ledger) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    if ledger.malformed > PLACES {
        let more = ledger.malformed - PLACES;
        let message = format!("{more} more lines skipped that could not be read");
        out.push(Diagnostic::warning("malformed-flow", message));
    }
    if ledger.oversized > PLACES {
        let more = ledger.oversized - PLACES;
        let message = format!("{more} more lines skipped that are longer than the limit");
        out.push(Diagnostic::warning("oversized-flow", message));
    }
    if ledger.lost_events > 0 {
        let message =
            format!("the source lost {} events: edges may be missing", ledger.lost_events);
        let hint =
            "a longer observation makes up for it; larger event buffers at the source avoid it";
        out.push(Diagnostic::warning("lost-events", message).hint(hint));
    }
    if ledger.evicted > 0 {
        let message = format!(
            "{} connections were forgotten to bound memory; any that went on counts twice",
            ledger.evicted
        );
        out.push(Diagnostic::note("connections-forgotten", message));
    }
    out
}

/// Adds edges that came resolved to those of the flows.
fn join(
    buckets: &mut Vec<Bucket>,
    known: BTreeMap<(Timestamp, EdgeKey), (Counts, Vec<ServicePortRef>)>,
) {
    for ((at, key), (counts, services)) in known {
        let place = match buckets.binary_search_by_key(&at, |bucket| bucket.at) {
            Ok(place) => place,
            Err(place) => {
                buckets.insert(place, Bucket { at, edges: Vec::new() });
                place
            }
        };
        let edges = &mut buckets[place].edges;
        let evidence = counts.evidence();
        match edges.binary_search_by(|edge| edge.key.cmp(&key)) {
            Ok(same) => {
                let edge = &mut edges[same];
                edge.evidence.merge(&evidence);
                edge.services.extend(services);
                edge.services.sort_unstable();
                edge.services.dedup();
            }
            Err(place) => edges.insert(place, Edge { key, evidence, services }),
        }
    }
}
