//! Who can reach whom over what: all pairs at once.

use foldhash::HashMap;
use ringfence_model::{Action, Direction, PortRange, Tier};

use crate::connection::ConnectionSet;
use crate::connections::{ALL, Connections, NONE};
use crate::index::{AtomIx, ClassIx, index};
use crate::party::Party;
use crate::policy_set::{NOT_ISOLATED, PolicySet};
use crate::tier::{TierGroup, TierTerm};

/// All-pairs reachability over the parties of a [`PolicySet`].
///
/// It speaks of policies only. What is allowed whatever the policies say is left out: a pod's connections to itself
/// (unless the profile has them judged), and those from a node to the pods that it runs. Between two parties of
/// addresses everything is allowed, since policies apply to neither.
#[derive(Debug)]
pub struct Reach<'a> {
    set: &'a PolicySet,
    /// The receiver of each party.
    receiver: Vec<u32>,
    receivers: Vec<Receiver>,
    /// For each set of ends: the receivers that take something from its members.
    takers: Vec<Vec<(u32, u32)>>,
    /// The sets that each party is in, of those with takers.
    memberships: Vec<Vec<u32>>,
    /// Groups of cluster-wide ingress rules, with the named ports of the destination.
    tier_receivers: Vec<(u32, u32)>,
    /// The group of cluster-wide egress rules that was asked for last, and what it makes of every destination.
    tier_row: (Option<u32>, Vec<Tiered>),
    connections: Connections,
}

/// All destinations that one ingress rule treats alike.
#[derive(Clone, Copy, Debug)]
struct Receiver {
    isolated: bool,
    /// What it takes from everybody.
    from_all: u32,
    /// Its place in the tier receivers.
    tier: Option<u32>,
}

/// What the tiers make of the connections between two ends, of one direction.
#[derive(Clone, Copy, Debug)]
struct Tiered {
    admin: Split<u32>,
    /// What the Baseline tier lets pass.
    baseline: u32,
}

/// What a tier makes of the connections between two ends; what is in neither part is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Split<T> {
    accepted: T,
    /// What is left to the next tier.
    rest: T,
}

/// Room for one row, used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// What reaches each end.
    pub(crate) cells: Vec<u32>,
    /// What each receiver takes.
    takes: Vec<u32>,
    /// What the tiers make of the row for each tier receiver.
    tiered: Vec<Tiered>,
}

/// What one party can reach.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    source: Party,
    atoms: usize,
    cells: &'a [u32],
    connections: &'a [ConnectionSet],
}

impl<'a> Row<'a> {
    /// Who opens the connections.
    pub const fn source(&self) -> Party {
        self.source
    }

    /// Everybody it can reach over at least one port: addresses first, then pods.
    pub fn iter(&self) -> impl Iterator<Item = (Party, &'a ConnectionSet)> + use<'a> {
        let (atoms, connections) = (self.atoms, self.connections);
        let open = self.cells.iter().enumerate().filter(|(_, cell)| **cell != NONE);
        open.map(move |(n, cell)| (party(n, atoms), &connections[*cell as usize]))
    }

    /// What it can reach of the pods of every class, as positions in [`Row::connections`], in the order of the
    /// classes. Equal sets have equal positions, in all rows of one walk.
    pub fn pods(&self) -> &'a [u32] {
        &self.cells[self.atoms..]
    }

    /// What it can reach of the addresses of every atom, like [`Row::pods`].
    pub fn addresses(&self) -> &'a [u32] {
        &self.cells[..self.atoms]
    }

    /// The distinct sets found so far. The first is empty, the second holds everything.
    pub const fn connections(&self) -> &'a [ConnectionSet] {
        self.connections
    }
}

fn party(n: usize, atoms: usize) -> Party {
    match n.checked_sub(atoms) {
        None => Party::Addresses(AtomIx::new(index(n))),
        Some(class) => Party::Pods(ClassIx::new(index(class))),
    }
}

