use std::time::Duration;

use axum::body::to_bytes;
use axum::http::header;
use axum::response::IntoResponse;
use ringfence_store::StoreError;

use super::Problem;

async fn body(problem: Problem) -> String {
    let body = to_bytes(problem.into_response().into_body(), 10_000).await.expect("a short body");
    String::from_utf8(body.to_vec()).expect("text")
}

#[tokio::test]
async fn says_what_where_and_what_next() {
    let problem =
        Problem::bad_body("/operations/0/op", "there is no such operation").with_hint("use decide");
    insta::assert_snapshot!(body(problem).await, @r#"{"type":"urn:ringfence:problem:bad-request","title":"Bad request","status":400,"detail":"/operations/0/op: there is no such operation","hint":"use decide","errors":[{"detail":"there is no such operation","pointer":"/operations/0/op"}]}"#);
}

#[tokio::test]
async fn a_conflict_gives_the_current_version() {
    let problem = Problem::from(StoreError::Conflict { base: 3, current: 5 });
    insta::assert_snapshot!(body(problem).await, @r#"{"type":"urn:ringfence:problem:conflict","title":"Changed in between","status":409,"detail":"the change was made from version 3, and by now there is version 5","hint":"read it again and repeat the change","currentVersion":5}"#);
}

#[tokio::test]
async fn an_internal_fault_stays_inside() {
    let fault = std::io::Error::other("secret path");
    assert!(!body(Problem::internal(&fault)).await.contains("secret"));
}

#[test]
fn headers_go_with_the_kind() {
    let response = Problem::unauthorized("no token").into_response();
    assert_eq!(response.status().as_u16(), 401);
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    assert_eq!(response.headers()[header::CONTENT_TYPE], super::MEDIA_TYPE);
    let response = Problem::too_many(Duration::from_millis(200)).into_response();
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
}
