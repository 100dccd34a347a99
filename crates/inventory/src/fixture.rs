//! Objects in few words, for tests. Vary them by struct update.

use std::net::IpAddr;

use ringfence_model::object::{
    ContainerPort, Controller, EndpointPort, Endpoints, ExternalTrafficPolicy, Host, Namespace,
    Node, Objects, OwnerRef, Phase, Pod, PodSpec, Service, ServicePort, ServiceType, TargetPort,
};
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{
    Labels, Name, Origin, PodRef, Port, Selector, ServiceRef, Timestamp, WorkloadRef,
};

use crate::Inventory;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn ips(text: &str) -> Vec<IpAddr> {
    text.split_whitespace().map(ip).collect()
}

pub(crate) fn number(port: u16) -> Port {
    Port::new(port).unwrap()
}

pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// `key=value key=value`.
pub(crate) fn labels(text: &str) -> Labels {
    text.split_whitespace().map(|pair| pair.split_once('=').unwrap()).collect()
}

pub(crate) fn selects(text: &str) -> Selector {
    Selector::labels(&labels(text))
}

pub(crate) fn origin(line: u32) -> Origin {
    Origin::new("dump.yaml", line)
}

/// `Kind/name`.
#[expect(clippy::unnecessary_wraps, reason = "as the fields of that name want it")]
pub(crate) fn owner(text: &str) -> Option<OwnerRef> {
    let (kind, owner) = text.split_once('/').unwrap();
    Some(OwnerRef { kind: kind.into(), name: name(owner) })
}

/// `namespace/Kind/name`.
pub(crate) fn workload_ref(text: &str) -> WorkloadRef {
    let mut parts = text.splitn(3, '/');
    let mut next = || parts.next().unwrap();
    WorkloadRef { namespace: name(next()), kind: next().into(), name: name(next()) }
}

/// `namespace/name`.
pub(crate) fn pod_ref(text: &str) -> PodRef {
    let (namespace, pod) = text.split_once('/').unwrap();
    PodRef { namespace: name(namespace), name: name(pod) }
}

/// `namespace/name`.
pub(crate) fn service_ref(text: &str) -> ServiceRef {
    let PodRef { namespace, name } = pod_ref(text);
    ServiceRef { namespace, name }
}

pub(crate) fn node(text: &str, addresses: &str, pod_cidrs: &str) -> Node {
    Node {
        name: name(text),
        labels: Labels::empty(),
        addresses: ips(addresses),
        pod_network_addresses: Vec::new(),
        pod_cidrs: pod_cidrs.split_whitespace().map(|cidr| cidr.parse().unwrap()).collect(),
        origin: origin(1),
    }
}

pub(crate) fn host(text: &str, addresses: &str) -> Host {
    Host {
        name: name(text),
        labels: Labels::empty(),
        addresses: ips(addresses),
        system: None,
        origin: origin(7),
    }
}

/// A running pod on node `n1` since second 0.
pub(crate) fn pod(reference: &str, labelled: &str, addresses: &str) -> Pod {
    Pod {
        reference: pod_ref(reference),
        labels: labels(labelled),
        owner: None,
        ips: ips(addresses),
        node: Some(name("n1")),
        phase: Phase::Running,
        started: Some(at(0)),
        ended: None,
        spec: PodSpec::default(),
        origin: origin(2),
    }
}

/// A controller that selects what its template carries.
pub(crate) fn controller(reference: &str, labelled: &str) -> Controller {
    let WorkloadRef { namespace, kind, name } = workload_ref(reference);
    Controller {
        namespace,
        kind,
        name,
        owner: None,
        selector: Some(selects(labelled)),
        template_labels: labels(labelled),
        template: PodSpec::default(),
        replicas: Some(1),
        schedule: None,
        origin: origin(3),
    }
}

/// `TCP/80->8080`, `UDP/53->dns`, with a name in front where wanted: `web:TCP/80->8080`.
pub(crate) fn service_port(text: &str) -> ServicePort {
    let (port_name, rest) = text.split_once(':').map_or((None, text), |(n, r)| (Some(n.into()), r));
    let (protocol, ports) = rest.split_once('/').unwrap();
    let (port, target) = ports.split_once("->").unwrap();
    ServicePort {
        name: port_name,
        protocol: protocol.parse().unwrap(),
        port: port.parse().unwrap(),
        target: target
            .parse()
            .map_or_else(|_| TargetPort::Named(target.into()), TargetPort::Number),
        node_port: None,
    }
}

/// A Service with [ports](service_port); selects nothing when `selector` is empty.
pub(crate) fn service(reference: &str, selector: &str, addresses: &str, ports: &str) -> Service {
    Service {
        reference: service_ref(reference),
        kind: ServiceType::ClusterIp,
        selector: (!selector.is_empty()).then(|| selects(selector)),
        cluster_ips: ips(addresses),
        external_ips: Vec::new(),
        ports: ports.split_whitespace().map(service_port).collect(),
        external_traffic_policy: ExternalTrafficPolicy::Cluster,
        origin: origin(4),
    }
}

/// Addresses as `10.0.0.1=namespace/pod` or `10.0.0.1`; ports as `name:TCP/80` or `TCP/80`.
pub(crate) fn endpoints(reference: &str, addresses: &str, ports: &str) -> Endpoints {
    Endpoints {
        service: service_ref(reference),
        addresses: addresses
            .split_whitespace()
            .map(|text| match text.split_once('=') {
                Some((address, pod)) => (ip(address), Some(pod_ref(pod))),
                None => (ip(text), None),
            })
            .collect(),
        ports: ports
            .split_whitespace()
            .map(|text| {
                let port = service_port(&format!("{text}->1"));
                EndpointPort { name: port.name, protocol: port.protocol, port: port.port }
            })
            .collect(),
        origin: origin(5),
    }
}

/// `name:TCP/8080 ...`.
pub(crate) fn declares(ports: &str) -> PodSpec {
    let ports = ports.split_whitespace().map(|text| {
        let port = service_port(&format!("{text}->1"));
        ContainerPort { name: port.name, protocol: port.protocol, port: port.port }
    });
    PodSpec { ports: ports.collect(), ..PodSpec::default() }
}

pub(crate) fn runs(command: &str) -> PodSpec {
    let command = command.split(' ').map(Into::into).collect();
    PodSpec { commands: vec![command], ..PodSpec::default() }
}

pub(crate) fn on_host() -> PodSpec {
    PodSpec { host_network: true, ..PodSpec::default() }
}

pub(crate) fn namespace(text: &str) -> Namespace {
    Namespace {
        name: name(text),
        labels: Labels::from_iter([("kubernetes.io/metadata.name", text)]),
        origin: origin(6),
    }
}

pub(crate) fn inventory(objects: Objects) -> Inventory {
    Inventory::build(objects, &ClusterCidrs::default()).0
}

/// The findings with one of the codes, as text.
pub(crate) fn findings(objects: Objects, code: &str) -> Vec<String> {
    let (_, diagnostics) = Inventory::build(objects, &ClusterCidrs::default());
    diagnostics.iter().filter(|d| d.code == code).map(ToString::to_string).collect()
}
