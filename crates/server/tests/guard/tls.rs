use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use ringfence_server::config::TlsFiles;
use ringfence_server::serve::{self, Machine, ServeError};
use ringfence_server::tls::{Tls, TlsError};
use ringfence_testkit::authority::LATE;
use ringfence_testkit::{Authority, Relay};

use crate::client::Trust;
use crate::running::{Running, config, start_in, start_on};

fn write(directory: &Path, (certificate, key): &(String, String)) -> TlsFiles {
    let files = TlsFiles {
        certificate: directory.join("tls.crt"),
        key: directory.join("tls.key"),
        client_ca: None,
    };
    std::fs::write(&files.certificate, certificate).unwrap();
    std::fs::write(&files.key, key).unwrap();
    files
}

#[test]
fn what_is_expired_or_does_not_fit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("authority").unwrap();
    let good = authority.loopback(LATE).unwrap();
    let files = write(directory.path(), &good);
    Tls::open(files.clone()).unwrap();
    let refused = |pair: &(String, String)| {
        write(directory.path(), pair);
        Tls::open(files.clone()).unwrap_err()
    };
    let error = refused(&authority.loopback(2021).unwrap());
    assert!(matches!(error, TlsError::Expired { .. }), "{error}");
    assert!(error.to_string().contains("expired at 2021-12-31T00:00:00Z"), "{error}");
    let error = refused(&(good.0.clone(), authority.loopback(LATE).unwrap().1));
    assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
    let error = refused(&("nonsense".to_owned(), good.1.clone()));
    assert!(matches!(error, TlsError::Unreadable { .. }), "{error}");
    let error = refused(&(good.0.clone(), String::new()));
    assert!(matches!(error, TlsError::Unreadable { what: "the key", .. }), "{error}");
    let missing = TlsFiles { key: directory.path().join("none"), ..files.clone() };
    write(directory.path(), &good);
    assert!(matches!(Tls::open(missing).unwrap_err(), TlsError::Unreadable { .. }));
}

#[tokio::test]
async fn an_expired_certificate_keeps_the_server_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &Authority::new("authority").unwrap().loopback(2021).unwrap());
    let config = config(directory.path(), "tls: {certificate: tls.crt, key: tls.key}");
    assert_eq!(serve::check(&config).unwrap_err().len(), 1);
    let error = serve::start(config).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, ServeError::Tls(TlsError::Expired { .. })), "{error}");
}

#[tokio::test]
async fn a_renewed_certificate_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new("old").unwrap(), Authority::new("new").unwrap());
    let files = write(directory.path(), &old.loopback(LATE).unwrap());
    let tls = Tls::open(files).unwrap();
    let first = tls.config();
    write(directory.path(), &new.loopback(2021).unwrap());
    tls.reload().unwrap_err();
    assert!(std::sync::Arc::ptr_eq(&first, &tls.config()), "an expired one changes nothing");
    write(directory.path(), &new.loopback(LATE).unwrap());
    tls.reload().unwrap();
    assert!(!std::sync::Arc::ptr_eq(&first, &tls.config()));
}

/// Replaced on disk while the server runs, as whoever renews certificates does.
#[tokio::test]
async fn a_certificate_replaced_on_disk_is_picked_up() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new("old").unwrap(), Authority::new("new").unwrap());
    let files = write(directory.path(), &old.loopback(LATE).unwrap());
    let machine = Machine { look: Duration::from_millis(20), ..Machine::default() };
    let text = "tls: {certificate: tls.crt, key: tls.key}";
    let Running { server, directory } = start_on(directory, text, machine).await;
    let get = async |authority: &Authority, path: &str| {
        let trust = Trust { ca: Some(authority.pem.clone()), identity: None };
        let url = format!("{}{path}", server.url());
        trust.send(Request::get(url).body(Body::empty()).unwrap()).await
    };
    let failures = async || {
        let metrics = get(&new, "metrics").await.unwrap();
        let line = metrics
            .text()
            .lines()
            .find_map(|line| line.strip_prefix("ringfence_tls_failed_reloads "));
        line.unwrap().parse::<u64>().unwrap()
    };
    get(&old, "healthz").await.unwrap();
    assert!(get(&new, "healthz").await.is_err());

    write(directory.path(), &new.loopback(LATE).unwrap());
    while get(&new, "healthz").await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(get(&old, "healthz").await.is_err(), "the old one is gone");

    // Between the two files there is a moment when they do not belong together.
    let before = failures().await;
    assert!(before <= 1, "{before}");
    std::fs::write(&files.certificate, "damaged").unwrap();
    while failures().await == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    get(&new, "healthz").await.unwrap();
    write(directory.path(), &old.loopback(LATE).unwrap());
    while get(&old, "healthz").await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
}

