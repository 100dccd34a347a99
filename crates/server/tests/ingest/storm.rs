//! What comes out of what agents send.

use std::sync::Arc;

use ringfence_proto::agent::{Loss, LossReason};
use ringfence_server::ingest::Options;
use ringfence_store::{DropReason, Ledger, SourceKind, Sqlite};
use tokio::task::JoinSet;

use crate::agent::{Agent, Record, batch, body, hello};
use crate::server::{now, show, start};

use prost::Message as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_a_connection_count_once() {
    let server = start(Arc::new(Sqlite::in_memory().unwrap()), Options::default()).await;
    let base = now();
    let mut one = Agent::connect(server.address, hello("n1", 1)).await.unwrap();
    let mut two = Agent::connect(server.address, hello("n2", 1)).await.unwrap();
    let dialled = Some(("10.96.0.1".parse().unwrap(), 80));
    let refused = Record { refused: 2, ..Record::client("10.0.1.1", "10.0.2.1", 9090, 2) };
    let ping = Record { protocol: 1, ..Record::client("10.0.1.1", "10.0.2.1", 0, 5) };
    let probe = Record::server("10.0.2.1", "192.168.0.2", 8080, 3);
    let denied = Record { denied: 4, ..Record::server("10.0.2.1", "10.0.1.1", 9091, 0) };
    let from_client = [
        Record { dialled, ..Record::client("10.0.1.1", "10.0.2.1", 8080, 7) },
        refused,
        ping,
        Record::client("10.0.1.1", "10.0.2.1", 9091, 4),
        Record::client("10.0.1.1", "203.0.113.9", 443, 1),
        // Where the client's node does not translate, only the dialled address is seen.
        Record::client("10.0.1.1", "10.96.0.1", 80, 2),
        Record { opened: 0, bytes: (0, 0), ..Record::client("10.0.1.1", "10.0.2.1", 1, 0) },
    ];
    one.send(batch(1, base, &from_client)).await.unwrap();
    let from_server = [Record::server("10.0.2.1", "10.0.1.1", 8080, 9), probe, denied];
    two.send(batch(1, base, &from_server)).await.unwrap();
    one.acknowledged(1).await.unwrap();
    two.acknowledged(1).await.unwrap();
    insta::assert_snapshot!(show(&server.edges()), @r"
    shop/Pod/web -> shop/Pod/api TCP/8080: 9/0/0 200+2000 via shop/api:80
    shop/Pod/web -> shop/Pod/api TCP/9090: 2/0/2 100+1000
    shop/Pod/web -> shop/Pod/api TCP/9091: 0/4/0 100+1000
    shop/Pod/web -> shop/Pod/api ICMP: 5/0/0 100+1000
    shop/Pod/web -> 203.0.113.9 TCP/443: 1/0/0 100+1000
    Node/n2 -> shop/Pod/api TCP/8080: 3/0/0 100+1000
    ");
    let dropped = [(DropReason::NoConnection, 1)].into();
    assert_eq!(server.ledger("n1"), Ledger { received: 7, stored: 6, duplicate: 0, dropped },);
    assert_eq!(server.ledger("n2").stored, 3);
    assert_eq!(server.ingest.stats().counts(SourceKind::Agent).stored, 9);
    assert_eq!(server.ingest.stats().queued(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_counts_once() {
    let server = start(Arc::new(Sqlite::in_memory().unwrap()), Options::default()).await;
    let base = now();
    let records = [Record::client("10.0.1.1", "10.0.2.1", 8080, 1)];
    let mut agent = Agent::connect(server.address, hello("n1", 7)).await.unwrap();
    assert_eq!(agent.welcome.last_sequence, 0);
    for sequence in 1..=3 {
        agent.send(batch(sequence, base, &records)).await.unwrap();
    }
    agent.acknowledged(3).await.unwrap();
    // The agent missed the acknowledgements.
    let mut again = Agent::connect(server.address, hello("n1", 7)).await.unwrap();
    assert_eq!(again.welcome.last_sequence, 3);
    assert_eq!(agent.end().await.code(), tonic::Code::Aborted);
    for sequence in 2..=5 {
        again.send(batch(sequence, base, &records)).await.unwrap();
    }
    again.acknowledged(5).await.unwrap();
    // An older incarnation comes back with its spool.
    let mut anew = Agent::connect(server.address, hello("n1", 8)).await.unwrap();
    assert_eq!(anew.welcome.last_sequence, 0);
    anew.send(batch(1, base, &records)).await.unwrap();
    anew.acknowledged(1).await.unwrap();
    let mut old = Agent::connect(server.address, hello("n1", 7)).await.unwrap();
    for sequence in 4..=6 {
        old.send(batch(sequence, base, &records)).await.unwrap();
    }
    old.acknowledged(6).await.unwrap();
    assert_eq!(
        server.ledger("n1"),
        Ledger { received: 11, stored: 7, duplicate: 4, dropped: [].into() }
    );
    assert_eq!(server.edges()[0].counts.evidence().forwarded, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_incarnation_is_known_after_a_restart() {
    let store = Arc::new(Sqlite::in_memory().unwrap());
    let records = [Record::client("10.0.1.1", "10.0.2.1", 8080, 1)];
    let base = now();
    for incarnation in [1, 2, 1] {
        let server = start(Arc::clone(&store) as _, Options::default()).await;
        let mut agent = Agent::connect(server.address, hello("n1", incarnation)).await.unwrap();
        for sequence in 1..=3 {
            agent.send(batch(sequence, base, &records)).await.unwrap();
        }
        agent.acknowledged(3).await.unwrap();
        server.trigger.request();
        assert_eq!(agent.end().await.code(), tonic::Code::Unavailable);
        server.stop().await;
    }
    let ledger = crate::server::ledger(&*store, "n1");
    assert_eq!(ledger, Ledger { received: 9, stored: 6, duplicate: 3, dropped: [].into() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_agents_lost_is_told_by_reason() {
    let server = start(Arc::new(Sqlite::in_memory().unwrap()), Options::default()).await;
    let mut agent = Agent::connect(server.address, hello("n1", 1)).await.unwrap();
    let losses = vec![
        Loss { reason: LossReason::MapFull.into(), count: 3 },
        Loss { reason: LossReason::SpoolFull.into(), count: 4 },
        Loss { reason: 77, count: 5 },
    ];
    let mut batch = batch(1, now(), &[]);
    batch.body = body(now(), &[], losses).encode_to_vec().into();
    agent.send(batch).await.unwrap();
    agent.acknowledged(1).await.unwrap();
    assert_eq!(server.ledger("n1").dropped, [(DropReason::LostAtSource, 12)].into());
    let losses: Vec<_> = server.ingest.stats().losses().filter(|(_, n)| *n > 0).collect();
    assert_eq!(
        losses,
        [(LossReason::Unspecified, 5), (LossReason::MapFull, 3), (LossReason::SpoolFull, 4)]
    );
}

/// Many agents come back at once, each with much to tell, and some of it twice. The benchmark does the same with
/// three million records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_agents_loses_and_doubles_nothing() {
    const AGENTS: u64 = 40;
    const BATCHES: u64 = 6;
    const RECORDS: u64 = 50;
    let options = Options { queue: 64 << 10, ..Options::default() };
    let server = start(Arc::new(Sqlite::in_memory().unwrap()), options).await;
    let base = now();
    let mut agents = JoinSet::new();
    for n in 0..AGENTS {
        let address = server.address;
        agents.spawn(async move {
            let records: Vec<_> = (0..RECORDS)
                .map(|r| {
                    let port = u32::try_from(8000 + r % 7).unwrap();
                    Record::client(&format!("10.9.{n}.1"), "10.0.2.1", port, 1 + r % 3)
                })
                .collect();
            let node = format!("node-{n}");
            // Breaks off in the middle without reading acknowledgements, and begins again from the start.
            let broken = Agent::connect(address, hello(&node, n)).await.unwrap();
            for sequence in 1..=BATCHES / 2 {
                broken.send(batch(sequence, base, &records)).await.unwrap();
            }
            drop(broken);
            let mut agent = Agent::connect(address, hello(&node, n)).await.unwrap();
            for sequence in 1..=BATCHES {
                agent.send(batch(sequence, base, &records)).await.unwrap();
            }
            agent.acknowledged(BATCHES).await.unwrap();
        });
    }
    agents.join_all().await;
    server.ingest.drain().await;
    let each: u64 = (0..RECORDS).map(|r| 1 + r % 3).sum();
    let forwarded: u64 = server.edges().iter().map(|e| e.counts.evidence().forwarded).sum();
    assert_eq!(forwarded, AGENTS * BATCHES * each);
    for n in 0..AGENTS {
        let ledger = server.ledger(&format!("node-{n}"));
        assert_eq!(ledger.stored, BATCHES * RECORDS);
        assert!(ledger.received <= BATCHES * RECORDS * 3 / 2, "{ledger:?}");
    }
    let sources = server.app.store.sources().unwrap();
    assert_eq!(sources.len() as u64, AGENTS);
    assert_eq!(server.ingest.stats().queued_bytes(), 0);
}
