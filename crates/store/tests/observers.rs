//! Who observed: of edges, by sources, and in files from before it was stored.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::time::Duration;

use ringfence_model::{ObserverKind, Observers, Span, Timestamp};
use ringfence_store::{
    Arrivals, Counted, Loss, LossReason, Options, Presence, Retention, SourceKey, SourceKind,
    Sqlite, Store,
};
use rusqlite::Connection;
use support::answers::all;
use support::{at, counted, name, tcp, workload};

fn observed(moment: &str, observers: Observers) -> Counted {
    let key = tcp(workload("shop/web"), workload("shop/cart"), 80);
    let mut counted = counted(at(moment), key, 1);
    counted.counts.observers = observers;
    counted
}

fn source(node: &str) -> SourceKey {
    SourceKey { cluster: name("prod"), kind: SourceKind::Agent, name: node.into() }
}

fn span(from: &str, until: &str) -> Span {
    Span { from: at(from), until: at(until) }
}

fn presence(from: &str, until: &str) -> Presence {
    let blind = vec!["refused UDP".to_owned()];
    let observer = ObserverKind::AgentConntrack;
    Presence { source: source("a"), span: span(from, until), observer, blind }
}

fn record(store: &Sqlite, presences: Vec<Presence>, losses: Vec<Loss>) {
    store.record(&Arrivals { presences, losses, ..Arrivals::default() }).unwrap();
}

#[test]
fn observers_of_a_bucket_and_of_a_window_come_together() {
    let store = Sqlite::in_memory().unwrap();
    let ebpf = Observers::reported_by(ObserverKind::AgentEbpf).at_client(ObserverKind::AgentEbpf);
    let conntrack = Observers::reported_by(ObserverKind::AgentConntrack);
    let server = Observers::NONE.at_server(ObserverKind::Hubble);
    for (moment, observers) in [
        ("2026-03-02T10:00:01Z", ebpf),
        ("2026-03-02T10:00:02Z", conntrack),
        ("2026-03-02T12:00:00Z", server),
    ] {
        let edges = vec![observed(moment, observers)];
        store.record(&Arrivals { edges, ..Arrivals::default() }).unwrap();
    }
    let of = |window| {
        let query = ringfence_store::EdgeQuery { window, ..all(name("prod")) };
        store.edges(&query).unwrap()[0].counts.observers
    };
    assert_eq!(of(Span::ALL), ebpf.with(conntrack).with(server));
    let first = span("2026-03-02T10:00:00Z", "2026-03-02T10:01:00Z");
    assert_eq!(of(first), ebpf.with(conntrack));
}

#[test]
fn a_source_that_goes_on_like_before_is_one_stretch() {
    let store = Sqlite::in_memory().unwrap();
    record(&store, vec![presence("2026-03-02T10:00:00Z", "2026-03-02T10:00:10Z")], vec![]);
    // Batches of one report come one by one.
    record(&store, vec![presence("2026-03-02T10:00:00Z", "2026-03-02T10:00:10Z")], vec![]);
    record(&store, vec![presence("2026-03-02T10:00:10Z", "2026-03-02T10:00:20Z")], vec![]);
    let later = presence("2026-03-02T10:05:00Z", "2026-03-02T10:05:10Z");
    let ebpf = Presence {
        observer: ObserverKind::AgentEbpf,
        blind: vec![],
        ..presence("2026-03-02T10:05:10Z", "2026-03-02T10:05:20Z")
    };
    record(&store, vec![later.clone(), ebpf.clone()], vec![]);
    let first = presence("2026-03-02T10:00:00Z", "2026-03-02T10:00:20Z");
    let prod = name("prod");
    assert_eq!(store.presences(&prod, Span::ALL).unwrap(), [first, later.clone(), ebpf]);
    let window = span("2026-03-02T10:00:20Z", "2026-03-02T10:05:10Z");
    assert_eq!(store.presences(&prod, window).unwrap(), [later]);
    assert_eq!(store.presences(&name("other"), Span::ALL).unwrap(), []);
}

