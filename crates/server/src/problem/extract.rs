//! The extractors of axum, whose refusals are problems.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Fault, Kind, Problem};

/// A body in JSON, and a response in it.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// The parameters of the path.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// The parameters of the query.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let axum::Json(body) = axum::Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

impl<T: Serialize> axum::response::IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(path) =
            axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(path))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Query(query) =
            axum::extract::Query::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

impl From<JsonRejection> for Problem {
    fn from(refused: JsonRejection) -> Self {
        let detail = refused.body_text();
        match refused.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(Kind::TooLarge, "the body is longer than the limit")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::new(Kind::UnsupportedType, "the body is not declared to be JSON")
                    .with_hint("send Content-Type: application/json")
            }
            _ => {
                let said = detail
                    .strip_prefix("Failed to deserialize the JSON body into the target type: ");
                let (place, fault) = placed(said.unwrap_or(&detail));
                let pointer = place.map(pointer).unwrap_or_default();
                Self::bad_request(detail.clone())
                    .with_error(Fault {
                        detail: fault.to_owned(),
                        pointer: Some(pointer),
                        field: None,
                        line: None,
                    })
                    .with_hint("GET /api/v1/openapi.json says what the body holds")
            }
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(refused: PathRejection) -> Self {
        Self::bad_field("path", refused.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(refused: QueryRejection) -> Self {
        let text = refused.body_text();
        let said = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        let (place, fault) = placed(said);
        Self::bad_field(place.unwrap_or("query"), fault)
            .with_hint("GET /api/v1/openapi.json says which parameters there are")
    }
}

/// The place in a refusal, and what is wrong there: `port: number too large` or ``missing field `port` ``.
fn placed(said: &str) -> (Option<&str>, &str) {
    if let Some((name, _)) = said.strip_prefix("missing field `").and_then(|s| s.split_once('`')) {
        return (Some(name), "it is missing");
    }
    match said.split_once(": ") {
        Some((place, fault)) if !place.contains(' ') => (Some(place), fault),
        _ => (None, said),
    }
}

/// `operations[0].op` as a JSON pointer (RFC 6901).
fn pointer(path: &str) -> String {
    let keys = path.split(['.', '[', ']']).filter(|key| !key.is_empty());
    let escaped = keys.map(|key| key.replace('~', "~0").replace('/', "~1"));
    escaped.fold(String::new(), |pointer, key| pointer + "/" + &key)
}

#[cfg(test)]
mod tests {
    use super::{placed, pointer};

    #[test]
    fn a_refusal_names_its_place() {
        let known = "unknown variant `x`, expected one of `a`: b";
        assert_eq!(placed("sort: unknown"), (Some("sort"), "unknown"));
        assert_eq!(placed("missing field `namespace`"), (Some("namespace"), "it is missing"));
        assert_eq!(placed(known), (None, known));
        assert_eq!(pointer("operations[0].op"), "/operations/0/op");
        assert_eq!(pointer("."), "");
    }
}
