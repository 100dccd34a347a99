//! Certificates that end: renewed in time, too late, or never.

use std::time::Duration;

use ringfence_agent::enrol::EnrolError;
use ringfence_server::enrol::Terms;
use tokio::sync::watch;
use tonic::Code;

use crate::site::{Running, Site, any};

fn terms(lifetime: u64, grace: u64) -> Terms {
    Terms { lifetime: Duration::from_secs(lifetime), grace: Duration::from_secs(grace) }
}

#[tokio::test]
async fn the_stream_survives_the_end_of_certificates() {
    let mut site = Site::new(terms(3, 0)).await;
    let mut running = Running::new(site.agent("prod/node-1", &site.token(any()).await));
    // Three certificates end meanwhile.
    for _ in 0..90 {
        running.report();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running.delivered().await;
    let ledger = site.ledger("node-1");
    assert_eq!((ledger.stored, site.connections()), (running.reports(), running.reports()));
    assert!(site.audited("agent.renew").await >= 3);
    assert_eq!(site.audited("agent.enrol").await, 1);
    site.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_certificate() {
    let mut site = Site::new(terms(3, 0)).await;
    let agent = site.agent("prod/node-1", &site.token(any()).await);
    let identity = agent.enrol().await.unwrap();
    let (sender, endpoints) = watch::channel(agent.server.endpoint(Some(&identity)).ok());
    let mut running = Running::delivering(endpoints, "prod", "node-1");
    running.report();
    running.delivered().await;
    running.says("the certificate has ended").await;
    running.report();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(running.waiting(), 1, "no connection shows it any longer");
    drop(sender);
    site.stop().await;
}

#[tokio::test]
async fn an_agent_that_slept_past_its_certificate_goes_on_for_the_grace() {
    let mut site = Site::new(terms(2, 3600)).await;
    let agent = site.agent("prod/node-1", &site.token(any()).await);
    agent.enrol().await.unwrap();
    tokio::time::sleep(Duration::from_millis(3100)).await;
    let mut running = Running::new(agent);
    running.report();
    running.delivered().await;
    assert_eq!(site.ledger("node-1").stored, 1);
    site.stop().await;
}

#[tokio::test]
async fn an_agent_that_slept_too_long_takes_a_new_token() {
    let mut site = Site::new(terms(2, 0)).await;
    let agent = site.agent("prod/node-1", &site.token(any()).await);
    let (file, identity) = (agent.token.clone().unwrap(), agent.enrol().await.unwrap());
    tokio::time::sleep(Duration::from_millis(3100)).await;
    match agent.renew(&identity).await {
        Err(EnrolError::Refused(status)) => {
            assert_eq!(status.code(), Code::Unauthenticated);
            let told = "too long ago (hint: enrol with a new token)";
            assert!(status.message().ends_with(told), "{status}");
        }
        other => panic!("{other:?}"),
    }
    let mut running = Running::new(agent);
    running.report();
    running.says("too long ago").await;
    std::fs::write(file, site.token(any()).await).unwrap();
    running.delivered().await;
    assert_eq!((site.ledger("node-1").stored, site.audited("agent.enrol").await), (1, 2));
    site.stop().await;
}
