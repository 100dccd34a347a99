//! A Hubble Relay is followed.

use std::sync::Arc;
use std::time::Duration;

use ringfence_proto::flow::{
    Endpoint, Flag, Flow, FlowType, Ip, Layer4, Tcp, TcpFlags, Time, TraceObservationPoint,
    Verdict, Workload, layer4,
};
use ringfence_server::config;
use ringfence_server::ingest::Options;
use ringfence_store::{DropReason, Ledger, SourceKey, SourceKind, Sqlite, Store};
use ringfence_testkit::Relay;

use crate::server::{Hands, Server, now, prod, show, start, start_by};

/// A packet of a connection between `web` and `api`, some seconds after the beginning.
fn packet(base: u64, second: u64, client_port: u32, reply: bool, flags: TcpFlags) -> Flow {
    packet_at(base + second * 1_000_000_000, client_port, reply, flags)
}

/// The same, so many nanoseconds after 1970.
pub(crate) fn packet_at(nanos: u64, client_port: u32, reply: bool, flags: TcpFlags) -> Flow {
    let pod = |name: &str, workload: &str| Endpoint {
        namespace: "shop".into(),
        labels: vec![format!("k8s:app={workload}")],
        pod_name: name.into(),
        workloads: vec![Workload { name: workload.into(), kind: "Deployment".into() }],
    };
    let (web, api) =
        (("10.0.1.1", pod("web", "web"), client_port), ("10.0.2.1", pod("api", "api"), 8080));
    let (from, to) = if reply { (api, web) } else { (web, api) };
    Flow {
        time: Some(Time {
            seconds: i64::try_from(nanos / 1_000_000_000).unwrap(),
            nanos: i32::try_from(nanos % 1_000_000_000).unwrap(),
        }),
        verdict: Verdict::Forwarded.into(),
        ip: Some(Ip { source: from.0.into(), destination: to.0.into() }),
        l4: Some(Layer4 {
            protocol: Some(layer4::Protocol::Tcp(Tcp {
                source_port: from.2,
                destination_port: to.2,
                flags: Some(flags),
            })),
        }),
        source: Some(from.1),
        destination: Some(to.1),
        r#type: FlowType::L3L4.into(),
        node_name: "n1".into(),
        trace_observation_point: TraceObservationPoint::ToEndpoint.into(),
        is_reply: Some(Flag { value: reply }),
        ..Flow::default()
    }
}

pub(crate) const SYN: TcpFlags =
    TcpFlags { syn: true, fin: false, rst: false, psh: false, ack: false };
pub(crate) const ACK: TcpFlags =
    TcpFlags { ack: true, syn: false, fin: false, rst: false, psh: false };

/// How a relay is reached without TLS.
pub(crate) fn plain(address: &str) -> config::Relay {
    let address = address.to_owned();
    config::Relay { cluster: prod(), address, ca: None, identity: None, server_name: None }
}

/// Steps so short that a test does not take long.
pub(crate) fn quick() -> Options {
    Options { step: Duration::from_millis(50), ..Options::default() }
}

async fn follow(relay: &Relay, store: &Arc<Sqlite>, hands: &Hands) -> Server {
    let server = start_by(Arc::clone(store) as _, quick(), hands.clock()).await;
    server.ingest.relays(&[plain(&relay.url())]);
    server
}

