//! The pods and addresses that stand for a workload, a namespace or a block in a proof.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use ringfence_inventory::{Family, Inventory, RangeUse, Workload};
use ringfence_model::identity::PodRef;
use ringfence_model::object::{Phase, Pod, PodSpec};
use ringfence_model::review::Review;
use ringfence_model::{
    Cidr, ClusterPolicy, Direction, EdgeKey, IpBlock, Labels, Name, Nature, NetworkPolicy, Origin,
    Peer, Port, Protocol, WorkloadRef,
};
use ringfence_policy::{Connection, End, PodClass, PodIx, PolicySet, Profile};

use crate::need::{Party, Subject};
use crate::selection::Selection;

/// Addresses that stand for anywhere outside (RFC 5737 and RFC 3849, reserved for documentation).
const ANYWHERE: [&str; 2] = ["203.0.113.1", "2001:db8::1"];

/// A policy set compiled over all live pods and two pods from each workload's template, so that workloads without a
/// running pod, and the next rollout of all others, are judged too; and over the first pod of a namespace without any.
#[derive(Debug)]
pub struct World<'a> {
    inventory: &'a Inventory,
    review: &'a Review,
    set: PolicySet,
    /// The workload of each pod.
    workloads: Vec<Option<&'a WorkloadRef>>,
    /// How many of the pods exist; the others are made from templates.
    live: usize,
    by_workload: BTreeMap<&'a WorkloadRef, Vec<PodIx>>,
    by_namespace: BTreeMap<&'a Name, Vec<PodIx>>,
    nodes: Vec<Option<Name>>,
}

impl<'a> World<'a> {
    /// Compiles the policies over the cluster.
    pub fn new(
        inventory: &'a Inventory,
        review: &'a Review,
        policies: &[NetworkPolicy],
        cluster_policies: &[ClusterPolicy],
        profile: &Profile,
    ) -> Self {
        let mut pods: Vec<Pod> = inventory.pods().to_vec();
        let live = pods.len();
        let mut workloads: Vec<Option<&WorkloadRef>> = vec![None; pods.len()];
        for workload in inventory.workloads() {
            for &pod in &workload.pods {
                workloads[pod] = Some(&workload.reference);
            }
            if !workload.host_network {
                // Two, because one alone would only show that a pod reaches itself.
                for _ in 0..2 {
                    pods.push(template_pod(workload));
                    workloads.push(Some(&workload.reference));
                }
            }
        }
        // A namespace that nobody lives in yet has a next pod too.
        let inhabited: BTreeSet<&Name> =
            pods.iter().filter(|p| !p.spec.host_network).map(|p| &p.reference.namespace).collect();
        let empty = inventory.namespaces().iter().filter(|n| !inhabited.contains(&n.name));
        let plain: Vec<Pod> = empty
            .map(|n| next_pod(&n.name, &n.name, Labels::empty(), PodSpec::default()))
            .collect();
        workloads.resize(pods.len() + plain.len(), None);
        pods.extend(plain);
        let set = compile(inventory, &pods, policies, cluster_policies, *profile);
        let mut by_workload: BTreeMap<&WorkloadRef, Vec<PodIx>> = BTreeMap::new();
        let mut by_namespace: BTreeMap<&Name, Vec<PodIx>> = BTreeMap::new();
        for class in set.classes().iter().filter(|class| !class.is_node()) {
            // Two pods of a class stand for all: one alone would only show that a pod reaches itself.
            let mut taken: BTreeMap<&WorkloadRef, usize> = BTreeMap::new();
            for &pod in class.pods() {
                if let Some(workload) = workloads[pod.place()] {
                    let taken = taken.entry(workload).or_default();
                    *taken += 1;
                    if *taken <= 2 {
                        by_workload.entry(workload).or_default().push(pod);
                    }
                }
            }
            if let Some(namespace) = inventory.namespace(class.namespace().as_str()) {
                let pods = class.pods().iter().take(2);
                by_namespace.entry(&namespace.name).or_default().extend(pods);
            }
        }
        let nodes = pods.into_iter().map(|pod| pod.node).collect();
        Self { inventory, review, set, workloads, live, by_workload, by_namespace, nodes }
    }

