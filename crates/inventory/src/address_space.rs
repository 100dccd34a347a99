//! Which addresses belong to the cluster, and how that is known.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use ringfence_model::object::{Node, Pod, Service};
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{AddressClass, Cidr, Diagnostic, Name, NetError, Origin, PodRef};

use crate::process;

/// What a range of addresses is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RangeUse {
    /// Addresses of pods.
    Pods,
    /// Cluster IPs of Services.
    Services,
}

impl fmt::Display for RangeUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pods => "pod",
            Self::Services => "Service",
        })
    }
}

/// Where a range was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RangeSource {
    /// In the review. It replaces what the objects say about the same use and address family.
    Review,
    /// In the arguments of a control-plane process.
    Process {
        /// The pod it runs in.
        pod: PodRef,
        /// Its name.
        process: Arc<str>,
    },
    /// In `spec.podCIDRs` of a Node.
    Node(Name),
}

impl fmt::Display for RangeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Review => f.write_str("review"),
            Self::Process { pod, process } => write!(f, "arguments of {process} in pod {pod}"),
            Self::Node(node) => write!(f, "podCIDRs of Node {node}"),
        }
    }
}

/// A range of addresses that belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterRange {
    /// What for.
    pub used_for: RangeUse,
    /// The range.
    pub cidr: Cidr,
    /// Where it was found.
    pub source: RangeSource,
}

/// Address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, IPv4-mapped IPv6 included.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(ip: IpAddr) -> Self {
        if ip.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }

    const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

/// The addresses of the cluster.
///
/// Enough evidence for "known": the review gives ranges; or a control-plane process does; or, for pods, every
/// Node has `podCIDRs`. In each case every pod address and every cluster IP in the input must lie inside, which
/// uncovers network plugins that do not use the Nodes' `podCIDRs`. Whoever lists ranges lists those of both
/// families, so a family that no list and no object mentions is not in use.
#[derive(Clone, Debug)]
pub struct AddressSpace {
    ranges: Vec<ClusterRange>,
    /// First and last address of ranges that do not overlap, sorted; the Nodes' own addresses included.
    merged: Vec<(IpAddr, IpAddr)>,
    unknown: BTreeSet<(RangeUse, Family)>,
}

impl AddressSpace {
    pub(crate) fn discover(
        evidence: &Evidence<'_>,
        review: &ClusterCidrs,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut ranges = given(review);
        let by_hand: BTreeSet<(RangeUse, Family)> = ranges.iter().map(use_and_family).collect();
        let mut found = process::ranges(evidence.pods, &review.processes, diagnostics);
        let listed: BTreeSet<RangeUse> =
            ranges.iter().chain(&found).map(|range| range.used_for).collect();
        found.extend(of_nodes(evidence.nodes));
        found.retain(|range| !by_hand.contains(&use_and_family(range)));
        ranges.append(&mut found);
        ranges.sort_unstable();
        ranges.dedup();

        let of_nodes = evidence.nodes.iter().flat_map(|node| &node.addresses);
        let of_nodes = of_nodes.map(|&ip| Cidr::host(ip));
        let merged = merge(ranges.iter().map(|range| range.cidr).chain(of_nodes));
        let mut space = Self { ranges, merged, unknown: BTreeSet::new() };
        let mut reasons = Vec::new();
        let without = evidence.nodes.iter().find(|node| node.pod_cidrs.is_empty());
        if let Some(node) = without {
            diagnostics.push(nodes_without_cidrs(evidence.nodes, node));
        }
        if !listed.contains(&RangeUse::Pods) && (evidence.nodes.is_empty() || without.is_some()) {
            space.unknown.extend(Family::BOTH.map(|family| (RangeUse::Pods, family)));
            reasons.push(match without {
                None => "the pod CIDR is not known".to_owned(),
                Some(node) => format!("Node {} has no podCIDRs", node.name),
            });
        }
        if !listed.contains(&RangeUse::Services) {
            space.unknown.extend(Family::BOTH.map(|family| (RangeUse::Services, family)));
            reasons.push("the Service CIDR is not known".to_owned());
        }
        space.contradictions(evidence, &mut reasons);
        if !reasons.is_empty() {
            diagnostics.push(incomplete(&reasons));
        }
        space
    }

    /// Addresses that ought to lie in a known range and do not.
    fn contradictions(&mut self, evidence: &Evidence<'_>, reasons: &mut Vec<String>) {
        let pods = evidence.pods.iter().filter(|pod| !pod.spec.host_network).flat_map(|pod| {
            pod.ips.iter().map(move |&ip| (RangeUse::Pods, ip, format!("pod {}", pod.reference)))
        });
        let services = evidence.services.iter().flat_map(|service| {
            let subject = &service.reference;
            let ips = service.cluster_ips.iter();
            ips.map(move |&ip| (RangeUse::Services, ip, format!("Service {subject}")))
        });
        let list = |used_for| {
            let ranges = self.ranges.iter().filter(move |range| range.used_for == used_for);
            (used_for, merge(ranges.map(|range| range.cidr)))
        };
        let lists = [list(RangeUse::Pods), list(RangeUse::Services)];
        for (used_for, ip, subject) in pods.chain(services) {
            let covered =
                lists.iter().any(|(u, list)| *u == used_for && within(list, ip.to_canonical()));
            // One example says enough.
            if !covered && self.unknown.insert((used_for, Family::of(ip))) {
                reasons
                    .push(format!("{ip} of {subject} lies in none of the known {used_for} CIDRs"));
            }
        }
    }

