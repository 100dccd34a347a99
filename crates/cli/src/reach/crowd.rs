//! Many ends in few words.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ringfence_advise::{Connectivity, Group, Who};

/// Tells lists of ends in as few words as are exact: `everything`, `every pod`, `every pod of shop`,
/// `0.0.0.0/0 but 10.0.0.0/8`, and single names where nothing larger is whole.
pub(crate) struct Crowd<'c> {
    members: Vec<Member<'c>>,
    sizes: BTreeMap<Kind<'c>, usize>,
}

/// One of all ends.
pub(crate) struct Member<'c> {
    pub(crate) name: String,
    pub(crate) kind: Kind<'c>,
    /// Whether a connection from it to itself is one between two pods.
    pub(crate) has_inner: bool,
    /// Whether it is needed to make its kind whole: not the parts of an end that is in the list itself.
    pub(crate) counts: bool,
    pub(crate) cidrs: &'c [IpNet],
}

/// What is told as one when it is whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind<'c> {
    Namespace(&'c str),
    /// Host-network pods, which policies take for their nodes.
    Nodes,
    Addresses,
}

impl<'c> Crowd<'c> {
    pub(crate) fn new(members: Vec<Member<'c>>) -> Self {
        let mut sizes = BTreeMap::new();
        for member in members.iter().filter(|member| member.counts) {
            *sizes.entry(member.kind).or_default() += 1;
        }
        Self { members, sizes }
    }

    /// The ends of a cluster.
    pub(crate) fn of(connectivity: &'c Connectivity<'_>) -> Self {
        let member = |group: &'c Group<'_>| Member {
            name: connectivity.name(group),
            kind: match group.namespace() {
                None => Kind::Addresses,
                Some(_) if connectivity.is_node(group) => Kind::Nodes,
                Some(namespace) => Kind::Namespace(namespace),
            },
            has_inner: group.has_inner(),
            counts: true,
            cidrs: match &group.who {
                Who::Addresses { cidrs, .. } => cidrs,
                Who::Pods { .. } => &[],
            },
        };
        Self::new(connectivity.groups().iter().map(member).collect())
    }

    /// The name of an end.
    pub(crate) fn name(&self, end: usize) -> &str {
        &self.members[end].name
    }

    /// Tells a list, which is sorted. `own` is the end that it is about: without connections among its members it
    /// cannot be in the list, and does not count as missing.
    pub(crate) fn tell(&self, ends: &[usize], own: Option<usize>) -> Vec<String> {
        let own = own.filter(|own| ends.binary_search(own).is_err());
        let mut by_kind: BTreeMap<Kind<'_>, Vec<usize>> = BTreeMap::new();
        for &end in ends {
            by_kind.entry(self.members[end].kind).or_default().push(end);
        }
        let size = |kind: &Kind<'_>| {
            let own =
                own.filter(|own| self.members[*own].kind == *kind && !self.members[*own].has_inner);
            self.sizes.get(kind).copied().unwrap_or_default() - usize::from(own.is_some())
        };
        let counted = |kind: &Kind<'_>| {
            let members = by_kind.get(kind).into_iter().flatten();
            members.filter(|end| self.members[**end].counts).count()
        };
        let is_whole = |kind: &Kind<'_>| counted(kind) == size(kind);
        let inside: Vec<IpNet> =
            ends.iter().flat_map(|end| self.members[*end].cidrs).copied().collect();
        let every_address = FAMILIES.iter().all(|family| rest(*family, &inside).is_empty());
        let pods = || self.sizes.keys().filter(|kind| **kind != Kind::Addresses);
        if every_address && pods().all(is_whole) {
            return vec!["everything".to_owned()];
        }
        let namespaces = || pods().filter(|kind| **kind != Kind::Nodes);
        let every_pod = namespaces().count() > 1 && namespaces().all(is_whole);
        let mut told = Vec::new();
        if every_pod {
            told.push("every pod".to_owned());
        }
        for (kind, members) in &by_kind {
            match kind {
                Kind::Namespace(_) if every_pod => {}
                Kind::Namespace(namespace) if is_whole(kind) && members.len() > 1 => {
                    told.push(format!("every pod of {namespace}"));
                }
                Kind::Nodes if is_whole(kind) && members.len() > 1 => {
                    told.push("every host-network pod".to_owned());
                }
                Kind::Addresses if every_address => told.push("every address".to_owned()),
                Kind::Addresses => {
                    told.extend(
                        FAMILIES.iter().filter_map(|family| tell_addresses(*family, &inside)),
                    );
                }
                _ => told.extend(members.iter().map(|end| self.members[*end].name.clone())),
            }
        }
        told
    }
}

/// All addresses.
const FAMILIES: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
];

/// The prefixes of a family, or what they leave of it, whichever is shorter.
fn tell_addresses(family: IpNet, inside: &[IpNet]) -> Option<String> {
    let own = inside.iter().filter(|cidr| family.contains(*cidr)).copied();
    let inside = IpNet::aggregate(&own.collect());
    let outside = IpNet::aggregate(&rest(family, &inside));
    if inside.is_empty() {
        None
    } else if !outside.is_empty() && outside.len() < inside.len() {
        Some(format!("{family} but {}", prefixes(&outside)))
    } else {
        Some(prefixes(&inside))
    }
}

/// What prefixes leave of another.
fn rest(all: IpNet, taken: &[IpNet]) -> Vec<IpNet> {
    let inside: Vec<IpNet> = taken.iter().filter(|cidr| all.contains(*cidr)).copied().collect();
    if inside.is_empty() {
        let is_covered = taken.iter().any(|cidr| cidr.contains(&all));
        return if is_covered { Vec::new() } else { vec![all] };
    }
    if inside.contains(&all) {
        return Vec::new();
    }
    let halves = all.subnets(all.prefix_len() + 1).into_iter().flatten();
    halves.flat_map(|half| rest(half, &inside)).collect()
}

/// So many prefixes are listed before the rest is only counted.
const LISTED: usize = 8;

fn prefixes(cidrs: &[IpNet]) -> String {
    let listed: Vec<String> = cidrs.iter().take(LISTED).map(ToString::to_string).collect();
    let more = cidrs.len().saturating_sub(LISTED);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more prefixes") };
    listed.join(",") + &rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(family: &str, inside: &[&str]) -> Option<String> {
        let inside: Vec<IpNet> = inside.iter().map(|cidr| cidr.parse().unwrap()).collect();
        tell_addresses(family.parse().unwrap(), &inside)
    }

    #[test]
    fn prefixes_are_told_the_shorter_way() {
        assert_eq!(told("0.0.0.0/0", &["2001:db8::/32"]), None);
        assert_eq!(told("0.0.0.0/0", &["10.0.0.0/8"]).unwrap(), "10.0.0.0/8");
        assert_eq!(told("0.0.0.0/0", &["10.0.0.0/9", "10.128.0.0/9"]).unwrap(), "10.0.0.0/8");
        let block: IpNet = "10.0.0.0/8".parse().unwrap();
        let outside: Vec<String> =
            rest(FAMILIES[0], &[block]).iter().map(ToString::to_string).collect();
        let outside: Vec<&str> = outside.iter().map(String::as_str).collect();
        assert_eq!(told("0.0.0.0/0", &outside).unwrap(), "0.0.0.0/0 but 10.0.0.0/8");
        assert_eq!(told("::/0", &["8000::/1", "::/1"]).unwrap(), "::/0");
    }
}
