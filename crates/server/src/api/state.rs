//! What the handlers share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use ringfence_model::{Name, Timestamp};
use ringfence_store::Store;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use crate::App;
use crate::api::situation::Recent;
use crate::cluster::Cluster;
use crate::event::Event;
use crate::problem::{Path, Problem};
use crate::review::ReviewError;

/// What the handlers share.
pub(super) struct Api {
    pub(super) app: Arc<App>,
    pub(super) recent: Recent,
    revisions: Mutex<Revisions>,
}

/// How often the edges of each cluster have changed.
struct Revisions {
    events: Receiver<Event>,
    by_cluster: HashMap<Name, u64>,
    /// Counts what was missed, for all clusters.
    missed: u64,
}

impl Api {
    pub(super) fn new(app: Arc<App>) -> Self {
        let events = app.events.watch();
        let revisions = Revisions { events, by_cluster: HashMap::new(), missed: 0 };
        Self { app, recent: Recent::default(), revisions: Mutex::new(revisions) }
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.app.store
    }

    /// A number that changes whenever the edges of the cluster have.
    pub(super) fn edges_revision(&self, cluster: &Name) -> u64 {
        let mut revisions = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match revisions.events.try_recv() {
                Ok(Event::Edges { cluster }) => {
                    *revisions.by_cluster.entry(cluster).or_default() += 1;
                }
                Ok(_) => {}
                Err(TryRecvError::Lagged(_)) => revisions.missed += 1,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        revisions.missed + revisions.by_cluster.get(cluster).copied().unwrap_or_default()
    }
}

/// The cluster that the path names.
pub(super) struct InCluster(pub(super) Arc<Cluster>);

impl FromRequestParts<Arc<Api>> for InCluster {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let Path(path) = Path::<HashMap<String, String>>::from_request_parts(parts, api).await?;
        let name = self::name("cluster", path.get("cluster").map_or("", String::as_str))?;
        match api.app.cluster(&name) {
            Some(cluster) => Ok(Self(cluster)),
            None => {
                let known: Vec<String> =
                    api.app.clusters().iter().map(|c| c.name().to_string()).collect();
                Err(Problem::not_found(format!("there is no cluster {name}"))
                    .with_hint(format!("the clusters are: {}", list(&known))))
            }
        }
    }
}

/// The namespace that the path names, which need not be in the cluster any more.
pub(super) struct InNamespace(pub(super) Name);

impl FromRequestParts<Arc<Api>> for InNamespace {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let Path(path) = Path::<HashMap<String, String>>::from_request_parts(parts, api).await?;
        name("namespace", path.get("namespace").map_or("", String::as_str)).map(Self)
    }
}

/// A name of the request.
pub(super) fn name(field: &str, text: &str) -> Result<Name, Problem> {
    text.parse::<Name>().map_err(|fault| {
        Problem::bad_field(field, fault.to_string())
            .with_hint("names are those of Kubernetes objects, such as shop")
    })
}

/// A moment of the request.
pub(super) fn moment(field: &str, text: &str) -> Result<Timestamp, Problem> {
    text.parse::<Timestamp>().map_err(|fault| {
        Problem::bad_field(field, fault.to_string())
            .with_hint("write times as 2026-03-02T01:00:00Z")
    })
}

/// A few of many names, for a hint.
pub(super) fn list(names: &[String]) -> String {
    ringfence_views::explain::some_of(names)
}

/// Work that blocks: the store, and whatever takes the processor for long.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(fault) => Err(Problem::internal(&fault)),
    }
}

impl From<ReviewError> for Problem {
    fn from(fault: ReviewError) -> Self {
        match fault {
            ReviewError::Store(fault) => fault.into(),
            fault @ ReviewError::Unreadable { .. } => Self::internal(&fault),
        }
    }
}
