//! The server is killed again and again while agents send, and agents send again what was not acknowledged.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringfence_server::ingest::Options;
use ringfence_store::Ledger;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::agent::{Agent, Record, batch, hello};
use crate::server::{edges, ledger, now, open, start};

const DATABASE: &str = "RINGFENCE_TEST_DATABASE";
const KILLS: usize = 50;
const AGENTS: u64 = 4;

/// Not a test but the server of the test below, in a process of its own so that it can be killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the server that the other test kills"]
async fn victim() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let server = start(open(Path::new(&database)), Options::default()).await;
    println!("\nlistens on {}", server.address);
    std::future::pending::<()>().await;
}

/// Starts the server, and says where it listens.
fn spawn(database: &Path) -> (Child, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::victim", "--ignored", "--nocapture"])
        .env(DATABASE, database)
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

/// Sends until it is told to stop, and all it ever sent is acknowledged. Gives the number of batches.
async fn agent(
    n: u64,
    mut address: watch::Receiver<Option<SocketAddr>>,
    stop: watch::Receiver<bool>,
    acknowledged: Arc<AtomicU64>,
) -> u64 {
    let base = now();
    let records: Vec<_> = (0..20)
        .map(|r| Record::client(&format!("10.9.{n}.1"), "10.0.2.1", 8000 + r, 1 + u64::from(r)))
        .collect();
    let (mut made, mut done) = (0, 0);
    loop {
        let Some(server) = *address.borrow_and_update() else {
            address.changed().await.unwrap();
            continue;
        };
        let Ok(mut agent) = Agent::connect(server, hello(&format!("n{n}"), n)).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        assert!(agent.welcome.last_sequence >= done, "acknowledged batches are gone");
        // Now and then without looking at what the server has, as after a lost answer.
        let mut next = if made % 2 == 0 { agent.welcome.last_sequence } else { done } + 1;
        done = agent.welcome.last_sequence;
        loop {
            made = made.max(next);
            if agent.send(batch(next, base, &records)).await.is_err() {
                break;
            }
            if *stop.borrow() && next == made {
                if agent.acknowledged(made).await.is_ok() {
                    return made;
                }
                break;
            }
            if next >= done + 8 {
                let Ok(sequence) = agent.next().await else { break };
                acknowledged.fetch_add(sequence - done, Ordering::Relaxed);
                done = sequence;
            }
            next += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_again_and_again_loses_and_doubles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("store.db");
    let (tell, address) = watch::channel(None);
    let (stop, stopped) = watch::channel(false);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut agents = JoinSet::new();
    for n in 0..AGENTS {
        let (address, stopped) = (address.clone(), stopped.clone());
        let acknowledged = Arc::clone(&acknowledged);
        agents.spawn(async move { (n, agent(n, address, stopped, acknowledged).await) });
    }
    for kill in 0..KILLS {
        let (mut child, server) = spawn(&database);
        let before = acknowledged.load(Ordering::Relaxed);
        tell.send(Some(server)).unwrap();
        // Killed in the midst of the work: some time after something is acknowledged.
        while acknowledged.load(Ordering::Relaxed) == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(700 * (kill as u64 % 11))).await;
        tell.send(None).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (mut child, server) = spawn(&database);
    tell.send(Some(server)).unwrap();
    stop.send(true).unwrap();
    let sent = agents.join_all().await;
    child.kill().unwrap();
    child.wait().unwrap();

    let store = open(&database);
    let mut batches = 0;
    for (n, sent) in sent {
        let Ledger { received, stored, duplicate, dropped } = ledger(&*store, &format!("n{n}"));
        assert_eq!(stored, 20 * sent);
        assert_eq!(received, stored + duplicate);
        assert!(dropped.is_empty(), "{dropped:?}");
        batches += sent;
    }
    let forwarded: u64 = edges(&*store).iter().map(|e| e.counts.evidence().forwarded).sum();
    assert_eq!(forwarded, batches * (1..=20).sum::<u64>());
}
