//! How pods resolve names.

use std::net::IpAddr;

use ringfence_model::object::{Service, ServicePort};
use ringfence_model::{Diagnostic, Operator, Port, Protocol, ServiceRef, WorkloadRef};

use crate::process::{is_system_namespace, values};
use crate::services::{Backends, ServiceTable};
use crate::workload::Workload;

/// The cluster's DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// The DNS Services, sorted; usually one.
    pub services: Vec<DnsService>,
    /// The cache on every node, where one is installed.
    pub node_local: Option<NodeLocalDns>,
}

/// A Service that answers DNS queries of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsService {
    /// The Service.
    pub service: ServiceRef,
    /// Its cluster IPs.
    pub addresses: Vec<IpAddr>,
    /// Its DNS ports, metrics and the like left out.
    pub ports: Vec<DnsPort>,
}

/// A port that answers DNS queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPort {
    /// UDP or TCP.
    pub protocol: Protocol,
    /// The port of the Service.
    pub port: Port,
    /// Who answers, and at which port: policies need this one (5353 on `OpenShift`).
    pub backends: Backends,
}

/// `NodeLocal DNSCache`: a cache on every node, dialled at an address that no pod has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLocalDns {
    /// The `DaemonSet`.
    pub workload: WorkloadRef,
    /// Whether it runs in the nodes' network, so that only an ipBlock allows it.
    pub host_network: bool,
    /// Where it listens (`-localip`): a link-local address, and the DNS Service's own where that is hijacked.
    pub addresses: Vec<IpAddr>,
}

const DNS_NAMES: [&str; 2] = ["kube-dns", "coredns"];
const NODE_LOCAL_NAMES: [&str; 2] = ["node-local-dns", "nodelocaldns"];
const DNS_PORT: u16 = 53;

/// Finds the cluster's DNS: Services with a DNS port in the namespaces of the system; elsewhere those named, or
/// selecting pods labelled, `kube-dns` or `coredns`.
pub(crate) fn discover(
    services: &[Service],
    table: &ServiceTable,
    workloads: &[Workload],
    diagnostics: &mut Vec<Diagnostic>,
) -> Dns {
    let found = services.iter().enumerate().filter(|(_, service)| is_cluster_dns(service));
    let services = found
        .filter_map(|(n, service)| {
            let ports = service.ports.iter().zip(table.backends(n));
            let ports: Vec<DnsPort> = ports
                .filter(|(port, _)| is_dns(port))
                .map(|(port, backends)| DnsPort {
                    protocol: port.protocol,
                    port: port.port,
                    backends: Backends::clone(backends),
                })
                .collect();
            (!ports.is_empty()).then(|| DnsService {
                service: service.reference.clone(),
                addresses: service.cluster_ips.clone(),
                ports,
            })
        })
        .collect();
    Dns { services, node_local: node_local(workloads, diagnostics) }
}

fn is_cluster_dns(service: &Service) -> bool {
    let name = service.reference.name.as_str();
    is_system_namespace(service.reference.namespace.as_str())
        || DNS_NAMES.contains(&name)
        || service.selector.as_ref().is_some_and(|selector| {
            selector.requirements().iter().any(|r| {
                &*r.key == "k8s-app"
                    && matches!(&r.operator, Operator::In(v) if DNS_NAMES.iter().any(|n| v.contains(*n)))
            })
        })
}

fn is_dns(port: &ServicePort) -> bool {
    let named = matches!(port.name.as_deref(), Some("dns" | "dns-tcp"));
    port.protocol != Protocol::Sctp && (named || port.port.get() == DNS_PORT)
}

fn node_local(workloads: &[Workload], diagnostics: &mut Vec<Diagnostic>) -> Option<NodeLocalDns> {
    let workload = workloads.iter().find(|workload| {
        let name = workload.reference.name.as_str();
        let label = workload.template_labels.get("k8s-app");
        NODE_LOCAL_NAMES.contains(&name) || label.is_some_and(|l| NODE_LOCAL_NAMES.contains(&l))
    })?;
    let mut addresses = Vec::new();
    for command in &workload.spec.commands {
        let words: Vec<&str> = command.iter().flat_map(|arg| arg.split_whitespace()).collect();
        addresses.extend(values(&words, "-localip").filter_map(|ip| ip.parse::<IpAddr>().ok()));
    }
    addresses.sort_unstable();
    addresses.dedup();
    if workload.host_network && addresses.is_empty() {
        diagnostics.push(
            Diagnostic::warning(
                "node-local-dns-address-unknown",
                "its arguments do not say where it listens (-localip)",
            )
            .at(workload.origin.clone())
            .about(workload.reference.to_string())
            .value("workload", &workload.reference)
            .hint("allow egress to its address on port 53, usually 169.254.20.10, by a CIDR rule of the review"),
        );
    }
    Some(NodeLocalDns {
        workload: workload.reference.clone(),
        host_network: workload.host_network,
        addresses,
    })
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
