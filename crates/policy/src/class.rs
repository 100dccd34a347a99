//! Pods that policies cannot tell apart.

use foldhash::HashMap;
use ringfence_model::{Name, Port, Protocol};

use crate::atom::AddressSpace;
use crate::cluster::{Cluster, PodEntry};
use crate::index::{PodIx, index};
use crate::vocabulary::Projection;
use crate::words::Words;

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

    /// Its pods, sorted. None are left when all were removed or relabelled since the policies were compiled.
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
    /// Whether their addresses are not known, where that matters.
    pub(crate) unplaced: bool,
    /// Whether these pods are nothing but their node.
    pub(crate) is_node: bool,
    pub(crate) labels: Projection,
    /// Signature of its named ports.
    pub(crate) named: u32,
    /// The atoms of its addresses, as far as any block may match them, sorted.
    pub(crate) atoms: Box<[u32]>,
}

/// All classes. Those of one compilation are sorted by namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    pub(crate) list: Vec<PodClass>,
    pub(crate) keys: Vec<ClassKey>,
    ids: HashMap<ClassKey, u32>,
    /// The class of each pod.
    pub(crate) of_pod: Vec<u32>,
    /// The classes of each namespace, sorted.
    pub(crate) of_namespace: Vec<Vec<u32>>,
    /// The named ports of each signature. The first has none.
    pub(crate) named: Vec<NamedPorts>,
    signatures: HashMap<NamedPorts, u32>,
}

impl Classes {
    fn signature(&mut self, ports: NamedPorts) -> u32 {
        *self.signatures.entry(ports).or_insert_with_key(|ports| {
            self.named.push(ports.clone());
            index(self.named.len() - 1)
        })
    }

    /// Puts a pod into the class of its key; tells whether the class had no pod before.
    pub(crate) fn put(&mut self, pod: PodIx, key: ClassKey, namespace: &Name) -> (u32, bool) {
        let next = index(self.list.len());
        let class = *self.ids.entry(key).or_insert_with_key(|key| {
            self.of_namespace[key.namespace as usize].push(next);
            self.keys.push(key.clone());
            let (namespace, is_node) = (namespace.clone(), key.is_node);
            self.list.push(PodClass { namespace, is_node, pods: Vec::new() });
            next
        });
        let pods = &mut self.list[class as usize].pods;
        let place = pods.partition_point(|other| *other < pod);
        pods.insert(place, pod);
        let was_empty = pods.len() == 1;
        self.of_pod[pod.place()] = class;
        (class, was_empty)
    }

    /// Divides a class whose pods have other keys than before. The part with the old key, or the first, stays where it
    /// is; returns the classes of the others.
    pub(crate) fn divide(&mut self, class: u32, parts: Vec<(ClassKey, Vec<PodIx>)>) -> Vec<u32> {
        let old = &self.keys[class as usize];
        let stays = parts.iter().position(|(key, _)| key == old).unwrap_or_default();
        let mut new = Vec::new();
        for (n, (key, pods)) in parts.into_iter().enumerate() {
            if n == stays {
                let old = std::mem::replace(&mut self.keys[class as usize], key.clone());
                if old != key {
                    self.ids.remove(&old);
                    self.ids.insert(key, class);
                }
                self.list[class as usize].pods = pods;
                continue;
            }
            let namespace = self.list[class as usize].namespace.clone();
            let mut part = class;
            for pod in pods {
                (part, _) = self.put(pod, key.clone(), &namespace);
            }
            new.push(part);
        }
        new
    }

    /// Takes a pod out of its class, which may be left empty.
    pub(crate) fn take(&mut self, pod: PodIx) -> u32 {
        let class = self.of_pod[pod.place()];
        self.list[class as usize].pods.retain(|other| *other != pod);
        class
    }
}

/// What decides the class of a pod.
pub(crate) struct Distinction<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) words: &'a Words,
    pub(crate) space: &'a AddressSpace,
}

impl Distinction<'_> {
    /// Sorts all pods into classes.
    pub(crate) fn classes(&self) -> Classes {
        let cluster = self.cluster;
        let mut classes = Classes {
            of_pod: vec![0; cluster.pods.len()],
            of_namespace: vec![Vec::new(); cluster.namespaces.len()],
            ..Classes::default()
        };
        classes.signature(NamedPorts::default());
        let mut order: Vec<(PodIx, &PodEntry)> = cluster.present().collect();
        order.sort_by_key(|(_, pod)| pod.namespace);
        for (ix, pod) in order {
            let key = self.key(pod, &mut classes);
            let namespace = &cluster.namespaces[pod.namespace as usize].name;
            classes.put(ix, key, namespace);
        }
        classes
    }

    /// What decides the class of a pod.
    pub(crate) fn key(&self, pod: &PodEntry, classes: &mut Classes) -> ClassKey {
        ClassKey {
            namespace: pod.namespace,
            host_network: pod.host_network,
            unplaced: self.words.names_places && pod.addresses.is_empty(),
            is_node: self.cluster.counts_as_node(pod),
            labels: self.labels(pod),
            named: classes.signature(self.named_ports(pod)),
            atoms: self.atoms(pod),
        }
    }

    /// Selectors ignore host-network pods that count as their node.
    fn labels(&self, pod: &PodEntry) -> Projection {
        if self.cluster.counts_as_node(pod) {
            Projection::default()
        } else {
            self.words.pods.project(&pod.labels)
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
            .filter_map(|p| {
                Some((*self.words.port_names.get(p.name.as_ref()?)?, p.protocol, p.port))
            })
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports.into()
    }

    fn atoms(&self, pod: &PodEntry) -> Box<[u32]> {
        let by_profile = self.cluster.profile.block_sees(self.cluster.counts_as_node(pod));
        if !by_profile && !self.words.names_places {
            return Box::default();
        }
        let mut atoms: Vec<u32> = pod.addresses.iter().map(|ip| self.space.atom(*ip)).collect();
        atoms.sort_unstable();
        atoms.dedup();
        atoms.into()
    }
}
