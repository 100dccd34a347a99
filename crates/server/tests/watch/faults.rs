//! What API servers do to those who watch them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ringfence_model::Timestamp;
use ringfence_server::App;
use ringfence_server::clock::Clock;
use ringfence_server::cluster::{KindState, View};
use ringfence_store::{Sqlite, Store};
use ringfence_testkit::ApiServer;
use ringfence_testkit::api_server::{Asked, Expiry};
use serde_json::json;

use crate::lab::{EVENTUALLY, Lab, Outcome, SOON, has_pod, is_synced, state};
use crate::objects::{namespace, policy, web};

fn lists(asked: &[Asked], plural: &str) -> usize {
    asked.iter().filter(|asked| asked.plural == plural && !asked.watch).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_watch_resumes_where_it_stopped() -> Outcome {
    let server = ApiServer::start().await?;
    server.apply(web("web-0", "10.0.0.100"));
    let lab = Lab::new(&[("c", &server)]).await?;
    lab.synced("c").await?;
    server.asked();
    for (n, abrupt) in [false, true, true, false].into_iter().enumerate() {
        server.disconnect(abrupt);
        // Changes that happen while nobody watches.
        server.apply(web(&format!("web-{n}-new"), &format!("10.0.0.{n}")));
        let name = format!("shop/web-{n}-new");
        lab.until("c", SOON, &name, |view| has_pod(view, &name)).await?;
    }
    lab.synced("c").await?;
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.watch), "nothing is listed again: {asked:?}");
    assert!(asked.iter().all(|asked| !asked.version.is_empty()), "{asked:?}");
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bookmarks_keep_quiet_kinds_young() -> Outcome {
    let server = ApiServer::start().await?;
    server.apply(namespace("shop"));
    let lab = Lab::new(&[("c", &server)]).await?;
    lab.synced("c").await?;
    server.bookmark("Namespace");
    server.apply(web("web-1", "10.0.0.1"));
    lab.until("c", SOON, "web-1", |view| has_pod(view, "shop/web-1")).await?;
    server.asked();
    server.disconnect(false);
    server.apply(namespace("other"));
    lab.until("c", SOON, "other", |view| view.inventory.namespaces().len() == 2).await?;
    let asked = server.asked();
    let watch = asked.iter().find(|asked| asked.plural == "namespaces").ok_or("no watch")?;
    // Objects began at 1001; the bookmark came after the namespace.
    assert_eq!(watch.version, "1002", "{asked:?}");
    lab.end().await;
    Ok(())
}

