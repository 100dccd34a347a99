use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{ask, get};
use crate::running::{Running, start};

#[tokio::test]
async fn who_asks_too_often_is_told_to_wait() {
    let Running { server, directory: _directory } =
        start("limits: {requestsPerSecond: 1, burst: 3}").await;
    let url = format!("{}healthz", server.url());
    for _ in 0..3 {
        assert_eq!(get(&url, &[]).await.status, 200);
    }
    let refused = get(&url, &[]).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["retry-after"], "1");
    server.stop().await;
}

#[tokio::test]
async fn a_request_of_100_megabytes_is_refused_before_it_is_sent() {
    let Running { server, directory: _directory } = start("").await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST /api/v1/login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 256];
    let read = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn a_long_body_without_a_length_is_cut() {
    let Running { server, directory: _directory } = start("limits: {bodyBytes: 2048}").await;
    let parts = (0..10).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024]));
    let body = axum::body::Body::from_stream(futures::stream::iter(parts));
    let url = format!("{}api/v1/login", server.url());
    let refused = ask("POST", &url, &[("content-type", "application/json")], body).await;
    assert_eq!(refused.status, 413, "{}", refused.text());
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_left() {
    let Running { server, directory: _directory } =
        start("limits: {idleSeconds: 1, requestsPerSecond: 1000000, burst: 1000000}").await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request =
        format!("GET /api/v1/openapi.json HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
    // Asks and never reads, until the server gives up.
    let left = async {
        loop {
            if stream.write_all(request.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), left).await.expect("the server gives up");
    assert_eq!(get(&format!("{}healthz", server.url()), &[]).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn events_end_when_the_server_stops() {
    let Running { server, directory: _directory } = start("").await;
    let url = format!("{}api/v1/events", server.url());
    let events = tokio::spawn(async move { get(&url, &[]).await });
    // The stream is open when the server has counted it.
    let metrics = format!("{}metrics", server.url());
    loop {
        let text = get(&metrics, &[]).await;
        if text.text().contains("route=\"/api/v1/events\"") {
            break;
        }
        tokio::task::yield_now().await;
    }
    let stopped = tokio::time::timeout(Duration::from_secs(5), server.stop()).await;
    stopped.expect("the server does not wait for the stream");
    assert_eq!(events.await.unwrap().status, 200);
}