#[test]
fn losses_add_up_by_the_hour_and_go_with_what_is_too_old() {
    let store = Sqlite::in_memory().unwrap();
    let loss = |from, until, count| Loss {
        source: source("a"),
        span: span(from, until),
        reason: LossReason::EventsLost,
        count,
    };
    let first = loss("2026-03-02T10:00:00Z", "2026-03-02T10:00:10Z", 2);
    let second = loss("2026-03-02T10:30:00Z", "2026-03-02T10:30:10Z", 3);
    let third = loss("2026-03-09T11:00:00Z", "2026-03-09T11:00:10Z", 4);
    let stretches = vec![presence("2026-03-02T10:00:00Z", "2026-03-02T11:00:00Z")];
    record(&store, stretches, vec![first, second, third.clone()]);
    let prod = name("prod");
    let merged = loss("2026-03-02T10:00:00Z", "2026-03-02T10:30:10Z", 5);
    assert_eq!(store.losses(&prod, Span::ALL).unwrap(), [merged, third.clone()]);
    let edges = vec![observed("2026-03-09T11:00:00Z", Observers::NONE)];
    store.record(&Arrivals { edges, ..Arrivals::default() }).unwrap();
    let retention = Retention { age: Duration::from_hours(48), ..Retention::default() };
    while !store.maintain(at("2026-03-09T12:00:00Z"), &retention).unwrap().is_done {}
    assert_eq!(store.losses(&prod, Span::ALL).unwrap(), [third]);
    assert_eq!(store.presences(&prod, Span::ALL).unwrap(), []);
}

/// A file as the first version of the tables made it, with one edge.
const FIRST: &str = "
    INSERT INTO cluster VALUES (1, 'prod', 1772445600000000000, 1772445600000000000,
        -288000000, -288000000, -288000000, 0);
    INSERT INTO pair VALUES (1, 1, 'shop', 'shop');
    INSERT INTO peer VALUES (1, 'workload/Deployment', 'shop', 'web'),
        (2, 'workload/Deployment', 'shop', 'cart');
    INSERT INTO route VALUES (1, '');
    INSERT INTO edge VALUES (1, 1, 1, 2, 'TCP', 80, 0, 1, 20514);
    INSERT INTO edges_by_minute VALUES (1, 29540760, 1, 1, 1772445600000000000,
        1772445600000000000, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    INSERT INTO edges_by_hour VALUES (1, 492346, 1, 1, 1772445600000000000,
        1772445600000000000, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    INSERT INTO edges_by_day VALUES (1, 20514, 1, 1, 1772445600000000000,
        1772445600000000000, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);";

#[test]
fn a_file_of_the_first_version_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let old = Connection::open(&path).unwrap();
    old.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
    old.execute_batch(include_str!("../src/sqlite/schema1.sql")).unwrap();
    old.execute_batch(FIRST).unwrap();
    old.pragma_update(None, "application_id", 0x5266_6e63).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    let store = Sqlite::open(&path, &Options::default()).unwrap();
    let edges = store.edges(&all(name("prod"))).unwrap();
    let [edge] = &edges[..] else { panic!("{edges:?}") };
    assert_eq!((edge.counts.alone.opened, edge.counts.observers), (7, Observers::NONE));
    let first = Timestamp::from_nanos(1_772_445_600_000_000_000);
    assert_eq!(edge.counts.first_seen, first);
    let ebpf = Observers::reported_by(ObserverKind::AgentEbpf);
    let edges = vec![observed("2026-03-02T10:00:30Z", ebpf)];
    store.record(&Arrivals { edges, ..Arrivals::default() }).unwrap();
    record(&store, vec![presence("2026-03-02T10:00:00Z", "2026-03-02T10:00:10Z")], vec![]);
    drop(store);
    let store = Sqlite::open(&path, &Options::default()).unwrap();
    let edges = store.edges(&all(name("prod"))).unwrap();
    let [edge] = &edges[..] else { panic!("{edges:?}") };
    assert_eq!((edge.counts.alone.opened, edge.counts.observers), (8, ebpf));
    assert_eq!(store.presences(&name("prod"), Span::ALL).unwrap().len(), 1);
}
