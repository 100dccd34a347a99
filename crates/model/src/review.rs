//! People's decisions over edges: what the review file says, checked.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::diagnostic::Origin;
use crate::identity::{Name, Peer, WorkloadRef};
use crate::net::{Cidr, IpBlock, L4};
use crate::policy::{Direction, PortMatch};

/// A `ringfence.dev/v1alpha1` Review. The default changes nothing: allow what was observed between known peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// General rules for every workload in scope.
    pub rules: GeneralRules,
    /// General rules for single workloads, which win over [`Review::rules`].
    pub workloads: Vec<WorkloadRules>,
    /// Decisions about single edges, which win over general rules.
    pub edges: Vec<EdgeDecision>,
    /// Addresses to allow without having seen them.
    pub cidr_rules: Vec<CidrRule>,
    /// Names for addresses.
    pub aliases: Vec<Alias>,
    /// Which labels go into selectors.
    pub labels: LabelChoice,
    /// What the cluster's address space is, where the objects do not say.
    pub cluster: ClusterCidrs,
}

/// The general rule of a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GeneralRule {
    /// Allow what was observed between known peers.
    #[default]
    Observed,
    /// Allow nothing.
    BlockAll,
    /// Allow everything inside the namespace.
    AllowNamespace,
    /// Allow everything.
    AllowAll,
    /// Leave the direction as it is: the policy does not isolate in it.
    Unmanaged,
}

/// A general rule per direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GeneralRules {
    /// For connections into the workload.
    pub ingress: GeneralRule,
    /// For connections out of the workload.
    pub egress: GeneralRule,
}

impl GeneralRules {
    /// The rule of a direction.
    pub const fn get(&self, direction: Direction) -> GeneralRule {
        match direction {
            Direction::Ingress => self.ingress,
            Direction::Egress => self.egress,
        }
    }
}

/// General rules for one workload; `None` keeps the review's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadRules {
    /// The workload.
    pub workload: WorkloadRef,
    /// Rule for connections into it.
    pub ingress: Option<GeneralRule>,
    /// Rule for connections out of it.
    pub egress: Option<GeneralRule>,
    /// Where the entry stands.
    pub origin: Origin,
}

/// Whether an edge may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Choice {
    /// Allow it, observed or not.
    Include,
    /// Forbid it.
    Exclude,
}

/// A decision about the edges that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeDecision {
    /// Allow or forbid.
    pub choice: Choice,
    /// The client.
    pub source: PeerPattern,
    /// The server.
    pub destination: PeerPattern,
    /// Protocol and port; `None` means any.
    pub l4: Option<L4>,
    /// Where the entry stands.
    pub origin: Origin,
}

/// Which peers an [`EdgeDecision`] speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerPattern {
    /// Any peer.
    Any,
    /// Every workload of a namespace.
    Namespace(Name),
    /// This peer. A [`Peer::Address`] matches whatever its class.
    Peer(Peer),
    /// Unresolved addresses inside.
    Cidr(Cidr),
}

/// Addresses to allow by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CidrRule {
    /// Into or out of the workloads.
    pub direction: Direction,
    /// The workload; `None` for every workload in scope.
    pub workload: Option<WorkloadRef>,
    /// The addresses.
    pub block: IpBlock,
    /// The ports; empty means all ports.
    pub ports: Vec<PortMatch>,
    /// Where the entry stands.
    pub origin: Origin,
}

/// A named group of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Its name.
    pub name: Arc<str>,
    /// Its addresses.
    pub cidrs: Vec<Cidr>,
    /// Whether observed edges with it may go into policies.
    pub allowed: bool,
    /// Where the entry stands.
    pub origin: Origin,
}

/// Which labels go into selectors, beside those of the controllers' own selectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelChoice {
    /// Pod template labels to add.
    pub include: BTreeSet<Arc<str>>,
    /// Labels to leave out.
    pub exclude: BTreeSet<Arc<str>>,
    /// Namespace labels to select namespaces by; empty means `kubernetes.io/metadata.name`.
    pub namespace: BTreeSet<Arc<str>>,
}

/// The address space of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterCidrs {
    /// Pod CIDRs.
    pub pods: Vec<Cidr>,
    /// Service CIDRs.
    pub services: Vec<Cidr>,
    /// Names of further processes whose `--cluster-cidr` and `--service-cluster-ip-range` arguments to trust.
    pub processes: Vec<Arc<str>>,
}
