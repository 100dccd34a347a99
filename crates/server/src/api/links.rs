//! `GET /clusters/{cluster}/links/explain`, and `GET /clusters/{cluster}/explain`.

use std::sync::Arc;

use axum::extract::State;
use ringfence_advise::{ReasonCode, Said, Verdict as Judged, World};
use ringfence_generate::Generated;
use ringfence_inventory::Inventory;
use ringfence_model::review::Review;
use ringfence_model::{L4, Port, Protocol as ModelProtocol};
use ringfence_policy::End;
use ringfence_views::explain::{self, EndError, Explanation, ends, port};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Answer;
use crate::api::clusters::profile;
use crate::api::edges::judged;
use crate::api::policies::read_files;
use crate::api::scope::ScopeQuery;
use crate::api::situation::Situation;
use crate::api::state::{Api, InCluster, blocking};
use crate::api::words::{Observer, Protocol, Verdict};
use crate::auth::Viewer;
use crate::problem::{Details, Json, MEDIA_TYPE, Problem, Query};

/// One connection.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LinkQuery {
    /// The namespace whose review counts.
    pub namespace: String,
    /// Who connects: `NAMESPACE/KIND/NAME`, `NAMESPACE/POD`, `Node/NAME`, `Alias/NAME` or an address.
    pub source: String,
    /// To whom, likewise.
    pub destination: String,
    /// The protocol; TCP when left out.
    #[param(nullable = false, inline)]
    pub protocol: Option<Protocol>,
    /// The port at the destination, after Service translation.
    #[param(minimum = 1, maximum = 65535)]
    pub port: u16,
    /// Only what was observed from this time on (RFC 3339).
    #[param(nullable = false, format = DateTime)]
    pub from: Option<String>,
    /// Only what was observed before this time (RFC 3339).
    #[param(nullable = false, format = DateTime)]
    pub until: Option<String>,
}

/// Why a connection passes or not: now, and with the review's policies in place.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LinkExplanation {
    /// With the policies that are in the cluster.
    pub now: Explanation,
    /// With the review's policies.
    pub after: Explanation,
    /// What the review makes of it, when it was observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub verdict: Option<Verdict>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<Said<ReasonCode>>,
    /// What reported it; empty when it was not observed.
    pub observers: Vec<Observer>,
    /// What watched the client's end at the time.
    pub client_observers: Vec<Observer>,
    /// What watched the server's end at the time.
    pub server_observers: Vec<Observer>,
}

/// One connection, as the command `ringfence explain` takes it.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExplainQuery {
    /// Who connects: `NAMESPACE/KIND/NAME`, `NAMESPACE/POD`, `Node/NAME` or an address.
    pub source: String,
    /// To whom, likewise.
    pub destination: String,
    /// The port at the destination: `8080` or `UDP/53`.
    pub port: String,
}

/// The ends that a text means, aliases of the review included.
fn side(
    world: &World<'_>,
    inventory: &Inventory,
    review: &Review,
    field: &str,
    text: &str,
) -> Result<Vec<End>, Problem> {
    if let Some(name) = text.strip_prefix("Alias/") {
        let Some(alias) = review.aliases.iter().find(|alias| *alias.name == *name) else {
            return Err(Problem::not_found(format!("there is no alias {name:?}")));
        };
        return Ok(alias.cidrs.iter().map(|cidr| world.set().end(cidr.net().addr())).collect());
    }
    ends(world, inventory, text).map_err(|fault| end_problem(field, &fault))
}

/// Messages of the command line carry their hint on a line of its own.
fn end_problem(field: &str, fault: &EndError) -> Problem {
    let text = fault.to_string();
    let (detail, hint) = text.split_once("\n  hint: ").unwrap_or((&text, ""));
    let problem = match fault {
        EndError::Name(_) | EndError::Form(_) => Problem::bad_field(field, detail),
        EndError::Node(_) | EndError::Pod(_) | EndError::Workload(..) => {
            Problem::not_found(detail.to_owned())
        }
    };
    match hint {
        "" => {
            problem.with_hint("write NAMESPACE/KIND/NAME, NAMESPACE/POD, Node/NAME or an address")
        }
        hint => problem.with_hint(hint.to_owned()),
    }
}

