//! TLS: the server's certificate, read again when it changes, and who agents are.

mod client;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use ringfence_model::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::clock;
use crate::config::TlsFiles;
use crate::reload::Watched;
use crate::shutdown::Shutdown;

pub use client::ClientCertificate;

/// How long before its end a certificate is warned about.
const NOTICE: Duration = Duration::from_hours(14 * 24);

/// How often that warning is repeated.
const REPEAT: Duration = Duration::from_hours(12);

/// The server's side of TLS, read again when its files change.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    /// Who signs the certificates of agents that enrol here.
    agents: Option<CertificateDer<'static>>,
    current: ArcSwap<Loaded>,
    failures: AtomicU64,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    expires: Timestamp,
}

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("cannot read {what} {}: {fault}", path.display())]
    Unreadable {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        fault: String,
    },
    /// The certificate is over.
    #[error(
        "the certificate {} expired at {expired}\n  hint: renew it; it is read again by itself",
        path.display()
    )]
    Expired {
        /// The file.
        path: PathBuf,
        /// Since when.
        expired: Timestamp,
    },
    /// The certificate is for later.
    #[error("the certificate {} is valid from {valid} on; is the clock right?", path.display())]
    NotYet {
        /// The file.
        path: PathBuf,
        /// From when.
        valid: Timestamp,
    },
    /// The two do not belong together.
    #[error("the key {} does not belong to the certificate {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// rustls does not take it.
    #[error("cannot set up TLS with {}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The authority for agents does not do.
    #[error("the client CA {} does not do: {fault}", path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: String,
    },
}

impl Tls {
    /// Reads certificate and key, and who signs the certificates of agents.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        Self::trusting(files, None)
    }

    /// The same, with somebody else who signs them too.
    pub fn trusting(
        files: TlsFiles,
        agents: Option<CertificateDer<'static>>,
    ) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(Loaded::read(&files, agents.as_ref(), clock::now())?);
        Ok(Self { files, agents, current, failures: AtomicU64::new(0) })
    }

    /// What new connections are made with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// Reads the files again. Faulty files change nothing but the count of failures.
    pub fn reload(&self) -> Result<(), TlsError> {
        match Loaded::read(&self.files, self.agents.as_ref(), clock::now()) {
            Ok(loaded) => {
                self.current.store(loaded.into());
                Ok(())
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// How often the files were read again in vain.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Reads the files again whenever they change, and warns before the certificate ends. They are looked at once in
    /// so long.
    pub async fn keep_fresh(self: Arc<Self>, every: Duration, shutdown: Shutdown) {
        let TlsFiles { certificate, key, client_ca } = &self.files;
        let mut files = vec![certificate.clone(), key.clone()];
        files.extend(client_ca.clone());
        let mut watched = Watched::new(files);
        self.warn();
        let mut warned = tokio::time::Instant::now();
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(every) => {}
            }
            if watched.changed() {
                match self.reload() {
                    Ok(()) => tracing::info!(expires = %self.expires(), "certificate reloaded"),
                    Err(error) => {
                        tracing::error!(%error, "certificate not reloaded, the old one stays");
                    }
                }
            }
            if warned.elapsed() >= REPEAT {
                self.warn();
                warned = tokio::time::Instant::now();
            }
        }
    }

    /// When the server's certificate ends.
    pub fn expires(&self) -> Timestamp {
        self.current.load().expires
    }

    fn warn(&self) {
        let expires = self.expires();
        if expires.seconds_since(clock::now()) < NOTICE.as_secs_f64() {
            tracing::warn!(%expires, path = %self.files.certificate.display(), "certificate ends soon");
        }
    }
}

impl Loaded {
    fn read(
        files: &TlsFiles,
        agents: Option<&CertificateDer<'static>>,
        now: Timestamp,
    ) -> Result<Self, TlsError> {
        let TlsFiles { certificate: path, key: key_path, client_ca } = files;
        let chain = certificates("the certificate", path)?;
        let expires = validity(&chain, path, now)?;
        let key = PrivateKeyDer::from_pem_file(key_path).map_err(|e| TlsError::Unreadable {
            what: "the key",
            path: key_path.clone(),
            fault: e.to_string(),
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let refused = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Refused { path, source }
        };
        let signing =
            provider.key_provider.load_private_key(key.clone_key()).map_err(refused(key_path))?;
        let pair = CertifiedKey::new(chain.clone(), signing);
        match pair.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let (certificate, key) = (path.clone(), key_path.clone());
                return Err(TlsError::Mismatch { certificate, key });
            }
            Err(source) => return Err(refused(path)(source)),
        }
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(refused(path))?;
        let mut roots = RootCertStore::empty();
        if let Some(agents) = agents {
            roots.add(agents.clone()).map_err(refused(path))?;
        }
        if let Some(path) = client_ca {
            let fault = |fault: String| TlsError::ClientCa { path: path.clone(), fault };
            for certificate in certificates("the client CA", path)? {
                roots.add(certificate).map_err(|e| fault(e.to_string()))?;
            }
        }
        let builder = if roots.is_empty() {
            builder.with_no_client_auth()
        } else {
            // People come in on the same port, and have no certificate.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build();
            let path = client_ca.as_ref().unwrap_or(path);
            builder.with_client_cert_verifier(
                verifier
                    .map_err(|e| TlsError::ClientCa { path: path.clone(), fault: e.to_string() })?,
            )
        };
        let mut config = builder.with_single_cert(chain, key).map_err(refused(path))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), expires })
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = |fault: String| TlsError::Unreadable { what, path: path.to_owned(), fault };
    let found = CertificateDer::pem_file_iter(path).map_err(|e| fault(e.to_string()))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|e| fault(e.to_string()))?;
    if found.is_empty() {
        return Err(fault("there is no certificate in it".to_owned()));
    }
    Ok(found)
}

/// Until when the server's own certificate is valid.
fn validity(
    chain: &[CertificateDer<'_>],
    path: &Path,
    now: Timestamp,
) -> Result<Timestamp, TlsError> {
    let fault = |fault: String| TlsError::Unreadable {
        what: "the certificate",
        path: path.to_owned(),
        fault,
    };
    let own = chain.first().ok_or_else(|| fault("there is no certificate in it".to_owned()))?;
    let (_, own) = X509Certificate::from_der(own).map_err(|e| fault(e.to_string()))?;
    let begins = Timestamp::from_secs(own.validity().not_before.timestamp());
    let ends = Timestamp::from_secs(own.validity().not_after.timestamp());
    if now > ends {
        return Err(TlsError::Expired { path: path.to_owned(), expired: ends });
    }
    if now < begins {
        return Err(TlsError::NotYet { path: path.to_owned(), valid: begins });
    }
    Ok(ends)
}
