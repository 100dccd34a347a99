//! Edges in the making.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ringfence_model::resolve::Resolver;
use ringfence_model::{Edge, EdgeKey, Evidence, L4, Nature, Protocol};

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

/// What is known of the edges so far. Grows with the number of edges, as the result does.
#[derive(Default)]
pub(crate) struct Sums {
    edges: Map<EdgeId, Evidence>,
    /// The Service ports dialled to get there; also of edges that in the end have no evidence.
    services: Map<EdgeId, Vec<ServiceId>>,
    /// Connections known from one kind of view only, which is also there for connections that are counted by a
    /// better one. They count for edges without better evidence.
    weak_edges: Map<EdgeId, Evidence>,
    weak_backends: Map<SomeBackend, Evidence>,
}

type Map<K, V> = HashMap<K, V, FixedState>;

impl Sums {
    /// Counts connections.
    pub(crate) fn add(&mut self, edge: EdgeId, evidence: &Evidence) {
        merge(&mut self.edges, edge, evidence);
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
        merge(&mut self.weak_edges, edge, evidence);
    }

    /// Counts connections if nothing better tells of an edge to any backend.
    pub(crate) fn add_weak_backends(&mut self, to: SomeBackend, evidence: &Evidence) {
        merge(&mut self.weak_backends, to, evidence);
    }

    /// The edges, sorted.
    pub(crate) fn finish(mut self, resolution: &Resolution<'_, impl Resolver>) -> Vec<Edge> {
        for (edge, evidence) in std::mem::take(&mut self.weak_edges) {
            self.edges.entry(edge).or_insert(evidence);
        }
        // All are judged by the edges as they are now, so that their order does not matter.
        let (known, unknown): (Vec<_>, Vec<_>) = std::mem::take(&mut self.weak_backends)
            .into_iter()
            .partition(|(to, _)| to.edges(resolution).any(|edge| self.edges.contains_key(&edge)));
        for (to, _) in known {
            for edge in to.edges(resolution) {
                self.add_service(edge, to.service);
            }
        }
        for (to, evidence) in unknown {
            self.add_backends(to, &evidence, resolution);
        }
        let Self { edges, mut services, weak_edges: _, weak_backends: _ } = self;
        let mut edges: Vec<Edge> = edges
            .into_iter()
            .map(|(id, evidence)| {
                let key = EdgeKey {
                    source: resolution.peer(id.source).clone(),
                    destination: resolution.peer(id.destination).clone(),
                    l4: id.l4,
                    nature: id.nature,
                };
                let services = services.remove(&id).unwrap_or_default();
                let mut services: Vec<_> = services
                    .into_iter()
                    .map(|id| resolution.service(id).reference.clone())
                    .collect();
                services.sort_unstable();
                services.dedup();
                Edge { key, evidence, services }
            })
            .collect();
        edges.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        edges
    }
}

impl SomeBackend {
    fn edges<R: Resolver>(self, resolution: &Resolution<'_, R>) -> impl Iterator<Item = EdgeId> {
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
