//! Machines outside Kubernetes.

use ringfence_model::object::Host;
use serde::Deserialize;

use super::Context;
use super::meta::Meta;
use super::node::ip;
use crate::de::{Lined, from_node};
use crate::fault::Fault;
use crate::node::Node as Tree;

#[derive(Deserialize)]
struct Wire<'n> {
    #[serde(borrow)]
    spec: Spec<'n>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec<'n> {
    #[serde(borrow, default)]
    addresses: Vec<Lined<&'n str>>,
    #[serde(default)]
    system: Option<&'n str>,
}

pub(super) fn read(tree: &Tree<'_>, meta: Meta, cx: &mut Context<'_>) -> Result<Host, Fault> {
    let Wire { spec: Spec { addresses, system } } = from_node(tree)?;
    let addresses = addresses.iter().map(|text| {
        let known = ip(text).and_then(|ip| {
            let message = || format!("{ip} is no address under which others know a host");
            Host::can_have(ip).then_some(ip).ok_or_else(|| Fault::new(text.line, message()))
        });
        known.map_err(|fault| fault.inside("spec.addresses", text.line))
    });
    Ok(Host {
        addresses: addresses.collect::<Result<_, _>>()?,
        system: system.map(|system| cx.strings.share(system)),
        name: meta.name,
        labels: meta.labels,
        origin: cx.origin.clone(),
    })
}
