//! From objects to a [`PolicySet`].

use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use ringfence_model::{
    Diagnostic, Direction, IpBlock, Name, NamespaceScope, NetworkPolicy, PeerMatch, Peers,
    PortMatch, PortRange, PortTarget, Ports, Protocol, Selector,
};

use crate::atom::AddressSpace;
use crate::class::{Classes, Distinction};
use crate::cluster::Cluster;
use crate::connection::ConnectionSet;
use crate::end_set::EndSet;
use crate::index::{PolicyIx, index};
use crate::policy_set::{
    CompiledPolicy, CompiledRule, NOT_ISOLATED, PolicySet, PortTest, Side, Term,
};
use crate::profile::{EndPort, IpBlockNodes};
use crate::vocabulary::{LabelIndex, Vocabulary};

pub(crate) fn compile(
    cluster: Arc<Cluster>,
    policies: Vec<NetworkPolicy>,
) -> (PolicySet, Vec<Diagnostic>) {
    let diagnostics = duplicates(&policies);
    let words = Words::of(&policies);
    let apart = match cluster.profile.ip_block_nodes {
        IpBlockNodes::Match => &HashSet::default(),
        IpBlockNodes::NeverMatch => &cluster.node_addresses,
    };
    let space = AddressSpace::new(&words.blocks, apart);
    let classes = Distinction {
        cluster: &cluster,
        vocabulary: &words.pods,
        port_names: &words.port_names,
        space: &space,
    }
    .classes();
    let mut compiler = Compiler::new(&cluster, &words, &classes, &space);
    let judged: Vec<CompiledPolicy> = policies.iter().map(|p| compiler.policy(p)).collect();
    let ends = classes.list.len() + space.atoms.len();
    let sides = Direction::BOTH.map(|direction| side(&judged, direction, ends));
    let (sets, ports) = (compiler.sets.items, compiler.ports.items);
    let set = PolicySet { cluster, policies, classes, space, sets, ports, compiled: judged, sides };
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

/// What the policies mention.
#[derive(Default)]
struct Words<'a> {
    pods: Vocabulary,
    namespaces: Vocabulary,
    port_names: HashMap<Arc<str>, u32>,
    blocks: Vec<&'a IpBlock>,
    block_ids: HashMap<&'a IpBlock, u32>,
}

impl<'a> Words<'a> {
    fn of(policies: &'a [NetworkPolicy]) -> Self {
        let mut words = Self::default();
        for policy in policies {
            words.pods.learn(&policy.pod_selector);
            let rules = Direction::BOTH.into_iter().filter_map(|d| policy.rules(d)).flatten();
            for rule in rules {
                if let Peers::Only(peers) = &rule.peers {
                    for peer in peers {
                        words.learn_peer(peer);
                    }
                }
                if let Ports::Only(ports) = &rule.ports {
                    for port in ports {
                        words.learn_port(port);
                    }
                }
            }
        }
        words
    }

    fn learn_peer(&mut self, peer: &'a PeerMatch) {
        match peer {
            PeerMatch::Pods { namespaces, pods } => {
                self.pods.learn(pods);
                if let NamespaceScope::Matching(selector) = namespaces {
                    self.namespaces.learn(selector);
                }
            }
            PeerMatch::IpBlock(block) => {
                let id = index(self.blocks.len());
                if *self.block_ids.entry(block).or_insert(id) == id {
                    self.blocks.push(block);
                }
            }
        }
    }

    fn learn_port(&mut self, port: &PortMatch) {
        if let PortTarget::Named(name) = &port.target {
            let id = index(self.port_names.len());
            self.port_names.entry(Arc::clone(name)).or_insert(id);
        }
    }
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
    Own(u32, &'a Selector),
    Matching(&'a Selector, &'a Selector),
    Block(u32),
}

struct Compiler<'a> {
    cluster: &'a Cluster,
    words: &'a Words<'a>,
    classes: &'a Classes,
    space: &'a AddressSpace,
    namespace_labels: LabelIndex,
    class_labels: LabelIndex,
    /// The classes that have an address in each atom.
    classes_in: Vec<Vec<u32>>,
    ends: usize,
    peers: HashMap<PeerKey<'a>, u32>,
    /// Pod selectors that apply across namespaces.
    everywhere: HashMap<&'a Selector, Arc<[u32]>>,
    sets: Interned<EndSet>,
    ports: Interned<PortTest>,
}

/// Up to how many selected namespaces are looked into one by one.
const FEW_NAMESPACES: usize = 2;

