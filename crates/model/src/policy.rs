//! NetworkPolicies as their API text defines them, with every "empty means all" spelled out.

use std::fmt;
use std::sync::Arc;

use crate::diagnostic::Origin;
use crate::identity::Name;
use crate::label::Selector;
use crate::net::{IpBlock, PortRange, Protocol};

/// The side of a connection that a rule governs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Into the selected pods.
    Ingress,
    /// Out of the selected pods.
    Egress,
}

impl Direction {
    /// Both, in the order of every listing.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        })
    }
}

/// A `networking.k8s.io/v1` NetworkPolicy after server defaulting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Namespace it lives in, whose pods it selects.
    pub namespace: Name,
    /// Its name.
    pub name: Name,
    /// Where it was read.
    pub origin: Origin,
    /// The pods it applies to.
    pub pod_selector: Selector,
    /// `None`: does not isolate for ingress (`policyTypes` without Ingress).
    /// `Some(vec![])`: isolates and allows nothing.
    pub ingress: Option<Vec<Rule>>,
    /// `None`: does not isolate for egress. `Some(vec![])`: isolates and allows nothing.
    pub egress: Option<Vec<Rule>>,
}

impl NetworkPolicy {
    /// The rules of a direction; `None` when the policy does not isolate in it.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

/// `namespace/name`.
impl fmt::Display for NetworkPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One allow rule: traffic passes when a peer and a port match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where the rule was read.
    pub origin: Origin,
    /// Who.
    pub peers: Peers,
    /// What.
    pub ports: Ports,
}

/// Who a rule allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// `from`/`to` empty or missing: "this rule matches all sources (traffic not restricted by source)".
    Any,
    /// Any one of these.
    Only(Vec<PeerMatch>),
}

/// One `NetworkPolicyPeer`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerMatch {
    /// Pods with these labels in these namespaces (both must match). Never addresses outside the cluster.
    Pods {
        /// The namespaces.
        namespaces: NamespaceScope,
        /// The pods in them.
        pods: Selector,
    },
    /// Addresses.
    IpBlock(IpBlock),
}

/// The namespaces of a [`PeerMatch::Pods`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamespaceScope {
    /// No `namespaceSelector`: the policy's own namespace.
    Own,
    /// Namespaces with these labels; the empty selector means all namespaces.
    Matching(Selector),
}

/// Which ports a rule allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// `ports` empty or missing: "this rule matches all ports (traffic not restricted by port)", and all protocols.
    Any,
    /// Any one of these.
    Only(Vec<PortMatch>),
}

/// One `NetworkPolicyPort`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortMatch {
    /// The protocol; TCP when the file named none.
    pub protocol: Protocol,
    /// The port or ports.
    pub target: PortTarget,
}

/// The port of a [`PortMatch`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortTarget {
    /// `port` missing: every port of the protocol.
    Any,
    /// `port` as a number, with `endPort` when given.
    Numbers(PortRange),
    /// `port` as a name, resolved on each destination pod by name and protocol. A pod without it does not match.
    Named(Arc<str>),
}
