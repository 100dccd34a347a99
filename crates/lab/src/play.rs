//! Who talks to whom in the lab: the edges of the example, from each of the source's pods, to the Service where there is
//! one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ringfence_model::object::{Objects, Pod};
use ringfence_model::{Name, PodRef, Protocol, ServiceRef, WorkloadKind};
use serde::Deserialize;

use crate::network::has_network;
use crate::talk::{Call, Fate, Part, Spot};

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
    dropped: u64,
    refused: u64,
}

/// Workloads have both names, addresses outside have their address, and nodes have nothing.
#[derive(Debug, Deserialize)]
struct Party {
    namespace: Option<String>,
    name: Option<String>,
    ip: Option<IpAddr>,
}

#[derive(Debug, Deserialize)]
struct ServicePort {
    namespace: String,
    name: String,
    port: u16,
}

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// A pod with a network of its own.
    Pod(PodRef),
    /// A node: its kubelet, and the pods on the host network.
    Node(Name),
    /// Everybody outside of the cluster.
    World,
}

impl Play {
    /// The part of each that has one.
    pub fn parts(&self, objects: &Objects) -> BTreeMap<Actor, Part> {
        let mut parts: BTreeMap<Actor, Part> = BTreeMap::new();
        for pod in objects.pods.iter().filter(|pod| !pod.phase.is_terminated()) {
            let Some((actor, ips)) = Self::seat(objects, pod) else { continue };
            let part = parts.entry(actor).or_default();
            for port in &pod.spec.ports {
                let at = ips.iter().map(|ip| SocketAddr::new(*ip, port.port.get()));
                part.answer.extend(at.map(|at| Spot { protocol: port.protocol, at }));
            }
        }
        let names = names(objects);
        for edge in &self.edges {
            let Some(port) = edge.port else { continue };
            let Ok(protocol) = edge.protocol.parse::<Protocol>() else { continue };
            for (actor, own) in edge.callers(objects) {
                let call = |at: SocketAddr| Call {
                    to: Spot { protocol, at },
                    name: names.get(&at.ip()).cloned(),
                    from: own.bind,
                    fate: edge.fate(),
                };
                let called = edge.called(objects, port, &actor);
                let others = called.into_iter().filter(|at| !own.ips.contains(&at.ip()));
                parts.entry(actor).or_default().call.extend(others.map(call));
            }
            for (actor, at) in edge.answering(objects, port) {
                parts.entry(actor).or_default().answer.push(Spot { protocol, at });
            }
        }
        for part in parts.values_mut() {
            part.answer.sort_unstable();
            part.answer.dedup();
            part.call.sort_unstable();
            part.call.dedup();
            let resolver = |call: &&Call| {
                is_dns(&call.to) && call.to.protocol == Protocol::Udp && call.name.is_some()
            };
            part.resolver = part.call.iter().find(resolver).map(|call| call.to.at);
            for call in part.call.iter_mut().filter(|call| is_dns(&call.to)) {
                // Nobody looks up where to look up.
                call.name = None;
            }
            if part.answer.iter().any(is_dns) {
                let entries = names.iter().filter_map(|(ip, name)| match ip {
                    IpAddr::V4(ip) => Some((name.clone(), *ip)),
                    IpAddr::V6(_) => None,
                });
                part.zone = entries.collect();
            }
        }
        parts
    }

    /// The addresses outside of the cluster: those that are called, and those that call.
    pub fn outside(&self) -> BTreeSet<IpAddr> {
        let parties = self.edges.iter().flat_map(|edge| [&edge.source, &edge.destination]);
        parties.filter_map(|party| party.ip).collect()
    }

    /// Who plays a pod, and at which addresses.
    fn seat<'a>(objects: &Objects, pod: &'a Pod) -> Option<(Actor, &'a [IpAddr])> {
        if has_network(pod) {
            return Some((Actor::Pod(pod.reference.clone()), &pod.ips));
        }
        let node = objects.nodes.iter().find(|node| Some(&node.name) == pod.node.as_ref())?;
        pod.spec.host_network.then(|| (Actor::Node(node.name.clone()), pod.ips.as_slice()))
    }
}

fn is_dns(spot: &Spot) -> bool {
    spot.at.port() == 53
}

/// The names of Services, by address.
fn names(objects: &Objects) -> BTreeMap<IpAddr, String> {
    let names = objects.services.iter().flat_map(|service| {
        let ServiceRef { namespace, name } = &service.reference;
        let name = format!("{name}.{namespace}.svc.cluster.local");
        service.cluster_ips.iter().map(move |ip| (*ip, name.clone()))
    });
    names.collect()
}

/// The addresses of a caller.
struct Own {
    ips: Vec<IpAddr>,
    /// Set where the caller is one of many.
    bind: Option<IpAddr>,
}

impl Edge {
    fn fate(&self) -> Fate {
        if self.dropped > 0 {
            Fate::Denied
        } else if self.refused > 0 {
            Fate::Refused
        } else {
            Fate::Answered
        }
    }

