use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use ringfence_server::config::TlsFiles;
use ringfence_server::serve::{self, ServeError};
use ringfence_server::tls::{Tls, TlsError};

use crate::client::Trust;
use crate::running::{Running, config, start_in};

/// Signs certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate and its key, valid until the end of a year.
    fn sign(&self, name: SanType, until: i32) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn server(&self, until: i32) -> (String, String) {
        self.sign(SanType::IpAddress([127, 0, 0, 1].into()), until)
    }

    fn agent(&self, uri: &str, until: i32) -> (String, String) {
        self.sign(SanType::URI(uri.try_into().unwrap()), until)
    }
}

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

const LATE: i32 = 2099;

#[test]
fn what_is_expired_or_does_not_fit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("authority");
    let good = authority.server(LATE);
    let files = write(directory.path(), &good);
    Tls::open(files.clone()).unwrap();
    let refused = |pair: &(String, String)| {
        write(directory.path(), pair);
        Tls::open(files.clone()).unwrap_err()
    };
    let error = refused(&authority.server(2021));
    assert!(matches!(error, TlsError::Expired { .. }), "{error}");
    assert!(error.to_string().contains("expired at 2021-12-31T00:00:00Z"), "{error}");
    let error = refused(&(good.0.clone(), authority.server(LATE).1));
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
    write(directory.path(), &Authority::new("authority").server(2021));
    let config = config(directory.path(), "tls: {certificate: tls.crt, key: tls.key}");
    assert_eq!(serve::check(&config).unwrap_err().len(), 1);
    let error = serve::start(config).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, ServeError::Tls(TlsError::Expired { .. })), "{error}");
}

#[tokio::test]
async fn a_renewed_certificate_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let files = write(directory.path(), &old.server(LATE));
    let tls = Tls::open(files).unwrap();
    let first = tls.config();
    write(directory.path(), &new.server(2021));
    tls.reload().unwrap_err();
    assert!(std::sync::Arc::ptr_eq(&first, &tls.config()), "an expired one changes nothing");
    write(directory.path(), &new.server(LATE));
    tls.reload().unwrap();
    assert!(!std::sync::Arc::ptr_eq(&first, &tls.config()));
}

#[tokio::test]
async fn agents_come_in_by_their_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let (own, agents, foreign) =
        (Authority::new("own"), Authority::new("agents"), Authority::new("foreign"));
    write(directory.path(), &own.server(LATE));
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
    let unnamed = agents.agent("https://agents.example", LATE);
    assert_eq!(status(call(Some(unnamed)).await).as_deref(), Some("16"), "no agent");
    assert_ne!(
        status(call(Some(agents.agent(uri, LATE))).await).as_deref(),
        Some("16"),
        "an agent"
    );
    assert!(call(Some(agents.agent(uri, 2021))).await.is_err(), "expired");
    assert!(call(Some(foreign.agent(uri, LATE))).await.is_err(), "signed by somebody else");
    server.stop().await;
}
