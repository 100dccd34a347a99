//! What the server is told to do: a YAML file, and the flags that override it.

mod fault;
mod place;
mod raw;
mod validate;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringfence_model::Name;
use ringfence_store::Retention;

use crate::enrol::Terms;
use crate::principal::Role;

pub use fault::{ConfigError, Fault};
pub use place::default_store;
pub(crate) use validate::is_secure;

/// Where the server listens when nobody says otherwise.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8470);

/// A configuration without contradictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen. Anything but loopback comes with [`Self::tls`] and somebody to authenticate.
    pub listen: SocketAddr,
    /// The origin that browsers see, such as `https://ringfence.example.org`, without a path.
    pub public_url: Option<String>,
    /// The database.
    pub store: PathBuf,
    /// The certificate of the server.
    pub tls: Option<TlsFiles>,
    /// The file with the hashes of the tokens.
    pub tokens: Option<PathBuf>,
    /// Who else says who somebody is.
    pub oidc: Option<Oidc>,
    /// How long a login lasts.
    pub session: Duration,
    /// The clusters to watch.
    pub clusters: Vec<LiveCluster>,
    /// The Hubble Relays to read.
    pub relays: Vec<Relay>,
    /// The directories in which flow logs appear.
    pub directories: Vec<WatchedDirectory>,
    /// How agents enrol.
    pub agents: Agents,
    /// Limits of what one client can ask.
    pub limits: Limits,
    /// How long what is kept.
    pub retention: Retention,
}

/// Certificate and key, as PEM files. They are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who signs the certificates of agents. Without it no agent can connect.
    pub client_ca: Option<PathBuf>,
}

/// An `OpenID` provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    /// Its issuer URL.
    pub issuer: String,
    /// What it calls this server.
    pub client_id: String,
    /// A file with the secret, for a confidential client.
    pub client_secret: Option<PathBuf>,
    /// Who signs the provider's TLS certificate, when the system does not know.
    pub ca: Option<PathBuf>,
    /// What to ask for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that holds the name to show.
    pub name_claim: String,
    /// The claim that gives the role: a string or a list of strings.
    pub role_claim: String,
    /// Which values of that claim give which role; the greatest counts.
    pub roles: Vec<(String, Role)>,
}

/// A cluster to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveCluster {
    /// What it is called here.
    pub name: Name,
    /// How to reach its API server.
    pub access: Access,
}

/// How to reach an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// With the service account of the pod that the server runs in.
    InCluster,
    /// With a kubeconfig file.
    Kubeconfig {
        /// The file; `None` for `$KUBECONFIG` or `~/.kube/config`.
        path: Option<PathBuf>,
        /// The context; `None` for the current one.
        context: Option<String>,
    },
}

/// A Hubble Relay to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// The cluster it tells of.
    pub cluster: Name,
    /// `http://host:port` or `https://host:port`.
    pub address: String,
    /// Who signs its certificate, when the system does not know.
    pub ca: Option<PathBuf>,
    /// The certificate and key to show it.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name in its certificate, when it is not the host of the address.
    pub server_name: Option<String>,
}

/// A directory in which flow logs appear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedDirectory {
    /// The cluster they tell of.
    pub cluster: Name,
    /// The directory.
    pub path: PathBuf,
}

/// How agents enrol, where there is TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agents {
    /// Who signs their certificates; without it the server makes a key of its own beside the database.
    pub ca: Option<CaFiles>,
    /// How long their certificates are valid, and count.
    pub terms: Terms,
}

/// An authority that signs, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFiles {
    /// Its certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Limits of what one client can ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body, flow logs apart.
    pub body: u64,
    /// Bytes of a flow log sent in one request.
    pub upload: u64,
    /// Bytes of a request's headers.
    pub headers: u32,
    /// How long a request may take, streams apart.
    pub request: Duration,
    /// How long a connection may make no progress.
    pub idle: Duration,
    /// Connections at a time.
    pub connections: usize,
    /// Requests a second of one client, on average.
    pub rate: u32,
    /// Requests of one client at once.
    pub burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 << 20,
            upload: 4 << 30,
            headers: 64 << 10,
            request: Duration::from_secs(30),
            idle: Duration::from_mins(1),
            connections: 1024,
            rate: 50,
            burst: 300,
        }
    }
}

/// What flags say instead of the file.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// The database.
    pub store: Option<PathBuf>,
}

impl Config {
    /// Reads a configuration file, or takes the defaults without one, and holds the flags over it.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Self, ConfigError> {
        let (text, path) = match file {
            None => (String::new(), Path::new("")),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
                (text, path)
            }
        };
        Self::parse(&text, path, flags)
    }

    /// Reads the text of a configuration file. Paths in it start at the file's directory.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn parse(text: &str, path: &Path, flags: &Flags) -> Result<Self, ConfigError> {
        let raw = raw::Config::read(text)
            .map_err(|fault| ConfigError::Faulty { path: path.to_owned(), faults: vec![fault] })?;
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        validate::config(raw, base, flags)
            .map_err(|faults| ConfigError::Faulty { path: path.to_owned(), faults })
    }

    /// Whether somebody has to say who they are.
    pub fn authenticates(&self) -> bool {
        self.tokens.is_some() || self.oidc.is_some()
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
