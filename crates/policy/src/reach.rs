//! Who can reach whom over what: all pairs at once.

use foldhash::HashMap;
use ringfence_model::{Direction, PortRange};

use crate::connection::ConnectionSet;
use crate::index::{AtomIx, ClassIx, index};
use crate::party::Party;
use crate::policy_set::{NOT_ISOLATED, PolicySet};

/// All-pairs reachability over the parties of a [`PolicySet`].
///
/// It speaks of policies only. What is allowed whatever the policies say is left out: a pod's connections to itself
/// (unless the profile has them judged), and those from a node to the pods that it runs. Between two parties of
/// addresses everything is allowed, since policies apply to neither.
#[derive(Debug)]
pub struct Reach<'a> {
    set: &'a PolicySet,
    /// The receiver of each party. Receivers are all destinations that one ingress rule treats alike.
    receiver: Vec<u32>,
    /// What each receiver takes from everybody.
    from_all: Vec<u32>,
    /// For each set of ends: the receivers that take something from its members.
    takers: Vec<Vec<(u32, u32)>>,
    /// The sets that each party is in, of those with takers.
    memberships: Vec<Vec<u32>>,
    connections: Connections,
}

/// Room for one row, used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// What reaches each end.
    pub(crate) cells: Vec<u32>,
    /// What each receiver takes.
    takes: Vec<u32>,
}

/// What one party can reach.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    source: Party,
    classes: usize,
    cells: &'a [u32],
    connections: &'a [ConnectionSet],
}

impl<'a> Row<'a> {
    /// Who opens the connections.
    pub const fn source(&self) -> Party {
        self.source
    }

    /// Everybody it can reach over at least one port: pods first, then addresses.
    pub fn iter(&self) -> impl Iterator<Item = (Party, &'a ConnectionSet)> + use<'a> {
        let (classes, connections) = (self.classes, self.connections);
        let open = self.cells.iter().enumerate().filter(|(_, cell)| **cell != NONE);
        open.map(move |(n, cell)| (party(n, classes), &connections[*cell as usize]))
    }

    /// What it can reach of the pods of every class, as positions in [`Row::connections`], in the order of the
    /// classes. Equal sets have equal positions, in all rows of one walk.
    pub fn pods(&self) -> &'a [u32] {
        &self.cells[..self.classes]
    }

    /// What it can reach of the addresses of every atom, like [`Row::pods`].
    pub fn addresses(&self) -> &'a [u32] {
        &self.cells[self.classes..]
    }

    /// The distinct sets found so far. The first is empty, the second holds everything.
    pub const fn connections(&self) -> &'a [ConnectionSet] {
        self.connections
    }
}

fn party(n: usize, classes: usize) -> Party {
    match n.checked_sub(classes) {
        None => Party::Pods(ClassIx::new(index(n))),
        Some(atom) => Party::Addresses(AtomIx::new(index(atom))),
    }
}

