//! Reachability for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ringfence_advise::{Connectivity, Focus, FocusSide};
use ringfence_model::Direction;
use ringfence_policy::ConnectionSet;

use crate::output::table as columns;
use crate::reach::Crowd;

/// The peers of each end, by what passes.
type Peers = BTreeMap<usize, BTreeMap<ConnectionSet, Vec<usize>>>;

/// What reaches each end that is isolated for ingress, and what each end that is isolated for egress reaches. The
/// others are listed: between two of them everything passes.
pub(crate) fn table(connectivity: &Connectivity<'_>, focus: &Focus) -> String {
    let crowd = Crowd::of(connectivity);
    let groups = connectivity.groups();
    let (mut ingress, mut egress) = (Peers::new(), Peers::new());
    connectivity.walk(focus, |link| {
        let add = |peers: &mut Peers, end: usize, peer: usize| {
            let sets = peers.entry(end).or_default();
            match sets.get_mut(link.connections) {
                Some(ends) => ends.push(peer),
                None => {
                    sets.insert(link.connections.clone(), vec![peer]);
                }
            }
        };
        let (from, to) = (link.source, link.destination);
        if focus.side() != FocusSide::From
            && focus.contains(to)
            && groups[to].is_isolated(Direction::Ingress)
        {
            add(&mut ingress, to, from);
        }
        if focus.side() != FocusSide::To
            && focus.contains(from)
            && groups[from].is_isolated(Direction::Egress)
        {
            add(&mut egress, from, to);
        }
    });
    let mut text = String::new();
    if focus.side() != FocusSide::From {
        section(&mut text, &crowd, connectivity, focus, Direction::Ingress, &ingress);
    }
    if focus.side() == FocusSide::Either {
        text.push('\n');
    }
    if focus.side() != FocusSide::To {
        section(&mut text, &crowd, connectivity, focus, Direction::Egress, &egress);
    }
    text
}

fn section(
    text: &mut String,
    crowd: &Crowd<'_>,
    connectivity: &Connectivity<'_>,
    focus: &Focus,
    direction: Direction,
    peers: &Peers,
) {
    let (title, who, word, open) = match direction {
        Direction::Ingress => ("INGRESS", "FROM", "ingress", "they take whatever may be sent"),
        Direction::Egress => ("EGRESS", "TO", "egress", "they reach whatever takes it"),
    };
    let nobody = BTreeMap::new();
    let (mut rows, mut not_isolated, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
    for (end, group) in connectivity.groups().iter().enumerate() {
        if !focus.contains(end) || group.namespace().is_none() {
            continue;
        }
        if connectivity.is_node(group) {
            nodes.push(end);
        } else if group.is_isolated(direction) {
            let sets = peers.get(&end).unwrap_or(&nobody);
            let row = |peer: String, ports: String| [crowd.name(end).to_owned(), peer, ports];
            if sets.is_empty() {
                rows.push(row("nobody".to_owned(), "none".to_owned()));
            }
            for (connections, ends) in sets {
                let told = crowd.tell(ends, Some(end));
                rows.extend(told.into_iter().map(|peer| row(peer, connections.to_string())));
            }
        } else {
            not_isolated.push(end);
        }
    }
    let _ = writeln!(text, "{title}");
    if !rows.is_empty() {
        text.push_str(&columns(["WORKLOAD", who, "PORTS"], rows));
    }
    if !not_isolated.is_empty() {
        let told = crowd.tell(&not_isolated, None).join(", ");
        let _ = writeln!(text, "not isolated for {word}, so {open}: {told}");
    }
    if !nodes.is_empty() {
        let told = crowd.tell(&nodes, None).join(", ");
        let _ = writeln!(text, "host-network pods, to which policies do not apply: {told}");
    }
}
