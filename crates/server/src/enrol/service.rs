//! The gRPC service that gives certificates.

use std::sync::Arc;

use ringfence_model::Name;
use ringfence_proto::enrol::enrolment_server::{self, EnrolmentServer};
use ringfence_proto::enrol::{self, EnrolRequest, RenewRequest};
use rustls::pki_types::CertificateDer;
use tonic::{Code, Request, Response, Status};

use super::{Enrolment, Issued, Refusal};
use crate::clock;
use crate::ingest::AgentIdentity;
use crate::tls::ClientCertificate;

/// Bytes of the longest message. An honest one has some thousand.
const LONGEST: usize = 64 << 10;

/// Gives certificates; to nobody, when there is no TLS.
pub struct Service(Option<Arc<Enrolment>>);

impl Service {
    /// As the server that gRPC calls.
    pub fn server(enrolment: Option<Arc<Enrolment>>) -> EnrolmentServer<Self> {
        EnrolmentServer::new(Self(enrolment)).max_decoding_message_size(LONGEST)
    }

    /// Asks the registry, which may wait for the disk.
    async fn ask(
        &self,
        ask: impl FnOnce(&Enrolment) -> Result<Issued, Refusal> + Send + 'static,
    ) -> Result<Response<enrol::Issued>, Status> {
        let Some(enrolment) = self.0.clone() else {
            return Err(Status::failed_precondition("this server has no TLS: it enrols nobody"));
        };
        let answer = tokio::task::spawn_blocking(move || ask(&enrolment)).await;
        let answer = answer.map_err(|_| Status::unavailable("the server stops"))?;
        let Issued { certificate: _, chain, lifetime } =
            answer.map_err(|refusal| told(&refusal))?;
        Ok(Response::new(enrol::Issued { chain, seconds: lifetime.as_secs() }))
    }
}

#[tonic::async_trait]
impl enrolment_server::Enrolment for Service {
    async fn enrol(
        &self,
        request: Request<EnrolRequest>,
    ) -> Result<Response<enrol::Issued>, Status> {
        let EnrolRequest { token, cluster, node, request } = request.into_inner();
        let name = |what: &str, text: String| {
            Name::new(text).map_err(|fault| Status::invalid_argument(format!("{what}: {fault}")))
        };
        let agent = AgentIdentity { cluster: name("cluster", cluster)?, node: name("node", node)? };
        self.ask(move |enrolment| enrolment.enrol(&token, &agent, &request, clock::now())).await
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<enrol::Issued>, Status> {
        let shown = request.extensions().get::<ClientCertificate>().cloned();
        let RenewRequest { request, ended } = request.into_inner();
        if !ended.is_empty() {
            let ended = CertificateDer::from(ended);
            let ask =
                move |enrolment: &Enrolment| enrolment.renew_ended(&ended, &request, clock::now());
            return self.ask(ask).await;
        }
        let shown = shown.and_then(|shown| Some((AgentIdentity::of(&shown)?, shown)));
        let (agent, shown) =
            shown.ok_or_else(|| Status::unauthenticated("the connection shows no certificate"))?;
        self.ask(move |enrolment| enrolment.renew(&shown, &agent, &request, clock::now())).await
    }
}

fn told(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::UnknownToken
        | Refusal::ExpiredToken(_)
        | Refusal::UsedToken
        | Refusal::UnknownCertificate
        | Refusal::EndedCertificate(_) => Code::Unauthenticated,
        Refusal::OtherToken(_) | Refusal::Enrolled(_) | Refusal::Removed(_) => {
            Code::PermissionDenied
        }
        Refusal::Request(_) => Code::InvalidArgument,
        Refusal::Store(_) | Refusal::Authority(_) | Refusal::NoRandom(_) => {
            tracing::error!(fault = refusal as &dyn std::error::Error, "no certificate given");
            return Status::unavailable(refusal.to_string());
        }
    };
    tracing::warn!(%refusal, "no certificate given");
    Status::new(code, refusal.to_string())
}
