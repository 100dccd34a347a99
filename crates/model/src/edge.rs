//! Flows aggregated: who talks to whom, over what, how often.

use std::fmt;

use crate::identity::{Peer, ServiceRef};
use crate::net::{L4, Port};
use crate::time::Timestamp;

/// What makes two flows the same edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeKey {
    /// Who opened the connections.
    pub source: Peer,
    /// Who was reached, after Service translation.
    pub destination: Peer,
    /// Protocol and port at the destination, after Service translation.
    pub l4: L4,
    /// Whether policies can forbid it.
    pub nature: Nature,
}

impl fmt::Display for EdgeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {}", self.source, self.destination, self.l4)
    }
}

/// Whether a NetworkPolicy has a say in the traffic of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nature {
    /// Ordinary traffic, subject to policies.
    Ordinary,
    /// From the node that runs the destination pod, kubelet probes above all: always allowed ("or if the traffic
    /// source is the pod's local node", `NetworkPolicySpec.ingress`), so it needs no rule.
    OwnNode,
}

/// A Service and one of its ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePortRef {
    /// The Service.
    pub service: ServiceRef,
    /// The port of the Service, before translation.
    pub port: Port,
}

/// `namespace/name:port`.
impl fmt::Display for ServicePortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.port)
    }
}

/// How much was seen. All counts are connections: distinct client socket pairs for TCP and SCTP, conversations
/// for UDP, echo requests for ICMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// First moment seen.
    pub first_seen: Timestamp,
    /// Last moment seen.
    pub last_seen: Timestamp,
    /// Connections that the datapath let pass, refused ones included.
    pub forwarded: u64,
    /// Connections that the datapath dropped. An attempt that some node forwarded and another dropped counts here only.
    pub dropped: u64,
    /// Forwarded connections that the destination answered with a reset or a port-unreachable error instead of
    /// accepting them.
    pub refused: u64,
}

impl Evidence {
    /// Connections that passed and were not refused: what the application needs. Denied and refused attempts
    /// are scans, retries or mistakes.
    pub const fn accepted(&self) -> u64 {
        self.forwarded.saturating_sub(self.refused)
    }

    /// Adds what another observer or another part of the log saw.
    pub fn merge(&mut self, other: &Self) {
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.forwarded += other.forwarded;
        self.dropped += other.dropped;
        self.refused += other.refused;
    }
}

/// Flows with the same source, destination, protocol and port over a time window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Who talks to whom over what.
    pub key: EdgeKey,
    /// How often and when.
    pub evidence: Evidence,
    /// The Service ports dialled to get there, sorted; empty when the pod was always addressed directly.
    pub services: Vec<ServicePortRef>,
}
