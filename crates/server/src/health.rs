//! Whether the process is alive, and whether it can do its work.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Router, routing};
use serde::Serialize;

use crate::app::App;
use crate::cluster::KindState;
use crate::problem::Json;

/// What keeps the server from being ready.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Readiness {
    ready: bool,
    /// Whether the store answers.
    store: bool,
    /// How many clusters are known, and of how many all kinds have been listed at least once. Their names are not
    /// told, because nobody has to log in for this.
    clusters: usize,
    loaded: usize,
}

/// `GET /healthz` and `GET /readyz`.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", routing::get(|| async { "ok\n" }))
        .route("/readyz", routing::get(ready))
        .with_state(app)
}

async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Readiness>) {
    let clusters = app.clusters();
    let loaded = clusters
        .iter()
        .filter(|cluster| {
            let view = cluster.view();
            !view.sync.kinds.iter().any(|kind| kind.state == KindState::Syncing)
        })
        .count();
    let asked = tokio::task::spawn_blocking(move || app.store.clusters()).await;
    let store = matches!(asked, Ok(Ok(_)));
    let ready = store && loaded == clusters.len();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, store, clusters: clusters.len(), loaded }))
}
