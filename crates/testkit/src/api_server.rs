//! An API server double: list and watch over HTTP as a Kubernetes API server speaks them, with faults on demand.

mod answer;
mod collection;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use collection::{Collection, Kept, plural};

/// Makes the object of an index, as text.
pub type Maker = Arc<dyn Fn(usize) -> String + Send + Sync>;

/// An API server on loopback. It keeps objects in memory, gives them resource versions and uids, lists them in pages
/// and tells of changes, as the real one does.
pub struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: Mutex<Option<Serving>>,
}

struct Serving {
    stop: tokio::sync::oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// How the API server says that a resource version is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// With the status of the HTTP answer.
    Status,
    /// With an ERROR event in a watch that was accepted.
    Event,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The kind in its plural, such as `pods`.
    pub plural: String,
    /// Whether it was a watch, else a list.
    pub watch: bool,
    /// The resource version asked from; empty for none.
    pub version: String,
    /// Whether it asked for a page other than the first.
    pub continued: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Counts changes of the state, so that watches look again.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    version: u64,
    uids: u64,
    collections: BTreeMap<String, Collection>,
    asked: Vec<Asked>,
    delay: Duration,
    /// Watches begun under an earlier number are cut.
    connection: u64,
    /// Whether cut watches end in the middle of a line.
    abrupt: bool,
    expiry: Option<Expiry>,
    /// The most objects of a page, whatever a client asks for.
    page: Option<usize>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changes.send_modify(|n| *n += 1);
        changed
    }
}

impl State {
    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Creates or replaces an object, and returns it as it is kept.
    fn apply(&mut self, mut object: Value) -> Arc<str> {
        let version = self.next_version();
        self.uids += 1;
        let uid = format!("00000000-0000-4000-8000-{:012x}", self.uids);
        let plural = plural(object["kind"].as_str().unwrap_or_default());
        let collection = self.collections.entry(plural).or_default();
        let key = collection::key(&object);
        let before = collection.get(&key).and_then(|kept| kept.uid.clone());
        let metadata = &mut object["metadata"];
        if metadata["uid"].is_null() {
            metadata["uid"] = before.unwrap_or(uid).into();
        }
        if metadata["creationTimestamp"].is_null() {
            metadata["creationTimestamp"] = "2026-03-02T01:00:00Z".into();
        }
        metadata["resourceVersion"] = version.to_string().into();
        let kept = Kept::of(&object);
        let text = Arc::clone(&kept.text);
        collection.put(key, kept, version);
        text
    }

    fn delete(&mut self, plural: String, namespace: &str, name: &str) {
        let version = self.next_version();
        let collection = self.collections.entry(plural).or_default();
        collection.remove(&(namespace.to_owned(), name.to_owned()), version);
    }

    /// Forgets how it came to be.
    fn compact(&mut self) {
        let version = self.version;
        for collection in self.collections.values_mut() {
            collection.compact(version);
        }
    }
}

