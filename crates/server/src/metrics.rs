//! What monitoring reads: `OpenMetrics`, names `ringfence_*`. Every label has a closed set of values, or is a cluster.

mod snapshot;

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::app::App;
use crate::auth::Viewer;
use crate::problem::Problem;

pub use snapshot::{Gauge, Gauges};

use snapshot::Snapshot;

/// What is counted while the server runs.
pub struct Metrics {
    registry: Registry,
    requests: Family<Asked, Counter>,
    durations: Family<Route, Histogram>,
    gauges: Gauges,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Asked {
    route: String,
    method: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: String,
}

impl Metrics {
    /// Nothing counted yet. `gauges` are asked at every scrape.
    pub fn new(gauges: Gauges) -> Self {
        let mut registry = Registry::with_prefix("ringfence");
        let requests = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let durations = Family::new_with_constructor(duration as fn() -> Histogram);
        registry.register_with_unit(
            "http_request_duration",
            "Time to the beginning of the answer",
            Unit::Seconds,
            durations.clone(),
        );
        let build =
            prometheus_client::metrics::info::Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", build);
        Self { registry, requests, durations, gauges }
    }

    /// Everything as text, with what the store and the clusters say at the moment.
    fn text(&self, app: &App) -> Result<String, Problem> {
        let mut now = Registry::with_prefix("ringfence");
        now.register_collector(Box::new(Snapshot::take(app, &self.gauges)?));
        let mut text = String::new();
        text::encode_registry(&mut text, &self.registry)
            .and_then(|()| text::encode_registry(&mut text, &now))
            .and_then(|()| text::encode_eof(&mut text))
            .map_err(|e| Problem::internal(&e))?;
        Ok(text)
    }
}

fn duration() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

/// `GET /metrics`.
pub fn router(app: Arc<App>, metrics: Arc<Metrics>) -> Router {
    Router::new().route("/metrics", routing::get(scrape)).with_state((app, metrics))
}

async fn scrape(
    _: Viewer,
    State((app, metrics)): State<(Arc<App>, Arc<Metrics>)>,
) -> Result<Response, Problem> {
    let text = tokio::task::spawn_blocking(move || metrics.text(&app)).await;
    let text = text.map_err(|e| Problem::internal(&e))??;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// Counts requests and how long they take.
pub async fn measure(
    State(metrics): State<Arc<Metrics>>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    // The pattern, not the path: paths are without number.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let method = method(request.method());
    let response = next.run(request).await;
    let taken = began.elapsed();
    let status = class(response.status());
    tracing::debug!(route, method, status = response.status().as_u16(), ?taken, "request answered");
    metrics.durations.get_or_create(&Route { route: route.clone() }).observe(taken.as_secs_f64());
    metrics.requests.get_or_create(&Asked { route, method, status }).inc();
    response
}

/// The methods that are told apart: a client can invent others.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
