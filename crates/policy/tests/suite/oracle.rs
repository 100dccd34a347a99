//! A second evaluator, written from the API text: it loops over everything and keeps nothing.

use std::net::IpAddr;

use ringfence_model::object::{Namespace, Node, Pod};
use ringfence_model::{
    Action, Cidr, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPort, ClusterPorts, Direction,
    Labels, NamespaceScope, NetworkPolicy, PeerMatch, Peers, PortMatch, PortTarget, Ports, Rule,
    Tier,
};
use ringfence_policy::{
    ClusterPolicyIx, ClusterRuleRef, Connection, End, EndPort, Hairpin, HostNetwork, IpBlockNodes,
    IpBlockPods, Judgement, PolicyIx, Profile, RuleRef,
};

use crate::cluster::ip;

#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) policies: Vec<NetworkPolicy>,
    pub(crate) cluster_policies: Vec<ClusterPolicy>,
    /// Where pods without addresses may be.
    pub(crate) pod_ranges: Vec<Cidr>,
    pub(crate) profile: Profile,
}

/// Whether a rule matches where addresses may not be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Chance {
    No,
    Perhaps,
    Yes,
}

/// The addresses at the edges of the CIDRs that these tests use, but those that no pod ever has.
fn corners() -> Vec<IpAddr> {
    let cidrs = crate::agree::CIDRS.iter().map(|c| c.parse::<Cidr>().unwrap().net());
    let mut corners: Vec<IpAddr> = Vec::new();
    for cidr in cidrs {
        match (cidr.network(), cidr.broadcast()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let (first, last) = (first.to_bits(), last.to_bits());
                let around = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
                corners.extend(around.map(|bits| IpAddr::from(bits.to_be_bytes())));
            }
            (first, last) => {
                let bits = |ip: IpAddr| match ip {
                    IpAddr::V4(_) => unreachable!(),
                    IpAddr::V6(ip) => ip.to_bits(),
                };
                let (first, last) = (bits(first), bits(last));
                let around = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
                corners.extend(around.map(|bits| IpAddr::from(bits.to_be_bytes())));
            }
        }
    }
    // Addresses next to those that no pod has.
    corners.extend(["1.0.0.0", "223.255.255.255", "255.255.255.255", "::2", "feff::"].map(ip));
    corners.retain(|ip| match ip {
        IpAddr::V4(ip) => {
            !(ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.octets()[0] == 0)
        }
        IpAddr::V6(ip) => {
            let is_zero_or_one = ip.to_bits() <= 1;
            !(is_zero_or_one || ip.is_multicast() || ip.is_unicast_link_local())
        }
    });
    corners
}

impl Oracle {
    pub(crate) fn judge(&self, direction: Direction, c: &Connection) -> Judgement {
        let (subject, peer) = match direction {
            Direction::Egress => (c.source, c.destination),
            Direction::Ingress => (c.destination, c.source),
        };
        let End::Pod(subject) = subject else { return Judgement::NotSubject };
        let subject = &self.pods[subject.place()];
        if !self.is_seen_as_pod(subject) {
            return Judgement::NotSubject;
        }
        let mut isolating = Vec::new();
        let mut items = Vec::new();
        for (n, policy) in self.policies.iter().enumerate() {
            let index = PolicyIx::new(u32::try_from(n).unwrap());
            let selected = policy.namespace == subject.reference.namespace
                && policy.pod_selector.matches(&subject.labels);
            if let Some(rules) = policy.rules(direction)
                && selected
            {
                isolating.push(index);
                for (r, rule) in rules.iter().enumerate() {
                    for (p, q) in self.matches(policy, rule, peer, c) {
                        items.push(RuleRef {
                            policy: index,
                            direction,
                            rule: u32::try_from(r).unwrap(),
                            peer: p,
                            port: q,
                        });
                    }
                }
            }
        }
        let is_ruled = self
            .cluster_policies
            .iter()
            .any(|policy| !policy.rules(direction).is_empty() && self.is_subject(policy, subject));
        if isolating.is_empty() && !is_ruled {
            return Judgement::NotIsolated;
        }
        if direction == Direction::Ingress && self.is_own_node(c) {
            return Judgement::OwnNode;
        }
        if c.source == c.destination && self.profile.hairpin == Hairpin::Allowed {
            return Judgement::SelfTraffic;
        }
        if let Some(judgement) = self.tier(Tier::Admin, direction, subject, peer, c) {
            return judgement;
        }
        if isolating.is_empty() {
            let baseline = self.tier(Tier::Baseline, direction, subject, peer, c);
            return baseline.unwrap_or(Judgement::NotIsolated);
        }
        if items.is_empty() { Judgement::Denied(isolating) } else { Judgement::Allowed(items) }
    }

