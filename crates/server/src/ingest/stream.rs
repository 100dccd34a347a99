//! The gRPC service for agents.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::Stream;
use futures::StreamExt as _;
use ringfence_model::Name;
use ringfence_proto::agent::{
    Ack, AgentMessage, Batch, Hello, MachineKind, PROTOCOL_VERSION, ServerMessage, Welcome,
    agent_message, ingest_server, server_message,
};
use ringfence_store::{SourceKey, SourceKind, SourceState};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::body::Machine;
use super::queue::{Job, Waiting};
use super::{AgentIdentity, Shared};
use crate::enrol::Standing;

/// How long an agent may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes batches from agents.
pub struct Service(Arc<Shared>);

/// What is to be said to an agent. What is newer replaces what was not sent yet, so that an agent that reads nothing
/// costs no memory.
pub(super) struct Outlet(watch::Sender<Word>);

#[derive(Clone)]
enum Word {
    /// Everything up to here is durable.
    Stored(u64),
    /// The stream is over.
    Failed(Code, String),
}

impl Outlet {
    /// Acknowledges everything up to a batch.
    pub(super) fn stored(&self, sequence: u64) {
        self.0.send_if_modified(|word| match word {
            Word::Stored(before) if *before < sequence => {
                *before = sequence;
                true
            }
            Word::Stored(_) | Word::Failed(..) => false,
        });
    }

    /// Ends the stream; the first reason stays. Nothing of it that still waits is stored from now on: gaps in the
    /// numbers are allowed, so that a batch after one that failed would hide it.
    pub(super) fn fail(&self, code: Code, reason: impl Into<String>) {
        self.0.send_if_modified(|word| match word {
            Word::Stored(_) => {
                *word = Word::Failed(code, reason.into());
                true
            }
            Word::Failed(..) => false,
        });
    }

    /// Whether the stream is over.
    pub(super) fn has_failed(&self) -> bool {
        matches!(*self.0.borrow(), Word::Failed(..))
    }

    async fn failed(&self) {
        // The sender is part of self: it cannot be gone.
        let _ = self.0.subscribe().wait_for(|word| matches!(word, Word::Failed(..))).await;
    }
}

/// What the agent said of itself.
struct Agent {
    source: SourceKey,
    machine: Machine,
    node: Name,
    incarnation: u64,
}

impl Service {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Checks who the agent is.
    fn greet(&self, hello: Hello, identity: Option<&AgentIdentity>) -> Result<Agent, Status> {
        let Hello { protocol_version, cluster, node, incarnation, agent_version: _, machine } =
            hello;
        if protocol_version != PROTOCOL_VERSION {
            return Err(Status::failed_precondition(format!(
                "protocol version {protocol_version} is not known; this server speaks {PROTOCOL_VERSION}"
            )));
        }
        let machine = match MachineKind::try_from(machine) {
            Ok(MachineKind::Node) => Machine::Node,
            Ok(MachineKind::Host) => Machine::Host,
            Err(_) => {
                let refusal = "this server takes flows from nodes and hosts only";
                return Err(Status::unimplemented(refusal));
            }
        };
        let cluster = Name::new(cluster)
            .map_err(|fault| Status::invalid_argument(format!("cluster: {fault}")))?;
        let node =
            Name::new(node).map_err(|fault| Status::invalid_argument(format!("node: {fault}")))?;
        if let Some(identity) = identity
            && (identity.cluster != cluster || identity.node != node)
        {
            let AgentIdentity { cluster: own_cluster, node: own } = identity;
            tracing::warn!(%own_cluster, %own, %cluster, %node, "agent refused: another node than its certificate's");
            return Err(Status::permission_denied(format!(
                "the certificate is for node {own} of {own_cluster}, not for {node} of {cluster}"
            )));
        }
        let known = self.0.app.cluster(&cluster);
        if machine == Machine::Host
            && known.is_some_and(|known| known.view().inventory.is_node(&node))
        {
            return Err(Status::invalid_argument(format!(
                "{node} is a node of {cluster}, not a machine outside Kubernetes"
            )));
        }
        if !self.0.options.new_clusters && self.0.app.cluster(&cluster).is_none() {
            return Err(Status::invalid_argument(format!(
                "cluster {cluster} is not one that this server knows"
            )));
        }
        let kind = SourceKind::Agent;
        let source = SourceKey { cluster, kind, name: node.as_str().into() };
        Ok(Agent { source, machine, node, incarnation })
    }

