//! A server with a configuration, over a store of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ringfence_server::config::{Config, Flags};
use ringfence_server::serve::{self, Machine, ServeError, Server};
use ringfence_store::{Options, Sqlite, StoreError};
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

/// On another machine than this one.
pub(crate) async fn start_on(directory: TempDir, text: &str, machine: Machine) -> Running {
    let config = config(directory.path(), text);
    let store = loop {
        match Sqlite::open(&config.store, &Options::default()) {
            Ok(store) => break store,
            // A server before this one still lets go of its file.
            Err(StoreError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(fault) => panic!("{fault}"),
        }
    };
    let server = serve::start_over(config, Arc::new(store), machine).await.unwrap();
    Running { server, directory }
}

pub(crate) async fn start(text: &str) -> Running {
    start_in(tempfile::tempdir().unwrap(), text).await.unwrap()
}
