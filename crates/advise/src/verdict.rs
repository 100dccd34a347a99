//! What becomes of an edge, and why.

use std::fmt;

use ringfence_model::review::GeneralRule;
use ringfence_model::{Origin, Values};
use serde::Serialize;

use crate::said::{Say, place, values};
use crate::selection::Unselectable;

/// What becomes of an edge under the review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It will pass.
    Kept(Kept),
    /// It will be forbidden.
    Cut(Cut),
    /// ICMP: NetworkPolicies do not name it, and what isolation does to it differs between network plugins.
    Unknown,
}

/// Why an edge passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Observed, and allowed by the general rule `Observed`.
    Observed,
    /// The review includes it.
    Included(Origin),
    /// A CIDR rule of the review covers it.
    CidrRule(Origin),
    /// The general rule `AllowNamespace` or `AllowAll`.
    GeneralRule(GeneralRule),
    /// Name resolution, added wherever egress is isolated.
    Dns,
    /// From the pod's own node, which no policy can forbid.
    OwnNode {
        /// Whether kubelet probes connect to this port.
        probe: bool,
    },
    /// The review leaves the direction as it is, or no policy can select the workload.
    Unmanaged,
}

/// Why an edge is forbidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The review excludes it.
    Excluded(Origin),
    /// The general rule `BlockAll`, or `AllowNamespace` for a peer outside.
    GeneralRule(GeneralRule),
    /// Every attempt was denied or refused, so it is not a need.
    NeverAccepted,
    /// The other end is an address that resolves to nothing, and the review does not let it in.
    Unresolved,
    /// The other end cannot be put into a policy.
    Unselectable(Unselectable),
    /// The policy of the workload at the other end forbids it.
    OtherEnd,
}

/// Why: `observed`, `excluded at review.yaml:7`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(why) => why.fmt(f),
            Self::Cut(why) => why.fmt(f),
            Self::Unknown => f.write_str("NetworkPolicies do not name ICMP"),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Observed => f.write_str("observed"),
            Self::Included(origin) => write!(f, "included at {origin}"),
            Self::CidrRule(origin) => write!(f, "CIDR rule at {origin}"),
            Self::GeneralRule(rule) => write!(f, "general rule {rule:?}"),
            Self::Dns => f.write_str("name resolution"),
            Self::OwnNode { probe: true } => {
                f.write_str("from the pod's own node, where probes come from")
            }
            Self::OwnNode { probe: false } => f.write_str("from the pod's own node"),
            Self::Unmanaged => f.write_str("direction not managed"),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded(origin) => write!(f, "excluded at {origin}"),
            Self::GeneralRule(rule) => write!(f, "general rule {rule:?}"),
            Self::NeverAccepted => f.write_str("every attempt was denied or refused"),
            Self::Unresolved => f.write_str("unresolved address"),
            Self::Unselectable(why) => why.fmt(f),
            Self::OtherEnd => f.write_str("the policy at the other end forbids it"),
        }
    }
}

/// Why an edge is allowed, forbidden, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ReasonCode {
    /// Allowed: observed, and the general rule is `Observed`.
    Observed,
    /// Allowed: the review includes it, at `file` and `line`.
    Included,
    /// Allowed: a CIDR rule of the review at `file` and `line` covers it.
    CidrRule,
    /// Allowed or forbidden by the general rule `rule`.
    GeneralRule,
    /// Allowed: name resolution.
    NameResolution,
    /// Allowed: from the pod's own node, on a port that probes use.
    OwnNodeProbe,
    /// Allowed: from the pod's own node.
    OwnNode,
    /// Allowed: the policy does not isolate in this direction.
    DirectionNotManaged,
    /// Forbidden: the review excludes it, at `file` and `line`.
    Excluded,
    /// Forbidden: every attempt was denied or refused.
    NeverAccepted,
    /// Forbidden: an address that resolves to nothing.
    UnresolvedAddress,
    /// Forbidden: the pods at the other end carry no label that outlives a rollout.
    NoStableLabel,
    /// Forbidden: the pods at the other end use the host network.
    HostNetwork,
    /// Forbidden: `namespace` carries none of the labels `keys`.
    NamespaceWithoutLabels,
    /// Forbidden: the other end is not in the cluster input.
    NotInInput,
    /// Forbidden: no address is known that is the host's alone.
    AddressesNotKnown,
    /// Forbidden: the policy at the other end forbids it.
    OtherEnd,
    /// Neither: `NetworkPolicies` do not name ICMP.
    Icmp,
}

/// Why: the sentence that follows "allowed:" or "forbidden:".
impl Say for Verdict {
    type Code = ReasonCode;

    fn code(&self) -> ReasonCode {
        match self {
            Self::Kept(why) => match why {
                Kept::Observed => ReasonCode::Observed,
                Kept::Included(_) => ReasonCode::Included,
                Kept::CidrRule(_) => ReasonCode::CidrRule,
                Kept::GeneralRule(_) => ReasonCode::GeneralRule,
                Kept::Dns => ReasonCode::NameResolution,
                Kept::OwnNode { probe: true } => ReasonCode::OwnNodeProbe,
                Kept::OwnNode { probe: false } => ReasonCode::OwnNode,
                Kept::Unmanaged => ReasonCode::DirectionNotManaged,
            },
            Self::Cut(why) => match why {
                Cut::Excluded(_) => ReasonCode::Excluded,
                Cut::GeneralRule(_) => ReasonCode::GeneralRule,
                Cut::NeverAccepted => ReasonCode::NeverAccepted,
                Cut::Unresolved => ReasonCode::UnresolvedAddress,
                Cut::Unselectable(Unselectable::NoStableLabel) => ReasonCode::NoStableLabel,
                Cut::Unselectable(Unselectable::HostNetwork) => ReasonCode::HostNetwork,
                Cut::Unselectable(Unselectable::NamespaceWithoutLabels { .. }) => {
                    ReasonCode::NamespaceWithoutLabels
                }
                Cut::Unselectable(Unselectable::NotInInput) => ReasonCode::NotInInput,
                Cut::Unselectable(Unselectable::AddressesNotKnown) => ReasonCode::AddressesNotKnown,
                Cut::OtherEnd => ReasonCode::OtherEnd,
            },
            Self::Unknown => ReasonCode::Icmp,
        }
    }

    fn values(&self) -> Values {
        match self {
            Self::Kept(Kept::Included(origin) | Kept::CidrRule(origin))
            | Self::Cut(Cut::Excluded(origin)) => place(origin),
            Self::Kept(Kept::GeneralRule(rule)) | Self::Cut(Cut::GeneralRule(rule)) => {
                values([("rule", &format_args!("{rule:?}"))])
            }
            Self::Cut(Cut::Unselectable(Unselectable::NamespaceWithoutLabels {
                namespace,
                keys,
            })) => values([("namespace", namespace), ("keys", keys)]),
            _ => Values::new(),
        }
    }
}
