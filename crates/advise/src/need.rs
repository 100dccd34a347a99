//! What a policy must let through, and why.

use ringfence_model::{
    Direction, Evidence, IpBlock, Name, Origin, Port, PortMatch, PortSet, PortTarget, Protocol,
    WorkloadRef,
};
use ringfence_policy::ConnectionSet;

/// Whose policy: one workload, or all pods of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Every pod of a namespace, present and future.
    Namespace(Name),
    /// The pods of a workload.
    Workload(WorkloadRef),
}

impl Subject {
    /// The namespace that the policy lives in.
    pub fn namespace(&self) -> &Name {
        match self {
            Self::Namespace(namespace) => namespace,
            Self::Workload(workload) => &workload.namespace,
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Namespace(namespace) => write!(f, "{namespace}/*"),
            Self::Workload(workload) => workload.fmt(f),
        }
    }
}

/// Who must get through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// Everybody, outside included.
    Anyone,
    /// Every pod of a namespace.
    Namespace(Name),
    /// The pods of a workload.
    Workload(WorkloadRef),
    /// Addresses.
    Block(IpBlock),
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Namespace(namespace) => write!(f, "{namespace}/*"),
            Self::Workload(workload) => workload.fmt(f),
            Self::Block(block) => block.fmt(f),
        }
    }
}

/// Why a need exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was observed, and nothing in the review speaks against it.
    Observed(Evidence),
    /// The review includes the edge; it may have been observed too.
    Included(Origin, Option<Evidence>),
    /// A CIDR rule of the review.
    CidrRule(Origin),
    /// The general rule of the direction.
    GeneralRule,
    /// Name resolution, without which egress isolation stops an application; with what was observed of it.
    Dns(Option<Evidence>),
}

/// One thing that the policy of a subject must let through in a direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Whose policy.
    pub subject: Subject,
    /// Into or out of the subject.
    pub direction: Direction,
    /// The other end.
    pub party: Party,
    /// How people know the other end: a workload, a node, an alias, an address.
    pub label: String,
    /// Protocols and ports at the destination.
    pub ports: ConnectionSet,
    /// Why.
    pub reason: Reason,
}

/// The ports of a CIDR rule; none named means all. A named port is resolved on pods, so for addresses it is no port.
pub(crate) fn declared_ports(ports: &[PortMatch]) -> ConnectionSet {
    if ports.is_empty() {
        return ConnectionSet::all();
    }
    let mut set = ConnectionSet::empty();
    for PortMatch { protocol, target } in ports {
        let ports: PortSet = match target {
            PortTarget::Any => PortSet::all(),
            PortTarget::Numbers(range) => [*range].into_iter().collect(),
            PortTarget::Named(_) => PortSet::empty(),
        };
        set = set.union(&ConnectionSet::ports(*protocol, ports));
    }
    set
}

/// One port of one protocol.
pub(crate) fn single_port(protocol: Protocol, port: Port) -> ConnectionSet {
    ConnectionSet::ports(protocol, [port].into_iter().collect())
}
