//! `GET /clusters/{cluster}/addresses`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use ringfence_advise::{ReasonCode, Said, alias};
use ringfence_model::{
    AddressClass as ModelClass, Direction as ModelDirection, EdgeKey, Evidence, Peer,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Answer;
use crate::api::edges::{judged, page, row_id};
use crate::api::scope::ScopeQuery;
use crate::api::situation::Situation;
use crate::api::spec::EdgePattern;
use crate::api::state::{Api, InCluster, blocking};
use crate::api::words::{AddressClass, Direction, EntityRef, List, Protocol, Time, Verdict, l4};
use crate::auth::Viewer;
use crate::problem::{Details, Json, MEDIA_TYPE, Query};

/// An unresolved address, and what the entities of the scope have to do with it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "clients know the address by this name")]
pub(super) struct Address {
    /// Stays the same for the same row; safe in a URL.
    pub id: String,
    /// The address.
    pub address: String,
    /// The alias that it has, if one has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub alias: Option<String>,
    /// Where it lies.
    pub class: AddressClass,
    /// Whether it connects to the entities (ingress), or they to it (egress).
    pub direction: Direction,
    /// The ports at the server.
    pub ports: Vec<AddressPort>,
    /// The entities at the other end.
    pub entities: Vec<EntityRef>,
    /// Connections that were accepted.
    pub connections: u64,
    /// Attempts that the datapath dropped.
    pub denied: u64,
    /// First moment seen.
    pub first_seen: Time,
    /// Last moment seen.
    pub last_seen: Time,
    /// Whether the review's policies let all of it pass, some of it, or nothing.
    pub allowed: AllowedPart,
    /// Its edges, as `decide` names them.
    pub edges: Vec<AddressEdge>,
}

/// How much of something the review's policies let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AllowedPart {
    /// All edges.
    All,
    /// Some of them.
    Some,
    /// None.
    None,
}

/// A port, with what becomes of the edges on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub(super) struct AddressPort {
    /// The protocol.
    pub protocol: Protocol,
    /// The port; ICMP has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub port: Option<u16>,
}

/// One edge with the address.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct AddressEdge {
    /// The id of its row among the edges.
    pub id: String,
    /// What becomes of it under the review.
    pub verdict: Verdict,
    /// Why.
    pub reason: Said<ReasonCode>,
    /// How `decide` names it.
    pub edge: EdgePattern,
}

/// Which addresses a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AddressFilter {
    /// Inside a range of the cluster.
    Internal,
    /// Outside all of them.
    External,
    /// With an alias.
    Aliased,
    /// Where the ranges are not known well enough to tell.
    Unknown,
}

/// Which addresses.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddressQuery {
    /// Only with entities of this namespace.
    #[param(nullable = false)]
    pub namespace: Option<String>,
    /// Only with entities of this kind; needs the namespace.
    #[param(nullable = false)]
    pub kind: Option<String>,
    /// Only with the entity of this name; needs the namespace.
    #[param(nullable = false)]
    pub name: Option<String>,
    /// Only what was observed from this time on (RFC 3339).
    #[param(nullable = false, format = DateTime)]
    pub from: Option<String>,
    /// Only what was observed before this time (RFC 3339).
    #[param(nullable = false, format = DateTime)]
    pub until: Option<String>,
    /// Only with this class; without it all.
    #[param(nullable = false, inline)]
    pub class: Option<AddressFilter>,
    /// Only of one table.
    #[param(nullable = false, inline)]
    pub direction: Option<Direction>,
    /// Only rows that have this text in the address, the alias, the ports or the entities; case does not matter.
    #[param(nullable = false)]
    pub search: Option<String>,
    /// The page, from 1.
    #[param(nullable = false, minimum = 1)]
    pub page: Option<usize>,
    /// How many rows a page has: 100 when left out, 50,000 at most.
    #[param(nullable = false, minimum = 1, maximum = 50000)]
    pub page_size: Option<usize>,
}

/// What is put together about an address on its way out.
struct Found {
    class: ModelClass,
    alias: Option<String>,
    evidence: Evidence,
    ports: BTreeSet<AddressPort>,
    entities: BTreeSet<EntityRef>,
    edges: BTreeMap<String, AddressEdge>,
}

type Addresses = BTreeMap<(IpAddr, Direction), Found>;

