//! From objects to a [`PolicySet`].

use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use ringfence_model::{
    Action, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPort, ClusterPorts, ClusterRule,
    Diagnostic, Direction, Name, NamespaceScope, NetworkPolicy, PeerMatch, Peers, PortRange,
    PortTarget, Ports, Protocol, Selector, Tier,
};

use crate::atom::{AddressSpace, Block, Sees};
use crate::class::{Classes, Distinction};
use crate::cluster::Cluster;
use crate::connection::ConnectionSet;
use crate::decision::ClusterRuleRef;
use crate::end_set::EndSet;
use crate::index::{ClusterPolicyIx, PolicyIx, index};
use crate::policy_set::{
    CompiledPolicy, CompiledRule, NOT_ISOLATED, PolicySet, PortTest, Side, Term,
};
use crate::profile::{EndPort, IpBlockNodes};
use crate::tier::{TierGroup, TierSide, TierTerm, Tiers, in_order};
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
    let classes = Distinction {
        cluster: &cluster,
        vocabulary: &words.pods,
        port_names: &words.port_names,
        blocks: &words.blocks,
        space: &space,
    }
    .classes();
    let mut compiler = Compiler::new(&cluster, &words, &classes, &space);
    let judged: Vec<CompiledPolicy> = policies.iter().map(|p| compiler.policy(p)).collect();
    let (subjects, tier_sides) = compiler.tiers(&cluster_policies);
    let ends = compiler.ends;
    let sides = Direction::BOTH.map(|direction| side(&judged, direction, ends));
    let (sets, ports) = (compiler.sets.items, compiler.ports.items);
    let tiers = Tiers { policies: cluster_policies, subjects, sides: tier_sides };
    let set = PolicySet {
        cluster,
        policies,
        tiers,
        classes,
        space,
        sets,
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
    Own(u32, &'a Selector),
    Matching(&'a Selector, &'a Selector),
    Cluster(&'a ClusterPods),
    Block(u32),
}

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
                let block = Block { block: block.clone(), sees: Sees::ByProfile };
                PeerKey::Block(self.words.block_id(&block).unwrap_or_default())
            }
        };
        self.peer_set(key)
    }

    fn peer_set(&mut self, key: PeerKey<'a>) -> u32 {
        if let Some(set) = self.peers.get(&key) {
            return *set;
        }
        let ends = match &key {
            PeerKey::Own(namespace, pods) => self.in_namespace(Some(*namespace), pods),
            PeerKey::Matching(selector, pods) => self.in_matching(selector, pods),
            PeerKey::Cluster(pods) => self.cluster_pods(pods),
            PeerKey::Block(block) => self.in_block(*block),
        };
        let set = self.sets.id(EndSet::new(ends, self.ends));
        self.peers.insert(key, set);
        set
    }

    /// The classes that a cluster-wide policy selects.
    fn cluster_pods(&mut self, pods: &'a ClusterPods) -> Vec<u32> {
        let mut found = self.in_matching(&pods.namespaces, &pods.pods);
        found.retain(|class| !self.classes.keys[*class as usize].host_network);
        found
    }

    /// The classes of one namespace that the selector matches. Selectors ignore pods that count as their node.
    fn in_namespace(&self, namespace: Option<u32>, selector: &Selector) -> Vec<u32> {
        let Some(namespace) = namespace else { return Vec::new() };
        self.select(selector, self.classes.of_namespace[namespace as usize].clone())
    }

    fn select(&self, selector: &Selector, within: std::ops::Range<u32>) -> Vec<u32> {
        let mut found = self.class_labels.select(&self.words.pods, selector, within);
        found.retain(|class| !self.classes.keys[*class as usize].is_node);
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
        let sees = self.words.blocks[block as usize].sees;
        let is_seen = |class: &u32| {
            let is_node = self.classes.keys[*class as usize].is_node;
            sees == Sees::Everyone || self.cluster.profile.block_sees(is_node)
        };
        let classes = atoms.iter().flat_map(|a| &self.classes_in[*a as usize]).copied();
        let mut ends: Vec<u32> = classes.filter(is_seen).collect();
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

    fn tiers(&mut self, policies: &'a [ClusterPolicy]) -> (Vec<Vec<u32>>, [TierSide; 2]) {
        let order = in_order(policies);
        let subjects: Vec<Vec<u32>> =
            policies.iter().map(|policy| self.cluster_pods(&policy.subject)).collect();
        let sides = Direction::BOTH.map(|direction| {
            let mut of_end: Vec<Vec<ClusterPolicyIx>> = vec![Vec::new(); self.ends];
            let ruling =
                order.iter().filter(|ix| !policies[ix.place()].rules(direction).is_empty());
            for &ix in ruling {
                for subject in &subjects[ix.place()] {
                    of_end[*subject as usize].push(ix);
                }
            }
            if of_end.iter().all(Vec::is_empty) {
                return TierSide::default();
            }
            let mut groups: Interned<Vec<ClusterPolicyIx>> = Interned::new();
            let group = of_end.into_iter().map(|policies| groups.id(policies)).collect();
            let groups = groups.items.iter().map(|members| TierGroup {
                admin: self.tier_terms(policies, members, Tier::Admin, direction),
                baseline: self.tier_terms(policies, members, Tier::Baseline, direction),
            });
            TierSide { group, groups: groups.collect() }
        });
        (subjects, sides)
    }

    fn tier_terms(
        &mut self,
        policies: &'a [ClusterPolicy],
        members: &[ClusterPolicyIx],
        tier: Tier,
        direction: Direction,
    ) -> Box<[TierTerm]> {
        let mut terms = Vec::new();
        for &policy in members.iter().filter(|ix| policies[ix.place()].tier == tier) {
            for (n, rule) in policies[policy.place()].rules(direction).iter().enumerate() {
                let rule_ref = ClusterRuleRef { policy, direction, rule: index(n) };
                terms.push(self.tier_term(rule, rule_ref));
            }
        }
        terms.into()
    }

    fn tier_term(&mut self, rule: &'a ClusterRule, rule_ref: ClusterRuleRef) -> TierTerm {
        let fails_closed = rule.peers.contains(&ClusterPeer::Unknown);
        let (peers, ports, action) = match (fails_closed, rule.action) {
            (false, action) => {
                let sets: Vec<u32> = rule.peers.iter().flat_map(|p| self.cluster_peer(p)).collect();
                (self.union(&sets), self.cluster_port_test(&rule.ports), action)
            }
            (true, Action::Accept) => {
                (self.union(&[]), self.cluster_port_test(&rule.ports), Action::Accept)
            }
            (true, Action::Deny | Action::Pass) => {
                let ports = self.cluster_port_test(&ClusterPorts::Any);
                (self.sets.id(EndSet::All), ports, Action::Deny)
            }
        };
        TierTerm { peers, ports, action, rule: rule_ref }
    }

    fn cluster_peer(&mut self, peer: &'a ClusterPeer) -> Vec<u32> {
        let blocks: Vec<Block> = match peer {
            ClusterPeer::Pods(pods) => return vec![self.peer_set(PeerKey::Cluster(pods))],
            ClusterPeer::Nodes(nodes) => node_blocks(self.cluster, nodes).collect(),
            ClusterPeer::Networks(cidrs) => cidrs.iter().map(network_block).collect(),
            ClusterPeer::DomainNames(_) | ClusterPeer::Unknown => Vec::new(),
        };
        let ids: Vec<u32> = blocks.iter().filter_map(|b| self.words.block_id(b)).collect();
        ids.into_iter().map(|id| self.peer_set(PeerKey::Block(id))).collect()
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
