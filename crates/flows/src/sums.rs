//! Edges in the making.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use ringfence_model::resolve::Resolver;
use ringfence_model::{Edge, EdgeKey, Evidence, L4, Nature, Protocol, ServicePortRef, Timestamp};

use crate::resolution::{PeerId, Resolution, ServiceId};

/// An edge in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EdgeId {
    pub(crate) source: PeerId,
    pub(crate) destination: PeerId,
    pub(crate) l4: L4,
    pub(crate) nature: Nature,
}

/// Some backend of a Service, dialled by a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SomeBackend {
    pub(crate) source: PeerId,
    pub(crate) service: ServiceId,
    pub(crate) protocol: Protocol,
}

/// The edges of a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// When it begins.
    pub at: Timestamp,
    /// The edges, sorted by key. What has no counts was still alive.
    pub edges: Vec<Edge>,
}

/// How time is cut into buckets: what was seen belongs to the one in which it was seen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Buckets {
    /// All time is one.
    One,
    /// Of this many nanoseconds each.
    Of(i64),
}

impl Buckets {
    /// The bucket of a moment, by when it begins.
    pub(crate) fn at(self, at: Timestamp) -> Timestamp {
        match self {
            Self::One => Timestamp::MIN,
            Self::Of(length) => {
                Timestamp::from_nanos(at.nanos().saturating_sub(at.nanos().rem_euclid(length)))
            }
        }
    }
}

/// What is known of the edges so far. Grows with the number of edges, as the result does.
pub(crate) struct Sums {
    buckets: Buckets,
    edges: Map<(Timestamp, EdgeId), Evidence>,
    /// The Service ports dialled to get there; also of edges that in the end have no evidence.
    services: Map<EdgeId, Vec<ServiceId>>,
    /// Connections known from one kind of view only, which is also there for connections that are counted by a
    /// better one. They count for edges without better evidence.
    weak_edges: Map<(Timestamp, EdgeId), Evidence>,
    weak_backends: Map<(Timestamp, SomeBackend), Evidence>,
    /// Edges that were told of before.
    told: HashSet<EdgeId, FixedState>,
}

type Map<K, V> = HashMap<K, V, FixedState>;

impl Sums {
    pub(crate) fn new(buckets: Buckets) -> Self {
        Self {
            buckets,
            edges: Map::default(),
            services: Map::default(),
            weak_edges: Map::default(),
            weak_backends: Map::default(),
            told: HashSet::default(),
        }
    }

    pub(crate) fn buckets(&self) -> Buckets {
        self.buckets
    }

    /// Counts connections.
    pub(crate) fn add(&mut self, edge: EdgeId, evidence: &Evidence) {
        merge(&mut self.edges, (self.buckets.at(evidence.first_seen), edge), evidence);
    }

    /// Counts connections of which only the untranslated view was seen, to whichever backend. Each may be the one.
    pub(crate) fn add_backends(
        &mut self,
        to: SomeBackend,
        evidence: &Evidence,
        resolution: &Resolution<'_, impl Resolver>,
    ) {
        for edge in to.edges(resolution) {
            self.add(edge, evidence);
            self.add_service(edge, to.service);
        }
    }

    /// Notes that a Service port leads to an edge.
    pub(crate) fn add_service(&mut self, edge: EdgeId, service: ServiceId) {
        let services = self.services.entry(edge).or_default();
        if !services.contains(&service) {
            services.push(service);
        }
    }

    /// Counts connections if nothing better tells of the edge.
    pub(crate) fn add_weak(&mut self, edge: EdgeId, evidence: &Evidence) {
        merge(&mut self.weak_edges, (self.buckets.at(evidence.first_seen), edge), evidence);
    }

    /// Counts connections if nothing better tells of an edge to any backend.
    pub(crate) fn add_weak_backends(&mut self, to: SomeBackend, evidence: &Evidence) {
        merge(&mut self.weak_backends, (self.buckets.at(evidence.first_seen), to), evidence);
    }

    /// What was added since the last time, by bucket.
    pub(crate) fn take(&mut self, resolution: &Resolution<'_, impl Resolver>) -> Vec<Bucket> {
        self.told.extend(self.edges.keys().map(|(_, edge)| *edge));
        for ((at, edge), evidence) in std::mem::take(&mut self.weak_edges) {
            if !self.told.contains(&edge) {
                merge(&mut self.edges, (at, edge), &evidence);
            }
        }
        self.told.extend(self.edges.keys().map(|(_, edge)| *edge));
        // All are judged by the edges as they are now, so that their order does not matter.
        let (known, unknown): (Vec<_>, Vec<_>) = std::mem::take(&mut self.weak_backends)
            .into_iter()
            .partition(|((_, to), _)| to.edges(resolution).any(|edge| self.told.contains(&edge)));
        for ((_, to), _) in known {
            for edge in to.edges(resolution) {
                self.add_service(edge, to.service);
            }
        }
        for ((_, to), evidence) in unknown {
            self.add_backends(to, &evidence, resolution);
        }
        let mut buckets: BTreeMap<Timestamp, Vec<Edge>> = BTreeMap::new();
        for ((at, id), evidence) in std::mem::take(&mut self.edges) {
            let services = self
                .services
                .get(&id)
                .map_or_else(Vec::new, |services| resolution.references(services.iter().copied()));
            let edge = Edge { key: id.key(resolution), evidence, services };
            buckets.entry(at).or_default().push(edge);
        }
        buckets
            .into_iter()
            .map(|(at, mut edges)| {
                edges.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                Bucket { at, edges }
            })
            .collect()
    }
}

impl EdgeId {
    /// The edge in words.
    pub(crate) fn key(self, resolution: &Resolution<'_, impl Resolver>) -> EdgeKey {
        let Self { source, destination, l4, nature } = self;
        EdgeKey {
            source: resolution.peer(source).clone(),
            destination: resolution.peer(destination).clone(),
            l4,
            nature,
        }
    }
}

impl<R: Resolver> Resolution<'_, R> {
    /// Service ports in words, sorted.
    pub(crate) fn references(
        &self,
        services: impl Iterator<Item = ServiceId>,
    ) -> Vec<ServicePortRef> {
        let mut references: Vec<_> =
            services.map(|id| self.service(id).reference.clone()).collect();
        references.sort_unstable();
        references.dedup();
        references
    }
}

impl SomeBackend {
    pub(crate) fn edges<R: Resolver>(
        self,
        resolution: &Resolution<'_, R>,
    ) -> impl Iterator<Item = EdgeId> {
        let Self { source, service, protocol } = self;
        resolution.service(service).backends.iter().map(move |&(destination, port)| EdgeId {
            source,
            destination,
            l4: L4::Port(protocol, port),
            nature: Nature::Ordinary,
        })
    }
}

fn merge<K: Eq + std::hash::Hash>(map: &mut Map<K, Evidence>, key: K, evidence: &Evidence) {
    map.entry(key).and_modify(|sum| sum.merge(evidence)).or_insert_with(|| evidence.clone());
}
