//! Following a Hubble Relay.
//!
//! The relay keeps flows for a while only, and connections last, so there is one aggregator for as long as the
//! process lives. Every few seconds the connections that have been known for a while are stored, together with what
//! became of the messages up to then. A broken connection goes on from where it broke; the few messages that come
//! twice then are of connections that are known. After a restart of the server, connections that go on count again.

use std::sync::Arc;
use std::time::Duration;

use ringfence_flows::{
    Aggregator, Bucket, Bucketed, HubbleEnd, HubbleFlow, HubbleStream, HubbleTransport, Options,
};
use ringfence_inventory::Inventory;
use ringfence_model::flow::TcpFlags;
use ringfence_model::resolve::{Hint, Resolved, Resolver, ServiceTarget};
use ringfence_model::{Port, Protocol, Span, Timestamp};
use ringfence_proto::flow::{self, Flow, layer4};
use ringfence_proto::observer::get_flows_response::ResponseTypes;
use ringfence_proto::observer::observer_client::ObserverClient;
use ringfence_proto::observer::{GetFlowsRequest, GetFlowsResponse};
use ringfence_store::{Advance, Arrivals, Ledger, SourceKey, SourceKind};
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Streaming;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::Shared;
use super::counted::{ledger, more, told};
use crate::clock;
use crate::cluster::Cluster;
use crate::config::Relay;

/// How many connections to keep in mind.
const CONNECTIONS: usize = 200_000;

/// The time buckets of edges.
const BUCKET: Duration = Duration::from_mins(1);

/// How many distinct ends to remember before beginning anew, so that weeks of scans do not fill the memory.
const ENDS: usize = 1_000_000;

/// How long to wait after the store has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to wait before another attempt, first and at most.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// Resolves with the cluster as it is now.
struct Now(Arc<Cluster>);

impl Resolver for Now {
    fn resolve(&self, ip: std::net::IpAddr, at: Timestamp, hint: Option<&Hint>) -> Resolved {
        self.0.view().inventory.resolve(ip, at, hint)
    }

    fn service(
        &self,
        ip: std::net::IpAddr,
        protocol: Protocol,
        port: Port,
    ) -> Option<ServiceTarget> {
        self.0.view().inventory.service(ip, protocol, port)
    }
}

/// Where a relay's flows go.
struct Follower<'a> {
    shared: &'a Arc<Shared>,
    source: SourceKey,
    incarnation: u64,
    /// The last step that is stored.
    sequence: u64,
    now: &'a Now,
    aggregator: Aggregator<'a, Now>,
    hubble: HubbleStream,
    /// What became of the messages up to the last step but one, all of whose connections are told of, and up to the
    /// last one.
    ledgers: [Ledger; 2],
    /// What is told of and not stored yet.
    waiting: (Vec<Bucket>, Ledger),
    /// What the answers of the resolver are from.
    inventory: Arc<Inventory>,
    /// The time of the last flow.
    last: Timestamp,
}

/// Follows a relay until the shutdown.
pub(super) async fn follow(shared: Arc<Shared>, relay: Relay) {
    let cluster = shared.app.cluster_or_new(&relay.cluster);
    let kind = SourceKind::Hubble;
    let name = relay.address.as_str().into();
    let source = SourceKey { cluster: relay.cluster.clone(), kind, name };
    let since = match shared.known(&source).await {
        Ok(state) => state.map_or_else(clock::now, |state| state.last),
        Err(fault) => {
            tracing::error!(relay = %relay.address, %fault, "relay begins anew");
            clock::now()
        }
    };
    let now = Now(cluster);
    let mut follower = Follower::new(&shared, source, &now, since);
    let mut wait = PATIENCE.0;
    loop {
        let connected = tokio::select! {
            () = shared.shutdown.requested() => break,
            connected = connect(&relay, follower.last) => connected,
        };
        match connected {
            Ok(flows) => {
                tracing::info!(relay = %relay.address, "relay connected");
                match follower.drink(flows).await {
                    End::Shutdown => break,
                    End::Broken { fault, fruitful } => {
                        if fruitful {
                            wait = PATIENCE.0;
                        }
                        tracing::warn!(relay = %relay.address, %fault, "relay lost");
                    }
                }
            }
            Err(fault) => tracing::warn!(relay = %relay.address, %fault, "relay not reached"),
        }
        follower.rest(wait).await;
        wait = (wait * 2).min(PATIENCE.1);
    }
    follower.finish().await;
}

/// How a stream of flows ended.
enum End {
    Shutdown,
    Broken { fault: String, fruitful: bool },
}

