//! What two clusters, or two policy sets over one, let through differently, by workload.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;
use ringfence_model::WorkloadRef;
use ringfence_policy::{
    Compared, ConnectionSet, Difference, End, Party, PodIx, PodPair, PolicySet,
};

use crate::connectivity::{Connectivity, place};

/// Connectivity that is not the same before and after.
///
/// Workloads are compared by namespace, kind and name, and their pods by name where names last, else in their order: a
/// rollout or another number of replicas is no change.
#[derive(Clone, Debug)]
pub struct Changes<'a> {
    /// Who is at the ends: workloads in their order, then addresses.
    pub ends: Vec<ChangedEnd<'a>>,
    /// The pairs that change, by source and then destination.
    pub pairs: Vec<ChangedPair>,
    /// The sets that pairs speak of.
    pub sets: Vec<ConnectionSet>,
}

/// One end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedEnd<'a> {
    /// Who it is.
    pub who: ChangedWho<'a>,
    /// When it is there. Addresses always are.
    pub presence: Presence,
    /// Whether a connection from it to itself is one between two pods.
    pub has_inner: bool,
}

/// Who is at an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedWho<'a> {
    /// All pods of a workload.
    Workload(&'a WorkloadRef),
    /// Some pods of a workload, by their names: those of today, or before where they are gone.
    Part(&'a WorkloadRef, Vec<String>),
    /// Addresses.
    Addresses(Vec<IpNet>),
}

impl ChangedWho<'_> {
    /// The workload.
    pub fn workload(&self) -> Option<&WorkloadRef> {
        match self {
            Self::Workload(workload) | Self::Part(workload, _) => Some(workload),
            Self::Addresses(_) => None,
        }
    }
}

/// When an end is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Before and after.
    Both,
    /// It has gone.
    Before,
    /// It has come.
    After,
}

/// A pair of ends between which other connections pass than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedPair {
    /// Who opens the connections, as an index into [`Changes::ends`].
    pub source: usize,
    /// Who is reached, likewise.
    pub destination: usize,
    /// What passed, as an index into [`Changes::sets`].
    pub before: usize,
    /// What passes.
    pub after: usize,
}

/// The class or atom on each side.
type Parties = (Option<Party>, Option<Party>);

