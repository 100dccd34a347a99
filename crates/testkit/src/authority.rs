//! An authority that signs certificates.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};

/// Signs certificates, valid from 2020 on.
pub struct Authority {
    /// Its own certificate, as PEM.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A year that tests do not see.
pub const LATE: i32 = 2099;

impl Authority {
    /// An authority with a key of its own. Two of the same name do not know each other.
    pub fn new(name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// A certificate and its key as PEM, valid until the end of a year.
    pub fn sign(&self, name: SanType, until: i32) -> Result<(String, String), rcgen::Error> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }

    /// A certificate for 127.0.0.1.
    pub fn loopback(&self, until: i32) -> Result<(String, String), rcgen::Error> {
        self.sign(SanType::IpAddress([127, 0, 0, 1].into()), until)
    }

    /// A certificate for a DNS name.
    pub fn host(&self, name: &str, until: i32) -> Result<(String, String), rcgen::Error> {
        self.sign(SanType::DnsName(name.try_into()?), until)
    }

    /// A certificate for a URI.
    pub fn uri(&self, uri: &str, until: i32) -> Result<(String, String), rcgen::Error> {
        self.sign(SanType::URI(uri.try_into()?), until)
    }
}
