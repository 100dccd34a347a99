//! How the watches of a cluster do.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringfence_kube::live::{RESOURCES, State};
use ringfence_model::Timestamp;

use crate::cluster::{KindState, KindSync, Sync, SyncOrigin};

/// How the watches of a cluster do, by kind.
pub(super) struct Conditions(BTreeMap<&'static str, Condition>);

struct Condition {
    state: KindState,
    /// Whether all objects were listed since the server started, or cannot be.
    settled: bool,
}

impl Conditions {
    /// Nothing listed yet. With objects from the store these are shown, and are stale.
    pub(super) fn new(restored: bool, at: Timestamp) -> Self {
        let fault = "not listed since the server started".to_owned();
        let state =
            if restored { KindState::Stale { since: at, fault } } else { KindState::Syncing };
        let kinds = RESOURCES
            .iter()
            .map(|resource| (resource.kind(), Condition { state: state.clone(), settled: false }));
        Self(kinds.collect())
    }

    /// Notes how a watch does. Returns whether that is new.
    pub(super) fn note(&mut self, kind: &'static str, state: State, at: Timestamp) -> bool {
        let Some(condition) = self.0.get_mut(kind) else { return false };
        let new = match state {
            State::Synced => KindState::Synced,
            State::Forbidden => KindState::Forbidden,
            State::Absent => KindState::Absent,
            State::Failing(fault) => {
                let since = match &condition.state {
                    KindState::Stale { since, .. } => *since,
                    _ => at,
                };
                KindState::Stale { since, fault }
            }
        };
        condition.settled |= !matches!(new, KindState::Stale { .. });
        let changed = condition.state != new;
        condition.state = new;
        changed
    }

    /// The same fault for every watch.
    pub(super) fn fail(&mut self, fault: &str, at: Timestamp) -> bool {
        let kinds: Vec<&'static str> = self.0.keys().copied().collect();
        let mut changed = false;
        for kind in kinds {
            changed |= self.note(kind, State::Failing(fault.to_owned()), at);
        }
        changed
    }

    /// Whether every kind was listed, or cannot be: before, what is there is only a part.
    pub(super) fn are_settled(&self) -> bool {
        self.0.values().all(|condition| condition.settled)
    }

    /// As the view tells it.
    pub(super) fn sync(&self) -> Sync {
        let kinds = self.0.iter().map(|(kind, condition)| KindSync {
            kind: Arc::from(*kind),
            state: condition.state.clone(),
        });
        Sync { origin: SyncOrigin::Live, kinds: kinds.collect() }
    }
}
