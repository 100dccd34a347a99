//! From objects to a [`PolicySet`].

use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use ringfence_model::{
    ClusterPeer, ClusterPolicy, Diagnostic, Direction, Name, NetworkPolicy, Selector,
};

use crate::atom::{AddressSpace, Sees};
use crate::class::{Classes, Distinction};
use crate::cluster::Cluster;
use crate::compiled::{CompiledPolicy, Meaning, NOT_ISOLATED, Side};
use crate::index::{ClusterPolicyIx, PolicyIx, index};
use crate::policy_set::PolicySet;
use crate::profile::IpBlockNodes;
use crate::rules::{Finder, Tables, Translator};
use crate::tier::{TierSide, TierTerm, Tiers, in_order};
use crate::vocabulary::LabelIndex;
use crate::words::Words;

pub(crate) fn compile(
    cluster: Arc<Cluster>,
    policies: Vec<NetworkPolicy>,
    cluster_policies: &[ClusterPolicy],
) -> (PolicySet, Vec<Diagnostic>) {
    let mut diagnostics = duplicates(&policies);
    diagnostics.extend(cluster_policies.iter().flat_map(unjudged));
    let words = Words::of(&cluster, &policies, cluster_policies);
    let apart = match cluster.profile.ip_block_nodes {
        IpBlockNodes::Match => &HashSet::default(),
        IpBlockNodes::NeverMatch => &cluster.node_addresses,
    };
    let space = AddressSpace::new(&words.blocks, apart);
    let classes = Distinction { cluster: &cluster, words: &words, space: &space }.classes();
    let ends = classes.list.len() + space.atoms.len();
    let mut tables = Tables::new();
    let finder = Index::new(&cluster, &words, &classes, &space);
    let mut translator =
        Translator { cluster: &cluster, words: &words, ends, tables: &mut tables, finder };
    let compiled: Vec<CompiledPolicy> = policies
        .iter()
        .map(|policy| CompiledPolicy {
            subjects: translator.finder.subjects(policy),
            rules: translator.rules(policy),
        })
        .collect();
    let tiers = tiers(cluster_policies, &mut translator);
    let sides = Direction::BOTH.map(|direction| side(&compiled, direction, ends));
    let removed = HashSet::default();
    let set = PolicySet {
        cluster,
        policies,
        removed,
        tiers,
        words,
        classes,
        space,
        tables,
        compiled,
        sides,
    };
    (set, diagnostics)
}

/// What the engine cannot judge of a cluster-wide policy.
pub(crate) fn unjudged(policy: &ClusterPolicy) -> Vec<Diagnostic> {
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
                .value("policy", policy)
                .value("other", &first.origin)
                .hint("a cluster keeps only one object of a name: leave one out or rename it"),
            );
        }
    }
    diagnostics
}

/// Finds members through the labels of all classes, which are indexed once for all policies.
struct Index<'a> {
    cluster: &'a Cluster,
    words: &'a Words,
    classes: &'a Classes,
    space: &'a AddressSpace,
    namespace_labels: LabelIndex,
    class_labels: LabelIndex,
    /// The classes that have an address in each atom.
    classes_in: Vec<Vec<u32>>,
    /// Pod selectors that apply across namespaces.
    everywhere: HashMap<Selector, Arc<[u32]>>,
    every_class: Vec<u32>,
    every_namespace: Vec<u32>,
}

/// Up to how many selected namespaces are looked into one by one.
const FEW_NAMESPACES: usize = 2;

