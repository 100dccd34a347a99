//! Whatever is done to it, the store answers like the naive one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use ringfence_model::{Name, Span, Timestamp};
use ringfence_store::{Arrivals, EdgeQuery, Options, ReviewKey, Sqlite, Store};
use support::naive::Naive;
use support::{name, random};

/// Every answer of a store as text.
fn answers(store: &dyn Store, queries: &[EdgeQuery], windows: &[Span]) -> Vec<String> {
    let mut answers = vec![
        format!("{:#?}", store.sources().unwrap()),
        format!("{:#?}", store.clusters().unwrap()),
        format!("{:#?}", store.audit_trail(Timestamp::MAX, 1000).unwrap()),
        format!("{:#?}", store.audit_trail(support::at("2026-03-02T23:00:00Z"), 3).unwrap()),
    ];
    for (key, state) in store.sources().unwrap() {
        assert_eq!(store.source(&key).unwrap(), Some(state));
    }
    for key in ["cluster/prod/profile", "cluster/test/profile", "ui/theme"] {
        answers.push(format!("{:?}", store.setting(key).unwrap()));
    }
    for query in queries {
        answers.push(format!("{query:?} {:#?}", store.edges(query).unwrap()));
    }
    for cluster in [name("prod"), name("test"), name("other")] {
        answers.push(format!("{:?}", store.observed(&cluster).unwrap()));
        answers.push(format!("{:#?}", store.reviews(&cluster).unwrap()));
        for window in windows {
            answers.push(format!("{window:?} {:#?}", store.objects(&cluster, *window).unwrap()));
        }
        for namespace in [None, Some(name("shop")), Some(name("pay"))] {
            let key = ReviewKey { cluster: cluster.clone(), namespace };
            answers.push(format!("{:#?}", store.review_versions(&key).unwrap()));
            answers.push(format!("{:#?}", store.review(&key, None).unwrap()));
            answers.push(format!("{:#?}", store.review(&key, Some(1)).unwrap()));
        }
    }
    answers
}

fn all(cluster: Name) -> EdgeQuery {
    EdgeQuery { cluster, window: Span::ALL, namespace: None }
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
        one.record(&Arrivals { edges, advances: Vec::new() }).unwrap();
        for group in shuffled.chunks(size) {
            many.record(&Arrivals { edges: group.to_vec(), advances: Vec::new() }).unwrap();
        }
        for query in queries.iter().chain([&all(name("prod")), &all(name("test"))]) {
            prop_assert_eq!(one.edges(query).unwrap(), many.edges(query).unwrap());
        }
        prop_assert_eq!(one.observed(&name("prod")).unwrap(), many.observed(&name("prod")).unwrap());
    }
}
