//! Machines outside Kubernetes in the tables and the graph.

use std::sync::Arc;

use ringfence_inventory::Inventory;
use ringfence_kube::read::Reader;
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{EdgeKey, Evidence, L4, Nature, Peer, Protocol, WorkloadKind, WorkloadRef};
use ringfence_server::cluster::{Sync, SyncOrigin, View};
use ringfence_server::event::Event;
use ringfence_store::{Arrivals, Counted, Counts};
use serde_json::json;

use crate::example::{name, path};
use crate::server::Server;

const HOST: &str = r#"{"apiVersion":"ringfence.dev/v1alpha1","kind":"Host","metadata":{"name":"mail",
    "labels":{"site":"east"}},"spec":{"addresses":["198.51.100.5"],"system":"Debian GNU/Linux 12"}}"#;

/// The example, with a host that calls `web`.
async fn server() -> Server {
    let server = Server::start().await;
    let mut reader = Reader::new();
    reader.path(&path("cluster"));
    reader.bytes("host", HOST.as_bytes());
    let (inventory, diagnostics) =
        Inventory::build(reader.finish().objects, &ClusterCidrs::default());
    let shop = name("shop");
    let sync = Sync { origin: SyncOrigin::Files, kinds: Vec::new() };
    let view = View { inventory: Arc::new(inventory), diagnostics, sync };
    server.app.cluster(&shop).unwrap().publish(view);
    let at = server.app.store.observed(&shop).unwrap().unwrap().from;
    let evidence = Evidence { first_seen: at, last_seen: at, forwarded: 3, dropped: 0, refused: 0 };
    let web =
        WorkloadRef { namespace: shop.clone(), kind: WorkloadKind::Deployment, name: name("web") };
    let key = EdgeKey {
        source: Peer::Host(name("mail")),
        destination: Peer::Workload(web),
        l4: L4::Port(Protocol::Tcp, "8080".parse().unwrap()),
        nature: Nature::Ordinary,
    };
    let counts = Counts::from(&evidence);
    let edge = Counted { cluster: shop.clone(), at, key, counts, services: Vec::new() };
    server.app.store.record(&Arrivals { edges: vec![edge], ..Arrivals::default() }).unwrap();
    server.app.events.send(Event::Edges { cluster: shop });
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_shown_with_its_tags_and_addresses() {
    let server = server().await;
    let topology = server.get("/clusters/shop/topology?namespace=shop").await.ok();
    let nodes = topology["nodes"].as_array().unwrap();
    let mail = nodes.iter().find(|node| node["id"] == "Host/mail").unwrap();
    assert_eq!((&mail["kind"], &mail["name"]), (&"Host".into(), &"mail".into()));
    assert_eq!(mail["labels"], json!({ "site": "east" }));
    assert_eq!(mail["addresses"], json!(["198.51.100.5"]));
    assert_eq!(mail["system"], "Debian GNU/Linux 12");
    assert_eq!(mail["present"], true);
    let links = topology["links"].as_array().unwrap();
    assert!(links.iter().any(|link| link["source"] == "Host/mail"), "{links:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_with_a_host_is_decided_about_by_its_name() {
    let server = server().await;
    let rows = "/clusters/shop/edges?namespace=shop&search=Host/mail";
    let answer = server.get(rows).await.ok();
    let row = &answer["items"][0];
    assert_eq!((&answer["total"], &row["verdict"]), (&1.into(), &"allowed".into()), "{row}");
    assert_eq!(row["edge"]["source"], json!({ "host": "mail" }));
    let policies = "/clusters/shop/policies.yaml?namespace=shop";
    assert!(server.get(policies).await.text().contains("198.51.100.5/32"));

    let exclude = json!([{ "op": "decide", "edges": [row["edge"]], "choice": "exclude" }]);
    let body = json!({ "note": "a test", "operations": exclude }).to_string();
    let headers = [("If-Match", "\"1\"")];
    server.send("PATCH", "/clusters/shop/reviews/shop", &headers, &body).await.ok();
    assert_eq!(server.get(rows).await.ok()["items"][0]["verdict"], "forbidden");
    assert!(!server.get(policies).await.text().contains("198.51.100.5/32"));
}