    /// The policies.
    pub fn set(&self) -> &PolicySet {
        &self.set
    }

    /// The workloads with pods in each class of the policy set; none where policies do not apply to the pods.
    pub(crate) fn workloads_of_classes(&self) -> Vec<BTreeSet<&'a WorkloadRef>> {
        let workloads = |class: &PodClass| {
            class.pods().iter().filter_map(|pod| self.workloads[pod.place()]).collect()
        };
        let classes = self.set.classes().iter();
        classes
            .map(|class| if class.is_node() { BTreeSet::new() } else { workloads(class) })
            .collect()
    }

    /// The workload of a pod; none for the first pod of a namespace without any.
    pub(crate) fn workload_of(&self, pod: PodIx) -> Option<&'a WorkloadRef> {
        self.workloads.get(pod.place()).copied().flatten()
    }

    /// Pods of every kind that a workload has.
    pub fn pods(&self, workload: &WorkloadRef) -> &[PodIx] {
        self.by_workload.get(workload).map_or(&[], Vec::as_slice)
    }

    /// The ends that stand for a peer of an edge: its source as seen by an ingress rule, or its destination as seen
    /// by an egress rule.
    fn peer(&self, peer: &Peer, seen_by: Direction) -> Vec<End> {
        match peer {
            Peer::Workload(workload) => pod_ends(self.pods(workload)),
            Peer::Node(node) => {
                let selection = Selection::new(self.inventory, &self.review.labels);
                selection.node(node, seen_by).map(End::Address).collect()
            }
            Peer::Address(ip, _) => vec![End::Address(*ip)],
            Peer::Alias(name) => {
                let aliases = self.review.aliases.iter().filter(|alias| alias.name == *name);
                aliases
                    .flat_map(|alias| &alias.cidrs)
                    .flat_map(|cidr| block_ends(&IpBlock::whole(*cidr)))
                    .collect()
            }
            Peer::Host(host) => self.inventory.host_addresses(host).map(End::Address).collect(),
            Peer::Service(_) => Vec::new(),
        }
    }

    /// The pods of a workload that run on a node.
    pub(crate) fn on_node(&self, workload: &WorkloadRef, node: &Name) -> Vec<End> {
        let here = |pod: &&PodIx| self.nodes[pod.place()].as_ref() == Some(node);
        self.pods(workload).iter().filter(here).map(|pod| End::Pod(*pod)).collect()
    }

    /// The ends that stand for a party.
    pub(crate) fn party(&self, party: &Party) -> Vec<End> {
        match party {
            Party::Workload(workload) => pod_ends(self.pods(workload)),
            Party::Namespace(namespace) => self.namespace(namespace),
            Party::Block(block) => block_ends(block),
            Party::Anyone => {
                let outside =
                    ANYWHERE.iter().filter_map(|ip| ip.parse::<IpAddr>().ok()).map(End::Address);
                self.by_namespace
                    .values()
                    .flatten()
                    .map(|pod| End::Pod(*pod))
                    .chain(outside)
                    .collect()
            }
        }
    }

    /// The pods that stand for a subject.
    pub(crate) fn subject(&self, subject: &Subject) -> Vec<End> {
        match subject {
            Subject::Namespace(namespace) => self.namespace(namespace),
            Subject::Workload(workload) => pod_ends(self.pods(workload)),
        }
    }

    fn namespace(&self, namespace: &Name) -> Vec<End> {
        pod_ends(self.by_namespace.get(namespace).map_or(&[], Vec::as_slice))
    }

    /// One connection for every pair of kinds of ends that an edge stands for.
    pub(crate) fn connections(
        &self,
        key: &EdgeKey,
        protocol: Protocol,
        port: Port,
    ) -> Vec<Connection> {
        let sources = self.peer(&key.source, Direction::Ingress);
        let destinations = match (&key.nature, &key.source, &key.destination) {
            (Nature::OwnNode, Peer::Node(node), Peer::Workload(workload)) => {
                self.on_node(workload, node)
            }
            (_, _, destination) => self.peer(destination, Direction::Egress),
        };
        pairs(sources, destinations, vec![(protocol, port)]).collect()
    }

    /// How people know an end.
    pub fn describe(&self, end: End) -> String {
        match end {
            End::Address(ip) => ip.to_string(),
            End::Pod(pod) if pod.place() < self.live => format!("pod {}", self.set.pod(pod)),
            End::Pod(pod) => match self.workloads[pod.place()] {
                Some(workload) => format!("the next pod of {workload}"),
                None => format!("the next pod of namespace {}", self.set.pod(pod).namespace),
            },
        }
    }

    /// How people know a connection.
    pub fn show(&self, connection: &Connection) -> String {
        let Connection { source, destination, protocol, port } = *connection;
        format!("{} -> {} {protocol}/{port}", self.describe(source), self.describe(destination))
    }
}

