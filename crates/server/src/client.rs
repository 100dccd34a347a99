//! Asking a server over its API, for the command line.

use std::path::Path;
use std::time::Duration;

pub use axum::http::Method;
use axum::http::{Request, Uri, header};
use serde::Deserialize;
use serde_json::Value;

use crate::auth::{Https, HttpsError};
use crate::config::is_secure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks one server.
pub struct Client {
    https: Https,
    base: String,
    /// Who asks.
    token: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The token, and what is asked, could be read on the way.
    #[error("{0:?} is not https://, and not on this machine")]
    Insecure(String),
    /// The request cannot be written.
    #[error("the request cannot be written")]
    Request(#[from] axum::http::Error),
    /// The connection.
    #[error(transparent)]
    Connection(Box<dyn std::error::Error + Send + Sync>),
    /// Nobody answers in time.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// The server refuses.
    #[error("{}", told(.detail, .hint.as_deref()))]
    Refused {
        /// What is wrong.
        detail: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The answer is none of this API.
    #[error("the server answers something else than JSON (status {0})")]
    Answer(u16),
}

fn told(detail: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| detail.to_owned(), |hint| format!("{detail}\n  hint: {hint}"))
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
    hint: Option<String>,
}

impl From<HttpsError> for ClientError {
    fn from(fault: HttpsError) -> Self {
        Self::Connection(Box::new(fault))
    }
}

impl Client {
    /// For a server at `https://host:port`, or `http://` on this machine. Trusts the given authority, or else those of
    /// the system.
    pub fn new(base: &str, ca: Option<&Path>, token: Option<String>) -> Result<Self, ClientError> {
        let base = base.trim_end_matches('/').to_owned();
        if !base.parse::<Uri>().is_ok_and(|uri| is_secure(&uri)) {
            return Err(ClientError::Insecure(base));
        }
        Ok(Self { https: Https::new(ca, true)?, base, token })
    }

    /// Asks, and takes the answer: null when it has none. `path` begins behind `/api/v1`.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let mut request =
            Request::builder().method(method).uri(format!("{}/api/v1{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = tokio::time::timeout(PATIENCE, self.https.ask(request.body(body)?));
        let (parts, body) = answer.await.map_err(|_| ClientError::Slow)??.into_parts();
        if !parts.status.is_success() {
            let problem = serde_json::from_slice::<Problem>(&body);
            let Problem { detail, hint } =
                problem.map_err(|_| ClientError::Answer(parts.status.as_u16()))?;
            return Err(ClientError::Refused { detail, hint });
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| ClientError::Answer(parts.status.as_u16()))
    }
}
