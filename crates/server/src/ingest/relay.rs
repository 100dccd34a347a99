//! Following a Hubble Relay.
//!
//! Connections last, so they are kept in mind for as long as the process lives. Messages are held back for a step of
//! some seconds and then taken in the order of their time; the connections that have been known for a step are stored,
//! together with what became of the messages up to a moment, and with that moment. Whoever goes on, after a broken
//! connection or another life of the server, goes on from there: so each message counts once, unless its node sends it
//! more than a step late and the server dies before it is stored.
//!
//! A server that starts knows no connections. It asks for what the relay still has from before that moment too, which
//! counts as duplicate, and tells which connections were counted already.

mod connect;
mod held;
mod message;
mod state;

use std::sync::Arc;
use std::time::Duration;

use ringfence_flows::{Aggregator, Bucket, Bucketed, HubbleStream, Options};
use ringfence_inventory::Inventory;
use ringfence_model::resolve::{Hint, Resolved, Resolver, ServiceTarget};
use ringfence_model::{ObserverKind, Port, Protocol, Span, Timestamp};
use ringfence_proto::observer::GetFlowsResponse;
use ringfence_proto::observer::get_flows_response::ResponseTypes;
use ringfence_store::{Advance, Arrivals, DropReason, Ledger, SourceKey, SourceKind};
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Streaming;

use super::Shared;
use super::counted::{ledger, more, told};
use crate::cluster::Cluster;
use crate::config::Relay;

use self::connect::{connect, words};
use self::held::Held;

pub use self::state::{RelayState, Relays};

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

/// How far back to look for connections that were counted already. A relay has less than that, as a rule.
const HORIZON: Duration = Duration::from_hours(1);

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
    /// Grows when the moments begin anew.
    incarnation: u64,
    now: &'a Now,
    aggregator: Aggregator<'a, Now>,
    /// Whether nothing was read of it yet.
    unread: bool,
    /// Whether the aggregator knows the connections that were counted before.
    acquainted: bool,
    hubble: HubbleStream,
    held: Held,
    /// Everything before is in the aggregator, or was in one before.
    fed: Timestamp,
    /// Where the stream goes on: what it sends from before came before.
    resumed: Timestamp,
    /// How it stood when settled last but one, all of whose connections are told of, and last.
    marks: [Mark; 2],
    /// What is told of and not stored yet.
    waiting: (Vec<Bucket>, Ledger),
    /// What the answers of the resolver are from.
    inventory: Arc<Inventory>,
}

/// How it stood when the connections were settled.
struct Mark {
    /// Everything before was in the aggregator.
    until: Timestamp,
    /// What became of the messages up to then.
    ledger: Ledger,
}

/// Follows a relay until the shutdown.
pub(super) async fn follow(shared: Arc<Shared>, relay: Relay) {
    let cluster = shared.app.cluster_or_new(&relay.cluster);
    let kind = SourceKind::Hubble;
    let name = relay.address.as_str().into();
    let source = SourceKey { cluster: relay.cluster.clone(), kind, name };
    let Some(start) = start(&shared, &source).await else { return };
    let now = Now(cluster);
    let mut follower = Follower::new(&shared, source.clone(), &now, start);
    let relays = &shared.app.relays;
    let mut wait = PATIENCE.0;
    loop {
        let since = follower.begin();
        let connected = tokio::select! {
            () = shared.shutdown.requested() => break,
            connected = connect(&relay, since) => connected,
        };
        let fault = match connected {
            Ok(flows) => {
                tracing::info!(relay = %relay.address, "relay connected");
                relays.connected(&source);
                match follower.drink(flows).await {
                    End::Shutdown => break,
                    End::Anew => continue,
                    End::Broken { fault, fruitful } => {
                        if fruitful {
                            wait = PATIENCE.0;
                        }
                        fault
                    }
                }
            }
            Err(fault) => fault.to_string(),
        };
        tracing::warn!(relay = %relay.address, fault, "relay away");
        relays.away_since(&source, shared.app.clock.now(), &fault);
        follower.rest(wait).await;
        wait = (wait * 2).min(PATIENCE.1);
    }
    follower.finish().await;
}

/// How far a relay was read in an earlier life of the server.
#[derive(Clone, Copy, Debug)]
struct Start {
    until: Timestamp,
    /// Of the moments: it grows when they begin anew.
    incarnation: u64,
    /// Whether nothing of it was read. Then the moment is that of the server's clock, when the relay was first
    /// followed.
    unread: bool,
}

