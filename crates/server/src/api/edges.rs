//! `GET /clusters/{cluster}/edges`.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::extract::State;
use ringfence_advise::{ReasonCode, Row, Said, Say as _, Verdict as Judged, decides};
use ringfence_model::{Direction as ModelDirection, EdgeKey, Nature, ServiceRef};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};

use crate::api::Answer;
use crate::api::scope::{Entities, ScopeQuery};
use crate::api::situation::Situation;
use crate::api::spec::{DecisionChoice, EdgePattern, is_exact};
use crate::api::state::{Api, InCluster, blocking};
use crate::api::words::{
    Direction, EntityRef, Observer, Passes, Peer, Protocol, Time, Verdict, l4,
};
use crate::auth::Viewer;
use crate::problem::{Details, Json, MEDIA_TYPE, Problem, Query};

/// One row of the ingress or egress table.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EdgeRow {
    /// Stays the same for the same row; safe in a URL.
    pub id: String,
    /// Whose row it is.
    pub entity: EntityRef,
    /// Which table.
    pub direction: Direction,
    /// The other end.
    pub peer: Peer,
    /// The protocol.
    pub protocol: Protocol,
    /// The port at the destination, after Service translation; ICMP has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub port: Option<u16>,
    /// The Service ports dialled, `namespace/name:port`.
    pub services: Vec<String>,
    /// Connections that were accepted.
    pub connections: u64,
    /// Attempts that the datapath dropped.
    pub denied: u64,
    /// Connections that the destination refused.
    pub refused: u64,
    /// Bytes from the client to the server.
    pub bytes_sent: u64,
    /// Bytes from the server to the client.
    pub bytes_received: u64,
    /// First moment seen.
    pub first_seen: Time,
    /// Last moment seen.
    pub last_seen: Time,
    /// What reported it.
    pub observers: Vec<Observer>,
    /// What watched the client's end at the time. Where there is nothing, that end proves nothing by its silence.
    pub client_observers: Vec<Observer>,
    /// What watched the server's end at the time.
    pub server_observers: Vec<Observer>,
    /// What becomes of it under the review.
    pub verdict: Verdict,
    /// Why.
    pub reason: Said<ReasonCode>,
    /// The review's decision about it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub decision: Option<DecisionChoice>,
    /// Whether the decision is about this edge alone, so that `decide` with `clear` takes it away.
    pub decision_exact: bool,
    /// What the policies that are in the cluster make of it.
    pub current: Passes,
    /// From the pod's own node, as probes are: always allowed.
    pub own_node: bool,
    /// How `decide` names it.
    pub edge: EdgePattern,
}

/// A page of the table.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EdgePage {
    /// How many rows there are on all pages.
    pub total: usize,
    /// The page, from 1.
    pub page: usize,
    /// How many rows a page has.
    pub page_size: usize,
    /// The version of the namespace's review that the verdicts follow.
    pub review: u64,
    /// The rows.
    pub items: Vec<EdgeRow>,
}

/// What a table is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
pub(super) enum EdgeSort {
    /// Entity, then peer, then port.
    #[default]
    #[serde(rename = "entity")]
    Entity,
    /// Downwards.
    #[serde(rename = "-entity")]
    EntityDown,
    /// Kind, namespace and name of the peer.
    #[serde(rename = "peer")]
    Peer,
    /// Downwards.
    #[serde(rename = "-peer")]
    PeerDown,
    /// Protocol and port.
    #[serde(rename = "port")]
    Port,
    /// Downwards.
    #[serde(rename = "-port")]
    PortDown,
    /// Accepted connections.
    #[serde(rename = "connections")]
    Connections,
    /// Downwards.
    #[serde(rename = "-connections")]
    ConnectionsDown,
    /// Dropped attempts.
    #[serde(rename = "denied")]
    Denied,
    /// Downwards.
    #[serde(rename = "-denied")]
    DeniedDown,
    /// Bytes in both directions.
    #[serde(rename = "bytes")]
    Bytes,
    /// Downwards.
    #[serde(rename = "-bytes")]
    BytesDown,
    /// First moment seen.
    #[serde(rename = "firstSeen")]
    FirstSeen,
    /// Downwards.
    #[serde(rename = "-firstSeen")]
    FirstSeenDown,
    /// Last moment seen.
    #[serde(rename = "lastSeen")]
    LastSeen,
    /// Downwards.
    #[serde(rename = "-lastSeen")]
    LastSeenDown,
    /// Verdict under the review.
    #[serde(rename = "verdict")]
    Verdict,
    /// Downwards.
    #[serde(rename = "-verdict")]
    VerdictDown,
}

