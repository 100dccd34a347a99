//! Nodes by the addresses they use.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ringfence_model::object::{Node, Pod};
use ringfence_model::{Diagnostic, Name};

/// Node addresses, and the node that serves each pod CIDR.
#[derive(Debug, Default)]
pub(crate) struct NodeBook {
    by_address: HashMap<IpAddr, Name>,
    addresses: HashMap<Name, Vec<IpAddr>>,
    /// First and last address with the node, sorted; empty when pods show that the network plugin goes its own way.
    ranges: Vec<(IpAddr, IpAddr, Name)>,
}

impl NodeBook {
    /// Pods with the host's network tell the addresses of nodes too, `finished` ones as well.
    pub(crate) fn new(
        nodes: &[Node],
        pods: &[Pod],
        finished: &[Pod],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let pods = || pods.iter().chain(finished);
        let mut addresses: BTreeMap<&Name, BTreeSet<IpAddr>> = BTreeMap::new();
        for node in nodes {
            let all = node.addresses.iter().chain(&node.pod_network_addresses);
            addresses.entry(&node.name).or_default().extend(all.map(IpAddr::to_canonical));
        }
        let described: BTreeSet<IpAddr> = addresses.values().flatten().copied().collect();
        for pod in pods().filter(|pod| pod.spec.host_network) {
            if let Some(node) = &pod.node {
                let new = pod.ips.iter().map(IpAddr::to_canonical);
                addresses.entry(node).or_default().extend(new.filter(|ip| !described.contains(ip)));
            }
        }
        let mut book = Self::default();
        for (&name, ips) in &addresses {
            for &ip in ips {
                let owner = book.by_address.entry(ip).or_insert_with(|| name.clone());
                if owner != name {
                    diagnostics.push(
                        Diagnostic::warning(
                            "node-address-shared",
                            format!("{ip} is an address of both Node {owner} and Node {name}; it counts as the first"),
                        )
                        .about(format!("Node {name}"))
                        .value("address", ip)
                        .value("node", owner)
                        .value("other", name),
                    );
                }
            }
            book.addresses.insert(name.clone(), ips.iter().copied().collect());
        }
        book.ranges = nodes
            .iter()
            .flat_map(|node| node.pod_cidrs.iter().map(move |cidr| (cidr.net(), &node.name)))
            .map(|(net, name)| (net.network(), net.broadcast(), name.clone()))
            .collect();
        book.ranges.sort_unstable();
        if pods().any(|pod| book.contradicts(pod)) {
            book.ranges.clear();
        }
        book
    }

    /// Whether the pod runs on one node with an address out of another's range.
    fn contradicts(&self, pod: &Pod) -> bool {
        let Some(node) = &pod.node else { return false };
        !pod.spec.host_network
            && pod.ips.iter().any(|&ip| self.serving(ip).is_some_and(|serving| serving != node))
    }

    /// The node that has this address, in the node network or the pod network.
    pub(crate) fn at(&self, ip: IpAddr) -> Option<&Name> {
        self.by_address.get(&ip.to_canonical())
    }

    /// All addresses of a node, sorted.
    pub(crate) fn addresses(&self, node: &str) -> &[IpAddr] {
        self.addresses.get(node).map_or(&[], Vec::as_slice)
    }

    /// The node whose pod CIDR holds the address: where a pod that is gone must have run.
    pub(crate) fn serving(&self, ip: IpAddr) -> Option<&Name> {
        let ip = ip.to_canonical();
        let next = self.ranges.partition_point(|&(first, ..)| first <= ip);
        let (_, last, node) = self.ranges.get(next.checked_sub(1)?)?;
        (ip <= *last).then_some(node)
    }
}
