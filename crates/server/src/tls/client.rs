//! Who a client's certificate says it is.

use ringfence_model::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The names in a client's certificate, which the client CA vouches for. Among the extensions of requests over a
/// connection with one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The URIs among its alternative names, such as `spiffe://ringfence/agent/prod/node-1`.
    pub uris: Vec<String>,
    /// The DNS names among them.
    pub names: Vec<String>,
    /// Its serial number.
    pub serial: Vec<u8>,
    /// The name of who signed it, in DER.
    pub issuer: Vec<u8>,
    /// When it ends.
    pub ends: Timestamp,
}

impl ClientCertificate {
    /// The names in the certificate of a connection. TLS has verified it before; `None` when it has no names.
    pub(crate) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        let mut client = Self {
            serial: certificate.raw_serial().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
            ends: Timestamp::from_secs(certificate.validity().not_after.timestamp()),
            ..Self::default()
        };
        for name in &names.value.general_names {
            match name {
                GeneralName::URI(uri) => client.uris.push((*uri).to_owned()),
                GeneralName::DNSName(name) => client.names.push((*name).to_owned()),
                _ => {}
            }
        }
        Some(client)
    }
}
