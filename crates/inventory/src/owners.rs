//! Owner chains: from a pod, or what an observer says about one, to the workload on top.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ringfence_model::object::{Controller, OwnerRef, Pod};
use ringfence_model::{Labels, Name, PodRef, Selector, WorkloadKind, WorkloadRef};

/// The label by which a Deployment tells its `ReplicaSets` and their pods apart.
const POD_TEMPLATE_HASH: &str = "pod-template-hash";
/// The labels that carry the name of the Job in full, even where the pod's name was cut.
const JOB_NAME: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];
/// Labels that a controller puts on pods to tell their generations apart. They change with every rollout or run.
const GENERATION: [&str; 8] = [
    POD_TEMPLATE_HASH,
    "rollouts-pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    JOB_NAME[0],
    JOB_NAME[1],
];
/// What the API server appends to `generateName`, and how long the rest may be
/// (`k8s.io/apiserver` `names.simpleNameGenerator`).
const RANDOM_SUFFIX: usize = 5;
const MAX_GENERATED_BASE: usize = 58;
/// Longer chains than this are cycles.
const MAX_CHAIN: usize = 8;

/// The end of an owner chain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Top {
    pub(crate) reference: WorkloadRef,
    /// The link that the input should hold and does not, so that the chain may really be longer.
    pub(crate) missing: Option<WorkloadRef>,
}

/// All controllers, by what they own and what owns them.
///
/// Only `ReplicaSets` and Jobs roll up. A Deployment, `StatefulSet`, `DaemonSet` or `CronJob` that an operator's
/// object owns stays what it is: one such object may own several, which need different policies.
#[derive(Debug)]
pub(crate) struct Owners {
    controllers: HashMap<WorkloadRef, Option<OwnerRef>>,
    /// Selectors of the controllers that are their own top, by namespace.
    selectors: HashMap<Name, Vec<(Selector, WorkloadRef)>>,
}

impl Owners {
    pub(crate) fn new(controllers: &[Controller]) -> Self {
        let mut owners = Self {
            controllers: controllers
                .iter()
                .map(|controller| (reference(controller), controller.owner.clone()))
                .collect(),
            selectors: HashMap::new(),
        };
        for controller in controllers {
            let own = reference(controller);
            if let Some(selector) = &controller.selector
                && !selector.is_everything()
                && owners.top(own.clone(), None).reference == own
            {
                let namespace = controller.namespace.clone();
                owners.selectors.entry(namespace).or_default().push((selector.clone(), own));
            }
        }
        owners
    }

    /// Follows the chain upwards. `labels` are those of a pod below, if known: they say which Deployment a
    /// `ReplicaSet` that is gone belonged to.
    pub(crate) fn top(&self, from: WorkloadRef, labels: Option<&Labels>) -> Top {
        let mut current = from;
        for _ in 0..MAX_CHAIN {
            let known = self.controllers.get(&current);
            if !matches!(current.kind, WorkloadKind::ReplicaSet | WorkloadKind::Job) {
                let expected = !matches!(current.kind, WorkloadKind::Custom(_) | WorkloadKind::Pod);
                let missing = (expected && known.is_none()).then(|| current.clone());
                return Top { reference: current, missing };
            }
            match known {
                Some(Some(owner)) => current = owned_by(&current.namespace, owner),
                Some(None) => break,
                None => {
                    return match self.presumed_parent(&current, labels) {
                        Some(parent) => Top { reference: parent, missing: None },
                        None => Top { missing: Some(current.clone()), reference: current },
                    };
                }
            }
        }
        Top { reference: current, missing: None }
    }

    /// The top owner of a pod. Mirror pods of static pods name their Node as owner: such a pod is a workload of
    /// its own, like a pod without owner.
    pub(crate) fn top_of_pod(&self, pod: &Pod) -> Top {
        match &pod.owner {
            Some(owner) if !is_node(&owner.kind) => {
                self.top(owned_by(&pod.reference.namespace, owner), Some(&pod.labels))
            }
            _ => Top { reference: bare(&pod.reference), missing: None },
        }
    }

    /// The workload of a pod that the input does not hold, from what an observer said about it.
    pub(crate) fn top_of_gone_pod(
        &self,
        pod: &PodRef,
        workload: Option<&WorkloadRef>,
        labels: Option<&Labels>,
    ) -> WorkloadRef {
        if let Some(workload) = workload.filter(|workload| !is_node(&workload.kind)) {
            let top = self.top(workload.clone(), labels);
            let between =
                matches!(top.reference.kind, WorkloadKind::ReplicaSet | WorkloadKind::Job);
            return if top.missing.is_some() && between {
                self.by_pod_name(pod).unwrap_or(top.reference)
            } else {
                top.reference
            };
        }
        labels
            .and_then(|labels| self.by_job_label(&pod.namespace, labels))
            .or_else(|| labels.and_then(|labels| self.by_selector(&pod.namespace, labels)))
            .or_else(|| self.by_pod_name(pod))
            .unwrap_or_else(|| bare(pod))
    }

