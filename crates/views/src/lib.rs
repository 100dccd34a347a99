//! Answers about connectivity as machines read them: the command line prints them, and the server sends them.
//!
//! **Invariant**: shapes and words only; who reaches whom is `advise`'s to say.

pub mod diff;
pub mod explain;
pub mod exposure;
pub mod reach;

use ringfence_policy::ConnectionSet;

/// Ports for machines: `TCP/80`, `TCP/8000-8080`, `UDP/all`, or a single `all` for every port of every protocol.
pub fn ports(connections: &ConnectionSet) -> Vec<String> {
    if connections.is_empty() {
        return Vec::new();
    }
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
