//! `GET /clusters/{cluster}/reach`, `exposure`, and `POST /clusters/{cluster}/diff`.

use std::sync::Arc;

use axum::extract::State;
use ringfence_advise::{Connectivity, Focus, FocusSide, Group, Scope, Who, changes};
use ringfence_inventory::Inventory;
use ringfence_model::{Severity, WorkloadKind};
use ringfence_views::diff::Changes;
use ringfence_views::explain::kind_name;
use ringfence_views::exposure::{Exposures, exposures};
use ringfence_views::reach::Reach;
use ringfence_views::{diff, reach};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::Answer;
use crate::api::clusters::profile;
use crate::api::manifests::read;
use crate::api::policies::put_in_place;
use crate::api::revision::refused;
use crate::api::scope::check_namespace;
use crate::api::state::{Api, InCluster, blocking, list, name};
use crate::auth::Viewer;
use crate::problem::{Details, Json, MEDIA_TYPE, Problem, Query};

/// Whose connectivity.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReachQuery {
    /// Only what workloads of this namespace can reach, and what can reach them.
    #[param(nullable = false)]
    pub namespace: Option<String>,
    /// Only what this workload can reach, and what can reach it, as `KIND/NAME`; needs the namespace.
    #[param(nullable = false)]
    pub workload: Option<String>,
    /// Which of both; both when left out.
    #[param(nullable = false, inline)]
    pub focus: Option<ReachFocus>,
}

/// Which side those in scope are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ReachFocus {
    /// Either side.
    #[default]
    Either,
    /// They open the connections.
    From,
    /// They are reached.
    To,
}

/// Policies to compare with those of the cluster.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DiffRequest {
    /// The manifests. They stand in for those of the cluster with the same name.
    pub policies: String,
}

/// More pairs than this are too many for one answer.
const MOST_LINKS: usize = 200_000;

impl ReachQuery {
    fn scope(&self, inventory: &Inventory) -> Result<Option<Scope>, Problem> {
        let Some(namespace) = &self.namespace else {
            if self.workload.is_some() {
                return Err(Problem::bad_field("workload", "a workload needs its namespace")
                    .with_hint("give the namespace too"));
            }
            return Ok(None);
        };
        let namespace = name("namespace", namespace)?;
        check_namespace(inventory, &namespace)?;
        let mut scope = Scope { namespace: Some(namespace), ..Scope::default() };
        if let Some(workload) = &self.workload {
            let Some((kind, workload)) = workload.split_once('/') else {
                let detail = format!("{workload:?} is not KIND/NAME");
                return Err(
                    Problem::bad_field("workload", detail).with_hint("write Deployment/web")
                );
            };
            scope.kind = Some(WorkloadKind::from(kind_name(kind).as_str()));
            scope.name = Some(name("workload", workload)?);
            if scope.workloads(inventory).next().is_none() {
                let all = Scope { kind: None, name: None, ..scope.clone() };
                let known: Vec<String> =
                    all.workloads(inventory).map(|w| w.reference.to_string()).collect();
                return Err(Problem::not_found(format!("there is no workload in scope ({scope})"))
                    .with_hint(format!("the workloads are: {}", list(&known))));
            }
        }
        Ok(Some(scope))
    }

    fn focus(&self, connectivity: &Connectivity<'_>, scope: Option<&Scope>) -> Focus {
        let side = match self.focus.unwrap_or_default() {
            ReachFocus::Either => FocusSide::Either,
            ReachFocus::From => FocusSide::From,
            ReachFocus::To => FocusSide::To,
        };
        connectivity.focus(side, |group: &Group<'_>| match (&group.who, scope) {
            (_, None) => true,
            (Who::Pods { workload, .. }, Some(scope)) => scope.contains(&workload.reference),
            (Who::Addresses { .. }, Some(_)) => false,
        })
    }
}

/// Who can reach whom over what, under the policies that are in the cluster: what `ringfence reach` prints.
#[utoipa::path(get, path = "/clusters/{cluster}/reach", operation_id = "getReach", tag = "reach",
    params(("cluster" = String, Path), ReachQuery), responses(
    (status = 200, body = Reach),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn reach(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Query(query): Query<ReachQuery>,
) -> Answer<Reach> {
    let work = move || {
        let profile = profile(api.store(), cluster.name())?;
        let view = cluster.view();
        let inventory = &view.inventory;
        let scope = query.scope(inventory)?;
        let (network, cluster_wide) = (inventory.policies(), inventory.cluster_policies());
        let connectivity = Connectivity::new(inventory, network, cluster_wide, &profile.profile());
        let focus = query.focus(&connectivity, scope.as_ref());
        let mut links = 0_usize;
        connectivity.walk(&focus, |_| links += 1);
        if links > MOST_LINKS {
            let detail = format!("{links} pairs are too many for one answer: {MOST_LINKS} at most");
            return Err(Problem::bad_request(detail)
                .with_hint("ask about a namespace or a workload, or use ringfence reach"));
        }
        Ok(reach::reach(profile.as_str(), &connectivity, &focus))
    };
    Ok(Json(blocking(work).await?))
}

/// What is open to addresses, to every namespace, and to pods that do not exist yet: what `ringfence reach --exposure`
/// prints.
#[utoipa::path(get, path = "/clusters/{cluster}/exposure", operation_id = "getExposure", tag = "reach",
    params(("cluster" = String, Path), ReachQuery), responses(
    (status = 200, body = Exposures),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn exposure(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Query(query): Query<ReachQuery>,
) -> Answer<Exposures> {
    let work = move || {
        let profile = profile(api.store(), cluster.name())?;
        let view = cluster.view();
        let inventory = &view.inventory;
        let scope = query.scope(inventory)?;
        let (network, cluster_wide) = (inventory.policies(), inventory.cluster_policies());
        let connectivity = Connectivity::new(inventory, network, cluster_wide, &profile.profile());
        let focus = query.focus(&connectivity, scope.as_ref());
        Ok(exposures(profile.as_str(), &connectivity, &focus))
    };
    Ok(Json(blocking(work).await?))
}

/// Who could reach whom otherwise than now, with other policies: what `ringfence diff` prints.
#[utoipa::path(post, path = "/clusters/{cluster}/diff", operation_id = "diffPolicies", tag = "reach",
    params(("cluster" = String, Path)), request_body = DiffRequest, responses(
    (status = 200, body = Changes),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn diff(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Json(request): Json<DiffRequest>,
) -> Answer<Changes> {
    let work = move || {
        let (written, found) = read(&request.policies);
        let errors: Vec<_> =
            found.into_iter().filter(|found| found.severity == Severity::Error).collect();
        if !errors.is_empty() {
            return Err(refused("the policies have faults", "/policies", &errors));
        }
        let profile = profile(api.store(), cluster.name())?;
        let view = cluster.view();
        let inventory = &view.inventory;
        let (network, cluster_wide) = (inventory.policies(), inventory.cluster_policies());
        let after = put_in_place(network, &written);
        let before = Connectivity::new(inventory, network, cluster_wide, &profile.profile());
        let after = Connectivity::new(inventory, &after, cluster_wide, &profile.profile());
        Ok(diff::diff(profile.as_str(), &changes(&before, &after)))
    };
    Ok(Json(blocking(work).await?))
}
