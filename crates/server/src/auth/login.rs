//! The requests by which somebody comes in and goes out, and `GET /me`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router, routing};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::cookie::Cookie;
use super::oidc::{CALLBACK, LoginError};
use super::secret::{Digest, NoRandom};
use super::sessions::Origin;
use super::{Auth, Gate, Remote, Session, Viewer};
use crate::principal::{Principal, Role};
use crate::problem::{Details, Json, MEDIA_TYPE, Problem, Query};

/// How somebody can come in here.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Methods {
    /// Whether nobody has to.
    open: bool,
    /// Whether with a token.
    token: bool,
    /// Where to send the browser for the `OpenID` provider; null without one.
    #[schema(required)]
    oidc: Option<&'static str>,
}

/// Comes in with a token.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TokenLogin {
    /// The token, as `ringfence token` printed it.
    token: String,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Me {
    /// The name of the token, the name that the `OpenID` provider gave, or `local`.
    name: String,
    /// What they may do.
    #[schema(value_type = Role)]
    role: &'static str,
    /// What requests that change something must send as `X-CSRF-Token`; null without a session.
    #[schema(required)]
    csrf: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Arrival {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

const BEGIN: &str = "/api/v1/login/oidc";

/// What `docs/openapi.json` says of the requests below.
#[derive(OpenApi)]
#[openapi(paths(methods, login, logout, me))]
pub(crate) struct Description;

/// `/api/v1/login`, `/api/v1/logout` and `/api/v1/me`.
pub fn router(auth: Arc<Auth>) -> Router {
    Router::new()
        .route("/api/v1/login", routing::get(methods).post(login))
        .route(BEGIN, routing::get(depart))
        .route(CALLBACK, routing::get(arrive))
        .route("/api/v1/logout", routing::post(logout))
        .route("/api/v1/me", routing::get(me))
        .with_state(auth)
}

/// How somebody can come in here. Nobody has to be known to ask.
#[utoipa::path(get, path = "/login", operation_id = "getLoginMethods", tag = "login", responses(
    (status = 200, body = Methods),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
async fn methods(State(auth): State<Arc<Auth>>) -> Json<Methods> {
    Json(match &auth.gate {
        Gate::Local => Methods { open: true, token: false, oidc: None },
        Gate::Demanded { tokens, oidc } => {
            Methods { open: false, token: tokens.is_some(), oidc: oidc.is_some().then_some(BEGIN) }
        }
    })
}

/// Who asks, and what they may do.
#[utoipa::path(get, path = "/me", operation_id = "getMe", tag = "login", responses(
    (status = 200, body = Me),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
async fn me(Viewer(principal): Viewer, session: Option<Extension<Session>>) -> Json<Me> {
    let Principal { name, role } = principal;
    let csrf = session.map(|Extension(session)| session.csrf.to_string());
    Json(Me { name, role: role.as_str(), csrf })
}

/// Comes in with a token: the answer sets the cookie of a session.
#[utoipa::path(post, path = "/login", operation_id = "login", tag = "login", request_body = TokenLogin, responses(
    (status = 204, description = "the session has begun"),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
async fn login(
    State(auth): State<Arc<Auth>>,
    remote: Option<Extension<Remote>>,
    Json(TokenLogin { token }): Json<TokenLogin>,
) -> Result<Response, Problem> {
    let from = remote.map_or_else(String::new, |Extension(Remote(ip))| format!("from {ip}"));
    let Some(principal) = auth.token(&token) else {
        auth.trail.failure("unknown", "token", &from);
        return Err(Problem::unauthorized("the token is unknown or has expired"));
    };
    auth.trail.note(&principal.name, "login.success", "token", &from);
    let session = auth.begin(Origin::Token(Digest::of(&token)))?;
    Ok((StatusCode::NO_CONTENT, session).into_response())
}

/// Goes out: the session ends.
#[utoipa::path(post, path = "/logout", operation_id = "logout", tag = "login", responses(
    (status = 204, description = "the session has ended"),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
async fn logout(State(auth): State<Arc<Auth>>, headers: HeaderMap) -> Response {
    if let Some(cookie) = Cookie::Session.read(&headers, auth.secure) {
        auth.sessions.end(cookie);
    }
    let mut answer = HeaderMap::new();
    set(&mut answer, Cookie::Session.clear(auth.secure));
    (StatusCode::NO_CONTENT, answer).into_response()
}

async fn depart(State(auth): State<Arc<Auth>>) -> Result<Response, Problem> {
    let Gate::Demanded { oidc: Some(provider), .. } = &auth.gate else {
        return Err(Problem::not_found("there is no OpenID provider here"));
    };
    let departure = provider.depart().await.map_err(|e| refusal(&e))?;
    let mut headers = to(&departure.url)?;
    let last = Duration::from_mins(10);
    set(&mut headers, Cookie::Departed.set(&departure.state, last, auth.secure));
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

async fn arrive(
    State(auth): State<Arc<Auth>>,
    Query(Arrival { code, state, error }): Query<Arrival>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Gate::Demanded { oidc: Some(provider), .. } = &auth.gate else {
        return Err(Problem::not_found("there is no OpenID provider here"));
    };
    if let Some(error) = error {
        // What the provider says is shown as data, cut short.
        let error: String = error.chars().take(100).collect();
        auth.trail.failure("unknown", "oidc", &format!("the provider says {error}"));
        return Err(Problem::forbidden(format!("the OpenID provider says: {error}")));
    }
    let (Some(code), Some(state)) = (code, state) else {
        return Err(Problem::bad_request("code or state is missing"));
    };
    // The state must be in this browser: otherwise somebody else's login would be slipped in.
    let departed = Cookie::Departed.read(&headers, auth.secure);
    if departed.map(Digest::of) != Some(Digest::of(&state)) {
        return Err(refusal(&LoginError::Unknown));
    }
    let principal = match provider.arrive(&state, code).await {
        Ok(principal) => principal,
        Err(error) => {
            let who = if let LoginError::NoRole { name } = &error { name } else { "unknown" };
            auth.trail.failure(who, "oidc", &error.to_string());
            return Err(refusal(&error));
        }
    };
    auth.trail.note(&principal.name, "login.success", "oidc", principal.role.as_str());
    let mut headers = auth.begin(Origin::Oidc(principal))?;
    set(&mut headers, Cookie::Departed.clear(auth.secure));
    headers.insert(header::LOCATION, HeaderValue::from_static("/"));
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

impl Auth {
    /// Headers that let the browser in.
    fn begin(&self, origin: Origin) -> Result<HeaderMap, Problem> {
        let secret = self.sessions.begin(origin).map_err(|e: NoRandom| Problem::internal(&e))?;
        let mut headers = HeaderMap::new();
        set(&mut headers, Cookie::Session.set(secret.reveal(), self.sessions.last(), self.secure));
        Ok(headers)
    }
}

fn set(headers: &mut HeaderMap, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
}

fn to(url: &str) -> Result<HeaderMap, Problem> {
    let url = HeaderValue::try_from(url).map_err(|e| Problem::internal(&e))?;
    Ok(HeaderMap::from_iter([(header::LOCATION, url)]))
}

fn refusal(error: &LoginError) -> Problem {
    match error {
        LoginError::Provider(_) => {
            tracing::error!(%error, "login impossible");
            Problem::unavailable("the OpenID provider does not answer as it should")
                .with_hint("the server's log says more")
        }
        LoginError::Unknown => {
            Problem::bad_request(error.to_string()).with_hint("go to the first page and log in")
        }
        LoginError::Token(_) => Problem::unauthorized("the OpenID provider's answer is not valid"),
        LoginError::NoRole { .. } => Problem::forbidden(error.to_string())
            .with_hint("an administrator can give one in authentication.oidc.roles"),
    }
}