    fn callers(&self, objects: &Objects) -> Vec<(Actor, Own)> {
        if let Some(ip) = self.source.ip {
            return vec![(Actor::World, Own { ips: vec![ip], bind: Some(ip) })];
        }
        if self.source.is_node() {
            // With a Service it is what the node made of a visitor.
            let nodes = objects.nodes.iter().filter(|_| self.service.is_none());
            let own = |ips: &Vec<IpAddr>| Own { ips: ips.clone(), bind: None };
            return nodes
                .map(|node| (Actor::Node(node.name.clone()), own(&node.addresses)))
                .collect();
        }
        let pods = objects.pods.iter().filter(|pod| has_network(pod));
        pods.filter(|pod| self.source.has(objects, pod))
            .map(|pod| {
                let own = Own { ips: pod.ips.clone(), bind: None };
                (Actor::Pod(pod.reference.clone()), own)
            })
            .collect()
    }

    /// The Service, or else every pod, node or address of the destination.
    fn called(&self, objects: &Objects, port: u16, by: &Actor) -> Vec<SocketAddr> {
        if let Some(ip) = self.destination.ip {
            return vec![SocketAddr::new(ip, port)];
        }
        if self.destination.is_node() && self.source.ip.is_some() {
            let nodes = objects.nodes.iter().filter_map(|node| node.addresses.first());
            return nodes.map(|ip| SocketAddr::new(*ip, port)).collect();
        }
        let service = self.service.as_ref().and_then(|wanted| {
            let found = objects.services.iter().find(|service| {
                service.reference.namespace.as_str() == wanted.namespace
                    && service.reference.name.as_str() == wanted.name
            });
            Some(SocketAddr::new(*found?.cluster_ips.first()?, wanted.port))
        });
        if let Some(service) = service {
            return vec![service];
        }
        if self.destination.is_node() {
            let home = |pod: &Pod| matches!(by, Actor::Pod(by) if pod.reference == *by);
            let home = objects.pods.iter().find(|pod| home(pod)).and_then(|pod| pod.node.as_ref());
            // Datagrams are for the own node's agent, streams for everybody's.
            let local = self.protocol == "UDP";
            let nodes = objects.nodes.iter().filter(|node| !local || Some(&node.name) == home);
            let first = nodes.filter_map(|node| node.addresses.first());
            return first.map(|ip| SocketAddr::new(*ip, port)).collect();
        }
        let pods = objects.pods.iter().filter(|pod| {
            // A kubelet asks the pods of its own node.
            let near = !matches!(by, Actor::Node(node) if pod.node.as_ref() != Some(node));
            has_network(pod) && near && self.destination.has(objects, pod)
        });
        let first = pods.filter_map(|pod| pod.ips.first());
        first.map(|ip| SocketAddr::new(*ip, port)).collect()
    }

    /// Who answers beside pods that declare the port.
    fn answering(&self, objects: &Objects, port: u16) -> Vec<(Actor, SocketAddr)> {
        if self.fate() != Fate::Answered {
            return Vec::new();
        }
        if let Some(ip) = self.destination.ip {
            return vec![(Actor::World, SocketAddr::new(ip, port))];
        }
        if self.destination.is_node() {
            // Visitors' ports lead to pods.
            let nodes = objects.nodes.iter().filter(|_| self.source.ip.is_none());
            let at = nodes.filter_map(|node| Some((node, node.addresses.first()?)));
            return at
                .map(|(node, ip)| (Actor::Node(node.name.clone()), SocketAddr::new(*ip, port)))
                .collect();
        }
        let pods = objects.pods.iter().filter(|pod| has_network(pod));
        let pods = pods.filter(|pod| self.destination.has(objects, pod));
        pods.flat_map(|pod| {
            let actor = Actor::Pod(pod.reference.clone());
            pod.ips.iter().map(move |ip| (actor.clone(), SocketAddr::new(*ip, port)))
        })
        .collect()
    }
}

impl Party {
    fn is_node(&self) -> bool {
        self.name.is_none() && self.ip.is_none()
    }

    /// Whether the workload owns a pod, itself or through a ReplicaSet or Job.
    fn has(&self, objects: &Objects, pod: &Pod) -> bool {
        let (Some(namespace), Some(name)) = (&self.namespace, &self.name) else { return false };
        pod.reference.namespace.as_str() == namespace
            && owners(objects, pod).any(|(_, own)| own.as_str() == name)
    }
}

/// Whether a pod is of a `CronJob` or Job, and lives for moments only.
pub fn is_brief(objects: &Objects, pod: &Pod) -> bool {
    owners(objects, pod).any(|(kind, _)| matches!(kind, WorkloadKind::CronJob | WorkloadKind::Job))
}

/// The owners of a pod, the nearest first.
fn owners<'a>(
    objects: &'a Objects,
    pod: &'a Pod,
) -> impl Iterator<Item = (&'a WorkloadKind, &'a Name)> {
    let above = move |own: &&'a ringfence_model::object::OwnerRef| {
        let controllers = objects.controllers.iter().filter(|controller| {
            controller.namespace == pod.reference.namespace && controller.kind == own.kind
        });
        let mut named = controllers.filter(|controller| controller.name == own.name);
        named.find_map(|controller| controller.owner.as_ref())
    };
    std::iter::successors(pod.owner.as_ref(), above).map(|own| (&own.kind, &own.name))
}