fn transport(protocol: Option<Protocol>) -> Result<ModelProtocol, Problem> {
    match protocol {
        None | Some(Protocol::Tcp) => Ok(ModelProtocol::Tcp),
        Some(Protocol::Udp) => Ok(ModelProtocol::Udp),
        Some(Protocol::Sctp) => Ok(ModelProtocol::Sctp),
        Some(Protocol::Icmp | Protocol::IcmpV6) => {
            Err(Problem::bad_field("protocol", "no NetworkPolicy can name ICMP")
                .with_hint("ask about TCP, UDP or SCTP"))
        }
    }
}

fn told(situation: &Situation, query: &LinkQuery) -> Result<LinkExplanation, Problem> {
    let LinkQuery { source, destination, .. } = query;
    let protocol = transport(query.protocol)?;
    let port = Port::new(query.port)
        .ok_or_else(|| Problem::bad_field("port", "0 is not between 1 and 65535"))?;
    let inventory = &situation.view.inventory;
    let review = &situation.review.review;
    let explained = |world: &World<'_>| -> Result<Explanation, Problem> {
        let sources = side(world, inventory, review, "source", source)?;
        let destinations = side(world, inventory, review, "destination", destination)?;
        Ok(explain::explain(world, &sources, &destinations, protocol, port))
    };
    let now = explained(&situation.world())?;
    let Generated { files, rows, .. } = situation.generated(&situation.scope)?;
    let all = situation.with_policies(&read_files(&files));
    let cluster_wide = inventory.cluster_policies();
    let world = World::new(inventory, review, &all, cluster_wide, &situation.profile());
    let after = explained(&world)?;
    let mut rows: Vec<_> = rows
        .iter()
        .filter(|row| {
            let key = &row.edge.key;
            key.l4 == L4::Port(protocol, port)
                && key.source.to_string() == *source
                && key.destination.to_string() == *destination
        })
        .collect();
    // A cut at either end forbids it.
    rows.sort_by_key(|row| !matches!(row.verdict, Judged::Cut(_)));
    let (verdict, reason) = rows.first().map(|row| judged(&row.verdict)).unzip();
    let observers = rows.first().and_then(|row| situation.observers.get(&row.edge.key));
    let observers = observers.copied().unwrap_or_default();
    Ok(LinkExplanation {
        now,
        after,
        verdict,
        reason,
        observers: observers.reported().map(Into::into).collect(),
        client_observers: observers.client().map(Into::into).collect(),
        server_observers: observers.server().map(Into::into).collect(),
    })
}

/// Why a connection passes or not: now, and with the review's policies in place.
#[utoipa::path(get, path = "/clusters/{cluster}/links/explain", operation_id = "explainLink", tag = "edges",
    params(("cluster" = String, Path), LinkQuery), responses(
    (status = 200, body = LinkExplanation),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn link(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Query(query): Query<LinkQuery>,
) -> Answer<LinkExplanation> {
    let LinkQuery { namespace, from, until, .. } = query.clone();
    let scope = ScopeQuery { namespace, kind: None, name: None, from, until };
    let work = move || told(&*Situation::load(&api, &cluster, &scope)?, &query);
    Ok(Json(blocking(work).await?))
}

/// Which rules decide a connection now: what `ringfence explain` prints.
#[utoipa::path(get, path = "/clusters/{cluster}/explain", operation_id = "explain", tag = "reach",
    params(("cluster" = String, Path), ExplainQuery), responses(
    (status = 200, body = Explanation),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn explain(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Query(query): Query<ExplainQuery>,
) -> Answer<Explanation> {
    let work = move || {
        let (protocol, port) =
            port(&query.port).map_err(|fault| Problem::bad_field("port", fault.to_string()))?;
        let profile = profile(api.store(), cluster.name())?.profile();
        let view = cluster.view();
        let inventory = &view.inventory;
        let review = Review::default();
        let (network, cluster_wide) = (inventory.policies(), inventory.cluster_policies());
        let world = World::new(inventory, &review, network, cluster_wide, &profile);
        let sources = side(&world, inventory, &review, "source", &query.source)?;
        let destinations = side(&world, inventory, &review, "destination", &query.destination)?;
        Ok(explain::explain(&world, &sources, &destinations, protocol, port))
    };
    Ok(Json(blocking(work).await?))
}
