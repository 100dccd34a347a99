//! Clusters, entities, the tables and what is drawn of them.

use serde_json::Value;

use crate::server::Server;

fn items(answer: &Value) -> &[Value] {
    answer["items"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_its_namespaces_and_entities() {
    let server = Server::start().await;
    let clusters = server.get("/clusters").await.ok();
    assert_eq!(clusters["total"], 1);
    let shop = &clusters["items"][0];
    assert_eq!((&shop["name"], &shop["profile"]), (&"shop".into(), &"common".into()));
    assert_eq!(shop["sync"]["state"], "files");
    assert!(
        shop["observed"]["first"].as_str().unwrap() < shop["observed"]["last"].as_str().unwrap()
    );
    let namespaces = server.get("/clusters/shop/namespaces").await.ok();
    let names: Vec<&str> = items(&namespaces).iter().map(|n| n["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"shop") && names.is_sorted(), "{names:?}");
    let reviewed = items(&namespaces).iter().find(|n| n["name"] == "shop").unwrap();
    assert_eq!(reviewed["review"], 1);
    let services = server.get("/clusters/shop/entities?namespace=shop&kind=svc").await.ok();
    assert!(items(&services).iter().all(|e| e["kind"] == "Service"));
    let web = items(&services).iter().find(|e| e["name"] == "web").unwrap();
    assert_eq!(web["workloads"][0], "Deployment/web");
    let all = server.get("/clusters/shop/entities").await.ok();
    assert!(all["total"].as_u64() > services["total"].as_u64());
    let messages = server.get("/clusters/shop/messages").await.ok();
    assert_eq!(messages["total"].as_u64(), Some(items(&messages).len() as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_paged_sorted_and_searched() {
    let server = Server::start().await;
    let all = server.get("/clusters/shop/edges?namespace=shop&pageSize=5000").await.ok();
    let total = all["total"].as_u64().unwrap();
    assert!(total > 30, "{total}");
    let ids: std::collections::BTreeSet<&str> =
        items(&all).iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len() as u64, total, "an id for each row");
    assert!(ids.iter().all(|id| id.chars().all(|c| c.is_ascii_alphanumeric())));

    let mut paged = Vec::new();
    for page in 1..=total.div_ceil(7) {
        let path = format!("/clusters/shop/edges?namespace=shop&pageSize=7&page={page}");
        paged.extend(items(&server.get(&path).await.ok()).to_vec());
    }
    assert_eq!(&paged, items(&all));

    let busy = server.get("/clusters/shop/edges?namespace=shop&sort=-connections").await.ok();
    let counts: Vec<u64> =
        items(&busy).iter().map(|row| row["connections"].as_u64().unwrap()).collect();
    assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");

    let found =
        server.get("/clusters/shop/edges?namespace=shop&search=RECOMMENDATIONS-v1").await.ok();
    assert!(found["total"].as_u64().unwrap() < total && !items(&found).is_empty());
    for row in items(&found) {
        assert!(row.to_string().contains("recommendations-v1"));
    }
    let egress = server.get("/clusters/shop/edges?namespace=shop&direction=egress").await.ok();
    assert!(items(&egress).iter().all(|row| row["direction"] == "egress"));

    let excluded = items(&all)
        .iter()
        .find(|row| row["entity"]["name"] == "web" && row["peer"]["name"] == "recommendations-v1")
        .unwrap();
    assert_eq!(excluded["decision"], "Exclude");
    assert_eq!(excluded["decisionExact"], true);
    assert_eq!(excluded["verdict"], "forbidden");
    assert_eq!(excluded["current"], "allowed");
    assert_eq!(excluded["edge"]["port"], 8090);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_service_are_those_of_the_workload_behind_it() {
    let server = Server::start().await;
    let service =
        server.get("/clusters/shop/edges?namespace=shop&kind=Service&name=web").await.ok();
    let workload =
        server.get("/clusters/shop/edges?namespace=shop&kind=Deployment&name=web").await.ok();
    assert!(!items(&service).is_empty());
    assert!(items(&service).iter().all(|row| row["entity"]["kind"] == "Service"));
    let egress =
        |answer: &Value| items(answer).iter().filter(|row| row["direction"] == "egress").count();
    assert_eq!(egress(&service), egress(&workload));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_leaves_out_what_was_seen_outside() {
    let server = Server::start().await;
    let path = "/clusters/shop/edges?namespace=shop&until=2001-01-01T00:00:00Z";
    assert_eq!(server.get(path).await.ok()["total"], 0);
    let path = "/clusters/shop/readiness?namespace=shop&until=2001-01-01T00:00:00Z";
    let readiness = server.get(path).await.ok();
    assert_eq!(readiness["messages"][0]["code"], "no-flows");
    let readiness = server.get("/clusters/shop/readiness?namespace=shop").await.ok();
    let workloads = readiness["workloads"].as_array().unwrap();
    assert!(workloads.iter().any(|w| w["connections"].as_u64().unwrap() > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_tells_every_edge_once_with_both_verdicts() {
    let server = Server::start().await;
    let map = server.get("/clusters/shop/topology?namespace=shop").await.ok();
    let nodes: Vec<&str> =
        map["nodes"].as_array().unwrap().iter().map(|n| n["id"].as_str().unwrap()).collect();
    let links = map["links"].as_array().unwrap();
    assert!(links.len() > 20);
    for link in links {
        assert!(nodes.contains(&link["source"].as_str().unwrap()));
        assert!(nodes.contains(&link["target"].as_str().unwrap()));
    }
    let ids: std::collections::BTreeSet<&str> =
        links.iter().map(|link| link["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), links.len());
    let alias = map["nodes"].as_array().unwrap().iter().find(|n| n["kind"] == "Alias").unwrap();
    assert_eq!(alias["name"], "payment-api");
    assert!(!alias["addresses"].as_array().unwrap().is_empty());
    let red = links.iter().filter(|link| link["after"] == "forbidden");
    assert!(red.count() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_told_with_their_alias_and_class() {
    let server = Server::start().await;
    let all = server.get("/clusters/shop/addresses?namespace=shop").await.ok();
    let aliased = server.get("/clusters/shop/addresses?namespace=shop&class=aliased").await.ok();
    assert!(items(&aliased).iter().all(|a| a["alias"] == "payment-api" && a["allowed"] == "all"));
    assert!(!items(&aliased).is_empty() && items(&aliased).len() < items(&all).len());
    let everywhere = server.get("/clusters/shop/addresses").await.ok();
    assert!(everywhere["total"].as_u64() >= all["total"].as_u64());
    let first = items(&all)[0]["address"].as_str().unwrap();
    let found =
        server.get(&format!("/clusters/shop/addresses?namespace=shop&search={first}")).await.ok();
    assert!(!items(&found).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_sources_says_so() {
    let server = Server::start().await;
    assert_eq!(server.get("/sources").await.ok()["total"], 0);
}
