//! What policies are compiled against: the parts of a cluster's objects that they depend on.

use std::net::IpAddr;

use foldhash::{HashMap, HashSet};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ringfence_model::object::{ContainerPort, Namespace, Node, Pod};
use ringfence_model::{Cidr, ClusterPods, Diagnostic, Labels, Name, PodRef};

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
    /// Where pods are whose addresses are not known.
    pub(crate) pod_ranges: Vec<Cidr>,
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
    /// Whether its containers have ended, so that it has lost its address.
    pub(crate) ended: bool,
    /// Whether it was removed; its place is not used again.
    pub(crate) removed: bool,
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
        let mut cluster = Self {
            profile,
            pods: Vec::new(),
            namespaces,
            namespace_ids,
            nodes: nodes.iter().map(|n| (n.name.clone(), node_entry(n))).collect(),
            node_addresses: nodes.iter().flat_map(every_address).collect(),
            pod_addresses: pod_addresses(pods, profile, &mut diagnostics),
            pod_ranges: anywhere(),
        };
        cluster.pods = pods.iter().map(|pod| cluster.entry(pod)).collect();
        (cluster, diagnostics)
    }

    /// What is kept of a pod, whose namespace is known.
    pub(crate) fn entry(&self, pod: &Pod) -> PodEntry {
        PodEntry {
            reference: pod.reference.clone(),
            namespace: self
                .namespace_ids
                .get(&pod.reference.namespace)
                .copied()
                .unwrap_or_default(),
            labels: pod.labels.clone(),
            ports: pod.spec.ports.clone(),
            addresses: self.addresses(pod),
            node: pod.node.clone(),
            host_network: pod.spec.host_network,
            ended: pod.phase.is_terminated(),
            removed: false,
        }
    }

    fn addresses(&self, pod: &Pod) -> Vec<IpAddr> {
        let node = pod.node.as_ref().filter(|_| pod.spec.host_network && pod.ips.is_empty());
        let addresses =
            node.and_then(|name| self.nodes.get(name)).map_or(&[][..], |n| &n.addresses);
        pod.ips.iter().map(IpAddr::to_canonical).chain(addresses.iter().copied()).collect()
    }

    /// The number of a namespace, which from now on is known, by its name only if it was not.
    pub(crate) fn namespace(&mut self, name: &Name) -> u32 {
        let next = index(self.namespaces.len());
        *self.namespace_ids.entry(name.clone()).or_insert_with(|| {
            self.namespaces.push(NamespaceEntry { name: name.clone(), labels: only_name(name) });
            next
        })
    }

    /// Pods that are still there.
    pub(crate) fn present(&self) -> impl Iterator<Item = (PodIx, &PodEntry)> {
        let pods = self.pods.iter().enumerate().filter(|(_, pod)| !pod.removed);
        pods.map(|(n, pod)| (PodIx::new(index(n)), pod))
    }

    /// Whether a cluster-wide policy means the pod: never a host-network pod.
    pub(crate) fn selects(&self, pods: &ClusterPods, pod: &PodEntry) -> bool {
        !pod.host_network
            && pods.namespaces.matches(&self.namespaces[pod.namespace as usize].labels)
            && pods.pods.matches(&pod.labels)
    }

    /// Gives a pod its addresses, as far as no other has them.
    pub(crate) fn take_addresses(&mut self, ix: PodIx, pod: &PodEntry) {
        if !pod.ended && !self.counts_as_node(pod) {
            for ip in &pod.addresses {
                self.pod_addresses.entry(*ip).or_insert(ix);
            }
        }
    }

    /// Takes a pod's addresses away; another that has one of them too is its owner now.
    pub(crate) fn leave_addresses(&mut self, ix: PodIx) {
        for ip in self.pods[ix.place()].addresses.clone() {
            if self.pod_addresses.get(&ip) != Some(&ix) {
                continue;
            }
            let heir = self.present().find(|(_, pod)| {
                !pod.ended && !self.counts_as_node(pod) && pod.addresses.contains(&ip)
            });
            match heir.map(|(heir, _)| heir) {
                Some(heir) => self.pod_addresses.insert(ip, heir),
                None => self.pod_addresses.remove(&ip),
            };
        }
    }

    /// Whether the pod is nothing but its node to policies.
    pub(crate) fn counts_as_node(&self, pod: &PodEntry) -> bool {
        pod.host_network && self.profile.host_network == HostNetwork::NodeAddress
    }
}

/// Every address.
pub(crate) fn anywhere() -> Vec<Cidr> {
    let families = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
    families.into_iter().filter_map(|all| Cidr::new(all).ok()).collect()
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
        found.push(NamespaceEntry { name: name.clone(), labels: only_name(name) });
        diagnostics.push(
            Diagnostic::warning(
                "namespace-missing",
                "is not in the input, so its labels are not known",
            )
            .at(pod.origin.clone())
            .about(format!("Namespace {name}"))
            .value("namespace", name)
            .hint("add the output of `kubectl get namespaces -o yaml`"),
        );
    }
    (found, ids)
}

/// The labels of a namespace of which nothing but the name is known.
fn only_name(name: &Name) -> Labels {
    [(NAMESPACE_NAME, name.as_str())].into_iter().collect()
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
                    .value("address", ip)
                    .value("pod", &pod.reference)
                    .value("other", &first.reference)
                    .hint("the objects are of different moments: read them again in one go"),
                );
            }
        }
    }
    found
}
