//! Who is enrolled and which tokens there are, in memory as in the store.

use std::collections::{BTreeMap, HashMap};

use ringfence_model::Timestamp;
use ringfence_store::{AuditEntry, Store, StoreError};

use super::{Agent, Given, OpenError, Refusal, Request, Token};
use crate::auth::Digest;
use crate::ingest::AgentIdentity;

/// What the settings are called: the cluster and the node follow, or the digest.
const AGENT: &str = "agent/";
const TOKEN: &str = "agent-token/";

/// How long a token that is over is remembered, to say so to whoever comes with it.
const REMEMBERED: i64 = 24 * 3600 * 1_000_000_000;

#[derive(Debug, Default)]
pub(super) struct Registry {
    pub(super) tokens: HashMap<Digest, Token>,
    pub(super) agents: BTreeMap<AgentIdentity, Agent>,
}

/// Something new, or gone.
pub(super) enum Change {
    Token(Digest, Option<Token>),
    Agent(AgentIdentity, Agent),
}

impl Registry {
    pub(super) fn read(store: &dyn Store) -> Result<Self, OpenError> {
        let mut registry = Self::default();
        for (key, value) in store.settings(TOKEN)? {
            let read = Token::read(&value).and_then(|token| {
                let digest = key.strip_prefix(TOKEN).unwrap_or_default();
                Ok((digest.parse::<Digest>().map_err(|fault| fault.to_string())?, token))
            });
            let (digest, token) = read.map_err(|fault| OpenError::Record { key, fault })?;
            registry.tokens.insert(digest, token);
        }
        for (key, value) in store.settings(AGENT)? {
            let read = Agent::read(&value).and_then(|agent| {
                let name = key.strip_prefix(AGENT).unwrap_or_default();
                Ok((name.parse::<AgentIdentity>()?, agent))
            });
            let (name, agent) = read.map_err(|fault| OpenError::Record { key, fault })?;
            registry.agents.insert(name, agent);
        }
        Ok(registry)
    }

    /// A certificate that counts.
    pub(super) fn given(&self, agent: &AgentIdentity, serial: &[u8]) -> Option<Given> {
        self.agents.get(agent)?.certificates.get(serial).copied()
    }

    /// Whether a token lets an agent in: `Ok(true)` when it did before, with the same key, and the answer was lost.
    pub(super) fn admit(
        &self,
        digest: &Digest,
        token: &Token,
        agent: &AgentIdentity,
        request: &Request,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        if token.expires <= now {
            return Err(Refusal::ExpiredToken(token.expires));
        }
        let other_node = token.node.as_ref().is_some_and(|node| *node != agent.node);
        if token.cluster != agent.cluster || other_node {
            let node = token.node.as_ref().map(|node| format!("node {node} of "));
            let cluster = format!("{}{}", node.unwrap_or_default(), token.cluster);
            return Err(Refusal::OtherToken(cluster));
        }
        let before = self.agents.get(agent);
        let same = |before: &Agent| {
            let mut given = before.certificates.values();
            before.token == *digest && given.any(|given| given.key == request.key())
        };
        if before.is_some_and(same) {
            return Ok(true);
        }
        if token.used >= token.uses {
            return Err(Refusal::UsedToken);
        }
        if before.is_some_and(|before| before.is_removed() && token.made <= before.since) {
            return Err(Refusal::Removed(agent.clone()));
        }
        // Else whoever has a token for a whole cluster could take the place of any agent in it.
        let alive = before.is_some_and(|before| before.ends() > now);
        if alive && token.node.is_none() {
            return Err(Refusal::Enrolled(agent.clone()));
        }
        Ok(false)
    }

    /// Tokens that nobody needs to hear about any longer.
    pub(super) fn stale_tokens(&self, now: Timestamp) -> impl Iterator<Item = Digest> {
        let stale =
            move |token: &Token| token.expires.nanos().saturating_add(REMEMBERED) <= now.nanos();
        self.tokens.iter().filter(move |(_, token)| stale(token)).map(|(digest, _)| *digest)
    }

    /// Changes the store, and then this: both or neither.
    pub(super) fn apply(
        &mut self,
        store: &dyn Store,
        changes: Vec<Change>,
        audit: &AuditEntry,
    ) -> Result<(), StoreError> {
        let mut written = Vec::with_capacity(changes.len());
        for change in &changes {
            written.push(match change {
                Change::Token(digest, token) => {
                    (format!("{TOKEN}{digest}"), token.as_ref().map(Token::write))
                }
                Change::Agent(name, agent) => (format!("{AGENT}{name}"), Some(agent.write())),
            });
        }
        let settings: Vec<_> =
            written.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        store.put_settings(&settings, audit)?;
        for change in changes {
            match change {
                Change::Token(digest, Some(token)) => drop(self.tokens.insert(digest, token)),
                Change::Token(digest, None) => drop(self.tokens.remove(&digest)),
                Change::Agent(name, agent) => drop(self.agents.insert(name, agent)),
            }
        }
        Ok(())
    }
}
