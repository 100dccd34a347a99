//! Who can reach whom, in the words of workloads: the engine's classes and atoms as people know them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use ipnet::IpNet;
use ringfence_inventory::{Inventory, Workload};
use ringfence_model::object::Pod;
use ringfence_model::{ClusterPolicy, Direction, IpBlock, NetworkPolicy, PeerMatch, Peers};
use ringfence_policy::{
    Atom, AtomIx, ClassIx, ConnectionSet, End, Party, PodIx, PolicySet, Profile, Row,
};

use crate::witness::{compile, template_pod};

/// A policy set over the pods of a cluster, and who these pods are.
///
/// A workload without pods is judged by one from its template. What is allowed whatever the policies say is left out,
/// as [`ringfence_policy::Reach`] has it.
#[derive(Debug)]
pub struct Connectivity<'a> {
    inventory: &'a Inventory,
    set: PolicySet,
    /// The pods of each workload, as the set has them: without pods, the one from the template.
    members: Vec<(&'a Workload, Vec<usize>)>,
    /// Pods first, then addresses.
    groups: Vec<Group<'a>>,
    /// The number of groups of pods.
    pods: usize,
}

/// Pods of one workload, or addresses, that the policies treat alike: whoever they talk to, and whoever talks to
/// them.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// Who they are.
    pub who: Who<'a>,
    party: Party,
    isolated: [bool; 2],
}

/// The members of a [`Group`].
#[derive(Clone, Debug)]
pub enum Who<'a> {
    /// Pods of a workload.
    Pods {
        /// The workload.
        workload: &'a Workload,
        /// Its pods in the group, as indices into [`Inventory::pods`], ascending; none where the workload has none.
        pods: Vec<usize>,
        /// Whether these are all pods of the workload.
        whole: bool,
    },
    /// Addresses, wherever they are: those of pods are here when somebody without a pod had them.
    Addresses {
        /// The fewest prefixes that hold the addresses and no others.
        cidrs: Vec<IpNet>,
        /// Whether the policies speak of other addresses only.
        elsewhere: bool,
    },
}

impl Group<'_> {
    /// Whether policies isolate it in the direction. Addresses never are.
    pub const fn is_isolated(&self, direction: Direction) -> bool {
        self.isolated[direction as usize]
    }

    /// The class or atom that stands for it.
    pub const fn party(&self) -> Party {
        self.party
    }

    /// The namespace, of pods.
    pub fn namespace(&self) -> Option<&str> {
        match &self.who {
            Who::Pods { workload, .. } => Some(workload.reference.namespace.as_str()),
            Who::Addresses { .. } => None,
        }
    }

    /// Whether connections among its own members are between two pods: a pod always reaches itself.
    pub const fn has_inner(&self) -> bool {
        matches!(&self.who, Who::Pods { pods, .. } if pods.len() != 1)
    }
}

/// A connection set between two groups.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Who opens the connections, as an index into [`Connectivity::groups`].
    pub source: usize,
    /// Who is reached, likewise.
    pub destination: usize,
    /// What passes; never empty.
    pub connections: &'a ConnectionSet,
    /// A number that is equal for equal sets in one walk, below any number of distinct sets.
    pub set: usize,
}

/// Which links are asked for.
#[derive(Clone, Debug)]
pub struct Focus {
    members: Vec<bool>,
    side: FocusSide,
}

/// On which side of a link the groups in focus are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FocusSide {
    /// On at least one.
    Either,
    /// They open the connections.
    From,
    /// They are reached.
    To,
}

impl Focus {
    /// Whether a group is in focus.
    pub fn contains(&self, group: usize) -> bool {
        self.members.get(group).copied().unwrap_or_default()
    }

    /// The side that the groups in focus are on.
    pub const fn side(&self) -> FocusSide {
        self.side
    }
}

impl<'a> Connectivity<'a> {
    /// Compiles the policies over the cluster.
    pub fn new(
        inventory: &'a Inventory,
        policies: &[NetworkPolicy],
        cluster_policies: &[ClusterPolicy],
        profile: &Profile,
    ) -> Self {
        let live = inventory.pods();
        let empty: Vec<&Workload> = inventory
            .workloads()
            .iter()
            .filter(|workload| workload.pods.is_empty() && !workload.host_network)
            .collect();
        let with_templates: Vec<Pod>;
        let pods = if empty.is_empty() {
            live
        } else {
            let templates = empty.iter().map(|workload| template_pod(workload));
            with_templates = live.iter().cloned().chain(templates).collect();
            &with_templates
        };
        let set = compile(inventory, pods, policies, cluster_policies, *profile);
        let mut templates = empty.iter().enumerate().map(|(n, w)| (&w.reference, live.len() + n));
        let mut next_template = templates.next();
        let members = inventory.workloads().iter().map(|workload| {
            if let Some((reference, place)) = next_template
                && *reference == workload.reference
            {
                next_template = templates.next();
                return (workload, vec![place]);
            }
            (workload, workload.pods.clone())
        });
        let members: Vec<_> = members.collect();
        let mut groups = pod_groups(&set, &members, live.len());
        let pods = groups.len();
        groups.extend(address_groups(&set));
        Self { inventory, set, members, groups, pods }
    }

