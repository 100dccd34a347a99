//! Flows that observers have counted, to edges with the two sides kept apart.

use std::net::IpAddr;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ringfence_model::flow::{End, Side};
use ringfence_model::resolve::Resolver;
use ringfence_model::{
    Counts, EdgeKey, L4, Name, ObserverKind, Observers, Port, ServicePortRef, Tally, Timestamp,
};

use crate::aggregate::unfit;
use crate::connection::Ip;
use crate::resolution::{EndId, Resolution, ServiceId};
use crate::sums::{Buckets, EdgeId, SomeBackend};

/// Connections that an observer counted over an interval, seen from one end.
#[derive(Clone, Copy, Debug)]
pub struct CountedFlow<'a> {
    /// First moment of the interval.
    pub start: Timestamp,
    /// Last moment of the interval.
    pub end: Timestamp,
    /// Who opened.
    pub client: &'a End,
    /// Who was reached.
    pub server: &'a End,
    /// Protocol and port at the server, after translation.
    pub l4: L4,
    /// The Service address and port dialled, when they were translated.
    pub dialled: Option<(IpAddr, Port)>,
    /// What observed.
    pub observer: ObserverKind,
    /// The end that it stood at.
    pub side: Side,
    /// What it counted.
    pub counts: Tally,
    /// Whether anything but openings passed.
    pub traffic: bool,
}

/// What was counted of an edge in a time bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedEdge {
    /// When the bucket begins.
    pub at: Timestamp,
    /// The edge.
    pub key: EdgeKey,
    /// What was counted.
    pub counts: Counts,
    /// The Service ports dialled, sorted.
    pub services: Vec<ServicePortRef>,
}

/// Adds up counted flows. Grows with the number of edges and time buckets. Unlike an
/// [`Aggregator`](crate::Aggregator) it does not look for flows that come twice.
pub struct Counter<'a, R, F> {
    resolution: Resolution<'a, R>,
    observed: F,
    buckets: Buckets,
    sums: Map<(Timestamp, EdgeId), Sum>,
}

struct Sum {
    counts: Counts,
    services: Vec<ServiceId>,
}

type Map<K, V> = HashMap<K, V, FixedState>;

impl<'a, R: Resolver, F: Fn(&Name) -> Option<ObserverKind>> Counter<'a, R, F> {
    /// Nothing counted yet. `observed` says what observer a node has of its own, if any, `seconds` how long a time
    /// bucket is.
    pub fn new(resolver: &'a R, seconds: u32, observed: F) -> Self {
        let buckets = Buckets::Of(i64::from(seconds.max(1)) * 1_000_000_000);
        Self { resolution: Resolution::new(resolver), observed, buckets, sums: Map::default() }
    }

    /// Takes a flow in. `false`: it is no evidence, because it counts nothing or no edge can have its addresses.
    pub fn add(&mut self, flow: &CountedFlow<'_>) -> bool {
        let &CountedFlow { start, client, server, l4, dialled, side, counts, traffic, .. } = flow;
        let nothing = counts.opened == 0 && counts.denied == 0 && !traffic;
        if nothing || unfit(client.ip).is_some() || unfit(server.ip).is_some() {
            return false;
        }
        let from = self.resolution.end(client, start).id;
        let to = self.resolution.end(server, start).id;
        let bucket = self.buckets.at(start);
        let L4::Port(protocol, port) = l4 else {
            let edge = self.resolution.edge(from, to, l4);
            let (seat, observers) = self.seat(flow, from, to);
            self.sum(bucket, edge, flow).add(seat, observers, flow);
            return true;
        };
        if let Some(service) = self.resolution.service_at(Ip::from(server.ip), port, protocol) {
            // Not translated where it was seen. Each backend may be the one, and its node tells of it if it can.
            let source = self.resolution.peer_id(from);
            let backends = SomeBackend { source, service, protocol };
            for edge in backends.edges(&self.resolution).collect::<Vec<_>>() {
                let seat = match side {
                    Side::Client => Seat::Client,
                    Side::Server => Seat::Alone,
                };
                let sum = self.sum(bucket, edge, flow);
                sum.add(seat, own_end(flow), flow);
                sum.dialled(service);
            }
            return true;
        }
        let service =
            dialled.and_then(|(ip, port)| self.resolution.service_at(Ip::from(ip), port, protocol));
        let edge = self.resolution.edge(from, to, l4);
        let (seat, observers) = self.seat(flow, from, to);
        let sum = self.sum(bucket, edge, flow);
        sum.add(seat, observers, flow);
        if let Some(service) = service {
            sum.dialled(service);
        }
        true
    }

    /// What was counted, sorted by time and edge.
    pub fn finish(self) -> Vec<CountedEdge> {
        let Self { resolution, sums, .. } = self;
        let mut edges: Vec<CountedEdge> = sums
            .into_iter()
            .map(|((at, edge), Sum { counts, services })| CountedEdge {
                at,
                key: edge.key(&resolution),
                counts,
                services: resolution.references(services.into_iter()),
            })
            .collect();
        edges.sort_unstable_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
        edges
    }

    /// Which of the three a side's counts are, which depends on whether the other side is observed, and who observes
    /// both.
    fn seat(&self, flow: &CountedFlow<'_>, client: EndId, server: EndId) -> (Seat, Observers) {
        let own = own_end(flow);
        let other = match flow.side {
            Side::Client => server,
            Side::Server => client,
        };
        match (flow.side, self.resolution.node(other).and_then(&self.observed)) {
            (_, None) => (Seat::Alone, own),
            (Side::Client, Some(kind)) => (Seat::Client, own.at_server(kind)),
            (Side::Server, Some(kind)) => (Seat::Server, own.at_client(kind)),
        }
    }

    fn sum(&mut self, bucket: Timestamp, edge: EdgeId, flow: &CountedFlow<'_>) -> &mut Sum {
        self.sums.entry((bucket, edge)).or_insert_with(|| Sum {
            counts: Counts::seen(flow.start, flow.end),
            services: Vec::new(),
        })
    }
}

/// The observer that reports, at its end.
const fn own_end(flow: &CountedFlow<'_>) -> Observers {
    let reported = Observers::reported_by(flow.observer);
    match flow.side {
        Side::Client => reported.at_client(flow.observer),
        Side::Server => reported.at_server(flow.observer),
    }
}

/// The places in [`Counts`].
#[derive(Clone, Copy)]
enum Seat {
    Alone,
    Client,
    Server,
}

impl Sum {
    fn add(&mut self, seat: Seat, observers: Observers, flow: &CountedFlow<'_>) {
        let counts = &mut self.counts;
        counts.observers = counts.observers.with(observers);
        counts.first_seen = counts.first_seen.min(flow.start);
        counts.last_seen = counts.last_seen.max(flow.end);
        let side = match seat {
            Seat::Alone => &mut counts.alone,
            Seat::Client => &mut counts.client,
            Seat::Server => &mut counts.server,
        };
        side.add(&flow.counts);
    }

    fn dialled(&mut self, service: ServiceId) {
        if !self.services.contains(&service) {
            self.services.push(service);
        }
    }
}
