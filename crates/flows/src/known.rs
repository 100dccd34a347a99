//! Edges that were resolved and counted before, one JSON object a line: what `ringfence export` writes.
//!
//! `docs/schemas/edge.v1.json` is made from [`EdgeRecord`]. The counts of the two ends stand apart in it, as the
//! server keeps them, so that records of one edge add up to what the server would say.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ringfence_model::{
    AddressClass, Counts, EdgeKey, L4, Name, Nature, ObserverKind, Observers, Peer, Protocol,
    ServicePortRef, ServiceRef, Tally, Timestamp, WorkloadKind, WorkloadRef,
};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::record::RecordProtocol;

/// The version of the format that this crate reads and writes.
pub const EDGE_VERSION: u64 = 1;

/// What was counted of one edge in one time bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EdgeRecord {
    /// Version of the format: 1.
    #[cfg_attr(test, schemars(extend("const" = EDGE_VERSION)))]
    pub edge_version: u64,
    /// A moment of the time bucket (RFC 3339).
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub at: String,
    /// How long the bucket is: 1, 60 or 1440 minutes; without it, as long as whoever reads it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_minutes: Option<u32>,
    /// Who opened the connections.
    pub source: EdgePeer,
    /// Who was reached, after Service translation.
    pub destination: EdgePeer,
    /// Over what, at the server's side.
    pub l4: EdgeL4,
    /// Whether it comes from the node that runs the destination, so that no policy can forbid it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_node: bool,
    /// First moment seen (RFC 3339).
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub first_seen: String,
    /// Last moment seen (RFC 3339).
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub last_seen: String,
    /// Counted by one observer alone, or merged by the source.
    #[serde(default, skip_serializing_if = "EdgeTally::is_nothing")]
    pub alone: EdgeTally,
    /// Counted at the client's end, where the server's end has an observer too.
    #[serde(default, skip_serializing_if = "EdgeTally::is_nothing")]
    pub client: EdgeTally,
    /// Counted at the server's end, where the client's end has an observer too.
    #[serde(default, skip_serializing_if = "EdgeTally::is_nothing")]
    pub server: EdgeTally,
    /// The Service ports dialled to get there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<EdgeService>,
    /// Who observed it.
    #[serde(default, skip_serializing_if = "EdgeObservers::is_nobody")]
    pub observers: EdgeObservers,
}

/// Who observed an edge, each kind once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct EdgeObservers {
    /// Who reported it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reported: Vec<EdgeObserver>,
    /// Who watched the client's end at the time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub client: Vec<EdgeObserver>,
    /// Who watched the server's end at the time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub server: Vec<EdgeObserver>,
}

/// What observes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum EdgeObserver {
    /// An agent with programs in the kernel (eBPF).
    AgentEbpf,
    /// An agent that has the kernel's connection tracking and lists of sockets only.
    AgentConntrack,
    /// Hubble.
    Hubble,
    /// A flow log.
    FlowLog,
}

/// What stands at one end of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum EdgePeer {
    /// Pods of one top owner.
    Workload {
        /// Its namespace.
        namespace: String,
        /// Its kind, as Kubernetes spells it.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A Service whose endpoints are no known pods.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A cluster node, by name.
    Node(String),
    /// A machine outside Kubernetes, by name.
    Host(String),
    /// A group of addresses that the review named.
    Alias(String),
    /// An address that resolves to nothing known.
    Address {
        /// The address.
        ip: IpAddr,
        /// Where it lies.
        class: EdgeAddressClass,
    },
}

/// Where an unresolved address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EdgeAddressClass {
    /// Inside a range of the cluster.
    Internal,
    /// Outside all of them.
    External,
    /// The ranges are not known well enough to tell.
    Unknown,
}

/// What a connection is addressed to, above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum EdgeL4 {
    /// A port of a transport protocol.
    Port {
        /// The protocol.
        protocol: RecordProtocol,
        /// The port.
        port: NonZeroU16,
    },
    /// ICMP for IPv4.
    Icmp,
    /// ICMP for IPv6.
    IcmpV6,
}

/// Connections and volume as one side counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct EdgeTally {
    /// Connections opened and let pass, refused ones included.
    pub opened: u64,
    /// Of the opened ones, those that the server refused.
    pub refused: u64,
    /// Attempts that the datapath dropped.
    pub denied: u64,
    /// Bytes from the client to the server.
    pub sent: u64,
    /// Bytes from the server to the client.
    pub received: u64,
}

/// A Service and one of its ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EdgeService {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
    /// The port of the Service.
    pub port: NonZeroU16,
}