    async fn state(&self, source: &SourceKey) -> Result<Option<SourceState>, Status> {
        let (store, key) = (Arc::clone(&self.0.app.store), source.clone());
        let state = tokio::task::spawn_blocking(move || store.source(&key)).await;
        match state {
            Ok(Ok(state)) => Ok(state),
            Ok(Err(fault)) => {
                tracing::error!(%fault, "source cannot be read");
                Err(Status::unavailable("the store cannot be read"))
            }
            Err(_) => Err(Status::unavailable("the server stops")),
        }
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<ServerMessage, Status>> + Send>>;

#[tonic::async_trait]
impl ingest_server::Ingest for Service {
    type StreamStream = Answers;

    async fn stream(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Answers>, Status> {
        let identity = request.extensions().get::<AgentIdentity>().cloned();
        let standing = request.extensions().get::<Standing>().cloned();
        let mut inbound = request.into_inner();
        let first = tokio::time::timeout(PATIENCE, inbound.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no hello came"))?;
        let Some(AgentMessage { kind: Some(agent_message::Kind::Hello(hello)) }) =
            first.map_err(|fault| refused(&fault))?
        else {
            return Err(Status::invalid_argument("the first message is not a hello"));
        };
        let agent = self.greet(hello, identity.as_ref())?;
        let state = self.state(&agent.source).await?;
        let last_sequence = state
            .filter(|state| state.incarnation == agent.incarnation)
            .map_or(0, |state| state.sequence);
        let options = &self.0.options;
        let welcome = Welcome {
            protocol_version: PROTOCOL_VERSION,
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            last_sequence,
            max_batch_bytes: u32::try_from(options.max_batch).unwrap_or(u32::MAX),
            max_unacknowledged: options.max_unacknowledged,
        };
        self.0.app.cluster_or_new(&agent.source.cluster);
        let (words, heard) = watch::channel(Word::Stored(last_sequence));
        let outlet = Arc::new(Outlet(words));
        self.0.agents.begin(&agent.source, &outlet);
        self.0.agents.hear(&agent.source.cluster, &agent.node);
        tokio::spawn(Arc::clone(&self.0).take_in(agent, standing, inbound, outlet));
        let welcome = ServerMessage { kind: Some(server_message::Kind::Welcome(welcome)) };
        let words = WatchStream::from_changes(heard).map(|word| match word {
            Word::Stored(sequence) => {
                Ok(ServerMessage { kind: Some(server_message::Kind::Ack(Ack { sequence })) })
            }
            Word::Failed(code, reason) => Err(Status::new(code, reason)),
        });
        let answers = futures::stream::iter([Ok(welcome)]).chain(words);
        Ok(Response::new(Box::pin(answers)))
    }
}

impl Shared {
    /// Puts the batches of a stream into the queue. The answers end when the last of them is dealt with, because
    /// each holds the outlet.
    async fn take_in(
        self: Arc<Self>,
        agent: Agent,
        standing: Option<Standing>,
        mut inbound: Streaming<AgentMessage>,
        outlet: Arc<Outlet>,
    ) {
        self.stats.streams.fetch_add(1, Ordering::Relaxed);
        let mut last = 0;
        let mut gone = std::pin::pin!(lost(standing));
        loop {
            let message = tokio::select! {
                () = self.shutdown.requested() => {
                    outlet.fail(Code::Unavailable, "the server stops");
                    break;
                }
                () = outlet.failed() => break,
                reason = &mut gone => {
                    tracing::warn!(node = %agent.node, reason, "stream of an agent ends");
                    outlet.fail(Code::Unauthenticated, reason);
                    break;
                }
                message = inbound.message() => message,
            };
            let batch = match message {
                Ok(Some(AgentMessage { kind: Some(agent_message::Kind::Batch(batch)) })) => batch,
                Ok(Some(_)) => {
                    outlet.fail(Code::InvalidArgument, "only batches may follow the hello");
                    break;
                }
                Ok(None) => break,
                Err(fault) => {
                    let refusal = refused(&fault);
                    tracing::warn!(node = %agent.node, fault = refusal.message(), "stream of an agent ends");
                    outlet.fail(refusal.code(), refusal.message());
                    break;
                }
            };
            if let Err(reason) = fits(&batch, last, self.options.max_batch) {
                outlet.fail(Code::InvalidArgument, reason);
                break;
            }
            last = batch.sequence;
            self.agents.hear(&agent.source.cluster, &agent.node);
            let room = tokio::select! {
                () = outlet.failed() => break,
                room = self.queue.room(batch.body.len()) => room,
            };
            let put = room.is_some_and(|room| {
                let source = agent.source.clone();
                let outlet = Arc::clone(&outlet);
                let Agent { machine, incarnation, .. } = agent;
                self.queue.put(Job::Batch(Waiting {
                    source,
                    machine,
                    incarnation,
                    batch,
                    outlet,
                    _room: room,
                }))
            });
            if !put {
                outlet.fail(Code::Unavailable, "the server stops");
                break;
            }
        }
        self.agents.end(&agent.source, &outlet);
        self.stats.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until the agent may no longer write: for ever, where it needs no certificate.
async fn lost(standing: Option<Standing>) -> &'static str {
    match standing {
        Some(standing) => standing.lost().await,
        None => std::future::pending().await,
    }
}

/// What a batch breaks of the rules of its envelope.
fn fits(batch: &Batch, last: u64, max: usize) -> Result<(), String> {
    let Batch { sequence, records, body } = batch;
    if *sequence <= last {
        return Err(format!("batch {sequence} comes after batch {last}"));
    }
    if body.len() > max {
        return Err(format!("batch {sequence} has {} bytes; the limit is {max}", body.len()));
    }
    // A record takes a byte at least: the side.
    if *records as usize > body.len() {
        return Err(format!("batch {sequence} cannot hold {records} records"));
    }
    Ok(())
}

/// What the transport says of a message that it could not read.
fn refused(fault: &Status) -> Status {
    match fault.code() {
        // Not protobuf, or over the limit: sending it again is in vain.
        Code::Internal | Code::OutOfRange | Code::ResourceExhausted => {
            Status::invalid_argument(fault.message())
        }
        code => Status::new(code, fault.message()),
    }
}
