//! Reaching a relay.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use hyper_rustls::ConfigBuilderExt as _;
use hyper_util::rt::TokioIo;
use ringfence_model::Timestamp;
use ringfence_proto::observer::observer_client::ObserverClient;
use ringfence_proto::observer::{GetFlowsRequest, GetFlowsResponse};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use super::message::wire;
use crate::chain::Chain;
use crate::config::Relay;

/// How long a relay may take to be reached.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to ask whether it is still there.
const ALIVE: Duration = Duration::from_secs(20);

/// Why a relay cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{} cannot be read: {fault}", path.display())]
    File { path: PathBuf, fault: String },
    #[error("the certificates of the system cannot be read")]
    System(#[source] io::Error),
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    #[error("{0:?} is not a DNS name or IP address")]
    Name(String),
    #[error("its certificate has expired")]
    Expired,
    #[error("its certificate is not valid yet")]
    NotYet,
    #[error("its certificate is signed by an authority that is not trusted here")]
    UnknownIssuer,
    #[error("its certificate is not for the name {0}")]
    OtherName(String),
    #[error("its certificate does not do: {0}")]
    Certificate(CertificateError),
    #[error("{}", Chain(.0))]
    Transport(#[from] tonic::transport::Error),
    #[error("{}; it may want to be shown a certificate, and none is configured", words(.0))]
    Unidentified(Status),
    #[error("{}", words(.0))]
    Refused(Status),
}

/// Asks a relay for everything from a moment on.
pub(super) async fn connect(
    relay: &Relay,
    since: Timestamp,
) -> Result<Streaming<GetFlowsResponse>, ConnectError> {
    let channel = match relay.address.strip_prefix("https:") {
        None => endpoint(&relay.address)?.connect().await?,
        Some(rest) => over_tls(relay, &format!("http:{rest}")).await?,
    };
    let request = GetFlowsRequest { number: 0, follow: true, since: Some(wire(since)) };
    let flows = ObserverClient::new(channel).get_flows(request).await.map_err(|status| {
        // In TLS 1.3 a server refuses a client without certificate when the handshake is over for the client, and the
        // connection may end before the refusal is read.
        let is_cut = std::error::Error::source(&status).is_some();
        if is_cut && relay.address.starts_with("https:") && relay.identity.is_none() {
            ConnectError::Unidentified(status)
        } else {
            ConnectError::Refused(status)
        }
    })?;
    Ok(flows.into_inner())
}

/// What is said of a stream that broke.
pub(super) fn words(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => format!("{}: {}", status.message(), Chain(source)),
        None => status.message().to_owned(),
    }
}

fn endpoint(address: &str) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(address.to_owned())?
        .connect_timeout(PATIENCE)
        .http2_keep_alive_interval(ALIVE)
        .keep_alive_while_idle(true))
}

/// A channel over TLS. The channel itself is told of plain HTTP: its own TLS would not trust what the system does.
async fn over_tls(relay: &Relay, plain: &str) -> Result<Channel, ConnectError> {
    let endpoint = endpoint(plain)?;
    let uri = endpoint.uri();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let place = (host.clone(), uri.port_u16().unwrap_or(443));
    let name = relay.server_name.clone().unwrap_or(host);
    let name = ServerName::try_from(name.clone()).map_err(|_| ConnectError::Name(name))?;
    let connector = TlsConnector::from(Arc::new(config(relay).await?));
    let dial = tower::service_fn({
        let (place, name) = (place.clone(), name.clone());
        move |_: Uri| {
            let (connector, place, name) = (connector.clone(), place.clone(), name.clone());
            async move {
                let stream = TcpStream::connect(place).await?;
                stream.set_nodelay(true)?;
                Ok::<_, io::Error>(TokioIo::new(connector.connect(name, stream).await?))
            }
        }
    });
    let origin: Option<Uri> = relay.address.parse().ok();
    let endpoint = match origin {
        Some(origin) => endpoint.origin(origin),
        None => endpoint,
    };
    endpoint.connect_with_connector(dial).await.map_err(|fault| {
        let Some(certificate) = certificate_fault(&fault) else { return fault.into() };
        match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                ConnectError::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                ConnectError::NotYet
            }
            CertificateError::UnknownIssuer => ConnectError::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ConnectError::OtherName(name.to_str().into_owned())
            }
            other => ConnectError::Certificate(other.clone()),
        }
    })
}

/// What is wrong with the relay's certificate, if that is why it was not reached.
fn certificate_fault<'a>(
    fault: &'a (dyn std::error::Error + 'static),
) -> Option<&'a CertificateError> {
    let mut next = Some(fault);
    while let Some(fault) = next {
        // The source of an I/O error is that of what it holds, not what it holds.
        let held = fault.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = held
            .and_then(|held| held.downcast_ref::<rustls::Error>())
            .or_else(|| fault.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(fault)) = tls {
            return Some(fault);
        }
        next = fault.source();
    }
    None
}

/// Read anew for every connection: certificates are renewed.
async fn config(relay: &Relay) -> Result<ClientConfig, ConnectError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match &relay.ca {
        None => builder.with_native_roots().map_err(ConnectError::System)?,
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(ca).await? {
                roots.add(certificate)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    let mut config = match &relay.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate).await?;
            let key = PrivateKeyDer::from_pem_slice(&read(key).await?)
                .map_err(|fault| unreadable(key, &fault))?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let text = read(path).await?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|fault| unreadable(path, &fault))?;
    if found.is_empty() {
        let fault = "there is no certificate in it".to_owned();
        return Err(ConnectError::File { path: path.to_owned(), fault });
    }
    Ok(found)
}

async fn read(path: &Path) -> Result<Vec<u8>, ConnectError> {
    tokio::fs::read(path).await.map_err(|fault| unreadable(path, &fault))
}

fn unreadable(path: &Path, fault: &dyn std::error::Error) -> ConnectError {
    ConnectError::File { path: path.to_owned(), fault: fault.to_string() }
}
