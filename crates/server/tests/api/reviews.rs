//! Reviews and the configuration: versions, conflicts, undo, and who may.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::example::{example_review, path};
use crate::server::{Answer, Server};

const SHOP: &str = "/clusters/shop/reviews/shop";
const CONFIGURATION: &str = "/clusters/shop/configuration";

async fn patch(server: &Server, path: &str, version: u64, operations: Value) -> Answer {
    let tag = format!("\"{version}\"");
    let body = json!({ "note": "a test", "operations": operations }).to_string();
    server.send("PATCH", path, &[("If-Match", &tag)], &body).await
}

fn edge() -> Value {
    json!({
        "source": { "workload": { "namespace": "shop", "kind": "Deployment", "name": "web" } },
        "destination": { "workload": { "namespace": "shop", "kind": "Deployment", "name": "cart" } },
        "protocol": "TCP",
        "port": 7000,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_decided_until_somebody_does() {
    let server = Server::with(false).await;
    let answer = server.get(SHOP).await;
    assert_eq!(answer.header("etag"), Some("\"0\""));
    assert_eq!(
        answer.ok()["review"]["rules"],
        json!({ "ingress": "Observed", "egress": "Observed" })
    );
    let rule = json!([{ "op": "setGeneralRule", "direction": "egress", "rule": "BlockAll" }]);
    let answer = patch(&server, SHOP, 0, rule).await;
    assert_eq!(answer.header("etag"), Some("\"1\""));
    let answer = answer.ok();
    assert_eq!((&answer["who"], &answer["note"]), (&"somebody".into(), &"a test".into()));
    assert_eq!(answer["review"]["rules"]["egress"], "BlockAll");
    assert_eq!(answer["configuration"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_change_verdicts_and_can_be_undone() {
    let server = Server::start().await;
    let exclude = json!([{ "op": "decide", "edges": [edge()], "choice": "exclude" }]);
    let answer = patch(&server, SHOP, 1, exclude).await.ok();
    assert_eq!(answer["version"], 2);
    let rows = server.get("/clusters/shop/edges?namespace=shop&pageSize=5000").await.ok();
    assert_eq!(rows["review"], 2);
    let row = rows["items"].as_array().unwrap().iter().find(|row| row["edge"] == edge()).unwrap();
    assert_eq!((&row["verdict"], &row["decision"]), (&"forbidden".into(), &"Exclude".into()));

    // Deciding again replaces, and clearing takes back.
    let include = json!([{ "op": "decide", "edges": [edge()], "choice": "include" }]);
    let answer = patch(&server, SHOP, 2, include).await.ok();
    let decided = answer["review"]["edges"].as_array().unwrap();
    assert_eq!(decided.len(), example_review().edges.len() + 1);
    assert_eq!(decided.last().unwrap()["choice"], "Include");
    let clear = json!([{ "op": "decide", "edges": [edge()], "choice": "clear" }]);
    let answer = patch(&server, SHOP, 3, clear).await.ok();
    assert_eq!(answer["review"]["edges"].as_array().unwrap().len(), example_review().edges.len());

    let undo =
        server.send("POST", &format!("{SHOP}/undo"), &[("If-Match", "\"4\"")], "{}").await.ok();
    assert_eq!((&undo["version"], &undo["note"]), (&5.into(), &"back to version 3".into()));
    let far = json!({ "version": 1 }).to_string();
    let undo =
        server.send("POST", &format!("{SHOP}/undo"), &[("If-Match", "\"5\"")], &far).await.ok();
    let first = server.get(&format!("{SHOP}/versions")).await.ok();
    assert_eq!(first["total"], 6);
    assert_eq!(first["items"][0]["yaml"], first["items"][5]["yaml"]);
    assert_eq!(undo["review"]["edges"].as_array().unwrap().len(), example_review().edges.len());

    let audit = server.get("/audit?limit=3").await.ok();
    assert_eq!(audit["items"].as_array().unwrap().len(), 3);
    assert_eq!(audit["items"][0]["action"], "review.change");
    assert_eq!(audit["items"][0]["object"], "shop/shop");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_change_the_same_version_one_is_told() {
    let server = Server::start().await;
    let rule =
        || json!([{ "op": "setGeneralRule", "direction": "ingress", "rule": "AllowNamespace" }]);
    patch(&server, SHOP, 1, rule()).await.ok();
    let web = json!({ "namespace": "shop", "kind": "Deployment", "name": "web" });
    let decide = json!([{
        "op": "decide", "choice": "exclude",
        "edges": [{ "source": { "workload": web }, "destination": { "cidr": "198.51.100.0/24" }, "port": 443 }],
    }]);
    patch(&server, SHOP, 2, decide).await.ok();
    let problem = patch(&server, SHOP, 1, rule()).await.problem(409);
    assert_eq!((&problem["currentVersion"], &problem["who"]), (&json!(3), &json!("somebody")));
    assert!(problem["at"].as_str().is_some_and(|at| at.ends_with('Z')));
    let edge = "shop/Deployment/web -> 198.51.100.0/24 TCP/443";
    assert_eq!(
        problem["changes"],
        json!([
            {
                "code": "general-rule",
                "values": { "direction": "Ingress", "rule": "AllowNamespace" },
                "text": "the general Ingress rule is AllowNamespace",
            },
            { "code": "edge-excluded", "values": { "edge": edge }, "text": format!("{edge} is excluded") },
        ])
    );
    // A version that never was tells nothing of what changed since.
    let problem = patch(&server, SHOP, 9, rule()).await.problem(409);
    assert_eq!((&problem["currentVersion"], &problem["changes"]), (&json!(3), &json!(null)));
    let body = json!({ "operations": rule() }).to_string();
    server.send("PATCH", SHOP, &[], &body).await.problem(428);
    server.send("PATCH", SHOP, &[("If-Match", "*")], &body).await.problem(400);
    let viewer = [("x-role", "viewer"), ("If-Match", "\"3\"")];
    server.send("PATCH", SHOP, &viewer, &body).await.problem(403);
    server.send("GET", SHOP, &[("x-role", "nobody")], "").await.problem(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_workloads_and_addresses() {
    let server = Server::with(false).await;
    let web = json!({ "namespace": "shop", "kind": "Deployment", "name": "web" });
    let cidr = json!({
        "direction": "Egress", "workload": web, "cidr": "198.51.100.0/24",
        "except": ["198.51.100.128/25"],
        "ports": [{ "protocol": "TCP", "port": 443 }, { "protocol": "TCP", "port": 8000, "endPort": 8080 }],
    });
    let operations = json!([
        { "op": "setGeneralRule", "direction": "ingress", "rule": "AllowAll", "workload": web },
        { "op": "addCidrRule", "rule": cidr },
    ]);
    let answer = patch(&server, SHOP, 0, operations).await.ok();
    assert_eq!(answer["review"]["workloads"], json!([{ "workload": web, "ingress": "AllowAll" }]));
    assert_eq!(answer["review"]["cidrRules"], json!([cidr]));
    let operations = json!([
        { "op": "setGeneralRule", "direction": "ingress", "workload": web },
        { "op": "removeCidrRule", "rule": cidr },
    ]);
    let answer = patch(&server, SHOP, 1, operations).await.ok();
    assert_eq!(answer["review"]["workloads"], json!([]));
    assert_eq!(answer["review"]["cidrRules"], json!([]));
    let again = json!([{ "op": "removeCidrRule", "rule": cidr }]);
    patch(&server, SHOP, 2, again).await.problem(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_taken_whole_or_refused_with_every_fault() {
    let server = Server::start().await;
    let file = std::fs::read_to_string(path("review.yaml")).unwrap();
    let answer = patch(&server, SHOP, 1, json!([{ "op": "replace", "yaml": file }])).await.ok();
    assert_eq!(answer["version"], 2);

    let broken = file
        .replace("ingress: Observed", "ingress: Sometimes")
        .replace("port: 8000", "port: 80000");
    let problem =
        patch(&server, SHOP, 2, json!([{ "op": "replace", "yaml": broken }])).await.problem(400);
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{problem}");
    assert_eq!(errors[0]["line"], 9);
    assert_eq!(errors[0]["pointer"], "/operations/0/yaml");

    let other = file.replace("198.51.100.40/31", "198.51.100.44/31");
    let problem =
        patch(&server, SHOP, 2, json!([{ "op": "replace", "yaml": other }])).await.problem(400);
    assert!(
        problem["detail"].as_str().unwrap().contains("spec.aliases belongs to the configuration")
    );
    assert_eq!(server.get(SHOP).await.ok()["version"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_holds_for_every_namespace() {
    let server = Server::start().await;
    let found = server.get(CONFIGURATION).await.ok();
    assert_eq!(found["aliases"][0]["name"], "payment-api");
    assert!(!found["found"]["labels"].as_array().unwrap().is_empty());
    let operations = json!([
        { "op": "setAlias", "alias": { "name": "office", "addresses": ["203.0.113.0/24"], "allowed": true } },
        { "op": "setProfile", "profile": "cilium" },
        { "op": "setLabels", "labels": { "include": ["tier"], "exclude": [], "namespace": ["team"] } },
    ]);
    let changed = patch(&server, CONFIGURATION, 1, operations).await.ok();
    assert_eq!((&changed["version"], &changed["profile"]), (&2.into(), &"cilium".into()));
    let review = server.get(SHOP).await.ok();
    assert_eq!(review["configuration"], 2);
    assert_eq!(review["review"]["labels"]["include"], json!(["tier"]));
    let messages = server.get("/clusters/shop/messages").await.ok();
    assert_eq!(messages["items"][0]["code"], "namespaces-without-labels");
    assert!(!messages["items"][0]["namespaces"].as_array().unwrap().is_empty());

    // A name in use stays.
    let edge = json!({ "destination": { "alias": "office" }, "protocol": "TCP", "port": 443 });
    let decide = json!([{ "op": "decide", "edges": [edge], "choice": "include" }]);
    patch(&server, SHOP, 1, decide).await.ok();
    let remove = || json!([{ "op": "removeAlias", "name": "office" }]);
    let problem = patch(&server, CONFIGURATION, 2, remove()).await.problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("namespace shop"));
    let clear = json!([{ "op": "decide", "edges": [edge], "choice": "clear" }]);
    patch(&server, SHOP, 2, clear).await.ok();
    patch(&server, CONFIGURATION, 2, remove()).await.ok();

    let undone = server
        .send("POST", &format!("{CONFIGURATION}/undo"), &[("If-Match", "\"3\"")], "{}")
        .await
        .ok();
    assert_eq!(undone["aliases"].as_array().unwrap().len(), 2);
    let editor = [("x-role", "editor"), ("If-Match", "\"4\"")];
    let body = json!({ "operations": remove() }).to_string();
    server.send("PATCH", CONFIGURATION, &editor, &body).await.problem(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_of_labels_is_shown_before_it_is_made() {
    let server = Server::start().await;
    let labels = json!({ "include": [], "exclude": ["app"], "namespace": [] });
    let preview = server
        .send("POST", &format!("{CONFIGURATION}/preview"), &[], &labels.to_string())
        .await
        .ok();
    let items = preview["items"].as_array().unwrap();
    assert!(items.iter().any(|item| item["before"] != item["after"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_hears_of_changes() {
    let server = Server::start().await;
    let mut stream = server.open("GET", "/events", &[], "").await;
    let mut heard = String::new();
    let mut buffer = [0; 1024];
    let mut until = async |text: &str| {
        while !heard.contains(text) {
            let read = timeout(Duration::from_secs(10), stream.read(&mut buffer)).await;
            let read = read.expect("an event comes").unwrap();
            heard.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    };
    until("text/event-stream").await;
    let rule = json!([{ "op": "setGeneralRule", "direction": "ingress", "rule": "AllowAll" }]);
    patch(&server, SHOP, 1, rule).await.ok();
    until("event: review\ndata: {\"type\":\"review\",\"cluster\":\"shop\",\"namespace\":\"shop\"}\n\n").await;
    // More than fit into the backlog before the reader comes to read.
    for _ in 0..2_000_000 / 40 {
        let cluster = "shop".parse().unwrap();
        server.app.events.send(ringfence_server::event::Event::Edges { cluster });
    }
    until("event: resync\n").await;
}
