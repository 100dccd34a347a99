//! `EndpointSlices` and Endpoints.

use std::net::IpAddr;

use ringfence_model::object::{EndpointPort, Endpoints};
use ringfence_model::{Diagnostic, PodRef, ServiceRef};
use serde::Deserialize;

use super::Context;
use super::meta::Meta;
use super::node::ip;
use crate::de::{Lined, from_node};
use crate::fault::Fault;
use crate::node::Node as Tree;
use crate::port::{port, protocol};

/// The label by which an `EndpointSlice` names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SliceWire<'n> {
    #[serde(borrow, default)]
    address_type: Option<&'n str>,
    #[serde(borrow, default)]
    endpoints: Vec<EndpointWire<'n>>,
    #[serde(borrow, default)]
    ports: Vec<PortWire<'n>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointWire<'n> {
    #[serde(borrow, default)]
    addresses: Vec<Lined<&'n str>>,
    #[serde(borrow, default)]
    target_ref: Option<TargetRef<'n>>,
}

#[derive(Deserialize)]
struct Wire<'n> {
    #[serde(borrow, default)]
    subsets: Vec<Subset<'n>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subset<'n> {
    #[serde(borrow, default)]
    addresses: Vec<AddressWire<'n>>,
    #[serde(borrow, default)]
    not_ready_addresses: Vec<AddressWire<'n>>,
    #[serde(borrow, default)]
    ports: Vec<PortWire<'n>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddressWire<'n> {
    #[serde(borrow)]
    ip: Lined<&'n str>,
    #[serde(borrow, default)]
    target_ref: Option<TargetRef<'n>>,
}

#[derive(Deserialize)]
struct TargetRef<'n> {
    #[serde(borrow, default)]
    kind: &'n str,
    #[serde(borrow, default)]
    namespace: Option<Lined<&'n str>>,
    #[serde(borrow, default)]
    name: Option<Lined<&'n str>>,
}

#[derive(Deserialize)]
struct PortWire<'n> {
    #[serde(borrow, default)]
    name: Option<&'n str>,
    #[serde(borrow, default)]
    protocol: Option<Lined<&'n str>>,
    /// Missing in a slice that is meant for all ports; nothing can be looked up by it.
    #[serde(default)]
    port: Option<Lined<i64>>,
}

/// Reads an `EndpointSlice`. Addresses that are not ready are kept: they were, or will be.
pub(super) fn slice(
    tree: &Tree<'_>,
    meta: Meta,
    cx: &mut Context<'_>,
) -> Result<Vec<Endpoints>, Fault> {
    let Some(service) = meta.labels.get(SERVICE_LABEL) else {
        let message =
            format!("the label {SERVICE_LABEL} is missing, so the slice belongs to no Service");
        cx.findings.push(Diagnostic::note("slice-without-service", message).at(cx.origin.clone()));
        return Ok(Vec::new());
    };
    let name = cx.name(service).map_err(|f| f.inside("metadata.labels", tree.line))?;
    let SliceWire { address_type, endpoints, ports } = from_node(tree)?;
    if address_type == Some("FQDN") {
        let message = "the slice holds host names, which are not resolved";
        cx.findings.push(Diagnostic::note("slice-of-names", message).at(cx.origin.clone()));
        return Ok(Vec::new());
    }
    let mut addresses = Vec::new();
    for EndpointWire { addresses: texts, target_ref } in endpoints {
        let pod = target_ref.map(|t| t.pod(&meta, cx)).transpose()?.flatten();
        for text in texts {
            let address = ip(&text).map_err(|f| f.inside("endpoints.addresses", text.line))?;
            addresses.push((address, pod.clone()));
        }
    }
    Ok(vec![Endpoints {
        service: ServiceRef { namespace: meta.namespace, name },
        addresses,
        ports: self::ports(ports, cx)?,
        origin: cx.origin.clone(),
    }])
}

/// Reads an Endpoints object, which belongs to the Service of the same name.
pub(super) fn read(
    tree: &Tree<'_>,
    meta: &Meta,
    cx: &mut Context<'_>,
) -> Result<Vec<Endpoints>, Fault> {
    let Wire { subsets } = from_node(tree)?;
    let service = ServiceRef { namespace: meta.namespace.clone(), name: meta.name.clone() };
    let mut out = Vec::with_capacity(subsets.len());
    for Subset { addresses, not_ready_addresses, ports } in subsets {
        let all = addresses.into_iter().chain(not_ready_addresses);
        out.push(Endpoints {
            service: service.clone(),
            addresses: all.map(|a| a.read(meta, cx)).collect::<Result<_, _>>()?,
            ports: self::ports(ports, cx)?,
            origin: cx.origin.clone(),
        });
    }
    Ok(out)
}

impl AddressWire<'_> {
    fn read(self, meta: &Meta, cx: &mut Context<'_>) -> Result<(IpAddr, Option<PodRef>), Fault> {
        let Self { ip: text, target_ref } = self;
        let address = ip(&text).map_err(|f| f.inside("subsets.addresses.ip", text.line))?;
        Ok((address, target_ref.map(|t| t.pod(meta, cx)).transpose()?.flatten()))
    }
}

impl TargetRef<'_> {
    fn pod(self, meta: &Meta, cx: &mut Context<'_>) -> Result<Option<PodRef>, Fault> {
        let Self { kind, namespace, name } = self;
        let (true, Some(name)) = (kind == "Pod", name) else { return Ok(None) };
        let namespace = match namespace {
            Some(n) => cx.name(n.value).map_err(|f| f.inside("targetRef.namespace", n.line))?,
            None => meta.namespace.clone(),
        };
        let name = cx.name(name.value).map_err(|f| f.inside("targetRef.name", name.line))?;
        Ok(Some(PodRef { namespace, name }))
    }
}

fn ports(wires: Vec<PortWire<'_>>, cx: &mut Context<'_>) -> Result<Vec<EndpointPort>, Fault> {
    let mut out = Vec::with_capacity(wires.len());
    for (n, PortWire { name, protocol: wire, port: number }) in wires.into_iter().enumerate() {
        let Some(number) = number else { continue };
        let inside = |f: Fault| f.inside(&format!("ports[{n}]"), number.line);
        out.push(EndpointPort {
            name: name.filter(|n| !n.is_empty()).map(|n| cx.strings.share(n)),
            protocol: protocol(wire).map_err(inside)?,
            port: port(number).map_err(inside)?,
        });
    }
    Ok(out)
}
