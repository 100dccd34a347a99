//! Finding the members of one set, class by class: for what comes later than the compilation.

use crate::atom::{AddressSpace, Sees};
use crate::class::Classes;
use crate::cluster::{Cluster, PodEntry};
use crate::compiled::Meaning;
use crate::index::index;
use crate::rules::Finder;
use crate::words::Words;

/// Looks at one pod of each class, which stands for all of them.
pub(crate) struct Scan<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) words: &'a Words,
    pub(crate) classes: &'a Classes,
    pub(crate) space: &'a AddressSpace,
}

impl Scan<'_> {
    /// Whether the pods of a class, of which one is given, are in a set that is no union.
    pub(crate) fn is_member(&self, meaning: &Meaning, class: u32, pod: &PodEntry) -> bool {
        let namespace = &self.cluster.namespaces[pod.namespace as usize];
        match meaning {
            Meaning::Everybody => true,
            Meaning::Own(own, pods) => {
                *own == namespace.name
                    && pods.matches(&pod.labels)
                    && !self.cluster.counts_as_node(pod)
            }
            Meaning::Matching(namespaces, pods) => {
                pods.matches(&pod.labels)
                    && namespaces.matches(&namespace.labels)
                    && !self.cluster.counts_as_node(pod)
            }
            Meaning::Cluster(pods) => self.cluster.selects(pods, pod),
            Meaning::Block(block) => {
                let key = &self.classes.keys[class as usize];
                let sees_all = self.words.blocks[*block as usize].sees == Sees::Everyone;
                let atoms = &self.space.of_block[*block as usize];
                (sees_all || self.cluster.profile.block_sees(key.is_node))
                    && key.atoms.iter().any(|atom| atoms.contains(*atom))
            }
            Meaning::Unplaced(place, likelihood) => {
                self.classes.keys[class as usize].unplaced
                    && self.cluster.likelihood(place, pod.host_network) == *likelihood
            }
            Meaning::Union(_) => false,
        }
    }

    /// A pod of the class, unless it has none left.
    pub(crate) fn pod(&self, class: u32) -> Option<&PodEntry> {
        let pod = self.classes.list[class as usize].pods().first()?;
        Some(&self.cluster.pods[pod.place()])
    }

    fn among(&self, classes: impl Iterator<Item = u32>, meaning: &Meaning) -> Vec<u32> {
        let first = index(self.space.atoms.len());
        let members =
            classes.filter(|c| self.pod(*c).is_some_and(|pod| self.is_member(meaning, *c, pod)));
        members.map(|class| first + class).collect()
    }
}

impl Finder for Scan<'_> {
    fn members(&mut self, meaning: &Meaning) -> Vec<u32> {
        let every_class = 0..index(self.classes.list.len());
        match meaning {
            Meaning::Own(namespace, _) => {
                let known = self.cluster.namespace_ids.get(namespace);
                let classes = known.and_then(|n| self.classes.of_namespace.get(*n as usize));
                self.among(classes.into_iter().flatten().copied(), meaning)
            }
            Meaning::Block(block) => {
                let mut ends = Vec::new();
                let atoms = &self.space.of_block[*block as usize];
                atoms.for_each(self.space.atoms.len(), |atom| ends.push(atom));
                ends.extend(self.among(every_class, meaning));
                ends
            }
            _ => self.among(every_class, meaning),
        }
    }
}
