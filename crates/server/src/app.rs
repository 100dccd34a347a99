//! What all parts of the server share.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use ringfence_model::Name;
use ringfence_store::Store;

use crate::cluster::Cluster;
use crate::event::Events;

/// What all parts of the server share.
pub struct App {
    /// What is on disk.
    pub store: Arc<dyn Store>,
    /// What has changed, for those who watch.
    pub events: Events,
    clusters: RwLock<BTreeMap<Name, Arc<Cluster>>>,
}

impl App {
    /// A server without clusters.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, events: Events::default(), clusters: RwLock::default() }
    }

    /// A cluster by name.
    pub fn cluster(&self, name: &Name) -> Option<Arc<Cluster>> {
        self.clusters.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All clusters, sorted by name.
    pub fn clusters(&self) -> Vec<Arc<Cluster>> {
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        clusters.values().cloned().collect()
    }

    /// The cluster of that name, which is made empty when it is new.
    pub fn cluster_or_new(&self, name: &Name) -> Arc<Cluster> {
        let mut clusters = self.clusters.write().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(Cluster::new(name.clone(), self.events.clone()));
        Arc::clone(clusters.entry(name.clone()).or_insert_with(made))
    }
}
