//! What existed when: pods and their addresses over time, workloads, Services, nodes and the address space of the
//! cluster.
//!
//! Pods roll up to their top owner: through `ReplicaSets` and Jobs to the Deployment, `CronJob` or custom object above
//! them. A Deployment, `StatefulSet`, `DaemonSet` or `CronJob` stays the top even where an operator's object owns it,
//! since one such object may own several that need different policies. A bare pod, and the mirror pod of a static
//! pod, is a workload by itself.
//!
//! **Invariant**: pure; knows model only; a terminated pod never resolves after its end.

mod address_space;
mod dns;
#[cfg(test)]
mod fixture;
mod host;
mod label_index;
mod node;
mod ordered;
mod owners;
mod process;
mod residents;
mod resolve;
mod services;
mod timeline;
mod workload;

use std::collections::HashMap;
use std::net::IpAddr;

use ringfence_model::object::{Endpoints, Host, Namespace, Node, Objects, Pod, Service};
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{
    ClusterPeer, ClusterPolicy, ClusterRule, Diagnostic, Name, NetworkPolicy, PodRef, ServiceRef,
    WorkloadRef,
};

use crate::address_space::Evidence;
use crate::host::HostBook;
use crate::node::NodeBook;
use crate::owners::Owners;
use crate::residents::Residents;
use crate::services::{Candidates, ServiceTable};

pub use crate::address_space::{AddressSpace, ClusterRange, Family, RangeSource, RangeUse};
pub use crate::dns::{Dns, DnsPort, DnsService, NodeLocalDns};
pub use crate::services::Backends;
pub use crate::workload::Workload;

/// Everything known about one cluster, ready to answer questions.
#[derive(Debug)]
pub struct Inventory {
    namespaces: Vec<Namespace>,
    nodes: Vec<Node>,
    pods: Vec<Pod>,
    services: Vec<Service>,
    endpoints: Vec<Endpoints>,
    policies: Vec<NetworkPolicy>,
    cluster_policies: Vec<ClusterPolicy>,
    hosts: Vec<Host>,
    workloads: Vec<Workload>,
    workload_index: HashMap<WorkloadRef, usize>,
    workload_of: Vec<usize>,
    owners: Owners,
    node_book: NodeBook,
    host_book: HostBook,
    residents: Residents,
    table: ServiceTable,
    space: AddressSpace,
    dns: Dns,
}

impl Inventory {
    /// Takes stock of the objects. What is odd about them is told; nothing of it is fatal.
    pub fn build(objects: Objects, cidrs: &ClusterCidrs) -> (Self, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let mut objects = ordered::ordered(objects, &mut diagnostics);
        ordered::add_mentioned_namespaces(&mut objects, &mut diagnostics);
        let Objects {
            namespaces,
            nodes,
            pods,
            controllers,
            services,
            endpoints,
            policies,
            cluster_policies,
            hosts,
        } = objects;

        let owners = Owners::new(&controllers);
        let manifests = workload::are_manifests(&pods);
        let (finished, mut pods): (Vec<Pod>, Vec<Pod>) =
            pods.into_iter().partition(|pod| pod.phase.is_terminated());
        if manifests {
            pods.extend(workload::expected_pods(&controllers, &owners));
            pods.sort_by(|a, b| a.reference.cmp(&b.reference));
        }

        let tops: Vec<_> = pods.iter().map(|pod| owners.top_of_pod(pod)).collect();
        diagnostics.extend(workload::missing_owners(&pods, &tops));
        let tops: Vec<WorkloadRef> = tops.into_iter().map(|top| top.reference).collect();
        let (mut workloads, workload_of) = workload::collect(&controllers, &owners, &pods, &tops);

        let space = AddressSpace::discover(
            &Evidence { nodes: &nodes, pods: &pods, services: &services },
            cidrs,
            &mut diagnostics,
        );
        if manifests {
            diagnostics.extend(unknown_addresses(&cluster_policies, &space));
        }
        let node_book = NodeBook::new(&nodes, &pods, &finished, &mut diagnostics);
        let host_book = HostBook::new(&hosts, &mut diagnostics);
        let past = finished.iter().map(|pod| (pod, owners.top_of_pod(pod).reference));
        let residents =
            Residents::new(pods.iter().zip(tops).chain(past), &node_book, &mut diagnostics);
        let table = services::connect(
            &services,
            &endpoints,
            &mut Candidates {
                pods: &pods,
                workload_of: &workload_of,
                workloads: &mut workloads,
                owners: &owners,
                residents: &residents,
                nodes: &node_book,
                space: &space,
            },
            &mut diagnostics,
        );
        let dns = dns::discover(&services, &table, &workloads, &mut diagnostics);
        let workload_index =
            workloads.iter().enumerate().map(|(n, w)| (w.reference.clone(), n)).collect();
        diagnostics.sort();
        let inventory = Self {
            namespaces,
            nodes,
            pods,
            services,
            endpoints,
            policies,
            cluster_policies,
            hosts,
            workloads,
            workload_index,
            workload_of,
            owners,
            node_book,
            host_book,
            residents,
            table,
            space,
            dns,
        };
        (inventory, diagnostics)
    }

