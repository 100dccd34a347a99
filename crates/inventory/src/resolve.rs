//! The answers that the aggregator asks for.

use std::net::IpAddr;

use ringfence_model::resolve::{Hint, Resolved, Resolver, ServiceTarget};
use ringfence_model::{Labels, Name, Peer, PodRef, Port, Protocol, Span, Timestamp, WorkloadRef};

use crate::Inventory;

/// What an observer says about pods and nodes wins over the objects, which are of another moment. What it says
/// about the outside does not: observers call a Service address "world" before translation.
impl Resolver for Inventory {
    fn resolve(&self, ip: IpAddr, at: Timestamp, hint: Option<&Hint>) -> Resolved {
        match hint {
            Some(Hint::Pod { pod, workload, labels }) => {
                self.resolve_pod(ip, at, pod, workload.as_ref(), labels.as_ref())
            }
            Some(Hint::Node(Some(node))) => at_node(node),
            Some(Hint::Host(host)) => at_host(host, Span::ALL),
            Some(Hint::Node(None) | Hint::OtherNode | Hint::World) | None => {
                self.resolve_address(ip, at)
            }
        }
    }

    fn service(&self, ip: IpAddr, protocol: Protocol, port: Port) -> Option<ServiceTarget> {
        self.table.target(ip, protocol, port).cloned()
    }
}

impl Inventory {
    fn resolve_pod(
        &self,
        ip: IpAddr,
        at: Timestamp,
        pod: &PodRef,
        workload: Option<&WorkloadRef>,
        labels: Option<&Labels>,
    ) -> Resolved {
        let Some(resident) = self.residents.named(pod) else {
            let workload = self.owners.top_of_gone_pod(pod, workload, labels);
            let on_host = self.workload(&workload).is_some_and(|w| w.host_network);
            return match self.node_book.at(ip) {
                Some(node) if on_host => at_node(node),
                _ => Resolved {
                    peer: Peer::Workload(workload),
                    node: self.node_book.serving(ip).cloned(),
                    valid: Span::ALL,
                },
            };
        };
        // Before its start the name belonged to an earlier pod, of a StatefulSet say, that may have run elsewhere.
        let Some(started) = resident.started else {
            return Resolved {
                peer: resident.peer.clone(),
                node: resident.node.clone(),
                valid: Span::ALL,
            };
        };
        if started <= at {
            return Resolved {
                peer: resident.peer.clone(),
                node: resident.node.clone(),
                valid: Span { from: started, until: Timestamp::MAX },
            };
        }
        let valid = Span { from: Timestamp::MIN, until: started };
        match (&resident.peer, self.node_book.at(ip)) {
            (Peer::Node(_), Some(node)) => Resolved { valid, ..at_node(node) },
            (peer, _) => {
                Resolved { peer: peer.clone(), node: self.node_book.serving(ip).cloned(), valid }
            }
        }
    }

    /// Whether a node, a pod of now or a Service has the address: these come before hosts.
    pub(crate) fn is_of_the_cluster(&self, ip: IpAddr) -> bool {
        self.node_book.at(ip).is_some()
            || self.residents.now(ip).is_some()
            || self.table.at(ip).is_some()
    }

    fn resolve_address(&self, ip: IpAddr, at: Timestamp) -> Resolved {
        if let Some(node) = self.node_book.at(ip) {
            return at_node(node);
        }
        let (resident, valid) = self.residents.at(ip, at);
        let peer = match (resident, self.table.at(ip), self.host_book.at(ip)) {
            (Some(resident), ..) => {
                return Resolved {
                    peer: resident.peer.clone(),
                    node: resident.node.clone(),
                    valid,
                };
            }
            (None, Some(service), _) => Peer::Service(service.clone()),
            (None, None, Some(host)) => return at_host(host, valid),
            (None, None, None) => Peer::Address(ip.to_canonical(), self.space.classify(ip)),
        };
        Resolved { peer, node: self.node_book.serving(ip).cloned(), valid }
    }
}

fn at_host(host: &Name, valid: Span) -> Resolved {
    Resolved { peer: Peer::Host(host.clone()), node: Some(host.clone()), valid }
}

fn at_node(node: &Name) -> Resolved {
    Resolved { peer: Peer::Node(node.clone()), node: Some(node.clone()), valid: Span::ALL }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
