//! `GET /clusters/{cluster}/messages`.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::extract::State;
use ringfence_inventory::Inventory;
use ringfence_model::Diagnostic;
use ringfence_model::review::LabelChoice;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Answer;
use crate::api::state::{Api, InCluster, blocking};
use crate::api::words::{List, Message};
use crate::auth::Viewer;
use crate::problem::{Details, Json, MEDIA_TYPE};
use crate::review;

/// Something to tell about a cluster until it is fixed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ClusterMessage {
    /// What it is.
    #[serde(flatten)]
    pub message: Message,
    /// The namespaces concerned.
    pub namespaces: Vec<String>,
}

/// The namespaces that no policy elsewhere can select.
fn without_labels(inventory: &Inventory, labels: &LabelChoice) -> Option<ClusterMessage> {
    let keys: Vec<&str> = if labels.namespace.is_empty() {
        vec![ringfence_advise::NAMESPACE_NAME_LABEL]
    } else {
        labels.namespace.iter().map(|key| &**key).collect()
    };
    let lacks = |namespace: &&ringfence_model::object::Namespace| {
        keys.iter().all(|key| namespace.labels.get(key).is_none())
    };
    let namespaces: Vec<String> =
        inventory.namespaces().iter().filter(lacks).map(|n| n.name.to_string()).collect();
    if namespaces.is_empty() {
        return None;
    }
    let found = Diagnostic::warning(
        "namespaces-without-labels",
        format!("Namespaces without labels: {}", namespaces.join(", ")),
    )
    .value("namespaces", namespaces.join(", "))
    .value("keys", keys.join(", "))
    .hint(format!(
        "no policy of another namespace can select them by {}; label them with kubectl label namespace, or choose \
         other namespace labels in the configuration",
        keys.join(", ")
    ));
    Some(ClusterMessage { message: (&found).into(), namespaces })
}

/// What should be fixed about a cluster, the gravest first. A message is gone as soon as it is fixed.
#[utoipa::path(get, path = "/clusters/{cluster}/messages", operation_id = "listMessages", tag = "clusters",
    params(("cluster" = String, Path)), responses(
    (status = 200, body = List<ClusterMessage>),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn list(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
) -> Answer<List<ClusterMessage>> {
    let view = cluster.view();
    let work = move || Ok(review::configuration(api.store(), cluster.name())?.0);
    let configuration = blocking(work).await?;
    let mut found: Vec<&Diagnostic> = view.diagnostics.iter().collect();
    found.sort_by_key(|found| Reverse(found.severity));
    let mut messages: Vec<ClusterMessage> = found
        .into_iter()
        .map(|found| ClusterMessage { message: found.into(), namespaces: Vec::new() })
        .collect();
    if let Some(message) = without_labels(&view.inventory, &configuration.labels) {
        messages.insert(0, message);
    }
    Ok(Json(messages.into()))
}
