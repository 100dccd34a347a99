//! Logs sent by HTTP.

use std::fs::File;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use futures::StreamExt as _;
use ringfence_model::Name;
use ringfence_store::{AuditEntry, Ledger, StoreError};
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use utoipa::{OpenApi, ToSchema};

use super::Ingest;
use super::log::{LogError, Taken, digest};
use crate::api::Dropped;
use crate::auth::Admin;
use crate::problem::{Details, Json, Kind, MEDIA_TYPE, Path, Problem};

/// What became of a log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    /// SHA-256 of what was sent.
    source: String,
    /// Lines.
    received: u64,
    /// Those whose counts are stored.
    stored: u64,
    /// Those that came before.
    duplicate: u64,
    /// Those that were not stored, by reason.
    dropped: Dropped,
    /// Edges stored, counted anew in every minute.
    edges: usize,
    /// First moment.
    #[schema(format = DateTime)]
    first: Option<String>,
    /// Just after the last moment.
    #[schema(format = DateTime)]
    last: Option<String>,
}

/// What `docs/openapi.json` says of the request below.
#[derive(OpenApi)]
#[openapi(paths(take))]
pub(crate) struct Description;

/// Takes a flow log in, of `hubble observe -o jsonpb` or of Ringfence records, plain or compressed with gzip or zstd.
/// The same log counts once, however often it is sent.
#[utoipa::path(post, path = "/clusters/{cluster}/flows", operation_id = "sendFlows", tag = "server",
    params(("cluster" = String, Path)), request_body(content = String, content_type = "application/x-ndjson"),
    responses(
        (status = 200, body = Receipt),
        (status = "default", body = Details, content_type = MEDIA_TYPE),
    ))]
pub(super) async fn take(
    State(ingest): State<Ingest>,
    Admin(principal): Admin,
    Path(cluster): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipt>, Problem> {
    let shared = &ingest.0;
    let cluster =
        Name::new(cluster).map_err(|fault| Problem::bad_field("cluster", fault.to_string()))?;
    if shared.app.cluster(&cluster).is_none() {
        return Err(Problem::not_found(format!("there is no cluster {cluster}")));
    }
    let limit = shared.options.max_upload;
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > limit) {
        return Err(Problem::too_large(limit));
    }
    let file = shared.options.scratch.file().map_err(|fault| no_room(&fault))?;
    let file = spool(body, file, limit).await?;
    let hashed = tokio::task::spawn_blocking(move || digest(&file).map(|digest| (file, digest)));
    let hashed = hashed.await.map_err(|_| Problem::unavailable("the server stops"))?;
    let (file, digest) = hashed.map_err(|fault| Problem::internal(&fault))?;
    let taken = shared.log(&cluster, file, digest, "the log".to_owned()).await.map_err(problem)?;
    let entry = AuditEntry {
        at: shared.app.clock.now(),
        who: principal.name,
        action: "data.flows".to_owned(),
        object: cluster.to_string(),
        detail: format!("{} lines of log {}", taken.ledger.received, taken.digest),
    };
    let store = std::sync::Arc::clone(&shared.app.store);
    let audited = tokio::task::spawn_blocking(move || store.audit(&entry)).await;
    audited.map_err(|_| Problem::unavailable("the server stops"))??;
    Ok(Json(receipt(taken)))
}

/// Writes the body to a file, so that it can be read twice.
async fn spool(body: Body, file: File, limit: u64) -> Result<File, Problem> {
    let mut file = tokio::fs::File::from_std(file);
    let mut chunks = body.into_data_stream();
    let mut length = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|fault| Problem::bad_request(format!("the body broke off: {fault}")))?;
        length += chunk.len() as u64;
        if length > limit {
            return Err(Problem::too_large(limit));
        }
        file.write_all(&chunk).await.map_err(|fault| no_room(&fault))?;
    }
    file.flush().await.map_err(|fault| no_room(&fault))?;
    Ok(file.into_std().await)
}

fn no_room(fault: &std::io::Error) -> Problem {
    if fault.kind() == std::io::ErrorKind::StorageFull {
        Problem::new(Kind::NoRoom, "the disk of the server is full; nothing was stored")
    } else {
        Problem::internal(fault)
    }
}

fn problem(fault: LogError) -> Problem {
    match fault {
        LogError::Read(fault) => Problem::bad_request(fault.to_string())
            .with_hint("send a log of hubble observe -o jsonpb, or of Ringfence records"),
        LogError::Store(StoreError::Repeated { .. }) => {
            Problem::new(Kind::Conflict, "the same log is being stored")
        }
        LogError::Store(fault) => fault.into(),
        LogError::Io(fault) => Problem::internal(&fault),
        LogError::Stopped => Problem::unavailable("the server stops"),
    }
}

fn receipt(taken: Taken) -> Receipt {
    let Taken { digest, ledger, edges, window } = taken;
    let Ledger { received, stored, duplicate, dropped } = ledger;
    let moment = |at: ringfence_model::Timestamp| at.to_string();
    Receipt {
        source: digest,
        received,
        stored,
        duplicate,
        dropped: Dropped::from(&dropped),
        edges,
        first: window.map(|window| moment(window.from)),
        last: window.map(|window| moment(window.until)),
    }
}
