//! How reachability is written, and how long lists of ends are told in few words.

mod crowd;
mod dot;
mod exposure;
mod pairs;
mod table;

use ringfence_policy::ConnectionSet;

pub(crate) use crowd::{Crowd, Kind, Member};
pub(crate) use dot::dot;
pub(crate) use exposure::exposure;
pub(crate) use pairs::{csv, json};
pub(crate) use table::table;

/// Ports for machines: `TCP/80`, `TCP/8000-8080`, `UDP/all`, or a single `all` for every port of every protocol.
pub(crate) fn ports(connections: &ConnectionSet) -> Vec<String> {
    if connections.is_all() {
        return vec!["all".to_owned()];
    }
    connections
        .ranges()
        .map(|(protocol, range)| {
            if connections.get(protocol).is_all() {
                format!("{protocol}/all")
            } else {
                format!("{protocol}/{range}")
            }
        })
        .collect()
}