impl Finder for Index<'_> {
    fn members(&mut self, meaning: &Meaning) -> Vec<u32> {
        match meaning {
            Meaning::Everybody | Meaning::Union(_) => Vec::new(),
            Meaning::Own(namespace, pods) => self.ends_of(self.in_namespace(namespace, pods)),
            Meaning::Matching(namespaces, pods) => {
                let classes = self.in_matching(namespaces, pods);
                self.ends_of(classes)
            }
            Meaning::Cluster(pods) => {
                let mut found = self.in_matching(&pods.namespaces, &pods.pods);
                found.retain(|class| !self.classes.keys[*class as usize].host_network);
                self.ends_of(found)
            }
            Meaning::Block(block) => self.in_block(*block),
            Meaning::Unplaced(place, likelihood) => {
                let is_so =
                    [false, true].map(|host| self.cluster.likelihood(place, host) == *likelihood);
                let keys = (0u32..).zip(&self.classes.keys);
                let found =
                    keys.filter(|(_, key)| key.unplaced && is_so[usize::from(key.host_network)]);
                self.ends_of(found.map(|(class, _)| class).collect())
            }
        }
    }
}

impl<'a> Index<'a> {
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
            everywhere: HashMap::default(),
            every_class: (0..index(classes.list.len())).collect(),
            every_namespace: (0..index(cluster.namespaces.len())).collect(),
        }
    }

    /// The ends that a policy selects, sorted.
    fn subjects(&self, policy: &NetworkPolicy) -> Vec<u32> {
        self.ends_of(self.in_namespace(&policy.namespace, &policy.pod_selector))
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
    fn in_namespace(&self, namespace: &Name, selector: &Selector) -> Vec<u32> {
        let known = self.cluster.namespace_ids.get(namespace);
        known.map_or_else(Vec::new, |namespace| self.in_known(*namespace, selector))
    }

    fn in_known(&self, namespace: u32, selector: &Selector) -> Vec<u32> {
        self.select(selector, &self.classes.of_namespace[namespace as usize])
    }

    fn select(&self, selector: &Selector, within: &[u32]) -> Vec<u32> {
        let mut found = self.class_labels.select(&self.words.pods, selector, within);
        found.retain(|class| !self.classes.keys[*class as usize].is_node);
        found
    }

    fn in_matching(&mut self, namespaces: &Selector, pods: &Selector) -> Vec<u32> {
        let all = &self.every_namespace;
        let matching = self.namespace_labels.select(&self.words.namespaces, namespaces, all);
        if matching.len() <= FEW_NAMESPACES {
            let ranges = matching.iter().flat_map(|n| self.in_known(*n, pods));
            let mut found: Vec<u32> = ranges.collect();
            found.sort_unstable();
            return found;
        }
        let everywhere = if let Some(found) = self.everywhere.get(pods) {
            Arc::clone(found)
        } else {
            let found: Arc<[u32]> = self.select(pods, &self.every_class).into();
            self.everywhere.insert(pods.clone(), Arc::clone(&found));
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
}

fn tiers(policies: &[ClusterPolicy], translator: &mut Translator<'_, Index<'_>>) -> Tiers {
    let subjects: Vec<Vec<u32>> = policies
        .iter()
        .map(|policy| translator.finder.members(&Meaning::Cluster(policy.subject.clone())))
        .collect();
    let terms: Vec<[Vec<TierTerm>; 2]> = (0u32..)
        .zip(policies)
        .map(|(n, policy)| translator.tier_terms(ClusterPolicyIx::new(n), policy))
        .collect();
    let order = in_order(policies);
    let sides = Direction::BOTH.map(|direction| {
        let mut side = TierSide::default();
        if policies.iter().all(|policy| policy.rules(direction).is_empty()) {
            return side;
        }
        let mut of_end: Vec<Vec<ClusterPolicyIx>> = vec![Vec::new(); translator.ends];
        let ruling = order.iter().filter(|ix| !policies[ix.place()].rules(direction).is_empty());
        for &ix in ruling {
            for subject in &subjects[ix.place()] {
                of_end[*subject as usize].push(ix);
            }
        }
        for members in of_end {
            let group = side.group_of(members.into(), policies, &terms, direction);
            side.group.push(group);
        }
        side
    });
    Tiers { policies: policies.to_vec(), removed: HashSet::default(), subjects, terms, sides }
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
    let none = side.group_of(Box::default(), compiled, direction);
    debug_assert_eq!(none, NOT_ISOLATED);
    for policies in isolating {
        let group = side.group_of(policies.into(), compiled, direction);
        side.group.push(group);
    }
    side
}
