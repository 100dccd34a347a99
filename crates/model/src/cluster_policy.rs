//! Cluster-wide policies, which stand before and behind `NetworkPolicies`.
//!
//! The model is `policy.networking.k8s.io` `ClusterNetworkPolicy` v1alpha2. The older kinds of v1alpha1 read as it:
//! an `AdminNetworkPolicy` is of the Admin tier with Allow for Accept, the `BaselineAdminNetworkPolicy` of the
//! Baseline tier.

use std::fmt;
use std::sync::Arc;

use crate::diagnostic::Origin;
use crate::identity::Name;
use crate::label::Selector;
use crate::net::{Cidr, PortRange, Protocol};
use crate::policy::Direction;

/// A `ClusterNetworkPolicy`, or an older kind that reads as it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterPolicy {
    /// The kind that it was read from. Objects of two kinds may share a name.
    pub kind: ClusterPolicyKind,
    /// Its name.
    pub name: Name,
    /// Where it was read.
    pub origin: Origin,
    /// Before or behind `NetworkPolicies`.
    pub tier: Tier,
    /// 0 to 1000; lower ones come first. Which of equal ones comes first is undefined. The
    /// `BaselineAdminNetworkPolicy`, which has none, counts as 0.
    pub priority: u16,
    /// The pods it applies to, never host-network pods.
    pub subject: ClusterPods,
    /// Rules for connections into these pods, in their order. Without rules it does not affect them.
    pub ingress: Vec<ClusterRule>,
    /// Rules for connections out of these pods, in their order. Without rules it does not affect them.
    pub egress: Vec<ClusterRule>,
}

impl ClusterPolicy {
    /// The rules of a direction.
    pub fn rules(&self, direction: Direction) -> &[ClusterRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// The name.
impl fmt::Display for ClusterPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// The kinds of the API group `policy.networking.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClusterPolicyKind {
    /// Of either tier.
    ClusterNetworkPolicy,
    /// v1alpha1, of the Admin tier.
    AdminNetworkPolicy,
    /// v1alpha1, of the Baseline tier. A cluster has one at most, named `default`.
    BaselineAdminNetworkPolicy,
}

impl fmt::Display for ClusterPolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
            Self::AdminNetworkPolicy => "AdminNetworkPolicy",
            Self::BaselineAdminNetworkPolicy => "BaselineAdminNetworkPolicy",
        })
    }
}

/// Where a [`ClusterPolicy`] stands: Admin, then `NetworkPolicies`, then Baseline; what no tier decides is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Before `NetworkPolicies`, which cannot override it.
    Admin,
    /// Behind `NetworkPolicies`: only for pods that none of them isolates.
    Baseline,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Admin => "Admin",
            Self::Baseline => "Baseline",
        })
    }
}

/// What a rule does with the traffic that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Lets it pass, finally.
    Accept,
    /// Drops it, finally.
    Deny,
    /// Skips the rest of the tier.
    Pass,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Accept => "Accept",
            Self::Deny => "Deny",
            Self::Pass => "Pass",
        })
    }
}

/// One rule of a [`ClusterPolicy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRule {
    /// Its name, when it has one.
    pub name: Option<Arc<str>>,
    /// Where the rule was read.
    pub origin: Origin,
    /// What it does.
    pub action: Action,
    /// `from` or `to`: any one of these. An empty list matches nobody.
    pub peers: Vec<ClusterPeer>,
    /// `protocols` (`ports` in v1alpha1).
    pub ports: ClusterPorts,
}

/// Pods chosen by namespace and label. Selectors never match host-network pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterPods {
    /// The namespaces; the empty selector means all.
    pub namespaces: Selector,
    /// The pods in them; the empty selector means all.
    pub pods: Selector,
}

/// One peer of a [`ClusterRule`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClusterPeer {
    /// `namespaces`, and `pods`.
    Pods(ClusterPods),
    /// `nodes`: the addresses of the nodes with these labels. Egress only.
    Nodes(Selector),
    /// `networks`: addresses in any of these, those of pods and nodes included. Egress only.
    Networks(Vec<Cidr>),
    /// `domainNames`. Egress and Accept only.
    DomainNames(Vec<Arc<str>>),
    /// Something that this version does not know. The API asks to fail closed: an Accept rule with it matches
    /// nothing, a Deny or Pass rule with it denies everything.
    Unknown,
}

/// Which ports a [`ClusterRule`] matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterPorts {
    /// Empty or missing: all traffic.
    Any,
    /// Any one of these.
    Only(Vec<ClusterPort>),
}

/// One entry of `protocols`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClusterPort {
    /// Ports of a protocol; every port of it when none is given.
    Numbers(Protocol, PortRange),
    /// A port name, resolved on each destination pod. Of every protocol under that name when none is given, as in
    /// v1alpha2.
    Named(Arc<str>, Option<Protocol>),
    /// A protocol without ports, such as ICMP.
    Other,
}
