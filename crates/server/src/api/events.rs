//! `GET /events`: what has changed, so that pages refresh by themselves.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use futures::Stream;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use utoipa::ToSchema;

use crate::api::state::Api;
use crate::auth::Viewer;
use crate::event;
use crate::problem::{Details, MEDIA_TYPE};

/// Something changed: what was read before may be out of date. Sent as `data` of a server-sent event of the same name
/// as its `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) enum Event {
    /// The objects of a cluster, or how fresh they are.
    Inventory {
        /// The cluster.
        cluster: String,
    },
    /// The edges of a cluster.
    Edges {
        /// The cluster.
        cluster: String,
    },
    /// The review of a namespace; without one the configuration of the cluster.
    Review {
        /// The cluster.
        cluster: String,
        /// The namespace.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        namespace: Option<String>,
    },
    /// Events were missed: read everything again.
    Resync,
}

impl Event {
    const fn name(&self) -> &'static str {
        match self {
            Self::Inventory { .. } => "inventory",
            Self::Edges { .. } => "edges",
            Self::Review { .. } => "review",
            Self::Resync => "resync",
        }
    }

    fn sent(&self) -> sse::Event {
        let event = sse::Event::default().event(self.name());
        // The few fields of an event are text, which is always JSON.
        event.json_data(self).unwrap_or_else(|_| sse::Event::default().event("resync"))
    }
}

impl From<event::Event> for Event {
    fn from(event: event::Event) -> Self {
        match event {
            event::Event::Inventory { cluster } | event::Event::Hosts { cluster } => {
                Self::Inventory { cluster: cluster.to_string() }
            }
            event::Event::Edges { cluster } => Self::Edges { cluster: cluster.to_string() },
            event::Event::Review { cluster, namespace } => Self::Review {
                cluster: cluster.to_string(),
                namespace: namespace.map(|namespace| namespace.to_string()),
            },
        }
    }
}

/// How often a silent stream shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What happens from now on. Who reads more slowly than things happen misses events, and is told so.
fn stream(receiver: Receiver<event::Event>) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    futures::stream::unfold(receiver, |mut receiver| async {
        let event = match receiver.recv().await {
            Ok(event) => event.into(),
            Err(RecvError::Lagged(_)) => Event::Resync,
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(event.sent()), receiver))
    })
}

/// What has changed, as server-sent events (WHATWG HTML, 9.2), so that pages refresh by themselves.
#[utoipa::path(get, path = "/events", operation_id = "watchEvents", tag = "server", responses(
    (status = 200, body = Event, content_type = "text/event-stream"),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn watch(
    _: Viewer,
    State(api): State<Arc<Api>>,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("alive");
    Sse::new(stream(api.app.events.watch())).keep_alive(heartbeat)
}
