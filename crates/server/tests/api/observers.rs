//! Who observed, and where and when nobody did.

use std::collections::BTreeSet;

use ringfence_model::{Name, ObserverKind, Observers, Span, Timestamp};
use ringfence_store::{
    Arrivals, Counted, EdgeQuery, Loss, LossReason, Presence, SourceKey, SourceKind,
};
use serde_json::{Value, json};

use crate::example::name;
use crate::server::Server;

/// The edges of the example again, as an agent at the client's end alone tells them.
fn seen_by_an_agent(server: &Server) {
    let kind = ObserverKind::AgentConntrack;
    let query = EdgeQuery { cluster: name("shop"), window: Span::ALL, namespace: None };
    let edges = server.app.store.edges(&query).unwrap().into_iter().map(|edge| {
        let mut counts = edge.counts;
        counts.observers = Observers::reported_by(kind).at_client(kind);
        let (cluster, at) = (name("shop"), counts.first_seen);
        Counted { cluster, at, key: edge.key, counts, services: edge.services }
    });
    let edges = edges.collect();
    server.app.store.record(&Arrivals { edges, ..Arrivals::default() }).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_says_who_reported_it_and_who_watched_its_ends() {
    let server = Server::start().await;
    seen_by_an_agent(&server);
    let rows = server.get("/clusters/shop/edges?namespace=shop").await.ok();
    let row = &rows["items"][0];
    assert_eq!(row["observers"], json!(["agentConntrack"]));
    assert_eq!((&row["clientObservers"], &row["serverObservers"]), (&row["observers"], &json!([])));
    let workload = |end: &Value| {
        let text = |field: &str| end[field].as_str().unwrap().to_owned();
        format!("{}/{}/{}", text("namespace"), text("kind"), text("name"))
    };
    let all = rows["items"].as_array().unwrap();
    let row = all.iter().find(|row| {
        row["direction"] == "egress" && row["peer"]["kind"] == "Deployment" && row["port"].is_u64()
    });
    let row = row.unwrap();
    let path = format!(
        "/clusters/shop/links/explain?namespace=shop&source={}&destination={}&port={}",
        workload(&row["entity"]),
        workload(&row["peer"]),
        row["port"]
    );
    let link = server.get(&path).await.ok();
    assert_eq!(link["observers"], json!(["agentConntrack"]));
    assert_eq!(link["clientObservers"], json!(["agentConntrack"]));
    assert_eq!(link["serverObservers"], json!([]));
}

/// The gaps that are about nodes.
fn unobserved(readiness: &Value) -> Vec<&Value> {
    let workloads = readiness["workloads"].as_array().unwrap();
    let gaps = workloads.iter().flat_map(|w| w["gaps"].as_array().unwrap());
    gaps.filter(|gap| gap["values"]["node"].is_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_agent_watched_is_unknown() {
    let server = Server::start().await;
    let path = "/clusters/shop/readiness?namespace=shop";
    // No agent at all: whoever wrote the log did not say where it looked.
    assert_eq!(unobserved(&server.get(path).await.ok()), [&Value::Null; 0]);

    let cluster = name("shop");
    let store = &server.app.store;
    let span = store.observed(&cluster).unwrap().unwrap();
    let inventory = server.app.cluster_or_new(&cluster).view().inventory.clone();
    let pods = inventory.pods().iter().filter(|pod| pod.reference.namespace.as_str() == "shop");
    let nodes: BTreeSet<Name> = pods.filter_map(|pod| pod.node.clone()).collect();
    let nodes: Vec<Name> = nodes.into_iter().collect();
    let [first, second, ..] = &nodes[..] else { panic!("{nodes:?}") };
    let source = |node: &Name| SourceKey {
        cluster: cluster.clone(),
        kind: SourceKind::Agent,
        name: node.as_str().into(),
    };
    let middle = Timestamp::from_nanos(i64::midpoint(span.from.nanos(), span.until.nanos()));
    let presence = |node, span| Presence {
        source: source(node),
        span,
        observer: ObserverKind::AgentEbpf,
        blind: Vec::new(),
    };
    let presences = vec![presence(first, span), presence(second, Span { until: middle, ..span })];
    let reason = LossReason::MapFull;
    let losses = vec![Loss { source: source(first), span, reason, count: 7 }];
    store.record(&Arrivals { presences, losses, ..Arrivals::default() }).unwrap();

    let readiness = server.get(path).await.ok();
    let all = unobserved(&readiness);
    let of = |node: &Name| {
        let of_node = all.iter().filter(|gap| gap["values"]["node"] == node.as_str());
        of_node.map(|gap| gap["code"].as_str().unwrap()).collect::<BTreeSet<_>>()
    };
    assert_eq!(of(first), BTreeSet::from(["observer-lost"]));
    assert_eq!(of(second), BTreeSet::from(["no-observer"]));
    let hole = all.iter().find(|gap| gap["code"] == "no-observer").unwrap();
    assert_eq!(hole["values"]["from"], middle.to_string());
    let text = format!("no observer on node {second} from {middle} to");
    assert!(hole["text"].as_str().unwrap().starts_with(&text), "{hole}");
}