impl<'a> Compiler<'a> {
    fn new(
        cluster: &'a Cluster,
        words: &'a Words<'a>,
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
            everywhere: HashMap::default(),
            sets: Interned::new(),
            ports: Interned::new(),
        }
    }

    fn policy(&mut self, policy: &'a NetworkPolicy) -> CompiledPolicy {
        let namespace = self.cluster.namespace_ids.get(&policy.namespace).copied();
        CompiledPolicy {
            subjects: self.in_namespace(namespace, &policy.pod_selector),
            rules: Direction::BOTH.map(|direction| {
                let rules = policy.rules(direction)?;
                Some(rules.iter().map(|r| self.rule(namespace, &r.peers, &r.ports)).collect())
            }),
        }
    }

    fn rule(&mut self, namespace: Option<u32>, peers: &'a Peers, ports: &Ports) -> CompiledRule {
        let (peers, all) = match peers {
            Peers::Any => (Vec::new(), self.sets.id(EndSet::All)),
            Peers::Only(list) => {
                let sets: Vec<u32> = list.iter().map(|peer| self.peer(namespace, peer)).collect();
                let union = self.union(&sets);
                (sets, union)
            }
        };
        let ports = self.port_test(ports);
        CompiledRule { peers, term: Term { peers: all, ports } }
    }

    fn union(&mut self, sets: &[u32]) -> u32 {
        if let [one] = sets {
            return *one;
        }
        let mut ends = Vec::new();
        for set in sets {
            self.sets.items[*set as usize].for_each(self.ends, |end| ends.push(end));
        }
        ends.sort_unstable();
        ends.dedup();
        self.sets.id(EndSet::new(ends, self.ends))
    }

    fn peer(&mut self, namespace: Option<u32>, peer: &'a PeerMatch) -> u32 {
        let key = match peer {
            PeerMatch::Pods { namespaces: NamespaceScope::Own, pods } => match namespace {
                Some(namespace) => PeerKey::Own(namespace, pods),
                None => return self.sets.id(EndSet::new(Vec::new(), self.ends)),
            },
            PeerMatch::Pods { namespaces: NamespaceScope::Matching(selector), pods } => {
                PeerKey::Matching(selector, pods)
            }
            PeerMatch::IpBlock(block) => {
                PeerKey::Block(self.words.block_ids.get(block).copied().unwrap_or_default())
            }
        };
        if let Some(set) = self.peers.get(&key) {
            return *set;
        }
        let ends = match key {
            PeerKey::Own(namespace, pods) => self.in_namespace(Some(namespace), pods),
            PeerKey::Matching(selector, pods) => self.in_matching(selector, pods),
            PeerKey::Block(block) => self.in_block(block),
        };
        let set = self.sets.id(EndSet::new(ends, self.ends));
        self.peers.insert(key, set);
        set
    }

    /// The classes of one namespace that the selector matches. Selectors ignore pods that count as their node.
    fn in_namespace(&self, namespace: Option<u32>, selector: &Selector) -> Vec<u32> {
        let Some(namespace) = namespace else { return Vec::new() };
        self.select(selector, self.classes.of_namespace[namespace as usize].clone())
    }

    fn select(&self, selector: &Selector, within: std::ops::Range<u32>) -> Vec<u32> {
        let mut found = self.class_labels.select(&self.words.pods, selector, within);
        found.retain(|class| !self.classes.keys[*class as usize].host_network);
        found
    }

    fn in_matching(&mut self, namespaces: &Selector, pods: &'a Selector) -> Vec<u32> {
        let all = 0..index(self.cluster.namespaces.len());
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
            let found: Arc<[u32]> = self.select(pods, 0..index(self.classes.keys.len())).into();
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
        let mut ends: Vec<u32> =
            atoms.iter().flat_map(|a| &self.classes_in[*a as usize]).copied().collect();
        ends.sort_unstable();
        ends.dedup();
        ends.extend(atoms.iter().map(|atom| index(self.classes.keys.len()) + atom));
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
    let mut groups: Interned<Vec<PolicyIx>> = Interned::new();
    let none = groups.id(Vec::new());
    debug_assert_eq!(none, NOT_ISOLATED);
    let group = isolating.into_iter().map(|policies| groups.id(policies)).collect();
    let terms = groups.items.iter().map(|policies| {
        let mut terms: Vec<Term> = policies
            .iter()
            .filter_map(|p| compiled[p.place()].rules[direction as usize].as_ref())
            .flatten()
            .map(|rule| rule.term)
            .collect();
        terms.sort_unstable();
        terms.dedup();
        terms.into()
    });
    let terms = terms.collect();
    Side { group, terms, policies: groups.items.into_iter().map(Into::into).collect() }
}
