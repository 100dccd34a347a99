//! A server that stores what it gets, acknowledges after a while, and looks at how far agents go ahead.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringfence_agent::batch::Encoded;
use ringfence_agent::deliver::{Sender, SharedSpool, deliver};
use ringfence_agent::spool::{Bounds, Spool};
use ringfence_proto::agent::agent_message::Kind as FromAgent;
use ringfence_proto::agent::ingest_server::{Ingest, IngestServer};
use ringfence_proto::agent::server_message::Kind as FromServer;
use ringfence_proto::agent::{
    Ack, AgentMessage, Batch, MachineKind, PROTOCOL_VERSION, ServerMessage, Welcome,
};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// How many batches an agent may send ahead.
pub(crate) const WINDOW: u64 = 4;

#[derive(Clone, Default)]
pub(crate) struct Double {
    /// Every batch that came, and how often.
    stored: Arc<Mutex<BTreeMap<u64, (Batch, u32)>>>,
    /// How long an acknowledgement takes.
    delay: Duration,
    /// The most batches that were on their way at a time.
    ahead: Arc<AtomicU64>,
}

#[tonic::async_trait]
impl Ingest for Double {
    type StreamStream = ReceiverStream<Result<ServerMessage, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let (answers, receiver) = mpsc::channel(64);
        let (double, messages) = (self.clone(), request.into_inner());
        tokio::spawn(async move { double.serve(messages, &answers).await });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

impl Double {
    /// One whose acknowledgements take a while.
    pub(crate) fn slow(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// Until the stream breaks.
    async fn serve(
        &self,
        mut messages: Streaming<AgentMessage>,
        answers: &mpsc::Sender<Result<ServerMessage, Status>>,
    ) -> Result<(), Status> {
        let last = self.stored.lock().unwrap().last_key_value().map_or(0, |(last, _)| *last);
        let welcome = Welcome {
            protocol_version: PROTOCOL_VERSION,
            last_sequence: last,
            max_batch_bytes: 1000,
            max_unacknowledged: u32::try_from(WINDOW).unwrap(),
            ..Welcome::default()
        };
        let Some(FromAgent::Hello(_)) = messages.message().await?.and_then(|first| first.kind)
        else {
            panic!("no hello");
        };
        let kind = Some(FromServer::Welcome(welcome));
        let _ = answers.send(Ok(ServerMessage { kind })).await;
        let acknowledged = Arc::new(AtomicU64::new(last));
        let (waiting, mut due) = mpsc::unbounded_channel::<(Instant, u64)>();
        let (done, delay, answers) = (Arc::clone(&acknowledged), self.delay, answers.clone());
        tokio::spawn(async move {
            while let Some((came, sequence)) = due.recv().await {
                tokio::time::sleep_until((came + delay).into()).await;
                done.store(sequence, Ordering::SeqCst);
                let kind = Some(FromServer::Ack(Ack { sequence }));
                let _ = answers.send(Ok(ServerMessage { kind })).await;
            }
        });
        while let Some(message) = messages.message().await? {
            let Some(FromAgent::Batch(batch)) = message.kind else { panic!("{message:?}") };
            let sequence = batch.sequence;
            let ahead = sequence - acknowledged.load(Ordering::SeqCst);
            self.ahead.fetch_max(ahead, Ordering::SeqCst);
            self.stored.lock().unwrap().entry(sequence).or_insert((batch, 0)).1 += 1;
            let _ = waiting.send((Instant::now(), sequence));
        }
        Ok(())
    }

    pub(crate) async fn listen(self, at: SocketAddr) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(IngestServer::new(self));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }

    pub(crate) fn most_ahead(&self) -> u64 {
        self.ahead.load(Ordering::SeqCst)
    }

    /// Checks that every batch of an agent that kept `reports` came, in full and once in the count.
    pub(crate) fn has_all(&self, reports: u64) {
        let stored = self.stored.lock().unwrap();
        assert_eq!(stored.keys().copied().collect::<Vec<_>>(), (1..=reports).collect::<Vec<_>>());
        for (sequence, (batch, _)) in stored.iter() {
            assert_eq!(&batch.body[..], contents(*sequence), "batch {sequence}");
        }
    }
}

/// An agent that delivers.
pub(crate) struct Agent {
    spool: SharedSpool,
    delivery: JoinHandle<()>,
    _directory: TempDir,
}

impl Agent {
    pub(crate) fn new(to: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bounds = Bounds { bytes: 1 << 24, age: Duration::from_hours(1) };
        let spool = SharedSpool::new(Spool::open(directory.path(), bounds).unwrap().0);
        let endpoint = Endpoint::from_shared(format!("http://{to}")).unwrap();
        let endpoints = watch::channel(Some(endpoint)).1;
        let (cluster, node) = ("prod".to_owned(), "node-1".to_owned());
        let sender = Sender { cluster, node, machine: MachineKind::Node };
        let delivery = tokio::spawn(deliver(endpoints, sender, spool.clone(), |_| ()));
        Self { spool, delivery, _directory: directory }
    }

    /// Keeps a report of one batch, at a moment.
    pub(crate) fn keep(&self, report: u64, now: Instant) {
        let batch = Encoded { records: 1, body: contents(report) };
        self.spool.lock().keep((1, report), &[batch], now).unwrap();
    }

    pub(crate) async fn delivered(&self, patience: Duration) {
        let emptied = async {
            while self.spool.lock().waiting() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let emptied = tokio::time::timeout(patience, emptied).await;
        emptied.unwrap_or_else(|_| panic!("{} batches still wait", self.spool.lock().waiting()));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.delivery.abort();
    }
}

/// What is in a batch: no two are alike.
fn contents(sequence: u64) -> Vec<u8> {
    sequence.to_be_bytes().repeat(40)
}
