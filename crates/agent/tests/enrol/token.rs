//! Coming in with a token, and being taken out.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use ringfence_agent::enrol::{EnrolError, Enrolment};
use ringfence_server::enrol::Terms;
use serde_json::json;
use tokio::sync::watch;
use tonic::Code;

use crate::site::{Running, Site, any};

/// The code and the words of a refusal.
async fn refused(agent: &Enrolment) -> (Code, String) {
    match agent.enrol().await {
        Err(EnrolError::Refused(status)) => (status.code(), status.message().to_owned()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_agent_enrols_delivers_is_taken_out_and_comes_back_with_another_token() {
    let mut site = Site::new(Terms::default()).await;
    let token = site.token(any()).await;
    let agent = site.agent("prod/node-1", &token);
    let token_file = agent.token.clone().unwrap();
    let mut running = Running::new(agent);
    running.report();
    running.delivered().await;
    assert_eq!(site.enrolled().await, ["prod/node-1"]);
    for file in std::fs::read_dir(site.wallet("prod/node-1")).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.file_name(), "agent.pem", "the key that waited for an answer is gone");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    site.remove("prod/node-1").await;
    running.says("the agent was removed").await;
    running.report();
    assert!(site.enrolled().await.is_empty());
    // Not after the server has started again, either.
    site.stop().await;
    site.start().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((running.waiting(), site.ledger("node-1").stored), (1, 1));

    std::fs::write(token_file, site.token(any()).await).unwrap();
    running.delivered().await;
    assert_eq!(
        (site.enrolled().await, site.ledger("node-1").stored),
        (vec!["prod/node-1".to_owned()], 2)
    );
    site.stop().await;
}

#[tokio::test]
async fn what_a_token_is_not_for_it_does_not_do() {
    let mut site = Site::new(Terms::default()).await;
    let token = site.token(json!({"cluster": "prod", "node": "node-1"})).await;
    let (code, told) = refused(&site.agent("prod/node-2", &token)).await;
    assert_eq!((code, &*told), (Code::PermissionDenied, "the token is for node node-1 of prod"));
    let (code, told) = refused(&site.agent("test/node-1", &token)).await;
    assert_eq!((code, &*told), (Code::PermissionDenied, "the token is for node node-1 of prod"));
    let (code, told) = refused(&site.agent("prod/Node_1", &token)).await;
    assert_eq!(code, Code::InvalidArgument, "{told}");
    let (code, told) = refused(&site.agent("prod/node-1", "rf_guess")).await;
    assert_eq!(code, Code::Unauthenticated, "{told}");
    site.agent("prod/node-1", &token).enrol().await.unwrap();
    let (code, told) = refused(&site.agent("prod/node-2", &token)).await;
    assert_eq!(code, Code::PermissionDenied, "{told}");
    assert_eq!(site.enrolled().await, ["prod/node-1"]);
    assert_eq!(site.audited("agent.refuse").await, 3, "unknown tokens fill no disk");
    site.stop().await;
}

#[tokio::test]
async fn of_two_machines_with_one_token_one_gets_in() {
    let mut site = Site::new(Terms::default()).await;
    let token = site.token(any()).await;
    let (a, b) = (site.agent("prod/a", &token), site.agent("prod/b", &token));
    let (a, b) = tokio::join!(a.enrol(), b.enrol());
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    assert_eq!(site.enrolled().await.len(), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_token_outlives_a_restart_of_the_server_and_so_does_its_use() {
    let mut site = Site::new(Terms::default()).await;
    let token = site.token(json!({"cluster": "prod", "uses": 2})).await;
    site.agent("prod/a", &token).enrol().await.unwrap();
    site.stop().await;
    site.start().await;
    let b = site.agent("prod/b", &token);
    b.enrol().await.unwrap();
    let (code, _) = refused(&site.agent("prod/c", &token)).await;
    assert_eq!(code, Code::Unauthenticated);
    // Who is in stays in.
    let identity = b.wallet.open().unwrap().unwrap();
    b.renew(&identity).await.unwrap();
    site.stop().await;
}

#[tokio::test]
async fn an_agent_shows_its_token_to_no_other_server() {
    let mut site = Site::new(Terms::default()).await;
    let other = Site::new(Terms::default()).await;
    let mut agent = site.agent("prod/node-1", &site.token(any()).await);
    agent.server.ca.clone_from(&other.ca);
    assert!(matches!(agent.enrol().await, Err(EnrolError::Connect(_))));
    site.stop().await;
}

#[tokio::test]
async fn an_agent_writes_for_its_own_node_and_cluster_only() {
    let mut site = Site::new(Terms::default()).await;
    let agent = site.agent("prod/node-1", &site.token(any()).await);
    let identity = agent.enrol().await.unwrap();
    let endpoint = agent.server.endpoint(Some(&identity)).unwrap();
    let deliver = |cluster, node| {
        let (sender, endpoints) = watch::channel(Some(endpoint.clone()));
        drop(sender);
        let mut running = Running::delivering(endpoints, cluster, node);
        running.report();
        running
    };
    for (cluster, node) in [("prod", "node-2"), ("test", "node-1")] {
        let running = deliver(cluster, node);
        let told =
            format!("the certificate is for node node-1 of prod, not for {node} of {cluster}");
        running.says(&told).await;
        assert_eq!(running.waiting(), 1);
    }
    deliver("prod", "node-1").delivered().await;
    assert_eq!((site.ledger("node-1").stored, site.ledger("node-2").received), (1, 0));
    // Without any certificate nobody writes at all.
    let (_sender, endpoints) = watch::channel(Some(agent.server.endpoint(None).unwrap()));
    let mut nobody = Running::delivering(endpoints, "prod", "node-1");
    nobody.report();
    nobody.says("an agent needs a client certificate with its name").await;
    site.stop().await;
}
