//! Where names are resolved: what egress isolation must always let through.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ringfence_inventory::Inventory;
use ringfence_model::{Cidr, EdgeKey, IpBlock, L4, Peer, Port, PortRange, Protocol};
use ringfence_policy::ConnectionSet;

use crate::need::Party;

/// Where DNS servers answer (RFC 1035 section 4.2) unless their Service says otherwise.
pub(crate) const DNS_PORT: Port = match Port::new(53) {
    Some(port) => port,
    None => Port::MIN,
};

/// The DNS servers of a cluster, as the pods reach them after Service translation, with how people know them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsServers(BTreeMap<Party, (String, ConnectionSet)>);

impl DnsServers {
    /// Both over UDP and over TCP, whatever was observed: "all DNS implementations must support both" (RFC 7766).
    pub fn of(inventory: &Inventory) -> Self {
        let mut servers = Self::default();
        let dns = inventory.dns();
        let backends =
            dns.services.iter().flat_map(|s| &s.ports).flat_map(|port| port.backends.iter());
        for (peer, port) in backends {
            let parties = match peer {
                Peer::Workload(workload) => vec![Party::Workload(workload.clone())],
                Peer::Node(node) => hosts(inventory.node_addresses(node)),
                Peer::Address(ip, _) => hosts(&[*ip]),
                Peer::Host(host) => hosts(&inventory.host_addresses(host).collect::<Vec<_>>()),
                Peer::Service(_) | Peer::Alias(_) => Vec::new(),
            };
            servers.add(parties, &peer.to_string(), *port);
        }
        if let Some(cache) = &dns.node_local {
            // Pods dial addresses that only exist on their node; where the cache has a network of its own, the
            // addresses are translated to its pods.
            let mut parties = hosts(&cache.addresses);
            if !cache.host_network {
                parties.push(Party::Workload(cache.workload.clone()));
            }
            servers.add(parties, &cache.workload.to_string(), DNS_PORT);
        }
        servers
    }

    fn add(&mut self, parties: Vec<Party>, label: &str, port: Port) {
        let ports =
            [Protocol::Udp, Protocol::Tcp].map(|protocol| (protocol, PortRange::single(port)));
        let ports: ConnectionSet = ports.into_iter().collect();
        for party in parties {
            let (_, known) =
                self.0.entry(party).or_insert_with(|| (label.to_owned(), ConnectionSet::empty()));
            *known = known.union(&ports);
        }
    }

    /// Whether none was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who, how people know them, and on which ports.
    pub fn iter(&self) -> impl Iterator<Item = (&Party, &str, &ConnectionSet)> {
        self.0.iter().map(|(party, (label, ports))| (party, label.as_str(), ports))
    }

    /// Whether an edge goes to one of the servers on its port.
    pub fn serves(&self, key: &EdgeKey) -> bool {
        let L4::Port(protocol, port) = key.l4 else { return false };
        self.0.iter().any(|(party, (_, ports))| {
            let there = match (party, &key.destination) {
                (Party::Workload(server), Peer::Workload(reached)) => server == reached,
                (Party::Block(block), Peer::Address(ip, _)) => block.contains(*ip),
                _ => false,
            };
            there && ports.contains(protocol, port)
        })
    }
}

fn hosts(ips: &[IpAddr]) -> Vec<Party> {
    ips.iter().map(|ip| Party::Block(IpBlock::whole(Cidr::host(*ip)))).collect()
}
