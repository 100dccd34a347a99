//! How fast agents' batches become durable, printed beside the aim: `cargo bench -p ringfence-server --bench ingest`.
//!
//! A storm: a hundred agents come back at once, with thirty thousand records each, over real gRPC into a real file.
//! To see what one core does, run it with `taskset -c 0`; the agents then take their part of that core too.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark may fail")]

#[path = "../tests/ingest/agent.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod agent;

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::{Agent, Record, batch, hello};
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

/// Memory of this process at its most, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

/// Processor time of this process so far.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
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
    let (begun, used) = (Instant::now(), processor());
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
    let (took, used) =
        (begun.elapsed().as_secs_f64(), processor().saturating_sub(used).as_secs_f64());

    let sources = app.store.sources().unwrap();
    let stored: u64 = sources.iter().map(|(_, state)| state.ledger.stored).sum();
    let window = Span::ALL;
    let edges = app.store.edges(&EdgeQuery { cluster, window, namespace: None }).unwrap();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = |seconds: f64| records as f64 / seconds;
    println!("{records} records of {AGENTS} agents, {} MB, {} edges", bytes >> 20, edges.len());
    println!("durable                {:>9.0} records/s", rate(took));
    println!(
        "per core               {:>9.0} records/s   aim 500000   (processor time, agents included)",
        rate(used)
    );
    println!("lost or double         {:>9}             aim 0", records.abs_diff(stored));
    println!("memory at its most     {:>9} MB          aim 1000", peak() >> 20);
    println!("transactions           {:>9}", ingest.stats().commits());
    assert_eq!(stored, records);
}
