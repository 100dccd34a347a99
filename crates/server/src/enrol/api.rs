//! What administrators do about agents: `/api/v1/agents`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Router, routing};
use ringfence_model::{Name, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::{Agent, Enrolment, Order, Refusal};
use crate::auth::{Admin, Viewer};
use crate::clock;
use crate::ingest::AgentIdentity;
use crate::problem::{Details, Json, Kind, MEDIA_TYPE, Path, Problem};

/// An agent that is enrolled.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EnrolledAgent {
    /// The cluster.
    cluster: String,
    /// The node or host.
    node: String,
    /// Since when (RFC 3339).
    #[schema(format = DateTime)]
    since: String,
    /// When its certificate ends, unless it renews it before (RFC 3339).
    #[schema(format = DateTime)]
    ends: String,
}

/// The agents that are enrolled, sorted by cluster and node.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct EnrolledAgents {
    /// The agents.
    items: Vec<EnrolledAgent>,
    /// How many they are.
    total: usize,
}

/// What a token for agents is to be good for.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AgentTokenOrder {
    /// The cluster that the machines belong to.
    cluster: String,
    /// The one node or host that it is for; any that is not enrolled yet when left out.
    #[schema(nullable = false)]
    node: Option<String>,
    /// How many agents it brings in: 1 when left out.
    #[schema(nullable = false, minimum = 1, maximum = 100_000)]
    uses: Option<u32>,
    /// For how many minutes it counts: 60 when left out.
    #[schema(nullable = false, minimum = 1, maximum = 43_200)]
    minutes: Option<u32>,
}

/// A token for agents. It is told only now.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AgentToken {
    /// The token.
    token: String,
    /// Until when it counts (RFC 3339).
    #[schema(format = DateTime)]
    expires: String,
}

/// An agent, in the path.
#[derive(Deserialize)]
struct Place {
    cluster: String,
    node: String,
}

/// Most uses of one token.
const MOST_USES: u32 = 100_000;
/// Most minutes that one counts: 30 days.
const MOST_MINUTES: u32 = 30 * 24 * 60;

/// What `docs/openapi.json` says of the requests below.
#[derive(OpenApi)]
#[openapi(paths(list, make_token, remove))]
pub(crate) struct Description;

/// `/api/v1/agents` and below. Without TLS nobody is enrolled.
pub fn router(enrolment: Option<Arc<Enrolment>>) -> Router {
    Router::new()
        .route("/api/v1/agents", routing::get(list))
        .route("/api/v1/agents/tokens", routing::post(make_token))
        .route("/api/v1/agents/{cluster}/{node}", routing::delete(remove))
        .with_state(enrolment)
}

/// The agents that are enrolled.
#[utoipa::path(get, path = "/agents", operation_id = "listAgents", tag = "agents", responses(
    (status = 200, body = EnrolledAgents),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
async fn list(_: Viewer, State(enrolment): State<Option<Arc<Enrolment>>>) -> Json<EnrolledAgents> {
    let agents = enrolment.map(|enrolment| enrolment.agents()).unwrap_or_default();
    let told = |(name, agent): (AgentIdentity, Agent)| EnrolledAgent {
        cluster: name.cluster.to_string(),
        node: name.node.to_string(),
        since: agent.since.to_string(),
        ends: agent.ends().to_string(),
    };
    let items: Vec<EnrolledAgent> = agents.into_iter().map(told).collect();
    Json(EnrolledAgents { total: items.len(), items })
}

/// Makes a token with which agents enrol.
#[utoipa::path(post, path = "/agents/tokens", operation_id = "makeAgentToken", tag = "agents",
    request_body = AgentTokenOrder, responses(
    (status = 201, body = AgentToken),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
async fn make_token(
    Admin(who): Admin,
    State(enrolment): State<Option<Arc<Enrolment>>>,
    Json(asked): Json<AgentTokenOrder>,
) -> Result<(StatusCode, Json<AgentToken>), Problem> {
    let now = clock::now();
    let order = order(asked, now)?;
    let expires = order.expires.to_string();
    let made = change(enrolment, move |enrolment| enrolment.make_token(&who.name, order, now));
    let token = made.await?.reveal().to_owned();
    Ok((StatusCode::CREATED, Json(AgentToken { token, expires })))
}

/// Takes an agent out: its certificates count no longer, and its stream ends.
#[utoipa::path(delete, path = "/agents/{cluster}/{node}", operation_id = "removeAgent", tag = "agents", params(
    ("cluster" = String, Path, description = "The cluster"),
    ("node" = String, Path, description = "The node or host"),
), responses(
    (status = 204, description = "the agent is no longer enrolled"),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
async fn remove(
    Admin(who): Admin,
    State(enrolment): State<Option<Arc<Enrolment>>>,
    Path(Place { cluster, node }): Path<Place>,
) -> Result<StatusCode, Problem> {
    let (cluster, node) = (name("cluster", cluster)?, name("node", node)?);
    let agent = AgentIdentity { cluster, node };
    let missing = Problem::not_found(format!("no agent {agent} is enrolled"));
    let removed = change(enrolment, move |enrolment| {
        Ok(enrolment.remove(&who.name, &agent, clock::now())?)
    });
    if removed.await? { Ok(StatusCode::NO_CONTENT) } else { Err(missing) }
}

fn order(asked: AgentTokenOrder, now: Timestamp) -> Result<Order, Problem> {
    let AgentTokenOrder { cluster, node, uses, minutes } = asked;
    let cluster = body_name("/cluster", cluster)?;
    let node = node.map(|node| body_name("/node", node)).transpose()?;
    let (uses, minutes) = (uses.unwrap_or(1), minutes.unwrap_or(60));
    if !(1..=MOST_USES).contains(&uses) {
        return Err(Problem::bad_body("/uses", format!("{uses} is not from 1 to {MOST_USES}")));
    }
    if node.is_some() && uses > 1 {
        return Err(Problem::bad_body("/uses", "one node enrols once; leave uses or node out"));
    }
    if !(1..=MOST_MINUTES).contains(&minutes) {
        let detail = format!("{minutes} is not from 1 to {MOST_MINUTES}");
        return Err(Problem::bad_body("/minutes", detail));
    }
    let counts = i64::try_from(Duration::from_mins(minutes.into()).as_nanos()).unwrap_or(i64::MAX);
    let expires = Timestamp::from_nanos(now.nanos().saturating_add(counts));
    Ok(Order { cluster, node, uses, expires })
}

fn name(field: &str, text: String) -> Result<Name, Problem> {
    Name::new(text).map_err(|fault| Problem::bad_field(field, fault.to_string()))
}

fn body_name(pointer: &str, text: String) -> Result<Name, Problem> {
    Name::new(text).map_err(|fault| Problem::bad_body(pointer, fault.to_string()))
}

/// Changes who is enrolled, which waits for the disk.
async fn change<T: Send + 'static>(
    enrolment: Option<Arc<Enrolment>>,
    change: impl FnOnce(&Enrolment) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Problem> {
    let Some(enrolment) = enrolment else {
        return Err(Problem::bad_request("this server has no TLS, so that no agent can enrol")
            .with_hint("give tls.certificate and tls.key in the configuration"));
    };
    match tokio::task::spawn_blocking(move || change(&enrolment)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Refusal::Store(fault))) => Err(fault.into()),
        Ok(Err(fault)) => Err(Problem::internal(&fault)),
        Err(fault) => Err(Problem::new(Kind::Unavailable, fault.to_string())),
    }
}