impl PolicySet {
    /// Prepares to answer for all pairs.
    pub fn reach(&self) -> Reach<'_> {
        Reach::new(self)
    }

    /// Every party: the classes, then the atoms.
    pub fn parties(&self) -> impl Iterator<Item = Party> + use<> {
        let classes = self.classes().len();
        (0..classes + self.atoms().len()).map(move |n| party(n, classes))
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
        let side = &self.sides[direction as usize];
        let group = side.group[subject as usize];
        if group == NOT_ISOLATED {
            return ConnectionSet::all();
        }
        let matching = side.terms[group as usize]
            .iter()
            .filter(|term| self.sets[term.peers as usize].contains(peer))
            .map(|term| self.resolved(term.ports, self.named_signature(to)));
        matching.fold(ConnectionSet::empty(), |all, ports| all.union(&ports))
    }

    /// The ports of a rule on destinations with these named ports.
    fn resolved(&self, ports: u32, named: u32) -> ConnectionSet {
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
        let mut reach = Self {
            set,
            receiver: Vec::with_capacity(side.group.len()),
            from_all: Vec::new(),
            takers: vec![Vec::new(); set.sets.len()],
            memberships: vec![Vec::new(); side.group.len()],
            connections: Connections::new(),
        };
        let mut receivers: HashMap<(u32, u32), u32> = HashMap::default();
        for (end, &group) in side.group.iter().enumerate() {
            let named = set.named_signature(index(end));
            // Named ports are the destination's, so rules may mean different ports within one group.
            let receiver = *receivers.entry((group, named)).or_insert_with(|| {
                let receiver = index(reach.from_all.len());
                reach.add_receiver(receiver, group, named);
                receiver
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

    fn add_receiver(&mut self, receiver: u32, group: u32, named: u32) {
        if group == NOT_ISOLATED {
            self.from_all.push(ALL);
            return;
        }
        let mut from_all = NONE;
        for term in &self.set.sides[Direction::Ingress as usize].terms[group as usize] {
            let ports = self.connections.resolve(self.set, term.ports, named);
            if self.set.sets[term.peers as usize].is_all() {
                from_all = self.connections.union(from_all, ports);
            } else {
                self.takers[term.peers as usize].push((receiver, ports));
            }
        }
        self.from_all.push(from_all);
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
                classes: self.set.classes().len(),
                cells: &buffers.cells,
                connections: &self.connections.sets,
            });
        }
    }

    /// Fills in the row of a source, as positions in [`Reach::connections`].
    pub(crate) fn fill(&mut self, source: Party, buffers: &mut Buffers) {
        let from = self.set.party_index(source);
        buffers.takes.clone_from(&self.from_all);
        buffers.cells.resize(self.receiver.len(), NONE);
        self.takes_from(from, &mut buffers.takes);
        self.sends(from, &mut buffers.cells);
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
}

const NONE: u32 = 0;
const ALL: u32 = 1;

/// Distinct connection sets, with what was computed of them.
#[derive(Debug)]
struct Connections {
    sets: Vec<ConnectionSet>,
    ids: HashMap<ConnectionSet, u32>,
    resolved: HashMap<(u32, u32), u32>,
    unions: HashMap<(u32, u32), u32>,
    intersections: HashMap<(u32, u32), u32>,
}

impl Connections {
    fn new() -> Self {
        let mut connections = Self {
            sets: Vec::new(),
            ids: HashMap::default(),
            resolved: HashMap::default(),
            unions: HashMap::default(),
            intersections: HashMap::default(),
        };
        let (none, all) =
            (connections.id(ConnectionSet::empty()), connections.id(ConnectionSet::all()));
        debug_assert_eq!((none, all), (NONE, ALL));
        connections
    }

    fn id(&mut self, set: ConnectionSet) -> u32 {
        let next = index(self.sets.len());
        *self.ids.entry(set).or_insert_with_key(|set| {
            self.sets.push(set.clone());
            next
        })
    }

    fn resolve(&mut self, set: &PolicySet, ports: u32, named: u32) -> u32 {
        // Most rules name no port by name and mean the same everywhere.
        let named = if set.ports[ports as usize].names.is_empty() { 0 } else { named };
        if let Some(id) = self.resolved.get(&(ports, named)) {
            return *id;
        }
        let id = self.id(set.resolved(ports, named));
        self.resolved.insert((ports, named), id);
        id
    }

    fn union(&mut self, a: u32, b: u32) -> u32 {
        match (a, b) {
            (NONE, x) | (x, NONE) => x,
            (ALL, _) | (_, ALL) => ALL,
            _ if a == b => a,
            _ => {
                let key = (a.min(b), a.max(b));
                if let Some(id) = self.unions.get(&key) {
                    return *id;
                }
                let id = self.id(self.sets[a as usize].union(&self.sets[b as usize]));
                self.unions.insert(key, id);
                id
            }
        }
    }

    fn intersection(&mut self, a: u32, b: u32) -> u32 {
        match (a, b) {
            (NONE, _) | (_, NONE) => NONE,
            (ALL, x) | (x, ALL) => x,
            _ if a == b => a,
            _ => {
                let key = (a.min(b), a.max(b));
                if let Some(id) = self.intersections.get(&key) {
                    return *id;
                }
                let id = self.id(self.sets[a as usize].intersection(&self.sets[b as usize]));
                self.intersections.insert(key, id);
                id
            }
        }
    }
}
