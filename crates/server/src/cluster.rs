//! A cluster as the server knows it now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ringfence_inventory::Inventory;
use ringfence_kube::record::Record;
use ringfence_model::object::Objects;
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{Diagnostic, Name, Timestamp};

use crate::event::{Event, Events};

/// A cluster as the server knows it now. Readers take the [`View`] of the moment and keep it for as long as they
/// need; whoever watches the cluster publishes the next one.
pub struct Cluster {
    name: Name,
    view: ArcSwap<View>,
    /// The machines outside Kubernetes as their agents described them since the server runs, by name.
    hosts: Mutex<BTreeMap<Name, Record>>,
    events: Events,
}

/// A cluster at one moment.
pub struct View {
    /// What is in it.
    pub inventory: Arc<Inventory>,
    /// What was odd about the objects.
    pub diagnostics: Vec<Diagnostic>,
    /// How fresh that is.
    pub sync: Sync,
}

/// How fresh what is known of a cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Where the objects come from.
    pub origin: SyncOrigin,
    /// The kinds that are watched, sorted; none for files.
    pub kinds: Vec<KindSync>,
}

/// Where the objects of a cluster come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncOrigin {
    /// Watched in an API server.
    Live,
    /// Files, imported once.
    Files,
}

/// How fresh the objects of a kind are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindSync {
    /// The kind, as Kubernetes spells it.
    pub kind: Arc<str>,
    /// How fresh.
    pub state: KindState,
}

/// The states of a watched kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindState {
    /// Not listed yet.
    Syncing,
    /// All objects are known and changes arrive.
    Synced,
    /// The connection is lost: objects are as they were then.
    Stale {
        /// Since when.
        since: Timestamp,
        /// What the connection failed of.
        fault: String,
    },
    /// The API server forbids to list the kind.
    Forbidden,
    /// The cluster does not know the kind.
    Absent,
}

impl Cluster {
    /// A cluster of which nothing is known yet.
    pub(crate) fn new(name: Name, events: Events) -> Self {
        let (inventory, _) = Inventory::build(Objects::default(), &ClusterCidrs::default());
        let sync = Sync { origin: SyncOrigin::Files, kinds: Vec::new() };
        let view = View { inventory: Arc::new(inventory), diagnostics: Vec::new(), sync };
        Self { name, view: ArcSwap::from_pointee(view), hosts: Mutex::default(), events }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What is known of it now.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// The machines outside Kubernetes as their agents described them since the server runs.
    pub fn hosts(&self) -> Vec<Record> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Whether a host was described like this last.
    pub(crate) fn is_described(&self, host: &Record) -> bool {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(&host.name) == Some(host)
    }

    /// Takes note of a host whose description is stored. The next view has it.
    pub fn describe(&self, host: Record) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.insert(host.name.clone(), host);
        drop(hosts);
        self.events.send(Event::Hosts { cluster: self.name.clone() });
    }

    /// Publishes what is known of it from now on.
    pub fn publish(&self, view: View) {
        self.view.store(Arc::new(view));
        self.events.send(Event::Inventory { cluster: self.name.clone() });
    }
}
