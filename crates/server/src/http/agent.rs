//! Who an agent is: what stands between the network and the gRPC service.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::config::Config;
use crate::enrol::{Enrolment, Standing};
use crate::ingest::AgentIdentity;
use crate::tls::ClientCertificate;

/// Whom agents have to show a certificate, and which ones count.
#[derive(Clone)]
pub(super) struct Door {
    /// On loopback where nobody has to say who they are, no certificate is needed.
    open: bool,
    enrolment: Option<Arc<Enrolment>>,
}

impl Door {
    pub(super) fn new(config: &Config, enrolment: Option<Arc<Enrolment>>) -> Self {
        let local = config.listen.ip().is_loopback() && !config.authenticates();
        Self { open: local && config.tls.is_none(), enrolment }
    }
}

/// Puts the [`AgentIdentity`] of the certificate among the extensions, and its [`Standing`], or refuses who has none.
pub(super) async fn identify(
    State(door): State<Door>,
    mut request: Request,
    next: Next,
) -> Response {
    let certificate = request.extensions().get::<ClientCertificate>();
    let named = certificate
        .and_then(|certificate| Some((AgentIdentity::of(certificate)?, certificate.clone())));
    match named {
        Some((agent, certificate)) => {
            let Some(standing) = Standing::of(door.enrolment, &agent, &certificate) else {
                tracing::warn!(%agent, "agent refused: its certificate does not count");
                return refused("the agent was removed, or enrolled anew elsewhere");
            };
            request.extensions_mut().insert(standing);
            request.extensions_mut().insert(agent);
        }
        None if door.open => {}
        None => return refused("an agent needs a client certificate with its name"),
    }
    next.run(request).await
}

/// gRPC: UNAUTHENTICATED, in a response without a body.
fn refused(reason: &'static str) -> Response {
    let headers =
        [("content-type", "application/grpc"), ("grpc-status", "16"), ("grpc-message", reason)];
    (StatusCode::OK, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::{AgentIdentity, ClientCertificate};

    #[test]
    fn a_certificate_names_one_agent() {
        let agent = |uris: &[&str]| {
            let uris = uris.iter().map(|&uri| uri.to_owned()).collect();
            let found = AgentIdentity::of(&ClientCertificate { uris, ..Default::default() })?;
            Some(found.to_string())
        };
        let one = "spiffe://ringfence/agent/prod/node-1";
        assert_eq!(agent(&[one]), Some("prod/node-1".to_owned()));
        assert_eq!(agent(&["https://a.example", one]), Some("prod/node-1".to_owned()));
        assert_eq!(agent(&[one, "spiffe://ringfence/agent/prod/node-2"]), None);
        assert_eq!(agent(&["spiffe://ringfence/agent/prod"]), None);
        assert_eq!(agent(&["spiffe://ringfence/agent/prod/a/b"]), None);
        assert_eq!(agent(&["spiffe://other/agent/prod/a"]), None);
        assert_eq!(agent(&[]), None);
    }
}
