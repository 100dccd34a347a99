//! How the provider is spoken to.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AsyncHttpClient, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, IdTokenFields, StandardErrorResponse,
    StandardTokenResponse,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;

/// How long the provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many bytes it may answer.
const LONGEST: usize = 1 << 20;

/// Every claim of an ID token that the standard does not name: one of them gives the role.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct OtherClaims(serde_json::Map<String, serde_json::Value>);

impl AdditionalClaims for OtherClaims {}

type Fields = IdTokenFields<
    OtherClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

pub(super) type Client = openidconnect::Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Asks the provider. Follows no redirects, and waits and reads only so much.
pub(crate) struct Https(HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// Why no connection can be made, or was.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The certificate of the authority cannot be read.
    #[error("cannot read the certificate {}: {fault}", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: String,
    },
    /// The system's certificates cannot be read.
    #[error("cannot read the certificates of the system")]
    System(#[source] std::io::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The connection failed.
    #[error("no answer: {0}")]
    Connection(String),
    /// It took too long.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// The answer is too long or breaks off.
    #[error("the answer breaks off, or is longer than {LONGEST} bytes")]
    Answer,
}

impl Https {
    /// Trusts the given authority, or else those of the system. `plain` permits HTTP, for a provider on loopback.
    pub(crate) fn new(ca: Option<&Path>, plain: bool) -> Result<Self, HttpsError> {
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let builder = hyper_rustls::HttpsConnectorBuilder::new();
        let builder = match ca {
            Some(path) => {
                let fault = |fault: String| HttpsError::Ca { path: path.to_owned(), fault };
                let mut roots = RootCertStore::empty();
                let certificates =
                    CertificateDer::pem_file_iter(path).map_err(|e| fault(e.to_string()))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|e| fault(e.to_string()))?;
                    roots.add(certificate).map_err(|e| fault(e.to_string()))?;
                }
                let tls = rustls::ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()?
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                builder.with_tls_config(tls)
            }
            None => builder.with_provider_and_native_roots(provider).map_err(HttpsError::System)?,
        };
        let builder = if plain { builder.https_or_http() } else { builder.https_only() };
        let connector = builder.enable_http1().build();
        Ok(Self(HyperClient::builder(TokioExecutor::new()).build(connector)))
    }

    pub(crate) async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, HttpsError> {
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let response = self
            .0
            .request(request)
            .await
            .map_err(|e| HttpsError::Connection(Chain(&e).to_string()))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LONGEST).collect().await.map_err(|_| HttpsError::Answer)?;
        Ok(HttpResponse::from_parts(parts, body.to_bytes().to_vec()))
    }
}

impl<'c> AsyncHttpClient<'c> for Https {
    type Error = HttpsError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpsError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            tokio::time::timeout(PATIENCE, self.ask(request)).await.map_err(|_| HttpsError::Slow)?
        })
    }
}
