//! Clients that hold a connection and do nothing with it. There is one place for connections in these tests: whoever
//! comes after gets in when that place is free again.

use std::time::Duration;

use axum::http::Request;
use ringfence_server::event::Event;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::client::get;
use crate::running::{Running, start};

const LIMITS: &str = "limits: {idleSeconds: 1, requestSeconds: 1, connections: 1}";

/// Longer than any of them may take.
const SOON: Duration = Duration::from_secs(20);

/// Somebody else is served.
async fn served(running: &Running) {
    let url = format!("{}healthz", running.server.url());
    let answer = tokio::time::timeout(SOON, get(&url, &[])).await.expect("the place is free");
    assert_eq!(answer.status, 200);
}

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.server.address()).await.unwrap()
}

/// Much happens.
fn happens(running: &Running) -> JoinHandle<()> {
    let cluster: ringfence_model::Name = "prod".parse().unwrap();
    let events = running.server.app().events.clone();
    tokio::spawn(async move {
        loop {
            for _ in 0..100 {
                events.send(Event::Edges { cluster: cluster.clone() });
            }
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    })
}

/// It answers pings, as a good client does, but there is never room for an answer.
async fn never_opens_its_window(path: &str) {
    let running = start(LIMITS).await;
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(0)
        .handshake::<_, axum::body::Bytes>(connect(&running).await)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let url = format!("{}{path}", running.server.url());
    let (response, _) = client.send_request(Request::get(url).body(()).unwrap(), true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    let happens = happens(&running);
    // The body is kept, and not read.
    let mut body = response.into_body();
    let end = tokio::time::timeout(SOON, body.data()).await.expect("it is cut off");
    assert!(end.is_none_or(|data| data.is_err()));
    let _ = connection.await.unwrap();
    served(&running).await;
    happens.abort();
    running.server.stop().await;
}

#[tokio::test]
async fn a_client_that_never_opens_its_window_is_cut_off() {
    never_opens_its_window("api/v1/openapi.json").await;
}

/// An answer that fits into one piece.
#[tokio::test]
async fn a_client_that_never_opens_its_window_for_a_little_is_cut_off() {
    never_opens_its_window("healthz").await;
}

#[tokio::test]
async fn a_client_that_never_opens_its_window_for_events_is_cut_off() {
    never_opens_its_window("api/v1/events").await;
}

#[tokio::test]
async fn a_client_that_reads_no_events_is_cut_off() {
    let running = start(LIMITS).await;
    let mut stream = connect(&running).await;
    let address = running.server.address();
    let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let happens = happens(&running);
    served(&running).await;
    happens.abort();
    running.server.stop().await;
}

/// A client that reads nothing for a while, but not for too long.
#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() {
    let running = start("limits: {idleSeconds: 2}").await;
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(20_000)
        .handshake::<_, axum::body::Bytes>(connect(&running).await)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let url = format!("{}api/v1/openapi.json", running.server.url());
    let (response, _) = client.send_request(Request::get(&url).body(()).unwrap(), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let mut read = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        read += data.len();
        tokio::time::sleep(Duration::from_millis(100)).await;
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    assert_eq!(read, get(&url, &[]).await.body.len());
    running.server.stop().await;
}

#[tokio::test]
async fn who_asks_for_nothing_is_cut_off() {
    let address = |running: &Running| running.server.address();
    let running = start(LIMITS).await;
    let half = format!("GET / HTTP/1.1\r\nHost: {}\r\n", address(&running));
    // Nothing; what may become HTTP/1 or HTTP/2; a request whose headers never end; HTTP/2 without a request.
    for begun in ["", "P", &half, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        let mut stream = connect(&running).await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        served(&running).await;
    }
    // A header line now and then.
    let mut stream = connect(&running).await;
    stream.write_all(half.as_bytes()).await.unwrap();
    let drips = tokio::spawn(async move {
        while stream.write_all(b"X-Drop: 1\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    served(&running).await;
    tokio::time::timeout(SOON, drips).await.expect("the connection is closed").unwrap();
    running.server.stop().await;
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let running = start(LIMITS).await;
    let prod = "prod".parse().unwrap();
    running.server.app().cluster_or_new(&prod);
    for (path, status) in [("api/v1/clusters/prod/flows", "400"), ("api/v1/login", "408")] {
        let mut stream = connect(&running).await;
        let head = format!(
            "POST /{path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
            running.server.address()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        let read = tokio::time::timeout(SOON, stream.read_exact(&mut answer)).await;
        read.expect("it is given up").unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"));
        drop(stream);
        served(&running).await;
    }
    running.server.stop().await;
}
