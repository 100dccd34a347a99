//! Service addresses, translated in the kernel as kube-proxy does: to one of the endpoints, by chance.

use std::fmt::Write as _;
use std::net::IpAddr;

use ringfence_model::Port;
use ringfence_model::object::{Objects, Pod, Service, ServicePort, TargetPort};

/// Name of the table, of family inet.
pub const TABLE: &str = "ringfence-services";

/// The mark of packets that came for the port of a node, and go on in the node's name.
const FROM_NODE: &str = "0x4000";

/// The text for `nft -f` that translates the cluster and external addresses of all Services that
/// have endpoints, and their ports on the nodes; to the others there is no route.
pub fn render(objects: &Objects) -> String {
    let mut rules = String::new();
    for service in &objects.services {
        for port in &service.ports {
            for ip in service.cluster_ips.iter().chain(&service.external_ips) {
                let to = (*ip, port.port);
                rules.push_str(&rule(to, port, &endpoints(objects, service, port, *ip), ""));
            }
            let Some(node_port) = port.node_port else { continue };
            for ip in objects.nodes.iter().flat_map(|node| &node.addresses) {
                let found = endpoints(objects, service, port, *ip);
                let mark = format!("meta mark set {FROM_NODE} ");
                rules.push_str(&rule((*ip, node_port), port, &found, &mark));
            }
        }
    }
    format!(
        "table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n\tchain translate {{\n{rules}\t}}\n\
         \tchain prerouting {{\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\t\tjump translate\n\t}}\n\
         \tchain output {{\n\t\ttype nat hook output priority -100; policy accept;\n\t\tjump translate\n\t}}\n\
         \tchain postrouting {{\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\
         \t\tmeta mark {FROM_NODE} masquerade\n\t}}\n}}\n"
    )
}

/// The endpoints of a port of a Service, of the family of an address: the pods that its selector finds, as the cluster's
/// own controller would list them; without a selector those that somebody listed.
fn endpoints(
    objects: &Objects,
    service: &Service,
    port: &ServicePort,
    like: IpAddr,
) -> Vec<(IpAddr, u16)> {
    let found: Vec<(IpAddr, u16)> = match &service.selector {
        Some(selector) => {
            let pods = objects.pods.iter().filter(|pod| {
                pod.reference.namespace == service.reference.namespace
                    && !pod.phase.is_terminated()
                    && selector.matches(&pod.labels)
            });
            pods.filter_map(|pod| Some((pod, target(pod, port)?)))
                .flat_map(|(pod, target)| pod.ips.iter().map(move |ip| (*ip, target)))
                .collect()
        }
        None => {
            let slices =
                objects.endpoints.iter().filter(|slice| slice.service == service.reference);
            slices
                .flat_map(|slice| slice.ports.iter().map(move |port| (slice, port)))
                .filter(|(_, own)| own.name == port.name && own.protocol == port.protocol)
                .flat_map(|(slice, own)| {
                    slice.addresses.iter().map(move |(ip, _)| (*ip, own.port.get()))
                })
                .collect()
        }
    };
    found.into_iter().filter(|(ip, _)| ip.is_ipv4() == like.is_ipv4()).collect()
}

/// The port of a pod that a Service port leads to.
fn target(pod: &Pod, port: &ServicePort) -> Option<u16> {
    match &port.target {
        TargetPort::Number(number) => Some(number.get()),
        TargetPort::Named(name) => {
            let mut declared = pod.spec.ports.iter().filter(|own| own.protocol == port.protocol);
            declared.find(|own| own.name.as_ref() == Some(name)).map(|own| own.port.get())
        }
    }
}

/// The rule for what comes to an address and port; `first` is what it does before it translates.
fn rule(
    (ip, number): (IpAddr, Port),
    port: &ServicePort,
    endpoints: &[(IpAddr, u16)],
    first: &str,
) -> String {
    let family = if ip.is_ipv4() { "ip" } else { "ip6" };
    let protocol = port.protocol.as_str().to_ascii_lowercase();
    let mut text = format!("\t\t{family} daddr {ip} {protocol} dport {number} {first}");
    match endpoints {
        [] => return String::new(),
        [(ip, port)] if ip.is_ipv4() => {
            let _ = writeln!(text, "dnat ip to {ip}:{port}");
        }
        [(ip, port)] => {
            let _ = writeln!(text, "dnat ip6 to [{ip}]:{port}");
        }
        several => {
            let elements: Vec<String> = several
                .iter()
                .enumerate()
                .map(|(place, (ip, port))| format!("{place} : {ip} . {port}"))
                .collect();
            let _ = writeln!(
                text,
                "dnat {family} addr . port to numgen random mod {} map {{ {} }}",
                several.len(),
                elements.join(", ")
            );
        }
    }
    text
}
