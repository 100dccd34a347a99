//! Who is who, asked of the resolver once and remembered.

use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ringfence_model::flow::End;
use ringfence_model::resolve::{Hint, Resolver};
use ringfence_model::{L4, Name, Nature, Peer, Port, Protocol, ServicePortRef, Span, Timestamp};

use crate::connection::{Ip, KnownEnd};
use crate::generations::{Generations, Touched};
use crate::sums::EdgeId;

/// How many answers of the resolver to remember.
const CAPACITY: usize = 1 << 17;

type Map<K, V> = HashMap<K, V, FixedState>;

/// A distinct (peer, node).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EndId(u32);

/// A distinct peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerId(u32);

/// A distinct Service port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServiceId(u32);

/// What is known of a Service port.
pub(crate) struct Service {
    pub(crate) reference: ServicePortRef,
    /// Never empty: without known backends, the Service itself.
    pub(crate) backends: Vec<(PeerId, Port)>,
}

/// The answers so far. Grows with the number of distinct peers, as the result does.
pub(crate) struct Resolution<'a, R> {
    resolver: &'a R,
    peers: Interned<Peer>,
    nodes: Interned<Name>,
    ends: Interned<(PeerId, Option<u32>)>,
    services: Vec<Service>,
    service_ids: Map<(ServicePortRef, Protocol), ServiceId>,
    /// By address and by where the hint lies in memory, which the kept hint keeps from being given to another.
    known_ends: Generations<(Ip, usize), KnownAnswer>,
    known_services: Generations<(Ip, Port, Protocol), Option<ServiceId>>,
}

struct KnownAnswer {
    valid: Span,
    id: EndId,
    _hint: Option<Arc<Hint>>,
}

impl<'a, R: Resolver> Resolution<'a, R> {
    pub(crate) fn new(resolver: &'a R) -> Self {
        Self {
            resolver,
            peers: Interned::new(),
            nodes: Interned::new(),
            ends: Interned::new(),
            services: Vec::new(),
            service_ids: Map::default(),
            known_ends: Generations::new(CAPACITY),
            known_services: Generations::new(CAPACITY),
        }
    }

    /// Who is at the address at the moment.
    pub(crate) fn end(&mut self, end: &End, at: Timestamp) -> KnownEnd {
        let End { ip, hint } = end;
        let strength = strength(hint.as_deref());
        let key = (Ip::from(*ip), hint.as_ref().map_or(0, |hint| Arc::as_ptr(hint).addr()));
        if self.known_ends.is_full() {
            self.known_ends.age().for_each(drop);
        }
        if let Some(Touched { value: known, .. }) = self.known_ends.touch(key)
            && known.valid.contains(at)
        {
            return KnownEnd { id: known.id, strength };
        }
        let resolved = self.resolver.resolve(ip.to_canonical(), at, hint.as_deref());
        let peer = PeerId(self.peers.id(resolved.peer));
        let node = resolved.node.map(|node| self.nodes.id(node));
        let id = EndId(self.ends.id((peer, node)));
        let answer = KnownAnswer { valid: resolved.valid, id, _hint: hint.clone() };
        self.known_ends.insert(key, answer);
        KnownEnd { id, strength }
    }

    /// The Service port at an address, if it is one.
    pub(crate) fn service_at(
        &mut self,
        ip: Ip,
        port: Port,
        protocol: Protocol,
    ) -> Option<ServiceId> {
        let key = (ip, port, protocol);
        if self.known_services.is_full() {
            self.known_services.age().for_each(drop);
        }
        if let Some(Touched { value: known, .. }) = self.known_services.touch(key) {
            return *known;
        }
        let target = self.resolver.service(ip.into(), protocol, port);
        let id = target.map(|target| {
            let key = (target.service, protocol);
            let mut backends: Vec<_> = target
                .backends
                .iter()
                .map(|(peer, port)| (PeerId(self.peers.id(peer.clone())), *port))
                .collect();
            if backends.is_empty() {
                let itself = Peer::Service(key.0.service.clone());
                backends.push((PeerId(self.peers.id(itself)), key.0.port));
            }
            if let Some(&id) = self.service_ids.get(&key) {
                self.services[id.0 as usize].backends = backends;
                return id;
            }
            let id = ServiceId(u32::try_from(self.services.len()).unwrap_or(u32::MAX));
            self.services.push(Service { reference: key.0.clone(), backends });
            self.service_ids.insert(key, id);
            id
        });
        self.known_services.insert(key, id);
        id
    }

    /// Asks the resolver anew from now on, because it has learned something.
    pub(crate) fn forget(&mut self) {
        self.known_ends.drain().for_each(drop);
        self.known_services.drain().for_each(drop);
    }

    /// How many distinct ends there were.
    pub(crate) fn len(&self) -> usize {
        self.ends.values.len()
    }

    /// The edge from one end to the other.
    pub(crate) fn edge(&self, client: EndId, server: EndId, l4: L4) -> EdgeId {
        EdgeId {
            source: self.peer_id(client),
            destination: self.peer_id(server),
            l4,
            nature: self.nature(client, server),
        }
    }

    /// The node that the end is or runs on.
    pub(crate) fn node(&self, end: EndId) -> Option<&Name> {
        self.ends.get(end.0).1.map(|node| self.nodes.get(node))
    }

    pub(crate) fn service(&self, id: ServiceId) -> &Service {
        &self.services[id.0 as usize]
    }

    pub(crate) fn peer_id(&self, end: EndId) -> PeerId {
        self.ends.get(end.0).0
    }

    pub(crate) fn peer(&self, id: PeerId) -> &Peer {
        self.peers.get(id.0)
    }

    /// Whether the client is the node that runs the server's pod.
    pub(crate) fn nature(&self, client: EndId, server: EndId) -> Nature {
        let (client, _) = *self.ends.get(client.0);
        let (server, Some(node)) = *self.ends.get(server.0) else { return Nature::Ordinary };
        match (self.peer(client), self.peer(server)) {
            (Peer::Node(client), Peer::Workload(_)) if client == self.nodes.get(node) => {
                Nature::OwnNode
            }
            _ => Nature::Ordinary,
        }
    }
}

/// How much a description tells. Observers at different places know more or less about the same address.
pub(crate) fn strength(hint: Option<&Hint>) -> u8 {
    match hint {
        None => 0,
        Some(Hint::World) => 1,
        Some(Hint::OtherNode) => 2,
        Some(Hint::Node(None)) => 3,
        Some(Hint::Node(Some(_)) | Hint::Host(_)) => 4,
        Some(Hint::Pod { workload: None, .. }) => 5,
        Some(Hint::Pod { workload: Some(_), .. }) => 6,
    }
}

/// Values by number and numbers by value.
struct Interned<T> {
    values: Vec<T>,
    ids: Map<T, u32>,
}

impl<T: Clone + Eq + Hash> Interned<T> {
    fn new() -> Self {
        Self { values: Vec::new(), ids: Map::default() }
    }

    fn id(&mut self, value: T) -> u32 {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        let id = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.ids.insert(value, id);
        id
    }

    fn get(&self, id: u32) -> &T {
        &self.values[id as usize]
    }
}