impl PolicySet {
    /// Prepares to answer for all pairs.
    pub fn reach(&self) -> Reach<'_> {
        Reach::new(self)
    }

    /// Every party: the atoms, then the classes.
    pub fn parties(&self) -> impl Iterator<Item = Party> + use<> {
        let atoms = self.atoms().len();
        (0..self.end_count()).map(move |n| party(n, atoms))
    }

    /// What the policies allow from one party to another, as [`Reach`] has it.
    ///
    /// # Panics
    /// When a party is of another set.
    pub fn allowed(&self, source: Party, destination: Party) -> ConnectionSet {
        let (from, to) = (self.party_index(source), self.party_index(destination));
        let out = self.passing(Direction::Egress, from, to, to);
        out.intersection(&self.passing(Direction::Ingress, to, from, to))
    }

    /// What the policies of `subject` let pass between it and `peer`.
    fn passing(&self, direction: Direction, subject: u32, peer: u32, to: u32) -> ConnectionSet {
        let named = self.named_signature(to);
        let group = self.tiers.sides[direction as usize].group(subject);
        let tier = |tier| group.map_or(&[][..], |group| group.terms(tier));
        let admin = self.split(tier(Tier::Admin), peer, named);
        let rest = if let Some(terms) = self.terms(direction, subject) {
            terms
                .iter()
                .filter(|term| self.sets[term.peers as usize].contains(peer))
                .map(|term| self.resolved(term.ports, named))
                .fold(ConnectionSet::empty(), |all, ports| all.union(&ports))
        } else {
            let baseline = self.split(tier(Tier::Baseline), peer, named);
            baseline.accepted.union(&baseline.rest)
        };
        admin.accepted.union(&admin.rest.intersection(&rest))
    }

    /// What the rules of a tier make of the connections with a peer.
    fn split(&self, terms: &[TierTerm], peer: u32, named: u32) -> Split<ConnectionSet> {
        let mut split = Split { accepted: ConnectionSet::empty(), rest: ConnectionSet::empty() };
        let mut open = ConnectionSet::all();
        for term in terms.iter().filter(|t| self.sets[t.peers as usize].contains(peer)) {
            let hit = open.intersection(&self.resolved(term.ports, named));
            open = open.difference(&hit);
            match term.action {
                Action::Accept => split.accepted = split.accepted.union(&hit),
                Action::Pass => split.rest = split.rest.union(&hit),
                Action::Deny => {}
            }
        }
        split.rest = split.rest.union(&open);
        split
    }

    /// The ports of a rule on destinations with these named ports.
    pub(crate) fn resolved(&self, ports: u32, named: u32) -> ConnectionSet {
        let test = &self.ports[ports as usize];
        let known = self.classes.named[named as usize].iter();
        let meant = known.filter(|(name, protocol, _)| test.names.contains(&(*name, *protocol)));
        let by_name = meant.map(|(_, protocol, port)| (*protocol, PortRange::single(*port)));
        test.numbers.union(&by_name.collect())
    }
}

impl<'a> Reach<'a> {
    fn new(set: &'a PolicySet) -> Self {
        let side = &set.sides[Direction::Ingress as usize];
        let tiers = &set.tiers.sides[Direction::Ingress as usize];
        let mut reach = Self {
            set,
            receiver: Vec::with_capacity(side.group.len()),
            receivers: Vec::new(),
            takers: vec![Vec::new(); set.sets.len()],
            memberships: vec![Vec::new(); side.group.len()],
            tier_receivers: Vec::new(),
            tier_row: (None, Vec::new()),
            connections: Connections::new(),
        };
        let mut places: HashMap<(u32, Option<u32>, u32), u32> = HashMap::default();
        let mut tier_places: HashMap<(u32, u32), u32> = HashMap::default();
        for (end, &group) in side.group.iter().enumerate() {
            // Named ports are the destination's, so rules may mean different ports within one group.
            let named = set.named_signature(index(end));
            let tier_group = tiers.group.get(end).copied();
            let receiver = *places.entry((group, tier_group, named)).or_insert_with(|| {
                let tier = tier_group.map(|group| {
                    *tier_places.entry((group, named)).or_insert_with(|| {
                        reach.tier_receivers.push((group, named));
                        index(reach.tier_receivers.len() - 1)
                    })
                });
                reach.add_receiver(group, named, tier)
            });
            reach.receiver.push(receiver);
        }
        for (n, takers) in reach.takers.iter().enumerate() {
            if !takers.is_empty() {
                set.sets[n].for_each(side.group.len(), |end| {
                    reach.memberships[end as usize].push(index(n));
                });
            }
        }
        reach
    }

