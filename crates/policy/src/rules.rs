//! From the text of rules to sets of ends and tests of ports.

use std::hash::Hash;

use foldhash::HashMap;
use ringfence_model::{
    Action, ClusterPeer, ClusterPolicy, ClusterPort, ClusterPorts, ClusterRule, Direction, IpBlock,
    Name, NamespaceScope, NetworkPolicy, PeerMatch, Peers, PortRange, PortTarget, Ports, Protocol,
    Rule,
};

use crate::atom::{Block, Sees};
use crate::cluster::Cluster;
use crate::compiled::{CompiledRule, Meaning, PortTest, Term};
use crate::connection::ConnectionSet;
use crate::decision::ClusterRuleRef;
use crate::end_set::EndSet;
use crate::index::{ClusterPolicyIx, index};
use crate::placement::{Likelihood, Place};
use crate::profile::EndPort;
use crate::tier::TierTerm;
use crate::words::{Words, network_block, node_blocks};

/// Distinct items with numbers.
#[derive(Clone, Debug)]
pub(crate) struct Interned<T> {
    items: Vec<T>,
    ids: HashMap<T, u32>,
}

impl<T: Clone + Eq + Hash> Interned<T> {
    pub(crate) fn new() -> Self {
        Self { items: Vec::new(), ids: HashMap::default() }
    }

    pub(crate) fn id(&mut self, item: T) -> u32 {
        let next = index(self.items.len());
        *self.ids.entry(item).or_insert_with_key(|item| {
            self.items.push(item.clone());
            next
        })
    }

    pub(crate) fn known(&self, item: &T) -> Option<u32> {
        self.ids.get(item).copied()
    }

    pub(crate) fn items(&self) -> &[T] {
        &self.items
    }
}

/// Sets of ends and tests of ports, each once.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    /// The sets of ends that peers stand for.
    pub(crate) sets: Vec<EndSet>,
    /// What each set means.
    pub(crate) meanings: Interned<Meaning>,
    /// Distinct `ports` of rules.
    pub(crate) ports: Interned<PortTest>,
}

/// The set of everybody, which comes first.
const EVERYBODY: u32 = 0;

impl Tables {
    pub(crate) fn new() -> Self {
        let mut tables =
            Self { sets: Vec::new(), meanings: Interned::new(), ports: Interned::new() };
        let everybody = tables.meanings.id(Meaning::Everybody);
        tables.sets.push(EndSet::All);
        debug_assert_eq!(everybody, EVERYBODY);
        tables
    }
}

/// Finds the ends that a new set stands for.
pub(crate) trait Finder {
    /// The members, sorted. Unions are none of its business.
    fn members(&mut self, meaning: &Meaning) -> Vec<u32>;
}

/// Translates rules against one cluster.
pub(crate) struct Translator<'a, F> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) words: &'a Words,
    /// The number of ends.
    pub(crate) ends: usize,
    pub(crate) tables: &'a mut Tables,
    pub(crate) finder: F,
}

