//! A cluster as an archive: a directory, or the same as one `.tar.zst` file.
//!
//! What the other commands read is plain: `cluster/objects.json` for `--cluster`, `edges.jsonl` for `--flows`, and
//! `reviews/NAMESPACE.yaml` for `--review`. What only an import reads lies under `history/`.

mod line;
mod read;
mod write;

use std::path::{Path, PathBuf};

use ringfence_model::Name;
use ringfence_store::StoreError;
use serde::{Deserialize, Serialize};

pub use read::import;
pub use write::export;

/// The version of the layout that this version writes and reads.
const VERSION: u32 = 1;

/// The file that says what the archive is. An archive without it is none.
const HEAD: &str = "ringfence.json";
const OBJECTS: &str = "cluster/objects.json";
const EDGES: &str = "edges.jsonl";
const PAST_OBJECTS: &str = "history/objects.jsonl";
const PAST_REVIEWS: &str = "history/reviews.jsonl";
const SOURCES: &str = "history/sources.jsonl";
const SETTINGS: &str = "history/settings.jsonl";
const AUDIT: &str = "history/audit.jsonl";

/// What an archive says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Head {
    archive_version: u32,
    cluster: String,
}

/// Why there is no archive, or nothing could be taken from it.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file or directory fails.
    #[error("{}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is something already.
    #[error("{} exists already; nothing was written", path.display())]
    Exists {
        /// What.
        path: PathBuf,
    },
    /// Nothing is stored of the cluster.
    #[error("nothing is stored of a cluster {0}")]
    Unknown(Name),
    /// It is not an archive, or one of another version.
    #[error("{} is not an archive of this version: {fault}", path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
        /// Why.
        fault: String,
    },
    /// A line of it does not say what it should.
    #[error("{file}:{line}: {fault}")]
    Line {
        /// The file inside the archive.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        fault: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A review that is stored does not fit its configuration.
    #[error("the review of {namespace} cannot be told: {fault}")]
    Review {
        /// Of which namespace.
        namespace: Name,
        /// Why.
        fault: String,
    },
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> ArchiveError + '_ {
    move |source| ArchiveError::File { path: path.to_owned(), source }
}

/// Whether an archive at this path is one file.
fn is_file(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".tar.zst")
}
