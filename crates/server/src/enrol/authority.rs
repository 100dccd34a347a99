//! Who signs the certificates of agents.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber, date_time_ymd,
};
use ringfence_model::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Request;
use super::request::uri;
use crate::auth::Hex;
use crate::config::CaFiles;
use crate::ingest::AgentIdentity;
use crate::tls::ClientCertificate;

/// How much earlier certificates begin: the clocks of server and agents differ.
const SKEW: Duration = Duration::from_mins(5);

/// Signs the certificates of agents.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// The same in PEM.
    text: String,
    /// Its name in DER, as the certificates have it.
    subject: Vec<u8>,
}

/// A certificate that was signed.
pub(super) struct Certificate {
    pub(super) der: CertificateDer<'static>,
    /// It and its authority's, in PEM.
    pub(super) chain: String,
    pub(super) serial: Vec<u8>,
    pub(super) ends: Timestamp,
}

/// Why there is nobody to sign.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file of it.
    #[error("cannot read or make {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than its owner may read the key.
    #[error("others may read the key {} (mode {mode:o})\n  hint: chmod 600 it; whoever read it can be any agent", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file holds something else.
    #[error("{} does not do: {fault}", path.display())]
    Faulty {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// Signing failed.
    #[error("signing failed: {0}")]
    Signing(#[from] rcgen::Error),
    /// The time makes no sense.
    #[error("the clock says {0}")]
    Clock(Timestamp),
    /// No serial number.
    #[error(transparent)]
    NoRandom(#[from] crate::auth::NoRandom),
}

impl Authority {
    /// One's own: a key in a file, made when it is not there. The key is all there is to it; its certificate follows
    /// from it.
    pub fn own(path: &Path) -> Result<Self, AuthorityError> {
        let key = match std::fs::read_to_string(path) {
            Ok(text) => {
                private(path)?;
                KeyPair::from_pem(&text).map_err(|fault| faulty(path, &fault))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate()?;
                keep(path, &key.serialize_pem())
                    .map_err(|source| AuthorityError::File { path: path.to_owned(), source })?;
                tracing::info!(path = %path.display(), "key that signs agents made");
                key
            }
            Err(source) => return Err(AuthorityError::File { path: path.to_owned(), source }),
        };
        let mut params = CertificateParams::default();
        let name = format!("Ringfence agents {}", Hex(&params.key_identifier(&key)));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let signed = params.self_signed(&key)?;
        let (certificate, text) = (signed.der().clone(), signed.pem());
        let subject = subject(&certificate).ok_or_else(|| faulty(path, &"no name"))?;
        Ok(Self { issuer: Issuer::new(params, key), certificate, text, subject })
    }

    /// One that somebody else has made.
    pub fn configured(files: &CaFiles) -> Result<Self, AuthorityError> {
        let CaFiles { certificate: path, key: key_path } = files;
        let read = |path: &Path| {
            let file = |source| AuthorityError::File { path: path.to_owned(), source };
            std::fs::read_to_string(path).map_err(file)
        };
        let text = read(path)?;
        let certificate =
            CertificateDer::from_pem_slice(text.as_bytes()).map_err(|e| faulty(path, &e))?;
        let key = KeyPair::from_pem(&read(key_path)?).map_err(|e| faulty(key_path, &e))?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|e| faulty(path, &e))?;
        if !parsed.is_ca() {
            return Err(faulty(path, &"it is not the certificate of an authority"));
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(faulty(key_path, &format_args!("it is not the key of {}", path.display())));
        }
        let subject = parsed.subject().as_raw().to_vec();
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { issuer, certificate, text, subject })
    }

    /// Its own certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Whether a certificate that TLS has verified is one of its own.
    pub(super) fn has_issued(&self, certificate: &ClientCertificate) -> bool {
        certificate.issuer == self.subject
    }

    /// Signs a certificate that lets its owner be one agent, and nothing else.
    pub(super) fn sign(
        &self,
        agent: &AgentIdentity,
        request: &Request,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Certificate, AuthorityError> {
        let seconds =
            u64::try_from(now.nanos() / 1_000_000_000).map_err(|_| AuthorityError::Clock(now))?;
        let ends = seconds + lifetime.as_secs();
        let epoch = date_time_ymd(1970, 1, 1);
        let mut params = CertificateParams::default();
        params.not_before = epoch + Duration::from_secs(seconds.saturating_sub(SKEW.as_secs()));
        params.not_after = epoch + Duration::from_secs(ends);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Ringfence agent");
        params.subject_alt_names = vec![SanType::URI(uri(agent).try_into()?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let serial = serial()?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let signed = params.signed_by(request.public_key(), &self.issuer)?;
        let ends = Timestamp::from_secs(i64::try_from(ends).unwrap_or(i64::MAX));
        let chain = format!("{}{}", signed.pem(), self.text);
        Ok(Certificate { der: signed.der().clone(), chain, serial: serial.to_vec(), ends })
    }
}

/// 127 random bits: positive, and without a leading zero, so that it is written in one way only.
fn serial() -> Result<[u8; 16], crate::auth::NoRandom> {
    let mut serial = [0; 16];
    crate::auth::fill(&mut serial)?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}

fn subject(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.subject().as_raw().to_vec())
}

fn faulty(path: &Path, fault: &dyn fmt::Display) -> AuthorityError {
    AuthorityError::Faulty { path: path.to_owned(), fault: fault.to_string() }
}

/// Refuses a key that others may read.
#[cfg(unix)]
fn private(path: &Path) -> Result<(), AuthorityError> {
    use std::os::unix::fs::PermissionsExt as _;

    let file = |source| AuthorityError::File { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(file)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(AuthorityError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Who may read a file is not told in these terms here.
#[cfg(not(unix))]
fn private(_: &Path) -> Result<(), AuthorityError> {
    Ok(())
}

/// Writes the key, for its owner only, whole or not at all.
fn keep(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

/// For the audit trail.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate {} until {}", Hex(&self.serial), self.ends)
    }
}
