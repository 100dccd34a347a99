//! Policies that come, change and go.

use std::sync::Arc;

use foldhash::HashMap;
use ringfence_model::{ClusterPolicy, Direction, NetworkPolicy};

use super::Touched;
use crate::compile::unjudged;
use crate::compiled::{CompiledPolicy, Meaning};
use crate::index::{ClusterPolicyIx, PolicyIx, index};
use crate::party::Party;
use crate::policy_set::PolicySet;
use crate::rules::{Finder, Translator};
use crate::scan::Scan;
use crate::tier::{Tiers, rank};

/// Cost follows the classes that a policy selects, and the distinct sets and classes of the whole.
impl PolicySet {
    /// Adds a policy. One of the same name is not replaced: both count, as in [`PolicySet::compile`].
    pub fn add_policy(&mut self, policy: NetworkPolicy) -> (PolicyIx, Touched) {
        let ix = PolicyIx::new(index(self.policies.len()));
        let parties = self.learn(&policy);
        self.policies.push(policy);
        self.compiled.push(CompiledPolicy::default());
        let subjects = self.enter(ix);
        (ix, self.touched(parties, subjects))
    }

    /// Puts a policy in the place of another, whatever its name.
    ///
    /// # Panics
    /// When the policy is of another set.
    pub fn replace_policy(&mut self, ix: PolicyIx, policy: NetworkPolicy) -> Touched {
        let parties = self.learn(&policy);
        let mut subjects = self.leave(ix);
        self.policies[ix.place()] = policy;
        self.removed.remove(&ix);
        subjects.extend(self.enter(ix));
        self.touched(parties, subjects)
    }

    /// Removes a policy. It stays in its place without rules and isolates nothing; the place is not used again.
    ///
    /// # Panics
    /// When the policy is of another set.
    pub fn remove_policy(&mut self, ix: PolicyIx) -> Touched {
        let subjects = self.leave(ix);
        let policy = &mut self.policies[ix.place()];
        (policy.ingress, policy.egress) = (None, None);
        self.removed.insert(ix);
        self.touched(Vec::new(), subjects)
    }

    /// Makes what a policy tells apart distinct. Returns the parties that were split.
    fn learn(&mut self, policy: &NetworkPolicy) -> Vec<Party> {
        self.words.learn_policy(policy);
        self.distinguish()
    }

    /// Translates a policy and has it isolate what it selects. Returns that.
    fn enter(&mut self, ix: PolicyIx) -> Vec<u32> {
        let cluster = Arc::clone(&self.cluster);
        let policy = &self.policies[ix.place()];
        let ends = self.end_count();
        let (words, classes, space) = (&self.words, &self.classes, &self.space);
        let finder = Scan { cluster: &cluster, words, classes, space };
        let tables = &mut self.tables;
        let mut translator = Translator { cluster: &cluster, words, ends, tables, finder };
        let selected = Meaning::Own(policy.namespace.clone(), policy.pod_selector.clone());
        let subjects = translator.finder.members(&selected);
        let rules = translator.rules(policy);
        self.compiled[ix.place()] = CompiledPolicy { subjects: subjects.clone(), rules };
        self.isolate(ix, &subjects, true);
        subjects
    }

    /// Has a policy isolate nothing. Returns what it selected.
    fn leave(&mut self, ix: PolicyIx) -> Vec<u32> {
        let subjects = std::mem::take(&mut self.compiled[ix.place()].subjects);
        self.isolate(ix, &subjects, false);
        for side in &mut self.sides {
            side.forget(ix);
        }
        self.compiled[ix.place()] = CompiledPolicy::default();
        subjects
    }

    /// Adds a policy to those that isolate its subjects, or takes it away from them.
    fn isolate(&mut self, ix: PolicyIx, subjects: &[u32], isolates: bool) {
        for direction in Direction::BOTH {
            if self.compiled[ix.place()].rules[direction as usize].is_none() {
                continue;
            }
            let side = &mut self.sides[direction as usize];
            let mut moved: HashMap<u32, u32> = HashMap::default();
            for &subject in subjects {
                let from = side.group[subject as usize];
                let to = *moved.entry(from).or_insert_with(|| {
                    let mut policies = side.policies[from as usize].to_vec();
                    policies.retain(|other| *other != ix);
                    if isolates {
                        policies.insert(policies.partition_point(|other| *other < ix), ix);
                    }
                    side.group_of(policies.into(), &self.compiled, direction)
                });
                side.group[subject as usize] = to;
            }
        }
    }

    /// The parties that were split, and the ends whose verdicts may have changed.
    fn touched(&self, mut parties: Vec<Party>, ends: Vec<u32>) -> Touched {
        let atoms = self.space.atoms.len();
        parties.extend(ends.into_iter().map(|end| Party::at(end as usize, atoms)));
        parties.sort_unstable();
        parties.dedup();
        Touched::new(parties)
    }
}