/// What was counted of an edge in a time bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownEdge {
    /// A moment of the bucket.
    pub at: Timestamp,
    /// How long the bucket is, when it has a length of its own.
    pub bucket_minutes: Option<u32>,
    /// Who talks to whom over what.
    pub key: EdgeKey,
    /// How often.
    pub counts: Counts,
    /// The Service ports dialled, sorted.
    pub services: Vec<ServicePortRef>,
}

impl EdgeRecord {
    /// Whether a line with this key is such a record.
    pub(crate) fn is_key(key: &[u8]) -> bool {
        key == b"edgeVersion"
    }

    /// Reads a line.
    pub(crate) fn decode(line: &[u8]) -> Result<KnownEdge, Fault> {
        let record: Self =
            serde_json::from_slice(line).map_err(|error| Fault::Edge(error.to_string()))?;
        if record.edge_version != EDGE_VERSION {
            return Err(Fault::Edge(format!(
                "edgeVersion {} is not known; this version of ringfence reads {EDGE_VERSION}",
                record.edge_version
            )));
        }
        KnownEdge::try_from(record).map_err(Fault::Edge)
    }
}

impl EdgeTally {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&KnownEdge> for EdgeRecord {
    fn from(edge: &KnownEdge) -> Self {
        let KnownEdge { at, bucket_minutes, key, counts, services } = edge;
        let EdgeKey { source, destination, l4, nature } = key;
        let Counts { first_seen, last_seen, alone, client, server, observers } = counts;
        let services = services.iter().map(|ServicePortRef { service, port }| EdgeService {
            namespace: service.namespace.to_string(),
            name: service.name.to_string(),
            port: *port,
        });
        Self {
            edge_version: EDGE_VERSION,
            at: moment(*at),
            bucket_minutes: *bucket_minutes,
            source: source.into(),
            destination: destination.into(),
            l4: (*l4).into(),
            own_node: *nature == Nature::OwnNode,
            first_seen: moment(*first_seen),
            last_seen: moment(*last_seen),
            alone: alone.into(),
            client: client.into(),
            server: server.into(),
            services: services.collect(),
            observers: (*observers).into(),
        }
    }
}

impl TryFrom<EdgeRecord> for KnownEdge {
    type Error = String;

    fn try_from(record: EdgeRecord) -> Result<Self, String> {
        let EdgeRecord {
            edge_version: _,
            at,
            bucket_minutes,
            source,
            destination,
            l4,
            own_node,
            first_seen,
            last_seen,
            alone,
            client,
            server,
            services,
            observers,
        } = record;
        let time = |text: String| text.parse::<Timestamp>().map_err(|e| e.to_string());
        let (first_seen, last_seen) = (time(first_seen)?, time(last_seen)?);
        if first_seen > last_seen {
            return Err("lastSeen lies before firstSeen".to_owned());
        }
        let mut services = services
            .into_iter()
            .map(|EdgeService { namespace, name, port }| {
                let service = ServiceRef { namespace: named(namespace)?, name: named(name)? };
                Ok(ServicePortRef { service, port })
            })
            .collect::<Result<Vec<_>, String>>()?;
        services.sort_unstable();
        services.dedup();
        Ok(Self {
            at: time(at)?,
            bucket_minutes,
            key: EdgeKey {
                source: source.try_into()?,
                destination: destination.try_into()?,
                l4: l4.into(),
                nature: if own_node { Nature::OwnNode } else { Nature::Ordinary },
            },
            counts: Counts {
                first_seen,
                last_seen,
                alone: alone.into(),
                client: client.into(),
                server: server.into(),
                observers: observers.into(),
            },
            services,
        })
    }
}

impl From<&Peer> for EdgePeer {
    fn from(peer: &Peer) -> Self {
        match peer {
            Peer::Workload(WorkloadRef { namespace, kind, name }) => Self::Workload {
                namespace: namespace.to_string(),
                kind: kind.to_string(),
                name: name.to_string(),
            },
            Peer::Service(ServiceRef { namespace, name }) => {
                Self::Service { namespace: namespace.to_string(), name: name.to_string() }
            }
            Peer::Node(name) => Self::Node(name.to_string()),
            Peer::Host(name) => Self::Host(name.to_string()),
            Peer::Alias(name) => Self::Alias(name.to_string()),
            Peer::Address(ip, class) => Self::Address {
                ip: *ip,
                class: match class {
                    AddressClass::Internal => EdgeAddressClass::Internal,
                    AddressClass::External => EdgeAddressClass::External,
                    AddressClass::Unknown => EdgeAddressClass::Unknown,
                },
            },
        }
    }
}

impl TryFrom<EdgePeer> for Peer {
    type Error = String;

