//! Whatever is done to it, the store answers like the naive one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use ringfence_store::{Arrivals, Options, Sqlite, Store};
use support::answers::{all, answers, global};
use support::naive::Naive;
use support::{at, counted, name, random, tcp, workload};

/// Many read while one writes: nobody sees half of a group, and nobody goes back in time.
#[test]
fn readers_see_whole_groups() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&directory.path().join("db"), &Options::default()).unwrap();
    let key = |port| tcp(workload("shop/web"), workload("shop/cart"), port);
    let group = || {
        let edges = (1..=20).map(|port| counted(at("2026-03-02T10:00:00Z"), key(port), 1));
        Arrivals { edges: edges.collect(), ..Arrivals::default() }
    };
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let mut before = 0;
                while !is_done.load(Ordering::Relaxed) {
                    let edges = store.edges(&all(name("prod"))).unwrap();
                    let counts: Vec<u64> = edges.iter().map(|e| e.counts.alone.opened).collect();
                    assert!(counts.is_empty() || counts.len() == 20, "{counts:?}");
                    let first = counts.first().copied().unwrap_or(0);
                    assert!(counts.iter().all(|count| *count == first), "{counts:?}");
                    assert!(first >= before, "{first} after {before}");
                    before = first;
                }
            });
        }
        for _ in 0..50 {
            store.record(&group()).unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert_eq!(store.edges(&all(name("prod"))).unwrap()[0].counts.alone.opened, 50);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_deeds_leave_the_same_answers(
        deeds in vec(random::deed(), 0..30),
        queries in vec(random::query(), 8),
        windows in vec(random::window(), 4),
        reopened in any::<Index>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringfence.db");
        let mut store = Sqlite::open(&path, &Options::default()).unwrap();
        let naive = Naive::default();
        for (n, deed) in deeds.iter().enumerate() {
            if n == reopened.index(deeds.len()) {
                drop(store);
                store = Sqlite::open(&path, &Options::default()).unwrap();
            }
            prop_assert_eq!(deed.apply(&store), deed.apply(&naive), "{:?}", deed);
        }
        let queries = [queries, vec![all(name("prod")), all(name("test"))]].concat();
        for (found, expected) in
            answers(&store, &queries, &windows).iter().zip(answers(&naive, &queries, &windows))
        {
            prop_assert_eq!(found, &expected);
        }
        prop_assert_eq!(global(&store), global(&naive));
    }

    /// How arrivals are grouped and ordered makes no difference.
    #[test]
    fn groups_and_order_make_no_difference(
        edges in vec(random::counted(), 1..60),
        places in vec((any::<Index>(), any::<Index>()), 60),
        size in 1..20_usize,
        queries in vec(random::query(), 4),
    ) {
        let mut shuffled = edges.clone();
        for (a, b) in places {
            shuffled.swap(a.index(edges.len()), b.index(edges.len()));
        }
        let (one, many) = (Sqlite::in_memory().unwrap(), Sqlite::in_memory().unwrap());
        one.record(&Arrivals { edges, ..Arrivals::default() }).unwrap();
        for group in shuffled.chunks(size) {
            many.record(&Arrivals { edges: group.to_vec(), ..Arrivals::default() }).unwrap();
        }
        for query in queries.iter().chain([&all(name("prod")), &all(name("test"))]) {
            prop_assert_eq!(one.edges(query).unwrap(), many.edges(query).unwrap());
        }
        prop_assert_eq!(one.observed(&name("prod")).unwrap(), many.observed(&name("prod")).unwrap());
    }
}
