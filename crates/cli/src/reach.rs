//! How reachability is written, and how long lists of ends are told in few words.

mod crowd;
mod dot;
mod exposure;
mod pairs;
mod table;

pub(crate) use crowd::{Crowd, Kind, Member};
pub(crate) use dot::dot;
pub(crate) use exposure::exposure;
pub(crate) use pairs::{csv, json};
pub(crate) use table::table;
