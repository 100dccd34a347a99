//! `examples/shop` as the server and the command line get it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfence_flows::{Aggregator, Options, ReadOptions, read_file};
use ringfence_inventory::Inventory;
use ringfence_kube::read::Reader;
use ringfence_kube::review;
use ringfence_model::review::{ClusterCidrs, Review};
use ringfence_model::{Diagnostic, Edge, Name, Timestamp};
use ringfence_server::App;
use ringfence_server::cluster::{Sync, SyncOrigin, View};
use ringfence_server::review::split;
use ringfence_store::{Arrivals, Counted, Counts, NewReview, ReviewKey, Sqlite, Store};
use tempfile::TempDir;

/// The example.
pub(crate) struct Example {
    pub(crate) inventory: Inventory,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) observed: (Timestamp, Timestamp),
}

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop").join(name)
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The review of the example.
pub(crate) fn example_review() -> Review {
    review::path(&path("review.yaml")).unwrap()
}

impl Example {
    pub(crate) fn read() -> Self {
        let mut reader = Reader::new();
        reader.path(&path("cluster"));
        let input = reader.finish();
        let (inventory, diagnostics) = Inventory::build(input.objects, &ClusterCidrs::default());
        let mut aggregator = Aggregator::new(&inventory, Options::default());
        read_file(&path("flows.jsonl.zst"), ReadOptions::default(), &mut aggregator, |_| {})
            .unwrap();
        let observations = aggregator.finish();
        let span = observations.window.unwrap();
        let edges = observations.edges;
        Self { inventory, diagnostics, edges, observed: (span.from, span.until) }
    }

    /// A server that has the example as cluster `shop`, with its review when asked for.
    pub(crate) fn app(self, directory: &TempDir, with_review: bool) -> Arc<App> {
        let file = directory.path().join("ringfence.db");
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::open(&file, &ringfence_store::Options::default()).unwrap());
        let cluster = name("shop");
        let counted = |edge: &Edge| Counted {
            cluster: cluster.clone(),
            at: edge.evidence.first_seen,
            key: edge.key.clone(),
            counts: Counts::from(&edge.evidence),
            services: edge.services.clone(),
        };
        let edges = self.edges.iter().map(counted).collect();
        store.record(&Arrivals { edges, ..Arrivals::default() }).unwrap();
        if with_review {
            let (decisions, configuration) = split(example_review());
            let parts = [(Some(name("shop")), decisions), (None, configuration)];
            for (namespace, part) in parts {
                let yaml = review::yaml(namespace.as_ref().unwrap_or(&cluster), &part);
                let key = ReviewKey { cluster: cluster.clone(), namespace };
                let (at, who, note) = (Timestamp::from_secs(1), "import".into(), "example".into());
                store.put_review(&NewReview { key, base: 0, at, who, note, yaml }).unwrap();
            }
        }
        let app = Arc::new(App::new(store));
        let sync = Sync { origin: SyncOrigin::Files, kinds: Vec::new() };
        let Self { inventory, diagnostics, .. } = self;
        app.cluster_or_new(&cluster).publish(View {
            inventory: Arc::new(inventory),
            diagnostics,
            sync,
        });
        app
    }
}
