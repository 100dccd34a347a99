//! What can be wrong with one line.

use crate::json::JsonError;

/// Why a line could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("not valid UTF-8")]
    Utf8,
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{field} is {value:?}, which is not what it should be")]
    Value { field: &'static str, value: String },
    #[error("version {0} of the format is not known")]
    Version(u64),
    #[error("not an edge: {0}")]
    Edge(String),
    #[error("neither a Hubble flow nor a Ringfence record")]
    Unknown,
}

impl Fault {
    /// A value that is not what its field should hold, quoted as far as is useful.
    pub(crate) fn value(field: &'static str, value: &[u8]) -> Self {
        let value = String::from_utf8_lossy(value).chars().take(80).collect();
        Self::Value { field, value }
    }
}
