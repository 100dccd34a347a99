//! What went wrong with a request, as the client is told: problem details of RFC 9457.

mod extract;

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringfence_advise::Said;
use ringfence_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::chain::Chain;
use crate::review::change::ChangeCode;

pub use extract::{Json, Path, Query};

/// The media type of problem details.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The kinds of problems. A closed list: clients tell them apart by `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request does not say what it should.
    BadRequest,
    /// Nobody knows who asks.
    Unauthorized,
    /// Who asks may not.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// There is such a thing, but not with this method.
    MethodNotAllowed,
    /// The client took too long to send the request, or the server to answer it.
    TimedOut,
    /// Somebody else changed it in between.
    Conflict,
    /// The body is longer than the limit.
    TooLarge,
    /// The body is of a type that is not read here.
    UnsupportedType,
    /// The host name of the request is not one of the server's.
    Misdirected,
    /// The change does not say which version it was made from (RFC 6585).
    PreconditionRequired,
    /// The client asks too often (RFC 6585).
    TooMany,
    /// The server is at fault. Its log says more.
    Internal,
    /// The server cannot answer now.
    Unavailable,
    /// There is no room to store it.
    NoRoom,
}

impl Kind {
    const fn parts(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::BadRequest => {
                ("urn:ringfence:problem:bad-request", "Bad request", StatusCode::BAD_REQUEST)
            }
            Self::Unauthorized => {
                ("urn:ringfence:problem:unauthorized", "Log in first", StatusCode::UNAUTHORIZED)
            }
            Self::Forbidden => {
                ("urn:ringfence:problem:forbidden", "Not permitted", StatusCode::FORBIDDEN)
            }
            Self::NotFound => {
                ("urn:ringfence:problem:not-found", "Not found", StatusCode::NOT_FOUND)
            }
            Self::MethodNotAllowed => (
                "urn:ringfence:problem:method-not-allowed",
                "Method not allowed",
                StatusCode::METHOD_NOT_ALLOWED,
            ),
            Self::TimedOut => {
                ("urn:ringfence:problem:timed-out", "Timed out", StatusCode::REQUEST_TIMEOUT)
            }
            Self::Conflict => {
                ("urn:ringfence:problem:conflict", "Changed in between", StatusCode::CONFLICT)
            }
            Self::TooLarge => {
                ("urn:ringfence:problem:too-large", "Too large", StatusCode::PAYLOAD_TOO_LARGE)
            }
            Self::UnsupportedType => (
                "urn:ringfence:problem:unsupported-type",
                "Unsupported media type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            Self::Misdirected => (
                "urn:ringfence:problem:misdirected",
                "Not this server",
                StatusCode::MISDIRECTED_REQUEST,
            ),
            Self::PreconditionRequired => (
                "urn:ringfence:problem:precondition-required",
                "Say which version you change",
                StatusCode::PRECONDITION_REQUIRED,
            ),
            Self::TooMany => (
                "urn:ringfence:problem:too-many-requests",
                "Too many requests",
                StatusCode::TOO_MANY_REQUESTS,
            ),
            Self::Internal => (
                "urn:ringfence:problem:internal",
                "Fault of the server",
                StatusCode::INTERNAL_SERVER_ERROR,
            ),
            Self::Unavailable => {
                ("urn:ringfence:problem:unavailable", "Not now", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::NoRoom => {
                ("urn:ringfence:problem:no-room", "No room", StatusCode::INSUFFICIENT_STORAGE)
            }
        }
    }

    /// The status code that goes with it.
    pub const fn status(self) -> StatusCode {
        self.parts().2
    }
}

/// What went wrong with a request.
#[derive(Clone, Debug)]
pub struct Problem(Box<Details>);

/// Problem details of RFC 9457 with the extension members `hint`, `errors` and those of [`Conflict`]: the body of a [`Problem`].
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The kind of problem, as a URN.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The kind of problem, for people.
    title: &'static str,
    /// The status code of the response.
    status: u16,
    /// What is wrong with this request.
    detail: Cow<'static, str>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<Cow<'static, str>>,
    /// What is wrong where in the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// Of a conflict: what is there by now.
    #[serde(flatten)]
    conflict: Option<Conflict>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

/// What is there by now instead of the version that a change was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The newest version.
    pub current_version: u64,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub who: Option<String>,
    /// When (RFC 3339, in UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub at: Option<String>,
    /// What it says otherwise than the version that the change was made from, where that is still known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Said<ChangeCode>>,
}

