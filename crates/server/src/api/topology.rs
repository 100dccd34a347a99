//! `GET /clusters/{cluster}/topology`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use ringfence_advise::{ReasonCode, Row, Said, Verdict as Judged, decides};
use ringfence_model::{EdgeKey, Nature, Peer as ModelPeer};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Answer;
use crate::api::edges::{edge_id, judged};
use crate::api::entities::{EntityPort, declared, services};
use crate::api::scope::ScopeQuery;
use crate::api::situation::Situation;
use crate::api::spec::{DecisionChoice, EdgePattern};
use crate::api::state::{Api, InCluster, blocking};
use crate::api::words::{AddressClass, Passes, Peer, Protocol, Time, Verdict, l4, labels};
use crate::auth::Viewer;
use crate::problem::{Details, Json, MEDIA_TYPE, Query};

/// Who talks to whom in a scope, as a graph.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Topology {
    /// The version of the namespace's review that the verdicts follow.
    pub review: u64,
    /// Who there is, sorted by id.
    pub nodes: Vec<TopologyNode>,
    /// Who talks to whom over what, sorted.
    pub links: Vec<TopologyLink>,
}

/// Somebody.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TopologyNode {
    /// `NAMESPACE/KIND/NAME`, `Node/NAME`, `Host/NAME`, `Alias/NAME`, or an address.
    pub id: String,
    /// The kind of a workload, or `Service`, `Node`, `Host`, `Alias` or `Address`.
    pub kind: String,
    /// Its namespace, where it lives in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub namespace: Option<String>,
    /// Its name; of an address the address.
    pub name: String,
    /// Of an address, where it lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub class: Option<AddressClass>,
    /// The labels of its pods; of a host its tags.
    pub labels: BTreeMap<String, String>,
    /// The ports that its pods declare.
    pub ports: Vec<EntityPort>,
    /// The Services that it backs, by name.
    pub services: Vec<String>,
    /// How many pods it has now.
    pub pods: usize,
    /// Of an alias, its addresses and ranges; of a node or host, its addresses.
    pub addresses: Vec<String>,
    /// Of a host, its operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub system: Option<String>,
    /// Whether the scope asks for it; the others are there because they talk with it.
    pub in_scope: bool,
    /// Whether its pods share their nodes' network.
    pub host_network: bool,
    /// Whether it is in the cluster now; what was seen in the past may be gone.
    pub present: bool,
}

/// An edge.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TopologyLink {
    /// Stays the same for the same link; safe in a URL.
    pub id: String,
    /// The client, as the id of a node.
    pub source: String,
    /// The server, as the id of a node.
    pub target: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The port at the server; ICMP has none.
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
    /// First moment seen.
    pub first_seen: Time,
    /// Last moment seen.
    pub last_seen: Time,
    /// What the policies that are in the cluster make of it.
    pub before: Passes,
    /// What the review's policies will make of it.
    pub after: Verdict,
    /// Why it will be so.
    pub reason: Said<ReasonCode>,
    /// The review's decision about it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub decision: Option<DecisionChoice>,
    /// From the pod's own node, as probes are: always allowed.
    pub own_node: bool,
    /// How `decide` names it.
    pub edge: EdgePattern,
}

/// Who talks to whom in a situation.
fn topology(situation: &Situation) -> Topology {
    let inventory = &situation.view.inventory;
    let behind = situation.asked.behind(inventory);
    let plan = situation.plan();
    let checked = situation.checked();
    // An edge inside the scope has a row in both tables, with one verdict: a cut in either forbids both.
    let mut edges: BTreeMap<&EdgeKey, Vec<&Row<'_>>> = BTreeMap::new();
    for row in &plan.rows {
        if behind.as_ref().is_none_or(|behind| behind.contains(row.workload)) {
            edges.entry(&row.edge.key).or_default().push(row);
        }
    }
    let mut in_scope: BTreeSet<ModelPeer> = situation
        .scope
        .workloads(inventory)
        .filter(|w| behind.as_ref().is_none_or(|behind| behind.contains(&w.reference)))
        .map(|w| ModelPeer::Workload(w.reference.clone()))
        .collect();
    in_scope.extend(edges.values().flatten().map(|row| ModelPeer::Workload(row.workload.clone())));
    let mut peers: BTreeSet<&ModelPeer> = in_scope.iter().collect();
    let mut links = Vec::with_capacity(edges.len());
    for (key, rows) in &edges {
        peers.extend([&key.source, &key.destination]);
        let current = checked.get(*key).map_or(Passes::Unknown, |checked| checked.passes);
        links.extend(link(situation, rows, current));
    }
    let mut nodes: Vec<TopologyNode> =
        peers.iter().map(|peer| node(situation, peer, in_scope.contains(*peer))).collect();
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    Topology { review: situation.review.version(), nodes, links }
}

