//! Logs sent by HTTP, and logs that appear in a directory.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use ringfence_model::{Name, Span, Timestamp};
use ringfence_server::config::WatchedDirectory;
use ringfence_server::ingest::Options;
use ringfence_server::principal::{Principal, Role};
use ringfence_store::{ObjectChange, ObjectKey, SourceKind, Sqlite};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::server::{Server, prod, show, start};

fn record(second: u32, port: u16, opened: u64) -> String {
    format!(
        r#"{{"version":1,"start":"2026-03-02T01:{:02}:{:02}Z","end":"2026-03-02T01:{:02}:{:02}Z","observer":{{"node":"n1","side":"client"}},"protocol":"TCP","source":{{"ip":"10.0.1.1"}},"destination":{{"ip":"10.0.2.1","port":{port}}},"connections":{{"opened":{opened},"refused":0,"denied":0}}}}"#,
        second / 60,
        second % 60,
        second / 60,
        second % 60,
    ) + "\n"
}

fn log() -> String {
    (0..180).map(|second| record(second, 8080, 2)).collect::<String>() + "garbage\n"
}

async fn post(
    server: &Server,
    cluster: &str,
    role: Role,
    body: impl Into<Body>,
) -> (StatusCode, Value) {
    let principal = Principal { name: "somebody".into(), role };
    let request = Request::post(format!("/api/v1/clusters/{cluster}/flows"))
        .extension(principal)
        .body(body.into())
        .unwrap();
    let response = server.ingest.router().oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn server(options: Options) -> Server {
    start(Arc::new(Sqlite::in_memory().unwrap()), options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_counts_once_however_often_it_is_sent() {
    let server = server(Options::default()).await;
    let (status, receipt) = post(&server, "prod", Role::Admin, log()).await;
    assert_eq!(status, StatusCode::OK, "{receipt}");
    assert_eq!(receipt["received"], 181);
    assert_eq!(receipt["stored"], 180);
    assert_eq!(receipt["dropped"]["malformed"], 1);
    assert_eq!(receipt["edges"], 3, "one in each minute");
    assert_eq!(receipt["first"], "2026-03-02T01:00:00Z");
    for _ in 0..2 {
        let (_, again) = post(&server, "prod", Role::Admin, log()).await;
        assert_eq!(again["source"], receipt["source"]);
        assert_eq!((&again["received"], &again["duplicate"]), (&181.into(), &181.into()));
    }
    let (_, state) = server.app.store.sources().unwrap().remove(0);
    assert!(state.ledger.adds_up());
    assert_eq!((state.ledger.received, state.ledger.duplicate), (543, 362));
    assert_eq!(server.ingest.stats().counts(SourceKind::File), {
        let mut all = state.ledger;
        for reason in ringfence_store::DropReason::ALL {
            all.dropped.entry(reason).or_default();
        }
        all
    });
    assert_eq!(show(&server.edges()), "shop/Pod/web -> shop/Pod/api TCP/8080: 360/0/0 0+0");
    let trail = server.app.store.audit_trail(Timestamp::MAX, 10).unwrap();
    assert_eq!(trail.len(), 3);
    assert_eq!(trail[0].who, "somebody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_that_cannot_be_stored_are_refused_whole() {
    let server = server(Options { max_upload: 1 << 20, ..Options::default() }).await;
    let large = Body::from_stream(futures::stream::repeat_with(|| {
        Ok::<_, std::io::Error>(vec![b'x'; 1 << 16])
    }));
    let cut_off = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(log().as_bytes()).unwrap();
        let mut bytes = gzip.finish().unwrap();
        bytes.truncate(bytes.len() / 2);
        Body::from(bytes)
    };
    for (cluster, role, body, status) in [
        ("prod", Role::Editor, log().into(), StatusCode::FORBIDDEN),
        ("other", Role::Admin, log().into(), StatusCode::NOT_FOUND),
        ("prod", Role::Admin, "hello\n".into(), StatusCode::BAD_REQUEST),
        ("prod", Role::Admin, cut_off, StatusCode::BAD_REQUEST),
        ("prod", Role::Admin, large, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let (found, problem) = post(&server, cluster, role, body).await;
        assert_eq!(found, status, "{problem}");
        assert_eq!(problem["status"], status.as_u16());
    }
    assert!(server.app.store.sources().unwrap().is_empty());
    assert!(server.edges().is_empty());
}

/// What was sent of a log lies in the directory of the server, without a name, until the log is read.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_kept_where_the_server_keeps_its_data() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("scratch");
    let scratch = ringfence_server::ingest::Scratch::open(&path).unwrap();
    let server = server(Options { scratch, ..Options::default() }).await;
    let (mut send, parts) = futures::channel::mpsc::channel::<Result<String, std::io::Error>>(1);
    let ingest = server.ingest.clone();
    let answer = tokio::spawn(async move {
        let principal = Principal { name: "somebody".into(), role: Role::Admin };
        let request = Request::post("/api/v1/clusters/prod/flows").extension(principal);
        ingest.router().oneshot(request.body(Body::from_stream(parts)).unwrap()).await.unwrap()
    });
    let open_files = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
        let open = open.filter_map(|file| std::fs::read_link(file.path()).ok());
        open.filter(|file| file.starts_with(&path)).count()
    };
    send.try_send(Ok(record(1, 8080, 1))).unwrap();
    while open_files() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0, "it has no name");
    drop(send);
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    assert_eq!(open_files(), 0);
}

/// The address of `api` belonged to another pod when the log was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_log_is_resolved_as_the_cluster_was() {
    let server = server(Options::default()).await;
    let object = |name: &str, ip: &str, day: &str| {
        let json = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","namespace":"shop","uid":"{name}"}},"spec":{{"nodeName":"n2","containers":[]}},"status":{{"phase":"Running","podIP":"{ip}","podIPs":[{{"ip":"{ip}"}}],"startTime":"{day}T00:00:00Z"}}}}"#
        );
        ObjectChange {
            key: ObjectKey {
                kind: "Pod".into(),
                namespace: Some(Name::new("shop").unwrap()),
                name: name.into(),
                uid: name.into(),
            },
            at: format!("{day}T00:00:00Z").parse().unwrap(),
            json: Some(json.into()),
        }
    };
    let gone = ObjectChange {
        at: "2026-03-02T01:01:00Z".parse().unwrap(),
        json: None,
        ..object("old", "10.0.2.1", "2026-03-01")
    };
    let changes = [
        object("caller", "10.0.1.1", "2026-03-01"),
        object("old", "10.0.2.1", "2026-03-01"),
        gone,
        object("new", "10.0.2.1", "2026-03-03"),
    ];
    server.app.store.record_objects(&prod(), &changes).unwrap();
    let (status, receipt) = post(&server, "prod", Role::Admin, record(1, 8080, 3)).await;
    assert_eq!(status, StatusCode::OK, "{receipt}");
    assert_eq!(show(&server.edges()), "shop/Pod/caller -> shop/Pod/old TCP/8080: 3/0/0 0+0");
    assert_eq!(
        server.app.store.observed(&prod()).unwrap().map(|w: Span| w.from.to_string()).as_deref(),
        Some("2026-03-02T01:00:01Z")
    );
}

