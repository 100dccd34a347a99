//! Who an agent is: what stands between the network and the gRPC service.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use ringfence_model::Name;

use crate::config::Config;
use crate::ingest::AgentIdentity;
use crate::tls::ClientCertificate;

/// What the URI in an agent's certificate begins with; the cluster and the node follow.
const AGENT: &str = "spiffe://ringfence/agent/";

/// Whether an agent needs a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// On loopback where nobody has to say who they are.
    Open,
    /// Everywhere else.
    Certificates,
}

impl Door {
    pub(super) fn new(config: &Config) -> Self {
        let open = config.listen.ip().is_loopback() && !config.authenticates();
        if open && config.tls.is_none() { Self::Open } else { Self::Certificates }
    }
}

/// Puts the [`AgentIdentity`] of the certificate among the extensions, or refuses who has none.
pub(super) async fn identify(
    State(door): State<Door>,
    mut request: Request,
    next: Next,
) -> Response {
    let certificate = request.extensions().get::<ClientCertificate>();
    match (certificate.and_then(identity), door) {
        (Some(identity), _) => {
            request.extensions_mut().insert(identity);
        }
        (None, Door::Open) => {}
        (None, Door::Certificates) => {
            // gRPC: UNAUTHENTICATED, in a response without a body.
            let headers = [
                ("content-type", "application/grpc"),
                ("grpc-status", "16"),
                ("grpc-message", "an agent needs a client certificate with its name"),
            ];
            return (StatusCode::OK, headers).into_response();
        }
    }
    next.run(request).await
}

/// The cluster and node that a certificate names: exactly one agent.
fn identity(certificate: &ClientCertificate) -> Option<AgentIdentity> {
    let mut agents = certificate.uris.iter().filter_map(|uri| uri.strip_prefix(AGENT));
    let (Some(agent), None) = (agents.next(), agents.next()) else { return None };
    let (cluster, node) = agent.split_once('/')?;
    Some(AgentIdentity { cluster: cluster.parse::<Name>().ok()?, node: node.parse::<Name>().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{ClientCertificate, identity};

    #[test]
    fn a_certificate_names_one_agent() {
        let agent = |uris: &[&str]| {
            let uris = uris.iter().map(|&uri| uri.to_owned()).collect();
            let found = identity(&ClientCertificate { uris, names: Vec::new() })?;
            Some(format!("{}/{}", found.cluster, found.node))
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
