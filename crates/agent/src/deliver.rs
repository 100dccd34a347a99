//! The way of the batches to the server: at least once over broken streams, dropped when acknowledged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringfence_proto::agent::agent_message::Kind as FromAgent;
use ringfence_proto::agent::ingest_client::IngestClient;
use ringfence_proto::agent::server_message::Kind as FromServer;
use ringfence_proto::agent::{AgentMessage, Hello, MachineKind, PROTOCOL_VERSION};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::spool::{Spool, SpoolError};

/// How often is looked for new batches.
const TICK: Duration = Duration::from_millis(500);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who delivers.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The cluster, as the server names it.
    pub cluster: String,
    /// The node.
    pub node: String,
    /// What the machine is.
    pub machine: MachineKind,
}

/// Why a stream ended.
#[derive(Debug, Error)]
pub enum DeliverError {
    /// The server cannot be reached.
    #[error("the server cannot be reached")]
    Connect(#[from] tonic::transport::Error),
    /// The server ended the stream.
    #[error("the server ended the stream: {0}")]
    Status(#[from] Status),
    /// The server broke the protocol.
    #[error("the server {0}")]
    Protocol(&'static str),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl DeliverError {
    /// Whether the server does not take the certificate.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Status(status) if status.code() == Code::Unauthenticated)
    }
}

/// The spool, which is filled by another thread.
#[derive(Clone, Debug)]
pub struct SharedSpool(Arc<Mutex<Spool>>);

impl SharedSpool {
    /// Shares a spool.
    pub fn new(spool: Spool) -> Self {
        Self(Arc::new(Mutex::new(spool)))
    }

    /// The spool, for oneself. Whoever panicked with it left files that are whole.
    pub fn lock(&self) -> MutexGuard<'_, Spool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers forever: after a broken stream again, with pauses that grow; over another endpoint when there is one, as
/// after a certificate was renewed. `tell` hears why each stream ended, and what was damaged.
pub async fn deliver(
    mut endpoints: watch::Receiver<Option<Endpoint>>,
    sender: Sender,
    spool: SharedSpool,
    mut tell: impl FnMut(&DeliverError),
) {
    let mut pause = TICK;
    // Without any endpoint any more there is nobody to deliver to.
    while let Ok(endpoint) = endpoints.wait_for(Option::is_some).await.map(|found| found.clone()) {
        let Some(endpoint) = endpoint else { return };
        let mut welcomed = false;
        let delivery = stream(&endpoint, &sender, &spool, &mut welcomed, &mut tell);
        let Err(error) = tokio::select! {
            ended = delivery => ended,
            // What is on its way is sent again; the server counts it once.
            () = replaced(&mut endpoints) => continue,
        };
        tell(&error);
        pause = if welcomed { TICK } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = replaced(&mut endpoints) => {}
        }
    }
}

/// Waits for another endpoint: for ever, where there is only one.
async fn replaced(endpoints: &mut watch::Receiver<Option<Endpoint>>) {
    if endpoints.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Delivers until the stream ends.
async fn stream(
    endpoint: &Endpoint,
    sender: &Sender,
    spool: &SharedSpool,
    welcomed: &mut bool,
    tell: &mut impl FnMut(&DeliverError),
) -> Result<std::convert::Infallible, DeliverError> {
    let channel = endpoint.clone().connect_timeout(PATIENCE).connect().await?;
    let mut client = IngestClient::new(channel);
    let (outgoing, messages) = mpsc::channel(1);
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION,
        cluster: sender.cluster.clone(),
        node: sender.node.clone(),
        incarnation: spool.lock().incarnation(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        machine: sender.machine.into(),
    };
    let closed = |_| DeliverError::Protocol("closed the stream");
    outgoing.send(AgentMessage { kind: Some(FromAgent::Hello(hello)) }).await.map_err(closed)?;
    let opened = tokio::time::timeout(PATIENCE, client.stream(ReceiverStream::new(messages)));
    let silent = DeliverError::Protocol("does not answer");
    let mut answers = opened.await.map_err(|_| silent)??.into_inner();
    let silent = DeliverError::Protocol("does not answer");
    let first = tokio::time::timeout(PATIENCE, answers.message()).await.map_err(|_| silent)??;
    let Some(FromServer::Welcome(welcome)) = first.and_then(|message| message.kind) else {
        return Err(DeliverError::Protocol("did not begin with a welcome"));
    };
    *welcomed = true;
    spool.lock().acknowledged(welcome.last_sequence).map_err(SpoolError::from)?;

    let window = u64::from(welcome.max_unacknowledged.max(1));
    let mut sent = welcome.last_sequence;
    let mut unacknowledged = std::collections::VecDeque::new();
    let mut tick = tokio::time::interval(TICK);
    loop {
        let room = (unacknowledged.len() as u64) < window;
        let next = if room { spool.lock().after(sent) } else { Ok(None) };
        let next = match next {
            Err(damaged @ SpoolError::Damaged { .. }) => {
                tell(&damaged.into());
                continue;
            }
            next => next?,
        };
        if let Some(batch) = next {
            let sequence = batch.sequence;
            if batch.body.len() as u64 > u64::from(welcome.max_batch_bytes) {
                spool.lock().give_up(sequence).map_err(SpoolError::from)?;
                continue;
            }
            let message = AgentMessage { kind: Some(FromAgent::Batch(batch)) };
            tokio::select! {
                outcome = outgoing.send(message) => {
                    if outcome.is_err() {
                        // Why the server hung up is in its answers.
                        return Err(last_word(&mut answers).await);
                    }
                    sent = sequence;
                    unacknowledged.push_back(sequence);
                }
                // While the server takes nothing it may still acknowledge; the batch is read again.
                answer = answers.message() => {
                    acknowledge(answer, spool, &mut unacknowledged)?;
                }
            }
        } else {
            tokio::select! {
                _ = tick.tick() => {}
                answer = answers.message() => {
                    acknowledge(answer, spool, &mut unacknowledged)?;
                }
            }
        }
    }
}

fn acknowledge(
    answer: Result<Option<ringfence_proto::agent::ServerMessage>, Status>,
    spool: &SharedSpool,
    unacknowledged: &mut std::collections::VecDeque<u64>,
) -> Result<(), DeliverError> {
    let message = match answer {
        Ok(message) => message.ok_or(DeliverError::Protocol("closed the stream"))?,
        Err(status) => {
            // In vain for ever: without that batch the others get through.
            if status.code() == Code::InvalidArgument
                && let Some(sequence) = unacknowledged.front()
            {
                spool.lock().give_up(*sequence).map_err(SpoolError::from)?;
            }
            return Err(status.into());
        }
    };
    match message.kind {
        Some(FromServer::Ack(ack)) => {
            spool.lock().acknowledged(ack.sequence).map_err(SpoolError::from)?;
            while unacknowledged.front().is_some_and(|sequence| *sequence <= ack.sequence) {
                unacknowledged.pop_front();
            }
            Ok(())
        }
        Some(FromServer::Welcome(_)) | None => {
            Err(DeliverError::Protocol("said something other than an acknowledgement"))
        }
    }
}

async fn last_word(
    answers: &mut tonic::Streaming<ringfence_proto::agent::ServerMessage>,
) -> DeliverError {
    loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return DeliverError::Protocol("closed the stream"),
            Err(status) => return status.into(),
        }
    }
}
