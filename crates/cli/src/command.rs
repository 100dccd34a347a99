//! One module a command.

pub(crate) mod agents;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod edges;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod lint;
pub(crate) mod program;
pub(crate) mod reach;
pub(crate) mod serve;
pub(crate) mod store;
pub(crate) mod token;
