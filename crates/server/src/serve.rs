//! The server as a whole: everything joined, started in order and stopped in the reverse one.

mod upkeep;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use ringfence_store::{Options, Sqlite, Store, StoreError};
use tokio::task::JoinHandle;
use tonic::server::NamedService;
use tower::Service;

use crate::app::App;
use crate::auth::{Auth, AuthError};
use crate::clock::Clock;
use crate::config::Config;
use crate::enrol::{Authority, Enrolment, OpenError};
use crate::http::{self, Listener, Served};
use crate::ingest::{self, Ingest, Scratch, StartError};
use crate::metrics::{Gauges, Metrics};
use crate::shutdown::{Shutdown, Trigger};
use crate::tls::{Tls, TlsError};
use crate::{enrol, health, metrics, ui, watch};

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
    /// There is no directory for flow logs while they are read.
    #[error("cannot use the directory {} for flow logs while they are read", path.display())]
    Scratch {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Flows cannot be taken in.
    #[error("flows cannot be taken in")]
    Ingest(#[from] StartError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody could come in.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Agents could not enrol.
    #[error("agents cannot enrol")]
    Enrolment(#[from] OpenError),
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

/// What the server has from the machine that it runs on.
#[derive(Clone)]
pub struct Machine {
    /// What time it is.
    pub clock: Clock,
    /// How often to look whether files have changed: certificates and tokens.
    pub look: Duration,
}

impl Default for Machine {
    fn default() -> Self {
        Self { clock: Clock::default(), look: crate::reload::EVERY }
    }
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
    if let (Some(_), Some(files)) = (&config.tls, &config.agents.ca)
        && let Err(fault) = Authority::configured(files)
    {
        faults.push(OpenError::from(fault).into());
    }
    match Sqlite::in_memory() {
        Ok(store) => {
            if let Err(fault) = Auth::new(config, Arc::new(store), Clock::default()) {
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
    start_over(config, store, Machine::default()).await
}

/// [`start`] over a store that is open already, on a machine.
pub async fn start_over(
    config: Config,
    store: Arc<Sqlite>,
    Machine { clock, look }: Machine,
) -> Result<Server, ServeError> {
    let enrolment = enrolment(&config, &store)?.map(Arc::new);
    let agents = enrolment.as_ref().map(|enrolment| enrolment.authority().certificate().clone());
    let tls = config.tls.clone().map(|files| Tls::trusting(files, agents));
    let tls = tls.transpose()?.map(Arc::new);
    let auth = Arc::new(Auth::new(&config, Arc::clone(&store) as Arc<dyn Store>, clock.clone())?);
    let listener = Listener::bind(config.listen, tls.clone());
    let bind = |source| ServeError::Bind { address: config.listen, source };
    let listener = listener.await.map_err(bind)?;
    let address = listener.address().map_err(bind)?;
    let scheme = if tls.is_some() { "https" } else { "http" };

    let (trigger, shutdown) = Shutdown::new();
    let app = Arc::new(App::with_clock(Arc::clone(&store) as Arc<dyn Store>, clock.clone()));
    let options = ingest::Options {
        retention: Some(config.retention.age),
        max_upload: config.limits.upload,
        scratch: scratch(&store)?,
        ..ingest::Options::default()
    };
    let watches = watch::start(Arc::clone(&app), &config.clusters, shutdown.clone()).await;
    let ingest = Ingest::start(Arc::clone(&app), options, shutdown.clone())?;
    ingest.relays(&config.relays);
    for directory in &config.directories {
        ingest.directory(directory);
    }
    let metrics = Arc::new(Metrics::new(gauges(&store, &ingest, &app, tls.as_ref())));
    let served = Served {
        health: health::router(Arc::clone(&app)),
        pages: ui::router(),
        api: api(&app)
            .merge(enrol::router(enrolment.clone()))
            .merge(metrics::router(Arc::clone(&app), Arc::clone(&metrics))),
        uploads: ingest.router(),
        agents: grpc(ingest.grpc()),
        enrolment: grpc(enrol::Service::server(enrolment.clone())),
    };
    let router = http::router(served, &config, &auth, enrolment, &metrics, &shutdown);

    let upkeep = tokio::spawn(upkeep::run(store, config.retention, clock, shutdown.clone()));
    if let Some(tls) = tls {
        tokio::spawn(tls.keep_fresh(look, shutdown.clone()));
    }
    tokio::spawn(auth.keep_fresh(look, shutdown.clone()));
    let running = tokio::spawn(async move {
        http::accept(listener, router, &config.limits, shutdown).await;
        tracing::info!("no more requests");
        ingest.drain().await;
        tracing::info!("everything taken in is stored");
        watches.ended().await;
        let _ = upkeep.await;
        tracing::info!("stopped");
    });
    tracing::info!(%address, scheme, "listening");
    Ok(Server { address, scheme, app, trigger, running })
}

/// The API, and what it says of itself.
fn api(app: &Arc<App>) -> Router {
    let (router, document) = crate::api::router(Arc::clone(app)).split_for_parts();
    let described = move || {
        let document = document.clone();
        async move { axum::Json(document) }
    };
    Router::new().nest("/api/v1", router.route("/openapi.json", axum::routing::get(described)))
}

/// A gRPC service, at the paths that gRPC calls it by.
fn grpc<S>(service: S) -> Router
where
    S: Service<Request, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    Router::new().route_service(&format!("/{}/{{*method}}", S::NAME), service)
}

/// Who is enrolled, where there is TLS to show certificates over.
fn enrolment(config: &Config, store: &Arc<Sqlite>) -> Result<Option<Enrolment>, OpenError> {
    if config.tls.is_none() {
        return Ok(None);
    }
    let authority = match &config.agents.ca {
        Some(files) => Authority::configured(files)?,
        None => Authority::own(&store.path().with_file_name("agents-ca.key"))?,
    };
    let store = Arc::clone(store) as Arc<dyn Store>;
    Ok(Some(Enrolment::open(store, authority, config.agents.terms)?))
}

/// What monitoring wants to know of the store and of ingest.
fn gauges(store: &Sqlite, ingest: &Ingest, app: &Arc<App>, tls: Option<&Arc<Tls>>) -> Gauges {
    // What was written last is in the log beside the file.
    let files = ["", "-wal"].map(|end| {
        let mut file = store.path().as_os_str().to_owned();
        file.push(end);
        PathBuf::from(file)
    });
    let bytes = |file: &PathBuf| std::fs::metadata(file).map_or(0, |data| data.len());
    let size = move || files.iter().map(bytes).sum();
    let stats = |read: fn(&ingest::Stats) -> u64| {
        let ingest = ingest.clone();
        move || read(ingest.stats())
    };
    let away = {
        let app = Arc::clone(app);
        move || app.relays.away()
    };
    let mut gauges = Gauges::default();
    if let Some(tls) = tls.cloned() {
        let failures = move || tls.failures();
        let about =
            "How often a certificate that changed could not be read, and the old one stayed";
        gauges = gauges.with("tls_failed_reloads", about, failures);
    }
    gauges
        .with("relays_away", "Hubble Relays that cannot be reached now", away)
        .with("store_bytes", "Bytes of the database and its log", size)
        .with("ingest_streams", "Agents that are connected", stats(ingest::Stats::streams))
        .with("ingest_queued", "Batches that wait to be stored", stats(ingest::Stats::queued))
        .with("ingest_queued_bytes", "Bytes of them", stats(ingest::Stats::queued_bytes))
        .with(
            "ingest_failed_commits",
            "Transactions that the store refused since the start",
            stats(ingest::Stats::failed_commits),
        )
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

/// Where flow logs are kept while they are read: beside the database, or with the system's temporary files when there
/// is no file.
fn scratch(store: &Sqlite) -> Result<Scratch, ServeError> {
    let path = store.path();
    if path == Path::new(":memory:") {
        return Ok(Scratch::default());
    }
    let mut name = path.as_os_str().to_owned();
    name.push("-scratch");
    let path = PathBuf::from(name);
    Scratch::open(&path).map_err(|source| ServeError::Scratch { path, source })
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
