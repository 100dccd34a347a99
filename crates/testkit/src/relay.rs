//! A Hubble Relay: the real protocol over loopback, saying what a test wants.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use futures::Stream;
use ringfence_proto::flow::{Flow, LostEvent, Time};
use ringfence_proto::observer::get_flows_response::ResponseTypes;
use ringfence_proto::observer::observer_server::{Observer, ObserverServer};
use ringfence_proto::observer::{GetFlowsRequest, GetFlowsResponse};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

use crate::encrypted::Encrypted;

/// A relay that listens. It keeps everything that it was told, and tells it to everyone who asks, from the time on
/// that they ask for. It is gone when this is dropped.
pub struct Relay {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
    listens: JoinHandle<io::Result<()>>,
}

#[derive(Default)]
struct State {
    kept: Mutex<Vec<GetFlowsResponse>>,
    requests: Mutex<Vec<GetFlowsRequest>>,
    /// How many messages there are, and how often streams were cut off.
    changed: watch::Sender<(usize, usize)>,
}

struct Service(Arc<State>);

impl Relay {
    /// Starts one on a free port.
    pub async fn start() -> io::Result<Self> {
        let (state, routes) = routes();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let listens = tokio::spawn(axum::serve(listener, routes).into_future());
        Ok(Self { address, scheme: "http", state, listens })
    }

    /// Starts one that speaks TLS: it shows a certificate, and demands one that an authority has signed.
    pub async fn start_tls(pair: &(String, String), clients: &str) -> io::Result<Self> {
        let (state, routes) = routes();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let listener = Encrypted::new(listener, pair, Some(clients))?;
        let listens = tokio::spawn(axum::serve(listener, routes).into_future());
        Ok(Self { address, scheme: "https", state, listens })
    }

    /// Where it listens, such as `http://127.0.0.1:4245`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Observes a flow.
    pub fn say(&self, flow: Flow) {
        let time = flow.time;
        self.push(ResponseTypes::Flow(flow), time);
    }

    /// Loses events, at the time of the last message.
    pub fn lose(&self, events: u64) {
        let time = lock(&self.state.kept).last().and_then(|message| message.time);
        self.push(ResponseTypes::LostEvents(LostEvent { num_events_lost: events }), time);
    }

    /// Forgets everything that it was told, as one that starts again.
    pub fn forget(&self) {
        let mut kept = lock(&self.state.kept);
        kept.clear();
        self.state.changed.send_modify(|(length, cuts)| (*length, *cuts) = (0, *cuts + 1));
    }

    /// Cuts off everyone who listens.
    pub fn cut_off(&self) {
        self.state.changed.send_modify(|(_, cuts)| *cuts += 1);
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<GetFlowsRequest> {
        lock(&self.state.requests).clone()
    }

    fn push(&self, response: ResponseTypes, time: Option<Time>) {
        let mut kept = lock(&self.state.kept);
        kept.push(GetFlowsResponse { response_types: Some(response), time });
        self.state.changed.send_modify(|(length, _)| *length = kept.len());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listens.abort();
    }
}

fn routes() -> (Arc<State>, Router) {
    let state = Arc::new(State::default());
    let service = ObserverServer::new(Service(Arc::clone(&state)));
    (state, Router::new().route_service("/observer.Observer/{method}", service))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a message is from before a moment. One without a time is from no time.
fn is_before(message: &GetFlowsResponse, since: Option<Time>) -> bool {
    let order = |time: Time| (time.seconds, time.nanos);
    message.time.is_some_and(|time| Some(order(time)) < since.map(order))
}

#[tonic::async_trait]
impl Observer for Service {
    type GetFlowsStream = Pin<Box<dyn Stream<Item = Result<GetFlowsResponse, Status>> + Send>>;

    async fn get_flows(
        &self,
        request: Request<GetFlowsRequest>,
    ) -> Result<Response<Self::GetFlowsStream>, Status> {
        let request = request.into_inner();
        lock(&self.0.requests).push(request);
        let state = Arc::clone(&self.0);
        let mut changed = state.changed.subscribe();
        let (_, cuts) = *changed.borrow_and_update();
        let flows = futures::stream::unfold(Some((0, changed)), move |next| {
            let state = Arc::clone(&state);
            async move {
                let (mut place, mut changed) = next?;
                loop {
                    let message = lock(&state.kept).get(place).cloned();
                    if changed.borrow().1 > cuts {
                        return Some((Err(Status::unavailable("the relay restarts")), None));
                    }
                    match message {
                        Some(message) if is_before(&message, request.since) => place += 1,
                        Some(message) => return Some((Ok(message), Some((place + 1, changed)))),
                        None if !request.follow => return None,
                        None => changed.changed().await.ok()?,
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(flows)))
    }
}
