//! From objects to a [`PolicySet`].

use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use ringfence_model::{
    Action, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPort, ClusterPorts, ClusterRule,
    Diagnostic, Direction, Name, NamespaceScope, NetworkPolicy, PeerMatch, Peers, PortRange,
    PortTarget, Ports, Protocol, Rule, Selector,
};

use crate::atom::{AddressSpace, Block, Sees};
use crate::class::{Classes, Distinction};
use crate::cluster::Cluster;
use crate::connection::ConnectionSet;
use crate::decision::ClusterRuleRef;
use crate::end_set::EndSet;
use crate::index::{ClusterPolicyIx, PolicyIx, index};
use crate::policy_set::{
    CompiledPolicy, CompiledRule, Meaning, NOT_ISOLATED, PolicySet, PortTest, Side, Term,
};
use crate::profile::{EndPort, IpBlockNodes};
use crate::tier::{TierSide, TierTerm, Tiers, in_order};
use crate::vocabulary::LabelIndex;
use crate::words::{Words, network_block, node_blocks};

pub(crate) fn compile(
    cluster: Arc<Cluster>,
    policies: Vec<NetworkPolicy>,
    cluster_policies: Vec<ClusterPolicy>,
) -> (PolicySet, Vec<Diagnostic>) {
    let mut diagnostics = duplicates(&policies);
    diagnostics.extend(cluster_policies.iter().flat_map(unjudged));
    let words = Words::of(&cluster, &policies, &cluster_policies);
    let apart = match cluster.profile.ip_block_nodes {
        IpBlockNodes::Match => &HashSet::default(),
        IpBlockNodes::NeverMatch => &cluster.node_addresses,
    };
    let space = AddressSpace::new(&words.blocks, apart);
    let classes = Distinction { cluster: &cluster, words: &words, space: &space }.classes();
    let mut compiler = Compiler::new(&cluster, &words, &classes, &space);
    let judged: Vec<CompiledPolicy> = (0u32..)
        .zip(&policies)
        .map(|(n, policy)| compiler.policy(PolicyIx::new(n), policy))
        .collect();
    let ends = compiler.ends;
    let sides = Direction::BOTH.map(|direction| side(&judged, direction, ends));
    let tiers = compiler.tiers(&cluster_policies);
    let (sets, meanings, ports) = (compiler.sets, compiler.meanings, compiler.ports.items);
    let (subjects, terms, tier_sides) = tiers;
    let tiers = Tiers { policies: cluster_policies, subjects, terms, sides: tier_sides };
    let set = PolicySet {
        cluster,
        policies,
        tiers,
        words,
        classes,
        space,
        sets,
        meanings,
        ports,
        compiled: judged,
        sides,
    };
    (set, diagnostics)
}

