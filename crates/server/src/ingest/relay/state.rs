//! How the connections to relays are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ringfence_model::Timestamp;
use ringfence_store::SourceKey;

/// How the connections to Hubble Relays are, by relay.
#[derive(Debug, Default)]
pub struct Relays(Mutex<BTreeMap<SourceKey, RelayState>>);

/// How the connection to a relay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayState {
    /// It sends what it observes.
    Connected,
    /// It cannot be reached.
    Away {
        /// Since when.
        since: Timestamp,
        /// What the last attempt came to.
        fault: String,
    },
}

impl Relays {
    /// How the connection to a relay is; `None` while it was not tried yet, and for what is no relay.
    pub fn get(&self, relay: &SourceKey) -> Option<RelayState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(relay).cloned()
    }

    /// How many cannot be reached.
    pub fn away(&self) -> u64 {
        let relays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        relays.values().filter(|state| matches!(state, RelayState::Away { .. })).count() as u64
    }

    pub(super) fn connected(&self, relay: &SourceKey) {
        let mut relays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        relays.insert(relay.clone(), RelayState::Connected);
    }

    /// It cannot be reached at a moment, and perhaps since longer.
    pub(super) fn away_since(&self, relay: &SourceKey, at: Timestamp, fault: &str) {
        let mut relays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match relays.get(relay) {
            Some(RelayState::Away { since, .. }) => *since,
            Some(RelayState::Connected) | None => at,
        };
        relays.insert(relay.clone(), RelayState::Away { since, fault: fault.to_owned() });
    }
}
