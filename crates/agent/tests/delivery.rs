//! Delivery over real gRPC, to a server that breaks off, forgets to acknowledge, and is not there at first.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prost::Message as _;
use ringfence_agent::batch::Encoded;
use ringfence_agent::deliver::{Sender, SharedSpool, deliver};
use ringfence_agent::spool::{Bounds, Spool};
use ringfence_proto::agent::agent_message::Kind as FromAgent;
use ringfence_proto::agent::ingest_server::{Ingest, IngestServer};
use ringfence_proto::agent::server_message::Kind as FromServer;
use ringfence_proto::agent::{
    Ack, AgentMessage, Batch, Body, MachineKind, PROTOCOL_VERSION, ServerMessage, Welcome,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

const MAX_BATCH: u32 = 1000;
const WINDOW: u32 = 4;

/// Keeps each batch once, breaks off after every fifth, and refuses bodies that begin with 255.
#[derive(Clone, Default)]
struct Double {
    stored: Arc<Mutex<BTreeMap<u64, Batch>>>,
    streams: Arc<Mutex<u32>>,
}

#[tonic::async_trait]
impl Ingest for Double {
    type StreamStream = ReceiverStream<Result<ServerMessage, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let (answers, receiver) = mpsc::channel(64);
        let double = self.clone();
        *double.streams.lock().unwrap() += 1;
        tokio::spawn(async move {
            if let Err(status) = double.serve(request.into_inner(), &answers).await {
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

impl Double {
    async fn serve(
        &self,
        mut messages: Streaming<AgentMessage>,
        answers: &mpsc::Sender<Result<ServerMessage, Status>>,
    ) -> Result<(), Status> {
        let say = |kind| answers.send(Ok(ServerMessage { kind: Some(kind) }));
        let first = messages.message().await?.unwrap().kind.unwrap();
        assert!(matches!(first, FromAgent::Hello(hello) if hello.node == "node-1"));
        let last = self.stored.lock().unwrap().last_key_value().map_or(0, |(last, _)| *last);
        let welcome = Welcome {
            protocol_version: PROTOCOL_VERSION,
            last_sequence: last,
            max_batch_bytes: MAX_BATCH,
            max_unacknowledged: WINDOW,
            ..Welcome::default()
        };
        say(FromServer::Welcome(welcome)).await.unwrap();
        let (mut taken, mut acknowledged) = (0, last);
        while let Some(message) = messages.message().await? {
            let Some(FromAgent::Batch(batch)) = message.kind else { panic!("{message:?}") };
            assert!(
                batch.sequence > last && batch.sequence <= acknowledged + 2 * u64::from(WINDOW)
            );
            if batch.body.first() == Some(&255) {
                return Err(Status::invalid_argument("not a body"));
            }
            let sequence = batch.sequence;
            let before = self.stored.lock().unwrap().insert(sequence, batch);
            assert_eq!(before, None, "batch {sequence} came twice in vain");
            taken += 1;
            if taken == 5 {
                // Stored, but the agent does not hear of it.
                return Err(Status::unavailable("breaks off"));
            }
            acknowledged = sequence;
            say(FromServer::Ack(Ack { sequence })).await.unwrap();
        }
        Ok(())
    }
}

#[tokio::test]
async fn every_batch_arrives_once() {
    let directory = tempfile::tempdir().unwrap();
    let bounds = Bounds { bytes: 1 << 20, age: Duration::from_hours(1) };
    let spool = SharedSpool::new(Spool::open(directory.path(), bounds).unwrap().0);
    let keep = |report: u64, records: u32, body: Vec<u8>| {
        spool.lock().keep((1, report), &[Encoded { records, body }], Instant::now()).unwrap();
    };
    for report in 1..=20 {
        keep(report, 1, vec![0; 10]);
    }

    // Nobody listens at first.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{free}")).unwrap();
    let sender = Sender {
        cluster: "test".to_owned(),
        node: "node-1".to_owned(),
        machine: MachineKind::Node,
    };
    let delivery = tokio::spawn(deliver(fixed(endpoint), sender, spool.clone(), |_| ()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let double = Double::default();
    serve(free, double.clone()).await;

    // One that is too long and one that the server never takes are given up, and told of.
    keep(21, 100, vec![0; 2000]);
    keep(22, 10, vec![255]);
    for report in 23..=30 {
        keep(report, 1, vec![0; 10]);
    }
    emptied(&spool).await;
    keep(31, 1, vec![0; 10]);
    emptied(&spool).await;

    let stored = double.stored.lock().unwrap().clone();
    let records: u32 = stored.values().map(|batch| batch.records).sum();
    assert_eq!(records, 20 + 8 + 1);
    let bodies = stored.values().filter(|batch| batch.records == 0);
    let losses = bodies.flat_map(|batch| Body::decode(batch.body.clone()).unwrap().losses);
    assert_eq!(losses.map(|loss| loss.count).sum::<u64>(), 100 + 10);
    assert!(*double.streams.lock().unwrap() >= 5);
    delivery.abort();
}

async fn serve(at: SocketAddr, double: Double) {
    let listener = tokio::net::TcpListener::bind(at).await.unwrap();
    let server = Server::builder().add_service(IngestServer::new(double));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
}

/// An endpoint that stays.
fn fixed(endpoint: Endpoint) -> watch::Receiver<Option<Endpoint>> {
    watch::channel(Some(endpoint)).1
}

async fn emptied(spool: &SharedSpool) {
    let waiting = async {
        while spool.lock().waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
}
