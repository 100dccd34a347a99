//! The agent's key and certificate, on disk and in hand.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _, SanType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use x509_parser::parse_x509_certificate;

use super::Enrolment;

/// A key, and the certificate that the server gave for it.
pub struct Identity {
    key: KeyPair,
    certificate: CertificateDer<'static>,
    /// The certificates and the key, in PEM.
    text: String,
    /// How long it was valid when it was made or read, and when that was.
    lifetime: Duration,
    since: SystemTime,
}

/// Where the identity is kept: one file, so that key and certificate always belong together.
#[derive(Clone, Debug)]
pub struct Wallet {
    directory: PathBuf,
}

/// What is wrong with a key or a certificate.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file.
    #[error("cannot read or write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{} does not hold a key and its certificate: {fault}", path.display())]
    Faulty {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// Making keys, or signing with them.
    #[error("a key cannot be made or used")]
    Key(#[from] rcgen::Error),
    /// The certificate is not for this key.
    #[error("the server gave a certificate that is not for the agent's key")]
    Foreign,
}

impl Identity {
    /// A key and its certificates, in PEM.
    pub(super) fn new(
        key: KeyPair,
        chain: &str,
        lifetime: Duration,
    ) -> Result<Self, IdentityError> {
        let certificate = CertificateDer::from_pem_slice(chain.as_bytes()).ok();
        let certificate = certificate.ok_or(IdentityError::Foreign)?;
        let read = parse_x509_certificate(&certificate).ok();
        let key_in_it = read.map(|(_, read)| read.public_key().raw.to_vec());
        if key_in_it != Some(key.subject_public_key_info()) {
            return Err(IdentityError::Foreign);
        }
        let text = format!("{chain}{}", key.serialize_pem());
        Ok(Self { key, certificate, text, lifetime, since: SystemTime::now() })
    }

    /// For how long it is valid from now on, as far as one's own clock tells.
    pub(super) fn left(&self, now: SystemTime) -> Duration {
        let gone = now.duration_since(self.since).unwrap_or_default();
        self.lifetime.saturating_sub(gone)
    }

    pub(super) fn key(&self) -> &KeyPair {
        &self.key
    }

    /// The same key, for another certificate.
    pub(super) fn key_again(&self) -> Result<KeyPair, IdentityError> {
        Ok(KeyPair::try_from(self.key.serialized_der())?)
    }

    /// The certificate, in DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The certificates and the key, in PEM. Not for the eyes of anybody.
    pub(super) fn pem(&self) -> &str {
        &self.text
    }
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Wallet {
    /// In a directory, which is made when something is kept.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// What was kept last; `None` before that.
    pub fn open(&self) -> Result<Option<Identity>, IdentityError> {
        let path = self.identity();
        let faulty = |fault: String| IdentityError::Faulty { path: path.clone(), fault };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IdentityError::File { path, source }),
        };
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes());
        let key = key.map_err(|e| faulty(e.to_string()))?;
        let key = KeyPair::try_from(&key).map_err(|e| faulty(e.to_string()))?;
        let certificate = CertificateDer::from_pem_slice(text.as_bytes());
        let certificate = certificate.map_err(|e| faulty(e.to_string()))?;
        let (_, parsed) =
            parse_x509_certificate(&certificate).map_err(|e| faulty(e.to_string()))?;
        let ends = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
        let left = (UNIX_EPOCH + Duration::from_secs(ends)).duration_since(SystemTime::now());
        // The key stands behind the certificates.
        let chain = text.split_inclusive("-----END CERTIFICATE-----\n");
        let chain: String = chain.filter(|part| part.contains("BEGIN CERTIFICATE")).collect();
        Identity::new(key, &chain, left.unwrap_or_default()).map(Some)
    }

    /// Keeps an identity in place of the one before.
    pub(super) fn keep(&self, identity: &Identity) -> Result<(), IdentityError> {
        self.write(&self.identity(), identity.pem())?;
        match fs::remove_file(self.unanswered()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(IdentityError::File { path: self.unanswered(), source })
            }
            _ => Ok(()),
        }
    }

    /// The key to enrol with: the one that was shown before, until there was an answer.
    pub(super) fn pending(&self) -> Result<KeyPair, IdentityError> {
        let path = self.unanswered();
        match fs::read_to_string(&path) {
            Ok(text) => {
                let faulty = |e: rcgen::Error| IdentityError::Faulty {
                    path: path.clone(),
                    fault: e.to_string(),
                };
                KeyPair::from_pem(&text).map_err(faulty)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate()?;
                self.write(&path, &key.serialize_pem())?;
                Ok(key)
            }
            Err(source) => Err(IdentityError::File { path, source }),
        }
    }

    fn identity(&self) -> PathBuf {
        self.directory.join("agent.pem")
    }

    fn unanswered(&self) -> PathBuf {
        self.directory.join("pending.key")
    }

    /// Writes a file for its owner only, whole or not at all.
    fn write(&self, path: &Path, text: &str) -> Result<(), IdentityError> {
        let write = || {
            fs::create_dir_all(&self.directory)?;
            let unfinished = path.with_extension("new");
            // What another run has left may have other permissions.
            match fs::remove_file(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|source| IdentityError::File { path: path.to_owned(), source })
    }
}

/// A certificate request (PKCS #10) for the agent's name, in DER.
pub(super) fn request(key: &KeyPair, agent: &Enrolment) -> Result<Vec<u8>, IdentityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let uri = format!("spiffe://ringfence/agent/{}/{}", agent.cluster, agent.node);
    params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
    Ok(params.serialize_request(key)?.der().to_vec())
}
