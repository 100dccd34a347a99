//! What the tests share.
#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod answers;
pub(crate) mod naive;
pub(crate) mod random;

use ringfence_model::{
    EdgeKey, L4, Name, Nature, Peer, Port, Protocol, ServicePortRef, ServiceRef, Timestamp,
    WorkloadKind, WorkloadRef,
};
use ringfence_store::{Counted, Counts, Tally};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A Deployment, from `namespace/name`.
pub(crate) fn workload(text: &str) -> Peer {
    let (namespace, workload) = text.split_once('/').unwrap();
    Peer::Workload(WorkloadRef {
        namespace: name(namespace),
        kind: WorkloadKind::Deployment,
        name: name(workload),
    })
}

pub(crate) fn tcp(source: Peer, destination: Peer, port: u16) -> EdgeKey {
    let l4 = L4::Port(Protocol::Tcp, Port::new(port).unwrap());
    EdgeKey { source, destination, l4, nature: Nature::Ordinary }
}

/// A port of a Service, from `namespace/name:port`.
pub(crate) fn service(text: &str) -> ServicePortRef {
    let (service, port) = text.split_once(':').unwrap();
    let (namespace, service) = service.split_once('/').unwrap();
    ServicePortRef {
        service: ServiceRef { namespace: name(namespace), name: name(service) },
        port: port.parse().unwrap(),
    }
}

/// So many connections at a moment.
pub(crate) fn opened(at: Timestamp, opened: u64) -> Counts {
    Counts { alone: Tally { opened, ..Tally::default() }, ..Counts::seen(at, at) }
}

/// So many connections of an edge in the cluster `prod`.
pub(crate) fn counted(at: Timestamp, key: EdgeKey, count: u64) -> Counted {
    Counted { cluster: name("prod"), at, key, counts: opened(at, count), services: Vec::new() }
}