    /// The known ranges with where each was found, sorted.
    pub fn ranges(&self) -> &[ClusterRange] {
        &self.ranges
    }

    /// Whether all ranges are known, so that every other address is outside.
    pub fn is_complete(&self) -> bool {
        self.unknown.is_empty()
    }

    /// What is not known, empty when [complete](Self::is_complete).
    pub fn unknown(&self) -> impl Iterator<Item = (RangeUse, Family)> {
        self.unknown.iter().copied()
    }

    /// Where an address lies that resolves to nothing.
    ///
    /// Addresses that never leave a machine or its link (loopback; link-local, RFC 3927 section 2.7 and RFC 4291
    /// section 2.5.6, the cloud metadata service among them; link-scope multicast and broadcast) are Internal.
    /// Wider multicast groups are no addresses of the cluster, so External.
    pub fn classify(&self, ip: IpAddr) -> AddressClass {
        let ip = ip.to_canonical();
        if within(&self.merged, ip) || stays_on_link(ip) {
            AddressClass::Internal
        } else if ip.is_multicast() || !self.unknown.iter().any(|(_, f)| *f == Family::of(ip)) {
            AddressClass::External
        } else {
            AddressClass::Unknown
        }
    }
}

/// The objects that tell about the address space.
#[derive(Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) nodes: &'a [Node],
    pub(crate) pods: &'a [Pod],
    pub(crate) services: &'a [Service],
}

fn given(review: &ClusterCidrs) -> Vec<ClusterRange> {
    let range =
        |used_for| move |&cidr: &Cidr| ClusterRange { used_for, cidr, source: RangeSource::Review };
    let pods = review.pods.iter().map(range(RangeUse::Pods));
    pods.chain(review.services.iter().map(range(RangeUse::Services))).collect()
}

fn of_nodes(nodes: &[Node]) -> impl Iterator<Item = ClusterRange> {
    nodes.iter().flat_map(|node| {
        node.pod_cidrs.iter().map(|&cidr| ClusterRange {
            used_for: RangeUse::Pods,
            cidr,
            source: RangeSource::Node(node.name.clone()),
        })
    })
}

fn use_and_family(range: &ClusterRange) -> (RangeUse, Family) {
    (range.used_for, Family::of(range.cidr.net().addr()))
}

fn merge(cidrs: impl Iterator<Item = Cidr>) -> Vec<(IpAddr, IpAddr)> {
    let nets: Vec<IpNet> = cidrs.map(|cidr| cidr.net()).collect();
    let nets = IpNet::aggregate(&nets);
    let mut merged: Vec<_> = nets.iter().map(|net| (net.network(), net.broadcast())).collect();
    merged.sort_unstable();
    merged
}

fn within(merged: &[(IpAddr, IpAddr)], ip: IpAddr) -> bool {
    let next = merged.partition_point(|&(first, _)| first <= ip);
    next.checked_sub(1).and_then(|n| merged.get(n)).is_some_and(|&(_, last)| ip <= last)
}

fn stays_on_link(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.octets()[..3] == [224, 0, 0]
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unicast_link_local()
                || ip.is_unspecified()
                || matches!(ip.segments()[0] & 0xff0f, 0xff01 | 0xff02)
        }
    }
}

fn nodes_without_cidrs(nodes: &[Node], first: &Node) -> Diagnostic {
    let count = nodes.iter().filter(|node| node.pod_cidrs.is_empty()).count();
    Diagnostic::note(
        "node-without-pod-cidrs",
        format!("{count} of {} Nodes have no spec.podCIDRs", nodes.len()),
    )
    .at(first.origin.clone())
    .about(format!("Node {}", first.name))
    .value("count", count)
    .value("nodes", nodes.len())
    .hint("the network plugin assigns pod addresses by itself; give its range in the review")
}

fn incomplete(reasons: &[String]) -> Diagnostic {
    let reasons = reasons.join("; ");
    Diagnostic::warning(
        "cluster-subnet-incomplete",
        format!("Cluster subnet is incomplete: {reasons}"),
    )
    .value("reasons", reasons)
    .hint(
        "addresses outside the known ranges count as Unknown; either add Nodes (kubectl get nodes -o yaml) and the \
         kube-apiserver and kube-controller-manager pods (kubectl get pods -n kube-system -o yaml) to the input, or \
         name in the review, under cluster.processes, the processes that are started with --cluster-cidr and \
         --service-cluster-ip-range, or give the ranges there under cluster.pods and cluster.services",
    )
}

/// Reads a range from an argument. Host bits are ignored, as the control plane ignores them.
pub(crate) fn parse_range(text: &str) -> Result<Cidr, NetError> {
    match text.parse::<Cidr>() {
        Err(NetError::HostBits { meant, .. }) => Ok(meant),
        other => other,
    }
}

/// A range in the arguments that is none.
pub(crate) fn invalid_argument(pod: &PodRef, origin: &Origin, error: &NetError) -> Diagnostic {
    Diagnostic::warning("cluster-cidr-invalid", error.to_string())
        .at(origin.clone())
        .about(format!("Pod {pod}"))
        .value("pod", pod)
        .value("why", error)
}

#[cfg(test)]
#[path = "address_space_tests.rs"]
mod tests;
