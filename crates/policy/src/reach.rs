//! Who can reach whom over what: all pairs at once.

use foldhash::HashMap;
use ringfence_model::Direction;

use crate::compiled::NOT_ISOLATED;
use crate::connection::ConnectionSet;
use crate::connections::{ALL, Connections, NONE};
use crate::index::index;
use crate::pair::Tiered;
use crate::party::Party;
use crate::policy_set::PolicySet;

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
        open.map(move |(n, cell)| (Party::at(n, atoms), &connections[*cell as usize]))
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

impl PolicySet {
    /// Prepares to answer for all pairs.
    pub fn reach(&self) -> Reach<'_> {
        Reach::new(self)
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
            takers: vec![Vec::new(); set.tables.sets.len()],
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
                set.tables.sets[n].for_each(side.group.len(), |end| {
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
            if self.set.tables.sets[term.peers as usize].is_all() {
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
            self.set.tables.sets[term.peers as usize].for_each(cells.len(), |to| {
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
            buffers.tiered.push(self.connections.tiered(self.set, group, from, named));
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
                let named = self.set.named_signature(to);
                row.push(self.connections.tiered(self.set, group, to, named));
            }
            last = Some(place);
        }
        let isolated = self.set.terms(Direction::Egress, from).is_some();
        for (cell, tiered) in cells.iter_mut().zip(&row) {
            *cell = self.connections.behind(*tiered, isolated.then_some(*cell));
        }
        self.tier_row = (last, row);
    }
}
