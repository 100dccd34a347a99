//! What is too old goes, and what is left is told as before.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use ringfence_model::{Peer, Span, Timestamp};
use ringfence_store::{
    Arrivals, Counted, EdgeQuery, Granularity, Maintenance, ObjectChange, ObjectKey, Options,
    Retention, Sqlite, Store,
};
use rusqlite::Connection;
use support::answers::all;
use support::naive::{Naive, ceiling, floor};
use support::{at, counted, name, random, tcp, workload};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn maintain(store: &Sqlite, now: Timestamp, retention: &Retention) -> Maintenance {
    loop {
        let done = store.maintain(now, retention).unwrap();
        if done.is_done {
            return done;
        }
    }
}

fn record(store: &dyn Store, edges: Vec<Counted>) {
    store.record(&Arrivals { edges, ..Arrivals::default() }).unwrap();
}

fn nanos(at: Timestamp) -> i128 {
    i128::from(at.nanos())
}

fn before(at: Timestamp, time: Duration) -> i128 {
    nanos(at) - i128::try_from(time.as_nanos()).unwrap()
}

/// How many rows tables have.
fn rows(store: &Sqlite, tables: &[&str]) -> Vec<u32> {
    let db = Connection::open(store.path()).unwrap();
    let count = |table: &&str| {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    tables.iter().map(count).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A window is cut outwards where its ends are no longer kept finely, and nothing else changes.
    #[test]
    fn what_is_left_is_told_by_longer_buckets(
        edges in vec(random::counted(), 1..40),
        late in vec(random::counted(), 0..10),
        minutes_for in 0..6 * 24_u32,
        hours_for in 0..10_u32,
        // More than the clock may be ahead: otherwise the newest observation goes, and with it what bounds the clock.
        days_for in 8..25_u32,
        queries in vec(random::query(), 8),
    ) {
        let (store, naive) = (Sqlite::in_memory().unwrap(), Naive::default());
        record(&store, edges.clone());
        record(&naive, edges.clone());
        let now = at("2026-03-04T12:34:56Z");
        // The newest observation bounds the clock.
        let newest = edges.iter().map(|edge| edge.counts.last_seen).max().unwrap();
        let now_at_most = Timestamp::from_nanos(newest.nanos().saturating_add(7 * 86_400_000_000_000));
        let age = DAY * days_for;
        let retention = Retention {
            minutes_for: (HOUR * minutes_for).min(age),
            hours_for: (DAY * hours_for).min(age),
            age,
            size: None,
        };
        maintain(&store, now, &retention);
        let now = now.min(now_at_most);
        let days_from = floor(before(now, retention.age), Granularity::Day);
        let hours_from = floor(before(now, retention.hours_for), Granularity::Day);
        let minutes_from = floor(before(now, retention.minutes_for), Granularity::Hour).max(hours_from);
        for cluster in ["prod", "test"].map(name) {
            if store.clusters().unwrap().contains(&cluster) {
                prop_assert_eq!(
                    nanos(store.kept_from(&cluster).unwrap()),
                    days_from.max(nanos(Timestamp::MIN))
                );
            }
        }
        // What comes late adds to what is still kept.
        let known: Vec<Counted> =
            late.into_iter().filter(|edge| store.clusters().unwrap().contains(&edge.cluster)).collect();
        record(&store, known.clone());
        record(&naive, known.clone());
        for cluster in ["prod", "test"].map(name) {
            let all = edges.iter().chain(&known).filter(|edge| edge.cluster == cluster);
            let kept = all.filter(|edge| nanos(edge.at) >= days_from);
            let observed = store.observed(&cluster).unwrap();
            prop_assert_eq!(observed.map(|span| span.from), kept.map(|edge| edge.at).min());
        }
        for EdgeQuery { cluster, window, namespace } in queries {
            let found = store.edges(&EdgeQuery {
                cluster: cluster.clone(), window, namespace: namespace.clone(),
            }).unwrap();
            let granularity = Granularity::of_window(window);
            let (mut from, mut until) =
                (floor(nanos(window.from), granularity), ceiling(nanos(window.until), granularity));
            for (kept, coarser) in [(minutes_from, Granularity::Hour), (hours_from, Granularity::Day)] {
                if from < kept { from = floor(from, coarser) }
                if until < kept { until = ceiling(until, coarser) }
            }
            if window.from >= window.until { until = from }
            let expected =
                naive.edges_between(&cluster, namespace.as_ref(), from.max(days_from), until);
            prop_assert_eq!(found, expected, "{:?} {:?}", window, retention);
        }
    }
}

#[test]
fn what_is_too_old_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&directory.path().join("db"), &Options::default()).unwrap();
    let (cart, web) = (workload("shop/cart"), workload("shop/web"));
    let (old, new) = (at("2026-01-05T10:20:00Z"), at("2026-03-05T10:20:00Z"));
    let gone: Peer = workload("old/app");
    record(
        &store,
        vec![
            counted(old, tcp(gone, cart.clone(), 80), 1),
            counted(old, tcp(web.clone(), cart.clone(), 80), 1),
            counted(new, tcp(web.clone(), cart.clone(), 80), 2),
        ],
    );
    let key = |text: &str| ObjectKey {
        kind: "Pod".into(),
        namespace: Some(name("shop")),
        name: text.into(),
        uid: "".into(),
    };
    let change = |text, at, json: Option<&str>| ObjectChange {
        key: key(text),
        at,
        json: json.map(Into::into),
    };
    store
        .record_objects(
            &name("prod"),
            &[
                change("gone", old, Some("{}")),
                change("gone", at("2026-01-06T00:00:00Z"), None),
                change("there", old, Some("{}")),
            ],
        )
        .unwrap();
    let tables = [
        "edges_by_minute",
        "edges_by_hour",
        "edges_by_day",
        "edge",
        "peer",
        "route",
        "pair",
        "object",
        "object_version",
    ];
    assert_eq!(rows(&store, &tables), [3, 3, 3, 2, 3, 1, 2, 2, 2]);
    let retention = Retention { minutes_for: HOUR, hours_for: 2 * DAY, age: 90 * DAY, size: None };
    maintain(&store, at("2026-03-05T12:00:00Z"), &retention);
    assert_eq!(rows(&store, &tables), [0, 1, 3, 2, 3, 1, 2, 2, 2]);
    maintain(&store, at("2026-03-05T12:00:00Z"), &Retention { age: 30 * DAY, ..retention });
    assert_eq!(rows(&store, &tables), [0, 1, 1, 1, 2, 1, 1, 1, 1]);
    assert_eq!(store.edges(&all(name("prod"))).unwrap()[0].counts.alone.opened, 2);
    assert_eq!(store.observed(&name("prod")).unwrap().unwrap().from, new);
    assert_eq!(store.kept_from(&name("prod")).unwrap(), at("2026-02-03T00:00:00Z"));
    // Numbers that were removed are not used again from memory.
    record(&store, vec![counted(new, tcp(workload("old/app"), cart, 80), 5)]);
    assert_eq!(store.edges(&all(name("prod"))).unwrap().len(), 2);
}

