//! Cluster-wide policies: what stands before and behind `NetworkPolicies`.

use foldhash::{HashMap, HashSet};
use ringfence_model::{Action, ClusterPeer, ClusterPolicy, Direction, Name, Protocol, Tier};

use crate::assumption::Assumption;
use crate::compiled::Term;
use crate::connection::{Connection, End};
use crate::decision::{ClusterRuleRef, Judgement};
use crate::index::{ClusterPolicyIx, index};
use crate::policy_set::PolicySet;

/// A rule of a cluster policy as a set of ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TierTerm {
    pub(crate) term: Term,
    /// The set of those that it may match or not, their addresses not being known. Nobody can tell, so what is
    /// allowed is only what passes either way: Deny matches them, Accept does not, and after Pass no Accept of the
    /// tier is final any more.
    pub(crate) doubtful: u32,
    pub(crate) action: Action,
    pub(crate) rule: ClusterRuleRef,
}

/// The cluster policies of a set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tiers {
    pub(crate) policies: Vec<ClusterPolicy>,
    /// Policies that were removed, and only keep their places.
    pub(crate) removed: HashSet<ClusterPolicyIx>,
    /// The ends that each policy applies to, sorted.
    pub(crate) subjects: Vec<Vec<u32>>,
    /// The rules of each policy, by direction.
    pub(crate) terms: Vec<[Vec<TierTerm>; 2]>,
    pub(crate) sides: [TierSide; 2],
}

/// One direction: the rules of each end, in the order in which they count.
#[derive(Clone, Debug, Default)]
pub(crate) struct TierSide {
    /// The group of each end; empty when no cluster policy has a rule in this direction.
    pub(crate) group: Vec<u32>,
    pub(crate) groups: Vec<TierGroup>,
    /// The policies of each group, in the order in which they count.
    pub(crate) members: Vec<Box<[ClusterPolicyIx]>>,
    ids: HashMap<Box<[ClusterPolicyIx]>, u32>,
    /// Groups that no end is in any more, to be used again.
    free: Vec<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct TierGroup {
    pub(crate) admin: Box<[TierTerm]>,
    pub(crate) baseline: Box<[TierTerm]>,
}

impl TierGroup {
    pub(crate) const fn terms(&self, tier: Tier) -> &[TierTerm] {
        match tier {
            Tier::Admin => &self.admin,
            Tier::Baseline => &self.baseline,
        }
    }
}

impl TierSide {
    /// The group of the ends that these policies apply to, in the order in which they count.
    pub(crate) fn group_of(
        &mut self,
        members: Box<[ClusterPolicyIx]>,
        policies: &[ClusterPolicy],
        terms: &[[Vec<TierTerm>; 2]],
        direction: Direction,
    ) -> u32 {
        if let Some(group) = self.ids.get(&members) {
            return *group;
        }
        let of = |tier| {
            let members = members.iter().filter(|ix| policies[ix.place()].tier == tier);
            members.flat_map(|ix| &terms[ix.place()][direction as usize]).copied().collect()
        };
        let found = TierGroup { admin: of(Tier::Admin), baseline: of(Tier::Baseline) };
        let group = self.free.pop().unwrap_or_else(|| {
            self.groups.push(TierGroup::default());
            self.members.push(Box::default());
            index(self.groups.len() - 1)
        });
        self.groups[group as usize] = found;
        self.members[group as usize].clone_from(&members);
        self.ids.insert(members, group);
        group
    }

    /// Forgets the groups of a policy that applies to no end any more.
    pub(crate) fn forget(&mut self, policy: ClusterPolicyIx) {
        let (free, groups, lists) = (&mut self.free, &mut self.groups, &mut self.members);
        self.ids.retain(|members, group| {
            let is_kept = !members.contains(&policy);
            if !is_kept {
                groups[*group as usize] = TierGroup::default();
                lists[*group as usize] = Box::default();
                free.push(*group);
            }
            is_kept
        });
    }