/// What the engine cannot judge of a cluster-wide policy.
fn unjudged(policy: &ClusterPolicy) -> Vec<Diagnostic> {
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

fn duplicates(policies: &[NetworkPolicy]) -> Vec<Diagnostic> {
    let mut seen: HashMap<(&Name, &Name), &NetworkPolicy> = HashMap::default();
    let mut diagnostics = Vec::new();
    for policy in policies {
        if let Some(first) = seen.insert((&policy.namespace, &policy.name), policy) {
            diagnostics.push(
                Diagnostic::warning(
                    "duplicate-policy",
                    format!("is also in {}; both are taken as if they had two names", first.origin),
                )
                .at(policy.origin.clone())
                .about(format!("NetworkPolicy {policy}"))
                .hint("a cluster keeps only one object of a name: leave one out or rename it"),
            );
        }
    }
    diagnostics
}

/// Distinct items with numbers.
struct Interned<T> {
    items: Vec<T>,
    ids: HashMap<T, u32>,
}

impl<T: Clone + Eq + std::hash::Hash> Interned<T> {
    fn new() -> Self {
        Self { items: Vec::new(), ids: HashMap::default() }
    }

    fn id(&mut self, item: T) -> u32 {
        let next = index(self.items.len());
        *self.ids.entry(item).or_insert_with_key(|item| {
            self.items.push(item.clone());
            next
        })
    }
}

/// A peer, as far as it decides which ends it stands for.
#[derive(PartialEq, Eq, Hash)]
enum PeerKey<'a> {
    Own(Option<u32>, &'a Selector),
    Matching(&'a Selector, &'a Selector),
    Cluster(&'a ClusterPods),
    Block(u32),
}

/// The set of everybody.
const EVERYBODY: u32 = 0;

/// Subjects, rules and groups of the cluster-wide policies.
type TierParts = (Vec<Vec<u32>>, Vec<[Vec<TierTerm>; 2]>, [TierSide; 2]);

struct Compiler<'a> {
    cluster: &'a Cluster,
    words: &'a Words,
    classes: &'a Classes,
    space: &'a AddressSpace,
    namespace_labels: LabelIndex,
    class_labels: LabelIndex,
    /// The classes that have an address in each atom.
    classes_in: Vec<Vec<u32>>,
    ends: usize,
    peers: HashMap<PeerKey<'a>, u32>,
    unions: HashMap<Box<[u32]>, u32>,
    /// Pod selectors that apply across namespaces.
    everywhere: HashMap<&'a Selector, Arc<[u32]>>,
    every_class: Vec<u32>,
    every_namespace: Vec<u32>,
    sets: Vec<EndSet>,
    meanings: Vec<Meaning>,
    ports: Interned<PortTest>,
}

/// Up to how many selected namespaces are looked into one by one.
const FEW_NAMESPACES: usize = 2;

impl<'a> Compiler<'a> {
    fn new(
        cluster: &'a Cluster,
        words: &'a Words,
        classes: &'a Classes,
        space: &'a AddressSpace,
    ) -> Self {
        let mut classes_in = vec![Vec::new(); space.atoms.len()];
        for (class, key) in classes.keys.iter().enumerate() {
            for &atom in &key.atoms {
                classes_in[atom as usize].push(index(class));
            }
        }
        Self {
            cluster,
            words,
            classes,
            space,
            namespace_labels: LabelIndex::new(
                cluster.namespaces.iter().map(|n| words.namespaces.project(&n.labels)).collect(),
            ),
            class_labels: LabelIndex::new(classes.keys.iter().map(|k| k.labels.clone()).collect()),
            classes_in,
            ends: classes.list.len() + space.atoms.len(),
            peers: HashMap::default(),
            unions: HashMap::default(),
            everywhere: HashMap::default(),
            every_class: (0..index(classes.list.len())).collect(),
            every_namespace: (0..index(cluster.namespaces.len())).collect(),
            // Everybody comes first.
            sets: vec![EndSet::All],
            meanings: vec![Meaning::Everybody],
            ports: Interned::new(),
        }
    }

    fn add(&mut self, set: EndSet, meaning: Meaning) -> u32 {
        self.sets.push(set);
        self.meanings.push(meaning);
        index(self.sets.len() - 1)
    }

    fn policy(&mut self, policy: PolicyIx, text: &'a NetworkPolicy) -> CompiledPolicy {
        let namespace = self.cluster.namespace_ids.get(&text.namespace).copied();
        CompiledPolicy {
            subjects: self.ends_of(self.in_namespace(namespace, &text.pod_selector)),
            rules: Direction::BOTH.map(|direction| {
                let rules = (0u32..).zip(text.rules(direction)?);
                Some(
                    rules
                        .map(|(n, rule)| {
                            let meaning = |peer| Meaning::Peer { policy, direction, rule: n, peer };
                            self.rule(namespace, rule, meaning)
                        })
                        .collect(),
                )
            }),
        }
    }

    fn rule(
        &mut self,
        namespace: Option<u32>,
        rule: &'a Rule,
        meaning: impl Fn(u32) -> Meaning,
    ) -> CompiledRule {
        let (peers, all) = match &rule.peers {
            Peers::Any => (Vec::new(), EVERYBODY),
            Peers::Only(list) => {
                let peers = (0u32..).zip(list);
                let sets: Vec<u32> =
                    peers.map(|(n, peer)| self.peer(namespace, peer, meaning(n))).collect();
                let union = self.union(&sets);
                (sets, union)
            }
        };
        let ports = self.port_test(&rule.ports);
        CompiledRule { peers, term: Term { peers: all, ports } }
    }

    fn union(&mut self, sets: &[u32]) -> u32 {
        if let [one] = sets {
            return *one;
        }
        let mut parts = sets.to_vec();
        parts.sort_unstable();
        parts.dedup();
        let parts: Box<[u32]> = parts.into();
        if let Some(set) = self.unions.get(&parts) {
            return *set;
        }
        let mut ends = Vec::new();
        for set in &parts {
            self.sets[*set as usize].for_each(self.ends, |end| ends.push(end));
        }
        ends.sort_unstable();
        ends.dedup();
        let set = self.add(EndSet::new(ends, self.ends), Meaning::Union(parts.clone()));
        self.unions.insert(parts, set);
        set
    }

    fn peer(&mut self, namespace: Option<u32>, peer: &'a PeerMatch, meaning: Meaning) -> u32 {
        match peer {
            PeerMatch::Pods { namespaces: NamespaceScope::Own, pods } => {
                self.peer_set(PeerKey::Own(namespace, pods), meaning)
            }
            PeerMatch::Pods { namespaces: NamespaceScope::Matching(selector), pods } => {
                self.peer_set(PeerKey::Matching(selector, pods), meaning)
            }
            PeerMatch::IpBlock(block) => {
                let block = Block { block: block.clone(), sees: Sees::ByProfile };
                let id = self.words.block_id(&block).unwrap_or_default();
                self.peer_set(PeerKey::Block(id), Meaning::Block(id))
            }
        }
    }

    fn peer_set(&mut self, key: PeerKey<'a>, meaning: Meaning) -> u32 {
        if let Some(set) = self.peers.get(&key) {
            return *set;
        }
        let ends = match &key {
            PeerKey::Own(namespace, pods) => self.ends_of(self.in_namespace(*namespace, pods)),
            PeerKey::Matching(selector, pods) => {
                let classes = self.in_matching(selector, pods);
                self.ends_of(classes)
            }
            PeerKey::Cluster(pods) => self.cluster_pods(pods),
            PeerKey::Block(block) => self.in_block(*block),
        };
        let set = self.add(EndSet::new(ends, self.ends), meaning);
        self.peers.insert(key, set);
        set
    }

    /// Classes as ends: behind all atoms.
    fn ends_of(&self, mut classes: Vec<u32>) -> Vec<u32> {
        let first = index(self.space.atoms.len());
        for class in &mut classes {
            *class += first;
        }
        classes
    }

    /// The ends that a cluster-wide policy selects.
    fn cluster_pods(&mut self, pods: &'a ClusterPods) -> Vec<u32> {
        let mut found = self.in_matching(&pods.namespaces, &pods.pods);
        found.retain(|class| !self.classes.keys[*class as usize].host_network);
        self.ends_of(found)
    }

    /// The classes of one namespace that the selector matches. Selectors ignore pods that count as their node.
    fn in_namespace(&self, namespace: Option<u32>, selector: &Selector) -> Vec<u32> {
        let Some(namespace) = namespace else { return Vec::new() };
        self.select(selector, &self.classes.of_namespace[namespace as usize])
    }

    fn select(&self, selector: &Selector, within: &[u32]) -> Vec<u32> {
        let mut found = self.class_labels.select(&self.words.pods, selector, within);
        found.retain(|class| !self.classes.keys[*class as usize].is_node);
        found
    }

    fn in_matching(&mut self, namespaces: &Selector, pods: &'a Selector) -> Vec<u32> {
        let all = &self.every_namespace;
        let matching = self.namespace_labels.select(&self.words.namespaces, namespaces, all);
        if matching.len() <= FEW_NAMESPACES {
            let ranges = matching.iter().flat_map(|n| self.in_namespace(Some(*n), pods));
            let mut found: Vec<u32> = ranges.collect();
            found.sort_unstable();
            return found;
        }
        let everywhere = if let Some(found) = self.everywhere.get(pods) {
            Arc::clone(found)
        } else {
            let found: Arc<[u32]> = self.select(pods, &self.every_class).into();
            self.everywhere.insert(pods, Arc::clone(&found));
            found
        };
        if matching.len() == self.cluster.namespaces.len() {
            return everywhere.to_vec();
        }
        let mut chosen = fixedbitset::FixedBitSet::with_capacity(self.cluster.namespaces.len());
        chosen.extend(matching.iter().map(|n| *n as usize));
        let inside =
            |class: &u32| chosen.contains(self.classes.keys[*class as usize].namespace as usize);
        everywhere.iter().copied().filter(inside).collect()
    }

    fn in_block(&self, block: u32) -> Vec<u32> {
        let atoms = &self.space.of_block[block as usize];
        let sees = self.words.blocks[block as usize].sees;
        let is_seen = |class: &u32| {
            let is_node = self.classes.keys[*class as usize].is_node;
            sees == Sees::Everyone || self.cluster.profile.block_sees(is_node)
        };
        let classes = atoms.iter().flat_map(|a| &self.classes_in[*a as usize]).copied();
        let mut classes: Vec<u32> = classes.filter(is_seen).collect();
        classes.sort_unstable();
        classes.dedup();
        let mut ends = atoms.clone();
        ends.extend(self.ends_of(classes));
        ends
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
        names.sort_unstable();
        names.dedup();
        let numbers: ConnectionSet = numbers.into_iter().collect();
        self.ports.id(PortTest { numbers, names: names.into() })
    }

    fn tiers(&mut self, policies: &'a [ClusterPolicy]) -> TierParts {
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
        (subjects, terms, sides)
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
        TierTerm { peers, ports, action, rule: rule_ref }
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

/// Groups ends by the policies that isolate them.
fn side(compiled: &[CompiledPolicy], direction: Direction, ends: usize) -> Side {
    let mut isolating: Vec<Vec<PolicyIx>> = vec![Vec::new(); ends];
    for (n, policy) in compiled.iter().enumerate() {
        if policy.rules[direction as usize].is_some() {
            for subject in &policy.subjects {
                isolating[*subject as usize].push(PolicyIx::new(index(n)));
            }
        }
    }
    let mut side = Side::default();
    let none = side.group_of(Vec::new(), compiled, direction);
    debug_assert_eq!(none, NOT_ISOLATED);
    for policies in isolating {
        let group = side.group_of(policies, compiled, direction);
        side.group.push(group);
    }
    side
}
