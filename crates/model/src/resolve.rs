//! How observed addresses become peers: the question that the aggregator asks and the inventory answers.

use std::net::IpAddr;
use std::sync::Arc;

use crate::edge::ServicePortRef;
use crate::identity::{Name, Peer, PodRef, WorkloadRef};
use crate::label::Labels;
use crate::net::{Port, Protocol};
use crate::time::{Span, Timestamp};

/// What an observer itself says about an address. It was there, so it wins over what today's objects say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    /// A pod, with its workload and labels when the observer knew them.
    Pod {
        /// Namespace and name.
        pod: PodRef,
        /// The workload as the observer names it: not always the top owner.
        workload: Option<WorkloadRef>,
        /// Labels of that moment.
        labels: Option<Labels>,
    },
    /// The node that the observer runs on (Cilium `reserved:host`), or the one it names.
    Node(Option<Name>),
    /// The machine outside Kubernetes that the observer runs on.
    Host(Name),
    /// Some other node of the cluster (Cilium `reserved:remote-node`, `reserved:kube-apiserver`).
    OtherNode,
    /// Outside the cluster (Cilium `reserved:world`). Also said of Service addresses before translation.
    World,
}

/// The answer about one address at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Who.
    pub peer: Peer,
    /// The node that ran the pod, or the node or host itself: where an observer of its own would stand.
    pub node: Option<Name>,
    /// How long the same question has the same answer, so that it can be cached.
    pub valid: Span,
}

/// The answer about one Service address and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTarget {
    /// The Service port dialled.
    pub service: ServicePortRef,
    /// Ports at the endpoints, by the workload that backs the Service; more than one when backends differ.
    pub backends: Arc<[(Peer, Port)]>,
}

/// Turns addresses into peers.
pub trait Resolver {
    /// Who stood at an address at a moment. Never fails: what is not known is [`Peer::Address`].
    fn resolve(&self, ip: IpAddr, at: Timestamp, hint: Option<&Hint>) -> Resolved;

    /// The Service that an address and port belong to (cluster IP, external IP or load balancer address).
    fn service(&self, ip: IpAddr, protocol: Protocol, port: Port) -> Option<ServiceTarget>;
}
