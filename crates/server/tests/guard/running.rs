//! A server with a configuration, over a store of its own.

use std::path::Path;

use ringfence_server::config::{Config, Flags};
use ringfence_server::serve::{self, ServeError, Server};
use tempfile::TempDir;

pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) directory: TempDir,
}

/// A configuration in a directory, on a port that the system chooses.
pub(crate) fn config(directory: &Path, text: &str) -> Config {
    let flags = Flags {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        store: Some(directory.join("ringfence.db")),
    };
    Config::parse(text, &directory.join("ringfence.yaml"), &flags).unwrap()
}

pub(crate) async fn start_in(directory: TempDir, text: &str) -> Result<Running, ServeError> {
    let server = serve::start(config(directory.path(), text)).await?;
    Ok(Running { server, directory })
}

pub(crate) async fn start(text: &str) -> Running {
    start_in(tempfile::tempdir().unwrap(), text).await.unwrap()
}