fn pod_ends(pods: &[PodIx]) -> Vec<End> {
    pods.iter().map(|pod| End::Pod(*pod)).collect()
}

/// Compiles policies over pods of a cluster. What is odd about the input is told by whoever reads it.
pub(crate) fn compile(
    inventory: &Inventory,
    pods: &[Pod],
    policies: &[NetworkPolicy],
    cluster_policies: &[ClusterPolicy],
    profile: Profile,
) -> PolicySet {
    let (namespaces, nodes) = (inventory.namespaces(), inventory.nodes());
    let (set, _) = PolicySet::compile(namespaces, nodes, pods, policies, &profile);
    // Few clusters have them, and compiling them takes as long as all the rest.
    if cluster_policies.is_empty() {
        return set;
    }
    set.with_pod_ranges(&pod_ranges(inventory)).with_cluster_policies(cluster_policies).0
}

/// Where pods are that have no address yet: in the pod CIDRs, as far as these are known. Where only the nodes tell
/// theirs, the next pod is one on a node of today.
fn pod_ranges(inventory: &Inventory) -> Vec<Cidr> {
    let space = inventory.address_space();
    let of_pods = space.ranges().iter().filter(|range| range.used_for == RangeUse::Pods);
    let unknown = space.unknown().filter(|(used_for, _)| *used_for == RangeUse::Pods);
    let anywhere = unknown.filter_map(|(_, family)| match family {
        Family::V4 => "0.0.0.0/0".parse().ok(),
        Family::V6 => "::/0".parse().ok(),
    });
    of_pods.map(|range| range.cidr).chain(anywhere).collect()
}

/// The next pod of a workload, before it has an address or a node.
pub(crate) fn template_pod(workload: &Workload) -> Pod {
    let WorkloadRef { namespace, name, kind: _ } = &workload.reference;
    next_pod(namespace, name, workload.template_labels.clone(), workload.spec.clone())
}

/// A pod that does not exist yet. Messages never show its name.
fn next_pod(namespace: &Name, name: &Name, labels: Labels, spec: PodSpec) -> Pod {
    Pod {
        reference: PodRef { namespace: namespace.clone(), name: name.clone() },
        labels,
        owner: None,
        ips: Vec::new(),
        node: None,
        phase: Phase::Pending,
        started: None,
        ended: None,
        spec,
        origin: Origin::default(),
    }
}

/// One connection for every source, destination and port, made one at a time: whole namespaces have very many.
pub(crate) fn pairs(
    sources: Vec<End>,
    destinations: Vec<End>,
    ports: Vec<(Protocol, Port)>,
) -> impl Iterator<Item = Connection> {
    let (per_destination, per_source) = (ports.len(), ports.len() * destinations.len());
    let all = (0..sources.len() * per_source).map(move |n| {
        let (protocol, port) = ports[n % per_destination];
        let source = sources[n / per_source];
        let destination = destinations[n % per_source / per_destination];
        Connection { source, destination, protocol, port }
    });
    // A pod's connection to itself says nothing about policies.
    all.filter(|connection| connection.source != connection.destination)
}

