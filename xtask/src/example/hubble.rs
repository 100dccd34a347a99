//! The shape of a line of `hubble observe -o jsonpb`.

use serde::Serialize;

use super::connection::{Connection, End, Transport};
use super::pod::Pod;
use super::shop::{NAMESPACES, Node, Workload};
use crate::random::Random;

/// A line.
#[derive(Serialize)]
pub struct Line {
    pub flow: Flow,
    pub node_name: &'static str,
    pub time: String,
}

/// What a line says of traffic. Fields are in the order of Hubble's protocol.
#[derive(Clone, Default, Serialize)]
pub struct Flow {
    pub time: String,
    pub uuid: String,
    pub verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_reason: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ethernet: Option<Ethernet>,
    #[serde(rename = "IP")]
    pub ip: Ip,
    pub l4: L4,
    pub source: Endpoint,
    pub destination: Endpoint,
    #[serde(rename = "Type")]
    pub kind: &'static str,
    pub node_name: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_names: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_names: Vec<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    pub reply: bool,
    pub event_type: EventType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_service: Option<ObjectName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_match_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_observation_point: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_reason_desc: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_reply: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress_allowed_by: Vec<ObjectName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sock_xlate_point: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_cookie: Option<String>,
    #[serde(rename = "Summary")]
    pub summary: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Link addresses.
#[derive(Clone, Serialize)]
pub struct Ethernet {
    pub source: String,
    pub destination: String,
}

/// Network addresses.
#[derive(Clone, Default, Serialize)]
pub struct Ip {
    pub source: String,
    pub destination: String,
    #[serde(rename = "ipVersion")]
    pub version: &'static str,
}

/// Transport header.
#[derive(Clone, Default, Serialize)]
pub struct L4 {
    #[serde(rename = "TCP", skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Ports>,
    #[serde(rename = "UDP", skip_serializing_if = "Option::is_none")]
    pub udp: Option<Ports>,
    #[serde(rename = "ICMPv4", skip_serializing_if = "Option::is_none")]
    pub icmp4: Option<Icmp>,
    #[serde(rename = "ICMPv6", skip_serializing_if = "Option::is_none")]
    pub icmp6: Option<Icmp>,
}

/// Ports, and the flags of TCP.
#[derive(Clone, Default, Serialize)]
pub struct Ports {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    pub destination_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Flags>,
}

/// TCP flags; those that are not set are not printed.
#[derive(Clone, Copy, Default, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the header has one bit for each")]
pub struct Flags {
    #[serde(rename = "FIN", skip_serializing_if = "is_false")]
    pub fin: bool,
    #[serde(rename = "SYN", skip_serializing_if = "is_false")]
    pub syn: bool,
    #[serde(rename = "RST", skip_serializing_if = "is_false")]
    pub rst: bool,
    #[serde(rename = "PSH", skip_serializing_if = "is_false")]
    pub psh: bool,
    #[serde(rename = "ACK", skip_serializing_if = "is_false")]
    pub ack: bool,
}

impl Flags {
    fn summary(self) -> String {
        let names = [
            (self.syn, "SYN"),
            (self.ack, "ACK"),
            (self.fin, "FIN"),
            (self.rst, "RST"),
            (self.psh, "PSH"),
        ];
        let set: Vec<&str> =
            names.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
        format!("TCP Flags: {}", set.join(", "))
    }
}

/// Type of an ICMP message; 0, an echo reply, is not printed.
#[derive(Clone, Default, Serialize)]
pub struct Icmp {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<u8>,
}

/// An end, as the agent that saw it knows it.
#[derive(Clone, Default, Serialize)]
pub struct Endpoint {
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadName>,
}

/// A workload.
#[derive(Clone, Serialize)]
pub struct WorkloadName {
    pub name: String,
    pub kind: &'static str,
}

/// An object.
#[derive(Clone, Serialize)]
pub struct ObjectName {
    pub name: &'static str,
    pub namespace: &'static str,
}

/// Kind of the datapath's event: 1 drop, 4 trace, 5 policy verdict, 7 socket.
#[derive(Clone, Copy, Default, Serialize)]
pub struct EventType {
    #[serde(rename = "type")]
    pub kind: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_type: Option<u8>,
}

/// A network interface.
#[derive(Clone, Serialize)]
pub struct Interface {
    pub index: u64,
    pub name: String,
}

/// The sign that events were lost.
#[derive(Serialize)]
pub struct LostLine {
    pub lost_events: LostEvents,
    pub node_name: &'static str,
    pub time: String,
}

/// How many events were lost.
#[derive(Serialize)]
pub struct LostEvents {
    pub source: &'static str,
    pub num_events_lost: String,
}

/// A packet of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub reply: bool,
    pub kind: PacketKind,
}

/// What a packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    Open,
    Data,
    Close,
    Reset,
}

