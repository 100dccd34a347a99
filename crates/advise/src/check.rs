//! Observed edges judged by policies.

use std::collections::BTreeSet;
use std::fmt;

use ringfence_model::{Direction, Edge, L4, Nature};
use ringfence_policy::{Judgement, RuleRef};
use serde::Serialize;

use crate::witness::World;

/// What policies make of an observed edge.
#[derive(Clone, Debug)]
pub struct Checked<'a> {
    /// The edge.
    pub edge: &'a Edge,
    /// Whether it passes.
    pub passes: Passes,
    /// One connection of it: one that is denied, if there is one.
    pub example: Option<String>,
    /// The policies that deny the example, or the rules that allow it.
    pub because: Vec<String>,
}

/// Whether the connections of an edge pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Passes {
    /// Between all pods.
    #[serde(rename = "allowed")]
    All,
    /// Between some pods only.
    #[serde(rename = "partly")]
    Some,
    /// Between none.
    #[serde(rename = "denied")]
    None,
    /// Policies cannot say: ICMP, or an end that is not in the cluster input.
    #[serde(rename = "unknown")]
    Unknown,
}

/// As in the JSON of a certificate.
impl fmt::Display for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::All => "allowed",
            Self::Some => "partly",
            Self::None => "denied",
            Self::Unknown => "unknown",
        })
    }
}

/// Judges edges, in their order.
pub fn check<'a>(world: &World<'_>, edges: &'a [Edge]) -> Vec<Checked<'a>> {
    edges.iter().map(|edge| check_edge(world, edge)).collect()
}

/// The rules that let connections of an edge pass, at either end, sorted.
pub fn rules(world: &World<'_>, edge: &Edge) -> Vec<RuleRef> {
    let L4::Port(protocol, port) = edge.key.l4 else { return Vec::new() };
    let mut rules = BTreeSet::new();
    for connection in world.connections(&edge.key, protocol, port) {
        for direction in Direction::BOTH {
            if let Judgement::Allowed(items) = world.set().judge(direction, &connection) {
                rules.extend(items);
            }
        }
    }
    rules.into_iter().collect()
}

fn check_edge<'a>(world: &World<'_>, edge: &'a Edge) -> Checked<'a> {
    let unknown = Checked { edge, passes: Passes::Unknown, example: None, because: Vec::new() };
    let L4::Port(protocol, port) = edge.key.l4 else { return unknown };
    if edge.key.nature == Nature::OwnNode {
        // Whatever runs on that node now: the pod seen there may have moved.
        let because = vec!["traffic from a pod's own node is always allowed".to_owned()];
        return Checked { edge, passes: Passes::All, example: None, because };
    }
    let (mut allowed, mut denied) = (None, None);
    for connection in world.connections(&edge.key, protocol, port) {
        let slot = if world.set().allows(&connection) { &mut allowed } else { &mut denied };
        slot.get_or_insert(connection);
    }
    let passes = match (&allowed, &denied) {
        (Some(_), None) => Passes::All,
        (Some(_), Some(_)) => Passes::Some,
        (None, Some(_)) => Passes::None,
        (None, None) => return unknown,
    };
    let Some(example) = denied.or(allowed) else { return unknown };
    let decision = world.set().decide(&example);
    let because =
        if denied.is_some() { world.denying(&decision) } else { world.allowing(&decision) };
    Checked { edge, passes, example: Some(world.show(&example)), because }
}
