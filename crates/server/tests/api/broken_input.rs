//! Whatever comes in, a client is told what is wrong with it.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn broken_requests_are_answered_with_a_problem() {
    let server = Server::start().await;
    let rows = [
        ("/clusters/Shop/namespaces", 400, "not a name"),
        ("/clusters/elsewhere/namespaces", 404, "no cluster"),
        ("/clusters/shop/edges", 400, "namespace"),
        ("/clusters/shop/edges?namespace=Shop", 400, "not a name"),
        ("/clusters/shop/edges?namespace=nowhere", 404, "no namespace"),
        ("/clusters/shop/edges?namespace=shop&from=yesterday", 400, "from"),
        (
            "/clusters/shop/edges?namespace=shop&from=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z",
            400,
            "no time lies",
        ),
        ("/clusters/shop/edges?namespace=shop&page=0", 400, "page"),
        ("/clusters/shop/edges?namespace=shop&page=1000000", 400, "page"),
        ("/clusters/shop/edges?namespace=shop&page=two", 400, "page: "),
        ("/clusters/shop/edges?namespace=shop&pageSize=1000000", 400, "pageSize"),
        ("/clusters/shop/edges?namespace=shop&sort=colour", 400, "sort: "),
        ("/clusters/shop/edges?namespace=shop&kind=Service&name=nothing", 404, "no Service"),
        ("/clusters/shop/addresses?class=other", 400, "class: "),
        ("/clusters/shop/topology?namespace=nowhere", 404, "no namespace"),
        ("/clusters/shop/readiness?namespace=nowhere", 404, "no namespace"),
        ("/clusters/shop/policies?namespace=nowhere", 404, "no namespace"),
        ("/clusters/shop/policies.zip?namespace=", 400, "not a name"),
        ("/clusters/shop/policies/existing?namespace=nowhere", 404, "no namespace"),
        ("/clusters/shop/reviews/nowhere", 404, "no namespace"),
        ("/clusters/shop/reviews/..%2Fshop", 400, "not a name"),
        ("/clusters/shop/reach?workload=web", 400, "namespace"),
        ("/clusters/shop/reach?namespace=shop&workload=web", 400, "KIND/NAME"),
        ("/clusters/shop/reach?namespace=shop&workload=deploy/nothing", 404, "no workload"),
        ("/clusters/shop/explain?source=a&destination=b&port=80", 400, "source"),
        (
            "/clusters/shop/explain?source=shop/web&destination=10.0.0.1&port=80",
            404,
            "no running pod",
        ),
        ("/clusters/shop/explain?source=10.0.0.1&destination=10.0.0.2&port=http", 400, "port"),
        (
            "/clusters/shop/links/explain?namespace=shop&source=10.0.0.1&destination=Alias/x&port=80",
            404,
            "no alias",
        ),
        (
            "/clusters/shop/links/explain?namespace=shop&source=10.0.0.1&destination=10.0.0.2&port=0",
            400,
            "port",
        ),
        ("/audit?before=now", 400, "before"),
        ("/audit?limit=0", 400, "limit"),
    ];
    for (path, status, said) in rows {
        let problem = server.get(path).await.problem(status);
        assert!(problem["detail"].as_str().unwrap().contains(said), "{path}: {problem}");
    }
    let bodies = [
        ("POST", "/clusters/shop/policies/judge", "{"),
        ("POST", "/clusters/shop/policies/judge", "{\"yaml\": 1, \"namespace\": \"shop\"}"),
        ("POST", "/clusters/shop/diff", "{\"policies\": \"kind: [\"}"),
        ("PATCH", "/clusters/shop/reviews/shop", "{\"operations\": []}"),
        ("PATCH", "/clusters/shop/reviews/shop", "{\"operations\": [{\"op\": \"destroy\"}]}"),
        (
            "PATCH",
            "/clusters/shop/reviews/shop",
            "{\"operations\": [{\"op\": \"decide\", \"choice\": \"include\", \"edges\": [{\"port\": 70000}]}]}",
        ),
        (
            "PATCH",
            "/clusters/shop/reviews/shop",
            "{\"operations\": [{\"op\": \"decide\", \"choice\": \"include\", \"edges\": \
             [{\"source\": {\"alias\": \"nobody\"}, \"port\": 80}]}]}",
        ),
        ("POST", "/clusters/shop/reviews/shop/undo", "{\"version\": 7}"),
        (
            "PATCH",
            "/clusters/shop/configuration",
            "{\"operations\": [{\"op\": \"removeAlias\", \"name\": \"x\"}]}",
        ),
        ("POST", "/clusters/shop/configuration/preview", "{}"),
    ];
    for (method, path, body) in bodies {
        let problem = server.send(method, path, &[("If-Match", "\"1\"")], body).await.problem(400);
        if body.contains("destroy") {
            assert_eq!(problem["errors"][0]["pointer"], "/operations/0/op", "{problem}");
        }
        assert!(
            problem["errors"].as_array().is_some_and(|e| !e.is_empty()) || body.contains("[]"),
            "{problem}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_is_the_fault_of_the_server() {
    let server = Server::start().await;
    let endpoint = prop::sample::select(vec![
        "edges",
        "addresses",
        "topology",
        "readiness",
        "policies",
        "policies.yaml",
        "policies/existing",
        "reach",
        "exposure",
        "explain",
        "links/explain",
        "entities",
    ]);
    let key = prop::sample::select(vec![
        "namespace",
        "kind",
        "name",
        "from",
        "until",
        "direction",
        "search",
        "sort",
        "page",
        "pageSize",
        "class",
        "workload",
        "focus",
        "source",
        "destination",
        "protocol",
        "port",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "shop",
            "Service",
            "web",
            "Deployment",
            "deploy/web",
            "shop/Deployment/web",
            "10.0.0.1",
            "80",
            "1",
            "0",
            "18446744073709551616",
            "-1",
            "TCP",
            "ICMP",
            "2026-03-02T00:00:00Z",
            "",
            "Alias/payment-api",
            "Node/a",
            "egress",
            "from",
            "%ff",
            "%00",
            "a%2Fb",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9%/._:+-]{0,12}",
    ];
    let query = prop::collection::vec((key, value), 0..6);
    let mut runner =
        TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(150) });
    let handle = tokio::runtime::Handle::current();
    let run = || {
        runner.run(&(endpoint, query), |(endpoint, query)| {
            let mut pairs = vec!["namespace=shop".to_owned()];
            pairs.extend(query.iter().map(|(key, value)| format!("{key}={value}")));
            let path = format!("/clusters/shop/{endpoint}?{}", pairs.join("&"));
            let answer = handle.block_on(server.get(&path));
            prop_assert!(answer.status < 500, "{}: {}", path, answer.text());
            Ok(())
        })
    };
    tokio::task::block_in_place(run).unwrap();
}
