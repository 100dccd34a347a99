//! What a new policy tells apart that no policy told apart before.

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use ringfence_model::Direction;

use crate::class::{ClassKey, Distinction};
use crate::index::{AtomIx, ClassIx, PodIx, index};
use crate::party::Party;
use crate::policy_set::PolicySet;
use crate::profile::IpBlockNodes;
use crate::words::Fresh;

impl PolicySet {
    /// Tells apart what the words learnt lately tell apart. Returns the parties that were split, with their parts;
    /// the verdicts of all are what they were.
    pub(super) fn distinguish(&mut self) -> Vec<Party> {
        let fresh = self.words.take_fresh();
        let cut = self.cut(&fresh);
        let addresses = |atom: u32| Party::Addresses(AtomIx::new(atom));
        let mut parties: Vec<Party> =
            cut.iter().flat_map(|(whole, part)| [addresses(*whole), addresses(*part)]).collect();
        for class in self.affected(&fresh, &cut) {
            let parts = self.split(class);
            parties.extend(parts.into_iter().map(|class| Party::Pods(ClassIx::new(class))));
        }
        parties
    }

    /// Cuts the address space along fresh blocks. Returns the atoms that were cut, each with its new part.
    fn cut(&mut self, fresh: &Fresh) -> Vec<(u32, u32)> {
        let cluster = Arc::clone(&self.cluster);
        let apart = match cluster.profile.ip_block_nodes {
            IpBlockNodes::Match => &HashSet::default(),
            IpBlockNodes::NeverMatch => &cluster.node_addresses,
        };
        let first = index(self.space.atoms.len());
        let mut cut = Vec::new();
        for block in &self.words.blocks[fresh.blocks.clone()] {
            cut.extend(self.space.add(block, apart));
        }
        let by = index(cut.len());
        if by == 0 {
            return cut;
        }
        // Atoms come before classes, which make room.
        for set in &mut self.tables.sets {
            set.shift(first, by);
        }
        for &(whole, part) in &cut {
            for set in &mut self.tables.sets {
                if set.contains(whole) {
                    set.set(part, true);
                }
            }
        }
        let of_policies = self.compiled.iter_mut().map(|policy| &mut policy.subjects);
        for subjects in of_policies.chain(&mut self.tiers.subjects) {
            for subject in subjects {
                *subject += by;
            }
        }
        let groups = self.sides.iter_mut().map(|side| &mut side.group);
        for group in groups.chain(self.tiers.sides.iter_mut().map(|side| &mut side.group)) {
            // No policy selects addresses: all are of one group.
            if let Some(&of_addresses) = group.first() {
                let at = first as usize;
                group.splice(at..at, std::iter::repeat_n(of_addresses, cut.len()));
            }
        }
        cut
    }

    /// The classes whose pods may no longer be alike.
    fn affected(&self, fresh: &Fresh, cut: &[(u32, u32)]) -> Vec<u32> {
        let Fresh { labels, port_names, blocks, places } = fresh;
        let blocks = &self.words.blocks[blocks.clone()];
        let is_affected = |class: u32| {
            let key = &self.classes.keys[class as usize];
            if *places {
                return true;
            }
            let by_address = cut.iter().any(|(whole, _)| key.atoms.contains(whole));
            let by_labels = !key.is_node && labels.may_divide(&key.labels);
            let by_port = !key.is_node && !port_names.is_empty();
            if !by_address && !by_labels && !by_port {
                return false;
            }
            self.classes.list[class as usize].pods().iter().any(|pod| {
                let pod = &self.cluster.pods[pod.place()];
                let is_inside = |ip: &IpAddr| blocks.iter().any(|b| b.block.contains(*ip));
                let is_new = |name: &Arc<str>| port_names.contains(name);
                by_address && pod.addresses.iter().any(is_inside)
                    || by_labels && labels.name(&pod.labels)
                    || by_port && pod.ports.iter().filter_map(|p| p.name.as_ref()).any(is_new)
            })
        };
        (0..index(self.classes.list.len())).filter(|class| is_affected(*class)).collect()
    }

    /// Sorts the pods of a class anew. Returns the class and its new parts, or nothing when all stay together.
    fn split(&mut self, class: u32) -> Vec<u32> {
        let cluster = Arc::clone(&self.cluster);
        let distinction = Distinction { cluster: &cluster, words: &self.words, space: &self.space };
        let mut order: Vec<ClassKey> = Vec::new();
        let mut parts: HashMap<ClassKey, Vec<PodIx>> = HashMap::default();
        for pod in self.classes.list[class as usize].pods().to_vec() {
            let key = distinction.key(&cluster.pods[pod.place()], &mut self.classes);
            let part = parts.entry(key).or_insert_with_key(|key| {
                order.push(key.clone());
                Vec::new()
            });
            part.push(pod);
        }
        let parts = order.into_iter().filter_map(|key| {
            let pods = parts.remove(&key)?;
            Some((key, pods))
        });
        let new = self.classes.divide(class, parts.collect());
        for &part in &new {
            self.inherit(class, part);
        }
        if new.is_empty() { new } else { std::iter::once(class).chain(new).collect() }
    }

    /// Gives a new class the verdicts of the one that it was a part of.
    fn inherit(&mut self, from: u32, class: u32) {
        let (from, end) = (self.class_end(from), self.class_end(class));
        for set in &mut self.tables.sets {
            if set.contains(from) {
                set.set(end, true);
            }
        }
        let of_policies = self.compiled.iter_mut().map(|policy| &mut policy.subjects);
        for subjects in of_policies.chain(&mut self.tiers.subjects) {
            if subjects.binary_search(&from).is_ok() {
                // The new class is the last of all.
                subjects.push(end);
            }
        }
        for direction in Direction::BOTH {
            let sides = [
                &mut self.sides[direction as usize].group,
                &mut self.tiers.sides[direction as usize].group,
            ];
            for group in sides {
                if let Some(&of_parent) = group.get(from as usize) {
                    group.push(of_parent);
                }
            }
        }
    }
}
