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

#[cfg(test)]
mod tests {
    use ringfence_model::{AddressClass, Evidence, L4, Nature, Origin, Port, Protocol, Timestamp};

    use super::*;

    fn alias(name: &str, cidrs: &[&str]) -> Alias {
        let cidrs = cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect();
        Alias { name: name.into(), cidrs, allowed: true, origin: Origin::default() }
    }

    fn edge(destination: &str, forwarded: u64) -> Edge {
        let moment = Timestamp::from_secs(1);
        let evidence =
            Evidence { first_seen: moment, last_seen: moment, forwarded, dropped: 0, refused: 0 };
        Edge {
            key: EdgeKey {
                source: Peer::Node("n1".parse().unwrap()),
                destination: Peer::Address(destination.parse().unwrap(), AddressClass::External),
                l4: L4::Port(Protocol::Tcp, Port::MIN),
                nature: Nature::Ordinary,
            },
            evidence,
            services: Vec::new(),
        }
    }

    #[test]
    fn the_longest_prefix_names_an_address_and_edges_that_become_one_add_up() {
        let aliases = [
            alias("wide", &["198.51.100.0/24", "2001:db8::/32"]),
            alias("narrow", &["198.51.100.0/28"]),
        ];
        let edges = ["198.51.100.1", "198.51.100.2", "198.51.100.99", "203.0.113.1", "2001:db8::1"]
            .map(|ip| edge(ip, 3));
        let named: Vec<String> = apply(edges.to_vec(), &aliases)
            .iter()
            .map(|edge| format!("{} {}", edge.key.destination, edge.evidence.forwarded))
            .collect();
        assert_eq!(named, ["Alias/narrow 6", "Alias/wide 6", "203.0.113.1 3"]);
    }
}
