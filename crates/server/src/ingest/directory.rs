//! Logs that appear in a directory.
//!
//! A file is read when it is complete: when it has been left alone for some seconds, as a file that is written
//! elsewhere and renamed has. Its contents are known by their digest, so that neither a restart nor another name makes
//! it count again. A log that grows after it was read has other contents, and counts whole.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ringfence_store::{SourceKey, SourceKind};

use super::Shared;
use super::log::{LogError, digest};
use crate::config::WatchedDirectory;

/// How often to look.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait after the store has failed.
const PAUSE: Duration = Duration::from_secs(10);

/// What tells that a file has changed: its size and the time of the last change.
type Stamp = (u64, SystemTime);

/// Reads what appears, until the shutdown.
pub(super) async fn watch(shared: Arc<Shared>, directory: WatchedDirectory) {
    let WatchedDirectory { cluster, path } = directory;
    shared.app.cluster_or_new(&cluster);
    let mut done: HashMap<PathBuf, Stamp> = HashMap::new();
    let mut readable = true;
    loop {
        let mut pause = LOOK;
        match complete(&path, shared.options.quiet).await {
            Ok(found) => {
                readable = true;
                done.retain(|path, _| found.iter().any(|(other, _)| other == path));
                for (file, stamp) in found {
                    if done.get(&file) == Some(&stamp) || shared.shutdown.is_requested() {
                        continue;
                    }
                    match take(&shared, &cluster, &file, stamp).await {
                        Ok(()) => drop(done.insert(file, stamp)),
                        Err(fault @ (LogError::Read(_) | LogError::Io(_))) => {
                            tracing::warn!(file = %file.display(), %fault, "flow log not stored");
                            done.insert(file, stamp);
                        }
                        Err(fault @ (LogError::Store(_) | LogError::Stopped)) => {
                            tracing::error!(file = %file.display(), %fault, "flow log not stored yet");
                            pause = PAUSE;
                            break;
                        }
                    }
                }
            }
            // Once, not every second.
            Err(fault) if readable => {
                readable = false;
                tracing::error!(directory = %path.display(), %fault, "directory cannot be read");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = shared.shutdown.requested() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The files that have been left alone, sorted by name.
async fn complete(path: &Path, quiet: Duration) -> io::Result<Vec<(PathBuf, Stamp)>> {
    let mut found = Vec::new();
    let mut entries = tokio::fs::read_dir(path).await?;
    while let Some(entry) = entries.next_entry().await? {
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // What is gone by now was not complete.
        let Ok(metadata) = entry.metadata().await else { continue };
        let changed = metadata.modified()?;
        let alone = changed.elapsed().is_ok_and(|since| since >= quiet);
        if metadata.is_file() && !hidden && alone {
            found.push((entry.path(), (metadata.len(), changed)));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Takes a file in, unless its contents are stored.
async fn take(
    shared: &Arc<Shared>,
    cluster: &ringfence_model::Name,
    path: &Path,
    stamp: Stamp,
) -> Result<(), LogError> {
    let opened = path.to_owned();
    let hashed = tokio::task::spawn_blocking(move || {
        let file = File::open(opened)?;
        digest(&file).map(|digest| (file, digest))
    });
    let (file, digest) = hashed.await.map_err(|_| LogError::Stopped)??;
    let kind = SourceKind::File;
    let source = SourceKey { cluster: cluster.clone(), kind, name: digest.as_str().into() };
    if shared.known(&source).await?.is_some() {
        return Ok(());
    }
    let metadata = file.metadata()?;
    if (metadata.len(), metadata.modified()?) != stamp {
        return Err(io::Error::other("it was changed while it was read").into());
    }
    let taken = shared.log(cluster, file, digest, path.display().to_string()).await?;
    let file = path.display();
    tracing::info!(%file, lines = taken.ledger.received, edges = taken.edges, "flow log stored");
    Ok(())
}
