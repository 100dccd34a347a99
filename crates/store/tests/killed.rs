//! A process that is killed loses nothing that it acknowledged, and counts nothing twice.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ringfence_model::Timestamp;
use ringfence_store::{
    Advance, Arrivals, Ledger, Options, Retention, SourceKey, SourceKind, Sqlite, Store,
};
use support::answers::all;
use support::{at, counted, name, tcp, workload};

const KILLS: u64 = 50;
const FILE: &str = "RINGFENCE_TEST_KILLED";

fn source() -> SourceKey {
    SourceKey { cluster: name("prod"), kind: SourceKind::Agent, name: "node-1".into() }
}

fn moment(sequence: u64) -> Timestamp {
    Timestamp::from_nanos(
        at("2026-03-02T00:00:00Z").nanos() + sequence.cast_signed() * 60_000_000_000,
    )
}

/// Batch n counts n connections on one edge and 1 on each of a hundred others.
fn batch(sequence: u64) -> Arrivals {
    let key = |port| tcp(workload("shop/web"), workload("shop/cart"), port);
    let mut edges = vec![counted(moment(sequence), key(1), sequence)];
    let others = (1..=100).map(|n| 2 + u16::try_from((sequence * 7 + n) % 1_000).unwrap());
    edges.extend(others.map(|port| counted(moment(sequence), key(port), 1)));
    let records = sequence + 100;
    let ledger = Ledger { received: records, stored: records, ..Ledger::default() };
    let advance =
        Advance { source: source(), incarnation: 7, sequence, at: moment(sequence), ledger };
    Arrivals { edges, advances: vec![advance], ..Arrivals::default() }
}

/// Records one batch after the other, and says so, until it is killed. Does nothing but in the other process.
#[test]
fn record_until_killed() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let store = Sqlite::open(Path::new(&path), &Options::default()).unwrap();
    let done = store.source(&source()).unwrap().map_or(0, |state| state.sequence);
    let retention = Retention { minutes_for: Duration::from_hours(1), ..Retention::default() };
    for sequence in done + 1.. {
        store.record(&batch(sequence)).unwrap();
        println!("acknowledged {sequence}");
        std::io::stdout().flush().unwrap();
        if sequence % 16 == 0 {
            store.maintain(moment(sequence), &retention).unwrap();
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_once() {
    let seed = std::env::var("RINGFENCE_TEST_SEED")
        .map_or_else(|_| RandomState::new().hash_one(0), |text| text.parse().unwrap());
    println!("RINGFENCE_TEST_SEED={seed}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let delay = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default()
            .hash_one((seed, kill))
            % 40_000;
        acknowledged = acknowledged.max(run_and_kill(&path, Duration::from_micros(delay)));
        let store = Sqlite::open(&path, &Options::default()).unwrap();
        let state = store.source(&source()).unwrap().unwrap();
        let stored = state.sequence;
        // The last one may have been stored without a chance to say so.
        assert!((acknowledged..=acknowledged + 1).contains(&stored), "{stored}, {acknowledged}");
        let edges = store.edges(&all(name("prod"))).unwrap();
        let sum: u64 = edges.iter().map(|edge| edge.counts.alone.opened).sum();
        assert_eq!(edges[0].counts.alone.opened, stored * (stored + 1) / 2);
        assert_eq!(sum, state.ledger.stored);
        assert_eq!(sum, stored * (stored + 1) / 2 + 100 * stored);
        assert!(state.ledger.adds_up());
    }
    assert!(acknowledged > KILLS, "{acknowledged} batches are too few to tell");
}

/// Kills the other process some time after its first acknowledgement, and returns the last one.
fn run_and_kill(path: &Path, delay: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "record_until_killed", "--nocapture"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (said, heard) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in lines {
            let line = line.unwrap();
            if let Some((_, sequence)) = line.split_once("acknowledged ") {
                said.send(sequence.parse::<u64>().unwrap()).unwrap();
            }
        }
    });
    let first = heard.recv_timeout(Duration::from_secs(20)).unwrap();
    thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    heard.try_iter().last().unwrap_or(first)
}