    /// Goes through the rules of a tier in their order until one matches. Where nobody knows the address of the peer,
    /// what counts is the worst that may happen.
    fn tier(
        &self,
        tier: Tier,
        direction: Direction,
        subject: &Pod,
        peer: End,
        c: &Connection,
    ) -> Option<Judgement> {
        let mut policies: Vec<(u32, &ClusterPolicy)> =
            (0u32..).zip(&self.cluster_policies).collect();
        policies.retain(|(_, policy)| policy.tier == tier && self.is_subject(policy, subject));
        policies.sort_by_key(|(n, policy)| (policy.priority, &policy.name, *n));
        let mut may_have_passed = false;
        for (n, policy) in policies {
            for (r, rule) in (0u32..).zip(policy.rules(direction)) {
                let policy = ClusterPolicyIx::new(n);
                let rule_ref = ClusterRuleRef { policy, direction, rule: r };
                if rule.peers.contains(&ClusterPeer::Unknown) {
                    match rule.action {
                        Action::Accept => continue,
                        Action::Deny | Action::Pass => {
                            return Some(Judgement::ClusterDenied(rule_ref));
                        }
                    }
                }
                if !self.cluster_ports_match(&rule.ports, c) {
                    continue;
                }
                let chances = rule.peers.iter().map(|item| self.chance(item, peer));
                match (rule.action, chances.max().unwrap_or(Chance::No)) {
                    (_, Chance::No) | (Action::Accept, Chance::Perhaps) => {}
                    (Action::Deny, Chance::Perhaps | Chance::Yes) => {
                        return Some(Judgement::ClusterDenied(rule_ref));
                    }
                    (Action::Pass, Chance::Perhaps) => may_have_passed = true,
                    (Action::Accept, Chance::Yes) if !may_have_passed => {
                        return Some(Judgement::ClusterAccepted(rule_ref));
                    }
                    (Action::Accept | Action::Pass, Chance::Yes) => return None,
                }
            }
        }
        None
    }

    /// Whether a peer of a cluster-wide rule matches.
    fn chance(&self, item: &ClusterPeer, peer: End) -> Chance {
        let addresses = match peer {
            End::Pod(pod) => self.pod_addresses(&self.pods[pod.place()]),
            End::Address(_) => Vec::new(),
        };
        if let End::Pod(pod) = peer
            && addresses.is_empty()
        {
            return self.chance_of_place(item, &self.pods[pod.place()]);
        }
        if self.cluster_peer_matches(item, peer) { Chance::Yes } else { Chance::No }
    }

