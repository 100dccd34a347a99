//! How a policy selects a workload or a namespace: by labels that outlive a rollout, never by accident by nothing.

use std::net::IpAddr;

use ringfence_inventory::{Inventory, Workload};
use ringfence_model::review::LabelChoice;
use ringfence_model::{
    Direction, Labels, Name, NamespaceScope, PeerMatch, Requirement, Selector, WorkloadKind,
};

/// The label that every API server since 1.22 sets on a namespace, to its name, and keeps.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Labels that name one rollout, one Job run or one pod, so that a selector with them stops matching.
const VOLATILE_LABELS: [&str; 11] = [
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/job-name",
    "controller-revision-hash",
    "controller-uid",
    "job-name",
    "pod-template-generation",
    "pod-template-hash",
    "rollouts-pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
];

/// Whether a label names one rollout, one run or one pod, so that it goes into no selector.
pub fn is_volatile(key: &str) -> bool {
    VOLATILE_LABELS.contains(&key) || key.starts_with("topology.kubernetes.io/")
}

/// Why something can't be selected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unselectable {
    /// A workload whose pods carry no label that stays.
    #[error("its pods carry no label that outlives a rollout, or the review excludes them all")]
    NoStableLabel,
    /// A workload whose pods share the node's network: policies do not apply to them.
    #[error("its pods use the host network, which NetworkPolicies do not govern")]
    HostNetwork,
    /// A namespace without the labels that namespaces are selected by.
    #[error(
        "namespace {namespace} carries none of the labels {keys} that namespaces are selected by"
    )]
    NamespaceWithoutLabels {
        /// The namespace.
        namespace: Name,
        /// The label keys looked for.
        keys: String,
    },
    /// A workload or namespace that was seen in the flows but is not in the cluster input.
    #[error("it is not in the cluster input, so its labels are not known")]
    NotInInput,
    /// A machine outside Kubernetes of which no address is known that is its own.
    #[error("no address is known that is the host's alone")]
    AddressesNotKnown,
}

/// Chooses selectors for the workloads and namespaces of an inventory.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    inventory: &'a Inventory,
    choice: &'a LabelChoice,
}

impl<'a> Selection<'a> {
    /// With the labels that the review chose.
    pub fn new(inventory: &'a Inventory, choice: &'a LabelChoice) -> Self {
        Self { inventory, choice }
    }

    /// The selector of a workload's pods: the controller's own `spec.selector` less volatile and excluded labels,
    /// plus included ones. Where a controller has no selector of use (Jobs), the pod template's labels.
    pub fn pods(&self, workload: &Workload) -> Result<Selector, Unselectable> {
        if workload.host_network {
            return Err(Unselectable::HostNetwork);
        }
        let stays = |key: &str| !is_volatile(key) && !self.choice.exclude.contains(key);
        let from_controller: Vec<Requirement> = match (&workload.selector, &workload.reference.kind)
        {
            // The selector of a Job names its own run; the CronJob has none.
            (_, WorkloadKind::CronJob | WorkloadKind::Job) | (None, _) => Vec::new(),
            (Some(selector), _) => {
                selector.requirements().iter().filter(|r| stays(&r.key)).cloned().collect()
            }
        };
        let included: Labels = workload.template_labels.filtered(|key| {
            stays(key) && (from_controller.is_empty() || self.choice.include.contains(key))
        });
        let selector: Selector = from_controller
            .into_iter()
            .chain(Selector::labels(&included).requirements().iter().cloned())
            .collect();
        if selector.is_everything() { Err(Unselectable::NoStableLabel) } else { Ok(selector) }
    }

    /// A workload as the peer of a policy that lives in `from`.
    pub fn workload_peer(
        &self,
        from: &Name,
        workload: &Workload,
    ) -> Result<PeerMatch, Unselectable> {
        let pods = self.pods(workload)?;
        Ok(PeerMatch::Pods {
            namespaces: self.namespace(from, &workload.reference.namespace)?,
            pods,
        })
    }

    /// Every pod of a namespace as the peer of a policy that lives in `from`.
    pub fn namespace_peer(&self, from: &Name, namespace: &Name) -> Result<PeerMatch, Unselectable> {
        Ok(PeerMatch::Pods {
            namespaces: self.namespace(from, namespace)?,
            pods: Selector::everything(),
        })
    }

    /// A namespace, seen from a policy in `from`: its name label, or the labels that the review chose, all of
    /// those that it carries.
    pub fn namespace(&self, from: &Name, namespace: &Name) -> Result<NamespaceScope, Unselectable> {
        if from == namespace {
            return Ok(NamespaceScope::Own);
        }
        let Some(object) = self.inventory.namespace(namespace.as_str()) else {
            return Err(Unselectable::NotInInput);
        };
        let keys = self.namespace_keys();
        let labels = object.labels.filtered(|key| keys.contains(&key));
        if labels.is_empty() {
            return Err(Unselectable::NamespaceWithoutLabels {
                namespace: namespace.clone(),
                keys: keys.join(", "),
            });
        }
        Ok(NamespaceScope::Matching(Selector::labels(&labels)))
    }

    /// The addresses under which a node is the peer of a policy in a direction. As a source it may show any of its
    /// addresses; those that it has in the pod network are no destinations.
    pub fn node(
        &self,
        node: &Name,
        direction: Direction,
    ) -> impl Iterator<Item = IpAddr> + use<'a> {
        let described = self.inventory.nodes().iter().find(|n| n.name == *node);
        let hidden = match direction {
            Direction::Ingress => &[][..],
            Direction::Egress => described.map_or(&[][..], |n| n.pod_network_addresses.as_slice()),
        };
        self.inventory.node_addresses(node).iter().copied().filter(|ip| !hidden.contains(ip))
    }

    fn namespace_keys(&self) -> Vec<&str> {
        if self.choice.namespace.is_empty() {
            vec![NAMESPACE_NAME_LABEL]
        } else {
            self.choice.namespace.iter().map(|key| &**key).collect()
        }
    }
}
