//! Flows to edges.

mod outcome;
mod packet;
mod report;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use ringfence_model::flow::{Flow, Seen};
use ringfence_model::resolve::Resolver;
use ringfence_model::{
    Counts, Diagnostic, Edge, EdgeKey, L4, Origin, ServicePortRef, Span, Timestamp,
};

use crate::connection::{ClientSocket, Connection, Ip, SocketPair};
use crate::ends::hash_of;
use crate::fault::Fault;
use crate::generations::Generations;
use crate::known::KnownEdge;
use crate::ledger::{Ledger, Skip};
use crate::resolution::Resolution;
use crate::retire::Dialled;
use crate::sums::{Bucket, Buckets, Sums};
use crate::tally::{Pings, SocketCalls, Tally};

/// How many places of bad lines to name.
const PLACES: u64 = 5;

/// What to aggregate.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Only flows that start inside.
    pub window: Span,
    /// How many connections to keep in mind. When there are more, those not seen for longest are forgotten; if more
    /// of one comes later, it counts as another connection.
    pub connections: usize,
    /// The length of the time buckets that edges are told in; `None` for all time as one.
    pub bucket: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self { window: Span::ALL, connections: 900_000, bucket: None }
    }
}

/// What was observed.
#[derive(Clone, Debug)]
pub struct Observations {
    /// The edges, sorted by key.
    pub edges: Vec<Edge>,
    /// What became of every line.
    pub ledger: Ledger,
    /// From the first flow inside the window of the options to just after the last; `None` without flows.
    pub window: Option<Span>,
    /// What to tell the user: bad lines, lost events, forgotten connections.
    pub diagnostics: Vec<Diagnostic>,
}

/// What was observed, by time bucket.
#[derive(Clone, Debug)]
pub struct Bucketed {
    /// The buckets, in their order.
    pub buckets: Vec<Bucket>,
    /// What became of every line.
    pub ledger: Ledger,
    /// From the first flow inside the window of the options to just after the last; `None` without flows.
    pub window: Option<Span>,
    /// What to tell the user.
    pub diagnostics: Vec<Diagnostic>,
}

/// Turns flows into edges in bounded memory: it keeps recent connections, and one entry for each edge.
///
/// The order of flows does not matter, as long as what belongs together is not further apart than the table of
/// connections reaches, and neither does a flow that comes twice.
pub struct Aggregator<'a, R> {
    window: Span,
    resolution: Resolution<'a, R>,
    /// Connections by socket pair.
    connections: Generations<SocketPair, Connection>,
    /// Whether connections may be there whose client is a guess.
    guesses: bool,
    /// Connections as their clients dialled them, before translation.
    dialled: Generations<ClientSocket, Vec<Dialled>>,
    /// Socket calls by observer and cookie.
    sockets: Generations<(u64, u64), SocketCalls>,
    /// Counted connections.
    tallies: Generations<SocketPair, Tally>,
    /// Echo requests.
    pings: Generations<(Ip, Ip, L4), Pings>,
    /// Hashes of what counts by itself, so that it does not count twice.
    counted: Generations<u64, ()>,
    sums: Sums,
    /// Edges that came resolved, by bucket.
    known: BTreeMap<(Timestamp, EdgeKey), (Counts, Vec<ServicePortRef>)>,
    /// How often was settled.
    step: u32,
    observed: Option<(Timestamp, Timestamp)>,
    ledger: Ledger,
    diagnostics: Vec<Diagnostic>,
}

/// What a flow turned out to be.
enum Use {
    Used,
    Repeated,
    Reply,
    Translation,
    Skip(Skip),
}

impl<'a, R: Resolver> Aggregator<'a, R> {
    /// Nothing observed yet.
    pub fn new(resolver: &'a R, options: Options) -> Self {
        let few = options.connections / 8;
        let buckets = match options.bucket {
            None => Buckets::One,
            Some(length) => {
                Buckets::Of(i64::try_from(length.as_nanos()).unwrap_or(i64::MAX).max(1))
            }
        };
        Self {
            window: options.window,
            resolution: Resolution::new(resolver),
            connections: Generations::new(options.connections),
            guesses: false,
            dialled: Generations::new(options.connections),
            sockets: Generations::new(few),
            tallies: Generations::new(options.connections),
            pings: Generations::new(few),
            counted: Generations::new(options.connections),
            sums: Sums::new(buckets),
            known: BTreeMap::new(),
            step: 0,
            observed: None,
            ledger: Ledger::default(),
            diagnostics: Vec::new(),
        }
    }