/// An API server that was gone for an hour has forgotten where the watches were, and says 410 Gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_is_listed_anew() -> Outcome {
    for expiry in [Expiry::Status, Expiry::Event] {
        let server = ApiServer::start().await?;
        for n in 1..=5 {
            server.apply(web(&format!("web-{n}"), &format!("10.0.0.{n}")));
        }
        let lab = Lab::new(&[("c", &server)]).await?;
        lab.synced("c").await?;
        server.asked();
        server.stop().await;
        server.delete("Pod", "shop", "web-2");
        server.apply(web("web-6", "10.0.0.6"));
        server.compact(expiry);
        server.come_back().await?;
        let view = lab
            .until("c", EVENTUALLY, "listed anew", |view| {
                has_pod(view, "shop/web-6") && !has_pod(view, "shop/web-2") && is_synced(view)
            })
            .await?;
        assert_eq!(view.inventory.pods().len(), 5);
        assert!(lists(&server.asked(), "pods") > 0);
        // And changes arrive as before.
        server.delete("Pod", "shop", "web-1");
        lab.until("c", SOON, "gone", |view| !has_pod(view, "shop/web-1")).await?;
        lab.end().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_from_a_backup_is_listed_anew() -> Outcome {
    let server = ApiServer::start().await?;
    server.apply(web("web-1", "10.0.0.1"));
    let lab = Lab::new(&[("c", &server)]).await?;
    lab.synced("c").await?;
    server.restore();
    server.apply(web("web-2", "10.0.0.2"));
    lab.until("c", EVENTUALLY, "web-2", |view| has_pod(view, "shop/web-2") && is_synced(view))
        .await?;
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn error_events_do_not_end_a_watch_for_good() -> Outcome {
    let server = ApiServer::start().await?;
    server.apply(web("web-1", "10.0.0.1"));
    let lab = Lab::new(&[("c", &server)]).await?;
    lab.synced("c").await?;
    server.asked();
    server.error("Pod", 500, "etcd is tired");
    server.apply(web("web-2", "10.0.0.2"));
    lab.until("c", EVENTUALLY, "web-2", |view| has_pod(view, "shop/web-2")).await?;
    server.compact(Expiry::Event);
    server.apply(web("web-3", "10.0.0.3"));
    lab.until("c", EVENTUALLY, "web-3", |view| has_pod(view, "shop/web-3") && is_synced(view))
        .await?;
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_and_absent_kinds_show_and_come_back() -> Outcome {
    let server = ApiServer::start().await?;
    server.forbid("NetworkPolicy", true);
    server.hide("AdminNetworkPolicy", true);
    server.apply(policy("shop", "deny"));
    server.apply(web("web-1", "10.0.0.1"));
    let lab = Lab::new(&[("c", &server)]).await?;
    let view = lab
        .until("c", EVENTUALLY, "the rest is synced", |view| {
            state(view, "NetworkPolicy") == Some(&KindState::Forbidden)
                && state(view, "AdminNetworkPolicy") == Some(&KindState::Absent)
                && state(view, "Pod") == Some(&KindState::Synced)
                && has_pod(view, "shop/web-1")
        })
        .await?;
    assert!(view.inventory.policies().is_empty());
    server.forbid("NetworkPolicy", false);
    server.hide("AdminNetworkPolicy", false);
    lab.until("c", EVENTUALLY, "allowed", |view| {
        is_synced(view) && view.inventory.policies().len() == 1
    })
    .await?;
    // A kind that goes takes its objects with it; one that is forbidden keeps them.
    server.forbid("Pod", true);
    server.hide("NetworkPolicy", true);
    let view = lab
        .until("c", EVENTUALLY, "absent", |view| {
            state(view, "Pod") == Some(&KindState::Forbidden)
                && view.inventory.policies().is_empty()
        })
        .await?;
    assert!(has_pod(&view, "shop/web-1"));
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_gone_is_waited_for() -> Outcome {
    let server = ApiServer::start().await?;
    server.apply(web("web-1", "10.0.0.1"));
    let lab = Lab::new(&[("c", &server)]).await?;
    lab.synced("c").await?;
    let before = ringfence_server::clock::now();
    server.stop().await;
    let stale = |view: &View| match state(view, "Pod") {
        Some(KindState::Stale { since, fault }) => Some((*since, fault.clone())),
        _ => None,
    };
    let view = lab.until("c", EVENTUALLY, "stale", |view| stale(view).is_some()).await?;
    let (since, _) = stale(&view).ok_or("not stale")?;
    assert!(since >= before);
    assert!(has_pod(&view, "shop/web-1"), "objects stay as they were");
    // It stays stale since the same moment, however often it is tried.
    let refused = |view: &View| stale(view).is_some_and(|(_, fault)| fault.contains("refused"));
    let view = lab.until("c", EVENTUALLY, "refused", refused).await?;
    assert_eq!(stale(&view).ok_or("not stale")?.0, since);
    server.apply(web("web-2", "10.0.0.2"));
    server.come_back().await?;
    lab.until("c", EVENTUALLY, "back", |view| is_synced(view) && has_pod(view, "shop/web-2"))
        .await?;
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_yet_is_waited_for() -> Outcome {
    let server = ApiServer::start().await?;
    server.apply(web("web-1", "10.0.0.1"));
    server.stop().await;
    let lab = Lab::new(&[("c", &server)]).await?;
    lab.until("c", EVENTUALLY, "stale", |view| {
        matches!(state(view, "Pod"), Some(KindState::Stale { .. }))
    })
    .await?;
    server.come_back().await?;
    assert!(has_pod(&*lab.synced("c").await?, "shop/web-1"));
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_answers_are_waited_for() -> Outcome {
    let server = ApiServer::start().await?;
    server.slow(Duration::from_millis(150));
    for n in 1..=7 {
        server.apply(web(&format!("web-{n}"), &format!("10.0.0.{n}")));
    }
    let lab = Lab::new(&[("c", &server)]).await?;
    let view = lab.synced("c").await?;
    assert_eq!(view.inventory.pods().len(), 7);
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_cannot_be_read_are_told() -> Outcome {
    let server = ApiServer::start().await?;
    server.apply(web("web-1", "10.0.0.1"));
    let mut bad = policy("shop", "bad");
    bad["spec"]["ingress"] = json!([{"from": [{"ipBlock": {"cidr": "10.0.0.300/8"}}]}]);
    server.apply(bad);
    let lab = Lab::new(&[("c", &server)]).await?;
    let view = lab.synced("c").await?;
    assert!(has_pod(&view, "shop/web-1"));
    let told = |view: &View| {
        view.diagnostics.iter().any(|d| d.subject.as_deref() == Some("NetworkPolicy shop/bad"))
    };
    assert!(told(&view), "{:?}", view.diagnostics);
    server.apply(policy("shop", "bad"));
    lab.until("c", SOON, "mended", |view| !told(view) && view.inventory.policies().len() == 1)
        .await?;
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_does_not_do_is_told() -> Outcome {
    use ringfence_server::config::{Access, LiveCluster};
    let (_trigger, shutdown) = ringfence_server::shutdown::Shutdown::new();
    let app = Arc::new(App::new(Arc::new(Sqlite::in_memory()?)));
    let access = Access::Kubeconfig { path: Some("/nonexistent/config".into()), context: None };
    let clusters = [LiveCluster { name: "c".parse()?, access }];
    let mut events = app.events.watch();
    let _watches =
        ringfence_server::watch::start_at(crate::lab::PACE, Arc::clone(&app), &clusters, shutdown)
            .await;
    let cluster = app.cluster(&"c".parse()?).ok_or("no cluster")?;
    tokio::time::timeout(EVENTUALLY, async {
        while !matches!(state(&cluster.view(), "Pod"),
            Some(KindState::Stale { fault, .. }) if fault.contains("kubeconfig"))
        {
            let _ = events.recv().await;
        }
    })
    .await?;
    Ok(())
}

/// What is there is there, whatever the clock of the machine says; and it is known after a restart too.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_leaves_the_cluster_as_it_is() -> Outcome {
    let server = ApiServer::start().await?;
    let files = tempfile::tempdir()?;
    let path = files.path().join("config");
    std::fs::write(&path, ApiServer::kubeconfig(&[("c", &server)]))?;
    let jump = Arc::new(AtomicI64::new(0));
    let clock = {
        let jump = Arc::clone(&jump);
        let now = ringfence_server::clock::now;
        move || Timestamp::from_nanos(now().nanos() + jump.load(Ordering::Relaxed) * 1_000_000_000)
    };
    let store: Arc<dyn Store> = Arc::new(Sqlite::in_memory()?);
    let app = || App::with_clock(Arc::clone(&store), Clock::new(clock.clone()));
    let contexts = [("c", Some("c"))];
    server.apply(web("web-0", "10.0.0.1"));
    let lab = Lab::by_clock(app(), &path, &contexts).await?;
    lab.synced("c").await?;
    for (n, seconds) in [(1, 86_400), (2, -3_600), (3, 3_650 * 86_400), (4, 0)] {
        jump.store(seconds, Ordering::Relaxed);
        let (old, new) = (format!("web-{}", n - 1), format!("web-{n}"));
        server.apply(web(&new, &format!("10.0.0.{}", n + 1)));
        server.delete("Pod", "shop", &old);
        let (old, new) = (format!("shop/{old}"), format!("shop/{new}"));
        lab.until("c", EVENTUALLY, "as it is", |view| has_pod(view, &new) && !has_pod(view, &old))
            .await?;
        server.stop().await;
        let stale = |view: &View| match state(view, "Pod") {
            Some(KindState::Stale { since, .. }) => Some(*since),
            _ => None,
        };
        let view = lab.until("c", EVENTUALLY, "stale", |view| stale(view).is_some()).await?;
        let ago = clock().seconds_since(stale(&view).ok_or("not stale")?);
        assert!((0.0..60.0).contains(&ago), "stale since {ago} s by the clock");
        server.come_back().await?;
        lab.until("c", EVENTUALLY, "back", is_synced).await?;
    }
    lab.end().await;
    jump.store(-3_600, Ordering::Relaxed);
    server.stop().await;
    let lab = Lab::by_clock(app(), &path, &contexts).await?;
    lab.until("c", EVENTUALLY, "known", |view| has_pod(view, "shop/web-4")).await?;
    lab.end().await;
    Ok(())
}
