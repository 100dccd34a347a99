//! What can go wrong.

use std::path::PathBuf;

use ringfence_model::Name;

use crate::source::SourceKey;

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A source sent what is already stored.
    #[error("batch {sequence} of {} is already stored", source_key.name)]
    Repeated {
        /// The source.
        source_key: SourceKey,
        /// The last batch of it that is stored.
        sequence: u64,
    },
    /// Somebody else changed the review in between.
    #[error("the review has version {current} by now, and the change was made from version {base}")]
    Conflict {
        /// The version that the change was made from.
        base: u64,
        /// The newest version.
        current: u64,
    },
    /// What is imported is there already.
    #[error("cluster {cluster} is there already\n  hint: import it under another name")]
    Exists {
        /// The cluster.
        cluster: Name,
    },
    /// The file is damaged.
    #[error(
        "the database {} is damaged: {fault}\n  hint: restore a backup made with ringfence backup, or move the file \
         away to begin anew", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the integrity check found.
        fault: String,
    },
    /// The file was written by a newer version.
    #[error("the database {} has schema version {found}; this version of ringfence knows {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// Another process writes to the file.
    #[error(
        "the database {} is in use by another process\n  hint: end the other ringfence, or give this one another file",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be made, opened or locked.
    #[error("the file {}: {fault}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        fault: std::io::Error,
    },
    /// There is no room on the disk. Nothing of the transaction was stored.
    #[error("the disk is full")]
    DiskFull(#[source] rusqlite::Error),
    /// Anything else that the database says.
    #[error("the database: {0}")]
    Database(#[from] rusqlite::Error),
}
