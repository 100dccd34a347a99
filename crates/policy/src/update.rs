//! Changes of the cluster, judged without starting over.

mod distinctions;
mod policies;

use std::sync::Arc;

use ringfence_model::object::{Namespace, Pod};
use ringfence_model::{Diagnostic, Direction, Labels};

use crate::class::Distinction;
use crate::cluster::{Cluster, PodEntry};
use crate::compiled::Meaning;
use crate::index::{ClassIx, ClusterPolicyIx, PodIx, PolicyIx, index};
use crate::party::Party;
use crate::policy_set::PolicySet;
use crate::rules::Tables;
use crate::scan::Scan;
use crate::tier::in_order;

/// What a change of the cluster touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// The parties whose pods or addresses, or whose verdicts with others, may have changed, sorted where policies
    /// changed. All verdicts between other parties are what they were.
    pub parties: Vec<Party>,
    /// What of a policy cannot be judged.
    pub diagnostics: Vec<Diagnostic>,
}

impl Touched {
    fn new(parties: Vec<Party>) -> Self {
        Self { parties, diagnostics: Vec::new() }
    }
}

/// Updates in place. Clones of a set share the cluster until one is updated.
///
/// What an update leaves behind stays until policies are [compiled again](PolicySet::with_policies): classes without
/// pods, and distinctions that only policies made which are gone.
impl PolicySet {
    /// Adds a pod. Its namespace is known by name only when it was not given before.
    pub fn add_pod(&mut self, pod: &Pod) -> (PodIx, Touched) {
        let cluster = Arc::make_mut(&mut self.cluster);
        let ix = PodIx::new(index(cluster.pods.len()));
        let namespace = cluster.namespace(&pod.reference.namespace);
        let known = self.classes.of_namespace.len().max(namespace as usize + 1);
        self.classes.of_namespace.resize(known, Vec::new());
        let entry = cluster.entry(pod);
        cluster.take_addresses(ix, &entry);
        cluster.pods.push(entry);
        self.classes.of_pod.push(0);
        (ix, Touched::new(vec![self.classify(ix)]))
    }

    /// Removes a pod. Its index must not be used any more.
    ///
    /// # Panics
    /// When the pod is of another set.
    pub fn remove_pod(&mut self, pod: PodIx) -> Touched {
        let cluster = Arc::make_mut(&mut self.cluster);
        let entry = &mut cluster.pods[pod.place()];
        if entry.removed {
            return Touched::default();
        }
        entry.removed = true;
        cluster.leave_addresses(pod);
        let class = self.classes.take(pod);
        Touched::new(vec![Party::Pods(ClassIx::new(class))])
    }

    /// Gives a pod other labels.
    ///
    /// # Panics
    /// When the pod is of another set.
    pub fn relabel_pod(&mut self, pod: PodIx, labels: Labels) -> Touched {
        Arc::make_mut(&mut self.cluster).pods[pod.place()].labels = labels;
        let before = Party::Pods(ClassIx::new(self.classes.take(pod)));
        let after = self.classify(pod);
        let mut parties = vec![before, after];
        parties.dedup();
        Touched::new(parties)
    }

    /// Gives a namespace other labels, or makes a new one known.
    pub fn relabel_namespace(&mut self, namespace: &Namespace) -> Touched {
        let cluster = Arc::make_mut(&mut self.cluster);
        let ix = cluster.namespace(&namespace.name) as usize;
        cluster.namespaces[ix].labels = namespace.labels.clone();
        let known = self.classes.of_namespace.len().max(ix + 1);
        self.classes.of_namespace.resize(known, Vec::new());
        let classes = self.classes.of_namespace[ix].clone();
        for class in &classes {
            self.judge_class(*class);
        }
        let parties = classes.into_iter().map(|class| Party::Pods(ClassIx::new(class)));
        Touched::new(parties.collect())
    }

