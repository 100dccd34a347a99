//! The words that all answers share.

use std::collections::BTreeMap;

use ringfence_advise::MessageCode;
pub(super) use ringfence_advise::Passes;
use ringfence_model as model;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What observes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Observer {
    /// An agent with programs in the kernel (eBPF).
    AgentEbpf,
    /// An agent that has the kernel's connection tracking and lists of sockets only: it says what it misses.
    AgentConntrack,
    /// Hubble.
    Hubble,
    /// A flow log.
    FlowLog,
}

impl From<model::ObserverKind> for Observer {
    fn from(kind: model::ObserverKind) -> Self {
        match kind {
            model::ObserverKind::AgentEbpf => Self::AgentEbpf,
            model::ObserverKind::AgentConntrack => Self::AgentConntrack,
            model::ObserverKind::Hubble => Self::Hubble,
            model::ObserverKind::FlowLog => Self::FlowLog,
        }
    }
}

/// A moment: RFC 3339 in UTC, to the second.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub(super) struct Time(String);

impl From<model::Timestamp> for Time {
    fn from(at: model::Timestamp) -> Self {
        Self(at.to_string())
    }
}

/// First and last moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Period {
    /// First moment.
    pub first: Time,
    /// Last moment.
    pub last: Time,
}

/// The side of a connection that a table or a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    /// Into the entity.
    Ingress,
    /// Out of the entity.
    Egress,
}

impl From<model::Direction> for Direction {
    fn from(direction: model::Direction) -> Self {
        match direction {
            model::Direction::Ingress => Self::Ingress,
            model::Direction::Egress => Self::Egress,
        }
    }
}

impl From<Direction> for model::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Ingress => Self::Ingress,
            Direction::Egress => Self::Egress,
        }
    }
}

/// Protocols above IP. ICMP has no ports, and no NetworkPolicy can name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub(super) enum Protocol {
    /// TCP.
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP.
    #[serde(rename = "UDP")]
    Udp,
    /// SCTP.
    #[serde(rename = "SCTP")]
    Sctp,
    /// ICMP for IPv4.
    #[serde(rename = "ICMP")]
    Icmp,
    /// ICMP for IPv6.
    #[serde(rename = "ICMPv6")]
    IcmpV6,
}

impl From<model::Protocol> for Protocol {
    fn from(protocol: model::Protocol) -> Self {
        match protocol {
            model::Protocol::Tcp => Self::Tcp,
            model::Protocol::Udp => Self::Udp,
            model::Protocol::Sctp => Self::Sctp,
        }
    }
}

/// The protocol, and the port of those that have ports.
pub(super) fn l4(l4: model::L4) -> (Protocol, Option<u16>) {
    match l4 {
        model::L4::Port(protocol, port) => (protocol.into(), Some(port.get())),
        model::L4::Icmp => (Protocol::Icmp, None),
        model::L4::IcmpV6 => (Protocol::IcmpV6, None),
    }
}

/// Where an unresolved address lies, judged by the cluster's ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AddressClass {
    /// Inside a pod, Service or node range of the cluster.
    Internal,
    /// Outside all of them, and all of them are known.
    External,
    /// The ranges are not known well enough to tell.
    Unknown,
}

impl From<model::AddressClass> for AddressClass {
    fn from(class: model::AddressClass) -> Self {
        match class {
            model::AddressClass::Internal => Self::Internal,
            model::AddressClass::External => Self::External,
            model::AddressClass::Unknown => Self::Unknown,
        }
    }
}

/// Something in a namespace that edges are shown of: a workload, or a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub(super) struct EntityRef {
    /// Its namespace.
    pub namespace: String,
    /// `Deployment`, `DaemonSet`, `StatefulSet`, `CronJob`, `Job`, `ReplicaSet`, `Pod`, `Service`, or the kind of
    /// another controller.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl From<&model::WorkloadRef> for EntityRef {
    fn from(workload: &model::WorkloadRef) -> Self {
        Self {
            namespace: workload.namespace.to_string(),
            kind: workload.kind.to_string(),
            name: workload.name.to_string(),
        }
    }
}

impl From<&model::ServiceRef> for EntityRef {
    fn from(service: &model::ServiceRef) -> Self {
        Self {
            namespace: service.namespace.to_string(),
            kind: "Service".to_owned(),
            name: service.name.to_string(),
        }
    }
}

/// What stands at the other end of an edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub(super) struct Peer {
    /// The kind of a workload, or `Service`, `Node`, `Host`, `Alias` or `Address`.
    pub kind: String,
    /// Its namespace, where it lives in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub namespace: Option<String>,
    /// Its name; of an address the address.
    pub name: String,
    /// Of an address, where it lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub class: Option<AddressClass>,
    /// What `links/explain` and topology nodes call it: `NAMESPACE/KIND/NAME`, `Node/NAME`, `Host/NAME`, `Alias/NAME`,
    /// an address.
    pub id: String,
}

impl From<&model::Peer> for Peer {
    fn from(peer: &model::Peer) -> Self {
        let (kind, name, class) = match peer {
            model::Peer::Workload(workload) => {
                (workload.kind.to_string(), workload.name.to_string(), None)
            }
            model::Peer::Service(service) => ("Service".to_owned(), service.name.to_string(), None),
            model::Peer::Node(node) => ("Node".to_owned(), node.to_string(), None),
            model::Peer::Host(host) => ("Host".to_owned(), host.to_string(), None),
            model::Peer::Alias(alias) => ("Alias".to_owned(), alias.to_string(), None),
            model::Peer::Address(ip, class) => {
                ("Address".to_owned(), ip.to_string(), Some((*class).into()))
            }
        };
        let namespace = peer.namespace().map(ToString::to_string);
        Self { kind, namespace, name, class, id: peer.to_string() }
    }
}

/// What becomes of an edge under the review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// The review's policies will let it pass.
    Allowed,
    /// They will not.
    Forbidden,
    /// No policy can say: ICMP.
    Unknown,
}

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Worth knowing.
    Note,
    /// What comes out may not be what was meant.
    Warning,
    /// A part of the input could not be used.
    Error,
}

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "as the certificate spells it")]
pub(super) struct Message {
    /// How much it matters.
    pub severity: Severity,
    /// Which kind of message: stable.
    pub code: MessageCode,
    /// What the message and the hint name, by what it is.
    #[schema(value_type = BTreeMap<String, String>)]
    pub values: model::Values,
    /// The object concerned, such as `NetworkPolicy shop/web`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub subject: Option<String>,
    /// Of what was read from text, the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<u32>,
    /// What is the matter, in one sentence.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub hint: Option<String>,
}

impl From<&model::Diagnostic> for Message {
    fn from(found: &model::Diagnostic) -> Self {
        let model::Diagnostic { severity, code, origin, subject, values, message, hint } = found;
        Self {
            severity: match severity {
                model::Severity::Note => Severity::Note,
                model::Severity::Warning => Severity::Warning,
                model::Severity::Error => Severity::Error,
            },
            code: MessageCode(code),
            values: values.clone(),
            subject: subject.clone(),
            line: origin.as_ref().map(|origin| origin.line).filter(|line| *line > 0),
            message: message.clone(),
            hint: hint.clone(),
        }
    }
}

/// Labels of an object.
pub(super) type Labels = BTreeMap<String, String>;

pub(super) fn labels(labels: &model::Labels) -> Labels {
    labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// The body of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    /// How many there are in all, on every page.
    pub total: usize,
    /// Those asked for.
    pub items: Vec<T>,
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        Self { total: items.len(), items }
    }
}