/// Which rows of the table.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(super) struct RowsQuery {
    /// Only rows of one table.
    #[param(nullable = false, inline)]
    pub direction: Option<Direction>,
    /// Only rows that have this text in the entity, the peer, the port, the Services or the reason; case does not
    /// matter.
    #[param(nullable = false)]
    pub search: Option<String>,
    /// What to sort by, downwards with `-`.
    #[param(nullable = false, inline)]
    pub sort: Option<EdgeSort>,
    /// The page, from 1.
    #[param(nullable = false, minimum = 1)]
    pub page: Option<usize>,
    /// How many rows a page has: 100 when left out, 50,000 at most.
    #[param(nullable = false, minimum = 1, maximum = 50000)]
    pub page_size: Option<usize>,
}

/// The rows of a situation, by entity, direction and edge.
pub(super) fn rows(situation: &Situation) -> Vec<EdgeRow> {
    let plan = situation.plan();
    let checked = situation.checked();
    let mut rows = Vec::with_capacity(plan.rows.len());
    for row in &plan.rows {
        let current = checked.get(&row.edge.key).map_or(Passes::Unknown, |checked| checked.passes);
        let of = |entity| self::row(situation, entity, row, current);
        match situation.asked.entities() {
            Entities::Workloads => rows.push(of(row.workload.into())),
            Entities::Services(wanted) => {
                let services = services(situation, row);
                let wanted =
                    services.into_iter().filter(|s| wanted.as_ref().is_none_or(|w| w == *s));
                rows.extend(wanted.map(|service| of(service.into())));
            }
        }
    }
    // Stable: rows of one entity keep the order of the plan.
    rows.sort_by(|a, b| a.entity.cmp(&b.entity));
    rows
}

/// The Services that a row belongs to: into a workload those that were dialled, out of one those that it backs.
fn services<'a>(situation: &'a Situation, row: &Row<'a>) -> Vec<&'a ServiceRef> {
    let inventory = &situation.view.inventory;
    let mut services: Vec<&ServiceRef> = match row.direction {
        ModelDirection::Ingress => row.edge.services.iter().map(|s| &s.service).collect(),
        ModelDirection::Egress => {
            let backed = inventory.workload(row.workload).map_or(&[][..], |w| &w.services);
            let all = inventory.services();
            backed.iter().filter_map(|&n| Some(&all.get(n)?.reference)).collect()
        }
    };
    services.sort();
    services.dedup();
    services
}

fn row(situation: &Situation, entity: EntityRef, row: &Row<'_>, current: Passes) -> EdgeRow {
    let edge = row.edge;
    let (protocol, port) = l4(edge.key.l4);
    let (verdict, reason) = judged(&row.verdict);
    let decision = situation.review.review.edges.iter().rev().find(|d| decides(d, edge));
    let (bytes_sent, bytes_received) = situation.bytes.get(&edge.key).copied().unwrap_or_default();
    let observers = situation.observers.get(&edge.key).copied().unwrap_or_default();
    EdgeRow {
        id: row_id(&entity, row.direction, &edge.key),
        entity,
        direction: row.direction.into(),
        peer: row.peer().into(),
        protocol,
        port,
        services: edge.services.iter().map(ToString::to_string).collect(),
        connections: edge.evidence.accepted(),
        denied: edge.evidence.dropped,
        refused: edge.evidence.refused,
        bytes_sent,
        bytes_received,
        first_seen: edge.evidence.first_seen.into(),
        last_seen: edge.evidence.last_seen.into(),
        observers: observers.reported().map(Into::into).collect(),
        client_observers: observers.client().map(Into::into).collect(),
        server_observers: observers.server().map(Into::into).collect(),
        verdict,
        reason,
        decision: decision.map(|d| d.choice.into()),
        decision_exact: decision.is_some_and(|d| is_exact(d, &edge.key)),
        current,
        own_node: edge.key.nature == Nature::OwnNode,
        edge: EdgePattern::of(&edge.key),
    }
}

/// What becomes of an edge, and why.
pub(super) fn judged(judged: &Judged) -> (Verdict, Said<ReasonCode>) {
    let verdict = match judged {
        Judged::Kept(_) => Verdict::Allowed,
        Judged::Cut(_) => Verdict::Forbidden,
        Judged::Unknown => Verdict::Unknown,
    };
    (verdict, judged.said())
}

/// The id of a row: the same for the same row whenever it is asked for.
pub(super) fn row_id(entity: &EntityRef, direction: ModelDirection, key: &EdgeKey) -> String {
    let EntityRef { namespace, kind, name } = entity;
    digest(&format!("{namespace}/{kind}/{name} {direction} {}", key_text(key)))
}

/// The id of an edge.
pub(super) fn edge_id(key: &EdgeKey) -> String {
    digest(&key_text(key))
}

fn key_text(key: &EdgeKey) -> String {
    format!("{key} {:?}", key.nature)
}

