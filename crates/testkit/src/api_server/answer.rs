//! Requests and their answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State as Extract};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Asked, Expiry, Shared};

type Params = BTreeMap<String, String>;

/// The parts of a path that matter here; API groups do not, because no two kinds share a plural.
#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    namespace: String,
    plural: String,
    #[serde(default)]
    name: String,
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let version = json!({"major": "1", "minor": "33", "gitVersion": "v1.33.0"});
    let mut router = Router::new().route("/version", get(async || axum::Json(version)));
    for root in ["/api/v1", "/apis/{group}/{version}"] {
        let path = |rest: &str| format!("{root}{rest}");
        router = router
            .route(&path("/{plural}"), get(answer).post(create))
            .route(&path("/namespaces/{namespace}/{plural}"), post(create))
            .route(&path("/{plural}/{name}"), axum::routing::delete(remove))
            .route(&path("/namespaces/{namespace}/{plural}/{name}"), axum::routing::delete(remove));
    }
    router.with_state(shared)
}

async fn create(
    Extract(shared): Extract<Arc<Shared>>,
    Path(Place { namespace, .. }): Path<Place>,
    axum::Json(mut object): axum::Json<Value>,
) -> Response {
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    let kept = shared.change(|state| state.apply(object));
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::CREATED, kind, kept.to_string()).into_response()
}

async fn remove(
    Extract(shared): Extract<Arc<Shared>>,
    Path(Place { namespace, plural, name }): Path<Place>,
) -> Response {
    shared.change(|state| state.delete(plural, &namespace, &name));
    axum::Json(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})).into_response()
}

/// A `metav1.Status` that says no.
pub(super) fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        410 => "Expired",
        504 => "Timeout",
        _ => "InternalError",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

fn refusal(code: u16, message: &str) -> Response {
    let status_code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status_code, axum::Json(status(code, message))).into_response()
}

const EXPIRED: &str = "too old resource version";

async fn answer(
    Extract(shared): Extract<Arc<Shared>>,
    Path(Place { plural, .. }): Path<Place>,
    Query(params): Query<Params>,
) -> Response {
    let param = |name: &str| params.get(name).map_or("", String::as_str);
    let watch = matches!(param("watch"), "true" | "1");
    let delay = {
        let mut state = shared.state();
        state.asked.push(Asked {
            plural: plural.clone(),
            watch,
            version: param("resourceVersion").to_owned(),
            continued: !param("continue").is_empty(),
        });
        state.delay
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    {
        let state = shared.state();
        let collection = state.collections.get(&plural);
        if collection.is_some_and(|collection| collection.hidden) {
            return refusal(404, "the server could not find the requested resource");
        }
        if collection.is_some_and(|collection| collection.forbidden) {
            return refusal(403, &format!("{plural} is forbidden: User cannot list resource"));
        }
    }
    if watch { self::watch(shared, plural, &params) } else { list(&shared, &plural, &params) }
}

/// A page of a list. A continuation names the version of the first page and the objects that were given.
fn list(shared: &Shared, plural: &str, params: &Params) -> Response {
    let state = shared.state();
    let limit = params.get("limit").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let limit = limit.min(state.page.unwrap_or(usize::MAX));
    let token = params.get("continue").and_then(|token| token.split_once('-'));
    let (version, from) = match token.map(|(version, from)| (version.parse(), from.parse())) {
        Some((Ok(version), Ok(from))) => (version, from),
        Some(_) => return refusal(400, "the continue key is not valid"),
        None => (state.version, 0_usize),
    };
    let collection = state.collections.get(plural);
    if collection.is_some_and(|collection| !collection.remembers(version)) {
        return refusal(410, "The provided continue parameter is too old");
    }
    let (items, remaining) =
        collection.map_or_else(Default::default, |collection| collection.page(from, limit));
    let next = if remaining > 0 { format!("{version}-{}", from + limit) } else { String::new() };
    let body = format!(
        "{{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{{\"resourceVersion\":\"{version}\",\
         \"continue\":\"{next}\"}},\"items\":[{}]}}",
        items.join(",")
    );
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Where a watch stands.
struct Watch {
    shared: Arc<Shared>,
    plural: String,
    version: u64,
    connection: u64,
    changes: tokio::sync::watch::Receiver<u64>,
    ends: Instant,
    over: bool,
}

fn watch(shared: Arc<Shared>, plural: String, params: &Params) -> Response {
    let number = |name: &str| params.get(name).and_then(|text| text.parse::<u64>().ok());
    let changes = shared.changes.subscribe();
    let (connection, latest, known, expiry) = {
        let state = shared.state();
        let version = number("resourceVersion").unwrap_or(state.version);
        let collection = state.collections.get(&plural);
        let known = collection.is_none_or(|collection| collection.remembers(version));
        (state.connection, state.version, known, state.expiry)
    };
    let version = number("resourceVersion").unwrap_or(latest);
    if version > latest {
        let message = format!("Too large resource version: {version}, current: {latest}");
        return refusal(504, &message);
    }
    if !known && expiry == Some(Expiry::Status) {
        return refusal(410, EXPIRED);
    }
    let ends = Instant::now() + Duration::from_secs(number("timeoutSeconds").unwrap_or(1800));
    let watch = Watch { shared, plural, version, connection, changes, ends, over: false };
    let lines = stream::unfold(watch, |mut watch| async {
        let line = watch.next().await?;
        Some((line, watch))
    });
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(lines)).into_response()
}

impl Watch {
    /// The next lines, or how the watch ends.
    async fn next(&mut self) -> Option<Result<String, std::io::Error>> {
        while !self.over {
            self.changes.borrow_and_update();
            match self.look() {
                Look::Lines(lines) => return Some(Ok(lines)),
                Look::Over(last) => {
                    self.over = true;
                    return last;
                }
                Look::Nothing => {}
            }
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.ends) => return None,
            }
        }
        None
    }

    /// What there is by now.
    fn look(&mut self) -> Look {
        let state = self.shared.state();
        if state.connection != self.connection {
            return Look::Over(state.abrupt.then(|| Err(std::io::Error::other("cut"))));
        }
        let Some(collection) = state.collections.get(&self.plural) else { return Look::Nothing };
        match collection.since(self.version) {
            None => {
                let status = status(410, EXPIRED);
                Look::Over(Some(Ok(format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n"))))
            }
            Some(events) => {
                let Some((last, _)) = events.last() else { return Look::Nothing };
                self.version = *last;
                Look::Lines(events.iter().map(|(_, line)| &**line).collect())
            }
        }
    }
}

/// What a watch finds when it looks.
enum Look {
    Nothing,
    Lines(String),
    /// The watch ends, with this before it.
    Over(Option<Result<String, std::io::Error>>),
}
