//! Everything that is allowed between two parties.

use ringfence_model::{Action, Direction, PortRange, Tier};

use crate::connection::ConnectionSet;
use crate::connections::{ALL, Connections, NONE};
use crate::party::Party;
use crate::policy_set::PolicySet;
use crate::tier::{TierGroup, TierTerm};

impl PolicySet {
    /// Every party: the atoms, then the classes.
    pub fn parties(&self) -> impl Iterator<Item = Party> + use<> {
        let atoms = self.atoms().len();
        (0..self.end_count()).map(move |n| Party::at(n, atoms))
    }

    /// What the policies allow from one party to another, as [`Reach`](crate::Reach) has it.
    ///
    /// # Panics
    /// When a party is of another set.
    pub fn allowed(&self, source: Party, destination: Party) -> ConnectionSet {
        let mut connections = Connections::new();
        let (from, to) = (self.party_index(source), self.party_index(destination));
        let allowed = connections.allowed(self, from, to);
        connections.sets[allowed as usize].clone()
    }

    /// Walks over all parties, with what one party may send to each and what it may receive from each. Cheaper than
    /// [`Reach`](crate::Reach) for a single party, as after an update.
    ///
    /// # Panics
    /// When the party is of another set.
    pub fn walk_party(
        &self,
        party: Party,
        mut visit: impl FnMut(Party, &ConnectionSet, &ConnectionSet),
    ) {
        let mut connections = Connections::new();
        let end = self.party_index(party);
        for other in self.parties() {
            let peer = self.party_index(other);
            let sends = connections.allowed(self, end, peer);
            let receives = connections.allowed(self, peer, end);
            let sets = &connections.sets;
            visit(other, &sets[sends as usize], &sets[receives as usize]);
        }
    }

    /// The ports of a rule on destinations with these named ports.
    pub(crate) fn resolved(&self, ports: u32, named: u32) -> ConnectionSet {
        let test = self.port(ports);
        let known = self.classes.named[named as usize].iter();
        let meant = known.filter(|(name, protocol, _)| test.names.contains(&(*name, *protocol)));
        let by_name = meant.map(|(_, protocol, port)| (*protocol, PortRange::single(*port)));
        test.numbers.union(&by_name.collect())
    }
}

/// What the Admin tier makes of the connections between two ends; what is in neither part is denied.
#[derive(Clone, Copy, Debug)]
struct Split {
    accepted: u32,
    /// What is left to the next tier.
    rest: u32,
}

/// What the tiers make of the connections between two ends, of one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiered {
    admin: Split,
    /// What the Baseline tier lets pass.
    baseline: u32,
}

impl Connections {
    /// What is allowed between two parties; nothing when one of them is not there.
    pub(crate) fn between(
        &mut self,
        set: &PolicySet,
        source: Option<Party>,
        destination: Option<Party>,
    ) -> u32 {
        let (Some(source), Some(destination)) = (source, destination) else { return NONE };
        self.allowed(set, set.party_index(source), set.party_index(destination))
    }

    fn allowed(&mut self, set: &PolicySet, from: u32, to: u32) -> u32 {
        let out = self.passing(set, Direction::Egress, from, to, to);
        if out == NONE {
            return NONE;
        }
        let into = self.passing(set, Direction::Ingress, to, from, to);
        self.intersection(out, into)
    }

    /// What the policies of `subject` let pass between it and `peer`.
    fn passing(
        &mut self,
        set: &PolicySet,
        direction: Direction,
        subject: u32,
        peer: u32,
        to: u32,
    ) -> u32 {
        let named = set.named_signature(to);
        let allowed = set.terms(direction, subject).map(|terms| {
            let mut allowed = NONE;
            for term in terms.iter().filter(|t| set.tables.sets[t.peers as usize].contains(peer)) {
                let ports = self.resolve(set, term.ports, named);
                allowed = self.union(allowed, ports);
            }
            allowed
        });
        match set.tiers.sides[direction as usize].group(subject) {
            Some(group) => {
                let tiered = self.tiered(set, group, peer, named);
                self.behind(tiered, allowed)
            }
            None => allowed.unwrap_or(ALL),
        }
    }

    pub(crate) fn tiered(
        &mut self,
        set: &PolicySet,
        group: &TierGroup,
        peer: u32,
        named: u32,
    ) -> Tiered {
        let admin = self.split(set, group.terms(Tier::Admin), peer, named);
        let baseline = self.split(set, group.terms(Tier::Baseline), peer, named);
        Tiered { admin, baseline: self.union(baseline.accepted, baseline.rest) }
    }

    /// What the rules of a tier make of the connections with a peer.
    fn split(&mut self, set: &PolicySet, terms: &[TierTerm], peer: u32, named: u32) -> Split {
        let mut split = Split { accepted: NONE, rest: NONE };
        let mut open = ALL;
        // What a rule before may have passed on or not.
        let mut doubtful = NONE;
        for rule in terms {
            let is_in = |ends: u32| set.tables.sets[ends as usize].contains(peer);
            let matches = is_in(rule.term.peers);
            let may_pass = rule.action == Action::Pass && is_in(rule.doubtful);
            if open == NONE || !matches && !may_pass {
                continue;
            }
            let ports = self.resolve(set, rule.term.ports, named);
            let hit = self.intersection(open, ports);
            if !matches {
                doubtful = self.union(doubtful, hit);
                continue;
            }
            open = self.difference(open, hit);
            match rule.action {
                Action::Accept => {
                    let sure = self.difference(hit, doubtful);
                    let rest = self.intersection(hit, doubtful);
                    split.accepted = self.union(split.accepted, sure);
                    split.rest = self.union(split.rest, rest);
                }
                Action::Pass => split.rest = self.union(split.rest, hit),
                Action::Deny => {}
            }
        }
        split.rest = self.union(split.rest, open);
        split
    }

    /// What passes: what the Admin tier accepts, and of what it leaves, what `NetworkPolicies` allow where they isolate
    /// and what the Baseline tier lets pass where they do not.
    pub(crate) fn behind(&mut self, tiered: Tiered, allowed: Option<u32>) -> u32 {
        let lower = self.intersection(tiered.admin.rest, allowed.unwrap_or(tiered.baseline));
        self.union(tiered.admin.accepted, lower)
    }
}
