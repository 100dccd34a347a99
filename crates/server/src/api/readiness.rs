//! `GET /clusters/{cluster}/readiness`.

use std::sync::Arc;

use axum::extract::State;
use ringfence_advise::{GapCode, Said, Say as _, readiness, window_warning};
use ringfence_model::{Span, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Answer;
use crate::api::coverage::Coverage;
use crate::api::scope::ScopeQuery;
use crate::api::situation::Situation;
use crate::api::state::{Api, InCluster, blocking};
use crate::api::words::{EntityRef, Message, Period};
use crate::auth::Viewer;
use crate::problem::{Details, Json, MEDIA_TYPE, Query};

/// How much evidence there is for a scope.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Readiness {
    /// The time that the evidence covers; missing when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub observed: Option<Period>,
    /// The hours that it covers.
    pub hours: f64,
    /// What is the matter with the whole, such as too short a time.
    pub messages: Vec<Message>,
    /// The workloads, sorted.
    pub workloads: Vec<WorkloadReadiness>,
}

/// The evidence for one workload.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkloadReadiness {
    /// The workload.
    pub workload: EntityRef,
    /// Connections observed with it at either end, probes left out.
    pub connections: u64,
    /// Edges observed with it at either end.
    pub edges: usize,
    /// Edges on which only one connection was observed.
    pub edges_seen_once: usize,
    /// Estimate of the probability that its next connection is on an edge not seen yet; missing when nothing was
    /// observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub unseen_probability: Option<f64>,
    /// What is missing.
    pub gaps: Vec<Said<GapCode>>,
}

fn told(situation: &Situation, coverage: Option<&Coverage>) -> Readiness {
    let inventory = &situation.view.inventory;
    let behind = situation.asked.behind(inventory);
    let all = readiness(inventory, &situation.edges, &situation.scope, situation.observed);
    let unobserved = |workload| {
        let gaps = coverage.map(|coverage| coverage.gaps(inventory, workload));
        gaps.into_iter().flatten().map(|gap| gap.said())
    };
    let workloads = situation
        .scope
        .workloads(inventory)
        .zip(all)
        .filter(|(w, _)| behind.as_ref().is_none_or(|behind| behind.contains(&w.reference)))
        .map(|(workload, found)| WorkloadReadiness {
            workload: (&workload.reference).into(),
            connections: found.connections,
            edges: found.edges,
            edges_seen_once: found.edges_seen_once,
            unseen_probability: found.unseen_probability,
            gaps: found.gaps.into_iter().chain(unobserved(workload)).collect(),
        });
    let observed = situation.observed;
    Readiness {
        observed: observed.map(|(first, last)| Period { first: first.into(), last: last.into() }),
        hours: observed.map_or(0.0, |(first, last)| last.seconds_since(first) / 3600.0),
        messages: window_warning(observed).iter().map(Into::into).collect(),
        workloads: workloads.collect(),
    }
}

/// How much evidence there is for the workloads of a scope.
#[utoipa::path(get, path = "/clusters/{cluster}/readiness", operation_id = "getReadiness", tag = "edges",
    params(("cluster" = String, Path), ScopeQuery), responses(
    (status = 200, body = Readiness),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn get(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Query(scope): Query<ScopeQuery>,
) -> Answer<Readiness> {
    let work = move || {
        let situation = Situation::load(&api, &cluster, &scope)?;
        let coverage = match situation.observed {
            Some((first, last)) => {
                let window = Span { from: first, until: last };
                let until_then = Span { from: Timestamp::MIN, until: last };
                let presences = api.store().presences(cluster.name(), until_then)?;
                let losses = api.store().losses(cluster.name(), window)?;
                Coverage::new(presences, losses, window)
            }
            None => None,
        };
        Ok(told(&situation, coverage.as_ref()))
    };
    Ok(Json(blocking(work).await?))
}
