//! Enrolment: an agent comes with a token that was made for it, and goes with a short-lived certificate in its name,
//! which it renews by itself. Who is enrolled stands in the store; a certificate counts only as long as its agent does.

mod api;
mod authority;
mod record;
mod registry;
mod request;
mod service;
mod standing;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringfence_model::{Name, Timestamp};
use ringfence_store::{AuditEntry, Store, StoreError};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;

use crate::auth::{Digest, NoRandom, Secret};
use crate::ingest::AgentIdentity;
use crate::tls::ClientCertificate;

pub use api::router;
pub use authority::{Authority, AuthorityError};
pub use record::{Agent, Given, Token};
pub use request::{Request, RequestFault};
pub use service::Service;
pub use standing::Standing;

pub(crate) use api::Description;

use self::registry::{Change, Registry};

/// What the URI in an agent's certificate begins with; the cluster and the node follow.
pub(crate) const AGENT_URI: &str = "spiffe://ringfence/agent/";

/// How long certificates are valid, and count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// From when they are given to their end.
    pub lifetime: Duration,
    /// How long after its end the last certificate of an agent still fetches the next one: the machine slept, or the
    /// server was away.
    pub grace: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self { lifetime: Duration::from_hours(24), grace: Duration::from_hours(7 * 24) }
    }
}

/// Who is enrolled, and who may.
pub struct Enrolment {
    store: Arc<dyn Store>,
    authority: Authority,
    terms: Terms,
    registry: Mutex<Registry>,
    /// Tells when certificates stopped to count.
    ended: watch::Sender<()>,
}

/// What a token is to be good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The cluster.
    pub cluster: Name,
    /// The one node, or any that is not enrolled yet.
    pub node: Option<Name>,
    /// How many agents it brings in.
    pub uses: u32,
    /// Until when it counts.
    pub expires: Timestamp,
}

/// A certificate that was given.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate, in DER.
    pub certificate: CertificateDer<'static>,
    /// It and its authority's, in PEM.
    pub chain: String,
    /// From now to its end.
    pub lifetime: Duration,
}

/// Why enrolment is not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Who signs.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Who is enrolled.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds something else.
    #[error("the store has {key} with something else than what belongs there: {fault}")]
    Record {
        /// The setting.
        key: String,
        /// What is wrong.
        fault: String,
    },
}