/// The first and the last address of a block that its exceptions leave.
fn block_ends(block: &IpBlock) -> Vec<End> {
    let first =
        left(block, first_address(block.cidr()), block.except().iter(), |e| next(last_address(e)));
    let last = left(block, last_address(block.cidr()), block.except().iter().rev(), |e| {
        previous(first_address(e))
    });
    let distinct: BTreeSet<IpAddr> = first.into_iter().chain(last).collect();
    distinct.into_iter().map(End::Address).collect()
}

/// Walks from `at` past the exceptions in its way, which come sorted in the direction of the walk.
fn left<'e>(
    block: &IpBlock,
    at: IpAddr,
    exceptions: impl Iterator<Item = &'e Cidr>,
    step: impl Fn(Cidr) -> Option<IpAddr>,
) -> Option<IpAddr> {
    let mut at = at;
    for except in exceptions {
        if except.contains(at) {
            at = step(*except)?;
        }
    }
    block.contains(at).then_some(at)
}

fn first_address(cidr: Cidr) -> IpAddr {
    cidr.net().network()
}

fn last_address(cidr: Cidr) -> IpAddr {
    match cidr.net() {
        IpNet::V4(net) => net.broadcast().into(),
        IpNet::V6(net) => net.broadcast().into(),
    }
}

fn next(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).checked_add(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(ip) => u128::from(ip).checked_add(1).map(|n| IpAddr::V6(n.into())),
    }
}

fn previous(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).checked_sub(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(ip) => u128::from(ip).checked_sub(1).map(|n| IpAddr::V6(n.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(cidr: &str, except: &[&str]) -> Vec<String> {
        let except = except.iter().map(|e| e.parse().unwrap()).collect();
        let block = IpBlock::new(cidr.parse().unwrap(), except).unwrap();
        let text = |end: End| match end {
            End::Address(ip) => ip.to_string(),
            End::Pod(_) => unreachable!(),
        };
        block_ends(&block).into_iter().map(text).collect()
    }

    #[test]
    fn the_addresses_that_stand_for_a_block_are_outside_its_exceptions() {
        assert_eq!(ends("10.0.0.0/30", &[]), ["10.0.0.0", "10.0.0.3"]);
        assert_eq!(ends("10.0.0.1/32", &[]), ["10.0.0.1"]);
        assert_eq!(
            ends("10.0.0.0/24", &["10.0.0.0/25", "10.0.0.128/26"]),
            ["10.0.0.192", "10.0.0.255"]
        );
        assert_eq!(ends("10.0.0.0/24", &["10.0.0.192/26"]), ["10.0.0.0", "10.0.0.191"]);
        assert_eq!(ends("10.0.0.0/24", &["10.0.0.0/25", "10.0.0.128/25"]), [""; 0]);
        assert_eq!(
            ends("255.255.255.0/24", &["255.255.255.128/25"]),
            ["255.255.255.0", "255.255.255.127"]
        );
        assert_eq!(ends("2001:db8::/126", &["2001:db8::3/128"]), ["2001:db8::", "2001:db8::2"]);
        // Nested exceptions: the wide one comes first.
        assert_eq!(
            ends("10.0.0.0/24", &["10.0.0.0/25", "10.0.0.0/26"]),
            ["10.0.0.128", "10.0.0.255"]
        );
    }

    #[test]
    fn every_pair_but_a_pod_with_itself_is_tried_on_every_port() {
        let pods =
            |names: &[u32]| names.iter().map(|n| End::Pod(PodIx::new(*n))).collect::<Vec<_>>();
        let ports: Vec<_> = [80, 81, 82].map(|n| (Protocol::Tcp, Port::new(n).unwrap())).to_vec();
        let tried: BTreeSet<_> = pairs(pods(&[1, 2]), pods(&[2, 3]), ports)
            .map(|c| (format!("{:?} {:?}", c.source, c.destination), c.port))
            .collect();
        assert_eq!(tried.len(), 3 * 3);
        assert_eq!(pairs(pods(&[1]), Vec::new(), Vec::new()).count(), 0);
    }
}
