//! Observation of a node or host. **Invariant**: joins the kernel's counts with whose they are, and knows of the cluster
//! only what the machine itself can tell.

pub mod batch;
mod conntrack;
pub mod deliver;
pub mod enrol;
pub mod host;
mod netlink;
pub mod observation;
pub mod owner;
pub mod privilege;
pub mod runtime;
pub mod sandbox;
mod sockets;
pub mod spool;
mod tracker;
mod translation;
pub mod watch;