/// Compares two clusters.
pub fn changes<'a>(before: &'a Connectivity<'a>, after: &'a Connectivity<'a>) -> Changes<'a> {
    let pairs = pod_pairs(before, after);
    let mut parts: BTreeMap<&WorkloadRef, Vec<(Parties, Vec<PodPair>)>> = BTreeMap::new();
    for (workload, pair) in &pairs {
        let parties = parties(before.set(), after.set(), *pair);
        let parts = parts.entry(workload).or_default();
        match parts.iter_mut().find(|(known, _)| *known == parties) {
            Some((_, pods)) => pods.push(*pair),
            None => parts.push((parties, vec![*pair])),
        }
    }
    let mut ends = Vec::new();
    let mut by_parties: HashMap<Parties, Vec<usize>> = HashMap::new();
    let mut families = Vec::new();
    for (workload, parts) in parts {
        let whole = ends.len();
        let all: Vec<PodPair> = parts.iter().flat_map(|(_, pods)| pods.clone()).collect();
        ends.push(ChangedEnd {
            who: ChangedWho::Workload(workload),
            presence: presence(&all),
            has_inner: has_inner(before, after, &all),
        });
        let is_split = parts.len() > 1;
        for (parties, pods) in parts {
            let end = if is_split {
                ends.push(ChangedEnd {
                    who: ChangedWho::Part(workload, names(before, after, &pods)),
                    presence: presence(&pods),
                    has_inner: has_inner(before, after, &pods),
                });
                ends.len() - 1
            } else {
                whole
            };
            by_parties.entry(parties).or_default().push(end);
        }
        families.resize(ends.len(), whole);
    }
    let mut changes = Changes { ends, pairs: Vec::new(), sets: Vec::new() };
    let mut ids: HashMap<ConnectionSet, usize> = HashMap::new();
    let mut id = |sets: &mut Vec<ConnectionSet>, set: &ConnectionSet| {
        if let Some(id) = ids.get(set) {
            return *id;
        }
        sets.push(set.clone());
        ids.insert(set.clone(), sets.len() - 1);
        sets.len() - 1
    };
    let pod_pairs = pairs.iter().map(|(_, pair)| *pair);
    let mut addresses: HashMap<std::net::IpAddr, usize> = HashMap::new();
    let mut found = Vec::new();
    Difference::with_pairs(before.set(), after.set(), pod_pairs).walk(|change| {
        let mut ends_of = |compared: &Compared| match compared {
            Compared::Pods(pods) => pods
                .first()
                .and_then(|pair| by_parties.get(&parties(before.set(), after.set(), *pair)))
                .cloned()
                .unwrap_or_default(),
            Compared::Addresses(atom) => {
                let end = addresses.entry(atom.representative()).or_insert_with(|| {
                    changes.ends.push(ChangedEnd {
                        who: ChangedWho::Addresses(atom.cidrs()),
                        presence: Presence::Both,
                        has_inner: false,
                    });
                    families.push(families.len());
                    changes.ends.len() - 1
                });
                vec![*end]
            }
        };
        let (sources, destinations) = (ends_of(change.source), ends_of(change.destination));
        let was = id(&mut changes.sets, change.before);
        let is = id(&mut changes.sets, change.after);
        for &source in &sources {
            for &destination in &destinations {
                // A pod's connections to itself are no business of policies.
                if source != destination || changes.ends[source].has_inner {
                    found.push(ChangedPair { source, destination, before: was, after: is });
                }
            }
        }
    });
    let found =
        merged(found, &families, &changes.ends, |pair| (&mut pair.source, pair.destination));
    changes.pairs =
        merged(found, &families, &changes.ends, |pair| (&mut pair.destination, pair.source));
    changes.pairs.sort_unstable();
    changes
}

/// Puts the whole workload at one end where all its parts change alike.
fn merged(
    pairs: Vec<ChangedPair>,
    families: &[usize],
    ends: &[ChangedEnd<'_>],
    side: impl Fn(&mut ChangedPair) -> (&mut usize, usize),
) -> Vec<ChangedPair> {
    let mut parts: HashMap<usize, Vec<usize>> = HashMap::new();
    for (end, family) in families.iter().enumerate().filter(|(end, family)| end != *family) {
        parts.entry(*family).or_default().push(end);
    }
    let mut merged = Vec::new();
    let mut groups: BTreeMap<(usize, usize), Vec<ChangedPair>> = BTreeMap::new();
    for mut pair in pairs {
        let (this, other) = side(&mut pair);
        let family = families[*this];
        // Most workloads have no parts.
        if parts.contains_key(&family) {
            groups.entry((family, other)).or_default().push(pair);
        } else {
            merged.push(pair);
        }
    }
    for ((family, other), mut pairs) in groups {
        let counts = |end: &&usize| **end != other || ends[**end].has_inner;
        let parts = parts[&family].iter().filter(counts).count();
        let is_alike =
            pairs.windows(2).all(|w| (w[0].before, w[0].after) == (w[1].before, w[1].after));
        if parts > 0 && pairs.len() == parts && is_alike {
            pairs.truncate(1);
            for pair in &mut pairs {
                *side(pair).0 = family;
            }
        }
        merged.extend(pairs);
    }
    merged
}

fn parties(before: &PolicySet, after: &PolicySet, pair: PodPair) -> Parties {
    let party = |set: &PolicySet, pod: Option<PodIx>| pod.map(|pod| set.party(End::Pod(pod)));
    (party(before, pair.before), party(after, pair.after))
}

fn presence(pods: &[PodPair]) -> Presence {
    match (pods.iter().any(|p| p.before.is_some()), pods.iter().any(|p| p.after.is_some())) {
        (true, false) => Presence::Before,
        (false, true) => Presence::After,
        _ => Presence::Both,
    }
}

/// A workload without pods may come to have several.
fn has_inner(before: &Connectivity<'_>, after: &Connectivity<'_>, pods: &[PodPair]) -> bool {
    let live = |c: &Connectivity<'_>, pod: Option<PodIx>| {
        pod.is_some_and(|pod| pod.place() < c.inventory().pods().len())
    };
    pods.len() != 1 || !pods.iter().any(|p| live(before, p.before) || live(after, p.after))
}