    /// The policies.
    pub const fn set(&self) -> &PolicySet {
        &self.set
    }

    /// Everybody: workloads in their order, then addresses.
    pub fn groups(&self) -> &[Group<'a>] {
        &self.groups
    }

    /// Whether policies do not apply to the pods of a group: host-network pods that count as their node.
    pub fn is_node(&self, group: &Group<'_>) -> bool {
        match group.party {
            Party::Pods(class) => self.set.classes()[class.place()].is_node(),
            Party::Addresses(_) => false,
        }
    }

    /// The pods of each workload, as the policy set has them.
    pub(crate) fn members(&self) -> &[(&'a Workload, Vec<usize>)] {
        &self.members
    }

    /// The cluster.
    pub(crate) fn inventory(&self) -> &'a Inventory {
        self.inventory
    }

    /// The names of the pods of a group.
    pub fn pod_names(&self, group: &Group<'a>) -> impl Iterator<Item = &'a str> {
        let pods = match &group.who {
            Who::Pods { pods, .. } => pods.as_slice(),
            Who::Addresses { .. } => &[],
        };
        let all = self.inventory.pods();
        pods.iter().filter_map(|pod| Some(all.get(*pod)?.reference.name.as_str()))
    }

    /// A name for people, different for each group: `shop/Deployment/web`, `shop/Deployment/web[web-5d9c7b-x2f4,+3]`
    /// for a part of its pods, `10.0.0.0/8`, `10.0.0.0/9,+3` for many prefixes, `elsewhere` for the addresses
    /// that no policy speaks of.
    pub fn name(&self, group: &Group<'a>) -> String {
        match &group.who {
            Who::Pods { workload, whole: true, .. } => workload.reference.to_string(),
            Who::Pods { workload, .. } => {
                let mut names = self.pod_names(group);
                let first = names.next().unwrap_or_default();
                format!("{}[{}]", workload.reference, and_more(first, names.count()))
            }
            Who::Addresses { cidrs, .. } if cidrs.len() <= SHORT => join(cidrs),
            Who::Addresses { elsewhere: true, .. } => "elsewhere".to_owned(),
            Who::Addresses { cidrs, .. } => match cidrs.split_first() {
                Some((first, rest)) => and_more(&first.to_string(), rest.len()),
                None => String::new(),
            },
        }
    }

    /// The links of the groups for which `member` holds.
    pub fn focus(&self, side: FocusSide, member: impl Fn(&Group<'a>) -> bool) -> Focus {
        Focus { members: self.groups.iter().map(member).collect(), side }
    }

    /// Walks over the links in focus, by source and then by destination. Addresses have no links to each other.
    pub fn walk(&self, focus: &Focus, mut visit: impl FnMut(Link<'_>)) {
        let everybody: Vec<usize> = (0..self.groups.len()).collect();
        let members: Vec<usize> =
            everybody.iter().copied().filter(|g| focus.contains(*g)).collect();
        let sources: &[usize] = if focus.side == FocusSide::From { &members } else { &everybody };
        // Neighbours of one class share a row.
        let runs: Vec<&[usize]> =
            sources.chunk_by(|a, b| self.groups[*a].party == self.groups[*b].party).collect();
        let parties = runs.iter().map(|run| self.groups[run[0]].party);
        let mut run = runs.iter();
        self.set.reach().walk(parties, |row| {
            for &source in run.next().copied().unwrap_or_default() {
                let all = match focus.side {
                    FocusSide::From => true,
                    FocusSide::To => false,
                    FocusSide::Either => focus.contains(source),
                };
                self.links(source, if all { &everybody } else { &members }, row, &mut visit);
            }
        });
    }

    fn links(
        &self,
        source: usize,
        destinations: &[usize],
        row: Row<'_>,
        visit: &mut impl FnMut(Link<'_>),
    ) {
        let from_addresses = source >= self.pods;
        for &destination in destinations {
            let set = match self.groups[destination].party {
                Party::Pods(class) => row.pods()[class.place()],
                Party::Addresses(_) if from_addresses => return,
                Party::Addresses(atom) => row.addresses()[atom.place()],
            } as usize;
            let connections = &row.connections()[set];
            if set != NOTHING && (source != destination || self.groups[source].has_inner()) {
                visit(Link { source, destination, connections, set });
            }
        }
    }
}

/// So many prefixes can be read in one go.
const SHORT: usize = 2;

fn join(cidrs: &[IpNet]) -> String {
    cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// `first` or `first,+3`.
fn and_more(first: &str, more: usize) -> String {
    if more == 0 { first.to_owned() } else { format!("{first},+{more}") }
}

/// The position of the empty set in [`Row::connections`].
const NOTHING: usize = 0;

/// Sorts the pods of every workload into groups.
fn pod_groups<'a>(
    set: &PolicySet,
    members: &[(&'a Workload, Vec<usize>)],
    live: usize,
) -> Vec<Group<'a>> {
    let class = |pod: usize| match set.party(End::Pod(PodIx::new(place(pod)))) {
        Party::Pods(class) => class,
        // A pod is of a class by construction.
        Party::Addresses(_) => ClassIx::new(0),
    };
    let mut split = vec![false; set.classes().len()];
    for (_, pods) in members {
        if let Some((first, rest)) = pods.split_first()
            && rest.iter().any(|pod| class(*pod) != class(*first))
        {
            for pod in pods {
                split[class(*pod).place()] = true;
            }
        }
    }
    let alike = alike(set, &split);
    let mut groups = Vec::new();
    for (workload, members) in members {
        let mut portions: Vec<(ClassIx, Vec<usize>)> = Vec::new();
        let mut known: HashMap<ClassIx, usize> = HashMap::new();
        for &pod in members {
            let class = class(pod);
            let class = alike.get(&class).copied().unwrap_or(class);
            let portion = *known.entry(class).or_insert_with(|| {
                portions.push((class, Vec::new()));
                portions.len() - 1
            });
            portions[portion].1.push(pod);
        }
        let whole = portions.len() == 1;
        groups.extend(portions.into_iter().map(|(class, mut members)| {
            let party = Party::Pods(class);
            let isolated = Direction::BOTH.map(|direction| {
                members.first().is_some_and(|pod| {
                    let end = End::Pod(PodIx::new(place(*pod)));
                    !set.isolating(direction, end).is_empty()
                })
            });
            members.retain(|pod| *pod < live);
            Group { who: Who::Pods { workload, pods: members, whole }, party, isolated }
        }));
    }
    groups
}

/// For each of the wanted classes, the first one that has the same row and the same column in the table of all pairs.
///
/// Classes are told apart by what policies mention; that need not make a difference to what passes.
fn alike(set: &PolicySet, wanted: &[bool]) -> HashMap<ClassIx, ClassIx> {
    let wanted: Vec<usize> = (0..wanted.len()).filter(|class| wanted[*class]).collect();
    if wanted.is_empty() {
        return HashMap::new();
    }
    let mut rows: Vec<DefaultHasher> = wanted.iter().map(|_| DefaultHasher::new()).collect();
    let mut columns = rows.clone();
    set.reach().walk(set.parties(), |row| {
        if let Party::Pods(class) = row.source()
            && let Ok(at) = wanted.binary_search(&class.place())
        {
            (row.pods(), row.addresses()).hash(&mut rows[at]);
        }
        for (column, class) in columns.iter_mut().zip(&wanted) {
            row.pods()[*class].hash(column);
        }
    });
    let mut first: HashMap<(u64, u64, [bool; 2]), ClassIx> = HashMap::new();
    let mut alike = HashMap::new();
    for ((class, row), column) in wanted.into_iter().zip(rows).zip(columns) {
        let class_ix = ClassIx::new(place(class));
        let Some(pod) = set.classes()[class].pods().first() else { continue };
        let isolated = Direction::BOTH.map(|d| !set.isolating(d, End::Pod(*pod)).is_empty());
        let key = (row.finish(), column.finish(), isolated);
        alike.insert(class_ix, *first.entry(key).or_insert(class_ix));
    }
    alike
}

fn address_groups(set: &PolicySet) -> Vec<Group<'static>> {
    let blocks: Vec<&IpBlock> = blocks(set.policies());
    let mut groups: Vec<Group<'static>> = set
        .atoms()
        .iter()
        .enumerate()
        .map(|(n, atom)| Group {
            who: addresses(atom, &blocks),
            party: Party::Addresses(AtomIx::new(place(n))),
            isolated: [false; 2],
        })
        .collect();
    let first = |group: &Group<'_>| match &group.who {
        Who::Addresses { cidrs, elsewhere } => (*elsewhere, cidrs.first().copied()),
        Who::Pods { .. } => (false, None),
    };
    groups.sort_by_key(first);
    groups
}

fn addresses(atom: &Atom, blocks: &[&IpBlock]) -> Who<'static> {
    let ip: IpAddr = atom.representative();
    Who::Addresses {
        cidrs: atom.cidrs(),
        elsewhere: !blocks.iter().any(|block| block.contains(ip)),
    }
}

fn blocks(policies: &[NetworkPolicy]) -> Vec<&IpBlock> {
    let rules = policies
        .iter()
        .flat_map(|policy| Direction::BOTH.map(|direction| policy.rules(direction)))
        .flatten()
        .flatten();
    let mut blocks: Vec<&IpBlock> = rules
        .filter_map(|rule| match &rule.peers {
            Peers::Only(peers) => Some(peers),
            Peers::Any => None,
        })
        .flatten()
        .filter_map(|peer| match peer {
            PeerMatch::IpBlock(block) => Some(block),
            PeerMatch::Pods { .. } => None,
        })
        .collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

/// A table position as the engine's compact index: tables hold fewer than 2^32 entries, since each entry stands for
/// an object in memory.
#[expect(clippy::cast_possible_truncation, reason = "tables hold fewer than 2^32 entries")]
pub(crate) const fn place(position: usize) -> u32 {
    position as u32
}
