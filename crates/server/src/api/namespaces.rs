//! `GET /clusters/{cluster}/namespaces`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Answer;
use crate::api::state::{Api, InCluster, blocking};
use crate::api::words::{List, labels};
use crate::auth::Viewer;
use crate::problem::{Details, Json, MEDIA_TYPE};

/// A namespace.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it belongs to Kubernetes itself.
    pub system: bool,
    /// How many workloads it has.
    pub workloads: usize,
    /// How many pods.
    pub pods: usize,
    /// How many Services.
    pub services: usize,
    /// How many NetworkPolicies.
    pub policies: usize,
    /// The version of its review; 0 when nothing was decided yet.
    pub review: u64,
}

/// The namespaces that belong to Kubernetes itself, as scopes leave them out.
const SYSTEM: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];

/// The namespaces of a cluster, sorted by name.
#[utoipa::path(get, path = "/clusters/{cluster}/namespaces", operation_id = "listNamespaces", tag = "clusters",
    params(("cluster" = String, Path)), responses(
    (status = 200, body = List<Namespace>),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn list(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
) -> Answer<List<Namespace>> {
    let view = cluster.view();
    let reviews = blocking(move || Ok(api.store().reviews(cluster.name())?)).await?;
    let versions: HashMap<_, _> = reviews
        .into_iter()
        .filter_map(|review| Some((review.key.namespace?, review.version)))
        .collect();
    let inventory = &view.inventory;
    let describe = |namespace: &ringfence_model::object::Namespace| {
        let name = &namespace.name;
        Namespace {
            name: name.to_string(),
            labels: labels(&namespace.labels),
            system: SYSTEM.contains(&name.as_str()),
            workloads: inventory
                .workloads()
                .iter()
                .filter(|w| w.reference.namespace == *name)
                .count(),
            pods: inventory.pods().iter().filter(|p| p.reference.namespace == *name).count(),
            services: inventory
                .services()
                .iter()
                .filter(|s| s.reference.namespace == *name)
                .count(),
            policies: inventory.policies().iter().filter(|p| p.namespace == *name).count(),
            review: versions.get(name).copied().unwrap_or_default(),
        }
    };
    let namespaces: Vec<Namespace> = inventory.namespaces().iter().map(describe).collect();
    Ok(Json(namespaces.into()))
}
