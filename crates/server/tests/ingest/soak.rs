//! A server whose disk stalls again and again, under load for as long as one likes:
//! `cargo nextest run -p ringfence-server --test ingest --run-ignored only -E 'test(soak)' --no-capture`,
//! with `RINGFENCE_SOAK_SECONDS` seconds, 60 by default.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringfence_server::ingest::Options;
use ringfence_store::Sqlite;
use ringfence_testkit::Relay;
use tokio::task::JoinSet;

use crate::agent::{Agent, Record, batch, hello};
use crate::relay::{SYN, packet_at, plain};
use crate::server::{now, start};
use crate::stalled::Stalled;

const DATABASE: &str = "RINGFENCE_TEST_DATABASE";
const RELAY: &str = "RINGFENCE_TEST_RELAY";
const SECONDS: &str = "RINGFENCE_SOAK_SECONDS";
const AGENTS: u64 = 20;

/// What may wait to be stored, and all that the server may take.
const QUEUE: usize = 32 << 20;
const MEMORY: u64 = 256 << 20;

/// Not a test but the server of the test below, in a process of its own so that its memory can be told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the server of the other test"]
async fn victim() {
    let (Ok(database), Ok(relay)) = (std::env::var(DATABASE), std::env::var(RELAY)) else { return };
    let disk = Arc::new(Mutex::new(()));
    let store = Sqlite::open(Path::new(&database), &ringfence_store::Options::default()).unwrap();
    let stalled = Stalled { store, disk: Arc::clone(&disk) };
    std::thread::spawn(move || {
        loop {
            let held = disk.lock().unwrap();
            std::thread::sleep(Duration::from_secs(4));
            drop(held);
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    let options = Options { queue: QUEUE, step: Duration::from_secs(1), ..Options::default() };
    let server = start(Arc::new(stalled), options).await;
    server.ingest.relays(&[plain(&relay)]);
    println!("\nlistens on {}", server.address);
    std::future::pending::<()>().await;
}

fn spawn(database: &Path, relay: &Relay) -> (Child, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "soak::victim", "--ignored", "--nocapture"])
        .env(DATABASE, database)
        .env(RELAY, relay.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("listens on ").map(|address| address.parse().unwrap()));
    (child, address.unwrap())
}

/// Bytes of memory that a process has now.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Sends as fast as it may until it is aborted.
async fn agent(n: u64, address: SocketAddr) {
    let mut agent = Agent::connect(address, hello(&format!("n{n}"), 1)).await.unwrap();
    let most = u64::from(agent.welcome.max_unacknowledged);
    for sequence in 1.. {
        // Of some edges there is one more in every batch.
        let records: Vec<_> = (0..2_000)
            .map(|r| {
                let remote = format!("203.0.{}.{}", (r + sequence) % 16, r % 250);
                Record::client(&format!("10.9.{n}.1"), &remote, 443, 1)
            })
            .collect();
        agent.send(batch(sequence, now(), &records)).await.unwrap();
        agent.acknowledged(sequence.saturating_sub(most)).await.unwrap();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as one likes"]
async fn soak_memory_stays_bounded_while_the_disk_stalls() {
    let seconds = std::env::var(SECONDS).map_or(60, |seconds| seconds.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let relay = Arc::new(Relay::start().await.unwrap());
    let (mut child, address) = spawn(&directory.path().join("store.db"), &relay);
    let mut load = JoinSet::new();
    for n in 0..AGENTS {
        load.spawn(agent(n, address));
    }
    let nodes = Arc::clone(&relay);
    load.spawn(async move {
        for port in (1_024..60_000).cycle() {
            nodes.say(packet_at(now(), port, false, SYN));
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    });
    let (begun, mut most) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        most = most.max(memory(child.id()));
    }
    load.shutdown().await;
    child.kill().unwrap();
    child.wait().unwrap();
    println!("after {seconds} s: {} MB at most", most >> 20);
    assert!(most < MEMORY, "{most} bytes");
}
