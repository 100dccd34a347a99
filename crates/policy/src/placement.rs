//! Where pods are whose addresses are not known: those of manifests, and those that do not exist yet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringfence_model::{Cidr, Selector};

use crate::cluster::Cluster;

/// Addresses as a peer of a cluster-wide policy names them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// In any of these.
    Networks(Box<[Cidr]>),
    /// Those of the nodes with these labels.
    Nodes(Selector),
}

/// Whether a pod is in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Likelihood {
    Never,
    Maybe,
    Surely,
}

/// Addresses that no pod has in the network of pods, as first and last: those that stay on a machine or its link
/// (RFC 1122 section 3.2.1.3, RFC 3927, RFC 4291 section 2.5), the cloud metadata service among them, and multicast.
const NEVER: [(IpAddr, IpAddr); 7] = [
    v4(0, 0x00ff_ffff),
    v4(0x7f00_0000, 0x7fff_ffff),
    v4(0xa9fe_0000, 0xa9fe_ffff),
    v4(0xe000_0000, 0xefff_ffff),
    v6(0, 1),
    v6(0xfe80 << 112, (0xfe80 << 112) | (u128::MAX >> 10)),
    v6(0xff << 120, u128::MAX),
];

const fn v4(first: u32, last: u32) -> (IpAddr, IpAddr) {
    (IpAddr::V4(Ipv4Addr::from_bits(first)), IpAddr::V4(Ipv4Addr::from_bits(last)))
}

const fn v6(first: u128, last: u128) -> (IpAddr, IpAddr) {
    (IpAddr::V6(Ipv6Addr::from_bits(first)), IpAddr::V6(Ipv6Addr::from_bits(last)))
}

impl Cluster {
    /// Whether a pod without a known address is in a place. A host-network pod has the address of a node.
    pub(crate) fn likelihood(&self, place: &Place, host_network: bool) -> Likelihood {
        match (place, host_network) {
            (Place::Networks(cidrs), true) if !self.nodes.is_empty() => {
                let inside = |ip: &IpAddr| cidrs.iter().any(|cidr| cidr.contains(*ip));
                among(self.nodes.values().flat_map(|node| &node.addresses).map(inside))
            }
            (Place::Networks(cidrs), _) => self.likelihood_in(cidrs),
            // Pods have addresses of their own.
            (Place::Nodes(_), false) => Likelihood::Never,
            (Place::Nodes(nodes), true) if nodes.is_everything() => Likelihood::Surely,
            (Place::Nodes(_), true) if self.nodes.is_empty() => Likelihood::Maybe,
            (Place::Nodes(nodes), true) => {
                among(self.nodes.values().map(|node| nodes.matches(&node.labels)))
            }
        }
    }

    fn likelihood_in(&self, cidrs: &[Cidr]) -> Likelihood {
        let inside: Vec<(IpAddr, IpAddr)> = cidrs.iter().map(bounds).collect();
        // What of a range is left when these addresses are gone.
        let left = |range: (IpAddr, IpAddr), gone: &[(IpAddr, IpAddr)]| {
            let mut gone = gone.to_vec();
            gone.sort_unstable();
            let mut left = Vec::new();
            let (mut first, last) = (Some(range.0), range.1);
            for (from, to) in gone.into_iter().filter(|(from, _)| from.is_ipv4() == last.is_ipv4())
            {
                let Some(start) = first.filter(|first| *first <= last) else { break };
                if start < from
                    && let Some(end) = before(from)
                {
                    left.push((start, end.min(last)));
                }
                if to >= start {
                    first = after(to);
                }
            }
            left.extend(first.filter(|first| *first <= last).map(|first| (first, last)));
            left
        };
        let mut is_all_inside = true;
        let mut is_any_inside = false;
        let possible = self.pod_ranges.iter().flat_map(|cidr| {
            // Whoever names a range knows best.
            let is_anywhere = cidr.net().prefix_len() == 0;
            if is_anywhere { left(bounds(cidr), &NEVER) } else { vec![bounds(cidr)] }
        });
        for possible in possible {
            let outside = left(possible, &inside);
            is_all_inside &= outside.is_empty();
            is_any_inside |= outside != [possible];
        }
        match (is_any_inside, is_all_inside) {
            (false, _) => Likelihood::Never,
            (true, false) => Likelihood::Maybe,
            (true, true) => Likelihood::Surely,
        }
    }
}

/// What holds for one thing out of several, of which nobody knows which it is.
fn among(mut each: impl Iterator<Item = bool>) -> Likelihood {
    let Some(first) = each.next() else { return Likelihood::Maybe };
    match (first, each.all(|other| other == first)) {
        (_, false) => Likelihood::Maybe,
        (true, true) => Likelihood::Surely,
        (false, true) => Likelihood::Never,
    }
}

fn bounds(cidr: &Cidr) -> (IpAddr, IpAddr) {
    (cidr.net().network(), cidr.net().broadcast())
}

fn before(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => Some(Ipv4Addr::from_bits(ip.to_bits().checked_sub(1)?).into()),
        IpAddr::V6(ip) => Some(Ipv6Addr::from_bits(ip.to_bits().checked_sub(1)?).into()),
    }
}

fn after(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => Some(Ipv4Addr::from_bits(ip.to_bits().checked_add(1)?).into()),
        IpAddr::V6(ip) => Some(Ipv6Addr::from_bits(ip.to_bits().checked_add(1)?).into()),
    }
}