/// What is the same in every line about a packet.
pub fn packet(connection: &Connection, packet: Packet) -> Flow {
    let (mut source, mut destination) = (connection.source.clone(), connection.destination.clone());
    let (mut source_port, mut destination_port) = (connection.client_port, connection.server_port);
    let ethernet = Ethernet {
        source: mac(if packet.reply { &destination } else { &source }),
        destination: mac(if packet.reply { &source } else { &destination }),
    };
    if packet.reply {
        std::mem::swap(&mut source, &mut destination);
        std::mem::swap(&mut source_port, &mut destination_port);
    }
    let version = if source.contains(':') { "IPv6" } else { "IPv4" };
    let ports = |flags| Ports { source_port: Some(source_port), destination_port, flags };
    let (l4, summary) = match connection.transport {
        Transport::Tcp => {
            let flags = Flags {
                syn: packet.kind == PacketKind::Open,
                ack: packet.reply || packet.kind != PacketKind::Open,
                psh: packet.kind == PacketKind::Data,
                fin: packet.kind == PacketKind::Close,
                rst: packet.kind == PacketKind::Reset,
            };
            let l4 = L4 { tcp: Some(ports(Some(flags))), ..L4::default() };
            (l4, flags.summary())
        }
        Transport::Udp => (L4 { udp: Some(ports(None)), ..L4::default() }, "UDP".to_owned()),
        Transport::Icmp => {
            let kind = if packet.reply { None } else { Some(8) };
            let summary = if packet.reply { "ICMPv4 EchoReply" } else { "ICMPv4 EchoRequest" };
            (L4 { icmp4: Some(Icmp { kind }), ..L4::default() }, summary.to_owned())
        }
    };
    Flow {
        verdict: "FORWARDED",
        ethernet: Some(ethernet),
        ip: Ip { source, destination, version },
        l4,
        kind: "L3_L4",
        reply: packet.reply,
        is_reply: Some(packet.reply),
        summary,
        ..Flow::default()
    }
}

/// An end of a connection as the agent of a node sees it.
pub fn endpoint(end: &End, observer: &'static Node, api_server: bool) -> Endpoint {
    match end {
        End::Pod(pod) => pod_endpoint(pod, observer),
        End::Node(node, _) => {
            let mut labels = Vec::new();
            let api_server = api_server && node.runs_api_server();
            let here = *node == observer;
            if here {
                labels.push("reserved:host".to_owned());
            }
            if api_server {
                labels.push("reserved:kube-apiserver".to_owned());
            }
            if !here {
                labels.push("reserved:remote-node".to_owned());
            }
            let identity = match (here, api_server) {
                (true, _) => 1,
                (false, true) => 7,
                (false, false) => 6,
            };
            Endpoint { identity: Some(identity), labels, ..Endpoint::default() }
        }
        End::Outside(..) | End::Ghost(..) => world(),
    }
}

/// The end of which the agent knows nothing.
pub fn world() -> Endpoint {
    Endpoint { identity: Some(2), labels: vec!["reserved:world".to_owned()], ..Endpoint::default() }
}

/// The interface on the node that leads to a pod.
pub fn interface(pod: &Pod) -> Interface {
    let mut random = Random::named(&format!("interface {}", pod.uid));
    Interface {
        index: 10 + random.below(240),
        name: format!("lxc{:012x}", random.bits() & 0xffff_ffff_ffff),
    }
}

fn pod_endpoint(pod: &Pod, observer: &'static Node) -> Endpoint {
    let workload = pod.workload;
    // Only the pod's own node knows its endpoint number.
    let local = pod.node == observer;
    let owner = match workload.kind {
        super::shop::Kind::CronJob => WorkloadName { name: pod.owner.clone(), kind: "Job" },
        kind => WorkloadName { name: workload.name.to_owned(), kind: kind.as_str() },
    };
    Endpoint {
        id: local.then(|| 100 + Random::named(&pod.uid).below(3900)),
        identity: Some(
            1000 + Random::named(&format!("identity {}", workload.path())).below(64_000),
        ),
        cluster_name: Some("default"),
        namespace: Some(workload.namespace),
        labels: labels(workload),
        pod_name: Some(pod.name.clone()),
        workloads: vec![owner],
    }
}

fn labels(workload: &Workload) -> Vec<String> {
    let namespace = workload.namespace;
    let meta = "k8s:io.cilium.k8s.namespace.labels";
    let mut labels: Vec<String> =
        workload.selector.iter().map(|(key, value)| format!("k8s:{key}={value}")).collect();
    labels.push(format!("{meta}.kubernetes.io/metadata.name={namespace}"));
    let team = NAMESPACES.iter().find(|n| n.name == namespace).and_then(|n| n.team);
    labels.extend(team.map(|team| format!("{meta}.team={team}")));
    labels.push("k8s:io.cilium.k8s.policy.cluster=default".to_owned());
    labels.push("k8s:io.cilium.k8s.policy.serviceaccount=default".to_owned());
    labels.push(format!("k8s:io.kubernetes.pod.namespace={namespace}"));
    labels.sort();
    labels
}

fn mac(address: &str) -> String {
    let bits = Random::named(&format!("mac {address}")).bits();
    let bytes: Vec<String> =
        (0..6).map(|index| format!("{:02x}", bits >> (8 * index) & 0xff)).collect();
    // Locally administered, as CNIs make them.
    format!("0a:{}", bytes[1..].join(":"))
}
