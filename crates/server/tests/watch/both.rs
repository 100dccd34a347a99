//! What holds of the double holds of a real API server: the same test for both.
//!
//! The real one is named by `RINGFENCE_TEST_KUBECONFIG`, a kubeconfig whose current context may make namespaces.

use std::path::Path;
use std::sync::Arc;

use axum::http::{Method, Request};
use ringfence_kube::live::{Access, Client};
use ringfence_server::cluster::{KindState, View};
use ringfence_store::Sqlite;
use ringfence_testkit::ApiServer;
use serde_json::Value;

use crate::lab::{EVENTUALLY, Lab, Outcome, SOON, state};
use crate::objects::{namespace, policy};

async fn ask(client: &Client, method: Method, path: &str, body: Option<Value>) -> Outcome {
    let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json").body(body)?;
    client.request_text(request).await?;
    Ok(())
}

fn is_settled(view: &View) -> bool {
    let unsettled =
        |state: &KindState| matches!(state, KindState::Syncing | KindState::Stale { .. });
    !view.sync.kinds.is_empty() && !view.sync.kinds.iter().any(|kind| unsettled(&kind.state))
}

/// A policy comes, changes and goes, in a namespace of its own.
async fn life_of_a_policy(kubeconfig: &Path) -> Outcome {
    let access = Access::Kubeconfig { path: Some(kubeconfig.to_owned()), context: None };
    let client = access.client().await?;
    let space = format!("ringfence-test-{}", std::process::id());
    ask(&client, Method::POST, "/api/v1/namespaces", Some(namespace(&space))).await?;

    let store = Arc::new(Sqlite::in_memory()?);
    let lab = Lab::of_contexts(store, kubeconfig, &[("c", None)]).await?;
    let view = lab.until("c", EVENTUALLY, "settled", is_settled).await?;
    assert_eq!(state(&view, "NetworkPolicy"), Some(&KindState::Synced));
    assert!(view.inventory.namespaces().iter().any(|found| found.name.as_str() == space));
    let policies = |view: &View| {
        let own = view.inventory.policies().iter().filter(|p| p.namespace.as_str() == space);
        own.count()
    };
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{space}/networkpolicies");
    for name in ["one", "two"] {
        ask(&client, Method::POST, &path, Some(policy(&space, name))).await?;
    }
    lab.until("c", SOON, "two policies", |view| policies(view) == 2).await?;
    ask(&client, Method::DELETE, &format!("{path}/one"), None).await?;
    lab.until("c", SOON, "one policy", |view| policies(view) == 1).await?;
    ask(&client, Method::DELETE, &format!("{path}/two"), None).await?;
    lab.until("c", SOON, "no policy", |view| policies(view) == 0).await?;
    ask(&client, Method::DELETE, &format!("/api/v1/namespaces/{space}"), None).await?;
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_lives_in_the_double() -> Outcome {
    let server = ApiServer::start().await?;
    let files = tempfile::tempdir()?;
    let path = files.path().join("config");
    std::fs::write(&path, ApiServer::kubeconfig(&[("c", &server)]))?;
    life_of_a_policy(&path).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_lives_in_a_real_api_server() -> Outcome {
    match std::env::var_os("RINGFENCE_TEST_KUBECONFIG") {
        Some(path) => life_of_a_policy(Path::new(&path)).await,
        None => {
            println!("skipped: RINGFENCE_TEST_KUBECONFIG names no kubeconfig");
            Ok(())
        }
    }
}