/// 96 bits, so that two of a million never meet.
fn digest(text: &str) -> String {
    use std::fmt::Write as _;
    let mut id = String::with_capacity(24);
    for byte in Sha256::digest(text.as_bytes()).iter().take(12) {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

impl RowsQuery {
    fn keeps(&self, row: &EdgeRow, search: Option<&str>) -> bool {
        self.direction.is_none_or(|direction| direction == row.direction)
            && search.is_none_or(|search| {
                let EntityRef { namespace, kind, name } = &row.entity;
                let port = row.port.map(|port| port.to_string()).unwrap_or_default();
                let protocol = format!("{:?}/{port}", row.protocol);
                let entity = format!("{namespace}/{kind}/{name}");
                let texts = [&entity, &row.peer.id, &protocol, &row.reason.text];
                let mut texts = texts.into_iter().chain(&row.services);
                texts.any(|text| text.to_lowercase().contains(search))
            })
    }
}

impl EdgeSort {
    fn compare(self, a: &EdgeRow, b: &EdgeRow) -> Ordering {
        match self {
            Self::Entity => a.entity.cmp(&b.entity),
            Self::EntityDown => b.entity.cmp(&a.entity),
            Self::Peer => a.peer.cmp(&b.peer),
            Self::PeerDown => b.peer.cmp(&a.peer),
            Self::Port => (a.protocol, a.port).cmp(&(b.protocol, b.port)),
            Self::PortDown => (b.protocol, b.port).cmp(&(a.protocol, a.port)),
            Self::Connections => a.connections.cmp(&b.connections),
            Self::ConnectionsDown => b.connections.cmp(&a.connections),
            Self::Denied => a.denied.cmp(&b.denied),
            Self::DeniedDown => b.denied.cmp(&a.denied),
            Self::Bytes => a.bytes().cmp(&b.bytes()),
            Self::BytesDown => b.bytes().cmp(&a.bytes()),
            Self::FirstSeen => a.first_seen.cmp(&b.first_seen),
            Self::FirstSeenDown => b.first_seen.cmp(&a.first_seen),
            Self::LastSeen => a.last_seen.cmp(&b.last_seen),
            Self::LastSeenDown => b.last_seen.cmp(&a.last_seen),
            Self::Verdict => a.verdict.cmp(&b.verdict),
            Self::VerdictDown => b.verdict.cmp(&a.verdict),
        }
    }
}

impl EdgeRow {
    const fn bytes(&self) -> u64 {
        self.bytes_sent.saturating_add(self.bytes_received)
    }
}

/// So many rows a page has when nobody says how many.
const PAGE_SIZE: usize = 100;
/// A page has no more rows than this.
const MAX_PAGE_SIZE: usize = 50_000;

/// Where a page begins, and how many rows it has.
pub(super) fn page(
    page: Option<usize>,
    size: Option<usize>,
    total: usize,
) -> Result<(usize, usize, std::ops::Range<usize>), Problem> {
    let (page, size) = (page.unwrap_or(1), size.unwrap_or(PAGE_SIZE));
    if size == 0 || size > MAX_PAGE_SIZE {
        let detail = format!("{size} is not between 1 and {MAX_PAGE_SIZE}");
        return Err(Problem::bad_field("pageSize", detail));
    }
    let pages = total.div_ceil(size).max(1);
    if page == 0 || page > pages {
        let detail = match pages {
            1 => format!("there is no page {page}: there is one page"),
            pages => format!("there is no page {page}: the pages are 1 to {pages}"),
        };
        return Err(Problem::bad_field("page", detail).with_hint("begin with page 1"));
    }
    let first = (page - 1) * size;
    Ok((page, size, first..(first + size).min(total)))
}

/// The ingress and egress tables of a scope.
#[utoipa::path(get, path = "/clusters/{cluster}/edges", operation_id = "listEdges", tag = "edges",
    params(("cluster" = String, Path), ScopeQuery, RowsQuery), responses(
    (status = 200, body = EdgePage),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn list(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Query(scope): Query<ScopeQuery>,
    Query(query): Query<RowsQuery>,
) -> Answer<EdgePage> {
    let work = move || {
        let situation = Situation::load(&api, &cluster, &scope)?;
        let rows = situation.rows();
        let search = query.search.as_deref().map(str::to_lowercase);
        let search = search.as_deref().filter(|search| !search.is_empty());
        let mut kept: Vec<&EdgeRow> = rows.iter().filter(|row| query.keeps(row, search)).collect();
        if let Some(sort) = query.sort {
            kept.sort_by(|a, b| sort.compare(a, b));
        }
        let total = kept.len();
        let (page, page_size, range) = page(query.page, query.page_size, total)?;
        let items = kept[range].iter().map(|row| (*row).clone()).collect();
        Ok(EdgePage { total, page, page_size, review: situation.review.version(), items })
    };
    Ok(Json(blocking(work).await?))
}
