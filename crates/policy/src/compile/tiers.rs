//! The cluster-wide policies of a set.

use ringfence_model::{
    Action, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPort, ClusterPorts, ClusterRule,
    Diagnostic, Direction, PortRange, Protocol,
};

use super::{Compiler, EVERYBODY, PeerKey};
use crate::atom::Block;
use crate::compiled::{Meaning, PortTest, Term};
use crate::connection::ConnectionSet;
use crate::decision::ClusterRuleRef;
use crate::index::ClusterPolicyIx;
use crate::tier::{TierSide, TierTerm, Tiers, in_order};
use crate::words::{network_block, node_blocks};

/// What the engine cannot judge of a cluster-wide policy.
pub(super) fn unjudged(policy: &ClusterPolicy) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for rule in Direction::BOTH.into_iter().flat_map(|direction| policy.rules(direction)) {
        for peer in &rule.peers {
            let diagnostic = match peer {
                ClusterPeer::Unknown => Diagnostic::warning(
                    "unknown-peer",
                    "has a peer of unknown kind: Accept rules with it match nothing, others deny all",
                )
                .hint("use a version that knows this kind, or check its spelling"),
                ClusterPeer::DomainNames(_) => Diagnostic::warning(
                    "domain-names-not-judged",
                    "accepts domain names, which are not resolved here and match nothing",
                )
                .hint("see these connections as allowed to the addresses of the names"),
                ClusterPeer::Pods(_) | ClusterPeer::Nodes(_) | ClusterPeer::Networks(_) => continue,
            };
            diagnostics.push(
                diagnostic.at(rule.origin.clone()).about(format!("ClusterNetworkPolicy {policy}")),
            );
        }
    }
    diagnostics
}

impl<'a> Compiler<'a> {
    pub(super) fn tiers(&mut self, policies: &'a [ClusterPolicy]) -> Tiers {
        let order = in_order(policies);
        let subjects: Vec<Vec<u32>> =
            policies.iter().map(|policy| self.cluster_pods(&policy.subject)).collect();
        let terms: Vec<[Vec<TierTerm>; 2]> = (0u32..)
            .zip(policies)
            .map(|(n, policy)| {
                let policy_ix = ClusterPolicyIx::new(n);
                Direction::BOTH.map(|direction| {
                    let rules = (0u32..).zip(policy.rules(direction));
                    let place = |rule| ClusterRuleRef { policy: policy_ix, direction, rule };
                    rules.map(|(n, rule)| self.tier_term(rule, place(n))).collect()
                })
            })
            .collect();
        let sides = Direction::BOTH.map(|direction| {
            let mut side = TierSide::default();
            if policies.iter().all(|policy| policy.rules(direction).is_empty()) {
                return side;
            }
            let mut of_end: Vec<Vec<ClusterPolicyIx>> = vec![Vec::new(); self.ends];
            let ruling =
                order.iter().filter(|ix| !policies[ix.place()].rules(direction).is_empty());
            for &ix in ruling {
                for subject in &subjects[ix.place()] {
                    of_end[*subject as usize].push(ix);
                }
            }
            for members in of_end {
                let group = side.group_of(members, policies, &terms, direction);
                side.group.push(group);
            }
            side
        });
        Tiers { policies: policies.to_vec(), subjects, terms, sides }
    }

    /// The ends that a cluster-wide policy selects.
    pub(super) fn cluster_pods(&mut self, pods: &'a ClusterPods) -> Vec<u32> {
        let mut found = self.in_matching(&pods.namespaces, &pods.pods);
        found.retain(|class| !self.classes.keys[*class as usize].host_network);
        self.ends_of(found)
    }

    fn tier_term(&mut self, rule: &'a ClusterRule, rule_ref: ClusterRuleRef) -> TierTerm {
        let fails_closed = rule.peers.contains(&ClusterPeer::Unknown);
        let (peers, ports, action) = match (fails_closed, rule.action) {
            (false, action) => {
                let peers = (0u32..).zip(&rule.peers);
                let sets: Vec<u32> =
                    peers.flat_map(|(n, peer)| self.cluster_peer(peer, rule_ref, n)).collect();
                (self.union(&sets), self.cluster_port_test(&rule.ports), action)
            }
            (true, Action::Accept) => {
                (self.union(&[]), self.cluster_port_test(&rule.ports), Action::Accept)
            }
            (true, Action::Deny | Action::Pass) => {
                let ports = self.cluster_port_test(&ClusterPorts::Any);
                (EVERYBODY, ports, Action::Deny)
            }
        };
        TierTerm { term: Term { peers, ports }, action, rule: rule_ref }
    }

    fn cluster_peer(&mut self, peer: &'a ClusterPeer, at: ClusterRuleRef, n: u32) -> Vec<u32> {
        let blocks: Vec<Block> = match peer {
            ClusterPeer::Pods(pods) => {
                let ClusterRuleRef { policy, direction, rule } = at;
                let meaning = Meaning::ClusterPeer { policy, direction, rule, peer: n };
                return vec![self.peer_set(PeerKey::Cluster(pods), meaning)];
            }
            ClusterPeer::Nodes(nodes) => node_blocks(self.cluster, nodes).collect(),
            ClusterPeer::Networks(cidrs) => cidrs.iter().map(network_block).collect(),
            ClusterPeer::DomainNames(_) | ClusterPeer::Unknown => Vec::new(),
        };
        let ids: Vec<u32> = blocks.iter().filter_map(|b| self.words.block_id(b)).collect();
        let set = |id| self.peer_set(PeerKey::Block(id), Meaning::Block(id));
        ids.into_iter().map(set).collect()
    }

    fn cluster_port_test(&mut self, ports: &ClusterPorts) -> u32 {
        let mut numbers: Vec<(Protocol, PortRange)> = Vec::new();
        let mut names: Vec<(u32, Protocol)> = Vec::new();
        match ports {
            ClusterPorts::Any => numbers.extend(Protocol::ALL.map(|p| (p, PortRange::ALL))),
            ClusterPorts::Only(list) => {
                for item in list {
                    match item {
                        ClusterPort::Numbers(protocol, range) => numbers.push((*protocol, *range)),
                        ClusterPort::Named(name, protocol) => {
                            let name = self.words.port_names.get(name).copied();
                            let meant = Protocol::ALL.into_iter();
                            let meant = meant.filter(|p| protocol.is_none_or(|only| only == *p));
                            names.extend(meant.filter_map(|p| Some((name?, p))));
                        }
                        ClusterPort::Other => {}
                    }
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        let numbers: ConnectionSet = numbers.into_iter().collect();
        self.ports.id(PortTest { numbers, names: names.into() })
    }
}