    /// Takes a flow in.
    pub fn add(&mut self, flow: &Flow) {
        if !self.window.contains(flow.start) {
            self.ledger.outside_window += 1;
            return;
        }
        let (first, last) = self.observed.get_or_insert((flow.start, flow.end));
        *first = flow.start.min(*first);
        *last = flow.end.max(*last);
        self.make_room();
        let unfit = unfit(flow.source.ip).or_else(|| unfit(flow.destination.ip));
        let fate = match (&flow.seen, unfit) {
            (_, Some(reason)) => Use::Skip(reason),
            (Seen::Packet(packet), None) => self.packet(flow, packet),
            (Seen::Socket(socket), None) => self.socket(flow, socket),
            (Seen::Connections(counted), None) => self.count(flow, counted),
        };
        match fate {
            Use::Used => self.ledger.used += 1,
            Use::Repeated => self.ledger.repeated += 1,
            Use::Reply => self.ledger.replies += 1,
            Use::Translation => self.ledger.translations += 1,
            Use::Skip(reason) => self.ledger.skip(reason),
        }
    }

    /// Takes in an edge that was resolved and counted before. It counts as seen when its bucket reaches into the
    /// window.
    pub fn know(&mut self, edge: KnownEdge) {
        let KnownEdge { at, bucket_minutes: _, key, counts, services } = edge;
        if counts.last_seen < self.window.from || counts.first_seen >= self.window.until {
            self.ledger.outside_window += 1;
            return;
        }
        let (first, last) = self.observed.get_or_insert((counts.first_seen, counts.last_seen));
        *first = counts.first_seen.min(*first);
        *last = counts.last_seen.max(*last);
        match self.known.entry((self.sums.buckets().at(at), key)) {
            Entry::Vacant(entry) => {
                entry.insert((counts, services));
            }
            Entry::Occupied(entry) => {
                let (sum, all) = entry.into_mut();
                sum.add(&counts);
                all.extend(services);
                all.sort_unstable();
                all.dedup();
            }
        }
        self.ledger.used += 1;
    }

    /// Notes that the source lost events.
    pub fn lost(&mut self, events: u64) {
        self.ledger.loss_reports += 1;
        self.ledger.lost_events = self.ledger.lost_events.saturating_add(events);
    }

    /// Notes a line that is no evidence.
    pub fn skip(&mut self, reason: Skip) {
        self.ledger.skip(reason);
    }

    /// Notes a line that could not be read.
    pub(crate) fn malformed(&mut self, fault: &Fault, at: Origin) {
        self.ledger.malformed += 1;
        if self.ledger.malformed <= PLACES {
            let diagnostic =
                Diagnostic::warning("malformed-flow", format!("line skipped: {fault}"));
            self.diagnostics.push(diagnostic.at(at));
        }
    }

    /// Notes a line over the limit.
    pub(crate) fn oversized(&mut self, at: Origin) {
        self.ledger.oversized += 1;
        if self.ledger.oversized <= PLACES {
            let message = "line skipped: longer than the limit";
            self.diagnostics.push(Diagnostic::warning("oversized-flow", message).at(at));
        }
    }

    /// What became of the lines so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Asks the resolver anew from now on, because it has learned something.
    pub fn resolve_anew(&mut self) {
        self.resolution.forget();
    }

    /// How many distinct ends are kept in mind. It grows for as long as new ones come.
    pub fn ends(&self) -> usize {
        self.resolution.len()
    }

    /// Whether what is counted by itself was not counted before.
    fn first_time(&mut self, what: &impl Hash) -> bool {
        let mut first = false;
        self.counted.touch_or_make(hash_of(what), || first = true);
        first
    }
}

/// Why no edge can have the address.
pub(crate) fn unfit(ip: IpAddr) -> Option<Skip> {
    let ip = ip.to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if ip.is_multicast() || ip.is_unspecified() || ip.is_loopback() || broadcast {
        return Some(Skip::NotUnicast);
    }
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()).then_some(Skip::LinkLocal)
}