    /// Tries every address that the pod may have, as far as the CIDRs of these tests can tell them apart.
    fn chance_of_place(&self, item: &ClusterPeer, pod: &Pod) -> Chance {
        let candidates: Vec<IpAddr> = if pod.spec.host_network {
            self.nodes.iter().flat_map(|node| node.addresses.clone()).collect()
        } else {
            let may_be = |ip: &IpAddr| self.pod_ranges.iter().any(|range| range.contains(*ip));
            corners().into_iter().filter(may_be).collect()
        };
        let all_nodes = matches!(item, ClusterPeer::Nodes(nodes) if nodes.is_everything());
        match item {
            ClusterPeer::Nodes(_) if !pod.spec.host_network => Chance::No,
            ClusterPeer::Nodes(_) if all_nodes => Chance::Yes,
            ClusterPeer::Nodes(_) | ClusterPeer::Networks(_) if candidates.is_empty() => {
                Chance::Perhaps
            }
            ClusterPeer::Nodes(_) | ClusterPeer::Networks(_) => {
                let matches = |ip: &&IpAddr| self.cluster_peer_matches(item, End::Address(**ip));
                match candidates.iter().filter(matches).count() {
                    0 => Chance::No,
                    n if n == candidates.len() => Chance::Yes,
                    _ => Chance::Perhaps,
                }
            }
            ClusterPeer::Pods(pods) if self.is_in(pods, pod) => Chance::Yes,
            ClusterPeer::Pods(_) | ClusterPeer::DomainNames(_) | ClusterPeer::Unknown => Chance::No,
        }
    }

    fn is_subject(&self, policy: &ClusterPolicy, pod: &Pod) -> bool {
        self.is_in(&policy.subject, pod)
    }

    fn is_in(&self, pods: &ClusterPods, pod: &Pod) -> bool {
        !pod.spec.host_network
            && pods.namespaces.matches(&self.namespace_labels(pod))
            && pods.pods.matches(&pod.labels)
    }

    fn cluster_peer_matches(&self, item: &ClusterPeer, peer: End) -> bool {
        let addresses = match peer {
            End::Pod(pod) => self.pod_addresses(&self.pods[pod.place()]),
            End::Address(ip) => vec![ip.to_canonical()],
        };
        match item {
            ClusterPeer::Pods(pods) => match peer {
                End::Pod(pod) => self.is_in(pods, &self.pods[pod.place()]),
                End::Address(_) => false,
            },
            ClusterPeer::Nodes(selector) => self
                .nodes
                .iter()
                .filter(|node| selector.matches(&node.labels))
                .any(|node| node.addresses.iter().any(|ip| addresses.contains(ip))),
            ClusterPeer::Networks(cidrs) => {
                cidrs.iter().any(|cidr| addresses.iter().any(|ip| cidr.contains(*ip)))
            }
            ClusterPeer::DomainNames(_) | ClusterPeer::Unknown => false,
        }
    }

    fn cluster_ports_match(&self, ports: &ClusterPorts, c: &Connection) -> bool {
        let ClusterPorts::Only(items) = ports else { return true };
        items.iter().any(|item| match item {
            ClusterPort::Numbers(protocol, range) => {
                *protocol == c.protocol && range.contains(c.port)
            }
            ClusterPort::Named(name, protocol) => {
                let target = PortTarget::Named(name.clone());
                protocol.is_none_or(|protocol| protocol == c.protocol)
                    && self.port_matches(&PortMatch { protocol: c.protocol, target }, c)
            }
            ClusterPort::Other => false,
        })
    }

    /// Every (peer, port) of the rule that matches.
    fn matches(
        &self,
        policy: &NetworkPolicy,
        rule: &Rule,
        peer: End,
        c: &Connection,
    ) -> Vec<(Option<u32>, Option<u32>)> {
        let peers: Vec<Option<u32>> = match &rule.peers {
            Peers::Any => vec![None],
            Peers::Only(list) => (0u32..)
                .zip(list)
                .filter(|(_, item)| self.peer_matches(policy, item, peer))
                .map(|(n, _)| Some(n))
                .collect(),
        };
        let ports: Vec<Option<u32>> = match &rule.ports {
            Ports::Any => vec![None],
            Ports::Only(list) => (0u32..)
                .zip(list)
                .filter(|(_, item)| self.port_matches(item, c))
                .map(|(n, _)| Some(n))
                .collect(),
        };
        peers.into_iter().flat_map(|peer| ports.iter().map(move |port| (peer, *port))).collect()
    }

