//! Keeping the store small.

use std::sync::Arc;
use std::time::Duration;

use ringfence_store::{Retention, Sqlite};

use crate::clock::Clock;
use crate::shutdown::Shutdown;

/// The pause when nothing is left to do.
const REST: Duration = Duration::from_mins(5);

/// The pause while something is.
const BREATH: Duration = Duration::from_millis(200);

/// Removes what is too old or too much, a little at a time, until the shutdown.
pub(super) async fn run(
    store: Arc<Sqlite>,
    retention: Retention,
    clock: Clock,
    shutdown: Shutdown,
) {
    loop {
        let done = tokio::task::spawn_blocking({
            let (store, now) = (Arc::clone(&store), clock.now());
            move || store.maintain(now, &retention)
        });
        let pause = match done.await {
            Ok(Ok(done)) => {
                if done.removed > 0 {
                    tracing::debug!(removed = done.removed, size = done.size, "store tidied");
                }
                if done.is_done { REST } else { BREATH }
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "store not tidied");
                REST
            }
            // It panicked, which was told where it happened.
            Err(_) => return,
        };
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
