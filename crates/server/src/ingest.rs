//! Flows on their way in: from agents, from Hubble Relays, and from logs. Whatever the source, edges and how far the
//! source has come are stored in one transaction, and only then is anything acknowledged.

mod agents;
mod body;
mod counted;
mod directory;
mod hosts;
mod log;
mod presence;
mod queue;
mod relay;
mod scratch;
mod stats;
mod stream;
mod upload;
mod writer;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use ringfence_model::Name;
use ringfence_proto::agent::ingest_server::IngestServer;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::app::App;
use crate::config::{Relay, WatchedDirectory};
use crate::enrol::AGENT_URI;
use crate::shutdown::Shutdown;
use crate::tls::ClientCertificate;

use agents::Agents;
use queue::Queue;

pub use relay::{RelayState, Relays};
pub use scratch::Scratch;
pub use stats::{SourceCounts, Stats};
pub use stream::Service;
pub(crate) use upload::Description;

/// Who an agent is, as its certificate says. Requests over mTLS carry it among their extensions; then the agent may
/// write for that node only. Without it, on loopback, the handshake is believed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentIdentity {
    /// The cluster.
    pub cluster: Name,
    /// The node or host.
    pub node: Name,
}

impl AgentIdentity {
    /// The cluster and node that a certificate names: exactly one agent.
    pub(crate) fn of(certificate: &ClientCertificate) -> Option<Self> {
        let mut agents = certificate.uris.iter().filter_map(|uri| uri.strip_prefix(AGENT_URI));
        let (Some(agent), None) = (agents.next(), agents.next()) else { return None };
        agent.parse().ok()
    }
}

/// `prod/node-1`.
impl fmt::Display for AgentIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cluster, self.node)
    }
}

impl FromStr for AgentIdentity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (cluster, node) = text.split_once('/').ok_or("expected CLUSTER/NODE")?;
        let name = |text: &str| text.parse::<Name>().map_err(|fault| fault.to_string());
        Ok(Self { cluster: name(cluster)?, node: name(node)? })
    }
}

/// How flows are taken in.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of batches and logs that may wait to be stored. When they are more, agents wait.
    pub queue: usize,
    /// Batches of agents with more bytes are refused.
    pub max_batch: usize,
    /// How many batches an agent may send ahead.
    pub max_unacknowledged: u32,
    /// What began longer ago than this is not stored; `None` stores all.
    pub retention: Option<Duration>,
    /// What begins further in the future than this is not stored: the clock of the node is wrong.
    pub ahead: Duration,
    /// How long a node counts as observed after its agent was heard last.
    pub presence: Duration,
    /// Whether agents may bring clusters that the server does not know.
    pub new_clusters: bool,
    /// Logs with more bytes are refused.
    pub max_upload: u64,
    /// Where logs are kept while they are read.
    pub scratch: Scratch,
    /// How long a file of a watched directory must have been left alone before it is read.
    pub quiet: Duration,
    /// How often what came from a relay is stored.
    pub step: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 64 << 20,
            max_batch: 4 << 20,
            max_unacknowledged: 32,
            retention: None,
            ahead: Duration::from_mins(10),
            presence: Duration::from_mins(10),
            new_clusters: true,
            max_upload: 4 << 30,
            scratch: Scratch::default(),
            quiet: Duration::from_secs(5),
            step: Duration::from_secs(5),
        }
    }
}

/// Takes flows in. Clones share one queue and one writer.
#[derive(Clone)]
pub struct Ingest(Arc<Shared>);

/// What all ways in share.
struct Shared {
    app: Arc<App>,
    options: Options,
    queue: Queue,
    agents: Arc<Agents>,
    stats: Arc<Stats>,
    shutdown: Shutdown,
    /// One log is read at a time, because each takes memory.
    logs: Semaphore,
    /// What follows relays and directories.
    tasks: Mutex<JoinSet<()>>,
}

/// Why ingest does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The sources cannot be read.
    #[error("the sources cannot be read: {0}")]
    Store(#[from] ringfence_store::StoreError),
    /// There is no thread for the writer.
    #[error("the writer does not start: {0}")]
    Thread(#[from] std::io::Error),
}

impl Ingest {
    /// Starts the one writer.
    pub fn start(app: Arc<App>, options: Options, shutdown: Shutdown) -> Result<Self, StartError> {
        let agents = Arc::new(Agents::known(&*app.store, options.presence, app.clock.now())?);
        let stats = Arc::new(Stats::default());
        let (queue, jobs) = Queue::new(options.queue, Arc::clone(&stats));
        let writer = writer::Writer::new(Arc::clone(&app), &options, &agents, &stats);
        std::thread::Builder::new().name("ingest".to_owned()).spawn(move || writer.run(jobs))?;
        let (logs, tasks) = (Semaphore::new(1), Mutex::default());
        Ok(Self(Arc::new(Shared { app, options, queue, agents, stats, shutdown, logs, tasks })))
    }

    /// The gRPC service for agents.
    pub fn grpc(&self) -> IngestServer<Service> {
        // A batch comes in an envelope.
        let limit = self.0.options.max_batch + 1024;
        IngestServer::new(Service::new(Arc::clone(&self.0)))
            .max_decoding_message_size(limit)
            .max_encoding_message_size(limit)
    }

    /// `POST /api/v1/clusters/{cluster}/flows`: a log as the body. The body is streamed, under a limit of its own.
    /// `ingest::Description` describes it.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/api/v1/clusters/{cluster}/flows", post(upload::take))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(self.clone())
    }

    /// Follows Hubble Relays until the shutdown.
    pub fn relays(&self, relays: &[Relay]) {
        for relay in relays {
            self.0.tasks().spawn(relay::follow(Arc::clone(&self.0), relay.clone()));
        }
    }

    /// Reads the logs that appear in a directory, until the shutdown.
    pub fn directory(&self, directory: &WatchedDirectory) {
        self.0.tasks().spawn(directory::watch(Arc::clone(&self.0), directory.clone()));
    }

    /// What was done so far.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    /// Waits until everything that was taken in is stored, or was refused by the store. After the shutdown was
    /// requested nothing more comes then.
    pub async fn drain(&self) {
        if self.0.shutdown.is_requested() {
            let tasks = std::mem::take(&mut *self.0.tasks());
            tasks.join_all().await;
        }
        self.0.queue.drained().await;
    }
}

impl Shared {
    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
