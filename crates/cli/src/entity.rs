//! What people call the ends of a connection on the command line.

use std::net::IpAddr;

use anyhow::{Context, bail};
use ringfence_advise::World;
use ringfence_inventory::Inventory;
use ringfence_model::{Name, WorkloadKind, WorkloadRef};
use ringfence_policy::{End, PodIx};

use crate::args::kind_name;
use crate::output::some_of;

/// The ends that a text means: an address, `NAMESPACE/POD`, every kind of pod of `NAMESPACE/KIND/NAME`, or the
/// addresses of `Node/NAME`.
pub(crate) fn ends(
    world: &World<'_>,
    inventory: &Inventory,
    text: &str,
) -> anyhow::Result<Vec<End>> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(vec![world.set().end(ip)]);
    }
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        ["Node", name] => {
            let addresses = inventory.node_addresses(&name.parse::<Name>()?);
            if addresses.is_empty() {
                bail!("there is no node {name} with addresses in the cluster input");
            }
            Ok(addresses.iter().map(|ip| world.set().end(*ip)).collect())
        }
        [namespace, pod] => {
            let place = inventory
                .pods()
                .iter()
                .position(|p| {
                    p.reference.namespace.as_str() == namespace && p.reference.name.as_str() == pod
                })
                .with_context(|| {
                    format!("there is no running pod {text}; a workload is NAMESPACE/KIND/NAME")
                })?;
            Ok(vec![End::Pod(PodIx::new(u32::try_from(place)?))])
        }
        [namespace, kind, name] => {
            let reference = WorkloadRef {
                namespace: namespace.parse::<Name>()?,
                kind: WorkloadKind::from(kind_name(kind).as_str()),
                name: name.parse::<Name>()?,
            };
            let pods = world.pods(&reference);
            if pods.is_empty() {
                let here = inventory.workloads().iter().map(|w| &w.reference);
                let known = some_of(here.filter(|w| w.namespace == reference.namespace));
                bail!(
                    "there is no workload {reference} with pods that policies apply to\n  \
                     hint: the workloads of namespace {namespace} are: {known}"
                );
            }
            Ok(pods.iter().map(|pod| End::Pod(*pod)).collect())
        }
        _ => bail!(
            "{text:?} is neither an address, NAMESPACE/POD, NAMESPACE/KIND/NAME nor Node/NAME"
        ),
    }
}
