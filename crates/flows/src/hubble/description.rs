//! What Hubble says of an end beside its address.

use std::sync::Arc;

use ringfence_model::resolve::Hint;
use ringfence_model::{Labels, Name, PodRef, WorkloadRef};
use serde::Deserialize;

use crate::fault::Fault;

/// What a Hubble endpoint object says.
#[derive(Clone)]
pub(super) enum Description {
    Nothing,
    /// `reserved:host`: the node that observed.
    Observer,
    Says(Arc<Hint>),
}

/// `flow.Endpoint`.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct WireEndpoint {
    namespace: String,
    pod_name: String,
    labels: Vec<String>,
    workloads: Vec<WireWorkload>,
}

/// `flow.Workload`.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct WireWorkload {
    name: String,
    kind: String,
}

impl Description {
    pub(super) fn parse(field: &'static str, text: &[u8]) -> Result<Self, Fault> {
        let wire: Option<WireEndpoint> =
            serde_json::from_slice(text).map_err(|_| Fault::value(field, text))?;
        let Some(WireEndpoint { namespace, pod_name, labels, workloads }) = wire else {
            return Ok(Self::Nothing);
        };
        let workload = workloads.first().map(|workload| (&*workload.kind, &*workload.name));
        Self::of(&namespace, &pod_name, &labels, workload).ok_or_else(|| Fault::value(field, text))
    }

    /// `None` when a name is none.
    pub(super) fn of(
        namespace: &str,
        pod: &str,
        labels: &[String],
        workload: Option<(&str, &str)>,
    ) -> Option<Self> {
        if !pod.is_empty() {
            return Self::pod(namespace, pod, labels, workload)
                .map(|hint| Self::Says(Arc::new(hint)));
        }
        let has = |label: &str| labels.iter().any(|l| l == label);
        Some(if has("reserved:host") {
            Self::Observer
        } else if has("reserved:remote-node") || has("reserved:kube-apiserver") {
            Self::Says(Arc::new(Hint::OtherNode))
        } else if labels.iter().any(|l| l.starts_with("reserved:world")) {
            Self::Says(Arc::new(Hint::World))
        } else {
            Self::Nothing
        })
    }

    /// `None` when a name is none.
    fn pod(
        namespace: &str,
        pod: &str,
        labels: &[String],
        workload: Option<(&str, &str)>,
    ) -> Option<Hint> {
        let namespace = Name::new(namespace).ok()?;
        let workload = match workload {
            Some((kind, name)) => Some(WorkloadRef {
                namespace: namespace.clone(),
                kind: kind.into(),
                name: Name::new(name).ok()?,
            }),
            None => None,
        };
        // Cilium's own labels are not the pod's. A label with another source than Kubernetes is not either.
        let labels: Labels = labels
            .iter()
            .filter_map(|label| label.strip_prefix("k8s:"))
            .filter(|label| {
                !label.starts_with("io.cilium.k8s.") && !label.starts_with("io.kubernetes.pod.")
            })
            .map(|label| label.split_once('=').unwrap_or((label, "")))
            .collect();
        let pod = PodRef { namespace, name: Name::new(pod).ok()? };
        Some(Hint::Pod { pod, workload, labels: Some(labels) })
    }
}
