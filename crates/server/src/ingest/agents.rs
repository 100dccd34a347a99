//! Which nodes have an agent.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringfence_model::{Name, ObserverKind, Span, Timestamp};
use ringfence_store::{SourceKey, SourceKind, Store, StoreError};
use tokio::time::Instant;

use super::stream::Outlet;

/// The agents that were heard lately, and their streams.
pub(super) struct Agents {
    presence: Duration,
    heard: Mutex<BTreeMap<Name, HashMap<Name, Heard>>>,
    streams: Mutex<HashMap<SourceKey, Arc<Outlet>>>,
}

/// An agent that was heard.
struct Heard {
    /// When, by a clock that does not jump.
    last: Instant,
    /// By what it observed last.
    observer: ObserverKind,
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
        for cluster in store.clusters()? {
            // By time, so that the last of each source stays.
            let presence = i64::try_from(presence.as_nanos()).unwrap_or(i64::MAX);
            let from = Timestamp::from_nanos(now.nanos().saturating_sub(presence));
            for presence in store.presences(&cluster, Span { from, until: Timestamp::MAX })? {
                agents.observe(&presence.source, presence.observer);
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
        let new = Heard { last: at, observer: ObserverKind::AgentEbpf };
        let known = nodes.entry(node.clone()).or_insert(new);
        known.last = at.max(known.last);
    }

    /// An agent said by what it observes.
    pub(super) fn observe(&self, source: &SourceKey, observer: ObserverKind) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let known = heard.get_mut(&source.cluster).and_then(|nodes| nodes.get_mut(&*source.name));
        if let Some(known) = known {
            known.observer = observer;
        }
    }

    /// The nodes of a cluster that have an agent now, and by what it observes.
    pub(super) fn present(&self, cluster: &Name) -> HashMap<Name, ObserverKind> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(nodes) = heard.get_mut(cluster) else { return HashMap::new() };
        nodes.retain(|_, known| known.last.elapsed() <= self.presence);
        nodes.iter().map(|(node, known)| (node.clone(), known.observer)).collect()
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
