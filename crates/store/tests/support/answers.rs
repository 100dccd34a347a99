//! What a store answers.

use ringfence_model::{Name, Span, Timestamp};
use ringfence_store::{EdgeQuery, ReviewKey, Store};

use super::{at, name};

/// Every answer of a store about clusters as text.
pub(crate) fn answers(store: &dyn Store, queries: &[EdgeQuery], windows: &[Span]) -> Vec<String> {
    let mut answers = vec![
        format!("{:#?}", store.sources().unwrap()),
        format!("{:#?}", store.clusters().unwrap()),
    ];
    for (key, state) in store.sources().unwrap() {
        assert_eq!(store.source(&key).unwrap(), Some(state));
    }
    for key in ["cluster/prod/profile", "cluster/test/profile"] {
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

/// Every other answer.
pub(crate) fn global(store: &dyn Store) -> Vec<String> {
    vec![
        format!("{:#?}", store.audit_trail(Timestamp::MAX, 1000).unwrap()),
        format!("{:#?}", store.audit_trail(at("2026-03-02T23:00:00Z"), 3).unwrap()),
        format!("{:?}", store.setting("ui/theme").unwrap()),
        format!("{:?}", store.settings("").unwrap()),
        format!("{:?}", store.settings("cluster/prod/").unwrap()),
    ]
}

/// All edges of a cluster.
pub(crate) fn all(cluster: Name) -> EdgeQuery {
    EdgeQuery { cluster, window: Span::ALL, namespace: None }
}