    fn try_from(peer: EdgePeer) -> Result<Self, String> {
        Ok(match peer {
            EdgePeer::Workload { namespace, kind, name } => Self::Workload(WorkloadRef {
                namespace: named(namespace)?,
                kind: WorkloadKind::from(kind.as_str()),
                name: named(name)?,
            }),
            EdgePeer::Service { namespace, name } => {
                Self::Service(ServiceRef { namespace: named(namespace)?, name: named(name)? })
            }
            EdgePeer::Node(name) => Self::Node(named(name)?),
            EdgePeer::Host(name) => Self::Host(named(name)?),
            EdgePeer::Alias(name) => Self::Alias(Arc::from(name)),
            EdgePeer::Address { ip, class } => {
                let class = match class {
                    EdgeAddressClass::Internal => AddressClass::Internal,
                    EdgeAddressClass::External => AddressClass::External,
                    EdgeAddressClass::Unknown => AddressClass::Unknown,
                };
                Self::Address(ip, class)
            }
        })
    }
}

impl From<L4> for EdgeL4 {
    fn from(l4: L4) -> Self {
        match l4 {
            L4::Port(protocol, port) => Self::Port {
                protocol: match protocol {
                    Protocol::Tcp => RecordProtocol::Tcp,
                    Protocol::Udp => RecordProtocol::Udp,
                    Protocol::Sctp => RecordProtocol::Sctp,
                },
                port,
            },
            L4::Icmp => Self::Icmp,
            L4::IcmpV6 => Self::IcmpV6,
        }
    }
}

impl From<EdgeL4> for L4 {
    fn from(l4: EdgeL4) -> Self {
        match l4 {
            EdgeL4::Port { protocol, port } => {
                let protocol = match protocol {
                    RecordProtocol::Tcp => Protocol::Tcp,
                    RecordProtocol::Udp => Protocol::Udp,
                    RecordProtocol::Sctp => Protocol::Sctp,
                };
                Self::Port(protocol, port)
            }
            EdgeL4::Icmp => Self::Icmp,
            EdgeL4::IcmpV6 => Self::IcmpV6,
        }
    }
}

impl From<&Tally> for EdgeTally {
    fn from(tally: &Tally) -> Self {
        let Tally { opened, refused, denied, sent, received } = *tally;
        Self { opened, refused, denied, sent, received }
    }
}

impl From<EdgeTally> for Tally {
    fn from(tally: EdgeTally) -> Self {
        let EdgeTally { opened, refused, denied, sent, received } = tally;
        Self { opened, refused, denied, sent, received }
    }
}

impl EdgeObservers {
    fn is_nobody(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Observers> for EdgeObservers {
    fn from(observers: Observers) -> Self {
        Self {
            reported: observers.reported().map(EdgeObserver::from).collect(),
            client: observers.client().map(EdgeObserver::from).collect(),
            server: observers.server().map(EdgeObserver::from).collect(),
        }
    }
}

impl From<EdgeObservers> for Observers {
    fn from(observers: EdgeObservers) -> Self {
        let EdgeObservers { reported, client, server } = observers;
        let all = Self::NONE;
        let all = reported.into_iter().fold(all, |all, o| all.with(Self::reported_by(o.into())));
        let all = client.into_iter().fold(all, |all, o| all.at_client(o.into()));
        server.into_iter().fold(all, |all, o| all.at_server(o.into()))
    }
}

impl From<ObserverKind> for EdgeObserver {
    fn from(kind: ObserverKind) -> Self {
        match kind {
            ObserverKind::AgentEbpf => Self::AgentEbpf,
            ObserverKind::AgentConntrack => Self::AgentConntrack,
            ObserverKind::Hubble => Self::Hubble,
            ObserverKind::FlowLog => Self::FlowLog,
        }
    }
}

impl From<EdgeObserver> for ObserverKind {
    fn from(observer: EdgeObserver) -> Self {
        match observer {
            EdgeObserver::AgentEbpf => Self::AgentEbpf,
            EdgeObserver::AgentConntrack => Self::AgentConntrack,
            EdgeObserver::Hubble => Self::Hubble,
            EdgeObserver::FlowLog => Self::FlowLog,
        }
    }
}

fn named(name: String) -> Result<Name, String> {
    Name::new(name).map_err(|e| e.to_string())
}

/// RFC 3339 with every digit that counts.
fn moment(at: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.nanos()))
        .map_or_else(|_| at.to_string(), |at| at.to_string())
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