/// The same for cluster-wide policies.
impl PolicySet {
    /// Adds a cluster-wide policy. One of the same name is not replaced.
    pub fn add_cluster_policy(&mut self, policy: ClusterPolicy) -> (ClusterPolicyIx, Touched) {
        let ix = ClusterPolicyIx::new(index(self.tiers.policies.len()));
        let parties = self.learn_cluster(&policy);
        self.tiers.policies.push(policy);
        self.tiers.subjects.push(Vec::new());
        self.tiers.terms.push([Vec::new(), Vec::new()]);
        let subjects = self.enter_tier(ix);
        let diagnostics = unjudged(&self.tiers.policies[ix.place()]);
        (ix, Touched { diagnostics, ..self.touched(parties, subjects) })
    }

    /// Puts a cluster-wide policy in the place of another, whatever its name.
    ///
    /// # Panics
    /// When the policy is of another set.
    pub fn replace_cluster_policy(
        &mut self,
        ix: ClusterPolicyIx,
        policy: ClusterPolicy,
    ) -> Touched {
        let parties = self.learn_cluster(&policy);
        let mut subjects = self.leave_tier(ix);
        let diagnostics = unjudged(&policy);
        self.tiers.policies[ix.place()] = policy;
        self.tiers.removed.remove(&ix);
        subjects.extend(self.enter_tier(ix));
        Touched { diagnostics, ..self.touched(parties, subjects) }
    }

    /// Removes a cluster-wide policy. It stays in its place without rules; the place is not used again.
    ///
    /// # Panics
    /// When the policy is of another set.
    pub fn remove_cluster_policy(&mut self, ix: ClusterPolicyIx) -> Touched {
        let subjects = self.leave_tier(ix);
        let policy = &mut self.tiers.policies[ix.place()];
        policy.ingress.clear();
        policy.egress.clear();
        self.tiers.removed.insert(ix);
        self.touched(Vec::new(), subjects)
    }

    fn learn_cluster(&mut self, policy: &ClusterPolicy) -> Vec<Party> {
        self.words.learn_cluster_policy(&self.cluster, policy);
        self.distinguish()
    }

    /// Translates a cluster-wide policy and applies it to what it selects. Returns that.
    fn enter_tier(&mut self, ix: ClusterPolicyIx) -> Vec<u32> {
        let cluster = Arc::clone(&self.cluster);
        let policy = &self.tiers.policies[ix.place()];
        let ends = self.end_count();
        let (words, classes, space) = (&self.words, &self.classes, &self.space);
        let finder = Scan { cluster: &cluster, words, classes, space };
        let tables = &mut self.tables;
        let mut translator = Translator { cluster: &cluster, words, ends, tables, finder };
        let subjects = translator.finder.members(&Meaning::Cluster(policy.subject.clone()));
        self.tiers.terms[ix.place()] = translator.tier_terms(ix, policy);
        self.tiers.subjects[ix.place()].clone_from(&subjects);
        self.govern(ix, &subjects, true);
        subjects
    }

    /// Applies a cluster-wide policy to nothing. Returns what it applied to.
    fn leave_tier(&mut self, ix: ClusterPolicyIx) -> Vec<u32> {
        let subjects = std::mem::take(&mut self.tiers.subjects[ix.place()]);
        self.govern(ix, &subjects, false);
        for side in &mut self.tiers.sides {
            side.forget(ix);
        }
        self.tiers.terms[ix.place()] = [Vec::new(), Vec::new()];
        subjects
    }

    /// Adds a cluster-wide policy to those that apply to its subjects, or takes it away from them.
    fn govern(&mut self, ix: ClusterPolicyIx, subjects: &[u32], applies: bool) {
        let ends = self.end_count();
        for direction in Direction::BOTH {
            let Tiers { policies, terms, sides, .. } = &mut self.tiers;
            if policies[ix.place()].rules(direction).is_empty() {
                continue;
            }
            let side = &mut sides[direction as usize];
            if side.group.is_empty() {
                let none = side.group_of(Box::default(), policies, terms, direction);
                side.group = vec![none; ends];
            }
            let mut moved: HashMap<u32, u32> = HashMap::default();
            for &subject in subjects {
                let from = side.group[subject as usize];
                let to = *moved.entry(from).or_insert_with(|| {
                    let mut members = side.members[from as usize].to_vec();
                    members.retain(|other| *other != ix);
                    if applies {
                        let mine = rank(policies, ix);
                        let at = members.partition_point(|other| rank(policies, *other) < mine);
                        members.insert(at, ix);
                    }
                    side.group_of(members.into(), policies, terms, direction)
                });
                side.group[subject as usize] = to;
            }
        }
    }
}
