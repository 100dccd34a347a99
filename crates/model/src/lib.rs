//! The words of Ringfence, one each: what a cluster is made of, what was observed in it, what people
//! decided about it, and the policies that follow.
//!
//! **Invariant**: this crate knows no file format, no clock, no disk, no network and no async runtime.
//! Readers and writers elsewhere turn wire formats into these types, whose constructors hold the rules.

pub mod cluster_policy;
pub mod counts;
pub mod diagnostic;
pub mod edge;
pub mod flow;
pub mod identity;
pub mod label;
pub mod net;
pub mod object;
pub mod observers;
pub mod policy;
pub mod resolve;
pub mod review;
pub mod time;

pub use cluster_policy::{
    Action, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPolicyKind, ClusterPort, ClusterPorts,
    ClusterRule, Tier,
};
pub use counts::{Counts, Tally};
pub use diagnostic::{Diagnostic, Origin, Severity, Values};
pub use edge::{Edge, EdgeKey, Evidence, Nature, ServicePortRef};
pub use flow::Flow;
pub use identity::{
    AddressClass, Name, NameError, Peer, PodRef, ServiceRef, WorkloadKind, WorkloadRef,
};
pub use label::{Labels, Operator, Requirement, Selector};
pub use net::{Cidr, IpBlock, L4, NetError, Port, PortRange, PortSet, Protocol};
pub use observers::{ObserverKind, Observers};
pub use policy::{
    Direction, NamespaceScope, NetworkPolicy, PeerMatch, Peers, PortMatch, PortTarget, Ports, Rule,
};
pub use time::{Span, Timestamp};
