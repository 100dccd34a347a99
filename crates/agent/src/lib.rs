//! Observation of a node or host. **Invariant**: joins the kernel's counts with whose they are, and knows of the cluster
//! only what the machine itself can tell.

pub mod batch;
pub mod deliver;
pub mod observation;
pub mod owner;
pub mod privilege;
pub mod spool;
pub mod watch;
