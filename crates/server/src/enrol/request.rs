//! Certificate requests: who asks for which name, and with which key.

use rcgen::{CertificateSigningRequestParams, PublicKey, PublicKeyData as _, SanType};
use rustls::pki_types::CertificateSigningRequestDer;

use super::AGENT_URI;
use crate::auth::Digest;
use crate::ingest::AgentIdentity;

/// Bytes of the longest request. An honest one has some hundred.
const LONGEST: usize = 8 << 10;

/// A certificate request for an agent, signed with the key that it is about.
#[derive(Debug)]
pub struct Request {
    key: PublicKey,
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// It is something else.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It was changed, or somebody else's key is in it.
    #[error("is not signed with the key in it")]
    Signature,
    /// Too weak, or of a kind that is not taken.
    #[error("has a key of another kind than ECDSA on P-256 or P-384, or Ed25519")]
    Key,
    /// For somebody else.
    #[error("names something else than {0} alone")]
    Names(String),
    /// Only who has the key of the certificate before may go on with it.
    #[error("is signed with another key than that of the certificate that has ended")]
    OtherKey,
}

/// The name of an agent in certificates.
pub(super) fn uri(agent: &AgentIdentity) -> String {
    format!("{AGENT_URI}{}/{}", agent.cluster, agent.node)
}

impl Request {
    /// Reads a request for exactly this agent, and checks its signature.
    pub fn read(der: &[u8], agent: &AgentIdentity) -> Result<Self, RequestFault> {
        if der.len() > LONGEST {
            return Err(RequestFault::Unreadable(format!("it has {} bytes", der.len())));
        }
        let der = CertificateSigningRequestDer::from(der);
        let read =
            CertificateSigningRequestParams::from_der(&der).map_err(|fault| match fault {
                rcgen::Error::InvalidCertificationRequestSignature => RequestFault::Signature,
                fault => RequestFault::Unreadable(fault.to_string()),
            })?;
        let CertificateSigningRequestParams { params, public_key: key } = read;
        let known =
            [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
        if !known.contains(&key.algorithm()) {
            return Err(RequestFault::Key);
        }
        let wanted = uri(agent);
        match &params.subject_alt_names[..] {
            [SanType::URI(named)] if named.as_str() == wanted => Ok(Self { key }),
            _ => Err(RequestFault::Names(wanted)),
        }
    }

    /// The key that the certificate is for.
    pub(super) fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Tells the key apart from others.
    pub(super) fn key(&self) -> Digest {
        Digest::of(self.key.subject_public_key_info())
    }
}