    fn peer_matches(&self, policy: &NetworkPolicy, item: &PeerMatch, peer: End) -> bool {
        match (item, peer) {
            (PeerMatch::Pods { namespaces, pods }, End::Pod(pod)) => {
                let pod = &self.pods[pod.place()];
                let namespace = match namespaces {
                    NamespaceScope::Own => pod.reference.namespace == policy.namespace,
                    NamespaceScope::Matching(selector) => {
                        selector.matches(&self.namespace_labels(pod))
                    }
                };
                self.is_seen_as_pod(pod) && namespace && pods.matches(&pod.labels)
            }
            (PeerMatch::Pods { .. }, End::Address(_)) => false,
            (PeerMatch::IpBlock(block), End::Address(ip)) => {
                self.is_visible_to_blocks(ip) && block.contains(ip)
            }
            (PeerMatch::IpBlock(block), End::Pod(pod)) => {
                let pod = &self.pods[pod.place()];
                let visible = if self.is_seen_as_pod(pod) {
                    self.profile.ip_block_pods == IpBlockPods::Match
                } else {
                    self.profile.ip_block_nodes == IpBlockNodes::Match
                };
                let matches = |ip: &IpAddr| self.is_visible_to_blocks(*ip) && block.contains(*ip);
                visible && self.pod_addresses(pod).iter().any(matches)
            }
        }
    }

    /// A profile may keep ipBlocks away from node addresses, whoever has them.
    fn is_visible_to_blocks(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let is_node = self.nodes.iter().any(|node| addresses_of(node).any(|a| a == ip));
        !is_node || self.profile.ip_block_nodes == IpBlockNodes::Match
    }

    fn port_matches(&self, item: &PortMatch, c: &Connection) -> bool {
        item.protocol == c.protocol
            && match &item.target {
                PortTarget::Any => true,
                PortTarget::Numbers(range) => match self.profile.end_port {
                    EndPort::Enforced => range.first() <= c.port && c.port <= range.last(),
                    EndPort::FirstPortOnly => range.first() == c.port,
                },
                PortTarget::Named(name) => match c.destination {
                    End::Address(_) => false,
                    End::Pod(pod) => {
                        let pod = &self.pods[pod.place()];
                        self.is_seen_as_pod(pod)
                            && pod.spec.ports.iter().any(|p| {
                                p.name.as_ref() == Some(name)
                                    && p.protocol == c.protocol
                                    && p.port == c.port
                            })
                    }
                },
            }
    }

    pub(crate) fn is_own_node(&self, c: &Connection) -> bool {
        let End::Pod(to) = c.destination else { return false };
        let Some(node_name) = &self.pods[to.place()].node else { return false };
        match c.source {
            End::Pod(from) => {
                let from = &self.pods[from.place()];
                !self.is_seen_as_pod(from) && from.node.as_ref() == Some(node_name)
            }
            End::Address(ip) => self
                .nodes
                .iter()
                .any(|n| n.name == *node_name && addresses_of(n).any(|a| a == ip.to_canonical())),
        }
    }

    fn is_seen_as_pod(&self, pod: &Pod) -> bool {
        !pod.spec.host_network || self.profile.host_network == HostNetwork::LikePods
    }

    fn pod_addresses(&self, pod: &Pod) -> Vec<IpAddr> {
        if pod.ips.is_empty() && pod.spec.host_network {
            let own = self.nodes.iter().filter(|n| Some(&n.name) == pod.node.as_ref());
            own.flat_map(|n| n.addresses.clone()).collect()
        } else {
            pod.ips.clone()
        }
    }

    fn namespace_labels(&self, pod: &Pod) -> Labels {
        let name = &pod.reference.namespace;
        self.namespaces.iter().find(|n| n.name == *name).map_or_else(
            || [("kubernetes.io/metadata.name", name.as_str())].into_iter().collect(),
            |n| n.labels.clone(),
        )
    }
}

fn addresses_of(node: &Node) -> impl Iterator<Item = IpAddr> {
    node.addresses.iter().chain(&node.pod_network_addresses).map(IpAddr::to_canonical)
}