    /// Puts a pod into its class, which is judged when it had none: it is new, or nobody kept it up to date.
    fn classify(&mut self, pod: PodIx) -> Party {
        let cluster = Arc::clone(&self.cluster);
        let entry = &cluster.pods[pod.place()];
        let distinction = Distinction { cluster: &cluster, words: &self.words, space: &self.space };
        let key = distinction.key(entry, &mut self.classes);
        let namespace = &cluster.namespaces[entry.namespace as usize].name;
        let (class, was_empty) = self.classes.put(pod, key, namespace);
        drop(cluster);
        if was_empty {
            self.judge_class(class);
        }
        Party::Pods(ClassIx::new(class))
    }

    /// Decides anew which sets a class is in and which policies apply to it.
    fn judge_class(&mut self, class: u32) {
        let end = self.class_end(class);
        let Some(&pod) = self.classes.list[class as usize].pods().first() else { return };
        let cluster = Arc::clone(&self.cluster);
        let pod = &cluster.pods[pod.place()];
        let (words, classes, space) = (&self.words, &self.classes, &self.space);
        let scan = Scan { cluster: &cluster, words, classes, space };
        let Tables { sets, meanings, ports: _ } = &mut self.tables;
        for (n, meaning) in meanings.items().iter().enumerate() {
            let member = match meaning {
                // Unions come after the sets that they are made of.
                Meaning::Union(parts) => {
                    parts.iter().any(|part| sets[*part as usize].contains(end))
                }
                _ => scan.is_member(meaning, class, pod),
            };
            sets[n].set(end, member);
        }
        let selected = self.select_policies(&cluster, pod, end);
        for direction in Direction::BOTH {
            let isolating = selected
                .iter()
                .copied()
                .filter(|p| self.compiled[p.place()].rules[direction as usize].is_some())
                .collect();
            let side = &mut self.sides[direction as usize];
            let group = side.group_of(isolating, &self.compiled, direction);
            put(&mut side.group, end, group);
        }
        let ruling = self.select_cluster_policies(&cluster, pod, end);
        for direction in Direction::BOTH {
            let tiers = &mut self.tiers;
            let side = &mut tiers.sides[direction as usize];
            if side.group.is_empty() {
                continue;
            }
            let rules =
                |p: &ClusterPolicyIx| !tiers.policies[p.place()].rules(direction).is_empty();
            let members = ruling.iter().copied().filter(rules).collect();
            let group = side.group_of(members, &tiers.policies, &tiers.terms, direction);
            put(&mut side.group, end, group);
        }
    }

    /// The `NetworkPolicies` that select the pods of a class; their lists of subjects follow.
    fn select_policies(&mut self, cluster: &Cluster, pod: &PodEntry, end: u32) -> Vec<PolicyIx> {
        let namespace = &cluster.namespaces[pod.namespace as usize].name;
        let mut selected = Vec::new();
        for (n, policy) in self.policies.iter().enumerate() {
            if policy.namespace != *namespace {
                continue;
            }
            let selects = !cluster.counts_as_node(pod) && policy.pod_selector.matches(&pod.labels);
            set_member(&mut self.compiled[n].subjects, end, selects);
            if selects {
                selected.push(PolicyIx::new(index(n)));
            }
        }
        selected
    }

    /// The cluster-wide policies that select the pods of a class, in the order in which they count.
    fn select_cluster_policies(
        &mut self,
        cluster: &Cluster,
        pod: &PodEntry,
        end: u32,
    ) -> Vec<ClusterPolicyIx> {
        let mut selected = in_order(&self.tiers.policies);
        selected.retain(|ix| {
            let selects = cluster.selects(&self.tiers.policies[ix.place()].subject, pod);
            set_member(&mut self.tiers.subjects[ix.place()], end, selects);
            selects
        });
        selected
    }
}

/// Sets the group of an end that may be new.
fn put(groups: &mut Vec<u32>, end: u32, group: u32) {
    let end = end as usize;
    groups.resize(groups.len().max(end + 1), 0);
    groups[end] = group;
}

fn set_member(sorted: &mut Vec<u32>, end: u32, member: bool) {
    match (sorted.binary_search(&end), member) {
        (Err(place), true) => sorted.insert(place, end),
        (Ok(place), false) => {
            sorted.remove(place);
        }
        (Ok(_), true) | (Err(_), false) => {}
    }
}