/// How far a relay was read, which is what the store has as the number of its last batch. `None` when the server stops.
async fn start(shared: &Arc<Shared>, source: &SourceKey) -> Option<Start> {
    loop {
        let fault = match shared.known(source).await {
            Ok(Some(state)) => {
                let until = i64::try_from(state.sequence).unwrap_or(i64::MAX);
                return Some(Start {
                    until: Timestamp::from_nanos(until),
                    incarnation: state.incarnation,
                    unread: state.ledger.received == 0,
                });
            }
            // It is noted at once, so that a server that dies before it has stored anything goes on from here too.
            Ok(None) => {
                let now = shared.app.clock.now();
                let nothing = advance(source, 0, now, now, Ledger::default());
                let arrivals = Arrivals { advances: vec![nothing], ..Arrivals::default() };
                match shared.record(arrivals).await {
                    Ok(()) => return Some(Start { until: now, incarnation: 0, unread: true }),
                    Err(fault) => fault,
                }
            }
            Err(fault) => fault,
        };
        tracing::error!(relay = %source.name, %fault, "relay not followed yet");
        tokio::select! {
            () = shared.shutdown.requested() => return None,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// A relay was read up to a moment: that is the number of its batch.
fn advance(
    source: &SourceKey,
    incarnation: u64,
    until: Timestamp,
    at: Timestamp,
    ledger: Ledger,
) -> Advance {
    let sequence = until.nanos().max(0).unsigned_abs();
    Advance { source: source.clone(), incarnation, sequence, at, ledger }
}

/// The moment just after another.
fn after(at: Timestamp) -> Timestamp {
    Timestamp::from_nanos(at.nanos().saturating_add(1))
}

/// How a stream of flows ended.
enum End {
    Shutdown,
    Broken {
        fault: String,
        fruitful: bool,
    },
    /// It has to begin anew: the memory was full, or the clock jumped back.
    Anew,
}

impl<'a> Follower<'a> {
    fn new(shared: &'a Arc<Shared>, source: SourceKey, now: &'a Now, start: Start) -> Self {
        let Start { until: fed, incarnation, unread } = start;
        Self {
            shared,
            hubble: HubbleStream::new(&source.name),
            source,
            incarnation,
            now,
            aggregator: aggregator(shared, now),
            unread,
            acquainted: unread,
            held: Held::new(fed),
            fed,
            resumed: fed,
            marks: marks(fed, &Ledger::default()),
            waiting: Default::default(),
            inventory: Arc::clone(&now.0.view().inventory),
        }
    }

    /// Another connection begins: says from when on it has to tell.
    fn begin(&mut self) -> Timestamp {
        if self.is_ahead() {
            let now = self.shared.app.clock.now();
            tracing::warn!(relay = %self.source.name, until = %self.fed, "clock jumped back");
            self.fed = now;
            self.marks = marks(now, &Ledger::default());
            self.incarnation += 1;
        }
        self.held.begin(self.fed);
        self.resumed = self.fed;
        if self.acquainted {
            return self.fed;
        }
        let horizon = i64::try_from(HORIZON.as_nanos()).unwrap_or(i64::MAX);
        Timestamp::from_nanos(self.fed.nanos().saturating_sub(horizon))
    }

    /// Whether the relay is to be read from a moment that is still to come: the clock was ahead when it was first
    /// followed. Later the moments are those of messages, which no clock of the server changes.
    fn is_ahead(&self) -> bool {
        self.unread && self.fed >= self.shared.window(self.shared.app.clock.now()).until
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
                        if self.held.is_full() {
                            self.step().await;
                        }
                    }
                    Ok(None) => return End::Broken { fault: "it ended".to_owned(), fruitful },
                    Err(fault) => return End::Broken { fault: words(&fault), fruitful },
                },
            }
            if self.aggregator.ends() > ENDS {
                self.finish().await;
                return End::Anew;
            }
            if self.is_ahead() {
                return End::Anew;
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
        let time = self.held.time(&message);
        if time < self.resumed {
            if !self.acquainted {
                self.feed(&message);
            }
            self.waiting.1.received += 1;
            self.waiting.1.duplicate += 1;
        } else if time >= self.shared.window(self.shared.app.clock.now()).until {
            self.waiting.1.received += 1;
            *self.waiting.1.dropped.entry(DropReason::OutsideRetention).or_default() += 1;
        } else {
            self.held.put(time, message);
            self.unread = false;
        }
    }

    fn feed(&mut self, message: &GetFlowsResponse) {
        match &message.response_types {
            Some(ResponseTypes::Flow(flow)) => {
                self.hubble.flow(&message::hubble(flow), &mut self.aggregator);
            }
            Some(ResponseTypes::LostEvents(lost)) => self.aggregator.lost(lost.num_events_lost),
            Some(ResponseTypes::NodeStatus(_)) | None => self.hubble.other(&mut self.aggregator),
        }
    }

    /// Feeds everything from before a moment, and what came too late for an earlier call.
    fn feed_until(&mut self, until: Option<Timestamp>) {
        let until = until.unwrap_or(self.fed).max(after(self.fed));
        let ready: Vec<_> = self.held.take(until).collect();
        if ready.is_empty() {
            return;
        }
        if !self.acquainted {
            self.aggregator.acquaint();
            self.marks = marks(self.fed, &ledger(self.aggregator.ledger()));
            self.acquainted = true;
        }
        for message in &ready {
            self.feed(message);
        }
        self.fed = until;
    }

    /// Feeds what was held for a step, and stores the connections that have been known for one.
    async fn step(&mut self) {
        let inventory = Arc::clone(&self.now.0.view().inventory);
        if !Arc::ptr_eq(&self.inventory, &inventory) {
            self.inventory = inventory;
            self.aggregator.resolve_anew();
        }
        // What a clock that is ahead sends must not hide what the others are still to send.
        let now = self.shared.app.clock.now();
        let ripe = self.held.step().map(|ripe| after(ripe.min(now)));
        let middle = if self.held.is_full() { self.held.middle().map(after) } else { None };
        self.feed_until(ripe.max(middle));
        if self.acquainted {
            self.waiting.0.extend(self.aggregator.settle());
            let [before, last] = &mut self.marks;
            // What was fed in the last step is not told of yet, and not in the ledger either.
            self.waiting.1.add(&more(&last.ledger, &before.ledger));
            let ledger = ledger(self.aggregator.ledger());
            *before = std::mem::replace(last, Mark { until: self.fed, ledger });
        }
        self.store(self.marks[0].until).await;
    }

    /// Stores everything, and begins anew.
    async fn finish(&mut self) {
        let now = self.shared.app.clock.now();
        self.feed_until(self.held.latest().map(|latest| after(latest.min(now))));
        let all = std::mem::replace(&mut self.aggregator, aggregator(self.shared, self.now));
        if self.acquainted {
            let Bucketed { buckets, ledger: lines, .. } = all.finish_in_buckets();
            self.waiting.0.extend(buckets);
            self.waiting.1.add(&more(&ledger(&lines), &self.marks[0].ledger));
        }
        self.acquainted = false;
        self.marks = marks(self.fed, &Ledger::default());
        self.store(self.fed).await;
    }

    /// Stores what waits, which is all up to a moment. While the store fails nothing more is read: the relay says what
    /// it has to drop then.
    async fn store(&mut self, until: Timestamp) {
        let (buckets, ledger) = &self.waiting;
        if buckets.is_empty() && *ledger == Ledger::default() {
            return;
        }
        let now = self.shared.app.clock.now();
        let advance = advance(&self.source, self.incarnation, until, now, ledger.clone());
        let edges: Vec<_> =
            told(&self.source.cluster, ObserverKind::Hubble, buckets.clone()).collect();
        loop {
            let advances = vec![advance.clone()];
            match self
                .shared
                .record(Arrivals { edges: edges.clone(), advances, ..Arrivals::default() })
                .await
            {
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
        self.waiting = Default::default();
    }
}

fn marks(until: Timestamp, ledger: &Ledger) -> [Mark; 2] {
    [(); 2].map(|()| Mark { until, ledger: ledger.clone() })
}

fn aggregator<'a>(shared: &Shared, now: &'a Now) -> Aggregator<'a, Now> {
    let window = shared.window(shared.app.clock.now());
    // The end of the window moves on with the clock.
    let window = Span { until: Timestamp::MAX, ..window };
    Aggregator::new(now, Options { window, connections: CONNECTIONS, bucket: Some(BUCKET) })
}