/// Why a relay cannot be reached.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("{0} cannot be read: {1}")]
    File(std::path::PathBuf, std::io::Error),
    #[error("{0}")]
    Transport(#[from] tonic::transport::Error),
    #[error("{}", .0.message())]
    Refused(#[from] tonic::Status),
}

async fn connect(
    relay: &Relay,
    since: Timestamp,
) -> Result<Streaming<GetFlowsResponse>, ConnectError> {
    let read = async |path: &std::path::Path| {
        tokio::fs::read(path).await.map_err(|fault| ConnectError::File(path.to_owned(), fault))
    };
    let mut endpoint = Endpoint::from_shared(relay.address.clone())?
        .connect_timeout(Duration::from_secs(10))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_while_idle(true);
    if relay.address.starts_with("https:") {
        let mut tls = ClientTlsConfig::new();
        if let Some(ca) = &relay.ca {
            tls = tls.ca_certificate(Certificate::from_pem(read(ca).await?));
        }
        if let Some((certificate, key)) = &relay.identity {
            tls = tls.identity(Identity::from_pem(read(certificate).await?, read(key).await?));
        }
        endpoint = endpoint.tls_config(tls)?;
    }
    let since = flow::Time {
        seconds: since.nanos().div_euclid(1_000_000_000),
        nanos: i32::try_from(since.nanos().rem_euclid(1_000_000_000)).unwrap_or_default(),
    };
    let request = GetFlowsRequest { number: 0, follow: true, since: Some(since) };
    Ok(ObserverClient::new(endpoint.connect().await?).get_flows(request).await?.into_inner())
}

impl<'a> Follower<'a> {
    fn new(shared: &'a Arc<Shared>, source: SourceKey, now: &'a Now, since: Timestamp) -> Self {
        Self {
            shared,
            hubble: HubbleStream::new(&source.name),
            source,
            incarnation: clock::now().nanos().cast_unsigned(),
            sequence: 0,
            now,
            aggregator: aggregator(shared, now),
            ledgers: Default::default(),
            waiting: Default::default(),
            inventory: Arc::clone(&now.0.view().inventory),
            last: since,
        }
    }

    /// Takes flows in until the stream breaks.
    async fn drink(&mut self, mut flows: Streaming<GetFlowsResponse>) -> End {
        let step = self.shared.options.step;
        let mut steps = tokio::time::interval_at(Instant::now() + step, step);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut fruitful = false;
        loop {
            tokio::select! {
                () = self.shared.shutdown.requested() => return End::Shutdown,
                _ = steps.tick() => self.step().await,
                message = flows.message() => match message {
                    Ok(Some(message)) => {
                        fruitful = true;
                        self.take(message);
                    }
                    Ok(None) => return End::Broken { fault: "it ended".to_owned(), fruitful },
                    Err(fault) => {
                        return End::Broken { fault: fault.message().to_owned(), fruitful };
                    }
                },
            }
        }
    }

    /// Waits, and stores what there is while the relay is away.
    async fn rest(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        while Instant::now() < until && !self.shared.shutdown.is_requested() {
            let next = until.min(Instant::now() + self.shared.options.step);
            tokio::select! {
                () = self.shared.shutdown.requested() => {}
                () = tokio::time::sleep_until(next) => self.step().await,
            }
        }
    }

    fn take(&mut self, message: GetFlowsResponse) {
        match message.response_types {
            Some(ResponseTypes::Flow(flow)) => {
                let time = flow.time.and_then(moment);
                self.last = time.map_or(self.last, |time| time.max(self.last));
                self.hubble.flow(&hubble(&flow, time), &mut self.aggregator);
            }
            Some(ResponseTypes::LostEvents(lost)) => self.aggregator.lost(lost.num_events_lost),
            Some(ResponseTypes::NodeStatus(_)) | None => self.hubble.other(&mut self.aggregator),
        }
    }

    /// Stores the connections that have been known for a step.
    async fn step(&mut self) {
        let inventory = Arc::clone(&self.now.0.view().inventory);
        if !Arc::ptr_eq(&self.inventory, &inventory) {
            self.inventory = inventory;
            self.aggregator.resolve_anew();
        }
        self.waiting.0.extend(self.aggregator.settle());
        let [before, last] = &mut self.ledgers;
        // What came in the last step is not told of yet, and not in the ledger either.
        self.waiting.1.add(&more(last, before));
        *before = std::mem::replace(last, ledger(self.aggregator.ledger()));
        self.store().await;
        if self.aggregator.ends() > ENDS {
            self.finish().await;
        }
    }

    /// Stores everything, and begins anew.
    async fn finish(&mut self) {
        let all = std::mem::replace(&mut self.aggregator, aggregator(self.shared, self.now));
        let Bucketed { buckets, ledger: lines, .. } = all.finish_in_buckets();
        self.waiting.0.extend(buckets);
        self.waiting.1.add(&more(&ledger(&lines), &self.ledgers[0]));
        self.ledgers = Default::default();
        self.store().await;
    }

    /// Stores what waits. While the store fails nothing more is read: the relay says what it has to drop then.
    async fn store(&mut self) {
        let (buckets, ledger) = &self.waiting;
        if buckets.is_empty() && *ledger == Ledger::default() {
            return;
        }
        let advance = Advance {
            source: self.source.clone(),
            incarnation: self.incarnation,
            sequence: self.sequence + 1,
            at: self.last,
            ledger: ledger.clone(),
        };
        let edges: Vec<_> = told(&self.source.cluster, buckets.clone()).collect();
        loop {
            let advances = vec![advance.clone()];
            match self.shared.record(Arrivals { edges: edges.clone(), advances }).await {
                Ok(()) => break,
                Err(fault) => {
                    tracing::error!(relay = %self.source.name, %fault, "flows not stored yet");
                }
            }
            tokio::select! {
                () = self.shared.shutdown.requested() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        self.sequence += 1;
        self.waiting = Default::default();
    }
}

fn aggregator<'a>(shared: &Shared, now: &'a Now) -> Aggregator<'a, Now> {
    let window = shared.window(clock::now());
    // The end of the window moves on with the clock.
    let window = Span { until: Timestamp::MAX, ..window };
    Aggregator::new(now, Options { window, connections: CONNECTIONS, bucket: Some(BUCKET) })
}

fn moment(time: flow::Time) -> Option<Timestamp> {
    let flow::Time { seconds, nanos } = time;
    let nanos = seconds.checked_mul(1_000_000_000)?.checked_add(nanos.into())?;
    Some(Timestamp::from_nanos(nanos))
}

/// A message as the reader of Hubble's JSON sees it.
fn hubble(flow: &Flow, time: Option<Timestamp>) -> HubbleFlow<'_> {
    let ip = flow.ip.as_ref();
    HubbleFlow {
        time,
        node_name: &flow.node_name,
        verdict: flow.verdict().as_str_name(),
        kind: flow.r#type().as_str_name(),
        source: end(ip.map(|ip| &*ip.source), flow.source.as_ref()),
        destination: end(ip.map(|ip| &*ip.destination), flow.destination.as_ref()),
        transport: flow.l4.as_ref().and_then(|l4| l4.protocol.as_ref()).map(transport),
        is_reply: flow.is_reply.as_ref().map(|flag| flag.value),
        reply: flow.reply,
        event_type: flow.event_type.as_ref().map(|event| event.r#type),
        point: match flow.trace_observation_point() {
            flow::TraceObservationPoint::UnknownPoint => "",
            point => point.as_str_name(),
        },
        translation_point: flow.sock_xlate_point().as_str_name(),
        cookie: flow.socket_cookie,
    }
}

fn end<'a>(ip: Option<&'a str>, endpoint: Option<&'a flow::Endpoint>) -> HubbleEnd<'a> {
    let ip = ip.unwrap_or_default();
    let Some(endpoint) = endpoint else { return HubbleEnd { ip, ..HubbleEnd::default() } };
    let flow::Endpoint { namespace, labels, pod_name, workloads } = endpoint;
    let workload = workloads.first().map(|workload| (&*workload.kind, &*workload.name));
    HubbleEnd { ip, namespace, pod: pod_name, labels, workload }
}

fn transport(protocol: &layer4::Protocol) -> HubbleTransport {
    let ports = |protocol, source, destination| HubbleTransport {
        protocol,
        source,
        destination,
        flags: TcpFlags::NONE,
        icmp_type: 0,
    };
    match protocol {
        layer4::Protocol::Tcp(flow::Tcp { source_port, destination_port, flags }) => {
            let flags = flags.unwrap_or_default();
            let set = [
                (flags.fin, TcpFlags::FIN),
                (flags.syn, TcpFlags::SYN),
                (flags.rst, TcpFlags::RST),
                (flags.psh, TcpFlags::PSH),
                (flags.ack, TcpFlags::ACK),
            ];
            let flags = set.into_iter().filter(|(set, _)| *set);
            let flags = flags.fold(TcpFlags::NONE, |all, (_, flag)| all.with(flag));
            HubbleTransport { flags, ..ports("TCP", *source_port, *destination_port) }
        }
        layer4::Protocol::Udp(flow::Udp { source_port, destination_port }) => {
            ports("UDP", *source_port, *destination_port)
        }
        layer4::Protocol::Sctp(flow::Sctp { source_port, destination_port }) => {
            ports("SCTP", *source_port, *destination_port)
        }
        layer4::Protocol::IcmPv4(flow::IcmPv4 { r#type }) => {
            HubbleTransport { icmp_type: *r#type, ..ports("ICMPv4", 0, 0) }
        }
        layer4::Protocol::IcmPv6(flow::IcmPv6 { r#type }) => {
            HubbleTransport { icmp_type: *r#type, ..ports("ICMPv6", 0, 0) }
        }
    }
}
