//! `GET /sources`: where flows come from, and what became of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use ringfence_store::{DropReason, SourceKey, SourceKind as StoredKind, SourceState};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Answer;
use crate::api::state::{Api, blocking};
use crate::api::words::{List, Time};
use crate::auth::Viewer;
use crate::ingest::{RelayState, Relays};
use crate::problem::{Details, Json, MEDIA_TYPE};

/// A source of flows with its ledger: `received = stored + duplicate + dropped`, `lostAtSource` apart.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Source {
    /// The cluster it tells of.
    pub cluster: String,
    /// Its kind.
    pub kind: SourceKind,
    /// The node of an agent, the address of a relay, the digest of a file's contents.
    pub name: String,
    /// When the last batch arrived.
    pub last: Time,
    /// Records that reached the server.
    pub received: u64,
    /// Records whose counts are in the edges.
    pub stored: u64,
    /// Records that had come before.
    pub duplicate: u64,
    /// Records that were not stored, by reason.
    pub dropped: Dropped,
    /// Of a relay that is followed: how the connection is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub connection: Option<Connection>,
}

/// The kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SourceKind {
    /// An agent on a node or host.
    Agent,
    /// A Hubble Relay.
    Hubble,
    /// A flow log.
    File,
}

/// Why records were not stored.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dropped {
    /// They could not be read.
    pub malformed: u64,
    /// They were longer than the limit.
    pub oversized: u64,
    /// They were lost before they reached the server, as the source itself says. Not among the received.
    pub lost_at_source: u64,
    /// They are no evidence of a connection.
    pub no_connection: u64,
    /// Their time lies outside what the server keeps.
    pub outside_retention: u64,
    /// They speak of a node other than the agent's own.
    pub foreign_node: u64,
}

impl From<&BTreeMap<DropReason, u64>> for Dropped {
    fn from(counts: &BTreeMap<DropReason, u64>) -> Self {
        let mut dropped = Self::default();
        for (reason, count) in counts {
            let sum = match reason {
                DropReason::Malformed => &mut dropped.malformed,
                DropReason::Oversized => &mut dropped.oversized,
                DropReason::LostAtSource => &mut dropped.lost_at_source,
                DropReason::NoConnection => &mut dropped.no_connection,
                DropReason::OutsideRetention => &mut dropped.outside_retention,
                DropReason::ForeignNode => &mut dropped.foreign_node,
            };
            *sum = *count;
        }
        dropped
    }
}

/// How the connection to a relay is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "state")]
pub(super) enum Connection {
    /// It sends what it observes.
    Connected,
    /// It cannot be reached.
    #[serde(rename_all = "camelCase")]
    Away {
        /// Since when.
        since: Time,
        /// What the last attempt came to.
        fault: String,
    },
}

impl From<RelayState> for Connection {
    fn from(state: RelayState) -> Self {
        match state {
            RelayState::Connected => Self::Connected,
            RelayState::Away { since, fault } => Self::Away { since: since.into(), fault },
        }
    }
}

fn told((key, state): (SourceKey, SourceState), relays: &Relays) -> Source {
    let dropped = Dropped::from(&state.ledger.dropped);
    Source {
        connection: relays.get(&key).map(Connection::from),
        cluster: key.cluster.to_string(),
        kind: match key.kind {
            StoredKind::Agent => SourceKind::Agent,
            StoredKind::Hubble => SourceKind::Hubble,
            StoredKind::File => SourceKind::File,
        },
        name: key.name.to_string(),
        last: state.last.into(),
        received: state.ledger.received,
        stored: state.ledger.stored,
        duplicate: state.ledger.duplicate,
        dropped,
    }
}

/// Where flows come from, and what became of them.
#[utoipa::path(get, path = "/sources", operation_id = "listSources", tag = "server", responses(
    (status = 200, body = List<Source>),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn list(_: Viewer, State(api): State<Arc<Api>>) -> Answer<List<Source>> {
    let relays = Arc::clone(&api);
    let sources = blocking(move || Ok(api.store().sources()?)).await?;
    let relays = &relays.app.relays;
    let sources = sources.into_iter().map(|source| told(source, relays));
    Ok(Json(sources.collect::<Vec<Source>>().into()))
}
