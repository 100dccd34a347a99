//! Many ends in few words.

use std::collections::BTreeMap;

use ipnet::IpNet;
use ringfence_advise::{Connectivity, Who};

/// Tells lists of ends of one [`Connectivity`] in as few words as are exact: `everything`, `every pod`,
/// `every pod of shop`, `0.0.0.0/0 but 10.0.0.0/8`, and single names where nothing larger is whole.
pub(crate) struct Crowd<'c> {
    connectivity: &'c Connectivity<'c>,
    names: Vec<String>,
    /// Where each end belongs.
    kinds: Vec<Kind<'c>>,
    sizes: BTreeMap<Kind<'c>, usize>,
}

/// What is told as one when it is whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind<'c> {
    Namespace(&'c str),
    /// Host-network pods, which policies take for their nodes.
    Nodes,
    Addresses,
}

impl<'c> Crowd<'c> {
    pub(crate) fn new(connectivity: &'c Connectivity<'c>) -> Self {
        let groups = connectivity.groups();
        let kinds: Vec<Kind<'c>> = groups
            .iter()
            .map(|group| match group.namespace() {
                None => Kind::Addresses,
                Some(_) if connectivity.is_node(group) => Kind::Nodes,
                Some(namespace) => Kind::Namespace(namespace),
            })
            .collect();
        let mut sizes = BTreeMap::new();
        for kind in &kinds {
            *sizes.entry(*kind).or_default() += 1;
        }
        let names = groups.iter().map(|group| connectivity.name(group)).collect();
        Self { connectivity, names, kinds, sizes }
    }

    /// The name of an end.
    pub(crate) fn name(&self, end: usize) -> &str {
        &self.names[end]
    }

    /// Tells a list, which is sorted. `own` is the end that it is about: without connections among its members it
    /// cannot be in the list, and does not count as missing.
    pub(crate) fn tell(&self, ends: &[usize], own: Option<usize>) -> Vec<String> {
        let own = own.filter(|own| ends.binary_search(own).is_err());
        let mut by_kind: BTreeMap<Kind<'_>, Vec<usize>> = BTreeMap::new();
        for &end in ends {
            by_kind.entry(self.kinds[end]).or_default().push(end);
        }
        let size = |kind: &Kind<'_>| {
            let own = own.filter(|own| {
                self.kinds[*own] == *kind && !self.connectivity.groups()[*own].has_inner()
            });
            self.sizes.get(kind).copied().unwrap_or_default() - usize::from(own.is_some())
        };
        let is_whole = |kind: &Kind<'_>| by_kind.get(kind).map_or(0, Vec::len) == size(kind);
        if !ends.is_empty() && self.sizes.keys().all(is_whole) {
            return vec!["everything".to_owned()];
        }
        let mut told = Vec::new();
        let mut namespaces =
            self.sizes.keys().filter(|kind| matches!(kind, Kind::Namespace(_))).peekable();
        let several = self.sizes.len() > 3;
        let every_pod = namespaces.peek().is_some() && several && namespaces.all(is_whole);
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
                Kind::Addresses => told.extend(self.tell_addresses(members)),
                _ => told.extend(members.iter().map(|end| self.names[*end].clone())),
            }
        }
        told
    }

    fn tell_addresses(&self, members: &[usize]) -> Vec<String> {
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for (end, group) in self.connectivity.groups().iter().enumerate() {
            if let Who::Addresses { cidrs, .. } = &group.who {
                let side =
                    if members.binary_search(&end).is_ok() { &mut inside } else { &mut outside };
                side.extend_from_slice(cidrs);
            }
        }
        if outside.is_empty() {
            return vec!["every address".to_owned()];
        }
        let family = |cidrs: &[IpNet], v6: bool| {
            let cidrs = cidrs.iter().filter(|cidr| matches!(cidr, IpNet::V6(_)) == v6);
            IpNet::aggregate(&cidrs.copied().collect())
        };
        let told = [("0.0.0.0/0", false), ("::/0", true)].into_iter().filter_map(|(all, v6)| {
            let (inside, outside) = (family(&inside, v6), family(&outside, v6));
            if inside.is_empty() {
                None
            } else if outside.len() < inside.len() && !outside.is_empty() {
                Some(format!("{all} but {}", prefixes(&outside)))
            } else {
                Some(prefixes(&inside))
            }
        });
        told.collect()
    }
}

/// So many prefixes are listed before the rest is only counted.
const LISTED: usize = 8;

fn prefixes(cidrs: &[IpNet]) -> String {
    let listed: Vec<String> = cidrs.iter().take(LISTED).map(ToString::to_string).collect();
    let more = cidrs.len().saturating_sub(LISTED);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more prefixes") };
    listed.join(",") + &rest
}
