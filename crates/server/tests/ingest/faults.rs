//! What can go wrong, and how each ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use ringfence_model::Name;
use ringfence_proto::agent::ingest_client::IngestClient;
use ringfence_proto::agent::{AgentMessage, Hello, agent_message};
use ringfence_server::ingest::{AgentIdentity, Options};
use ringfence_store::{DropReason, Ledger, Sqlite};
use tonic::Code;

use crate::agent::{Agent, Record, batch, channel, hello};
use crate::server::{GRPC, Hands, now, prod, start, start_by};
use crate::stalled::Stalled;

fn store() -> Arc<Sqlite> {
    Arc::new(Sqlite::in_memory().unwrap())
}

fn one() -> [Record; 1] {
    [Record::client("10.0.1.1", "10.0.2.1", 8080, 1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_does_not_fit_is_refused() {
    let options = Options { new_clusters: false, ..Options::default() };
    let server = start(store(), options).await;
    let cases = [
        (Hello { protocol_version: 2, ..hello("n1", 1) }, Code::FailedPrecondition),
        (Hello { node: "../n1".into(), ..hello("n1", 1) }, Code::InvalidArgument),
        (Hello { cluster: String::new(), ..hello("n1", 1) }, Code::InvalidArgument),
        (Hello { cluster: "other".into(), ..hello("n1", 1) }, Code::InvalidArgument),
        (Hello { machine: 7, ..hello("n1", 1) }, Code::Unimplemented),
    ];
    for (hello, code) in cases {
        let refused = Agent::connect(server.address, hello.clone()).await.err().unwrap();
        assert_eq!(refused.code(), code, "{hello:?}: {refused:?}");
    }
    let mut client = IngestClient::new(channel(server.address).await.unwrap());
    let no_hello = AgentMessage { kind: Some(agent_message::Kind::Batch(batch(1, now(), &one()))) };
    let refused = client.stream(futures::stream::iter([no_hello])).await.err().unwrap();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(server.ingest.stats().streams(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_writes_for_its_own_node_only() {
    let app = Arc::new(ringfence_server::App::new(store()));
    let (_trigger, shutdown) = ringfence_server::shutdown::Shutdown::new();
    let ingest =
        ringfence_server::ingest::Ingest::start(Arc::clone(&app), Options::default(), shutdown)
            .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // As the certificate of a TLS connection would say.
    let certified = AgentIdentity { cluster: prod(), node: Name::new("n1").unwrap() };
    let routes = Router::new().route_service(GRPC, ingest.grpc()).layer(axum::Extension(certified));
    tokio::spawn(axum::serve(listener, routes).into_future());
    let refused = Agent::connect(address, hello("n2", 1)).await.err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(Agent::connect(address, hello("n1", 1)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_cannot_be_read_is_counted_and_not_sent_again() {
    let server = start(store(), Options::default()).await;
    let mut agent = Agent::connect(server.address, hello("n1", 1)).await.unwrap();
    let base = now();
    let mut garbage = batch(1, base, &one());
    garbage.body = vec![0xff; 40].into();
    garbage.records = 12;
    let mut short = batch(2, base, &one());
    short.records = 2;
    let mut odd = vec![Record::client("10.0.1.1", "10.0.2.1", 0, 1)];
    odd.push(Record { protocol: 47, ..odd[0].clone() });
    odd.push(Record { refused: 2, ..one()[0].clone() });
    odd.extend(one());
    for batch in [garbage, short, batch(3, base, &odd)] {
        agent.send(batch).await.unwrap();
    }
    agent.acknowledged(3).await.unwrap();
    let dropped = [(DropReason::Malformed, 12 + 2 + 3)].into();
    assert_eq!(
        server.ledger("n1"),
        Ledger { received: 12 + 2 + 4, stored: 1, duplicate: 0, dropped }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_that_breaks_the_rules_ends_the_stream() {
    let server = start(store(), Options::default()).await;
    let base = now();
    let repeated = batch(4, base, &one());
    let mut boastful = batch(5, base, &one());
    boastful.records = 1_000_000;
    let mut large = batch(6, base, &one());
    large.body = vec![0; 100 << 20].into();
    for bad in [repeated, boastful, large] {
        let mut agent = Agent::connect(server.address, hello("n1", 1)).await.unwrap();
        agent.send(batch(4, base, &one())).await.unwrap();
        agent.acknowledged(4).await.unwrap();
        agent.send(bad).await.unwrap();
        let end = agent.end().await;
        assert_eq!(end.code(), Code::InvalidArgument, "{end:?}");
    }
    server.ingest.drain().await;
    assert_eq!(server.ledger("n1").stored, 1);
    // The server is as it was.
    let mut agent = Agent::connect(server.address, hello("n1", 1)).await.unwrap();
    agent.send(batch(7, base, &one())).await.unwrap();
    agent.acknowledged(7).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_a_clock_that_jumped_are_not_stored() {
    let hour = Duration::from_hours(1);
    let options = Options { retention: Some(hour), ..Options::default() };
    let server = start(store(), options).await;
    let mut agent = Agent::connect(server.address, hello("n1", 1)).await.unwrap();
    let nanos = u64::try_from(hour.as_nanos()).unwrap();
    let (past, now, future) = (now() - 2 * nanos, now(), now() + nanos);
    for (sequence, base) in [(1, past), (2, now), (3, future), (4, 0), (5, u64::MAX)] {
        agent.send(batch(sequence, base, &one())).await.unwrap();
    }
    agent.acknowledged(5).await.unwrap();
    let dropped = [(DropReason::OutsideRetention, 3), (DropReason::Malformed, 1)].into();
    assert_eq!(server.ledger("n1"), Ledger { received: 5, stored: 1, duplicate: 0, dropped });
}

/// The clock of the server itself: batches seem to come from the future, and go; or from the past, and stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_servers_clock_jumps_what_is_dropped_is_counted() {
    let base = now();
    let hands = Hands::at(base);
    let options = Options { retention: Some(Duration::from_hours(48)), ..Options::default() };
    let server = start_by(store(), options, hands.clock()).await;
    let mut agent = Agent::connect(server.address, hello("n1", 1)).await.unwrap();
    // An hour back, an hour and a day forward, to a week ahead, and to where it was.
    for (sequence, seconds) in [(1, -3_600), (2, 90_000), (3, 604_800), (4, -691_200)] {
        hands.turn(seconds);
        agent.send(batch(sequence, base, &one())).await.unwrap();
        agent.acknowledged(sequence).await.unwrap();
    }
    let dropped = [(DropReason::OutsideRetention, 2)].into();
    assert_eq!(server.ledger("n1"), Ledger { received: 4, stored: 2, duplicate: 0, dropped });
}

/// Which nodes have an agent is a matter of how long ago it was heard, whatever the clock says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_servers_clock_jumps_agents_are_known_as_long_as_they_should() {
    // From `web` on n1 to `api` on n2, as the agent of n2 tells it.
    let from_web = [Record::server("10.0.2.1", "10.0.1.1", 8080, 1)];
    let presence = Duration::from_millis(300);
    for (jump, wait, known) in [
        (0, Duration::ZERO, true),
        (86_400, Duration::ZERO, true),
        (-3_600, Duration::ZERO, true),
        (-3_600, 2 * presence, false),
    ] {
        let base = now();
        let hands = Hands::at(base);
        let ahead = Duration::from_hours(2);
        let options = Options { presence, ahead, ..Options::default() };
        let server = start_by(store(), options, hands.clock()).await;
        let mut other = Agent::connect(server.address, hello("n2", 1)).await.unwrap();
        drop(Agent::connect(server.address, hello("n1", 1)).await.unwrap());
        hands.turn(jump);
        tokio::time::sleep(wait).await;
        other.send(batch(1, base, &from_web)).await.unwrap();
        other.acknowledged(1).await.unwrap();
        let counts = server.edges()[0].counts;
        let sides = (counts.server.opened, counts.alone.opened);
        assert_eq!(sides, if known { (1, 0) } else { (0, 1) }, "{jump} s, {wait:?}");
    }
}

/// While the disk stalls, the queue fills to its limit, agents wait, and nothing is acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_stalls_makes_agents_wait() {
    let disk = Arc::new(Mutex::new(()));
    let stalled = Stalled { store: Sqlite::in_memory().unwrap(), disk: Arc::clone(&disk) };
    let options = Options { queue: 256 << 10, ..Options::default() };
    let server = start(Arc::new(stalled), options).await;
    let (send, held) = std::sync::mpsc::channel::<()>();
    let (ready, is_held) = tokio::sync::oneshot::channel();
    let holder = std::thread::spawn(move || {
        let _disk = disk.lock().unwrap();
        ready.send(()).unwrap();
        held.recv().unwrap();
    });
    is_held.await.unwrap();
    let base = now();
    let records: Vec<_> = (0..500).map(|_| one()[0].clone()).collect();
    let mut agents = tokio::task::JoinSet::new();
    for n in 0..8u64 {
        let (address, records) = (server.address, records.clone());
        agents.spawn(async move {
            let mut agent = Agent::connect(address, hello(&format!("n{n}"), 1)).await.unwrap();
            for sequence in 1..=60 {
                agent.send(batch(sequence, base, &records)).await.unwrap();
            }
            agent.acknowledged(60).await.unwrap();
        });
    }
    let stats = server.ingest.stats();
    let mut most = 0;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        most = most.max(stats.queued_bytes());
    }
    assert_eq!(stats.batches(), 0, "acknowledged what is not stored");
    assert!((128 << 10..=256 << 10).contains(&most), "{most} bytes queued");
    send.send(()).unwrap();
    agents.join_all().await;
    holder.join().unwrap();
    server.ingest.drain().await;
    for n in 0..8 {
        assert_eq!(server.ledger(&format!("n{n}")).stored, 60 * 500);
    }
    assert_eq!(server.ingest.stats().queued_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_acknowledges_nothing_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let limited =
        ringfence_store::Options { limit: Some(400 << 10), ..ringfence_store::Options::default() };
    let store = Arc::new(Sqlite::open(&path, &limited).unwrap());
    let server = start(store, Options::default()).await;
    let base = now();
    // Every batch has edges of its own, so that the store grows.
    let records = |sequence: u64| -> Vec<Record> {
        (0..200u32)
            .map(|n| {
                let remote = format!("203.0.{sequence}.{n}");
                Record::client("10.0.1.1", &remote, 443, 1)
            })
            .collect()
    };
    let mut agent = Agent::connect(server.address, hello("n1", 1)).await.unwrap();
    let mut stored = 0;
    let fault = loop {
        agent.send(batch(stored + 1, base, &records(stored + 1))).await.unwrap();
        match agent.acknowledged(stored + 1).await {
            Ok(()) => stored += 1,
            Err(fault) => break fault,
        }
        assert!(stored < 200, "the disk is never full");
    };
    assert_eq!(fault.code(), Code::ResourceExhausted, "{fault:?}");
    assert!(stored > 0);
    assert_eq!(server.ledger("n1").stored, stored * 200);
    assert_eq!(server.ingest.stats().failed_commits(), 1);
    // It still answers, and says what is stored.
    let mut again = Agent::connect(server.address, hello("n1", 1)).await.unwrap();
    assert_eq!(again.welcome.last_sequence, stored);
    again.send(batch(stored + 1, base, &records(stored + 1))).await.unwrap();
    assert_eq!(again.acknowledged(stored + 1).await.unwrap_err().code(), Code::ResourceExhausted);
    server.stop().await;
    // With room again it goes on where it stopped.
    let room = loop {
        match Sqlite::open(&path, &ringfence_store::Options::default()) {
            Ok(store) => break store,
            // The old server still lets go of its file.
            Err(ringfence_store::StoreError::InUse { .. }) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(fault) => panic!("{fault}"),
        }
    };
    let server = start(Arc::new(room), Options::default()).await;
    let mut agent = Agent::connect(server.address, hello("n1", 1)).await.unwrap();
    assert_eq!(agent.welcome.last_sequence, stored);
    agent.send(batch(stored + 1, base, &records(stored + 1))).await.unwrap();
    agent.acknowledged(stored + 1).await.unwrap();
    assert_eq!(server.ledger("n1").stored, (stored + 1) * 200);
}

/// Acknowledgements that nobody reads take no memory, and everything is stored all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_reads_nothing_is_served() {
    let server = start(store(), Options::default()).await;
    let agent = Agent::connect(server.address, hello("n1", 1)).await.unwrap();
    let base = now();
    for sequence in 1..=2_000 {
        agent.send(batch(sequence, base, &one())).await.unwrap();
    }
    assert_eq!(agent.finish().await.code(), Code::Ok);
    assert_eq!(server.ledger("n1").stored, 2_000);
}
