//! What all parts of the server share.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use ringfence_model::Name;
use ringfence_store::Store;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::event::Events;
use crate::ingest::Relays;

/// What all parts of the server share.
pub struct App {
    /// What is on disk.
    pub store: Arc<dyn Store>,
    /// What has changed, for those who watch.
    pub events: Events,
    /// What time it is.
    pub clock: Clock,
    /// How the connections to Hubble Relays are.
    pub relays: Relays,
    clusters: RwLock<BTreeMap<Name, Arc<Cluster>>>,
}

impl App {
    /// A server without clusters.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self::with_clock(store, Clock::default())
    }

    /// A server without clusters, by another clock than the machine's.
    pub fn with_clock(store: Arc<dyn Store>, clock: Clock) -> Self {
        let (events, relays, clusters) = Default::default();
        Self { store, events, clock, relays, clusters }
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
