//! How fast agents' batches become durable, printed beside the aim: `cargo bench -p ringfence-server --bench ingest`.
//!
//! A storm: a hundred agents come back at once, with thirty thousand records each, over real gRPC into a real file.
//! It keeps to one core, and the agents take their part of that too.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark may fail")]

#[path = "../tests/ingest/agent.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod agent;

use std::sync::Arc;
use std::time::Instant;

use agent::{Agent, Record, batch, hello};
use ringfence_bench::{Aim, Quantity, figure, heading, largest_memory, pin};
use ringfence_inventory::Inventory;
use ringfence_kube::read::Reader;
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{Name, Span};
use ringfence_proto::agent::{Batch, Side};
use ringfence_server::App;
use ringfence_server::cluster::{Sync, SyncOrigin, View};
use ringfence_server::ingest::{Ingest, Options};
use ringfence_server::shutdown::Shutdown;
use ringfence_store::{EdgeQuery, Sqlite};

const AGENTS: usize = 100;
const PODS: usize = 30;
const BATCHES: usize = 6;
const RECORDS: usize = 5_000;

fn ip(node: usize, pod: usize) -> String {
    format!("10.{}.{}.{}", 1 + node / 200, node % 200, 1 + pod)
}

/// A hundred nodes with thirty pods each, of a thousand workloads.
fn objects() -> String {
    let mut items = Vec::new();
    for node in 0..AGENTS {
        items.push(format!(
            r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"node-{node}"}},"status":{{"addresses":[{{"type":"InternalIP","address":"192.168.0.{node}"}}]}}}}"#
        ));
        for pod in 0..PODS {
            let (workload, ip) = ((node * PODS + pod) % 1000, ip(node, pod));
            items.push(format!(
                r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"w{workload}-{node}-{pod}","namespace":"ns-{}","ownerReferences":[{{"apiVersion":"apps/v1","kind":"StatefulSet","name":"w{workload}","controller":true,"uid":"x"}}]}},"spec":{{"nodeName":"node-{node}","containers":[]}},"status":{{"phase":"Running","podIP":"{ip}","podIPs":[{{"ip":"{ip}"}}]}}}}"#,
                workload % 20,
            ));
        }
    }
    format!(r#"{{"apiVersion":"v1","kind":"List","items":[{}]}}"#, items.join(","))
}

/// What an agent has to tell: each of its pods calls a few others and is called, on a few ports.
fn batches(node: usize, base: u64) -> Vec<Batch> {
    (0..BATCHES)
        .map(|n| {
            let records: Vec<_> = (0..RECORDS)
                .map(|r| {
                    let (local, other) =
                        (ip(node, r % PODS), ((node * 7 + r / 3) % AGENTS, r % PODS));
                    let remote = ip(other.0, (other.1 * 11 + r % 5) % PODS);
                    let port = u32::try_from(8000 + r % 3).unwrap();
                    let mut record = Record::client(&local, &remote, port, 1 + r as u64 % 4);
                    if r % 2 == 1 {
                        record.side = Side::Server;
                    }
                    // A minute of intervals of ten seconds.
                    record.start = n as u64 * 10_000_000;
                    record
                })
                .collect();
            batch(n as u64 + 1, base, &records)
        })
        .collect()
}

fn main() {
    // Server and agents share one processor.
    pin(0).unwrap();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(storm());
}

async fn storm() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = Arc::new(Sqlite::open(&path, &ringfence_store::Options::default()).unwrap());
    let app = Arc::new(App::new(store));
    let cluster = Name::new("prod").unwrap();
    let mut reader = Reader::new();
    reader.bytes("objects", objects().as_bytes());
    let (inventory, diagnostics) =
        Inventory::build(reader.finish().objects, &ClusterCidrs::default());
    let sync = Sync { origin: SyncOrigin::Files, kinds: Vec::new() };
    let view = View { inventory: Arc::new(inventory), diagnostics, sync };
    app.cluster_or_new(&cluster).publish(view);
    let (_trigger, shutdown) = Shutdown::new();
    let ingest = Ingest::start(Arc::clone(&app), Options::default(), shutdown).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes =
        axum::Router::new().route_service("/ringfence.agent.v1.Ingest/{method}", ingest.grpc());
    tokio::spawn(axum::serve(listener, routes).into_future());

    let base = u64::try_from(ringfence_server::clock::now().nanos()).unwrap();
    let work: Vec<_> = (0..AGENTS).map(|node| batches(node, base)).collect();
    let bytes: usize = work.iter().flatten().map(|batch| batch.body.len()).sum();
    let records = (AGENTS * BATCHES * RECORDS) as u64;
    let begun = Instant::now();
    let mut agents = tokio::task::JoinSet::new();
    for (node, batches) in work.into_iter().enumerate() {
        agents.spawn(async move {
            let hello = hello(&format!("node-{node}"), 1);
            let mut agent = Agent::connect(address, hello).await.unwrap();
            for batch in batches {
                agent.send(batch).await.unwrap();
            }
            agent.acknowledged(BATCHES as u64).await.unwrap();
        });
    }
    agents.join_all().await;
    let took = begun.elapsed().as_secs_f64();

    let sources = app.store.sources().unwrap();
    let stored: u64 = sources.iter().map(|(_, state)| state.ledger.stored).sum();
    let window = Span::ALL;
    let edges = app.store.edges(&EdgeQuery { cluster, window, namespace: None }).unwrap();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = records as f64 / took;
    println!("{records} records of {AGENTS} agents, {} MB, {} edges", bytes >> 20, edges.len());
    heading("agents that come back at once, with the server on one core");
    figure("records durable", Quantity::Rate(rate), Aim::AtLeast(Quantity::Rate(500_000.0)));
    let wrong = Quantity::Count(records.abs_diff(stored));
    figure("records lost or double", wrong, Aim::AtMost(Quantity::Count(0)));
    let memory = Quantity::Memory(largest_memory().unwrap());
    figure("memory at its most", memory, Aim::AtMost(Quantity::Memory(1_000_000_000)));
    figure("transactions", Quantity::Count(ingest.stats().commits()), Aim::None);
    assert_eq!(stored, records);
}
