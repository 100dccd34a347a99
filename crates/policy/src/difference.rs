//! What two policy sets let through differently.

use foldhash::{HashMap, HashSet};
use ringfence_model::PodRef;

use crate::atom::Atom;
use crate::connection::{ConnectionSet, End};
use crate::connections::Connections;
use crate::index::{AtomIx, PodIx};
use crate::party::Party;
use crate::policy_set::PolicySet;
use crate::reach::{Buffers, Reach};
use crate::update::Touched;

/// A pod before and after. One side is missing for a pod that came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodPair {
    /// The pod of the first set.
    pub before: Option<PodIx>,
    /// The pod of the second set.
    pub after: Option<PodIx>,
}

/// All ends that both sets treat alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Pods of one class before and of one class after.
    Pods(Vec<PodPair>),
    /// Addresses of one atom before and of one atom after.
    Addresses(Atom),
}

/// Two ends between which the sets allow different connections.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Who opens the connections.
    pub source: &'a Compared,
    /// Who is reached.
    pub destination: &'a Compared,
    /// What the first set allows; nothing when one end was not there.
    pub before: &'a ConnectionSet,
    /// What the second set allows; nothing when one end is no longer there.
    pub after: &'a ConnectionSet,
}

impl Change<'_> {
    /// Connections that only the second set allows.
    pub fn added(&self) -> ConnectionSet {
        self.after.difference(self.before)
    }

    /// Connections that only the first set allows.
    pub fn removed(&self) -> ConnectionSet {
        self.before.difference(self.after)
    }
}

/// The connectivity that changes from one policy set to another, as [`Reach`] has it: what is allowed whatever the
/// policies say is left out.
#[derive(Debug)]
pub struct Difference<'a> {
    before: Reach<'a>,
    after: Reach<'a>,
    compared: Vec<Compared>,
    /// The parties of each, in the order of `compared`.
    parties: Vec<(Option<Party>, Option<Party>)>,
}

impl<'a> Difference<'a> {
    /// Compares two sets, pods by namespace and name.
    pub fn new(before: &'a PolicySet, after: &'a PolicySet) -> Self {
        Self::with_pairs(before, after, pairs_by_name(before, after))
    }

    /// Compares two sets whose pods are matched by the caller, for instance by workload.
    ///
    /// # Panics
    /// When a pod is of another set.
    pub fn with_pairs(
        before: &'a PolicySet,
        after: &'a PolicySet,
        pairs: impl IntoIterator<Item = PodPair>,
    ) -> Self {
        let mut compared = Vec::new();
        let mut parties = Vec::new();
        let mut places: HashMap<(Option<Party>, Option<Party>), usize> = HashMap::default();
        let party = |set: &PolicySet, pod: Option<PodIx>| pod.map(|pod| set.party(End::Pod(pod)));
        for pair in pairs {
            let both = (party(before, pair.before), party(after, pair.after));
            let place = *places.entry(both).or_insert_with(|| {
                parties.push(both);
                compared.push(Vec::new());
                compared.len() - 1
            });
            compared[place].push(pair);
        }
        let mut compared: Vec<Compared> = compared.into_iter().map(Compared::Pods).collect();
        for ((a, b), atom) in address_parties(before, after) {
            compared.push(Compared::Addresses(atom));
            parties.push((Some(a), Some(b)));
        }
        Self { before: before.reach(), after: after.reach(), compared, parties }
    }

    /// Walks over everything that changes, sources in the order of the pairs, addresses last.
    pub fn walk(&mut self, mut visit: impl FnMut(Change<'_>)) {
        let (mut row_before, mut row_after) = (Buffers::default(), Buffers::default());
        // Whether the sets at two positions, before and after, are equal.
        let mut equal: HashMap<(u32, u32), bool> = HashMap::default();
        for (source, &(from_before, from_after)) in self.compared.iter().zip(&self.parties) {
            self.before.fill_or_clear(from_before, &mut row_before);
            self.after.fill_or_clear(from_after, &mut row_after);
            for (destination, &(to_before, to_after)) in self.compared.iter().zip(&self.parties) {
                let cells = (
                    self.before.cell(&row_before, to_before),
                    self.after.cell(&row_after, to_after),
                );
                let before = &self.before.connections()[cells.0 as usize];
                let after = &self.after.connections()[cells.1 as usize];
                let equal = *equal.entry(cells).or_insert_with(|| before == after);
                if !equal && !is_one_pod(source, destination) {
                    visit(Change { source, destination, before, after });
                }
            }
        }
    }
}

impl Difference<'_> {
    /// Walks over everything that changes when the second set is the first after one update: only what the update
    /// touched is looked at.
    pub fn walk_touched(&self, touched: &Touched, mut visit: impl FnMut(Change<'_>)) {
        let is_touched =
            |party: &Option<Party>| party.is_some_and(|party| touched.parties.contains(&party));
        let is_touched: Vec<bool> =
            self.parties.iter().map(|(a, b)| is_touched(a) || is_touched(b)).collect();
        let ends = || self.compared.iter().zip(&self.parties).zip(&is_touched);
        let (mut was, mut is) = (Connections::new(), Connections::new());
        for ((source, from), &source_touched) in ends() {
            for ((destination, to), &destination_touched) in ends() {
                if !source_touched && !destination_touched || is_one_pod(source, destination) {
                    continue;
                }
                let cells = (
                    was.between(self.before.set(), from.0, to.0),
                    is.between(self.after.set(), from.1, to.1),
                );
                let before = &was.sets[cells.0 as usize];
                let after = &is.sets[cells.1 as usize];
                if before != after {
                    visit(Change { source, destination, before, after });
                }
            }
        }
    }
}

/// Whether both ends are one and the same pod, so that no connection between two pods is meant.
fn is_one_pod(source: &Compared, destination: &Compared) -> bool {
    match source {
        Compared::Pods(pairs) => pairs.len() == 1 && std::ptr::eq(source, destination),
        Compared::Addresses(_) => false,
    }
}

fn pairs_by_name(before: &PolicySet, after: &PolicySet) -> Vec<PodPair> {
    let later: HashMap<&PodRef, PodIx> =
        after.cluster.present().map(|(ix, pod)| (&pod.reference, ix)).collect();
    let earlier = before.cluster.present();
    let mut pairs: Vec<PodPair> = earlier
        .map(|(ix, pod)| PodPair { before: Some(ix), after: later.get(&pod.reference).copied() })
        .collect();
    let kept: HashSet<PodIx> = pairs.iter().filter_map(|pair| pair.after).collect();
    let new = after.cluster.present().map(|(ix, _)| ix).filter(|ix| !kept.contains(ix));
    pairs.extend(new.map(|p| PodPair { before: None, after: Some(p) }));
    pairs
}

/// The addresses that neither set tells apart.
fn address_parties(before: &PolicySet, after: &PolicySet) -> Vec<((Party, Party), Atom)> {
    let addresses = |atom| Party::Addresses(AtomIx::new(atom));
    let joint = before.space.joint(&after.space).into_iter();
    joint.map(|((a, b), atom)| ((addresses(a), addresses(b)), atom)).collect()
}
