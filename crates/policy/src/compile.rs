//! From objects to a [`PolicySet`].

mod tiers;

use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use ringfence_model::{
    ClusterPods, ClusterPolicy, Diagnostic, Direction, Name, NamespaceScope, NetworkPolicy,
    PeerMatch, Peers, PortRange, PortTarget, Ports, Protocol, Rule, Selector,
};

use crate::atom::{AddressSpace, Block, Sees};
use crate::class::{Classes, Distinction};
use crate::cluster::Cluster;
use crate::compiled::{CompiledPolicy, CompiledRule, Meaning, NOT_ISOLATED, PortTest, Side, Term};
use crate::connection::ConnectionSet;
use crate::end_set::EndSet;
use crate::index::{PolicyIx, index};
use crate::policy_set::PolicySet;
use crate::profile::{EndPort, IpBlockNodes};
use crate::vocabulary::LabelIndex;
use crate::words::Words;

pub(crate) fn compile(
    cluster: Arc<Cluster>,
    policies: Vec<NetworkPolicy>,
    cluster_policies: &[ClusterPolicy],
) -> (PolicySet, Vec<Diagnostic>) {
    let mut diagnostics = duplicates(&policies);
    diagnostics.extend(cluster_policies.iter().flat_map(tiers::unjudged));
    let words = Words::of(&cluster, &policies, cluster_policies);
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
    let tiers = compiler.tiers(cluster_policies);
    let (sets, meanings, ports) = (compiler.sets, compiler.meanings, compiler.ports.items);
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
    /// By name: a namespace may become known later.
    Own(&'a Name, &'a Selector),
    Matching(&'a Selector, &'a Selector),
    Cluster(&'a ClusterPods),
    Block(u32),
}

/// The set of everybody.
const EVERYBODY: u32 = 0;

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
        let namespace = &text.namespace;
        CompiledPolicy {
            subjects: self.ends_of(self.in_namespace(self.known(namespace), &text.pod_selector)),
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
        namespace: &'a Name,
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

    fn peer(&mut self, namespace: &'a Name, peer: &'a PeerMatch, meaning: Meaning) -> u32 {
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
            PeerKey::Own(namespace, pods) => {
                self.ends_of(self.in_namespace(self.known(namespace), pods))
            }
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

    /// The number of a namespace, when it is known.
    fn known(&self, namespace: &Name) -> Option<u32> {
        self.cluster.namespace_ids.get(namespace).copied()
    }

    /// Classes as ends: behind all atoms.
    fn ends_of(&self, mut classes: Vec<u32>) -> Vec<u32> {
        let first = index(self.space.atoms.len());
        for class in &mut classes {
            *class += first;
        }
        classes
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
        let mut ends = Vec::new();
        let atoms = &self.space.of_block[block as usize];
        atoms.for_each(self.space.atoms.len(), |atom| ends.push(atom));
        let sees = self.words.blocks[block as usize].sees;
        let is_seen = |class: &u32| {
            let is_node = self.classes.keys[*class as usize].is_node;
            sees == Sees::Everyone || self.cluster.profile.block_sees(is_node)
        };
        let classes = ends.iter().flat_map(|atom| &self.classes_in[*atom as usize]).copied();
        let mut classes: Vec<u32> = classes.filter(is_seen).collect();
        classes.sort_unstable();
        classes.dedup();
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
