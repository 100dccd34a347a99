//! Pods that policies cannot tell apart.

use std::ops::Range;
use std::sync::Arc;

use foldhash::HashMap;
use ringfence_model::{Name, Port, Protocol};

use crate::atom::{AddressSpace, Block, Sees};
use crate::cluster::{Cluster, PodEntry};
use crate::index::{PodIx, index};
use crate::vocabulary::{Projection, Vocabulary};

/// Pods of one namespace that policies cannot tell apart: same labels as far as selectors mention them, same numbers
/// behind the port names that policies mention, same ipBlocks around their addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodClass {
    namespace: Name,
    is_node: bool,
    pods: Vec<PodIx>,
}

impl PodClass {
    /// The namespace of all its pods.
    pub const fn namespace(&self) -> &Name {
        &self.namespace
    }

    /// Whether these are host-network pods that count as their node, to which policies do not apply.
    pub const fn is_node(&self) -> bool {
        self.is_node
    }

    /// Its pods, sorted; at least one.
    pub fn pods(&self) -> &[PodIx] {
        &self.pods
    }
}

/// The number behind each port name that policies mention, as (name, protocol, port), sorted.
pub(crate) type NamedPorts = Box<[(u32, Protocol, Port)]>;

/// What the engine keeps of a class, beside what [`PodClass`] shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClassKey {
    pub(crate) namespace: u32,
    /// Whether these are host-network pods, which cluster-wide policies ignore under every profile.
    pub(crate) host_network: bool,
    /// Whether these pods are nothing but their node.
    pub(crate) is_node: bool,
    pub(crate) labels: Projection,
    /// Signature of its named ports.
    pub(crate) named: u32,
    /// The atoms of its addresses, as far as any block may match them, sorted.
    pub(crate) atoms: Box<[u32]>,
}

/// All classes, sorted by namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    pub(crate) list: Vec<PodClass>,
    pub(crate) keys: Vec<ClassKey>,
    /// The class of each pod.
    pub(crate) of_pod: Vec<u32>,
    /// The classes of each namespace.
    pub(crate) of_namespace: Vec<Range<u32>>,
    /// The named ports of each signature. The first has none.
    pub(crate) named: Vec<NamedPorts>,
}

/// What decides the class of a pod.
pub(crate) struct Distinction<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) port_names: &'a HashMap<Arc<str>, u32>,
    pub(crate) blocks: &'a [Block],
    pub(crate) space: &'a AddressSpace,
}

impl Distinction<'_> {
    /// Sorts all pods into classes.
    pub(crate) fn classes(&self) -> Classes {
        let mut signatures: HashMap<NamedPorts, u32> = HashMap::default();
        let mut named = vec![NamedPorts::default()];
        signatures.insert(NamedPorts::default(), 0);
        let mut ids: HashMap<ClassKey, u32> = HashMap::default();
        let mut found: Vec<(ClassKey, Vec<PodIx>)> = Vec::new();
        for (n, pod) in self.cluster.pods.iter().enumerate() {
            let signature = *signatures.entry(self.named_ports(pod)).or_insert_with_key(|ports| {
                named.push(ports.clone());
                index(named.len() - 1)
            });
            let key = ClassKey {
                namespace: pod.namespace,
                host_network: pod.host_network,
                is_node: self.cluster.counts_as_node(pod),
                labels: self.labels(pod),
                named: signature,
                atoms: self.atoms(pod),
            };
            let id = *ids.entry(key).or_insert_with_key(|key| {
                found.push((key.clone(), Vec::new()));
                index(found.len() - 1)
            });
            found[id as usize].1.push(PodIx::new(index(n)));
        }
        // Classes are found in the order of their first pods, which a stable sort keeps within a namespace.
        found.sort_by_key(|(key, _)| key.namespace);

        let namespaces = &self.cluster.namespaces;
        let mut classes = Classes {
            named,
            of_pod: vec![0; self.cluster.pods.len()],
            of_namespace: vec![0..0; namespaces.len()],
            ..Classes::default()
        };
        for (n, (key, pods)) in found.into_iter().enumerate() {
            let range = &mut classes.of_namespace[key.namespace as usize];
            if range.start == range.end {
                range.start = index(n);
            }
            range.end = index(n + 1);
            for pod in &pods {
                classes.of_pod[pod.place()] = index(n);
            }
            classes.list.push(PodClass {
                namespace: namespaces[key.namespace as usize].name.clone(),
                is_node: key.is_node,
                pods,
            });
            classes.keys.push(key);
        }
        classes
    }

    /// Selectors ignore host-network pods that count as their node.
    fn labels(&self, pod: &PodEntry) -> Projection {
        if self.cluster.counts_as_node(pod) {
            Projection::default()
        } else {
            self.vocabulary.project(&pod.labels)
        }
    }

    /// Names resolve on pods, not on addresses.
    fn named_ports(&self, pod: &PodEntry) -> NamedPorts {
        if self.cluster.counts_as_node(pod) {
            return NamedPorts::default();
        }
        let mut ports: Vec<(u32, Protocol, Port)> = pod
            .ports
            .iter()
            .filter_map(|p| Some((*self.port_names.get(p.name.as_ref()?)?, p.protocol, p.port)))
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports.into()
    }

    fn atoms(&self, pod: &PodEntry) -> Box<[u32]> {
        let by_profile = self.cluster.profile.block_sees(self.cluster.counts_as_node(pod));
        if !by_profile && self.blocks.iter().all(|block| block.sees == Sees::ByProfile) {
            return Box::default();
        }
        let mut atoms: Vec<u32> = pod.addresses.iter().map(|ip| self.space.atom(*ip)).collect();
        atoms.sort_unstable();
        atoms.dedup();
        atoms.into()
    }
}
