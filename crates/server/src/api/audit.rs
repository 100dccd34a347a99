//! `GET /audit`: who changed what.

use std::sync::Arc;

use axum::extract::State;
use ringfence_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Answer;
use crate::api::state::{Api, blocking, moment};
use crate::api::words::Time;
use crate::auth::Admin;
use crate::problem::{Details, Json, MEDIA_TYPE, Problem, Query};

/// One entry of the audit trail.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct AuditEntry {
    /// When.
    pub at: Time,
    /// Who: the name of the token, the subject of the login, or `local`.
    pub who: String,
    /// What was done, such as `review.change`.
    pub action: String,
    /// To what, such as `prod/shop`.
    pub object: String,
    /// What changed, for people.
    pub detail: String,
}

/// The newest entries.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct AuditTrail {
    /// The entries, newest first.
    pub items: Vec<AuditEntry>,
}

/// Which entries.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Only from before this time (RFC 3339).
    #[param(nullable = false, format = DateTime)]
    pub before: Option<String>,
    /// At most so many: 100 when left out.
    #[param(nullable = false, minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
}

/// So many entries are told when nobody says how many.
const ENTRIES: usize = 100;
/// No more entries than this are told.
const MOST_ENTRIES: usize = 1000;

/// Who changed what, newest first.
#[utoipa::path(get, path = "/audit", operation_id = "listAudit", tag = "server", params(AuditQuery), responses(
    (status = 200, body = AuditTrail),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn list(
    _: Admin,
    State(api): State<Arc<Api>>,
    Query(query): Query<AuditQuery>,
) -> Answer<AuditTrail> {
    let before = query.before.map(|text| moment("before", &text)).transpose()?;
    let limit = query.limit.unwrap_or(ENTRIES);
    if limit == 0 || limit > MOST_ENTRIES {
        let detail = format!("{limit} is not between 1 and {MOST_ENTRIES}");
        return Err(Problem::bad_field("limit", detail));
    }
    let before = before.unwrap_or(Timestamp::MAX);
    let entries = blocking(move || Ok(api.store().audit_trail(before, limit)?)).await?;
    let told = |entry: ringfence_store::AuditEntry| {
        let ringfence_store::AuditEntry { at, who, action, object, detail } = entry;
        AuditEntry { at: at.into(), who, action, object, detail }
    };
    Ok(Json(AuditTrail { items: entries.into_iter().map(told).collect() }))
}
