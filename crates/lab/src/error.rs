//! What can go wrong with the lab.

use std::io;
use std::path::{Path, PathBuf};

use ringfence_model::{Name, PodRef};
use thiserror::Error;

/// Why there is no lab.
#[derive(Debug, Error)]
pub enum LabError {
    /// A command that is not there or fails.
    #[error("{command} failed: {message}")]
    Command {
        /// The command with its arguments.
        command: String,
        /// What it said.
        message: String,
    },
    /// A namespace that cannot be entered or set up.
    #[error("network namespace {name}")]
    Namespace {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A pod that has no namespace of its own here.
    #[error("pod {0} is not in the lab")]
    NoPod(PodRef),
    /// A node that the cluster does not have.
    #[error("node {0} is not in the lab")]
    NoNode(Name),
    /// Somebody has a lab already.
    #[error("the lab runs already{}\n  hint: end it there, or with `ringfence lab down`", .0.map(|process| format!(", as process {process}")).unwrap_or_default())]
    Busy(Option<u32>),
    /// A file or directory that the lab needs.
    #[error("{}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else than root.
    #[error("only root can build network namespaces")]
    NoRoot,
    /// The agent would see nothing.
    #[error("the agent cannot observe here: {0}")]
    Blind(String),
    /// Processes in cgroups of version 1 cannot be told apart.
    #[error("no cgroup2 file system is mounted")]
    NoCgroup,
    /// A process of the lab that should have gone on.
    #[error("{what} ended: {said}")]
    Ended {
        /// What it was.
        what: String,
        /// Its last words.
        said: String,
    },
}

impl LabError {
    /// For what went wrong with a file or directory.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
