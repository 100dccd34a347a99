//! Whether the certificate of a connection still counts.

use std::sync::Arc;
use std::time::Duration;

use super::Enrolment;
use crate::clock;
use crate::ingest::AgentIdentity;
use crate::tls::ClientCertificate;

/// How often the clock is looked at, which may jump.
const GLANCE: Duration = Duration::from_secs(30);

/// The certificate that a stream began with. Among the extensions of requests that show one.
#[derive(Clone)]
pub struct Standing {
    enrolment: Option<Arc<Enrolment>>,
    agent: AgentIdentity,
    certificate: ClientCertificate,
}

impl Standing {
    /// `None` when the certificate does not count.
    pub(crate) fn of(
        enrolment: Option<Arc<Enrolment>>,
        agent: &AgentIdentity,
        certificate: &ClientCertificate,
    ) -> Option<Self> {
        let (agent, certificate) = (agent.clone(), certificate.clone());
        let standing = Self { enrolment, agent, certificate };
        standing.counts().then_some(standing)
    }

    fn counts(&self) -> bool {
        let Self { enrolment, agent, certificate } = self;
        enrolment.as_ref().is_none_or(|enrolment| enrolment.counts(certificate, agent))
    }

    /// Waits until it counts no longer, and says why. Cancel safe.
    pub(crate) async fn lost(&self) -> &'static str {
        let mut ended = self.enrolment.as_ref().map(|enrolment| enrolment.ended());
        loop {
            if !self.counts() {
                return "the agent was removed, or enrolled anew elsewhere";
            }
            let left = self.certificate.ends.nanos().saturating_sub(clock::now().nanos());
            let Ok(left) = u64::try_from(left) else { return "the certificate has ended" };
            let glance = tokio::time::sleep(GLANCE.min(Duration::from_nanos(left.max(1))));
            match &mut ended {
                None => glance.await,
                Some(ended) => tokio::select! {
                    () = glance => {}
                    changed = ended.changed() => {
                        // Without enrolment the server is about to end.
                        if changed.is_err() {
                            return "the server stops";
                        }
                    }
                },
            }
        }
    }
}
