//! A cluster of network namespaces on one machine: real packets between pods that are there as far as the network can
//! tell. Linux, as root. **Invariant**: knows the model, the kernel and the commands `ip` and `nft`; judges nothing by
//! the engine, so that one can be held against the other.
//!
//! [`Lab::up`] gives each running pod of a cluster a namespace with its addresses, routed through one more namespace
//! that stands for the nodes. There [`services::render`] translates Service addresses as kube-proxy does, and
//! [`enforcement::render`] enforces NetworkPolicies.

pub mod enforcement;
mod network;
pub mod play;
pub mod services;
pub mod talk;

pub use network::{Lab, LabError};
