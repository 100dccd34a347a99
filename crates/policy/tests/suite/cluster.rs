//! Short words for building clusters and policies in tests.

use std::net::IpAddr;
use std::sync::Arc;

use ringfence_model::object::{ContainerPort, Namespace, Node, Phase, Pod, PodSpec};
use ringfence_model::{
    Cidr, IpBlock, Labels, Name, NamespaceScope, NetworkPolicy, Operator, Origin, PeerMatch, Peers,
    PodRef, Port, PortMatch, PortRange, PortTarget, Ports, Protocol, Requirement, Rule, Selector,
};

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn number(port: u16) -> Port {
    Port::new(port).unwrap()
}

/// `a=b,c=d`.
pub(crate) fn labels(text: &str) -> Labels {
    text.split(',').filter(|t| !t.is_empty()).map(|t| t.split_once('=').unwrap()).collect()
}

/// `a=b,c!=d,e,!f,g in h|i,j notin k|l`; empty for everything.
pub(crate) fn selector(text: &str) -> Selector {
    let set = |values: &str| values.split('|').map(Arc::from).collect();
    let requirement = |text: &str| {
        let (key, operator) = if let Some((key, values)) = text.split_once(" notin ") {
            (key, Operator::NotIn(set(values)))
        } else if let Some((key, values)) = text.split_once(" in ") {
            (key, Operator::In(set(values)))
        } else if let Some((key, value)) = text.split_once("!=") {
            (key, Operator::NotIn(set(value)))
        } else if let Some((key, value)) = text.split_once('=') {
            (key, Operator::In(set(value)))
        } else if let Some(key) = text.strip_prefix('!') {
            (key, Operator::DoesNotExist)
        } else {
            (text, Operator::Exists)
        };
        Requirement { key: key.into(), operator }
    };
    text.split(',').filter(|t| !t.is_empty()).map(requirement).collect()
}

pub(crate) fn namespace(namespace: &str, text: &str) -> Namespace {
    let text = format!("kubernetes.io/metadata.name={namespace},{text}");
    Namespace { name: name(namespace), labels: labels(&text), origin: Origin::default() }
}

pub(crate) fn node(node: &str, addresses: &[&str]) -> Node {
    Node {
        name: name(node),
        labels: Labels::empty(),
        addresses: addresses.iter().map(|a| ip(a)).collect(),
        pod_network_addresses: Vec::new(),
        pod_cidrs: Vec::new(),
        origin: Origin::default(),
    }
}

/// `namespace/pod` with labels, addresses and the node that runs it.
pub(crate) fn pod(reference: &str, text: &str, addresses: &[&str], node: &str) -> Pod {
    let (namespace, pod) = reference.split_once('/').unwrap();
    Pod {
        reference: PodRef { namespace: name(namespace), name: name(pod) },
        labels: labels(text),
        owner: None,
        ips: addresses.iter().map(|a| ip(a)).collect(),
        node: Some(name(node)),
        phase: Phase::Running,
        started: None,
        ended: None,
        spec: PodSpec::default(),
        origin: Origin::default(),
    }
}

pub(crate) fn container_port(port_name: &str, protocol: Protocol, port: u16) -> ContainerPort {
    ContainerPort { name: Some(port_name.into()), protocol, port: number(port) }
}

/// A policy that isolates in no direction yet.
pub(crate) fn policy(reference: &str, pods: &str) -> NetworkPolicy {
    let (namespace, policy) = reference.split_once('/').unwrap();
    NetworkPolicy {
        namespace: name(namespace),
        name: name(policy),
        origin: Origin::default(),
        pod_selector: selector(pods),
        ingress: None,
        egress: None,
    }
}

pub(crate) trait PolicyExt {
    fn ingress(self, rules: Vec<Rule>) -> Self;
    fn egress(self, rules: Vec<Rule>) -> Self;
}

impl PolicyExt for NetworkPolicy {
    fn ingress(mut self, rules: Vec<Rule>) -> Self {
        self.ingress = Some(rules);
        self
    }

    fn egress(mut self, rules: Vec<Rule>) -> Self {
        self.egress = Some(rules);
        self
    }
}

/// A rule; an empty list means everybody or every port, as in the API.
pub(crate) fn rule(peers: &[PeerMatch], ports: &[PortMatch]) -> Rule {
    Rule {
        origin: Origin::default(),
        peers: if peers.is_empty() { Peers::Any } else { Peers::Only(peers.to_vec()) },
        ports: if ports.is_empty() { Ports::Any } else { Ports::Only(ports.to_vec()) },
    }
}

/// `podSelector` alone.
pub(crate) fn pods(text: &str) -> PeerMatch {
    PeerMatch::Pods { namespaces: NamespaceScope::Own, pods: selector(text) }
}

/// `namespaceSelector` alone.
pub(crate) fn namespaces(text: &str) -> PeerMatch {
    pods_in(text, "")
}

/// `namespaceSelector` and `podSelector` in one peer.
pub(crate) fn pods_in(namespaces: &str, pods: &str) -> PeerMatch {
    let namespaces = NamespaceScope::Matching(selector(namespaces));
    PeerMatch::Pods { namespaces, pods: selector(pods) }
}

pub(crate) fn block(cidr: &str, except: &[&str]) -> PeerMatch {
    let except: Vec<Cidr> = except.iter().map(|e| e.parse().unwrap()).collect();
    PeerMatch::IpBlock(IpBlock::new(cidr.parse().unwrap(), except).unwrap())
}

pub(crate) fn port(protocol: Protocol, port: u16) -> PortMatch {
    range(protocol, port, port)
}

pub(crate) fn tcp(number: u16) -> PortMatch {
    port(Protocol::Tcp, number)
}

pub(crate) fn range(protocol: Protocol, first: u16, last: u16) -> PortMatch {
    let range = PortRange::new(number(first), number(last)).unwrap();
    PortMatch { protocol, target: PortTarget::Numbers(range) }
}

pub(crate) fn every(protocol: Protocol) -> PortMatch {
    PortMatch { protocol, target: PortTarget::Any }
}

pub(crate) fn named(protocol: Protocol, port_name: &str) -> PortMatch {
    PortMatch { protocol, target: PortTarget::Named(port_name.into()) }
}