impl<F: Finder> Translator<'_, F> {
    /// The rules of a policy by direction; `None` where it does not isolate.
    pub(crate) fn rules(&mut self, policy: &NetworkPolicy) -> [Option<Vec<CompiledRule>>; 2] {
        Direction::BOTH.map(|direction| {
            let rules = policy.rules(direction)?;
            Some(rules.iter().map(|rule| self.rule(&policy.namespace, rule)).collect())
        })
    }

    fn rule(&mut self, namespace: &Name, rule: &Rule) -> CompiledRule {
        let (peers, all) = match &rule.peers {
            Peers::Any => (Vec::new(), EVERYBODY),
            Peers::Only(peers) => {
                let sets: Vec<u32> = peers.iter().map(|peer| self.peer(namespace, peer)).collect();
                let union = self.union(&sets);
                (sets, union)
            }
        };
        let ports = self.port_test(&rule.ports);
        CompiledRule { peers, term: Term { peers: all, ports } }
    }

    fn peer(&mut self, namespace: &Name, peer: &PeerMatch) -> u32 {
        let meaning = match peer {
            PeerMatch::Pods { namespaces: NamespaceScope::Own, pods } => {
                Meaning::Own(namespace.clone(), pods.clone())
            }
            PeerMatch::Pods { namespaces: NamespaceScope::Matching(selector), pods } => {
                Meaning::Matching(selector.clone(), pods.clone())
            }
            PeerMatch::IpBlock(block) => self.block(block.clone(), Sees::ByProfile),
        };
        self.set(meaning)
    }

    fn block(&self, block: IpBlock, sees: Sees) -> Meaning {
        Meaning::Block(self.words.block_id(&Block { block, sees }).unwrap_or_default())
    }

    fn set(&mut self, meaning: Meaning) -> u32 {
        if let Some(set) = self.tables.meanings.known(&meaning) {
            return set;
        }
        let members = self.finder.members(&meaning);
        self.tables.sets.push(EndSet::new(members, self.ends));
        self.tables.meanings.id(meaning)
    }

    fn union(&mut self, sets: &[u32]) -> u32 {
        if let [one] = sets {
            return *one;
        }
        let mut parts = sets.to_vec();
        parts.sort_unstable();
        parts.dedup();
        let meaning = Meaning::Union(parts.into());
        if let Some(set) = self.tables.meanings.known(&meaning) {
            return set;
        }
        let mut ends = Vec::new();
        for set in sets {
            self.tables.sets[*set as usize].for_each(self.ends, |end| ends.push(end));
        }
        ends.sort_unstable();
        ends.dedup();
        self.tables.sets.push(EndSet::new(ends, self.ends));
        self.tables.meanings.id(meaning)
    }

    fn port_test(&mut self, ports: &Ports) -> u32 {
        let mut numbers: Vec<(Protocol, PortRange)> = Vec::new();
        let mut names: Vec<(u32, Protocol)> = Vec::new();
        match ports {
            Ports::Any => numbers.extend(Protocol::ALL.map(|p| (p, PortRange::ALL))),
            Ports::Only(list) => {
                for item in list {
                    match &item.target {
                        PortTarget::Any => numbers.push((item.protocol, PortRange::ALL)),
                        PortTarget::Numbers(range) => {
                            let range = match self.cluster.profile.end_port {
                                EndPort::Enforced => *range,
                                EndPort::FirstPortOnly => PortRange::single(range.first()),
                            };
                            numbers.push((item.protocol, range));
                        }
                        PortTarget::Named(name) => names.extend(
                            self.words.port_names.get(name).map(|name| (*name, item.protocol)),
                        ),
                    }
                }
            }
        }
        self.test(numbers, names)
    }

    fn test(
        &mut self,
        numbers: Vec<(Protocol, PortRange)>,
        mut names: Vec<(u32, Protocol)>,
    ) -> u32 {
        names.sort_unstable();
        names.dedup();
        let numbers: ConnectionSet = numbers.into_iter().collect();
        self.tables.ports.id(PortTest { numbers, names: names.into() })
    }

    /// The rules of a cluster-wide policy by direction.
    pub(crate) fn tier_terms(
        &mut self,
        ix: ClusterPolicyIx,
        policy: &ClusterPolicy,
    ) -> [Vec<TierTerm>; 2] {
        Direction::BOTH.map(|direction| {
            let rules = (0u32..).zip(policy.rules(direction));
            let place = |rule| ClusterRuleRef { policy: ix, direction, rule };
            rules.map(|(n, rule)| self.tier_term(rule, place(n))).collect()
        })
    }

    fn tier_term(&mut self, rule: &ClusterRule, rule_ref: ClusterRuleRef) -> TierTerm {
        let fails_closed = rule.peers.contains(&ClusterPeer::Unknown);
        let nobody = self.union(&[]);
        if fails_closed && rule.action != Action::Accept {
            let ports = self.cluster_port_test(&ClusterPorts::Any);
            let term = Term { peers: EVERYBODY, ports };
            return TierTerm { term, doubtful: nobody, action: Action::Deny, rule: rule_ref };
        }
        let ports = self.cluster_port_test(&rule.ports);
        if fails_closed {
            let term = Term { peers: nobody, ports };
            return TierTerm { term, doubtful: nobody, action: rule.action, rule: rule_ref };
        }
        let mut peers = Vec::new();
        let mut doubtful = Vec::new();
        for peer in &rule.peers {
            peers.extend(self.cluster_peer(peer));
            if let Some(place) = place(peer) {
                peers.push(self.set(Meaning::Unplaced(place.clone(), Likelihood::Surely)));
                doubtful.push(self.set(Meaning::Unplaced(place, Likelihood::Maybe)));
            }
        }
        let doubtful = self.union(&doubtful);
        if rule.action == Action::Deny {
            peers.push(doubtful);
        }
        let term = Term { peers: self.union(&peers), ports };
        TierTerm { term, doubtful, action: rule.action, rule: rule_ref }
    }

    fn cluster_peer(&mut self, peer: &ClusterPeer) -> Vec<u32> {
        let blocks: Vec<Block> = match peer {
            ClusterPeer::Pods(pods) => return vec![self.set(Meaning::Cluster(pods.clone()))],
            ClusterPeer::Nodes(nodes) => node_blocks(self.cluster, nodes).collect(),
            ClusterPeer::Networks(cidrs) => cidrs.iter().map(network_block).collect(),
            ClusterPeer::DomainNames(_) | ClusterPeer::Unknown => Vec::new(),
        };
        let blocks = blocks.into_iter().map(|Block { block, sees }| self.block(block, sees));
        let blocks: Vec<Meaning> = blocks.collect();
        blocks.into_iter().map(|block| self.set(block)).collect()
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
        self.test(numbers, names)
    }
}

/// The addresses that a peer names.
fn place(peer: &ClusterPeer) -> Option<Place> {
    match peer {
        ClusterPeer::Nodes(nodes) => Some(Place::Nodes(nodes.clone())),
        ClusterPeer::Networks(cidrs) => Some(Place::Networks(cidrs.as_slice().into())),
        ClusterPeer::Pods(_) | ClusterPeer::DomainNames(_) | ClusterPeer::Unknown => None,
    }
}
