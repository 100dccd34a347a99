//! Services.

use std::net::IpAddr;

use ringfence_model::ServiceRef;
use ringfence_model::object::{
    ExternalTrafficPolicy, Service, ServicePort, ServiceType, TargetPort,
};
use serde::Deserialize;

use super::Context;
use super::meta::{Meta, Pairs};
use super::node::ip;
use super::selector::of_labels;
use crate::de::{Lined, from_node};
use crate::fault::Fault;
use crate::node::Node as Tree;
use crate::port::{IntOrString, port, protocol};

#[derive(Deserialize)]
struct Wire<'n> {
    #[serde(borrow, default)]
    spec: Spec<'n>,
    #[serde(borrow, default)]
    status: Status<'n>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec<'n> {
    r#type: Option<TypeWire>,
    #[serde(borrow)]
    selector: Pairs<'n>,
    #[serde(borrow, rename = "clusterIP")]
    cluster_ip: Option<Lined<&'n str>>,
    #[serde(borrow, rename = "clusterIPs")]
    cluster_ips: Vec<Lined<&'n str>>,
    #[serde(borrow, rename = "externalIPs")]
    external_ips: Vec<Lined<&'n str>>,
    #[serde(borrow)]
    ports: Vec<PortWire<'n>>,
    external_traffic_policy: Option<ExternalWire>,
}

#[derive(Clone, Copy, Deserialize)]
enum TypeWire {
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

#[derive(Clone, Copy, Deserialize)]
enum ExternalWire {
    Cluster,
    Local,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortWire<'n> {
    #[serde(borrow, default)]
    name: Option<&'n str>,
    #[serde(borrow, default)]
    protocol: Option<Lined<&'n str>>,
    port: Lined<i64>,
    #[serde(borrow, default)]
    target_port: Option<Lined<IntOrString<'n>>>,
    #[serde(default)]
    node_port: Option<Lined<i64>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status<'n> {
    #[serde(borrow)]
    load_balancer: LoadBalancer<'n>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer<'n> {
    #[serde(borrow)]
    ingress: Vec<LoadBalancerIngress<'n>>,
}

/// A load balancer that has a host name only has no `ip`.
#[derive(Deserialize)]
struct LoadBalancerIngress<'n> {
    #[serde(borrow, default)]
    ip: Option<Lined<&'n str>>,
}

pub(super) fn read(tree: &Tree<'_>, meta: Meta, cx: &mut Context<'_>) -> Result<Service, Fault> {
    let Wire { spec, status } = from_node(tree)?;
    let Spec {
        r#type,
        selector,
        cluster_ip,
        mut cluster_ips,
        external_ips,
        ports,
        external_traffic_policy,
    } = spec;
    let kind = match r#type {
        None | Some(TypeWire::ClusterIp) => ServiceType::ClusterIp,
        Some(TypeWire::NodePort) => ServiceType::NodePort,
        Some(TypeWire::LoadBalancer) => ServiceType::LoadBalancer,
        Some(TypeWire::ExternalName) => ServiceType::ExternalName,
    };
    if cluster_ips.is_empty() {
        cluster_ips.extend(cluster_ip);
    }
    cluster_ips.retain(|ip| !matches!(ip.value, "" | "None"));
    let balanced = status.load_balancer.ingress.iter().filter_map(|i| i.ip);
    let external: Vec<_> = external_ips.iter().copied().chain(balanced).collect();
    let selector = match kind {
        ServiceType::ExternalName => None,
        _ => of_labels(&selector.labels(cx)),
    };
    Ok(Service {
        reference: ServiceRef { namespace: meta.namespace, name: meta.name },
        kind,
        selector,
        cluster_ips: ips(&cluster_ips, "spec.clusterIPs")?,
        external_ips: ips(&external, "externalIPs")?,
        ports: ports
            .into_iter()
            .enumerate()
            .map(|(n, wire)| wire.read(cx).map_err(|f| f.inside(&format!("spec.ports[{n}]"), 0)))
            .collect::<Result<_, _>>()?,
        external_traffic_policy: match external_traffic_policy {
            None | Some(ExternalWire::Cluster) => ExternalTrafficPolicy::Cluster,
            Some(ExternalWire::Local) => ExternalTrafficPolicy::Local,
        },
        origin: cx.origin.clone(),
    })
}

fn ips(texts: &[Lined<&str>], field: &str) -> Result<Vec<IpAddr>, Fault> {
    texts.iter().map(|text| ip(text).map_err(|f| f.inside(field, text.line))).collect()
}

impl PortWire<'_> {
    fn read(self, cx: &mut Context<'_>) -> Result<ServicePort, Fault> {
        let Self { name, protocol: wire, port: number, target_port, node_port } = self;
        let own = port(number).map_err(|f| f.inside("port", number.line))?;
        let target = match target_port.map(|t| (t.line, t.value)) {
            None | Some((_, IntOrString::Int(0) | IntOrString::Text(""))) => {
                TargetPort::Number(own)
            }
            Some((line, IntOrString::Int(value))) => TargetPort::Number(
                port(Lined { line, value }).map_err(|f| f.inside("targetPort", line))?,
            ),
            Some((line, IntOrString::Text(name))) => {
                crate::port::check_name(name).map_err(|f| f.inside("targetPort", line))?;
                TargetPort::Named(cx.strings.share(name))
            }
        };
        let node_port = node_port
            .filter(|p| p.value != 0)
            .map(|p| port(p).map_err(|f| f.inside("nodePort", p.line)))
            .transpose()?;
        Ok(ServicePort {
            name: name.filter(|n| !n.is_empty()).map(|n| cx.strings.share(n)),
            protocol: protocol(wire)?,
            port: own,
            target,
            node_port,
        })
    }
}
