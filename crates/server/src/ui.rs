//! The pages: what `ui/` was built to, inside the binary.

use std::borrow::Cow;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::RustEmbed;

use crate::problem::{Kind, Problem};

#[derive(RustEmbed)]
#[folder = "../../ui/dist"]
#[allow_missing = true]
struct Pages;

/// What is shown when the pages were not built.
const UNBUILT: &str = "\
<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>Ringfence</title></head>
<body>
<h1>Ringfence</h1>
<p>This binary was built without its pages. Build them first, then the binary:</p>
<pre>npm --prefix ui ci &amp;&amp; npm --prefix ui run build
cargo build --release</pre>
<p>The API works without them: <a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a>.</p>
</body>
</html>
";

/// Every address that nothing else answers: a file, or the first page, which finds out itself what to show.
pub fn router() -> Router {
    Router::new().fallback(page)
}

async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") {
        return Problem::not_found(format!("there is nothing at {}", uri.path()))
            .with_hint("GET /api/v1/openapi.json says what there is")
            .into_response();
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return Problem::new(Kind::MethodNotAllowed, "pages are read only").into_response();
    }
    if let Some(file) = Pages::get(path) {
        // Names of assets hold the digest of their contents.
        let forever = path.starts_with("assets/");
        return answer(path, file, forever, &headers);
    }
    if path.starts_with("assets/") {
        return Problem::not_found(format!("there is no file {path}")).into_response();
    }
    match Pages::get("index.html") {
        Some(file) => answer("index.html", file, false, &headers),
        None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], UNBUILT).into_response(),
    }
}

fn answer(
    path: &str,
    file: rust_embed::EmbeddedFile,
    forever: bool,
    headers: &HeaderMap,
) -> Response {
    let caching = if forever { "public, max-age=31536000, immutable" } else { "no-cache" };
    let tag = tag(&file);
    let mut answer = HeaderMap::new();
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(tag) = HeaderValue::try_from(&tag) {
        answer.insert(header::ETAG, tag);
    }
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|one| same(one, &tag))) {
        return (StatusCode::NOT_MODIFIED, answer).into_response();
    }
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
    match file.data {
        Cow::Borrowed(data) => (answer, data).into_response(),
        Cow::Owned(data) => (answer, data).into_response(),
    }
}

/// If-None-Match compares weakly (RFC 9110 13.1.2): compression makes a tag weak on its way.
fn same(known: &str, tag: &str) -> bool {
    let known = known.trim();
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
}

fn tag(file: &rust_embed::EmbeddedFile) -> String {
    use std::fmt::Write as _;

    let mut tag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, kind)| kind) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webp") => "image/webp",
        Some("woff2") => "font/woff2",
        Some("wasm") => "application/wasm",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
