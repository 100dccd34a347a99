//! Tokens and agents, as the store keeps them.

use std::collections::BTreeMap;
use std::fmt;

use ringfence_model::{Name, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::auth::{Digest, Hex};

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The cluster.
    pub cluster: Name,
    /// The one node, or any that is not enrolled yet.
    pub node: Option<Name>,
    /// How many agents it brings in.
    pub uses: u32,
    /// How many it has brought in.
    pub used: u32,
    /// When it was made.
    pub made: Timestamp,
    /// Until when it counts.
    pub expires: Timestamp,
}

/// An agent that is enrolled, or was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Since when it is so.
    pub since: Timestamp,
    /// The token that brought it in.
    pub token: Digest,
    /// The certificates that count, by serial number; none of an agent that was removed.
    pub certificates: BTreeMap<Vec<u8>, Given>,
}

/// A certificate that was given to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// When it ends.
    pub ends: Timestamp,
    /// The key that it is for.
    pub key: Digest,
}

impl Agent {
    /// When the last of its certificates ends.
    pub fn ends(&self) -> Timestamp {
        self.certificates.values().map(|given| given.ends).max().unwrap_or(Timestamp::MIN)
    }

    /// Whether it was removed: then only tokens that were made later bring it in again.
    pub fn is_removed(&self) -> bool {
        self.certificates.is_empty()
    }

    /// It got another certificate for one that it had. That one stays, in case the answer is lost; others that have
    /// ended are forgotten.
    pub(super) fn follow(&mut self, before: &[u8], serial: Vec<u8>, given: Given, now: Timestamp) {
        self.certificates.retain(|serial, given| serial == before || given.ends > now);
        self.certificates.insert(serial, given);
    }
}

/// `any node of prod, 1 of 50 uses, until ...`
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "{}/{node}", self.cluster)?,
            None => write!(f, "any node of {}", self.cluster)?,
        }
        write!(f, ", {} of {} uses, until {}", self.used, self.uses, self.expires)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    cluster: String,
    node: Option<String>,
    uses: u32,
    used: u32,
    made: String,
    expires: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAgent {
    since: String,
    token: String,
    certificates: BTreeMap<String, RawGiven>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGiven {
    ends: String,
    key: String,
}

impl Token {
    pub(super) fn write(&self) -> String {
        let Self { cluster, node, uses, used, made, expires } = self;
        let node = node.as_ref().map(Name::as_str);
        json!({
            "cluster": cluster.as_str(),
            "node": node,
            "uses": uses,
            "used": used,
            "made": made.to_string(),
            "expires": expires.to_string(),
        })
        .to_string()
    }

    pub(super) fn read(text: &str) -> Result<Self, String> {
        let RawToken { cluster, node, uses, used, made, expires } =
            serde_json::from_str(text).map_err(told)?;
        let cluster = cluster.parse().map_err(told)?;
        let node = node.map(|node| node.parse()).transpose().map_err(told)?;
        let (made, expires) = (made.parse().map_err(told)?, expires.parse().map_err(told)?);
        Ok(Self { cluster, node, uses, used, made, expires })
    }
}

impl Agent {
    pub(super) fn write(&self) -> String {
        let Self { since, token, certificates } = self;
        let given = certificates.iter().map(|(serial, Given { ends, key })| {
            (Hex(serial).to_string(), json!({"ends": ends.to_string(), "key": key.to_string()}))
        });
        let given: serde_json::Map<_, _> = given.collect();
        json!({"since": since.to_string(), "token": token.to_string(), "certificates": given})
            .to_string()
    }

    pub(super) fn read(text: &str) -> Result<Self, String> {
        let RawAgent { since, token, certificates } = serde_json::from_str(text).map_err(told)?;
        let mut read = BTreeMap::new();
        for (serial, RawGiven { ends, key }) in certificates {
            let serial = bytes(&serial).ok_or_else(|| format!("{serial:?} is no serial number"))?;
            let (ends, key) = (ends.parse().map_err(told)?, key.parse().map_err(told)?);
            read.insert(serial, Given { ends, key });
        }
        let (since, token) = (since.parse().map_err(told)?, token.parse().map_err(told)?);
        Ok(Self { since, token, certificates: read })
    }
}

fn told(fault: impl fmt::Display) -> String {
    fault.to_string()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..hex.len()).step_by(2).map(|at| hex.get(at..at + 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}