    /// The Deployment of a `ReplicaSet`, or the `CronJob` of a Job, that is no longer there: by its name, and only
    /// when such a parent exists.
    fn presumed_parent(&self, gone: &WorkloadRef, labels: Option<&Labels>) -> Option<WorkloadRef> {
        let name = gone.name.as_str();
        match gone.kind {
            WorkloadKind::ReplicaSet => {
                let hash = labels?.get(POD_TEMPLATE_HASH)?;
                let deployment = name.strip_suffix(hash)?.strip_suffix('-')?;
                self.existing(&gone.namespace, WorkloadKind::Deployment, deployment)
            }
            WorkloadKind::Job => {
                let (cron_job, time) = name.rsplit_once('-')?;
                // The scheduled time in minutes, in seconds before Kubernetes 1.21.
                let scheduled = (8..=10).contains(&time.len()) && is_digits(time);
                scheduled
                    .then(|| self.existing(&gone.namespace, WorkloadKind::CronJob, cron_job))
                    .flatten()
            }
            _ => None,
        }
    }

    fn by_job_label(&self, namespace: &Name, labels: &Labels) -> Option<WorkloadRef> {
        let name = JOB_NAME.iter().find_map(|key| labels.get(key))?;
        let job = WorkloadRef {
            namespace: namespace.clone(),
            kind: WorkloadKind::Job,
            name: Name::new(name).ok()?,
        };
        let top = self.top(job, Some(labels));
        top.missing.is_none().then_some(top.reference)
    }

    /// The one controller that selects these labels; none when several do.
    fn by_selector(&self, namespace: &Name, labels: &Labels) -> Option<WorkloadRef> {
        let mut matching = self
            .selectors
            .get(namespace)?
            .iter()
            .filter(|(selector, _)| selector.matches(labels))
            .map(|(_, workload)| workload);
        let first = matching.next()?;
        matching.next().is_none().then(|| first.clone())
    }

    /// The one controller of the namespace that could have given a pod this name.
    fn by_pod_name(&self, pod: &PodRef) -> Option<WorkloadRef> {
        let mut candidates = BTreeSet::new();
        let mut consider = |kind: WorkloadKind, name: &str| {
            if let Some(found) = self.existing(&pod.namespace, kind, name) {
                candidates.insert(self.top(found, None).reference);
            }
        };
        let name = pod.name.as_str();
        if let Some((set, ordinal)) = name.rsplit_once('-')
            && is_digits(ordinal)
        {
            consider(WorkloadKind::StatefulSet, set);
        }
        if let Some((base, random)) =
            name.split_at_checked(name.len().saturating_sub(RANDOM_SUFFIX))
            && is_safe_random(random)
        {
            if let Some(owner) = base.strip_suffix('-') {
                consider(WorkloadKind::DaemonSet, owner);
                consider(WorkloadKind::ReplicaSet, owner);
                consider(WorkloadKind::Job, owner);
                if let Some((owner, suffix)) = owner.rsplit_once('-') {
                    if is_safe_random(suffix) && suffix.len() <= 10 {
                        consider(WorkloadKind::Deployment, owner);
                    }
                    if is_digits(suffix) && (8..=10).contains(&suffix.len()) {
                        consider(WorkloadKind::CronJob, owner);
                    }
                }
            } else if base.len() == MAX_GENERATED_BASE
                && let Some((owner, suffix)) = base.rsplit_once('-')
            {
                // Cut in the middle of the hash or of the scheduled time.
                if is_safe_random(suffix) {
                    consider(WorkloadKind::Deployment, owner);
                }
                if is_digits(suffix) {
                    consider(WorkloadKind::CronJob, owner);
                }
            }
        }
        if candidates.len() == 1 { candidates.pop_first() } else { None }
    }

    fn existing(&self, namespace: &Name, kind: WorkloadKind, name: &str) -> Option<WorkloadRef> {
        let name = Name::new(name).ok()?;
        let reference = WorkloadRef { namespace: namespace.clone(), kind, name };
        self.controllers.contains_key(&reference).then_some(reference)
    }
}

/// The controller as a workload, whether or not it is on top.
pub(crate) fn reference(controller: &Controller) -> WorkloadRef {
    WorkloadRef {
        namespace: controller.namespace.clone(),
        kind: controller.kind.clone(),
        name: controller.name.clone(),
    }
}

fn owned_by(namespace: &Name, owner: &OwnerRef) -> WorkloadRef {
    WorkloadRef { namespace: namespace.clone(), kind: owner.kind.clone(), name: owner.name.clone() }
}

fn bare(pod: &PodRef) -> WorkloadRef {
    WorkloadRef {
        namespace: pod.namespace.clone(),
        kind: WorkloadKind::Pod,
        name: pod.name.clone(),
    }
}

fn is_node(kind: &WorkloadKind) -> bool {
    kind.as_str() == "Node"
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Letters and digits that Kubernetes uses in generated names (`k8s.io/apimachinery` `rand.SafeEncodeString`).
fn is_safe_random(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b))
}

/// A selector without the labels that tell generations apart; `None` when nothing else is left.
pub(crate) fn lasting(selector: &Selector) -> Option<Selector> {
    let kept: Selector = selector
        .requirements()
        .iter()
        .filter(|r| !GENERATION.contains(&&*r.key))
        .cloned()
        .collect();
    (!kept.is_everything()).then_some(kept)
}

/// Labels that all of these share.
pub(crate) fn shared_labels<'a>(mut all: impl Iterator<Item = &'a Labels>) -> Labels {
    let Some(first) = all.next() else { return Labels::empty() };
    let mut shared: Vec<(&Arc<str>, &Arc<str>)> = first.iter().collect();
    for labels in all {
        shared.retain(|(key, value)| labels.get(key) == Some(value));
    }
    shared.into_iter().map(|(k, v)| (Arc::clone(k), Arc::clone(v))).collect()
}

#[cfg(test)]
#[path = "owners_tests.rs"]
mod tests;