    /// The namespaces, sorted. One that only other objects mention has the label `kubernetes.io/metadata.name`.
    pub fn namespaces(&self) -> &[Namespace] {
        &self.namespaces
    }

    /// A namespace by name.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        let at = self.namespaces.binary_search_by(|n| n.name.as_str().cmp(name)).ok()?;
        self.namespaces.get(at)
    }

    /// The nodes, sorted.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The pods that have not terminated, sorted. When the input holds none that a cluster has seen (manifests
    /// from Git), those that the controllers would make, without addresses.
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// The Services, sorted.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The endpoints, sorted by Service.
    pub fn endpoints(&self) -> &[Endpoints] {
        &self.endpoints
    }

    /// The policies, sorted by namespace and name.
    pub fn policies(&self) -> &[NetworkPolicy] {
        &self.policies
    }

    /// The cluster-wide policies, sorted by tier, priority, name and kind.
    pub fn cluster_policies(&self) -> &[ClusterPolicy] {
        &self.cluster_policies
    }

    /// The workloads, sorted by reference.
    pub fn workloads(&self) -> &[Workload] {
        &self.workloads
    }

    /// A workload by reference. Resolution can name others: what an observer saw and the input no longer holds, and
    /// bare pods that have terminated.
    pub fn workload(&self, reference: &WorkloadRef) -> Option<&Workload> {
        self.workload_index.get(reference).map(|&n| &self.workloads[n])
    }

    /// The index of a pod in [`Inventory::pods`].
    pub fn pod_index(&self, reference: &PodRef) -> Option<usize> {
        self.pods.binary_search_by(|pod| pod.reference.cmp(reference)).ok()
    }

    /// The index of a Service in [`Inventory::services`].
    pub fn service_index(&self, reference: &ServiceRef) -> Option<usize> {
        self.services.binary_search_by(|service| service.reference.cmp(reference)).ok()
    }

    /// The workload of a pod, by the pod's index in [`Inventory::pods`].
    pub fn workload_of(&self, pod: usize) -> Option<&Workload> {
        self.workload_of.get(pod).map(|&n| &self.workloads[n])
    }

    /// What backs a Service, by its index in [`Inventory::services`]: for each of its ports, in their order.
    pub fn backends(&self, service: usize) -> &[Backends] {
        self.table.backends(service)
    }

    /// All addresses of a node, sorted, those in the pod network included.
    pub fn node_addresses(&self, node: &Name) -> &[IpAddr] {
        self.node_book.addresses(node.as_str())
    }

    /// Whether a node has this name.
    pub fn is_node(&self, name: &Name) -> bool {
        self.nodes.binary_search_by(|node| node.name.cmp(name)).is_ok()
    }

    /// The machines outside Kubernetes, sorted.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// A machine outside Kubernetes by name.
    pub fn host(&self, name: &Name) -> Option<&Host> {
        let at = self.hosts.binary_search_by(|host| host.name.cmp(name)).ok()?;
        self.hosts.get(at)
    }

    /// The addresses that a machine outside Kubernetes has for itself alone, sorted: not those that nodes, pods or
    /// Services have too.
    pub fn host_addresses(&self, host: &Name) -> impl Iterator<Item = IpAddr> {
        let addresses = self.host_book.addresses(host.as_str()).iter().copied();
        addresses.filter(|ip| !self.is_of_the_cluster(*ip))
    }

    /// The address space of the cluster.
    pub fn address_space(&self) -> &AddressSpace {
        &self.space
    }

    /// The cluster's DNS.
    pub fn dns(&self) -> &Dns {
        &self.dns
    }
}

/// Rules on networks speak of the addresses of pods, which pods from manifests do not have.
fn unknown_addresses(policies: &[ClusterPolicy], space: &AddressSpace) -> Option<Diagnostic> {
    space.unknown().find(|(used_for, _)| *used_for == RangeUse::Pods)?;
    let names_networks = |rule: &&ClusterRule| {
        rule.peers.iter().any(|peer| matches!(peer, ClusterPeer::Networks(_)))
    };
    let mut rules = policies.iter().flat_map(|policy| policy.egress.iter().chain(&policy.ingress));
    let rule = rules.find(names_networks)?;
    let message = "cluster-wide rules on networks meet pods whose addresses are not known: as far \
                   as the pods may be inside, Deny counts and Accept does not";
    Some(Diagnostic::warning("pod-addresses-unknown", message).at(rule.origin.clone()).hint(
        "name the pod CIDRs in the review, or add the nodes and pods: \
         kubectl get nodes,pods -A -o yaml",
    ))
}
