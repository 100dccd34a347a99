//! A resolver that is a table, for tests.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "for tests, of which not every one uses all of it"
)]

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ringfence_model::resolve::{Hint, Resolved, Resolver, ServiceTarget};
use ringfence_model::{
    AddressClass, Name, Peer, Port, Protocol, ServicePortRef, ServiceRef, Span, Timestamp,
    WorkloadRef,
};

/// Who is where. Hints about pods win, then the table, then hints about nodes.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) addresses: HashMap<IpAddr, (Peer, Option<Name>)>,
    pub(crate) pod_nodes: HashMap<String, Name>,
    pub(crate) services: HashMap<(IpAddr, Protocol, Port), ServiceTarget>,
}

impl Table {
    /// `ns/Kind/name` on a node.
    pub(crate) fn pod(mut self, ip: &str, workload: &str, node: &str) -> Self {
        self.addresses.insert(ip.parse().unwrap(), (peer(workload), Some(name(node))));
        self
    }

    pub(crate) fn node(mut self, ip: &str, node: &str) -> Self {
        self.addresses.insert(ip.parse().unwrap(), (Peer::Node(name(node)), Some(name(node))));
        self
    }

    /// `ns/name`, its port, and `ns/Kind/name` with port for each backend.
    pub(crate) fn service(
        mut self,
        ip: &str,
        protocol: Protocol,
        service: &str,
        port: u16,
        backends: &[(&str, u16)],
    ) -> Self {
        let (namespace, service) = service.split_once('/').unwrap();
        let service = ServiceRef { namespace: name(namespace), name: name(service) };
        let port = Port::new(port).unwrap();
        let backends: Arc<[_]> =
            backends.iter().map(|(w, p)| (peer(w), Port::new(*p).unwrap())).collect();
        let target = ServiceTarget { service: ServicePortRef { service, port }, backends };
        self.services.insert((ip.parse().unwrap(), protocol, port), target);
        self
    }
}

impl Resolver for Table {
    fn resolve(&self, ip: IpAddr, _: Timestamp, hint: Option<&Hint>) -> Resolved {
        let known = self.addresses.get(&ip);
        let (peer, node) = match (hint, known) {
            (Some(Hint::Pod { pod, workload: Some(workload), .. }), _) => {
                let node = known.and_then(|(_, node)| node.clone());
                let node = self.pod_nodes.get(&pod.to_string()).cloned().or(node);
                (Peer::Workload(workload.clone()), node)
            }
            (_, Some((peer, node))) => (peer.clone(), node.clone()),
            (Some(Hint::Node(Some(node))), None) => (Peer::Node(node.clone()), Some(node.clone())),
            _ => (Peer::Address(ip, AddressClass::Unknown), None),
        };
        Resolved { peer, node, valid: Span::ALL }
    }

    fn service(&self, ip: IpAddr, protocol: Protocol, port: Port) -> Option<ServiceTarget> {
        self.services.get(&(ip, protocol, port)).cloned()
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// `ns/Kind/name`, or `Node/name`.
pub(crate) fn peer(text: &str) -> Peer {
    match *text.split('/').collect::<Vec<_>>() {
        ["Node", node] => Peer::Node(name(node)),
        [namespace, kind, workload] => Peer::Workload(WorkloadRef {
            namespace: name(namespace),
            kind: kind.into(),
            name: name(workload),
        }),
        _ => panic!("{text}"),
    }
}
