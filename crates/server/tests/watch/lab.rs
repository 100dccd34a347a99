//! A server with clusters to watch.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringfence_kube::live::Pace;
use ringfence_model::Name;
use ringfence_server::App;
use ringfence_server::cluster::{Cluster, KindState, View};
use ringfence_server::config::{Access, LiveCluster};
use ringfence_server::shutdown::{Shutdown, Trigger};
use ringfence_server::watch::{Watches, start_at};
use ringfence_store::{Sqlite, Store};
use ringfence_testkit::ApiServer;
use tempfile::TempDir;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What the issue promises.
pub(crate) const SOON: Duration = Duration::from_secs(2);
/// For what has no promise, on a busy machine.
pub(crate) const EVENTUALLY: Duration = Duration::from_secs(20);

/// Impatient, so that tests are short.
pub(crate) const PACE: Pace = Pace {
    page: 3,
    watch: Duration::from_mins(1),
    first: Duration::from_millis(20),
    longest: Duration::from_millis(100),
    calm: Duration::from_millis(100),
};

pub(crate) struct Lab {
    pub(crate) app: Arc<App>,
    trigger: Trigger,
    watches: Watches,
    _files: Option<TempDir>,
}

impl Lab {
    /// Watches API servers, each under its name, with a store of its own.
    pub(crate) async fn new(servers: &[(&str, &ApiServer)]) -> Outcome<Self> {
        Self::with(Arc::new(Sqlite::in_memory()?), servers).await
    }

    pub(crate) async fn with(
        store: Arc<dyn Store>,
        servers: &[(&str, &ApiServer)],
    ) -> Outcome<Self> {
        let files = tempfile::tempdir()?;
        let path = files.path().join("config");
        std::fs::write(&path, ApiServer::kubeconfig(servers))?;
        let contexts: Vec<_> = servers.iter().map(|(name, _)| (*name, Some(*name))).collect();
        let lab = Self::of_contexts(store, &path, &contexts).await?;
        Ok(Self { _files: Some(files), ..lab })
    }

    /// Watches the contexts of a kubeconfig, each under a name; `None` is its current one.
    pub(crate) async fn of_contexts(
        store: Arc<dyn Store>,
        path: &Path,
        contexts: &[(&str, Option<&str>)],
    ) -> Outcome<Self> {
        Self::by_clock(App::new(store), path, contexts).await
    }

    /// The same with an app, which brings its own clock.
    pub(crate) async fn by_clock(
        app: App,
        path: &Path,
        contexts: &[(&str, Option<&str>)],
    ) -> Outcome<Self> {
        let app = Arc::new(app);
        let clusters = contexts.iter().map(|(name, context)| -> Outcome<LiveCluster> {
            let context = context.map(str::to_owned);
            let access = Access::Kubeconfig { path: Some(path.to_owned()), context };
            Ok(LiveCluster { name: name.parse()?, access })
        });
        let clusters = clusters.collect::<Outcome<Vec<_>>>()?;
        let (trigger, shutdown) = Shutdown::new();
        let watches = start_at(PACE, Arc::clone(&app), &clusters, shutdown).await;
        Ok(Self { app, trigger, watches, _files: None })
    }

    pub(crate) fn cluster(&self, name: &str) -> Outcome<Arc<Cluster>> {
        let name: Name = name.parse()?;
        Ok(self.app.cluster(&name).ok_or("no such cluster")?)
    }

    /// Waits until the view of a cluster is as it should be.
    pub(crate) async fn until(
        &self,
        cluster: &str,
        within: Duration,
        what: &str,
        is_so: impl Fn(&View) -> bool,
    ) -> Outcome<Arc<View>> {
        let cluster = self.cluster(cluster)?;
        let begun = Instant::now();
        let mut events = self.app.events.watch();
        loop {
            let view = cluster.view();
            if is_so(&view) {
                return Ok(view);
            }
            let left = within.saturating_sub(begun.elapsed());
            if tokio::time::timeout(left, events.recv()).await.is_err() {
                let View { sync, diagnostics, .. } = &*view;
                return Err(
                    format!("not within {within:?}: {what}; {sync:?} {diagnostics:?}").into()
                );
            }
        }
    }

    pub(crate) async fn synced(&self, cluster: &str) -> Outcome<Arc<View>> {
        self.until(cluster, EVENTUALLY, "synced", is_synced).await
    }

    /// Shuts the server down, so that what it saw is stored.
    pub(crate) async fn end(self) {
        self.trigger.request();
        self.watches.ended().await;
    }
}

/// The state of a kind.
pub(crate) fn state<'v>(view: &'v View, kind: &str) -> Option<&'v KindState> {
    view.sync.kinds.iter().find(|sync| &*sync.kind == kind).map(|sync| &sync.state)
}

pub(crate) fn is_synced(view: &View) -> bool {
    !view.sync.kinds.is_empty()
        && view.sync.kinds.iter().all(|kind| kind.state == KindState::Synced)
}

pub(crate) fn has_pod(view: &View, name: &str) -> bool {
    view.inventory.pods().iter().any(|pod| pod.reference.to_string() == name)
}