fn names(before: &Connectivity<'_>, after: &Connectivity<'_>, pods: &[PodPair]) -> Vec<String> {
    let name =
        |c: &Connectivity<'_>, pod: Option<PodIx>| pod.map(|pod| c.set().pod(pod).name.to_string());
    let names = pods.iter().filter_map(|p| name(after, p.after).or_else(|| name(before, p.before)));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

/// The pods of each workload, before and after.
fn pod_pairs<'a>(
    before: &Connectivity<'a>,
    after: &Connectivity<'a>,
) -> Vec<(&'a WorkloadRef, PodPair)> {
    let later: HashMap<&WorkloadRef, &[usize]> = after
        .members()
        .iter()
        .map(|(workload, pods)| (&workload.reference, pods.as_slice()))
        .collect();
    let mut pairs = Vec::new();
    let mut known = std::collections::HashSet::new();
    for (workload, pods) in before.members() {
        let reference = &workload.reference;
        known.insert(reference);
        let is = later.get(reference).copied().unwrap_or_default();
        let matched = matched(before.set(), after.set(), pods, is);
        pairs.extend(matched.into_iter().map(|pair| (reference, pair)));
    }
    for (workload, pods) in after.members() {
        if !known.contains(&workload.reference) {
            let new = pods.iter().map(|pod| PodPair { before: None, after: Some(ix(*pod)) });
            pairs.extend(new.map(|pair| (&workload.reference, pair)));
        }
    }
    pairs
}

fn ix(pod: usize) -> PodIx {
    PodIx::new(place(pod))
}

/// Pods of one workload: by name, then in their order. What is left over has the counterpart of a pod like it.
fn matched(before: &PolicySet, after: &PolicySet, was: &[usize], is: &[usize]) -> Vec<PodPair> {
    if was.is_empty() || is.is_empty() {
        let gone = was.iter().map(|pod| PodPair { before: Some(ix(*pod)), after: None });
        let come = is.iter().map(|pod| PodPair { before: None, after: Some(ix(*pod)) });
        return gone.chain(come).collect();
    }
    let named: HashMap<_, PodIx> = is.iter().map(|p| (after.pod(ix(*p)), ix(*p))).collect();
    let by_name = |pod: &usize| named.get(before.pod(ix(*pod))).copied();
    let mut pairs: Vec<PodPair> = was
        .iter()
        .filter_map(|pod| Some(PodPair { before: Some(ix(*pod)), after: Some(by_name(pod)?) }))
        .collect();
    let taken: std::collections::HashSet<PodIx> = pairs.iter().filter_map(|p| p.after).collect();
    let mut old = was.iter().filter(|pod| by_name(pod).is_none()).map(|pod| ix(*pod));
    let mut new = is.iter().map(|pod| ix(*pod)).filter(|pod| !taken.contains(pod));
    loop {
        let (gone, come) = (old.next(), new.next());
        let like = |set: &PolicySet, pod: PodIx, side: fn(&PodPair) -> Option<PodIx>| {
            let party = set.party(End::Pod(pod));
            let same = |pair: &&PodPair| side(pair).map(|p| set.party(End::Pod(p))) == Some(party);
            pairs.iter().find(same).or(pairs.first()).copied()
        };
        let pair = match (gone, come) {
            (None, None) => break pairs,
            (Some(pod), None) => PodPair {
                before: gone,
                after: like(before, pod, |pair| pair.before).and_then(|pair| pair.after),
            },
            (None, Some(pod)) => PodPair {
                before: like(after, pod, |pair| pair.after).and_then(|pair| pair.before),
                after: come,
            },
            (Some(_), Some(_)) => PodPair { before: gone, after: come },
        };
        pairs.push(pair);
    }
}
