//! Clusters on their way into the server: watched in an API server, or read from files, and as the store holds them.

mod condition;
mod configuration;
mod history;
mod import;
mod stock;
mod updater;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ringfence_inventory::Inventory;
use ringfence_kube::live::{self, Pace};
use ringfence_model::{Diagnostic, Name, Span, Timestamp};
use ringfence_store::StoreError;
use tokio::task::JoinSet;

use crate::App;
use crate::cluster::{Sync, SyncOrigin, View};
use crate::config::{Access, LiveCluster};
use crate::event::Event;
use crate::shutdown::Shutdown;

use configuration::configuration;
use stock::Stock;
use updater::Updater;

pub use import::{ImportError, import};

/// How late flows may arrive and still find the pods of their moment.
const LATE_FLOWS: Duration = Duration::from_hours(1);

/// What runs until the shutdown.
pub struct Watches(JoinSet<()>);

impl Watches {
    /// Waits until everything that was seen is stored, which begins with the shutdown.
    pub async fn ended(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// Watches the clusters, and loads those that are only in the store. The clusters are there when this returns, as the
/// store holds them; that they are up to date shows in their [`Sync`].
pub async fn start(app: Arc<App>, clusters: &[LiveCluster], shutdown: Shutdown) -> Watches {
    start_at(Pace::default(), app, clusters, shutdown).await
}

/// [`start`] with another pace.
pub async fn start_at(
    pace: Pace,
    app: Arc<App>,
    clusters: &[LiveCluster],
    shutdown: Shutdown,
) -> Watches {
    let mut tasks = JoinSet::new();
    let live: BTreeSet<Name> = clusters.iter().map(|live| live.name.clone()).collect();
    for LiveCluster { name, access } in clusters {
        let access = match access {
            Access::InCluster => live::Access::InCluster,
            Access::Kubeconfig { path, context } => {
                live::Access::Kubeconfig { path: path.clone(), context: context.clone() }
            }
        };
        let (app, shutdown) = (Arc::clone(&app), shutdown.clone());
        let cluster = app.cluster_or_new(name);
        let updater = tokio::task::spawn_blocking(move || Updater::new(app, cluster)).await;
        // It takes a thread of its own, because it computes between the notices.
        let Ok(updater) = updater else { continue };
        let runtime = tokio::runtime::Handle::current();
        tasks.spawn_blocking(move || runtime.block_on(updater.run(access, pace, shutdown)));
    }
    let stored = tokio::task::spawn_blocking({
        let (app, live) = (Arc::clone(&app), live.clone());
        move || load_stored(&app, &live)
    });
    // A panic was told where it happened.
    let _ = stored.await;
    tasks.spawn(follow_configurations(app, live, shutdown));
    Watches(tasks)
}

/// Loads all clusters that are in the store and not watched.
fn load_stored(app: &App, live: &BTreeSet<Name>) {
    let names = match app.store.clusters() {
        Ok(names) => names,
        Err(error) => {
            return tracing::error!(error = %error, "cannot read the clusters from the store");
        }
    };
    for name in names.iter().filter(|name| !live.contains(*name)) {
        if let Err(error) = load(app, name) {
            tracing::error!(cluster = %name, error = %error, "cannot load a cluster");
        }
    }
}

/// Loads again what is not watched when its configuration or its hosts change.
async fn follow_configurations(app: Arc<App>, live: BTreeSet<Name>, shutdown: Shutdown) {
    let mut events = app.events.watch();
    loop {
        let event = tokio::select! {
            () = shutdown.requested() => return,
            event = events.recv() => event,
        };
        let app = Arc::clone(&app);
        let live = live.clone();
        let loaded = tokio::task::spawn_blocking(move || match event {
            Ok(Event::Review { cluster, namespace: None } | Event::Hosts { cluster })
                if !live.contains(&cluster) =>
            {
                if let Err(error) = load(&app, &cluster) {
                    tracing::error!(%cluster, error = %error, "cannot load a cluster");
                }
            }
            Ok(_) => {}
            // Which it was is not known any longer.
            Err(_) => load_stored(&app, &live),
        });
        let _ = loaded.await;
    }
}

/// Loads a cluster that nobody watches, as the store holds it. Blocks.
pub fn load(app: &App, cluster: &Name) -> Result<(), StoreError> {
    let (inventory, diagnostics) = past(app, cluster, present(app.clock.now()))?;
    app.cluster_or_new(cluster).publish(View {
        inventory: Arc::new(inventory),
        diagnostics,
        sync: Sync { origin: SyncOrigin::Files, kinds: Vec::new() },
    });
    Ok(())
}

/// A cluster as it was in a window, from its history: what was there at the end, and the pods that went before. Blocks.
pub fn past(
    app: &App,
    cluster: &Name,
    window: Span,
) -> Result<(Inventory, Vec<Diagnostic>), StoreError> {
    let mut stock = Stock::new(cluster);
    stock.restore(app.store.objects(cluster, window)?, window.until);
    let configuration = configuration(&*app.store, cluster);
    let (objects, mut diagnostics) = stock.objects();
    let (inventory, odd) = Inventory::build(objects, &configuration.cidrs);
    diagnostics.extend(configuration.findings);
    diagnostics.extend(odd);
    Ok((inventory, diagnostics))
}

/// From when pods that are gone count to now.
fn present(now: Timestamp) -> Span {
    let late = i64::try_from(LATE_FLOWS.as_nanos()).unwrap_or(i64::MAX);
    let from = Timestamp::from_nanos(now.nanos().saturating_sub(late));
    Span { from, until: Timestamp::MAX }
}
