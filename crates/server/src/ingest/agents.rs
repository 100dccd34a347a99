//! Which nodes have an agent.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringfence_model::{Name, Timestamp};
use ringfence_store::{SourceKey, SourceKind, Store, StoreError};

use super::stream::Outlet;
use crate::clock;

/// The agents that were heard lately, and their streams.
pub(super) struct Agents {
    presence: Duration,
    heard: Mutex<BTreeMap<Name, HashMap<Name, Timestamp>>>,
    streams: Mutex<HashMap<SourceKey, Arc<Outlet>>>,
}

impl Agents {
    /// Those that the store knows.
    pub(super) fn known(store: &dyn Store, presence: Duration) -> Result<Self, StoreError> {
        let agents = Self { presence, heard: Mutex::default(), streams: Mutex::default() };
        for (key, state) in store.sources()? {
            if key.kind == SourceKind::Agent
                && let Ok(node) = Name::new(&*key.name)
            {
                agents.hear(&key.cluster, &node, state.last);
            }
        }
        Ok(agents)
    }

    /// An agent was heard.
    pub(super) fn hear(&self, cluster: &Name, node: &Name, at: Timestamp) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = heard.entry(cluster.clone()).or_default();
        let last = nodes.entry(node.clone()).or_insert(at);
        *last = at.max(*last);
    }

    /// The nodes of a cluster that have an agent now.
    pub(super) fn present(&self, cluster: &Name) -> HashSet<Name> {
        let presence = i64::try_from(self.presence.as_nanos()).unwrap_or(i64::MAX);
        let since = Timestamp::from_nanos(clock::now().nanos().saturating_sub(presence));
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(nodes) = heard.get_mut(cluster) else { return HashSet::new() };
        nodes.retain(|_, last| *last >= since);
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
