//! Which nodes have an agent.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringfence_model::{Name, Timestamp};
use ringfence_store::{SourceKey, SourceKind, Store, StoreError};
use tokio::time::Instant;

use super::stream::Outlet;

/// The agents that were heard lately, and their streams.
pub(super) struct Agents {
    presence: Duration,
    /// When, by a clock that does not jump.
    heard: Mutex<BTreeMap<Name, HashMap<Name, Instant>>>,
    streams: Mutex<HashMap<SourceKey, Arc<Outlet>>>,
}

impl Agents {
    /// Those that the store knows. What it has from the future was heard just now.
    pub(super) fn known(
        store: &dyn Store,
        presence: Duration,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let agents = Self { presence, heard: Mutex::default(), streams: Mutex::default() };
        for (key, state) in store.sources()? {
            if key.kind == SourceKind::Agent
                && let Ok(node) = Name::new(&*key.name)
            {
                let ago = now.nanos().saturating_sub(state.last.nanos()).max(0);
                let ago = Duration::from_nanos(ago.unsigned_abs());
                // Before this machine was on, it was heard too long ago.
                if let Some(at) = Instant::now().checked_sub(ago) {
                    agents.hear_at(&key.cluster, &node, at);
                }
            }
        }
        Ok(agents)
    }

    /// An agent was heard.
    pub(super) fn hear(&self, cluster: &Name, node: &Name) {
        self.hear_at(cluster, node, Instant::now());
    }

    fn hear_at(&self, cluster: &Name, node: &Name, at: Instant) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = heard.entry(cluster.clone()).or_default();
        let last = nodes.entry(node.clone()).or_insert(at);
        *last = at.max(*last);
    }

    /// The nodes of a cluster that have an agent now.
    pub(super) fn present(&self, cluster: &Name) -> HashSet<Name> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(nodes) = heard.get_mut(cluster) else { return HashSet::new() };
        nodes.retain(|_, last| last.elapsed() <= self.presence);
        nodes.keys().cloned().collect()
    }

    /// A stream of an agent begins. The one before it is told that it is over.
    pub(super) fn begin(&self, source: &SourceKey, outlet: &Arc<Outlet>) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = streams.insert(source.clone(), Arc::clone(outlet)) {
            before.fail(tonic::Code::Aborted, "a newer stream of this node took over");
        }
    }

    /// A stream ended.
    pub(super) fn end(&self, source: &SourceKey, outlet: &Arc<Outlet>) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.get(source).is_some_and(|latest| Arc::ptr_eq(latest, outlet)) {
            streams.remove(source);
        }
    }
}
