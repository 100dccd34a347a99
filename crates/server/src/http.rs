//! HTTP: one router of everything, and what holds for all of it: limits, headers, who asks.

mod accept;
mod agent;
mod headers;
mod idle;
mod progress;
mod rate;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::auth::{self, Auth};
use crate::config::{Config, Limits};
use crate::enrol::Enrolment;
use crate::metrics::Metrics;
use crate::problem::{Kind, Problem};
use crate::shutdown::Shutdown;

pub use accept::{Listener, accept};

use self::headers::Headers;
use self::rate::Rate;

/// What is served.
pub struct Served {
    /// Whether the process is alive and ready: nobody has to log in for it.
    pub health: Router,
    /// The pages: nobody has to log in to load them.
    pub pages: Router,
    /// Everything under `/api/v1` but flow logs, and the metrics.
    pub api: Router,
    /// Flow logs sent in.
    pub uploads: Router,
    /// The gRPC service for agents.
    pub agents: Router,
    /// The gRPC service that gives them certificates.
    pub enrolment: Router,
}

/// One router of everything.
pub fn router(
    served: Served,
    config: &Config,
    auth: &Arc<Auth>,
    enrolled: Option<Arc<Enrolment>>,
    metrics: &Arc<Metrics>,
    shutdown: &Shutdown,
) -> Router {
    let Served { health, pages, api, uploads, agents, enrolment } = served;
    let limits = &config.limits;
    let api = api
        .layer(from_fn(auth::demand_somebody))
        .merge(auth::router(Arc::clone(auth)))
        .layer(from_fn_with_state(Arc::new(limits.clone()), bounded))
        .layer(DefaultBodyLimit::max(usize::try_from(limits.body).unwrap_or(usize::MAX)));
    let uploads = uploads
        .layer(from_fn(auth::demand_somebody))
        .layer(RequestBodyTimeoutLayer::new(limits.idle))
        .layer(DefaultBodyLimit::disable());
    let people = Router::new()
        .merge(pages)
        .merge(api)
        .merge(uploads)
        .layer(from_fn_with_state(Arc::clone(auth), auth::authenticate))
        .merge(health)
        .layer(compression());
    let door = agent::Door::new(config, enrolled);
    let agents = agents.layer(from_fn_with_state(door, agent::identify));
    let enrolment = enrolment.layer(RequestBodyTimeoutLayer::new(limits.request));
    people
        .merge(agents)
        .merge(enrolment)
        .layer(from_fn_with_state(shutdown.clone(), end_streams))
        .layer(from_fn_with_state(Arc::new(Headers::new(config)), headers::add))
        .layer(from_fn_with_state(Arc::new(Rate::new(limits.rate, limits.burst)), rate::limit))
        .layer(from_fn_with_state(Arc::clone(metrics), crate::metrics::measure))
}

/// Not for what is small, and not for streams of events, which must not wait.
fn compression() -> CompressionLayer<impl tower_http::compression::predicate::Predicate> {
    let worthwhile = SizeAbove::new(1024)
        .and(NotForContentType::new("text/event-stream"))
        .and(NotForContentType::new("application/zip"))
        .and(NotForContentType::IMAGES);
    CompressionLayer::new().compress_when(worthwhile)
}

/// Holds a request to its limits of size and time. A response that is a stream may take longer: only its beginning
/// is timed.
async fn bounded(State(limits): State<Arc<Limits>>, request: Request, next: Next) -> Response {
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limits.body) {
        return Problem::too_large(limits.body).into_response();
    }
    match tokio::time::timeout(limits.request, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("this took longer than {} s", limits.request.as_secs());
            Problem::new(Kind::TimedOut, detail).into_response()
        }
    }
}

/// Ends streams of events when the server stops: they would never end by themselves.
async fn end_streams(State(shutdown): State<Shutdown>, request: Request, next: Next) -> Response {
    use futures::StreamExt as _;

    let response = next.run(request).await;
    let is_stream = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if !is_stream {
        return response;
    }
    response.map(|body| {
        let stopped = async move { shutdown.requested().await };
        axum::body::Body::from_stream(body.into_data_stream().take_until(Box::pin(stopped)))
    })
}
