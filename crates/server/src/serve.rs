//! The server as a whole: everything joined, started in order and stopped in the reverse one.

mod upkeep;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ringfence_store::{Options, Sqlite, Store, StoreError};
use tokio::task::JoinHandle;

use crate::app::App;
use crate::auth::{Auth, AuthError};
use crate::config::Config;
use crate::http::{self, Listener, Served};
use crate::metrics::{Gauges, Metrics};
use crate::shutdown::{Shutdown, Trigger};
use crate::tls::{Tls, TlsError};
use crate::{health, metrics, ui};

/// A server that runs.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    app: Arc<App>,
    trigger: Trigger,
    running: JoinHandle<()>,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no directory for the store.
    #[error("cannot make the directory {} for the database", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody could come in.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}\n  hint: choose another address with listen: or --listen")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Checks everything that [`start`] would read, but opens neither the store nor an address.
///
/// # Errors
/// All of what is wrong.
pub fn check(config: &Config) -> Result<(), Vec<ServeError>> {
    let mut faults = Vec::new();
    if let Some(files) = &config.tls
        && let Err(fault) = Tls::open(files.clone())
    {
        faults.push(fault.into());
    }
    match Sqlite::in_memory() {
        Ok(store) => {
            if let Err(fault) = Auth::new(config, Arc::new(store)) {
                faults.push(fault.into());
            }
        }
        Err(fault) => faults.push(fault.into()),
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Starts everything: the store, the clusters, ingest, and last the listener.
pub async fn start(config: Config) -> Result<Server, ServeError> {
    let store = Arc::new(open(&config.store)?);
    start_over(config, store).await
}

/// [`start`] over a store that is open already.
pub async fn start_over(config: Config, store: Arc<Sqlite>) -> Result<Server, ServeError> {
    let tls = config.tls.clone().map(Tls::open).transpose()?.map(Arc::new);
    let auth = Arc::new(Auth::new(&config, Arc::clone(&store) as Arc<dyn Store>)?);
    let listener = Listener::bind(config.listen, tls.clone());
    let bind = |source| ServeError::Bind { address: config.listen, source };
    let listener = listener.await.map_err(bind)?;
    let address = listener.address().map_err(bind)?;
    let scheme = if tls.is_some() { "https" } else { "http" };

    let (trigger, shutdown) = Shutdown::new();
    let app = Arc::new(App::new(Arc::clone(&store) as Arc<dyn Store>));
    let file = store.path().to_owned();
    let gauges = Gauges::default().with("store_bytes", "Bytes of the database", move || {
        std::fs::metadata(&file).map_or(0, |data| i64::try_from(data.len()).unwrap_or(i64::MAX))
    });
    let metrics = Arc::new(Metrics::new(gauges));
    let served = Served {
        health: health::router(Arc::clone(&app)),
        pages: ui::router(),
        api: metrics::router(Arc::clone(&app), Arc::clone(&metrics)),
        uploads: axum::Router::new(),
    };
    let router = http::router(served, &config, &auth, &metrics, &shutdown);

    let upkeep = tokio::spawn(upkeep::run(store, config.retention, shutdown.clone()));
    if let Some(tls) = tls {
        tokio::spawn(tls.keep_fresh(shutdown.clone()));
    }
    tokio::spawn(auth.keep_fresh(shutdown.clone()));
    let running = tokio::spawn(async move {
        http::accept(listener, router, &config.limits, shutdown).await;
        tracing::info!("no more requests");
        let _ = upkeep.await;
        tracing::info!("stopped");
    });
    tracing::info!(%address, scheme, "listening");
    Ok(Server { address, scheme, app, trigger, running })
}

impl Server {
    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("{}://{}/", self.scheme, self.address)
    }

    /// What its parts share.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Stops it: no new requests, those that run may end, what was taken in is stored.
    pub async fn stop(self) {
        let Self { trigger, running, app, .. } = self;
        trigger.request();
        drop(app);
        // A panic was told where it happened.
        let _ = running.await;
    }
}

/// Opens the store, in a directory that only its owner may read when it has to be made.
fn open(path: &Path) -> Result<Sqlite, ServeError> {
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(directory)
            .map_err(|source| ServeError::Directory { path: directory.to_owned(), source })?;
    }
    Ok(Sqlite::open(path, &Options::default())?)
}

/// Waits for SIGTERM or an interrupt.
pub async fn asked_to_stop() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// How long the whole server may take to stop before its work is cut off.
pub const PATIENCE: Duration = Duration::from_secs(25);