fn put(directory: &Path, name: &str, text: &str) {
    // As people should: written elsewhere, and renamed.
    let hidden = directory.join(format!(".{name}"));
    std::fs::write(&hidden, text).unwrap();
    std::fs::rename(hidden, directory.join(name)).unwrap();
}

async fn stored(server: &Server, sources: usize) {
    while server.app.store.sources().unwrap().len() < sources {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_appears_in_a_directory_is_read_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Sqlite::in_memory().unwrap());
    let watched = WatchedDirectory { cluster: prod(), path: directory.path().to_owned() };
    put(directory.path(), "a.jsonl", &log());
    put(directory.path(), "copy-of-a.jsonl", &log());
    put(directory.path(), "b.txt", "not a log\n");
    std::fs::write(directory.path().join(".hidden.jsonl"), record(7, 1, 1)).unwrap();
    let options = || Options { quiet: Duration::from_millis(100), ..Options::default() };
    let server = start(Arc::clone(&store) as _, options()).await;
    server.ingest.directory(&watched);
    stored(&server, 1).await;
    put(directory.path(), "c.jsonl", &record(5, 9090, 1));
    stored(&server, 2).await;
    server.stop().await;
    // After a restart all of it is known.
    let server = start(Arc::clone(&store) as _, options()).await;
    server.ingest.directory(&watched);
    put(directory.path(), "d.jsonl", &record(6, 9090, 1));
    stored(&server, 3).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let sources = server.app.store.sources().unwrap();
    assert_eq!(sources.len(), 3);
    assert!(sources.iter().all(|(_, state)| state.ledger.duplicate == 0));
    assert_eq!(
        show(&server.edges()),
        "shop/Pod/web -> shop/Pod/api TCP/8080: 360/0/0 0+0\nshop/Pod/web -> shop/Pod/api TCP/9090: 2/0/0 0+0"
    );
}
