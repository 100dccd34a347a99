//! Addresses that the review gave a name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ringfence_model::review::Alias;
use ringfence_model::{Edge, EdgeKey, Peer};

/// Replaces aliased addresses by their alias and merges the edges that become one. Of several aliases with the
/// address, the one with the longest prefix counts. The result is sorted by key.
pub fn apply(edges: Vec<Edge>, aliases: &[Alias]) -> Vec<Edge> {
    let mut merged: BTreeMap<EdgeKey, Edge> = BTreeMap::new();
    for mut edge in edges {
        edge.key.source = aliased(edge.key.source, aliases);
        edge.key.destination = aliased(edge.key.destination, aliases);
        match merged.get_mut(&edge.key) {
            Some(known) => {
                known.evidence.merge(&edge.evidence);
                known.services.append(&mut edge.services);
                known.services.sort();
                known.services.dedup();
            }
            None => {
                merged.insert(edge.key.clone(), edge);
            }
        }
    }
    merged.into_values().collect()
}

fn aliased(peer: Peer, aliases: &[Alias]) -> Peer {
    let Peer::Address(ip, _) = peer else { return peer };
    match longest_match(ip, aliases) {
        Some(alias) => Peer::Alias(alias.name.clone()),
        None => peer,
    }
}

fn longest_match(ip: IpAddr, aliases: &[Alias]) -> Option<&Alias> {
    let longest = |alias: &&Alias| {
        alias
            .cidrs
            .iter()
            .filter(|cidr| cidr.contains(ip))
            .map(|cidr| cidr.net().prefix_len())
            .max()
    };
    aliases.iter().filter(|alias| longest(alias).is_some()).max_by_key(longest)
}
