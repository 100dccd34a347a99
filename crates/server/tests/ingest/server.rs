//! A server with nothing but ingest, on loopback.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use ringfence_inventory::Inventory;
use ringfence_kube::read::Reader;
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{Name, Span, Timestamp};
use ringfence_server::App;
use ringfence_server::clock::Clock;
use ringfence_server::cluster::{Sync, SyncOrigin, View};
use ringfence_server::ingest::{Ingest, Options};
use ringfence_server::shutdown::{Shutdown, Trigger};
use ringfence_store::{EdgeQuery, Ledger, SourceKey, SourceKind, Sqlite, Store, StoredEdge};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) app: Arc<App>,
    pub(crate) ingest: Ingest,
    pub(crate) trigger: Trigger,
    listens: JoinHandle<std::io::Result<()>>,
}

/// Where gRPC calls of agents go.
pub(crate) const GRPC: &str = "/ringfence.agent.v1.Ingest/{method}";

/// Two nodes: `web` on n1 calls `api` on n2 through the Service `api`.
pub(crate) const OBJECTS: &str = r#"
{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"},"status":{"addresses":[{"type":"InternalIP","address":"192.168.0.1"}]}},
{"apiVersion":"v1","kind":"Node","metadata":{"name":"n2"},"status":{"addresses":[{"type":"InternalIP","address":"192.168.0.2"}]}},
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"shop","labels":{"app":"web"}},"spec":{"nodeName":"n1","containers":[]},"status":{"phase":"Running","podIP":"10.0.1.1","podIPs":[{"ip":"10.0.1.1"}]}},
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"api","namespace":"shop","labels":{"app":"api"}},"spec":{"nodeName":"n2","containers":[]},"status":{"phase":"Running","podIP":"10.0.2.1","podIPs":[{"ip":"10.0.2.1"}]}},
{"apiVersion":"v1","kind":"Service","metadata":{"name":"api","namespace":"shop"},"spec":{"clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1"],"selector":{"app":"api"},"ports":[{"protocol":"TCP","port":80,"targetPort":8080}]}}
]}"#;

pub(crate) fn prod() -> Name {
    Name::new("prod").unwrap()
}

pub(crate) fn open(path: &Path) -> Arc<Sqlite> {
    Arc::new(Sqlite::open(path, &ringfence_store::Options::default()).unwrap())
}

pub(crate) fn publish(app: &App, objects: &str) {
    let mut reader = Reader::new();
    reader.bytes("objects", objects.as_bytes());
    let (inventory, diagnostics) =
        Inventory::build(reader.finish().objects, &ClusterCidrs::default());
    let sync = Sync { origin: SyncOrigin::Files, kinds: Vec::new() };
    app.cluster_or_new(&prod()).publish(View { inventory: Arc::new(inventory), diagnostics, sync });
}

/// A clock that a test sets.
#[derive(Clone)]
pub(crate) struct Hands(Arc<AtomicI64>);

impl Hands {
    /// It stands still.
    pub(crate) fn at(nanos: u64) -> Self {
        Self(Arc::new(AtomicI64::new(nanos.try_into().unwrap())))
    }

    pub(crate) fn turn(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000_000, Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> Clock {
        let hands = Arc::clone(&self.0);
        Clock::new(move || Timestamp::from_nanos(hands.load(Ordering::Relaxed)))
    }
}

pub(crate) async fn start(store: Arc<dyn Store>, options: Options) -> Server {
    start_by(store, options, Clock::default()).await
}

/// By another clock than the machine's.
pub(crate) async fn start_by(store: Arc<dyn Store>, options: Options, clock: Clock) -> Server {
    let app = Arc::new(App::with_clock(store, clock));
    publish(&app, OBJECTS);
    let (trigger, shutdown) = Shutdown::new();
    let ingest = Ingest::start(Arc::clone(&app), options, shutdown).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route_service(GRPC, ingest.grpc());
    let listens = tokio::spawn(axum::serve(listener, routes).into_future());
    Server { address, app, ingest, trigger, listens }
}

impl Server {
    /// Stops it, so that its store can be opened again.
    pub(crate) async fn stop(self) {
        self.trigger.request();
        self.ingest.drain().await;
        self.listens.abort();
        let _ = self.listens.await;
    }

    pub(crate) fn edges(&self) -> Vec<StoredEdge> {
        edges(&*self.app.store)
    }

    pub(crate) fn ledger(&self, node: &str) -> Ledger {
        ledger(&*self.app.store, node)
    }
}

pub(crate) fn edges(store: &dyn Store) -> Vec<StoredEdge> {
    store.edges(&EdgeQuery { cluster: prod(), window: Span::ALL, namespace: None }).unwrap()
}

/// `source -> destination l4: forwarded/dropped/refused bytes`, one edge a line.
pub(crate) fn show(edges: &[StoredEdge]) -> String {
    let lines = edges.iter().map(|StoredEdge { key, counts, services }| {
        let e = counts.evidence();
        let (sent, received) = counts.bytes();
        let via: Vec<_> = services.iter().map(|service| format!(" via {service}")).collect();
        let via = via.concat();
        format!("{key}: {}/{}/{} {sent}+{received}{via}", e.forwarded, e.dropped, e.refused)
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub(crate) fn ledger(store: &dyn Store, node: &str) -> Ledger {
    let key = SourceKey { cluster: prod(), kind: SourceKind::Agent, name: node.into() };
    let ledger = store.source(&key).unwrap().map(|state| state.ledger).unwrap_or_default();
    assert!(ledger.adds_up(), "{ledger:?}");
    ledger
}

/// Now, in nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    u64::try_from(ringfence_server::clock::now().nanos()).unwrap()
}
