//! What people call the ends of a connection on the command line.

use std::net::IpAddr;

use anyhow::{Context, bail};
use ringfence_advise::World;
use ringfence_inventory::Inventory;
use ringfence_model::{Name, WorkloadKind, WorkloadRef};
use ringfence_policy::{End, PodIx};

use crate::args::kind_name;

/// The ends that a text means: an address, `NAMESPACE/POD`, or every kind of pod of `NAMESPACE/KIND/NAME`.
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
                bail!("there is no workload {reference} with pods that policies apply to");
            }
            Ok(pods.iter().map(|pod| End::Pod(*pod)).collect())
        }
        _ => bail!("{text:?} is neither an address, NAMESPACE/POD nor NAMESPACE/KIND/NAME"),
    }
}
