//! What every request is checked for before a handler sees it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::cookie::Cookie;
use super::secret::Digest;
use super::sessions::{self, Origin};
use super::{Auth, Gate, Remote};
use crate::principal::{Principal, Role};
use crate::problem::Problem;

/// The header that brings the token of [`Session`] back.
pub(super) const CSRF: &str = "x-csrf-token";

/// Among the extensions of requests of a browser that is logged in.
#[derive(Clone, Debug)]
pub struct Session {
    /// What requests that change something must send as `X-CSRF-Token`.
    pub csrf: Arc<str>,
}

/// Finds out who asks: puts a [`Principal`] among the extensions, and a [`Session`] beside it, or neither when
/// nobody says who they are. Refuses what is not genuine: unknown tokens, foreign hosts and foreign sites.
pub async fn authenticate(
    State(auth): State<Arc<Auth>>,
    mut request: Request,
    next: Next,
) -> Response {
    match auth.check(&request) {
        Ok(None) => {}
        Ok(Some(Known { principal, session })) => {
            let extensions = request.extensions_mut();
            extensions.insert(principal);
            if let Some(session) = session {
                extensions.insert(session);
            }
        }
        Err(problem) => return problem.into_response(),
    }
    next.run(request).await
}

/// Refuses everybody who did not say who they are, whether or not the handler demands a role.
pub async fn demand_somebody(request: Request, next: Next) -> Response {
    if request.extensions().get::<Principal>().is_none() {
        return Problem::unauthorized("the request does not say who asks")
            .with_hint("log in, or send a token as Authorization: Bearer")
            .into_response();
    }
    next.run(request).await
}

struct Known {
    principal: Principal,
    session: Option<Session>,
}

impl Auth {
    fn check(&self, request: &Request) -> Result<Option<Known>, Problem> {
        let (uri, headers) = (request.uri(), request.headers());
        self.origins.check_host(uri, headers)?;
        if let Some(presented) = bearer(headers) {
            // A browser never sends this header for another site by itself, so no site can misuse it.
            return match self.token(presented) {
                Some(principal) => Ok(Some(Known { principal, session: None })),
                None => {
                    let remote = request.extensions().get::<Remote>();
                    let from = remote.map_or_else(String::new, |Remote(ip)| ip.to_string());
                    self.trail.failure("unknown", "token", &format!("from {from}"));
                    Err(Problem::unauthorized("the token is unknown or has expired"))
                }
            };
        }
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if changes {
            self.origins.check_site(uri, headers)?;
        }
        if let Gate::Local = self.gate {
            let principal = Principal { name: "local".to_owned(), role: Role::Admin };
            return Ok(Some(Known { principal, session: None }));
        }
        let cookie = Cookie::Session.read(headers, self.secure);
        let Some(session) = cookie.and_then(|cookie| self.sessions.find(cookie)) else {
            return Ok(None);
        };
        let Some(principal) = self.origin(&session.origin) else { return Ok(None) };
        if changes && !sends_back(headers, &session) {
            return Err(Problem::forbidden("the request has no valid X-CSRF-Token header")
                .with_hint("send the csrf of GET /api/v1/me"));
        }
        let session = Some(Session { csrf: session.csrf });
        Ok(Some(Known { principal, session }))
    }

    /// Who comes in with a token.
    pub(super) fn token(&self, presented: &str) -> Option<Principal> {
        match &self.gate {
            Gate::Demanded { tokens: Some(tokens), .. } if Digest::is_token(presented) => {
                tokens.principal(&Digest::of(presented), self.clock.now())
            }
            _ => None,
        }
    }

    fn origin(&self, origin: &Origin) -> Option<Principal> {
        match (origin, &self.gate) {
            (Origin::Oidc(principal), _) => Some(principal.clone()),
            (Origin::Token(digest), Gate::Demanded { tokens: Some(tokens), .. }) => {
                tokens.principal(digest, self.clock.now())
            }
            (Origin::Token(_), _) => None,
        }
    }
}

/// What stands behind `Authorization: Bearer` (RFC 6750).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credentials.trim())
}

fn sends_back(headers: &HeaderMap, session: &sessions::Session) -> bool {
    // Digests are compared in constant time.
    let sent = headers.get(CSRF).and_then(|value| value.to_str().ok());
    sent.is_some_and(|sent| Digest::of(sent) == Digest::of(&*session.csrf))
}
