//! How to reach an API server.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// How to reach an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// From inside the cluster, with the service account of the pod.
    InCluster,
    /// As a kubeconfig says.
    Kubeconfig {
        /// The file; `None` for those in the variable `KUBECONFIG`, or `~/.kube/config`.
        path: Option<PathBuf>,
        /// The context; `None` for the current one.
        context: Option<String>,
    },
}

/// Why there is no way to an API server.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The pod has no service account token, or this is no pod.
    #[error("no service account: {0}")]
    InCluster(#[from] kube::config::InClusterError),
    /// The kubeconfig cannot be read, or lacks what the context names.
    #[error("kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The connection cannot be set up: certificates, keys, proxies.
    #[error("{0}")]
    Client(#[from] kube::Error),
}

/// A server that does not answer is as good as none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Access {
    /// Sets up the connection. Nothing is sent yet.
    pub async fn client(&self) -> Result<Client, AccessError> {
        let mut config = match self {
            Self::InCluster => Config::incluster()?,
            Self::Kubeconfig { path, context } => {
                let options = KubeConfigOptions { context: context.clone(), ..Default::default() };
                match path {
                    Some(path) => {
                        let file = Kubeconfig::read_from(path)?;
                        Config::from_custom_kubeconfig(file, &options).await?
                    }
                    None => Config::from_kubeconfig(&options).await?,
                }
            }
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // Watches wait and try again themselves, and tell of it.
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }
}
