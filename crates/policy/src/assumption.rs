//! The open points of the specification that a decision touched.

use std::fmt;

use ringfence_model::{Direction, PeerMatch, Peers, PortTarget, Ports, Rule};

use crate::connection::{Connection, End};
use crate::policy_set::{PolicySet, is_self};
use crate::profile::{EndPort, Hairpin, HostNetwork, IpBlockNodes, IpBlockPods};

/// An open point of the specification that a decision touched, with the answer that the profile gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assumption {
    /// A pod's address is in an ipBlock of a policy that judged the connection.
    IpBlockPods(IpBlockPods),
    /// A node's address is in an ipBlock of a policy that judged the connection.
    IpBlockNodes(IpBlockNodes),
    /// An end is a host-network pod.
    HostNetwork(HostNetwork),
    /// The pod talks to itself.
    Hairpin(Hairpin),
    /// The port is in a range of a policy that judged the connection, beyond its first port.
    EndPort(EndPort),
    /// A cluster-wide policy has a peer of an unknown kind: as the API asks, Accept rules with it match nothing, Deny
    /// and Pass rules deny everything.
    UnknownPeerFailsClosed,
    /// The address of a pod is not known, and a cluster-wide rule speaks of networks or nodes that may hold it: such
    /// rules deny, and accept nothing.
    AddressNotKnown,
    /// A cluster-wide policy accepts domain names, which nobody has resolved here.
    DomainNamesMatchNothing,
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IpBlockPods(IpBlockPods::Match) => "ipBlock matches pod addresses",
            Self::IpBlockPods(IpBlockPods::NeverMatch) => "ipBlock does not match pods",
            Self::IpBlockNodes(IpBlockNodes::Match) => "ipBlock matches node addresses",
            Self::IpBlockNodes(IpBlockNodes::NeverMatch) => "ipBlock does not match nodes",
            Self::HostNetwork(HostNetwork::NodeAddress) => {
                "a host-network pod is its node's address"
            }
            Self::HostNetwork(HostNetwork::LikePods) => "a host-network pod is a pod like others",
            Self::Hairpin(Hairpin::Allowed) => "a pod always reaches itself",
            Self::Hairpin(Hairpin::Judged) => "policies judge a pod's connections to itself",
            Self::EndPort(EndPort::Enforced) => "endPort is enforced",
            Self::EndPort(EndPort::FirstPortOnly) => "endPort is ignored",
            Self::UnknownPeerFailsClosed => "a peer of unknown kind accepts nothing and denies all",
            Self::AddressNotKnown => {
                "a pod's address is not known: rules on networks that may hold it deny, none accepts"
            }
            Self::DomainNamesMatchNothing => "domain names are not resolved and match nothing",
        })
    }
}

impl PolicySet {
    pub(crate) fn assumptions(&self, connection: &Connection) -> Vec<Assumption> {
        let mut found = Vec::new();
        for end in [connection.source, connection.destination] {
            if let End::Pod(pod) = end
                && self.cluster.pods[pod.place()].host_network
            {
                found.push(Assumption::HostNetwork(self.cluster.profile.host_network));
            }
        }
        if is_self(connection) {
            found.push(Assumption::Hairpin(self.cluster.profile.hairpin));
        }
        for (direction, subject, peer) in [
            (Direction::Egress, connection.source, connection.destination),
            (Direction::Ingress, connection.destination, connection.source),
        ] {
            for &policy in self.isolating(direction, subject) {
                for rule in self.policies[policy.place()].rules(direction).unwrap_or_default() {
                    self.block_assumptions(rule, peer, &mut found);
                    found.extend(self.range_assumption(rule, connection));
                }
            }
            self.tier_assumptions(direction, subject, connection, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The assumptions about ipBlocks that a rule makes matter.
    fn block_assumptions(&self, rule: &Rule, peer: End, found: &mut Vec<Assumption>) {
        let (addresses, is_pod, is_node) = match &peer {
            End::Pod(pod) => {
                let is_node = self.counts_as_node(*pod);
                (self.cluster.pods[pod.place()].addresses.as_slice(), !is_node, is_node)
            }
            End::Address(ip) => (std::slice::from_ref(ip), false, false),
        };
        let Peers::Only(peers) = &rule.peers else { return };
        for peer in peers {
            let PeerMatch::IpBlock(block) = peer else { continue };
            for ip in addresses.iter().filter(|ip| block.contains(**ip)) {
                if is_pod {
                    found.push(Assumption::IpBlockPods(self.cluster.profile.ip_block_pods));
                }
                if is_node || self.cluster.node_addresses.contains(&ip.to_canonical()) {
                    found.push(Assumption::IpBlockNodes(self.cluster.profile.ip_block_nodes));
                }
            }
        }
    }

    /// The assumption about `endPort` that a rule makes matter.
    fn range_assumption(&self, rule: &Rule, connection: &Connection) -> Option<Assumption> {
        let Ports::Only(ports) = &rule.ports else { return None };
        ports
            .iter()
            .any(|item| {
                item.protocol == connection.protocol
                    && matches!(item.target, PortTarget::Numbers(range)
                        if range.contains(connection.port) && range.first() != connection.port)
            })
            .then_some(Assumption::EndPort(self.cluster.profile.end_port))
    }
}