fn link(situation: &Situation, rows: &[&Row<'_>], before: Passes) -> Option<TopologyLink> {
    let cut = rows.iter().find(|row| matches!(row.verdict, Judged::Cut(_)));
    let row = cut.or(rows.first())?;
    let edge = row.edge;
    let (protocol, port) = l4(edge.key.l4);
    let (after, reason) = judged(&row.verdict);
    let decision = situation.review.review.edges.iter().rev().find(|d| decides(d, edge));
    Some(TopologyLink {
        id: edge_id(&edge.key),
        source: edge.key.source.to_string(),
        target: edge.key.destination.to_string(),
        protocol,
        port,
        services: edge.services.iter().map(ToString::to_string).collect(),
        connections: edge.evidence.accepted(),
        denied: edge.evidence.dropped,
        refused: edge.evidence.refused,
        first_seen: edge.evidence.first_seen.into(),
        last_seen: edge.evidence.last_seen.into(),
        before,
        after,
        reason,
        decision: decision.map(|d| d.choice.into()),
        own_node: edge.key.nature == Nature::OwnNode,
        edge: EdgePattern::of(&edge.key),
    })
}

fn node(situation: &Situation, peer: &ModelPeer, in_scope: bool) -> TopologyNode {
    let inventory = &situation.view.inventory;
    let Peer { kind, namespace, name, class, id } = peer.into();
    let workload = peer.workload().and_then(|reference| inventory.workload(reference));
    let host = match peer {
        ModelPeer::Host(name) => inventory.host(name),
        _ => None,
    };
    let (addresses, present) = match peer {
        ModelPeer::Workload(_) => (Vec::new(), workload.is_some()),
        ModelPeer::Service(service) => (Vec::new(), inventory.service_index(service).is_some()),
        ModelPeer::Node(node) => {
            let addresses = inventory.node_addresses(node);
            (addresses.iter().map(ToString::to_string).collect(), !addresses.is_empty())
        }
        ModelPeer::Alias(name) => {
            let aliases = situation.review.review.aliases.iter().filter(|a| a.name == *name);
            let cidrs = aliases.flat_map(|alias| &alias.cidrs);
            let text = |cidr: &ringfence_model::Cidr| {
                if cidr.is_host() { cidr.net().addr().to_string() } else { cidr.to_string() }
            };
            (cidrs.map(text).collect(), true)
        }
        ModelPeer::Host(_) => {
            let addresses = host.map_or(&[][..], |host| host.addresses.as_slice());
            (addresses.iter().map(ToString::to_string).collect(), host.is_some())
        }
        ModelPeer::Address(..) => (Vec::new(), true),
    };
    TopologyNode {
        id,
        kind,
        namespace,
        name,
        class,
        labels: host
            .map(|host| &host.labels)
            .or(workload.map(|w| &w.template_labels))
            .map(labels)
            .unwrap_or_default(),
        ports: workload.map(|w| declared(&w.spec.ports)).unwrap_or_default(),
        services: workload.map(|w| services(inventory, w)).unwrap_or_default(),
        pods: workload.map_or(0, |w| w.pods.len()),
        addresses,
        system: host.and_then(|host| host.system.as_ref()).map(ToString::to_string),
        in_scope,
        host_network: workload.is_some_and(|w| w.host_network),
        present,
    }
}

/// Who talks to whom in a scope: the workloads of it with all their peers.
#[utoipa::path(get, path = "/clusters/{cluster}/topology", operation_id = "getTopology", tag = "edges",
    params(("cluster" = String, Path), ScopeQuery), responses(
    (status = 200, body = Topology),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn get(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Query(scope): Query<ScopeQuery>,
) -> Answer<Topology> {
    let work = move || Ok(topology(&*Situation::load(&api, &cluster, &scope)?));
    Ok(Json(blocking(work).await?))
}
