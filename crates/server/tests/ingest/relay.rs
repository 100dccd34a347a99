//! A Hubble Relay is followed.

use std::sync::Arc;
use std::time::Duration;

use ringfence_proto::flow::{
    Endpoint, Flag, Flow, FlowType, Ip, Layer4, Tcp, TcpFlags, Time, TraceObservationPoint,
    Verdict, Workload, layer4,
};
use ringfence_server::config;
use ringfence_server::ingest::Options;
use ringfence_store::{DropReason, Ledger, SourceKey, SourceKind, Sqlite};
use ringfence_testkit::Relay;

use crate::server::{Server, now, prod, show, start};

/// A packet of a connection between `web` and `api`, some seconds after the beginning.
fn packet(base: u64, second: u64, client_port: u32, reply: bool, flags: TcpFlags) -> Flow {
    let nanos = base + second * 1_000_000_000;
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

const SYN: TcpFlags = TcpFlags { syn: true, fin: false, rst: false, psh: false, ack: false };
const ACK: TcpFlags = TcpFlags { ack: true, syn: false, fin: false, rst: false, psh: false };

async fn follow(relay: &Relay) -> Server {
    let options = Options { step: Duration::from_millis(50), ..Options::default() };
    let server = start(Arc::new(Sqlite::in_memory().unwrap()), options).await;
    let relay = config::Relay { cluster: prod(), address: relay.url(), ca: None, identity: None };
    server.ingest.relays(&[relay]);
    server
}

fn ledger(server: &Server, relay: &Relay) -> Ledger {
    let key =
        SourceKey { cluster: prod(), kind: SourceKind::Hubble, name: relay.url().as_str().into() };
    let state = server.app.store.source(&key).unwrap();
    let ledger = state.map(|state| state.ledger).unwrap_or_default();
    assert!(ledger.adds_up(), "{ledger:?}");
    ledger
}

/// Waits until so many messages are in the ledger.
async fn received(server: &Server, relay: &Relay, messages: u64) -> Ledger {
    loop {
        let ledger = ledger(server, relay);
        if ledger.received >= messages {
            return ledger;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_count_once_over_steps_and_breaks() {
    let relay = Relay::start().await.unwrap();
    let server = follow(&relay).await;
    let base = now();
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
    // Those of the first second are before what is asked for now, except those at that very moment.
    let second = received(&server, &relay, 32).await;
    assert_eq!(second.stored + second.dropped[&DropReason::NoConnection], second.received);
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
    let away = config::Relay { cluster: prod(), address: relay.url(), ca: None, identity: None };
    server.ingest.relays(&[away]);
    let base = now();
    while relay.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    relay.say(packet(base, 1, 40_000, false, SYN));
    relay.say(Flow { ip: None, ..packet(base, 1, 40_001, false, SYN) });
    relay.say(Flow { time: None, ..packet(base, 1, 40_001, false, SYN) });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.trigger.request();
    server.ingest.drain().await;
    let ledger = ledger(&server, &relay);
    let dropped = [(DropReason::Malformed, 1), (DropReason::NoConnection, 1)].into();
    assert_eq!(ledger, Ledger { received: 3, stored: 1, duplicate: 0, dropped });
    assert_eq!(server.edges().len(), 1);
}
