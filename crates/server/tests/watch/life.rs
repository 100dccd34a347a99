//! Objects come, change and go.

use std::path::Path;
use std::sync::Arc;

use ringfence_inventory::Inventory;
use ringfence_kube::read::Reader;
use ringfence_model::resolve::Resolver as _;
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{Origin, Peer, Timestamp};
use ringfence_server::cluster::KindState;
use ringfence_store::{NewReview, ReviewKey, Sqlite, Store};
use ringfence_testkit::ApiServer;

use crate::lab::{EVENTUALLY, Lab, Outcome, SOON, has_pod, is_synced, state};
use crate::objects::{deployment, namespace, pod, policy, replica_set, web};

/// What an address resolves to, as text.
fn who(inventory: &Inventory, address: &str, at: Timestamp) -> Outcome<String> {
    Ok(inventory.resolve(address.parse()?, at, None).peer.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_cluster_is_what_its_dump_is() -> Outcome {
    let dump = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop/cluster");
    let mut reader = Reader::recording();
    reader.path(&dump);
    let (input, records) = reader.finish_recording();
    let (dumped, _) = Inventory::build(input.objects, &ClusterCidrs::default());

    let server = ApiServer::start().await?;
    for record in &records {
        server.apply(serde_json::from_str(&record.json)?);
    }
    let lab = Lab::new(&[("shop", &server)]).await?;
    let view = lab.synced("shop").await?;
    let live = &view.inventory;
    assert!(live.pods().len() > 10);
    let pods = |inventory: &Inventory| {
        let placeless = |pod: &ringfence_model::object::Pod| {
            let mut pod = pod.clone();
            pod.origin = Origin::default();
            pod
        };
        inventory.pods().iter().map(placeless).collect::<Vec<_>>()
    };
    assert_eq!(pods(live), pods(&dumped));
    let workloads = |inventory: &Inventory| {
        inventory.workloads().iter().map(|w| w.reference.clone()).collect::<Vec<_>>()
    };
    assert_eq!(workloads(live), workloads(&dumped));
    let names = |inventory: &Inventory| {
        let policies = inventory.policies().iter().map(ToString::to_string);
        let services = inventory.services().iter().map(|s| s.reference.to_string());
        policies.chain(services).collect::<Vec<_>>()
    };
    assert_eq!(names(live), names(&dumped));
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_show_within_two_seconds() -> Outcome {
    let server = ApiServer::start().await?;
    server.apply(namespace("shop"));
    let lab = Lab::new(&[("c", &server)]).await?;
    lab.synced("c").await?;
    server.apply(web("web-1", "10.0.0.1"));
    lab.until("c", SOON, "the pod", |view| has_pod(view, "shop/web-1")).await?;
    server.apply(policy("shop", "deny"));
    lab.until("c", SOON, "the policy", |view| view.inventory.policies().len() == 1).await?;
    server.delete("NetworkPolicy", "shop", "deny");
    server.delete("Pod", "shop", "web-1");
    lab.until("c", SOON, "nothing", |view| {
        view.inventory.policies().is_empty() && !has_pod(view, "shop/web-1")
    })
    .await?;
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_come_in_pages() -> Outcome {
    let server = ApiServer::start().await?;
    server.page(2);
    for n in 1..=25 {
        server.apply(web(&format!("web-{n}"), &format!("10.0.0.{n}")));
    }
    let lab = Lab::new(&[("c", &server)]).await?;
    let view = lab.synced("c").await?;
    assert_eq!(view.inventory.pods().len(), 25);
    let pages =
        server.asked().iter().filter(|asked| asked.plural == "pods" && !asked.watch).count();
    assert_eq!(pages, 13);
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_used_again_is_each_pods_in_its_time() -> Outcome {
    let server = ApiServer::start().await?;
    for app in ["old", "new"] {
        server.apply(deployment("shop", app));
        server.apply(replica_set("shop", app));
    }
    server.apply(pod("shop", "old", "old-1-a", "10.0.0.1", "2026-03-02T01:00:00Z"));
    let lab = Lab::new(&[("c", &server)]).await?;
    lab.synced("c").await?;
    let before = ringfence_server::clock::now();
    // A cascading deletion takes the owner first.
    server.delete("ReplicaSet", "shop", "old-1");
    lab.until("c", SOON, "no owner", |view| {
        who(&view.inventory, "10.0.0.1", before).is_ok_and(|who| who == "shop/Deployment/old")
    })
    .await?;
    server.delete("Pod", "shop", "old-1-a");
    server.delete("Deployment", "shop", "old");
    lab.until("c", SOON, "gone", |view| view.inventory.pods().is_empty()).await?;
    let start = ringfence_server::clock::now().to_string();
    server.apply(pod("shop", "new", "new-1-b", "10.0.0.1", &start));
    let view = lab.until("c", SOON, "new", |view| has_pod(view, "shop/new-1-b")).await?;
    let hour_later = Timestamp::from_nanos(before.nanos() + 3_600_000_000_000);
    assert_eq!(who(&view.inventory, "10.0.0.1", hour_later)?, "shop/Deployment/new");
    let minute_before = Timestamp::from_nanos(before.nanos() - 60_000_000_000);
    assert_eq!(who(&view.inventory, "10.0.0.1", minute_before)?, "shop/Deployment/old");
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_are_watched_side_by_side() -> Outcome {
    let (one, other) = (ApiServer::start().await?, ApiServer::start().await?);
    one.apply(web("web-1", "10.0.0.1"));
    other.apply(web("web-2", "10.0.0.1"));
    let lab = Lab::new(&[("east", &one), ("west", &other)]).await?;
    let (east, west) = (lab.synced("east").await?, lab.synced("west").await?);
    assert!(has_pod(&east, "shop/web-1") && !has_pod(&east, "shop/web-2"));
    assert!(has_pod(&west, "shop/web-2") && !has_pod(&west, "shop/web-1"));
    one.stop().await;
    other.apply(web("web-3", "10.0.0.3"));
    let view = lab.until("west", SOON, "web-3", |view| has_pod(view, "shop/web-3")).await?;
    assert!(is_synced(&view));
    lab.until("east", EVENTUALLY, "stale", |view| !is_synced(view)).await?;
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_shows_what_it_knew() -> Outcome {
    let store: Arc<dyn Store> = Arc::new(Sqlite::in_memory()?);
    let server = ApiServer::start().await?;
    server.apply(namespace("shop"));
    for n in 1..=3 {
        server.apply(web(&format!("web-{n}"), &format!("10.0.0.{n}")));
    }
    let lab = Lab::with(Arc::clone(&store), &[("c", &server)]).await?;
    lab.synced("c").await?;
    server.delete("Pod", "shop", "web-1");
    lab.until("c", SOON, "gone", |view| !has_pod(view, "shop/web-1")).await?;
    let then = ringfence_server::clock::now();
    lab.end().await;

    server.stop().await;
    server.delete("Pod", "shop", "web-2");
    let lab = Lab::with(store, &[("c", &server)]).await?;
    let view = lab.cluster("c")?.view();
    assert!(has_pod(&view, "shop/web-2") && has_pod(&view, "shop/web-3"));
    assert!(!has_pod(&view, "shop/web-1"));
    assert!(matches!(state(&view, "Pod"), Some(KindState::Stale { .. })), "{:?}", view.sync);
    // The pod that went before the restart still resolves in its time.
    let minute_before = Timestamp::from_nanos(then.nanos() - 60_000_000_000);
    assert!(who(&view.inventory, "10.0.0.1", minute_before)?.contains("web"));

    server.come_back().await?;
    let view = lab.synced("c").await?;
    assert!(!has_pod(&view, "shop/web-2"), "a listing finds what went in between");
    assert!(has_pod(&view, "shop/web-3"));
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn history_tells_of_a_window_in_the_past() -> Outcome {
    let server = ApiServer::start().await?;
    server.apply(web("web-1", "10.0.0.1"));
    let lab = Lab::new(&[("c", &server)]).await?;
    lab.synced("c").await?;
    let then = ringfence_server::clock::now();
    server.delete("Pod", "shop", "web-1");
    server.apply(web("web-2", "10.0.0.2"));
    lab.until("c", SOON, "web-2", |view| {
        has_pod(view, "shop/web-2") && !has_pod(view, "shop/web-1")
    })
    .await?;
    let app = Arc::clone(&lab.app);
    lab.end().await;
    let window = ringfence_model::Span { from: Timestamp::MIN, until: then };
    let (past, _) = ringfence_server::watch::past(&app, &"c".parse()?, window)?;
    let pods: Vec<String> = past.pods().iter().map(|pod| pod.reference.to_string()).collect();
    assert_eq!(pods, ["shop/web-1"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_says_what_is_inside() -> Outcome {
    let server = ApiServer::start().await?;
    server.apply(web("web-1", "10.0.0.1"));
    let lab = Lab::new(&[("c", &server)]).await?;
    lab.synced("c").await?;
    let class = |view: &ringfence_server::cluster::View| {
        let at = ringfence_server::clock::now();
        let resolved = "10.9.9.9".parse().map(|ip| view.inventory.resolve(ip, at, None).peer);
        match resolved {
            Ok(Peer::Address(_, class)) => class.to_string(),
            other => format!("{other:?}"),
        }
    };
    let before = class(&lab.cluster("c")?.view());
    let yaml = "apiVersion: ringfence.dev/v1alpha1\nkind: Review\nmetadata: {name: c}\nspec:\n  cluster: {podCIDRs: [10.0.0.0/8], serviceCIDRs: [172.20.0.0/16]}\n";
    lab.app.store.put_review(&NewReview {
        key: ReviewKey { cluster: "c".parse()?, namespace: None },
        base: 0,
        at: ringfence_server::clock::now(),
        who: "somebody".into(),
        note: String::new(),
        yaml: yaml.into(),
    })?;
    let event = ringfence_server::event::Event::Review { cluster: "c".parse()?, namespace: None };
    lab.app.events.send(event);
    let view = lab.until("c", SOON, "internal", |view| class(view) == "Internal").await?;
    assert_ne!(before, class(&view));
    lab.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_a_cluster_too() -> Outcome {
    let store: Arc<dyn Store> = Arc::new(Sqlite::in_memory()?);
    let dump = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop/cluster");
    let lab = Lab::with(Arc::clone(&store), &[]).await?;
    let name = "files".parse()?;
    ringfence_server::watch::import(&lab.app, &name, &dump, Timestamp::MIN)?;
    let pods = lab.cluster("files")?.view().inventory.pods().len();
    assert!(pods > 10);
    lab.end().await;
    // The next server finds it in the store.
    let lab = Lab::with(Arc::clone(&store), &[]).await?;
    let view = lab.cluster("files")?.view();
    assert_eq!(view.inventory.pods().len(), pods);
    assert!(view.sync.kinds.is_empty());
    // A smaller import takes away what it does not hold.
    let only = dump.join("namespaces.yaml");
    ringfence_server::watch::import(&lab.app, &name, &only, Timestamp::MIN)?;
    let view = lab.cluster("files")?.view();
    assert!(view.inventory.pods().is_empty() && !view.inventory.namespaces().is_empty());
    lab.end().await;
    Ok(())
}
