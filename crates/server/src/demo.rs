//! A full system in a minute: the example application, as it was recorded, in a store that is gone afterwards.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ringfence_flows::{Aggregator, Bucket, Bucketed, Options, ReadError, ReadOptions, read_flows};
use ringfence_model::{Counts, Diagnostic, Edge, Name, ObserverKind, Observers, Span, Timestamp};
use ringfence_store::{
    Advance, Arrivals, Counted, DropReason, Ledger, NewReview, ReviewKey, SourceKey, SourceKind,
    Sqlite, Store, StoreError,
};
use rust_embed::RustEmbed;
use tempfile::TempDir;

use crate::app::App;
use crate::review;
use crate::watch::{self, ImportError};

/// `examples/shop`.
#[derive(RustEmbed)]
#[folder = "../../examples/shop"]
struct Example;

const CLUSTER: &str = "example";
const NAMESPACE: &str = "shop";
const FLOWS: &str = "flows.jsonl.zst";
const REVIEW: &str = "review.yaml";
/// What the lab adds to the objects.
const LAB: &str = "lab/report.yaml";

/// What traffic the example has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// What was recorded.
    Recorded,
    /// That, and what agents deliver of the lab: its pods are there too.
    Live,
}

/// The example in a store. The directory goes when this does.
pub struct Demo {
    /// The store.
    pub store: Arc<Sqlite>,
    _directory: TempDir,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// There is no place for it.
    #[error("cannot write the example to a temporary directory")]
    Directory(#[from] std::io::Error),
    /// The store does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The example's objects cannot be read.
    #[error(transparent)]
    Objects(#[from] ImportError),
    /// Its flows cannot be read.
    #[error(transparent)]
    Flows(#[from] ReadError),
    /// Its review cannot be read.
    #[error("the example's review: {}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Review(Vec<Diagnostic>),
    /// It lacks a part, or has a name that is none.
    #[error("the example lacks {0}")]
    Lacks(&'static str),
}

impl Demo {
    /// Fills a store. Blocks.
    pub fn new(traffic: Traffic) -> Result<Self, DemoError> {
        let directory = tempfile::Builder::new().prefix("ringfence-demo-").tempdir()?;
        let options = ringfence_store::Options::default();
        let store = Arc::new(Sqlite::open(&directory.path().join("demo.db"), &options)?);
        fill(&store, directory.path(), traffic)?;
        Ok(Self { store, _directory: directory })
    }
}

fn fill(store: &Arc<Sqlite>, directory: &Path, traffic: Traffic) -> Result<(), DemoError> {
    let name = |text: &str| text.parse::<Name>().map_err(|_| DemoError::Lacks("a name"));
    let (cluster, namespace) = (name(CLUSTER)?, name(NAMESPACE)?);
    let objects = directory.join("cluster");
    std::fs::create_dir(&objects)?;
    let wanted = |file: &str| match traffic {
        Traffic::Recorded => file.starts_with("cluster/"),
        // What lives only in the lab has no past.
        Traffic::Live => file.starts_with("cluster/") || file == LAB,
    };
    for file in Example::iter().filter(|file| wanted(file)) {
        let data = Example::get(&file).ok_or(DemoError::Lacks("its objects"))?.data;
        let name = Path::new(&*file).file_name().ok_or(DemoError::Lacks("a name"))?;
        std::fs::write(objects.join(name), data)?;
    }
    let app = App::new(Arc::clone(store) as Arc<dyn Store>);
    watch::import(&app, &cluster, &objects, Timestamp::from_secs(0))?;
    flows(&app, &cluster)?;
    decisions(store.as_ref(), &cluster, &namespace)
}

/// Stores the edges of the recorded day, by the minute.
fn flows(app: &App, cluster: &Name) -> Result<(), DemoError> {
    let log = Example::get(FLOWS).ok_or(DemoError::Lacks("its flows"))?.data;
    let view = app.cluster_or_new(cluster).view();
    let options = Options { bucket: Some(Duration::from_mins(1)), ..Options::default() };
    let mut aggregator = Aggregator::new(&*view.inventory, options);
    read_flows(&*log, FLOWS, ReadOptions::default(), &mut aggregator, |_| {})?;
    let Bucketed { buckets, ledger, window, diagnostics: _ } = aggregator.finish_in_buckets();
    let edges = buckets.into_iter().flat_map(|Bucket { at, edges }| {
        edges.into_iter().map(move |Edge { key, evidence, services }| Counted {
            cluster: cluster.clone(),
            at,
            key,
            counts: Counts {
                observers: Observers::reported_by(ObserverKind::FlowLog),
                ..Counts::from(&evidence)
            },
            services,
        })
    });
    let source = SourceKey { cluster: cluster.clone(), kind: SourceKind::File, name: FLOWS.into() };
    let advance = Advance {
        source,
        incarnation: 0,
        sequence: 1,
        at: window.map_or(Timestamp::MIN, |Span { until, .. }| until),
        ledger: accounts(&ledger),
    };
    Ok(app.store.record(&Arrivals {
        edges: edges.collect(),
        advances: vec![advance],
        ..Arrivals::default()
    })?)
}

/// What became of the lines, in the words of the store.
fn accounts(ledger: &ringfence_flows::Ledger) -> Ledger {
    let no_connection = ledger.replies
        + ledger.translations
        + ledger.loss_reports
        + ledger.skipped.iter().sum::<u64>();
    Ledger {
        received: ledger.lines(),
        stored: ledger.used,
        duplicate: ledger.repeated,
        dropped: BTreeMap::from([
            (DropReason::Malformed, ledger.malformed),
            (DropReason::Oversized, ledger.oversized),
            (DropReason::LostAtSource, ledger.lost_events),
            (DropReason::NoConnection, no_connection),
            (DropReason::OutsideRetention, ledger.outside_window),
        ]),
    }
}

/// Stores the example's review: its decisions about the namespace, and what it says of the cluster.
fn decisions(store: &dyn Store, cluster: &Name, namespace: &Name) -> Result<(), DemoError> {
    let file = Example::get(REVIEW).ok_or(DemoError::Lacks("its review"))?.data;
    let whole = ringfence_kube::review::bytes(REVIEW, &file).map_err(DemoError::Review)?;
    let (own, configuration) = review::split(whole);
    let parts = [(Some(namespace.clone()), own), (None, configuration)];
    for (of, part) in parts {
        let title = of.as_ref().unwrap_or(cluster);
        let yaml = ringfence_kube::review::yaml(title, &part);
        store.put_review(&NewReview {
            key: ReviewKey { cluster: cluster.clone(), namespace: of },
            base: 0,
            at: crate::clock::now(),
            who: "example".to_owned(),
            note: "from the example".to_owned(),
            yaml,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ringfence_model::Span;
    use ringfence_store::{EdgeQuery, Store as _};

    use super::{CLUSTER, Demo, Traffic};

    #[test]
    fn the_example_is_all_there() {
        let demo = Demo::new(Traffic::Recorded).expect("the example");
        let cluster = CLUSTER.parse().expect("a name");
        let query = EdgeQuery { cluster, window: Span::ALL, namespace: None };
        assert!(demo.store.edges(&query).expect("edges").len() > 30);
        let sources = demo.store.sources().expect("sources");
        assert!(sources.iter().all(|(_, state)| state.ledger.adds_up()), "{sources:?}");
        assert_eq!(demo.store.reviews(&query.cluster).expect("reviews").len(), 2);
    }
}
