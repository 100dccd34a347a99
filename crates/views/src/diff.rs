//! What passes otherwise than before.

use ringfence_advise::{ChangedEnd, ChangedPair, ChangedWho, Changes as Found, Presence as Stays};
use serde::Serialize;

use crate::ports;

/// The connectivity that differs. Only ends of pairs are listed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Changes {
    /// The profile of the network plugin.
    pub profile: String,
    /// How many pairs there are of each kind of change.
    pub counts: ChangeCounts,
    /// Who is at the ends.
    pub ends: Vec<End>,
    /// What changes.
    pub pairs: Vec<Pair>,
}

/// How many pairs there are of each kind of change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChangeCounts {
    /// Pairs between which nothing passed before.
    pub added: usize,
    /// Pairs between which nothing passes any more.
    pub removed: usize,
    /// Pairs with other ports than before.
    pub changed: usize,
}

impl ChangeCounts {
    /// Counts.
    pub fn of(changes: &Found<'_>) -> Self {
        let mut counts = Self::default();
        for pair in &changes.pairs {
            match kind(changes, pair) {
                PairChange::Added => counts.added += 1,
                PairChange::Removed => counts.removed += 1,
                PairChange::Changed => counts.changed += 1,
            }
        }
        counts
    }
}

/// Who is at an end.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = ChangedEnd))]
pub struct End {
    /// How pairs name it; different for each.
    pub id: String,
    /// The workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub workload: Option<String>,
    /// The pods, where only some of the workload are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub pods: Option<Vec<String>>,
    /// The addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub cidrs: Option<Vec<String>>,
    /// When it is there.
    pub presence: Presence,
}

/// When an end is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Presence {
    /// Before and after.
    Both,
    /// It has gone.
    Before,
    /// It has come.
    After,
}

/// What changes between two ends.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = ChangedPair))]
pub struct Pair {
    /// Who opens the connections, by id.
    pub source: String,
    /// Who is reached.
    pub destination: String,
    /// What happens.
    #[serde(flatten)]
    pub change: PairPorts,
}

/// What passes between two ends, before and after.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PairPorts {
    /// The kind of change.
    pub change: PairChange,
    /// All ports that passed.
    pub before: Vec<String>,
    /// All ports that pass.
    pub after: Vec<String>,
    /// Ports that pass only now.
    pub opened: Vec<String>,
    /// Ports that passed only before.
    pub closed: Vec<String>,
}

/// The kinds of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum PairChange {
    /// Nothing passed before.
    Added,
    /// Nothing passes any more.
    Removed,
    /// Other ports pass than before.
    Changed,
}

impl PairChange {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// The kind of change of a pair.
pub fn kind(changes: &Found<'_>, pair: &ChangedPair) -> PairChange {
    match (changes.sets[pair.before].is_empty(), changes.sets[pair.after].is_empty()) {
        (true, _) => PairChange::Added,
        (_, true) => PairChange::Removed,
        _ => PairChange::Changed,
    }
}

/// What an end is called; different for each.
pub fn name(who: &ChangedWho<'_>) -> String {
    match who {
        ChangedWho::Workload(workload) => workload.to_string(),
        ChangedWho::Part(workload, pods) => {
            let first = pods.first().map_or("", String::as_str);
            match pods.len() {
                0 | 1 => format!("{workload}[{first}]"),
                n => format!("{workload}[{first},+{}]", n - 1),
            }
        }
        ChangedWho::Addresses(cidrs) => {
            let first = cidrs.first().map(ToString::to_string).unwrap_or_default();
            match cidrs.len() {
                0 | 1 => first,
                n => format!("{first},+{}", n - 1),
            }
        }
    }
}

/// An end as it is written.
pub fn end(end: &ChangedEnd<'_>) -> End {
    End {
        id: name(&end.who),
        workload: end.who.workload().map(ToString::to_string),
        pods: match &end.who {
            ChangedWho::Part(_, pods) => Some(pods.clone()),
            _ => None,
        },
        cidrs: match &end.who {
            ChangedWho::Addresses(cidrs) => Some(cidrs.iter().map(ToString::to_string).collect()),
            _ => None,
        },
        presence: match end.presence {
            Stays::Both => Presence::Both,
            Stays::Before => Presence::Before,
            Stays::After => Presence::After,
        },
    }
}

/// The ends that pairs speak of.
pub fn used_ends<'a, 'c>(changes: &'c Found<'a>) -> impl Iterator<Item = &'c ChangedEnd<'a>> {
    let mut used = vec![false; changes.ends.len()];
    for pair in &changes.pairs {
        used[pair.source] = true;
        used[pair.destination] = true;
    }
    changes.ends.iter().zip(used).filter(|(_, used)| *used).map(|(end, _)| end)
}

/// What changes at a pair.
pub fn pair_ports(changes: &Found<'_>, pair: &ChangedPair) -> PairPorts {
    let (before, after) = (&changes.sets[pair.before], &changes.sets[pair.after]);
    PairPorts {
        change: kind(changes, pair),
        before: ports(before),
        after: ports(after),
        opened: ports(&after.difference(before)),
        closed: ports(&before.difference(after)),
    }
}

/// All changes.
pub fn diff(profile: &str, changes: &Found<'_>) -> Changes {
    let ids: Vec<String> = changes.ends.iter().map(|end| name(&end.who)).collect();
    let pair = |pair: &ChangedPair| Pair {
        source: ids[pair.source].clone(),
        destination: ids[pair.destination].clone(),
        change: pair_ports(changes, pair),
    };
    Changes {
        profile: profile.to_owned(),
        counts: ChangeCounts::of(changes),
        ends: used_ends(changes).map(end).collect(),
        pairs: changes.pairs.iter().map(pair).collect(),
    }
}
