//! The open points of the `NetworkPolicy` specification, for those who say them in other words.

use ringfence_policy::{Assumption, EndPort, Hairpin, HostNetwork, IpBlockNodes, IpBlockPods};
use serde::Serialize;

use crate::said::Say;

/// How an open point of the specification was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AssumptionCode {
    /// ipBlock matches pod addresses.
    BlocksMatchPods,
    /// ipBlock does not match pods.
    BlocksIgnorePods,
    /// ipBlock matches node addresses.
    BlocksMatchNodes,
    /// ipBlock does not match nodes.
    BlocksIgnoreNodes,
    /// A host-network pod is its node's address.
    HostNetworkIsNode,
    /// A host-network pod is a pod like others.
    HostNetworkIsPod,
    /// A pod always reaches itself.
    HairpinAllowed,
    /// Policies judge a pod's connections to itself.
    HairpinJudged,
    /// endPort is enforced.
    EndPortEnforced,
    /// endPort is ignored.
    EndPortIgnored,
    /// A peer of unknown kind accepts nothing and denies all.
    UnknownPeerFailsClosed,
    /// A pod's address is not known: rules on networks that may hold it deny, none accepts.
    AddressNotKnown,
    /// Domain names are not resolved and match nothing.
    DomainNamesMatchNothing,
}

impl Say for Assumption {
    type Code = AssumptionCode;

    fn code(&self) -> AssumptionCode {
        match self {
            Self::IpBlockPods(IpBlockPods::Match) => AssumptionCode::BlocksMatchPods,
            Self::IpBlockPods(IpBlockPods::NeverMatch) => AssumptionCode::BlocksIgnorePods,
            Self::IpBlockNodes(IpBlockNodes::Match) => AssumptionCode::BlocksMatchNodes,
            Self::IpBlockNodes(IpBlockNodes::NeverMatch) => AssumptionCode::BlocksIgnoreNodes,
            Self::HostNetwork(HostNetwork::NodeAddress) => AssumptionCode::HostNetworkIsNode,
            Self::HostNetwork(HostNetwork::LikePods) => AssumptionCode::HostNetworkIsPod,
            Self::Hairpin(Hairpin::Allowed) => AssumptionCode::HairpinAllowed,
            Self::Hairpin(Hairpin::Judged) => AssumptionCode::HairpinJudged,
            Self::EndPort(EndPort::Enforced) => AssumptionCode::EndPortEnforced,
            Self::EndPort(EndPort::FirstPortOnly) => AssumptionCode::EndPortIgnored,
            Self::UnknownPeerFailsClosed => AssumptionCode::UnknownPeerFailsClosed,
            Self::AddressNotKnown => AssumptionCode::AddressNotKnown,
            Self::DomainNamesMatchNothing => AssumptionCode::DomainNamesMatchNothing,
        }
    }
}
