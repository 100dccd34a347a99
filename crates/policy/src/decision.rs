//! Verdicts, with what led to them.

use ringfence_model::Direction;

use crate::assumption::Assumption;
use crate::index::{ClusterPolicyIx, PolicyIx};

/// The item that allowed a connection: one entry of `from`/`to` with one entry of `ports` of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleRef {
    /// The policy.
    pub policy: PolicyIx,
    /// Its `ingress` or `egress` list.
    pub direction: Direction,
    /// The rule in that list, from 0.
    pub rule: u32,
    /// The entry of `from` or `to`, from 0; `None` when the list is empty and so matches everybody.
    pub peer: Option<u32>,
    /// The entry of `ports`, from 0; `None` when the list is empty and so matches every port.
    pub port: Option<u32>,
}

/// The rule of a cluster-wide policy that decided about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterRuleRef {
    /// The policy.
    pub policy: ClusterPolicyIx,
    /// Its `ingress` or `egress` list.
    pub direction: Direction,
    /// The rule in that list, from 0.
    pub rule: u32,
}

/// What the policies of one end say about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Policies do not apply to this end: an address, or a host-network pod that counts as its node.
    NotSubject,
    /// No policy isolates the pod in this direction, and no cluster-wide policy decides.
    NotIsolated,
    /// The source is the node that runs the pod: always allowed in (`NetworkPolicySpec.ingress`).
    OwnNode,
    /// The pod talks to itself.
    SelfTraffic,
    /// A rule of a cluster-wide policy accepts it.
    ClusterAccepted(ClusterRuleRef),
    /// A rule of a cluster-wide policy denies it.
    ClusterDenied(ClusterRuleRef),
    /// Every item that allows it, sorted.
    Allowed(Vec<RuleRef>),
    /// The policies that isolate the pod, none of which allows it, sorted.
    Denied(Vec<PolicyIx>),
}

impl Judgement {
    /// Whether this end lets the connection pass.
    pub const fn allowed(&self) -> bool {
        match self {
            Self::NotSubject
            | Self::NotIsolated
            | Self::OwnNode
            | Self::SelfTraffic
            | Self::ClusterAccepted(_)
            | Self::Allowed(_) => true,
            Self::ClusterDenied(_) | Self::Denied(_) => false,
        }
    }
}

/// The verdict about a connection. Both ends must let it pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the policies of the source say.
    pub egress: Judgement,
    /// What the policies of the destination say.
    pub ingress: Judgement,
    /// The open points of the specification that it touched, sorted and distinct.
    pub assumptions: Vec<Assumption>,
}

impl Decision {
    /// Whether the connection is allowed.
    pub const fn allowed(&self) -> bool {
        self.egress.allowed() && self.ingress.allowed()
    }

    /// The judgement of a direction.
    pub const fn judgement(&self, direction: Direction) -> &Judgement {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}