    pub(crate) fn group(&self, end: u32) -> Option<&TierGroup> {
        self.groups.get(*self.group.get(end as usize)? as usize)
    }
}

/// A question to one end of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) direction: Direction,
    pub(crate) subject: u32,
    pub(crate) peer: u32,
    /// The destination, whose named ports count.
    pub(crate) to: u32,
    pub(crate) protocol: Protocol,
    pub(crate) port: ringfence_model::Port,
}

impl PolicySet {
    /// The cluster-wide policies, in the order in which they were given. Removed ones keep their places, without rules.
    pub fn cluster_policies(&self) -> &[ClusterPolicy] {
        &self.tiers.policies
    }

    /// The rule of a tier that decides, if one does: a Pass decides nothing.
    pub(crate) fn tier_verdict(&self, tier: Tier, q: Question) -> Option<(Action, ClusterRuleRef)> {
        let group = self.tiers.sides[q.direction as usize].group(q.subject)?;
        let mut may_have_passed = false;
        for term in group.terms(tier) {
            if self.holds(term.term, q) {
                return match term.action {
                    Action::Deny => Some((Action::Deny, term.rule)),
                    Action::Accept if !may_have_passed => Some((Action::Accept, term.rule)),
                    Action::Accept | Action::Pass => None,
                };
            }
            may_have_passed |= term.action == Action::Pass && self.is_doubtful(term, q);
        }
        None
    }

    /// Whether nobody can tell if the rule matches.
    fn is_doubtful(&self, term: &TierTerm, q: Question) -> bool {
        self.holds(Term { peers: term.doubtful, ..term.term }, q)
    }

    /// What the tier says in the words of a judgement.
    pub(crate) fn tier_judgement(&self, tier: Tier, q: Question) -> Option<Judgement> {
        self.tier_verdict(tier, q).map(|(action, rule)| match action {
            Action::Accept | Action::Pass => Judgement::ClusterAccepted(rule),
            Action::Deny => Judgement::ClusterDenied(rule),
        })
    }

    /// The open points that the cluster policies of one end touch.
    pub(crate) fn tier_assumptions(
        &self,
        direction: Direction,
        subject: End,
        c: &Connection,
        found: &mut Vec<Assumption>,
    ) {
        let end = self.end_index(subject);
        let Some(group) = self.tiers.sides[direction as usize].group(end) else { return };
        let peer = match direction {
            Direction::Ingress => c.source,
            Direction::Egress => c.destination,
        };
        let question = Question {
            direction,
            subject: end,
            peer: self.end_index(peer),
            to: self.end_index(c.destination),
            protocol: c.protocol,
            port: c.port,
        };
        for tier in [Tier::Admin, Tier::Baseline] {
            for term in group.terms(tier) {
                if self.is_doubtful(term, question) {
                    found.push(Assumption::AddressNotKnown);
                }
                if self.holds(term.term, question) {
                    break;
                }
            }
        }
        for term in group.admin.iter().chain(&group.baseline) {
            let policy = &self.tiers.policies[term.rule.policy.place()];
            let Some(rule) = policy.rules(direction).get(term.rule.rule as usize) else { continue };
            for peer in &rule.peers {
                match peer {
                    ClusterPeer::Unknown => found.push(Assumption::UnknownPeerFailsClosed),
                    ClusterPeer::DomainNames(_) if matches!(c.destination, End::Address(_)) => {
                        found.push(Assumption::DomainNamesMatchNothing);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The policies in the order in which their rules count: by priority, then, where the API leaves it open, by name.
pub(crate) fn in_order(policies: &[ClusterPolicy]) -> Vec<ClusterPolicyIx> {
    let mut order: Vec<ClusterPolicyIx> =
        (0..policies.len()).map(|n| ClusterPolicyIx::new(index(n))).collect();
    order.sort_by_key(|ix| rank(policies, *ix));
    order
}

/// The place of a policy among those that count before and after it.
pub(crate) fn rank(
    policies: &[ClusterPolicy],
    ix: ClusterPolicyIx,
) -> (Tier, u16, &Name, ClusterPolicyIx) {
    let policy = &policies[ix.place()];
    (policy.tier, policy.priority, &policy.name, ix)
}
