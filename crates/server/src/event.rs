//! What has changed, for those who watch.

use ringfence_model::Name;
use tokio::sync::broadcast;

/// Something changed, so that what was read before may be out of date. An event says what to read again, not what
/// it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The objects of a cluster, or how fresh they are.
    Inventory {
        /// The cluster.
        cluster: Name,
    },
    /// What agents said of the machines outside Kubernetes that they run on. The objects of the cluster follow.
    Hosts {
        /// The cluster.
        cluster: Name,
    },
    /// The edges of a cluster.
    Edges {
        /// The cluster.
        cluster: Name,
    },
    /// The review of a namespace, or with `None` the configuration of the cluster.
    Review {
        /// The cluster.
        cluster: Name,
        /// The namespace.
        namespace: Option<Name>,
    },
}

/// Sends events to everybody who watches. Who reads too slowly misses events and is told so.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

/// How many events a slow watcher may be behind.
const BACKLOG: usize = 256;

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Events {
    /// Tells everybody.
    pub fn send(&self, event: Event) {
        // Nobody watching is fine.
        let _ = self.0.send(event);
    }

    /// Events from now on.
    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