/// Why there is no certificate for somebody.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody made that token, or it is long over.
    #[error("the token is not known here (hint: make another one: ringfence agents token)")]
    UnknownToken,
    /// It was made, but is over.
    #[error("the token expired at {0} (hint: make another one: ringfence agents token)")]
    ExpiredToken(Timestamp),
    /// It was made, and used.
    #[error("the token has been used up (hint: make another one: ringfence agents token)")]
    UsedToken,
    /// It is for somebody else.
    #[error("the token is for {0}")]
    OtherToken(String),
    /// A token for any node does not replace an agent.
    #[error(
        "{0} is enrolled already (hint: remove that agent, or make a token with --node {node})",
        node = .0.node
    )]
    Enrolled(AgentIdentity),
    /// A token from before an agent was removed does not bring it in again.
    #[error("{0} was removed after the token was made (hint: make another one)")]
    Removed(AgentIdentity),
    /// What was sent.
    #[error("the certificate request {0}")]
    Request(#[from] RequestFault),
    /// The certificate is not one that counts.
    #[error(
        "the certificate does not count here: the agent was removed, or enrolled anew elsewhere"
    )]
    UnknownCertificate,
    /// It is over for too long.
    #[error("the certificate ended at {0}, too long ago (hint: enrol with a new token)")]
    EndedCertificate(Timestamp),
    /// No answer now.
    #[error("the server cannot keep who is enrolled")]
    Store(#[from] StoreError),
    /// No answer now.
    #[error("the server cannot sign")]
    Authority(#[from] AuthorityError),
    /// No answer now.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

impl Enrolment {
    /// Goes on with what the store says.
    pub fn open(
        store: Arc<dyn Store>,
        authority: Authority,
        terms: Terms,
    ) -> Result<Self, OpenError> {
        let registry = Mutex::new(Registry::read(&*store)?);
        Ok(Self { store, authority, terms, registry, ended: watch::Sender::new(()) })
    }

    /// Who signs.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Makes a token. It is shown to its owner only; what is kept of it is its digest.
    pub fn make_token(&self, who: &str, order: Order, now: Timestamp) -> Result<Secret, Refusal> {
        let secret = Secret::token()?;
        let Order { cluster, node, uses, expires } = order;
        let token = Token { cluster, node, uses, used: 0, made: now, expires };
        let digest = secret.digest();
        let detail = format!("token {} for {token}", short(&digest));
        let entry = entry(now, who, "agent.token", token.cluster.to_string(), detail);
        self.change(vec![Change::Token(digest, Some(token))], &entry)?;
        Ok(secret)
    }

    /// The first certificate of an agent, for a token.
    pub fn enrol(
        &self,
        token: &str,
        agent: &AgentIdentity,
        request: &[u8],
        now: Timestamp,
    ) -> Result<Issued, Refusal> {
        let digest = Digest::of(token);
        let mut registry = self.registry();
        let found = registry.tokens.get(&digest).filter(|_| Digest::is_token(token));
        let mut token = found.cloned().ok_or(Refusal::UnknownToken)?;
        let judged = Request::read(request, agent).map_err(Refusal::from).and_then(|request| {
            Ok((registry.admit(&digest, &token, agent, &request, now)?, request))
        });
        let (again, request) = match judged {
            Ok(judged) => judged,
            Err(refusal) => {
                // Whoever has a token is known: what is tried with it is worth a line. Unknown ones fill no disk.
                let detail = format!("token {}: {refusal}", short(&digest));
                let entry =
                    entry(now, &agent.to_string(), "agent.refuse", agent.to_string(), detail);
                self.store.audit(&entry)?;
                return Err(refusal);
            }
        };
        let (issued, certificate) = self.issue(agent, &request, now)?;
        let mut changes = Vec::new();
        if !again {
            token.used += 1;
            changes.push(Change::Token(digest, Some(token)));
        }
        let detail = format!("token {}, {certificate}", short(&digest));
        let entry = entry(now, &agent.to_string(), "agent.enrol", agent.to_string(), detail);
        let enrolled = Agent {
            since: now,
            token: digest,
            certificates: BTreeMap::from([(
                certificate.serial,
                Given { ends: certificate.ends, key: request.key() },
            )]),
        };
        changes.push(Change::Agent(agent.clone(), enrolled));
        // Those that are over by now are forgotten with it.
        changes.extend(registry.stale_tokens(now).map(|digest| Change::Token(digest, None)));
        registry.apply(&*self.store, changes, &entry)?;
        drop(registry);
        self.ended.send_replace(());
        Ok(issued)
    }

    /// The next certificate of an agent, for one that the connection has shown.
    pub fn renew(
        &self,
        shown: &ClientCertificate,
        agent: &AgentIdentity,
        request: &[u8],
        now: Timestamp,
    ) -> Result<Issued, Refusal> {
        if shown.ends <= now {
            return Err(Refusal::EndedCertificate(shown.ends));
        }
        let mut registry = self.registry();
        let given = registry.given(agent, &shown.serial);
        given.filter(|_| self.authority.has_issued(shown)).ok_or(Refusal::UnknownCertificate)?;
        let request = Request::read(request, agent)?;
        self.go_on(&mut registry, agent, &shown.serial, &request, now)
    }

    /// The next certificate of an agent, for one that has ended, so that no connection could show it. Whoever has its
    /// key has signed the request with it.
    pub fn renew_ended(
        &self,
        ended: &CertificateDer<'_>,
        request: &[u8],
        now: Timestamp,
    ) -> Result<Issued, Refusal> {
        let shown = ClientCertificate::read(ended).ok_or(Refusal::UnknownCertificate)?;
        let agent = AgentIdentity::of(&shown).ok_or(Refusal::UnknownCertificate)?;
        let mut registry = self.registry();
        // What was given stands in the registry, and nobody else can sign with its key: no need to verify it.
        let given = registry.given(&agent, &shown.serial).ok_or(Refusal::UnknownCertificate)?;
        let request = Request::read(request, &agent)?;
        if request.key() != given.key {
            return Err(RequestFault::OtherKey.into());
        }
        let grace = i64::try_from(self.terms.grace.as_nanos()).unwrap_or(i64::MAX);
        if now.nanos() > given.ends.nanos().saturating_add(grace) {
            return Err(Refusal::EndedCertificate(given.ends));
        }
        self.go_on(&mut registry, &agent, &shown.serial, &request, now)
    }

    /// Takes an agent out: its certificates count no longer, from now on. Whether there was one.
    pub fn remove(
        &self,
        who: &str,
        agent: &AgentIdentity,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut registry = self.registry();
        let Some(enrolled) = registry.agents.get(agent).filter(|agent| !agent.is_removed()) else {
            return Ok(false);
        };
        let removed = Agent { since: now, token: enrolled.token, certificates: BTreeMap::new() };
        let entry = entry(now, who, "agent.remove", agent.to_string(), String::new());
        let change = Change::Agent(agent.clone(), removed);
        registry.apply(&*self.store, vec![change], &entry)?;
        drop(registry);
        self.ended.send_replace(());
        Ok(true)
    }

    /// Who is enrolled, sorted.
    pub fn agents(&self) -> Vec<(AgentIdentity, Agent)> {
        let registry = self.registry();
        let enrolled = registry.agents.iter().filter(|(_, agent)| !agent.is_removed());
        enrolled.map(|(name, agent)| (name.clone(), agent.clone())).collect()
    }

    /// Whether a certificate of an agent counts. Those that another authority signed are that one's to take back.
    pub(crate) fn counts(&self, shown: &ClientCertificate, agent: &AgentIdentity) -> bool {
        if !self.authority.has_issued(shown) {
            return true;
        }
        self.registry().given(agent, &shown.serial).is_some()
    }

    /// Hears when certificates stopped to count.
    pub(crate) fn ended(&self) -> watch::Receiver<()> {
        self.ended.subscribe()
    }

    fn go_on(
        &self,
        registry: &mut Registry,
        agent: &AgentIdentity,
        before: &[u8],
        request: &Request,
        now: Timestamp,
    ) -> Result<Issued, Refusal> {
        let mut enrolled =
            registry.agents.get(agent).cloned().ok_or(Refusal::UnknownCertificate)?;
        let (issued, certificate) = self.issue(agent, request, now)?;
        let (who, detail) = (agent.to_string(), certificate.to_string());
        let entry = entry(now, &who, "agent.renew", agent.to_string(), detail);
        let given = Given { ends: certificate.ends, key: request.key() };
        enrolled.follow(before, certificate.serial, given, now);
        registry.apply(&*self.store, vec![Change::Agent(agent.clone(), enrolled)], &entry)?;
        Ok(issued)
    }

    fn issue(
        &self,
        agent: &AgentIdentity,
        request: &Request,
        now: Timestamp,
    ) -> Result<(Issued, authority::Certificate), Refusal> {
        let certificate = self.authority.sign(agent, request, now, self.terms.lifetime)?;
        let (der, chain) = (certificate.der.clone(), certificate.chain.clone());
        let lifetime = self.terms.lifetime;
        Ok((Issued { certificate: der, chain, lifetime }, certificate))
    }

    fn change(&self, changes: Vec<Change>, audit: &AuditEntry) -> Result<(), StoreError> {
        self.registry().apply(&*self.store, changes, audit)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // It changes in one step, after the store has.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Enough of a digest to tell tokens apart in the audit trail.
fn short(digest: &Digest) -> String {
    digest.to_string().chars().skip("sha256:".len()).take(12).collect()
}

fn entry(at: Timestamp, who: &str, action: &str, object: String, detail: String) -> AuditEntry {
    AuditEntry { at, who: who.to_owned(), action: action.to_owned(), object, detail }
}

#[cfg(test)]
mod tests;