/// What is wrong at one place of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// What is wrong.
    pub detail: String,
    /// Where in the body, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Which parameter of the path or query, or which header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Which line of a YAML text, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        let (name, title, status) = kind.parts();
        Self(Box::new(Details {
            kind: name,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
            errors: Vec::new(),
            conflict: None,
            retry_after: None,
        }))
    }

    /// The request does not say what it should.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::BadRequest, detail)
    }

    /// A parameter of the path or query, or a header, does not say what it should.
    pub fn bad_field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let (field, detail) = (field.into(), detail.into());
        Self::bad_request(format!("{field}: {detail}")).with_error(Fault {
            detail,
            pointer: None,
            field: Some(field),
            line: None,
        })
    }

    /// A place in the body, given as a JSON pointer, does not say what it should.
    pub fn bad_body(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        Self::bad_request(format!("{pointer}: {detail}")).with_error(Fault {
            detail,
            pointer: Some(pointer),
            field: None,
            line: None,
        })
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    /// Somebody else changed it since version `base`.
    pub fn conflict(base: u64, conflict: Conflict) -> Self {
        let current = conflict.current_version;
        let detail = format!(
            "the change was made from version {base}, and by now there is version {current}"
        );
        let mut problem = Self::new(Kind::Conflict, detail);
        problem.0.conflict = Some(conflict);
        problem.with_hint("read it again and repeat the change")
    }

    /// A change came without the version that it was made from.
    pub fn precondition_required() -> Self {
        Self::new(Kind::PreconditionRequired, "the request has no If-Match header")
            .with_hint("send the ETag of what you read as If-Match")
    }

    /// Nobody knows who asks.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unauthorized, detail)
    }

    /// Who asks may not.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Forbidden, detail)
    }

    /// The body is longer than the limit, in bytes.
    pub fn too_large(limit: u64) -> Self {
        Self::new(Kind::TooLarge, format!("the body is longer than {limit} bytes"))
    }

    /// The client asks too often.
    pub fn too_many(retry_after: Duration) -> Self {
        let mut problem = Self::new(Kind::TooMany, "this client asks too often");
        problem.0.retry_after = Some(retry_after);
        problem
    }

    /// The server cannot answer now.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(Kind::Unavailable, detail);
        problem.0.retry_after = Some(Duration::from_secs(1));
        problem
    }

    /// The server is at fault: the log says of what, the client is not told.
    pub fn internal(fault: &dyn std::error::Error) -> Self {
        tracing::error!(fault = %Chain(fault), "request failed");
        Self::new(Kind::Internal, "the server could not answer").with_hint("its log says why")
    }

    /// Says what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds what is wrong at one place of the request.
    #[must_use]
    pub fn with_error(mut self, fault: Fault) -> Self {
        self.0.errors.push(fault);
        self
    }

    /// The status code of the response.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What is wrong with this request.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, axum::Json(&self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.0.retry_after {
            // Rounded up: who comes back after it must not be too early.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(fault: StoreError) -> Self {
        match fault {
            StoreError::Conflict { base, current: current_version } => Self::conflict(
                base,
                Conflict { current_version, who: None, at: None, changes: Vec::new() },
            ),
            fault @ StoreError::Exists { .. } => {
                Self::new(Kind::Conflict, fault.to_string()).with_hint("choose another name")
            }
            StoreError::DiskFull(_) => {
                tracing::error!("disk full");
                Self::new(Kind::NoRoom, "the disk of the server is full; nothing was stored")
            }
            fault @ (StoreError::Repeated { .. }
            | StoreError::Damaged { .. }
            | StoreError::Newer { .. }
            | StoreError::InUse { .. }
            | StoreError::File { .. }
            | StoreError::Database(_)) => Self::internal(&fault),
        }
    }
}

#[cfg(test)]
#[path = "problem_tests.rs"]
mod tests;
