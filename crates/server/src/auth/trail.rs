//! What goes into the audit trail about logins.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringfence_store::{AuditEntry, Store};
use tokio::time::Instant;

use crate::clock::Clock;

/// How many failures are noted in a [`PERIOD`]: somebody who guesses must not fill the disk.
const MOST: u32 = 20;

const PERIOD: Duration = Duration::from_mins(1);

/// Notes logins.
pub(super) struct Trail {
    store: Arc<dyn Store>,
    clock: Clock,
    failures: Mutex<Failures>,
}

struct Failures {
    since: Instant,
    noted: u32,
    more: u64,
}

impl Trail {
    pub(super) fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        let failures = Failures { since: Instant::now(), noted: 0, more: 0 };
        Self { store, clock, failures: Mutex::new(failures) }
    }

    /// Notes something, after the answer: the disk may be slow.
    pub(super) fn note(&self, who: &str, action: &str, object: &str, detail: &str) {
        let entry = AuditEntry {
            at: self.clock.now(),
            who: who.to_owned(),
            action: action.to_owned(),
            object: object.to_owned(),
            detail: detail.to_owned(),
        };
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = store.audit(&entry) {
                tracing::error!(%error, action = entry.action, "audit entry not stored");
            }
        });
    }

    /// Notes that somebody did not get in, unless too many did not.
    pub(super) fn failure(&self, who: &str, object: &str, detail: &str) {
        tracing::warn!(who, object, detail, "login failed");
        let more = {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            if failures.since.elapsed() >= PERIOD {
                failures.since = Instant::now();
                failures.noted = 0;
            }
            if failures.noted >= MOST {
                failures.more += 1;
                return;
            }
            failures.noted += 1;
            std::mem::take(&mut failures.more)
        };
        if more > 0 {
            let detail = format!("{detail}; {more} more failures before were not noted");
            self.note(who, "login.failure", object, &detail);
        } else {
            self.note(who, "login.failure", object, detail);
        }
    }
}