/// Waits until the relay was asked so often.
async fn asked(relay: &Relay, times: usize) {
    while relay.requests().len() < times {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn key(relay: &Relay) -> SourceKey {
    SourceKey { cluster: prod(), kind: SourceKind::Hubble, name: relay.url().as_str().into() }
}

pub(crate) fn ledger(store: &dyn Store, relay: &Relay) -> Ledger {
    let state = store.source(&key(relay)).unwrap();
    let ledger = state.map(|state| state.ledger).unwrap_or_default();
    assert!(ledger.adds_up(), "{ledger:?}");
    ledger
}

/// Waits until so many messages are in the ledger, those that came before apart.
pub(crate) async fn received(server: &Server, relay: &Relay, messages: u64) -> Ledger {
    loop {
        let ledger = ledger(&*server.app.store, relay);
        if ledger.received - ledger.duplicate >= messages {
            return ledger;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_count_once_over_steps_and_breaks() {
    let relay = Relay::start().await.unwrap();
    let base = now();
    let (store, hands) = (Arc::new(Sqlite::in_memory().unwrap()), Hands::at(base));
    let server = follow(&relay, &store, &hands).await;
    asked(&relay, 1).await;
    hands.turn(100);
    for port in 40_000..40_010 {
        relay.say(packet(base, 1, port, false, SYN));
        relay.say(packet(base, 1, port, true, TcpFlags { ack: true, ..SYN }));
    }
    relay.lose(3);
    let first = received(&server, &relay, 21).await;
    assert_eq!(
        first,
        Ledger {
            received: 21,
            stored: 10,
            duplicate: 0,
            dropped: [(DropReason::LostAtSource, 3), (DropReason::NoConnection, 11)].into(),
        }
    );
    // The relay goes away. The connections are still there, and another comes.
    relay.cut_off();
    for port in 40_000..40_011 {
        relay.say(packet(base, 70, port, false, ACK));
    }
    let second = received(&server, &relay, 32).await;
    assert_eq!((second.received, second.stored, second.duplicate), (32, 21, 0));
    assert_eq!(second.dropped, first.dropped);
    let requests = relay.requests();
    assert!(requests.len() >= 2);
    assert_ne!(requests[0].since, requests[1].since, "{requests:?}");
    assert!(requests.iter().all(|request| request.follow));
    assert_eq!(show(&server.edges()), "shop/Pod/web -> shop/Pod/api TCP/8080: 11/0/0 0+0");
    // In the first minute ten, in the next one the eleventh.
    let edges = server.edges();
    let life = edges[0].counts.last_seen.seconds_since(edges[0].counts.first_seen);
    assert!((68.9..69.1).contains(&life), "{life}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_at_the_end() {
    let relay = Relay::start().await.unwrap();
    let options = Options { step: Duration::from_hours(1), ..Options::default() };
    let server = start(Arc::new(Sqlite::in_memory().unwrap()), options).await;
    server.ingest.relays(&[plain(&relay.url())]);
    asked(&relay, 1).await;
    let base = now();
    relay.say(packet(base, 0, 40_000, false, SYN));
    relay.say(Flow { ip: None, ..packet(base, 0, 40_001, false, SYN) });
    relay.say(Flow { time: None, ..packet(base, 0, 40_001, false, SYN) });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.trigger.request();
    server.ingest.drain().await;
    let ledger = ledger(&*server.app.store, &relay);
    let dropped = [(DropReason::Malformed, 1), (DropReason::NoConnection, 1)].into();
    assert_eq!(ledger, Ledger { received: 3, stored: 1, duplicate: 0, dropped });
    assert_eq!(server.edges().len(), 1);
}

/// Connections outlast the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_counted_is_known_after_a_restart() {
    let relay = Relay::start().await.unwrap();
    let base = now();
    let (store, hands) = (Arc::new(Sqlite::in_memory().unwrap()), Hands::at(base));
    let server = follow(&relay, &store, &hands).await;
    asked(&relay, 1).await;
    hands.turn(100);
    for port in 40_000..40_010 {
        relay.say(packet(base, 1, port, false, SYN));
    }
    received(&server, &relay, 10).await;
    server.stop().await;
    // While the server is away the connections go on, and others begin.
    for port in 40_000..40_015 {
        relay.say(packet(base, 50, port, false, ACK));
    }
    let server = follow(&relay, &store, &hands).await;
    let ledger = received(&server, &relay, 25).await;
    let all = Ledger { received: 35, stored: 25, duplicate: 10, dropped: [].into() };
    assert_eq!(ledger, all);
    assert_eq!(show(&server.edges()), "shop/Pod/web -> shop/Pod/api TCP/8080: 15/0/0 0+0");
    // A relay that starts again has forgotten them; the server has not.
    relay.forget();
    asked(&relay, 3).await;
    for port in 40_000..40_016 {
        relay.say(packet(base, 90, port, false, ACK));
    }
    let ledger = received(&server, &relay, 41).await;
    assert_eq!((ledger.stored, ledger.duplicate), (41, 10));
    assert_eq!(show(&server.edges()), "shop/Pod/web -> shop/Pod/api TCP/8080: 16/0/0 0+0");
    server.stop().await;
}

/// The clock was a day ahead when the relay was first followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_is_followed_when_the_clock_jumps_back() {
    let relay = Relay::start().await.unwrap();
    let base = now();
    let (store, hands) = (Arc::new(Sqlite::in_memory().unwrap()), Hands::at(base));
    hands.turn(86_400);
    let server = follow(&relay, &store, &hands).await;
    asked(&relay, 1).await;
    hands.turn(-86_400);
    asked(&relay, 2).await;
    hands.turn(100);
    relay.say(packet(base, 1, 40_000, false, SYN));
    // Another clock is ahead now: that of a node.
    relay.say(packet(base, 3_600, 40_001, false, SYN));
    let ledger = received(&server, &relay, 2).await;
    let dropped = [(DropReason::OutsideRetention, 1)].into();
    assert_eq!(ledger, Ledger { received: 2, stored: 1, duplicate: 0, dropped });
    server.stop().await;
}

/// What seems to come from the future is not stored, is counted as such, and may come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_counts_twice_when_the_clock_jumps_back() {
    let relay = Relay::start().await.unwrap();
    let base = now();
    let (store, hands) = (Arc::new(Sqlite::in_memory().unwrap()), Hands::at(base));
    let server = follow(&relay, &store, &hands).await;
    asked(&relay, 1).await;
    hands.turn(100);
    for port in 40_000..40_010 {
        relay.say(packet(base, 1, port, false, SYN));
    }
    received(&server, &relay, 10).await;
    hands.turn(-3_600);
    for port in 40_000..40_005 {
        relay.say(packet(base, 50, port, false, ACK));
    }
    received(&server, &relay, 15).await;
    server.stop().await;
    let server = follow(&relay, &store, &hands).await;
    received(&server, &relay, 20).await;
    hands.turn(3_600);
    relay.cut_off();
    let ledger = received(&server, &relay, 25).await;
    let dropped = [(DropReason::OutsideRetention, 10)].into();
    assert_eq!((ledger.stored, ledger.dropped), (15, dropped));
    assert_eq!(show(&server.edges()), "shop/Pod/web -> shop/Pod/api TCP/8080: 10/0/0 0+0");
    server.stop().await;
}
