//! What is wrong with a configuration.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It contradicts itself or the rules.
    #[error("{}", listing(path, faults))]
    Faulty {
        /// The file; empty when everything came from flags and defaults.
        path: PathBuf,
        /// Everything that is wrong, in the order of the file.
        faults: Vec<Fault>,
    },
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where in the file, counted from 1; `None` for what is missing or came from a flag.
    pub line: Option<u64>,
    /// What is wrong, with the field that it is about.
    pub message: String,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

impl Fault {
    pub(super) fn new(line: Option<u64>, message: impl Into<String>) -> Self {
        Self { line, message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

/// All faults, a line each.
fn listing<'a>(path: &'a Path, faults: &'a [Fault]) -> impl fmt::Display + 'a {
    fmt::from_fn(move |f| {
        match faults.len() {
            1 => f.write_str("the configuration has a fault")?,
            n => write!(f, "the configuration has {n} faults")?,
        }
        for Fault { line, message, hint } in faults {
            f.write_str("\n  ")?;
            if !path.as_os_str().is_empty() {
                write!(f, "{}", path.display())?;
                match line {
                    Some(line) => write!(f, ":{line}: ")?,
                    None => f.write_str(": ")?,
                }
            }
            f.write_str(message)?;
            if let Some(hint) = hint {
                write!(f, "\n    hint: {hint}")?;
            }
        }
        Ok(())
    })
}
