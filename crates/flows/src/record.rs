//! Ringfence's own flow records, one JSON object a line.
//!
//! A record says what one observer saw, in one interval, of the connections from one client address to one server
//! port. `docs/schemas/flow.v1.json` is made from [`Record`].
//!
//! Both ends of a connection may have an observer, and both report it. The aggregator keeps the sums of the two
//! sides apart and merges them at the end: denials of the two sides add up, because what the client's side dropped
//! never got to the server's side; of what passed the client's side the server's denials are taken off, and the
//! larger of that and what the server's side let pass counts. A connection that only one side saw is counted by
//! that side, and one that both saw is counted once.

use std::net::IpAddr;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

pub(crate) use line::Records;

mod line;

/// The version of the format that this crate reads and writes.
pub const VERSION: u64 = 1;

/// Connections from one client address to one server port, counted by one observer over one interval.
///
/// An observer counts attempts, not packets: a retransmitted SYN is the same attempt. It counts a connection in the
/// interval in which it was opened; a connection that only lives on shows by its bytes. Sending a record twice does
/// no harm: the same observer, interval and addresses are the same record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Record {
    /// Version of the format: 1.
    #[cfg_attr(test, schemars(extend("const" = VERSION)))]
    pub version: u64,
    /// First moment of the interval (RFC 3339).
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub start: String,
    /// Last moment of the interval (RFC 3339).
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub end: String,
    /// Who counted.
    pub observer: Observer,
    /// Transport protocol.
    pub protocol: RecordProtocol,
    /// The client.
    pub source: RecordSource,
    /// The server, after translation of Service addresses.
    pub destination: RecordDestination,
    /// The Service address and port that the client dialled, when they were translated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialled: Option<SocketAddress>,
    /// The connections.
    pub connections: Counts,
    /// From the client to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Volume>,
    /// From the server to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Volume>,
}

/// Who counted, and where it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Observer {
    /// Name of the node or host.
    pub node: String,
    /// The end of the connections that it stood at.
    pub side: RecordSide,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RecordSide {
    /// The client's.
    Client,
    /// The server's.
    Server,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordProtocol {
    /// TCP.
    Tcp,
    /// UDP: a conversation counts as a connection.
    Udp,
    /// SCTP: an association counts as a connection.
    Sctp,
}

/// The client of the connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecordSource {
    /// Its address.
    pub ip: IpAddr,
    /// Its port, when the record is about a single connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<NonZeroU16>,
    /// The pod, when the observer knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<RecordPod>,
    /// The node, when the address is a node's and the observer knows which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// The server of the connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecordDestination {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: NonZeroU16,
    /// The pod, when the observer knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<RecordPod>,
    /// The node, when the address is a node's and the observer knows which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// A pod as the observer knew it at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecordPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its owner, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<RecordWorkload>,
    /// Its labels, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<std::collections::BTreeMap<String, String>>,
}

/// The owner of a pod, in the pod's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecordWorkload {
    /// Its kind, such as `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SocketAddress {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: NonZeroU16,
}

/// Connections by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Counts {
    /// Opened in the interval and let pass, refused ones included.
    pub opened: u64,
    /// Of the opened ones, those that the server refused by a reset or a port-unreachable error.
    pub refused: u64,
    /// Attempts that this observer dropped.
    pub denied: u64,
}

/// How much went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Volume {
    /// Bytes, headers of IP included.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
}
