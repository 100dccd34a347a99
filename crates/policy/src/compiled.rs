//! Policies as the engine keeps them: sets of ends, and tests of ports.

use foldhash::HashMap;
use ringfence_model::{ClusterPods, Direction, Name, Protocol, Selector};

use crate::connection::ConnectionSet;
use crate::index::{PolicyIx, index};
use crate::placement::{Likelihood, Place};

/// The `ports` of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PortTest {
    /// Every port given by number.
    pub(crate) numbers: ConnectionSet,
    /// Ports given by name, as (name, protocol).
    pub(crate) names: Box<[(u32, Protocol)]>,
}

/// A policy as sets of ends. The lists are those of the policy, in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct CompiledPolicy {
    /// The ends it selects, sorted.
    pub(crate) subjects: Vec<u32>,
    /// By direction; `None` where it does not isolate.
    pub(crate) rules: [Option<Vec<CompiledRule>>; 2],
}

/// A rule as sets of ends.
#[derive(Clone, Debug)]
pub(crate) struct CompiledRule {
    /// The set of each entry of `from` or `to`; empty when the list is.
    pub(crate) peers: Vec<u32>,
    /// Their union, and the ports.
    pub(crate) term: Term,
}

/// What a set of ends stands for, so that equal ones are kept once and a class that comes later can be judged too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Meaning {
    Everybody,
    /// Pods of one namespace, by name: it may become known later.
    Own(Name, Selector),
    /// Pods of the namespaces with these labels.
    Matching(Selector, Selector),
    /// Pods as a cluster-wide policy means them.
    Cluster(ClusterPods),
    /// A block of addresses.
    Block(u32),
    /// Pods whose addresses are not known, which are in a place as likely as this.
    Unplaced(Place, Likelihood),
    /// The members of any of these sets.
    Union(Box<[u32]>),
}

/// Allows a set of ends over some ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Term {
    pub(crate) peers: u32,
    pub(crate) ports: u32,
}

/// One direction: which terms hold for each end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Side {
    /// The group of each end. Ends of group 0 are not isolated.
    pub(crate) group: Vec<u32>,
    /// The policies that isolate each group, sorted.
    pub(crate) policies: Vec<Box<[PolicyIx]>>,
    /// The distinct terms of each group.
    pub(crate) terms: Vec<Box<[Term]>>,
    ids: HashMap<Box<[PolicyIx]>, u32>,
    /// Groups that no end is in any more, to be used again.
    free: Vec<u32>,
}

impl Side {
    /// The group of the ends that these policies isolate.
    pub(crate) fn group_of(
        &mut self,
        isolating: Box<[PolicyIx]>,
        compiled: &[CompiledPolicy],
        direction: Direction,
    ) -> u32 {
        if let Some(group) = self.ids.get(&isolating) {
            return *group;
        }
        let rules =
            isolating.iter().filter_map(|p| compiled[p.place()].rules[direction as usize].as_ref());
        let mut terms: Vec<Term> = rules.flatten().map(|rule| rule.term).collect();
        terms.sort_unstable();
        terms.dedup();
        let group = self.free.pop().unwrap_or_else(|| {
            self.policies.push(Box::default());
            self.terms.push(Box::default());
            index(self.policies.len() - 1)
        });
        self.policies[group as usize].clone_from(&isolating);
        self.terms[group as usize] = terms.into();
        self.ids.insert(isolating, group);
        group
    }

    /// Forgets the groups of a policy that isolates no end any more.
    pub(crate) fn forget(&mut self, policy: PolicyIx) {
        let (free, terms, policies) = (&mut self.free, &mut self.terms, &mut self.policies);
        self.ids.retain(|isolating, group| {
            let is_kept = isolating.binary_search(&policy).is_err();
            if !is_kept {
                terms[*group as usize] = Box::default();
                policies[*group as usize] = Box::default();
                free.push(*group);
            }
            is_kept
        });
    }
}

/// The group of ends that no policy isolates.
pub(crate) const NOT_ISOLATED: u32 = 0;