    fn add_receiver(&mut self, group: u32, named: u32, tier: Option<u32>) -> u32 {
        let receiver = index(self.receivers.len());
        let isolated = group != NOT_ISOLATED;
        let mut from_all = if isolated { NONE } else { ALL };
        for term in &self.set.sides[Direction::Ingress as usize].terms[group as usize] {
            let ports = self.connections.resolve(self.set, term.ports, named);
            if self.set.sets[term.peers as usize].is_all() {
                from_all = self.connections.union(from_all, ports);
            } else {
                self.takers[term.peers as usize].push((receiver, ports));
            }
        }
        self.receivers.push(Receiver { isolated, from_all, tier });
        receiver
    }

    /// The policies it speaks of.
    pub const fn set(&self) -> &'a PolicySet {
        self.set
    }

    /// Walks over the rows of the given sources, in their order.
    ///
    /// One row is in memory at a time: the whole table of a large cluster would not fit.
    ///
    /// # Panics
    /// When a party is of another set.
    pub fn walk(
        &mut self,
        sources: impl IntoIterator<Item = Party>,
        mut visit: impl FnMut(Row<'_>),
    ) {
        let mut buffers = Buffers::default();
        for source in sources {
            self.fill(source, &mut buffers);
            visit(Row {
                source,
                atoms: self.set.atoms().len(),
                cells: &buffers.cells,
                connections: &self.connections.sets,
            });
        }
    }

    /// Fills in the row of a source, as positions in [`Reach::connections`].
    pub(crate) fn fill(&mut self, source: Party, buffers: &mut Buffers) {
        let from = self.set.party_index(source);
        buffers.takes.clear();
        buffers.takes.extend(self.receivers.iter().map(|receiver| receiver.from_all));
        buffers.cells.resize(self.receiver.len(), NONE);
        self.takes_from(from, &mut buffers.takes);
        self.sends(from, &mut buffers.cells);
        self.apply_ingress_tiers(from, buffers);
        self.apply_egress_tiers(from, &mut buffers.cells);
        for (cell, receiver) in buffers.cells.iter_mut().zip(&self.receiver) {
            *cell = self.connections.intersection(*cell, buffers.takes[*receiver as usize]);
        }
    }

    /// Like [`Reach::fill`]; a source that is not there reaches nothing.
    pub(crate) fn fill_or_clear(&mut self, source: Option<Party>, buffers: &mut Buffers) {
        match source {
            Some(source) => self.fill(source, buffers),
            None => buffers.cells.fill(NONE),
        }
    }

    /// What a row holds for a destination. Nothing reaches one that is not there.
    pub(crate) fn cell(&self, buffers: &Buffers, destination: Option<Party>) -> u32 {
        let place = destination.map(|party| self.set.party_index(party) as usize);
        place.and_then(|place| buffers.cells.get(place)).copied().unwrap_or(NONE)
    }

    pub(crate) fn connections(&self) -> &[ConnectionSet] {
        &self.connections.sets
    }

    /// Adds what each receiver takes from the source.
    fn takes_from(&mut self, from: u32, takes: &mut [u32]) {
        for set in &self.memberships[from as usize] {
            for &(receiver, ports) in &self.takers[*set as usize] {
                let take = &mut takes[receiver as usize];
                *take = self.connections.union(*take, ports);
            }
        }
    }

    /// What the source may send to each end.
    fn sends(&mut self, from: u32, cells: &mut [u32]) {
        let side = &self.set.sides[Direction::Egress as usize];
        let group = side.group[from as usize];
        if group == NOT_ISOLATED {
            cells.fill(ALL);
            return;
        }
        cells.fill(NONE);
        for term in &side.terms[group as usize] {
            self.set.sets[term.peers as usize].for_each(cells.len(), |to| {
                let named = self.set.named_signature(to);
                let ports = self.connections.resolve(self.set, term.ports, named);
                let cell = &mut cells[to as usize];
                *cell = self.connections.union(*cell, ports);
            });
        }
    }

    /// Puts the tiers before and behind what the receivers take from the source.
    fn apply_ingress_tiers(&mut self, from: u32, buffers: &mut Buffers) {
        buffers.tiered.clear();
        for n in 0..self.tier_receivers.len() {
            let (group, named) = self.tier_receivers[n];
            let group = &self.set.tiers.sides[Direction::Ingress as usize].groups[group as usize];
            buffers.tiered.push(self.tiered(group, from, named));
        }
        for (take, receiver) in buffers.takes.iter_mut().zip(&self.receivers) {
            if let Some(tier) = receiver.tier {
                let tiered = buffers.tiered[tier as usize];
                *take = self.connections.behind(tiered, receiver.isolated.then_some(*take));
            }
        }
    }

    /// Puts the tiers before and behind what the source may send.
    fn apply_egress_tiers(&mut self, from: u32, cells: &mut [u32]) {
        let side = &self.set.tiers.sides[Direction::Egress as usize];
        let Some(&place) = side.group.get(from as usize) else { return };
        let group = &side.groups[place as usize];
        let (mut last, mut row) = std::mem::take(&mut self.tier_row);
        if last != Some(place) {
            row.clear();
            for to in 0..index(cells.len()) {
                row.push(self.tiered(group, to, self.set.named_signature(to)));
            }
            last = Some(place);
        }
        let isolated = self.set.terms(Direction::Egress, from).is_some();
        for (cell, tiered) in cells.iter_mut().zip(&row) {
            *cell = self.connections.behind(*tiered, isolated.then_some(*cell));
        }
        self.tier_row = (last, row);
    }

    fn tiered(&mut self, group: &TierGroup, peer: u32, named: u32) -> Tiered {
        let admin = self.split(&group.admin, peer, named);
        let baseline = self.split(&group.baseline, peer, named);
        Tiered { admin, baseline: self.connections.union(baseline.accepted, baseline.rest) }
    }

    /// What the rules of a tier make of the connections with a peer.
    fn split(&mut self, terms: &[TierTerm], peer: u32, named: u32) -> Split<u32> {
        let mut split = Split { accepted: NONE, rest: NONE };
        let mut open = ALL;
        for term in terms {
            if open == NONE || !self.set.sets[term.peers as usize].contains(peer) {
                continue;
            }
            let ports = self.connections.resolve(self.set, term.ports, named);
            let hit = self.connections.intersection(open, ports);
            open = self.connections.difference(open, hit);
            match term.action {
                Action::Accept => split.accepted = self.connections.union(split.accepted, hit),
                Action::Pass => split.rest = self.connections.union(split.rest, hit),
                Action::Deny => {}
            }
        }
        split.rest = self.connections.union(split.rest, open);
        split
    }
}

impl Connections {
    /// What passes: what the Admin tier accepts, and of what it leaves, what `NetworkPolicies` allow where they isolate
    /// and what the Baseline tier lets pass where they do not.
    fn behind(&mut self, tiered: Tiered, allowed: Option<u32>) -> u32 {
        let lower = self.intersection(tiered.admin.rest, allowed.unwrap_or(tiered.baseline));
        self.union(tiered.admin.accepted, lower)
    }
}
