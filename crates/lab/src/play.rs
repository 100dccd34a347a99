//! Who talks to whom in the lab: the edges of the example, from each of the source's pods, to the Service where there is
//! one.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ringfence_model::object::{Objects, Pod};
use ringfence_model::{PodRef, Protocol};
use serde::Deserialize;

use crate::talk::Spot;

/// A file of edges, such as `examples/shop/expected-edges.json`.
#[derive(Debug, Deserialize)]
pub struct Play {
    edges: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    source: Party,
    destination: Party,
    protocol: String,
    port: Option<u16>,
    service: Option<ServicePort>,
    forwarded: u64,
    refused: u64,
}

/// Workloads have both names; nodes and addresses outside do not.
#[derive(Debug, Deserialize)]
struct Party {
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ServicePort {
    namespace: String,
    name: String,
    port: u16,
}

/// What one pod does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Where it answers.
    pub answer: Vec<Spot>,
    /// Whom it calls.
    pub call: Vec<Spot>,
}

impl Play {
    /// The part of each pod that has a network of its own. What was denied or refused in the example is left out, and so
    /// is what nodes and the world outside do.
    pub fn parts(&self, objects: &Objects) -> BTreeMap<PodRef, Part> {
        let mut parts: BTreeMap<PodRef, Part> = BTreeMap::new();
        let own = |pod: &&Pod| !pod.spec.host_network && !pod.phase.is_terminated();
        for pod in objects.pods.iter().filter(own) {
            let part = parts.entry(pod.reference.clone()).or_default();
            for port in &pod.spec.ports {
                let spots = pod.ips.iter().map(|ip| Spot {
                    protocol: port.protocol,
                    at: SocketAddr::new(*ip, port.port.get()),
                });
                part.answer.extend(spots);
            }
            part.answer.sort_unstable();
            part.answer.dedup();
        }
        for edge in self.edges.iter().filter(|edge| edge.forwarded > edge.refused) {
            let Some(port) = edge.port else { continue };
            let Ok(protocol) = edge.protocol.parse::<Protocol>() else { continue };
            let called = edge.called(objects, port);
            for pod in objects.pods.iter().filter(own).filter(|pod| edge.source.has(objects, pod)) {
                let others = called.iter().filter(|at| !pod.ips.contains(&at.ip()));
                let calls = &mut parts.entry(pod.reference.clone()).or_default().call;
                calls.extend(others.map(|at| Spot { protocol, at: *at }));
            }
        }
        parts
    }
}

impl Edge {
    /// The Service, or else every pod of the destination.
    fn called(&self, objects: &Objects, port: u16) -> Vec<SocketAddr> {
        let service = self.service.as_ref().and_then(|wanted| {
            let found = objects.services.iter().find(|service| {
                service.reference.namespace.as_str() == wanted.namespace
                    && service.reference.name.as_str() == wanted.name
            });
            Some(SocketAddr::new(*found?.cluster_ips.first()?, wanted.port))
        });
        match service {
            Some(service) => vec![service],
            None => {
                let pods = objects.pods.iter().filter(|pod| {
                    !pod.spec.host_network
                        && !pod.phase.is_terminated()
                        && self.destination.has(objects, pod)
                });
                let first = pods.filter_map(|pod| pod.ips.first());
                first.map(|ip| SocketAddr::new(*ip, port)).collect()
            }
        }
    }
}

impl Party {
    /// Whether the workload owns a pod, itself or through a ReplicaSet or Job.
    fn has(&self, objects: &Objects, pod: &Pod) -> bool {
        let (Some(namespace), Some(name)) = (&self.namespace, &self.name) else { return false };
        let mut owner = pod.owner.as_ref();
        while let Some(own) = owner {
            if own.name.as_str() == name {
                return pod.reference.namespace.as_str() == namespace;
            }
            let controllers = objects.controllers.iter().filter(|controller| {
                controller.namespace == pod.reference.namespace && controller.kind == own.kind
            });
            owner = controllers
                .filter(|controller| controller.name == own.name)
                .find_map(|controller| controller.owner.as_ref());
        }
        false
    }
}
