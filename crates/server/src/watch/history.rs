//! Changes on their way to the store, which may be slow or full without anybody waiting for it.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringfence_kube::live::Backoff;
use ringfence_model::{Diagnostic, Name};
use ringfence_store::{ObjectChange, StoreError};
use tokio::sync::Notify;

/// The most changes of one transaction.
const BATCH: usize = 2_000;
/// The most changes that wait while the store fails.
const MOST_WAITING: usize = 200_000;

/// Changes on their way to the store.
#[derive(Default)]
pub(super) struct History {
    queue: Mutex<Queue>,
    grown: Condvar,
    /// Told when it begins or ceases to fail.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<ObjectChange>,
    /// What the store failed of last, while it does.
    fault: Option<String>,
    /// Changes that had no room.
    lost: usize,
    closed: bool,
}

impl Queue {
    /// Makes room by forgetting what lies between: of each object the last change stays. Where that does not do, the
    /// oldest go.
    fn shrink(&mut self) {
        let mut seen = HashSet::new();
        let mut kept: Vec<ObjectChange> = Vec::with_capacity(self.waiting.len());
        while let Some(change) = self.waiting.pop() {
            if seen.insert(change.key.clone()) {
                kept.push(change);
            }
        }
        self.lost += kept.len().saturating_sub(MOST_WAITING / 2);
        kept.truncate(MOST_WAITING / 2);
        kept.reverse();
        self.waiting = kept;
    }
}

impl History {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes changes, in their order.
    pub(super) fn note(&self, changes: impl IntoIterator<Item = ObjectChange>) {
        let mut queue = self.queue();
        let before = queue.waiting.len();
        queue.waiting.extend(changes);
        if queue.waiting.len() > MOST_WAITING {
            queue.shrink();
        }
        if before == 0 {
            self.grown.notify_all();
        }
    }

    /// No more changes will come.
    pub(super) fn close(&self) {
        self.queue().closed = true;
        self.grown.notify_all();
    }

    /// What people should know about it.
    pub(super) fn diagnostics(&self) -> Vec<Diagnostic> {
        let queue = self.queue();
        let failing = queue.fault.as_ref().map(|fault| {
            let message = format!("changes of the cluster are not stored at the moment: {fault}");
            Diagnostic::error("history-not-stored", message)
                .hint("they wait in memory; make room on the disk or look at the store")
        });
        let lost = (queue.lost > 0).then(|| {
            let message = format!("{} changes of the cluster could not be stored", queue.lost);
            Diagnostic::error("history-lost", message)
                .hint("flows of that time may not resolve; restart the server to store the rest")
        });
        failing.into_iter().chain(lost).collect()
    }

    /// Stores changes until no more come, then what is left once more. Blocks.
    pub(super) fn write(
        &self,
        cluster: &Name,
        mut store: impl FnMut(&[ObjectChange]) -> Result<(), StoreError>,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        while let Some(batch) = self.next() {
            let failed = store(&batch).err();
            let mut queue = self.queue();
            let fault = failed.as_ref().map(ToString::to_string);
            if queue.fault != fault {
                match &fault {
                    Some(fault) => tracing::error!(%cluster, fault, "cannot store objects"),
                    None => tracing::info!(%cluster, "objects are stored again"),
                }
                queue.fault = fault;
                self.changed.notify_one();
            }
            if failed.is_none() {
                backoff.reset();
                continue;
            }
            queue.waiting.splice(..0, batch);
            if queue.closed {
                let lost = queue.waiting.len();
                return tracing::error!(%cluster, lost, "changes of objects are not stored");
            }
            let closed = |queue: &mut Queue| !queue.closed;
            // Nothing but the end is worth waking up for.
            drop(self.grown.wait_timeout_while(queue, backoff.delay(), closed));
        }
    }

    /// The next changes to store; `None` at the end.
    fn next(&self) -> Option<Vec<ObjectChange>> {
        let idle = |queue: &mut Queue| queue.waiting.is_empty() && !queue.closed;
        let mut queue =
            self.grown.wait_while(self.queue(), idle).unwrap_or_else(PoisonError::into_inner);
        if queue.waiting.is_empty() {
            return None;
        }
        let rest = queue.waiting.len().min(BATCH);
        let rest = queue.waiting.split_off(rest);
        Some(std::mem::replace(&mut queue.waiting, rest))
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