impl ApiServer {
    /// Starts on a free port.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        // Real ones begin somewhere, too.
        let state = State { version: 1000, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changes: watch::Sender::new(0) });
        let server = Self { shared, address, serving: Mutex::default() };
        server.serve(listener);
        Ok(server)
    }

    fn serve(&self, listener: TcpListener) {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let service = axum::serve(listener, answer::router(Arc::clone(&self.shared)));
        let service = service.with_graceful_shutdown(async move {
            let _ = stopped.await;
        });
        let task = tokio::spawn(service.into_future());
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(Serving { stop, task });
    }

    /// The address of the server.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig, as text, with one context for each server.
    pub fn kubeconfig(contexts: &[(&str, &Self)]) -> String {
        let named = |name: &str, key: &str, value: Value| json!({"name": name, key: value});
        let list = |make: &dyn Fn(&str, &Self) -> Value| -> Vec<Value> {
            contexts.iter().map(|(name, server)| make(name, server)).collect()
        };
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": list(&|name, server| named(name, "cluster", json!({"server": server.url()}))),
            "users": list(&|name, _| named(name, "user", json!({}))),
            "contexts":
                list(&|name, _| named(name, "context", json!({"cluster": name, "user": name}))),
            "current-context": contexts.first().map(|(name, _)| name),
        })
        .to_string()
    }

    /// Creates or replaces an object. It keeps its uid; a missing one is given.
    pub fn apply(&self, object: Value) {
        self.shared.change(|state| state.apply(object));
    }

    /// Applies every object of a JSON `List`.
    pub fn apply_all(&self, list: &Value) {
        for object in list["items"].as_array().into_iter().flatten() {
            self.apply(object.clone());
        }
    }

    /// Deletes an object; `namespace` is empty for kinds without.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) {
        self.shared.change(|state| state.delete(plural(kind), namespace, name));
    }

    /// Adds so many objects of a kind, which are made each time they are listed rather than kept.
    pub fn multitude(&self, kind: &str, count: usize, make: Maker) {
        self.shared.change(|state| {
            state.collections.entry(plural(kind)).or_default().multitude = Some((count, make));
        });
    }

    /// Forbids a kind, or allows it again.
    pub fn forbid(&self, kind: &str, forbidden: bool) {
        self.with(kind, |collection| collection.forbidden = forbidden);
    }

    /// Takes a kind out of the API, or brings it back.
    pub fn hide(&self, kind: &str, hidden: bool) {
        self.with(kind, |collection| collection.hidden = hidden);
    }

    fn with(&self, kind: &str, change: impl FnOnce(&mut Collection)) {
        self.shared.change(|state| {
            change(state.collections.entry(plural(kind)).or_default());
            state.connection += 1;
        });
    }

    /// Ends all watches: in order, or in the middle of a line.
    pub fn disconnect(&self, abrupt: bool) {
        self.shared.change(|state| {
            state.connection += 1;
            state.abrupt = abrupt;
        });
    }

    /// Forgets all versions so far, so that watches and pages from before are refused.
    pub fn compact(&self, expiry: Expiry) {
        self.shared.change(|state| {
            state.next_version();
            state.compact();
            state.expiry = Some(expiry);
        });
    }

    /// Goes back to an earlier count of versions, as after a restore from a backup: what was seen since is unknown.
    pub fn restore(&self) {
        self.shared.change(|state| {
            state.version = 500;
            state.compact();
            state.connection += 1;
        });
    }

    /// Sends a bookmark to all watches of a kind.
    pub fn bookmark(&self, kind: &str) {
        self.shared.change(|state| {
            let version = state.next_version();
            state.collections.entry(plural(kind)).or_default().bookmark(kind, version);
        });
    }

    /// Sends an ERROR event to all watches of a kind.
    pub fn error(&self, kind: &str, code: u16, message: &str) {
        self.shared.change(|state| {
            let version = state.next_version();
            let status = answer::status(code, message);
            state.collections.entry(plural(kind)).or_default().error(&status, version);
        });
    }

    /// Waits this long before each answer from now on.
    pub fn slow(&self, delay: Duration) {
        self.shared.change(|state| state.delay = delay);
    }

    /// Gives no more than this many objects a page, whatever a client asks for.
    pub fn page(&self, most: usize) {
        self.shared.change(|state| state.page = Some(most));
    }

    /// The requests that came since last asked.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.state().asked)
    }

    /// Goes away: connections are cut, and new ones refused.
    pub async fn stop(&self) {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.disconnect(true);
        if let Some(Serving { stop, task }) = serving {
            let _ = stop.send(());
            let _ = task.await;
        }
    }

    /// Comes back on the same port, with the objects as they are by then.
    pub async fn come_back(&self) -> std::io::Result<()> {
        self.serve(TcpListener::bind(self.address).await?);
        Ok(())
    }
}