/// Adds the addresses of a situation.
fn collect(situation: &Situation, found: &mut Addresses) {
    let plan = situation.plan();
    let behind = situation.asked.behind(&situation.view.inventory);
    let mut rows: HashMap<(&EdgeKey, ModelDirection), Vec<_>> = HashMap::new();
    for row in &plan.rows {
        if behind.as_ref().is_none_or(|behind| behind.contains(row.workload)) {
            rows.entry((&row.edge.key, row.direction)).or_default().push(row);
        }
    }
    for edge in &situation.unresolved {
        let Some(named) = alias::apply(vec![edge.clone()], &situation.review.review.aliases).pop()
        else {
            continue;
        };
        let ends = [
            (ModelDirection::Ingress, &edge.key.source, &named.key.source),
            (ModelDirection::Egress, &edge.key.destination, &named.key.destination),
        ];
        for (direction, end, name) in ends {
            let Peer::Address(ip, class) = end else { continue };
            let Some(rows) = rows.get(&(&named.key, direction)) else { continue };
            let known = found.entry((*ip, direction.into())).or_insert_with(|| Found {
                class: *class,
                alias: match name {
                    Peer::Alias(name) => Some(name.to_string()),
                    _ => None,
                },
                evidence: Evidence {
                    forwarded: 0,
                    dropped: 0,
                    refused: 0,
                    ..edge.evidence.clone()
                },
                ports: BTreeSet::new(),
                entities: BTreeSet::new(),
                edges: BTreeMap::new(),
            });
            known.evidence.merge(&edge.evidence);
            let (protocol, port) = l4(edge.key.l4);
            known.ports.insert(AddressPort { protocol, port });
            for row in rows {
                let entity = EntityRef::from(row.workload);
                let id = row_id(&entity, direction, &named.key);
                let (verdict, reason) = judged(&row.verdict);
                let edge = EdgePattern::of(&named.key);
                known.edges.insert(id.clone(), AddressEdge { id, verdict, reason, edge });
                known.entities.insert(entity);
            }
        }
    }
}

fn address((ip, direction): (IpAddr, Direction), found: Found) -> Address {
    let allowed = found.edges.values().filter(|e| e.verdict == Verdict::Allowed).count();
    Address {
        id: format!("{}-{}", if direction == Direction::Ingress { "in" } else { "out" }, ip),
        address: ip.to_string(),
        alias: found.alias,
        class: found.class.into(),
        direction,
        ports: found.ports.into_iter().collect(),
        entities: found.entities.into_iter().collect(),
        connections: found.evidence.accepted(),
        denied: found.evidence.dropped,
        first_seen: found.evidence.first_seen.into(),
        last_seen: found.evidence.last_seen.into(),
        allowed: match allowed {
            0 => AllowedPart::None,
            n if n == found.edges.len() => AllowedPart::All,
            _ => AllowedPart::Some,
        },
        edges: found.edges.into_values().collect(),
    }
}

impl AddressQuery {
    fn keeps(&self, address: &Address) -> bool {
        let class = self.class.is_none_or(|class| match class {
            AddressFilter::Aliased => address.alias.is_some(),
            AddressFilter::Internal => address.class == AddressClass::Internal,
            AddressFilter::External => address.class == AddressClass::External,
            AddressFilter::Unknown => address.class == AddressClass::Unknown,
        });
        class
            && self.direction.is_none_or(|direction| direction == address.direction)
            && self.search.as_deref().is_none_or(|search| {
                let search = search.to_lowercase();
                let mut texts = vec![address.address.clone()];
                texts.extend(address.alias.clone());
                texts.extend(address.ports.iter().map(|AddressPort { protocol, port }| {
                    format!("{protocol:?}/{}", port.unwrap_or_default())
                }));
                texts.extend(address.entities.iter().map(|EntityRef { namespace, kind, name }| {
                    format!("{namespace}/{kind}/{name}")
                }));
                texts.iter().any(|text| text.to_lowercase().contains(&search))
            })
    }

    fn scope(&self, namespace: String) -> ScopeQuery {
        let Self { kind, name, from, until, .. } = self.clone();
        ScopeQuery { namespace, kind, name, from, until }
    }
}

/// The unresolved addresses that entities talk with, and those that have an alias, sorted by address.
#[utoipa::path(get, path = "/clusters/{cluster}/addresses", operation_id = "listAddresses", tag = "edges",
    params(("cluster" = String, Path), AddressQuery), responses(
    (status = 200, body = List<Address>),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn list(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Query(query): Query<AddressQuery>,
) -> Answer<List<Address>> {
    let work = move || {
        let namespaces: Vec<String> = match &query.namespace {
            Some(namespace) => vec![namespace.clone()],
            None => {
                let view = cluster.view();
                view.inventory.namespaces().iter().map(|n| n.name.to_string()).collect()
            }
        };
        let mut found = Addresses::new();
        for namespace in namespaces {
            let situation = Situation::load(&api, &cluster, &query.scope(namespace))?;
            collect(&situation, &mut found);
        }
        let mut addresses: Vec<Address> =
            found.into_iter().map(|(key, found)| address(key, found)).collect();
        addresses.retain(|address| query.keeps(address));
        let total = addresses.len();
        let (_, _, range) = page(query.page, query.page_size, total)?;
        let items = addresses.drain(range).collect();
        Ok(List { total, items })
    };
    Ok(Json(blocking(work).await?))
}