#[test]
fn a_clock_that_jumps_ahead_does_not_empty_the_store() {
    let store = Sqlite::in_memory().unwrap();
    let newest = at("2026-03-05T10:20:00Z");
    let key = tcp(workload("shop/web"), workload("shop/cart"), 80);
    record(&store, vec![counted(newest, key, 1)]);
    maintain(&store, at("2126-03-05T00:00:00Z"), &Retention::default());
    assert_eq!(store.edges(&all(name("prod"))).unwrap().len(), 1);
    // Back in time nothing that is gone comes back, and nothing more goes.
    let kept = store.kept_from(&name("prod")).unwrap();
    maintain(&store, at("1970-01-01T00:00:00Z"), &Retention::default());
    assert_eq!(store.kept_from(&name("prod")).unwrap(), kept);
    assert_eq!(store.edges(&all(name("prod"))).unwrap().len(), 1);
}

#[test]
fn the_file_shrinks_to_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&directory.path().join("db"), &Options::default()).unwrap();
    let start = at("2026-03-02T00:00:00Z");
    let keys: Vec<_> =
        (1..=30).map(|port| tcp(workload("shop/web"), workload("shop/cart"), port)).collect();
    let minutes = 3 * 24 * 60;
    let edges = (0..minutes).step_by(10).flat_map(|minute| {
        let at = Timestamp::from_nanos(start.nanos() + minute * 60_000_000_000);
        keys.iter().map(move |key| counted(at, key.clone(), 1))
    });
    record(&store, edges.collect());
    let now = at("2026-03-05T00:00:00Z");
    let before = maintain(&store, now, &Retention::default()).size;
    let all_edges = store.edges(&all(name("prod"))).unwrap();
    for (size, days) in [(before / 2, 3), (100_000, 1)] {
        let after = maintain(&store, now, &Retention { size: Some(size), ..Retention::default() });
        assert!(after.size <= size || size == 100_000, "{size} {after:?}");
        let edges = store.edges(&all(name("prod"))).unwrap();
        assert_eq!(edges.len(), all_edges.len());
        assert_eq!(edges[0].counts.alone.opened, days * 24 * 6, "{after:?}");
    }
    // The newest hour is still known by the minute.
    let window = Span { from: at("2026-03-04T23:10:00Z"), until: at("2026-03-04T23:20:00Z") };
    let query = EdgeQuery { window, ..all(name("prod")) };
    assert_eq!(store.edges(&query).unwrap()[0].counts.alone.opened, 1);
}
