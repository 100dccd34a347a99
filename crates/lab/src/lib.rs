//! A cluster of network namespaces on one machine: real packets between pods that are there as far as the network can
//! tell. Linux, as root. **Invariant**: knows the model, the kernel and the commands `ip` and `nft`; judges nothing by
//! the engine, so that one can be held against the other.
//!
//! [`Lab::up`] gives each node and each running pod of a cluster a namespace with its addresses. On the nodes
//! [`services::render`] translates Service addresses as kube-proxy does, and [`enforcement::render`] enforces
//! NetworkPolicies. [`show::Show`] lets everybody talk, and agents watch.

mod command;
pub mod dns;
pub mod enforcement;
mod error;
mod network;
pub mod play;
pub mod premises;
pub mod probe;
mod relay;
pub mod services;
pub mod show;
pub mod talk;

pub use error::LabError;
pub use network::Lab;
