//! What policies are compiled against: the parts of a cluster's objects that they depend on.

use std::net::IpAddr;

use foldhash::{HashMap, HashSet};
use ringfence_model::object::{ContainerPort, Namespace, Node, Pod};
use ringfence_model::{Diagnostic, Labels, Name, PodRef};

use crate::index::{PodIx, index};
use crate::profile::{HostNetwork, Profile};

/// The label that the API server sets on every namespace.
pub(crate) const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) profile: Profile,
    pub(crate) pods: Vec<PodEntry>,
    /// The namespaces of the input, then those that only pods mention.
    pub(crate) namespaces: Vec<NamespaceEntry>,
    pub(crate) namespace_ids: HashMap<Name, u32>,
    pub(crate) nodes: HashMap<Name, NodeEntry>,
    pub(crate) node_addresses: HashSet<IpAddr>,
    pub(crate) pod_addresses: HashMap<IpAddr, PodIx>,
}

#[derive(Clone, Debug)]
pub(crate) struct PodEntry {
    pub(crate) reference: PodRef,
    pub(crate) namespace: u32,
    pub(crate) labels: Labels,
    pub(crate) ports: Vec<ContainerPort>,
    /// The addresses that ipBlocks may match. A host-network pod whose status names none has those of its node.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) node: Option<Name>,
    /// Whether it is a host-network pod.
    pub(crate) host_network: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct NodeEntry {
    pub(crate) labels: Labels,
    /// The addresses that its status names.
    pub(crate) addresses: Vec<IpAddr>,
    /// Every address under which pods may see it.
    pub(crate) seen_as: Vec<IpAddr>,
}

#[derive(Clone, Debug)]
pub(crate) struct NamespaceEntry {
    pub(crate) name: Name,
    pub(crate) labels: Labels,
}

impl Cluster {
    pub(crate) fn new(
        namespaces: &[Namespace],
        nodes: &[Node],
        pods: &[Pod],
        profile: Profile,
    ) -> (Self, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let (namespaces, namespace_ids) = entries(namespaces, pods, &mut diagnostics);
        let by_name: HashMap<&Name, &Node> = nodes.iter().map(|n| (&n.name, n)).collect();
        let entry = |pod: &Pod| PodEntry {
            reference: pod.reference.clone(),
            // Every namespace of a pod is known by now.
            namespace: namespace_ids.get(&pod.reference.namespace).copied().unwrap_or_default(),
            labels: pod.labels.clone(),
            ports: pod.spec.ports.clone(),
            addresses: addresses(pod, &by_name),
            node: pod.node.clone(),
            host_network: pod.spec.host_network,
        };
        let entries = pods.iter().map(entry).collect();
        let cluster = Self {
            profile,
            pods: entries,
            namespaces,
            nodes: nodes.iter().map(|n| (n.name.clone(), node_entry(n))).collect(),
            node_addresses: nodes.iter().flat_map(every_address).collect(),
            pod_addresses: pod_addresses(pods, profile, &mut diagnostics),
            namespace_ids,
        };
        (cluster, diagnostics)
    }

    /// Whether the pod is nothing but its node to policies.
    pub(crate) fn counts_as_node(&self, pod: &PodEntry) -> bool {
        pod.host_network && self.profile.host_network == HostNetwork::NodeAddress
    }
}

fn entries(
    given: &[Namespace],
    pods: &[Pod],
    diagnostics: &mut Vec<Diagnostic>,
) -> (Vec<NamespaceEntry>, HashMap<Name, u32>) {
    let mut found: Vec<NamespaceEntry> = Vec::new();
    let mut ids: HashMap<Name, u32> = HashMap::default();
    for namespace in given {
        let id = index(found.len());
        if *ids.entry(namespace.name.clone()).or_insert(id) == id {
            let labels = namespace.labels.clone();
            found.push(NamespaceEntry { name: namespace.name.clone(), labels });
        }
    }
    for pod in pods {
        let name = &pod.reference.namespace;
        if ids.contains_key(name) {
            continue;
        }
        ids.insert(name.clone(), index(found.len()));
        let labels = [(NAMESPACE_NAME, name.as_str())].into_iter().collect();
        found.push(NamespaceEntry { name: name.clone(), labels });
        diagnostics.push(
            Diagnostic::warning(
                "namespace-missing",
                "is not in the input, so its labels are not known",
            )
            .at(pod.origin.clone())
            .about(format!("Namespace {name}"))
            .hint("add the output of `kubectl get namespaces -o yaml`"),
        );
    }
    (found, ids)
}

fn node_entry(node: &Node) -> NodeEntry {
    NodeEntry {
        labels: node.labels.clone(),
        addresses: node.addresses.iter().map(IpAddr::to_canonical).collect(),
        seen_as: every_address(node).collect(),
    }
}

fn every_address(node: &Node) -> impl Iterator<Item = IpAddr> {
    node.addresses.iter().chain(&node.pod_network_addresses).map(IpAddr::to_canonical)
}

fn addresses(pod: &Pod, nodes: &HashMap<&Name, &Node>) -> Vec<IpAddr> {
    let node = if pod.spec.host_network && pod.ips.is_empty() {
        pod.node.as_ref().and_then(|name| nodes.get(name)).map(|node| node.addresses.as_slice())
    } else {
        None
    };
    pod.ips.iter().chain(node.unwrap_or_default()).map(IpAddr::to_canonical).collect()
}

/// Who has which address. Ended pods have lost theirs, and host-network pods have their node's.
fn pod_addresses(
    pods: &[Pod],
    profile: Profile,
    diagnostics: &mut Vec<Diagnostic>,
) -> HashMap<IpAddr, PodIx> {
    let mut found: HashMap<IpAddr, PodIx> = HashMap::default();
    for (n, pod) in pods.iter().enumerate() {
        let is_node = pod.spec.host_network && profile.host_network == HostNetwork::NodeAddress;
        if pod.phase.is_terminated() || is_node {
            continue;
        }
        for ip in pod.ips.iter().map(IpAddr::to_canonical) {
            let first = *found.entry(ip).or_insert(PodIx::new(index(n)));
            let first = &pods[first.place()];
            if first.reference != pod.reference && !pod.spec.host_network {
                diagnostics.push(
                    Diagnostic::warning(
                        "duplicate-address",
                        format!("has the address {ip}, which pod {} has too", first.reference),
                    )
                    .at(pod.origin.clone())
                    .about(format!("Pod {}", pod.reference))
                    .hint("the objects are of different moments: read them again in one go"),
                );
            }
        }
    }
    found
}
