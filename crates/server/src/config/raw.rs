//! The configuration as it stands in the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::fault::Fault;

/// A value and where it stands.
pub(super) type At<T> = Spanned<T>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Config {
    pub(super) listen: Option<At<String>>,
    pub(super) public_url: Option<At<String>>,
    pub(super) store: Option<PathBuf>,
    pub(super) tls: Option<Tls>,
    pub(super) authentication: Authentication,
    pub(super) clusters: Vec<LiveCluster>,
    pub(super) flows: Flows,
    pub(super) agents: Agents,
    pub(super) limits: Limits,
    pub(super) retention: Retention,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Tls {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_ca: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Authentication {
    pub(super) tokens: Option<PathBuf>,
    pub(super) oidc: Option<Oidc>,
    pub(super) session_minutes: Option<At<u64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Oidc {
    pub(super) issuer: At<String>,
    pub(super) client_id: String,
    pub(super) client_secret_file: Option<PathBuf>,
    pub(super) ca: Option<PathBuf>,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    pub(super) name_claim: Option<String>,
    pub(super) role_claim: String,
    pub(super) roles: BTreeMap<String, At<Vec<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct LiveCluster {
    pub(super) name: At<String>,
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) context: Option<String>,
    #[serde(default)]
    pub(super) in_cluster: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Flows {
    pub(super) directories: Vec<Directory>,
    pub(super) relays: Vec<Relay>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Directory {
    pub(super) cluster: At<String>,
    pub(super) path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Relay {
    pub(super) cluster: At<String>,
    pub(super) address: At<String>,
    pub(super) ca: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) server_name: Option<At<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Agents {
    pub(super) ca: Option<Ca>,
    pub(super) certificate_hours: Option<At<u64>>,
    pub(super) grace_hours: Option<At<u64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Ca {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Limits {
    pub(super) body_bytes: Option<At<u64>>,
    pub(super) upload_bytes: Option<At<u64>>,
    pub(super) header_bytes: Option<At<u64>>,
    pub(super) request_seconds: Option<At<u64>>,
    pub(super) idle_seconds: Option<At<u64>>,
    pub(super) connections: Option<At<u64>>,
    pub(super) requests_per_second: Option<At<u64>>,
    pub(super) burst: Option<At<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Retention {
    pub(super) minute_days: Option<At<u64>>,
    pub(super) hour_days: Option<At<u64>>,
    pub(super) days: Option<At<u64>>,
    pub(super) bytes: Option<At<u64>>,
}

impl Config {
    /// Reads the text of a file. An empty one is a configuration too.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        let read: Result<Option<Self>, _> = serde_saphyr::from_str(text);
        match read {
            Ok(config) => Ok(config.unwrap_or_default()),
            Err(error) => {
                let error = error.without_snippet();
                let line = error.location().map(|at| at.line());
                // The reader ends its message with the place, which is told apart here.
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or(&message);
                Err(Fault::new(line, message))
            }
        }
    }
}
