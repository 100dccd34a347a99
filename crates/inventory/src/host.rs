//! Machines outside Kubernetes by their addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ringfence_model::object::Host;
use ringfence_model::{Diagnostic, Name};

/// Which host has which address.
#[derive(Debug, Default)]
pub(crate) struct HostBook {
    by_address: HashMap<IpAddr, Name>,
    addresses: HashMap<Name, Vec<IpAddr>>,
}

impl HostBook {
    /// An address of several hosts, such as that of the bridge of a container engine, names none of them.
    pub(crate) fn new(hosts: &[Host], diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut owners: BTreeMap<IpAddr, BTreeSet<&Name>> = BTreeMap::new();
        for host in hosts {
            for ip in &host.addresses {
                owners.entry(ip.to_canonical()).or_default().insert(&host.name);
            }
        }
        let mut book = Self::default();
        for (ip, names) in owners {
            let names: Vec<&Name> = names.into_iter().collect();
            match names[..] {
                [name] => {
                    book.by_address.insert(ip, name.clone());
                    book.addresses.entry(name.clone()).or_default().push(ip);
                }
                [first, second, ..] => diagnostics.push(
                    Diagnostic::warning(
                        "host-address-shared",
                        format!(
                            "{ip} is an address of both Host {first} and Host {second}; it counts as nobody's"
                        ),
                    )
                    .about(format!("Host {second}")),
                ),
                [] => {}
            }
        }
        book
    }

    /// The host that has this address.
    pub(crate) fn at(&self, ip: IpAddr) -> Option<&Name> {
        self.by_address.get(&ip.to_canonical())
    }

    /// The addresses that are a host's alone, sorted.
    pub(crate) fn addresses(&self, host: &str) -> &[IpAddr] {
        self.addresses.get(host).map_or(&[], Vec::as_slice)
    }
}
