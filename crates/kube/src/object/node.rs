//! Nodes and Namespaces.

use std::net::IpAddr;

use ringfence_model::object::{Namespace, Node};
use ringfence_model::{Cidr, Labels};
use serde::Deserialize;

use super::Context;
use super::meta::Meta;
use crate::de::{Lined, from_node};
use crate::fault::Fault;
use crate::node::Node as Tree;

/// Node annotations in which network plugins publish the address the node has inside the pod network.
pub(crate) const POD_NETWORK_ANNOTATIONS: [&str; 9] = [
    "network.cilium.io/ipv4-cilium-host",
    "network.cilium.io/ipv6-cilium-host",
    "io.cilium.network.ipv4-cilium-host",
    "io.cilium.network.ipv6-cilium-host",
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
    "projectcalico.org/IPv6WireguardInterfaceAddr",
];

/// The label that every API server since 1.22 sets on namespaces.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

#[derive(Deserialize)]
struct Wire<'n> {
    #[serde(borrow, default)]
    spec: Spec<'n>,
    #[serde(borrow, default)]
    status: Status<'n>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec<'n> {
    #[serde(borrow, rename = "podCIDRs")]
    pod_cidrs: Vec<Lined<&'n str>>,
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<Lined<&'n str>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status<'n> {
    #[serde(borrow)]
    addresses: Vec<Address<'n>>,
}

#[derive(Deserialize)]
struct Address<'n> {
    r#type: &'n str,
    address: Lined<&'n str>,
}

pub(super) fn read(tree: &Tree<'_>, meta: Meta, cx: &Context<'_>) -> Result<Node, Fault> {
    let Wire { spec: Spec { mut pod_cidrs, pod_cidr }, status: Status { addresses } } =
        from_node(tree)?;
    if pod_cidrs.is_empty() {
        pod_cidrs.extend(pod_cidr.filter(|c| !c.value.is_empty()));
    }
    let pod_network = meta
        .annotations
        .iter()
        .filter(|(key, value)| POD_NETWORK_ANNOTATIONS.contains(&&**key) && !value.value.is_empty())
        .map(|(key, Lined { line, value })| {
            let field = format!("metadata.annotations[{key}]");
            ip(&Lined { line: *line, value }).map_err(|f| f.inside(&field, *line))
        });
    Ok(Node {
        pod_network_addresses: pod_network.collect::<Result<_, _>>()?,
        name: meta.name,
        labels: meta.labels,
        addresses: addresses
            .iter()
            .filter(|a| matches!(a.r#type, "InternalIP" | "ExternalIP"))
            .map(|a| ip(&a.address).map_err(|f| f.inside("status.addresses", a.address.line)))
            .collect::<Result<_, _>>()?,
        pod_cidrs: pod_cidrs
            .iter()
            .map(|c| cidr(c).map_err(|f| f.inside("spec.podCIDRs", c.line)))
            .collect::<Result<_, _>>()?,
        origin: cx.origin.clone(),
    })
}

pub(super) fn namespace(meta: Meta, cx: &mut Context<'_>) -> Namespace {
    let labels = if meta.stored {
        meta.labels
    } else {
        let labels = meta.labels.iter().map(|(k, v)| (k.clone(), v.clone()));
        let name = (cx.strings.share(NAME_LABEL), cx.strings.share(meta.name.as_str()));
        labels.chain([name]).collect::<Labels>()
    };
    Namespace { name: meta.name, labels, origin: cx.origin.clone() }
}

/// An address, IPv4-mapped ones as the IPv4 address they mean.
pub(crate) fn ip(text: &Lined<&str>) -> Result<IpAddr, Fault> {
    text.value
        .parse::<IpAddr>()
        .map(|ip| ip.to_canonical())
        .map_err(|_| Fault::new(text.line, format!("{:?} is not an IP address", text.value)))
}

/// A CIDR without host bits.
pub(crate) fn cidr(text: &Lined<&str>) -> Result<Cidr, Fault> {
    text.value.parse().map_err(|e: ringfence_model::NetError| Fault::new(text.line, e.to_string()))
}
