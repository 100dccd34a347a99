//! What the API generates is what `ringfence generate` makes of the same files.

use std::fmt::Write as _;

use ringfence_advise::{Case, Scope, alias};
use ringfence_generate::{documents, generate};
use ringfence_kube::review;
use ringfence_policy::Profile;
use serde_json::json;

use crate::example::{Example, name};
use crate::server::Server;

/// What `ringfence generate --review FILE` prints for a scope.
fn generated(example: &Example, file: &str, text: &str, scope: &Scope) -> String {
    let review = review::bytes(file, text.as_bytes()).unwrap();
    let edges = alias::apply(example.edges.clone(), &review.aliases);
    let case = Case { inventory: &example.inventory, edges: &edges, review: &review, scope };
    let observed = Some(example.observed);
    let generated = generate(case, Profile::COMMON, observed, &example.diagnostics).unwrap();
    documents(&generated.files)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scope_comes_out_as_from_the_command_line() {
    let server = Server::start().await;
    let example = Example::read();
    let mut scopes = Vec::new();
    for namespace in example.inventory.namespaces() {
        let namespace = Some(namespace.name.clone());
        scopes.push(Scope { namespace, ..Scope::default() });
    }
    for workload in example.inventory.workloads() {
        let of = workload.reference.clone();
        scopes.push(Scope {
            namespace: Some(of.namespace),
            kind: Some(of.kind),
            name: Some(of.name),
            behind: None,
        });
    }
    assert!(scopes.len() > 20);
    let mut written = 0;
    for scope in scopes {
        let namespace = scope.namespace.clone().unwrap();
        let exported = server.get(&format!("/clusters/shop/reviews/{namespace}/yaml")).await;
        assert_eq!(exported.status, 200);
        let expected = generated(&example, &format!("{namespace}.yaml"), &exported.text(), &scope);
        let mut query = format!("namespace={namespace}");
        if let (Some(kind), Some(name)) = (&scope.kind, &scope.name) {
            write!(query, "&kind={kind}&name={name}").unwrap();
        }
        let answer = server.get(&format!("/clusters/shop/policies.yaml?{query}")).await;
        assert_eq!(answer.status, 200, "{scope}: {}", answer.text());
        assert_eq!(answer.text(), expected, "{scope}");
        written += usize::from(!expected.is_empty());
    }
    assert!(written > 10, "most scopes have policies");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policies_of_a_namespace_with_their_proof_and_evidence() {
    let server = Server::start().await;
    let answer = server.get("/clusters/shop/policies?namespace=shop").await.ok();
    assert_eq!(answer["certificate"]["outcome"], "PROVEN");
    assert_eq!(answer["review"], 1);
    let files = answer["files"].as_array().unwrap();
    assert!(files.len() >= 8, "{}", files.len());
    let rows = server.get("/clusters/shop/edges?namespace=shop&pageSize=5000").await.ok();
    let ids: Vec<&str> =
        rows["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    let mut evidence = 0;
    for file in files {
        let yaml = file["yaml"].as_str().unwrap();
        let lines: Vec<&str> = yaml.lines().collect();
        for rule in file["rules"].as_array().unwrap() {
            let line = usize::try_from(rule["line"].as_u64().unwrap()).unwrap();
            assert!(lines[line - 1].trim_start().starts_with("- "), "{}", lines[line - 1]);
            for id in rule["edges"].as_array().unwrap() {
                assert!(ids.contains(&id.as_str().unwrap()));
                evidence += 1;
            }
        }
    }
    assert!(evidence > 20, "{evidence}");
    assert!(answer["changes"]["pairs"].as_array().is_some_and(|pairs| !pairs.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_holds_the_certificate_and_the_files() {
    let server = Server::start().await;
    let archive = server.get("/clusters/shop/policies.zip?namespace=shop").await;
    assert_eq!(archive.status, 200);
    assert_eq!(archive.header("content-type"), Some("application/zip"));
    assert_eq!(
        archive.header("content-disposition"),
        Some("attachment; filename=\"shop-policies.zip\"")
    );
    assert!(archive.body.starts_with(b"PK\x03\x04"));
    let files = server.get("/clusters/shop/policies?namespace=shop").await.ok();
    for file in files["files"].as_array().unwrap() {
        let yaml = file["yaml"].as_str().unwrap().as_bytes();
        assert!(archive.body.windows(yaml.len()).any(|window| window == yaml), "{}", file["path"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_policies_come_in_parts_and_a_candidate_is_judged() {
    let server = Server::start().await;
    let existing = server.get("/clusters/shop/policies/existing?namespace=shop").await.ok();
    assert_eq!(existing["total"], 1);
    let policy = &existing["items"][0];
    assert_eq!(policy["policy"]["name"], "cache-guard");
    let yaml = policy["yaml"].as_str().unwrap();

    // The same again changes nothing.
    let body = json!({ "yaml": yaml, "namespace": "shop" }).to_string();
    let same = server.send("POST", "/clusters/shop/policies/judge", &[], &body).await.ok();
    for list in ["faults", "cut", "opened"] {
        assert_eq!(same[list], json!([]), "{list}");
    }
    assert_eq!(same["changes"]["counts"], json!({ "added": 0, "removed": 0, "changed": 0 }));

    // Nothing goes into web any more.
    let closed = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: closed, namespace: shop}\n\
                  spec:\n  podSelector: {matchLabels: {app: web}}\n  ingress: []\n";
    let body = json!({ "yaml": closed, "namespace": "shop" }).to_string();
    let judged = server.send("POST", "/clusters/shop/policies/judge", &[], &body).await.ok();
    assert!(judged["cut"].as_array().is_some_and(|cut| !cut.is_empty()), "{judged}");
    assert_eq!(judged["cut"][0]["destination"]["name"], "web");
    assert_eq!(judged["opened"], json!([]));

    // A fault is told with its line, and nothing else is judged.
    let broken =
        closed.replace("ingress: []", "ingress: [{from: [{ipBlock: {cidr: 10.0.0.1/8}}]}]");
    let body = json!({ "yaml": broken, "namespace": "shop" }).to_string();
    let judged = server.send("POST", "/clusters/shop/policies/judge", &[], &body).await.ok();
    assert_eq!(judged["faults"][0]["severity"], "error");
    assert_eq!(judged["faults"][0]["line"], 6);
    assert_eq!(judged["cut"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn reach_exposure_diff_and_explain_answer_as_the_command_line() {
    let server = Server::start().await;
    let reach =
        server.get("/clusters/shop/reach?namespace=shop&workload=deploy/web&focus=from").await.ok();
    assert!(reach["links"].as_array().is_some_and(|links| !links.is_empty()));
    assert!(reach["links"][0]["source"].as_str().unwrap().starts_with("shop/Deployment/web"));
    let exposure = server.get("/clusters/shop/exposure?namespace=shop").await.ok();
    assert!(exposure["exposure"].as_array().is_some_and(|all| !all.is_empty()));
    let explained = server
        .get("/clusters/shop/explain?source=shop/Deployment/web&destination=shop/Deployment/catalog&port=8000")
        .await
        .ok();
    assert_eq!(explained["allowed"], true);
    let closed = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: closed, namespace: shop}\n\
                  spec:\n  podSelector: {}\n  ingress: []\n";
    let body = json!({ "policies": closed }).to_string();
    let diff = server.send("POST", "/clusters/shop/diff", &[], &body).await.ok();
    assert!(diff["counts"]["removed"].as_u64().unwrap() > 0);
    assert_eq!(diff["counts"]["added"], 0);

    // With the review's policies the retired workload is out of reach.
    let link = server
        .get(
            "/clusters/shop/links/explain?namespace=shop&source=shop/Deployment/web\
             &destination=shop/Deployment/recommendations-v1&port=8090",
        )
        .await
        .ok();
    assert_eq!(link["now"]["allowed"], true, "{link}");
    assert_eq!(link["after"]["allowed"], false);
    assert_eq!(link["verdict"], "forbidden");
    let reason = &link["reason"];
    let file = format!("{}.yaml", name("shop"));
    assert_eq!((&reason["code"], &reason["values"]["file"]), (&json!("excluded"), &json!(file)));
    let told = format!("excluded at {file}:{}", reason["values"]["line"].as_str().unwrap());
    assert_eq!(reason["text"], told);
}