/// What an administrator sees of it.
#[tokio::test]
async fn a_relay_whose_certificate_has_expired_is_among_the_sources() {
    let directory = tempfile::tempdir().unwrap();
    let own = Authority::new("own").unwrap();
    let relay = Relay::start_tls(&own.loopback(2021).unwrap(), &own.pem).await.unwrap();
    std::fs::write(directory.path().join("ca.crt"), &own.pem).unwrap();
    let text =
        format!("flows: {{relays: [{{cluster: prod, address: '{}', ca: ca.crt}}]}}", relay.url());
    let Running { server, directory: _directory } = start_in(directory, &text).await.unwrap();
    let url = format!("{}api/v1/sources", server.url());
    let connection = loop {
        let sources = crate::client::get(&url, &[]).await.json();
        let connection = sources["items"][0]["connection"].clone();
        if !connection.is_null() {
            break connection;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(connection["state"], "away");
    assert_eq!(connection["fault"], "its certificate has expired");
    let metrics = crate::client::get(&format!("{}metrics", server.url()), &[]).await;
    assert!(metrics.text().contains("\nringfence_relays_away 1\n"), "{}", metrics.text());
    server.stop().await;
}

#[tokio::test]
async fn agents_come_in_by_their_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let (own, agents, foreign) = (
        Authority::new("own").unwrap(),
        Authority::new("agents").unwrap(),
        Authority::new("foreign").unwrap(),
    );
    write(directory.path(), &own.loopback(LATE).unwrap());
    std::fs::write(directory.path().join("agents.crt"), &agents.pem).unwrap();
    let text = "tls: {certificate: tls.crt, key: tls.key, clientCa: agents.crt}";
    let Running { server, directory: _directory } = start_in(directory, text).await.unwrap();
    assert!(server.url().starts_with("https://127.0.0.1:"));

    let trust = Trust { ca: Some(own.pem.clone()), identity: None };
    let page = format!("{}healthz", server.url());
    let get = async |trust: &Trust, url: &str| {
        trust.send(Request::get(url).body(Body::empty()).unwrap()).await
    };
    let answer = get(&trust, &page).await.unwrap();
    assert_eq!(answer.status, 200, "people need no certificate");
    assert!(answer.headers.contains_key("strict-transport-security"));
    let stranger = Trust { ca: Some(foreign.pem.clone()), identity: None };
    assert!(get(&stranger, &page).await.is_err(), "the client does not know the authority");

    let call = async |identity: Option<(String, String)>| {
        let trust = Trust { identity, ..trust.clone() };
        let url = format!("{}ringfence.agent.v1.Ingest/Report", server.url());
        let request = Request::post(url).header("content-type", "application/grpc");
        trust.send(request.body(Body::empty()).unwrap()).await
    };
    let uri = "spiffe://ringfence/agent/prod/node-1";
    let status = |answer: Result<crate::client::Answer, String>| {
        let answer = answer.unwrap();
        answer.headers.get("grpc-status").map(|status| status.to_str().unwrap().to_owned())
    };
    assert_eq!(status(call(None).await).as_deref(), Some("16"), "nobody");
    let unnamed = agents.uri("https://agents.example", LATE).unwrap();
    assert_eq!(status(call(Some(unnamed)).await).as_deref(), Some("16"), "no agent");
    assert_ne!(
        status(call(Some(agents.uri(uri, LATE).unwrap())).await).as_deref(),
        Some("16"),
        "an agent"
    );
    assert!(call(Some(agents.uri(uri, 2021).unwrap())).await.is_err(), "expired");
    assert!(call(Some(foreign.uri(uri, LATE).unwrap())).await.is_err(), "signed by somebody else");
    server.stop().await;
}
