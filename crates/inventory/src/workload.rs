//! Workloads: what policies are written for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringfence_model::object::{Controller, OwnerRef, Phase, Pod, PodSpec};
use ringfence_model::{
    Diagnostic, Labels, Name, Origin, PodRef, Selector, WorkloadKind, WorkloadRef,
};

use crate::ordered::listed;
use crate::owners::{self, Owners, Top};

/// The top owner of pods, with what is known about the pods it has or would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Namespace, kind and name.
    pub reference: WorkloadRef,
    /// `spec.selector` of the controller as it stands there. For a top owner that is not in the input (a custom
    /// controller), the selector of the controllers below without the labels that tell their generations apart,
    /// when they agree. `None` for a `CronJob` and for bare pods.
    pub selector: Option<Selector>,
    /// Labels of the pod template; without a template, the labels that all its pods share.
    pub template_labels: Labels,
    /// The pod template; without one, what the first pod says.
    pub spec: PodSpec,
    /// Its live pods, as indices into [`pods`](crate::Inventory::pods), ascending.
    pub pods: Vec<usize>,
    /// Whether its pods share their nodes' network, so that policies do not select them.
    pub host_network: bool,
    /// `spec.schedule` of a `CronJob`.
    pub schedule: Option<Arc<str>>,
    /// The Services it backs, as indices into [`services`](crate::Inventory::services), ascending.
    pub services: Vec<usize>,
    /// Where it was read; where the first of its pods was read when it is not in the input itself.
    pub origin: Origin,
}

#[derive(Default)]
struct Sources<'a> {
    own: Option<&'a Controller>,
    below: Vec<&'a Controller>,
    pods: Vec<usize>,
}

/// All workloads, sorted, and for each pod the index of its workload. `tops` has the top owner of each pod.
///
/// A `ReplicaSet` with no wanted pods is the past of something else, and no workload by itself.
pub(crate) fn collect(
    controllers: &[Controller],
    owners: &Owners,
    pods: &[Pod],
    tops: &[WorkloadRef],
) -> (Vec<Workload>, Vec<usize>) {
    let mut sources: BTreeMap<WorkloadRef, Sources<'_>> = BTreeMap::new();
    for controller in controllers.iter().filter(|c| !is_past(c)) {
        let own = owners::reference(controller);
        let top = owners.top(own.clone(), Some(&controller.template_labels)).reference;
        let is_top = top == own;
        let source = sources.entry(top).or_default();
        if is_top {
            source.own = Some(controller);
        } else {
            source.below.push(controller);
        }
    }
    for (n, top) in tops.iter().enumerate() {
        sources.entry(top.clone()).or_default().pods.push(n);
    }
    let mut workload_of = vec![0; pods.len()];
    let mut workloads = Vec::with_capacity(sources.len());
    for (reference, source) in sources {
        for &pod in &source.pods {
            workload_of[pod] = workloads.len();
        }
        workloads.push(workload(reference, source, pods));
    }
    (workloads, workload_of)
}

fn workload(reference: WorkloadRef, source: Sources<'_>, pods: &[Pod]) -> Workload {
    let Sources { own, below, pods: members } = source;
    let template = own.or(below.last().copied());
    let first_pod = members.first().map(|&n| &pods[n]);
    let spec = template.map(|t| &t.template).or(first_pod.map(|p| &p.spec));
    let spec = spec.cloned().unwrap_or_default();
    let origin = template.map(|t| &t.origin).or(first_pod.map(|p| &p.origin));
    Workload {
        selector: match own {
            Some(own) => own.selector.clone(),
            None => agreed_selector(&below),
        },
        template_labels: match own {
            Some(own) => own.template_labels.clone(),
            None if below.is_empty() => {
                owners::shared_labels(members.iter().map(|&n| &pods[n].labels))
            }
            None => owners::shared_labels(below.iter().map(|c| &c.template_labels)),
        },
        host_network: spec.host_network,
        spec,
        pods: members,
        schedule: own.and_then(|own| own.schedule.clone()),
        services: Vec::new(),
        origin: origin.cloned().unwrap_or_default(),
        reference,
    }
}

fn agreed_selector(below: &[&Controller]) -> Option<Selector> {
    let mut lasting = below.iter().map(|c| c.selector.as_ref().and_then(owners::lasting));
    let first = lasting.next()??;
    lasting.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

fn is_past(controller: &Controller) -> bool {
    controller.kind == WorkloadKind::ReplicaSet && controller.replicas == Some(0)
}

/// Whether no pod has ever been near a cluster, as in manifests from Git.
pub(crate) fn are_manifests(pods: &[Pod]) -> bool {
    pods.iter().all(|pod| {
        pod.ips.is_empty() && pod.node.is_none() && pod.owner.is_none() && pod.started.is_none()
    })
}

/// The pods that the controllers would make: one for each, two where more than one is wanted, so that traffic
/// among the pods of a workload has two ends.
pub(crate) fn expected_pods(controllers: &[Controller], owners: &Owners) -> Vec<Pod> {
    let mut pods = Vec::new();
    for controller in controllers.iter().filter(|c| !is_past(c)) {
        let own = owners::reference(controller);
        if owners.top(own.clone(), None).reference != own {
            continue;
        }
        for n in 0..controller.replicas.unwrap_or(1).clamp(1, 2) {
            // Only a name near the limit of 253 characters has no room for the number.
            let name = Name::new(format!("{}-{n}", controller.name));
            let Ok(name) = name.or_else(|_| Name::new(controller.name.as_str())) else { continue };
            pods.push(Pod {
                reference: PodRef { namespace: controller.namespace.clone(), name },
                labels: controller.template_labels.clone(),
                owner: Some(OwnerRef {
                    kind: controller.kind.clone(),
                    name: controller.name.clone(),
                }),
                ips: Vec::new(),
                node: None,
                phase: Phase::Unknown,
                started: None,
                ended: None,
                spec: controller.template.clone(),
                origin: controller.origin.clone(),
            });
        }
    }
    pods
}

/// One warning for all pods whose owner the input does not hold.
pub(crate) fn missing_owners(pods: &[Pod], tops: &[Top]) -> Option<Diagnostic> {
    let mut missing: BTreeSet<&WorkloadRef> = BTreeSet::new();
    let mut first = None;
    for (pod, top) in pods.iter().zip(tops) {
        if let Some(owner) = &top.missing {
            missing.insert(owner);
            first.get_or_insert(pod);
        }
    }
    first.map(|pod| {
        Diagnostic::warning(
            "owner-missing",
            format!("owners of pods are not in the input: {}", listed(missing.iter())),
        )
        .at(pod.origin.clone())
        .about(format!("Pod {}", pod.reference))
        .value("owners", listed(missing.iter()))
        .hint(
            "such an owner counts as the workload, with the labels that its pods share; add the output of kubectl \
             get deployments,replicasets,statefulsets,daemonsets,jobs,cronjobs -A -o yaml",
        )
    })
}

#[cfg(test)]
#[path = "workload_tests.rs"]
mod tests;
