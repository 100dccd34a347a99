//! The server, as far as enrolment asks it.

use std::time::Duration;

use ringfence_proto::enrol::enrolment_client::EnrolmentClient;
use ringfence_proto::enrol::{EnrolRequest, Issued, RenewRequest};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::{EnrolError, Enrolment, Identity};

/// How long a connection or an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server, and who may have signed its certificate.
#[derive(Clone, Debug)]
pub struct Server {
    /// `https://host:port`.
    pub url: String,
    /// Certificates in PEM.
    pub ca: String,
}

impl Server {
    /// How to reach it, as somebody or as nobody yet.
    pub fn endpoint(
        &self,
        identity: Option<&Identity>,
    ) -> Result<Endpoint, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca));
        if let Some(identity) = identity {
            let pem = identity.pem();
            tls = tls.identity(tonic::transport::Identity::from_pem(pem, pem));
        }
        let endpoint = Endpoint::from_shared(self.url.clone())?;
        endpoint.connect_timeout(PATIENCE).tls_config(tls)
    }

    pub(super) async fn enrol(
        &self,
        token: String,
        agent: &Enrolment,
        request: Vec<u8>,
    ) -> Result<Issued, EnrolError> {
        let (cluster, node) = (agent.cluster.clone(), agent.node.clone());
        let asked = EnrolRequest { token, cluster, node, request };
        let mut client = self.client(None).await?;
        Ok(tokio::time::timeout(PATIENCE, client.enrol(asked)).await??.into_inner())
    }

    pub(super) async fn renew(
        &self,
        before: &Identity,
        request: Vec<u8>,
    ) -> Result<Issued, EnrolError> {
        let mut client = self.client(Some(before)).await?;
        let asked = RenewRequest { request, ended: Vec::new() };
        Ok(tokio::time::timeout(PATIENCE, client.renew(asked)).await??.into_inner())
    }

    pub(super) async fn renew_ended(
        &self,
        before: &Identity,
        request: Vec<u8>,
    ) -> Result<Issued, EnrolError> {
        let ended = before.certificate().to_vec();
        let mut client = self.client(None).await?;
        let asked = RenewRequest { request, ended };
        Ok(tokio::time::timeout(PATIENCE, client.renew(asked)).await??.into_inner())
    }

    async fn client(
        &self,
        identity: Option<&Identity>,
    ) -> Result<EnrolmentClient<Channel>, EnrolError> {
        Ok(EnrolmentClient::new(self.endpoint(identity)?.connect().await?))
    }
}
