//! What an API server sends, as far as it is looked at before an object becomes a record.

use ringfence_model::{Diagnostic, Origin};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Resource;
use crate::fault::Fault;
use crate::json::{self, Piece};
use crate::record::{Record, record};

/// One page of a list.
#[derive(Deserialize)]
pub(super) struct Page<'p> {
    pub(super) metadata: ListMeta,
    #[serde(borrow, default)]
    pub(super) items: Option<Vec<&'p RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListMeta {
    #[serde(default)]
    pub(super) resource_version: String,
    #[serde(default, rename = "continue")]
    pub(super) next: String,
}

/// One line of a watch.
#[derive(Deserialize)]
pub(super) struct Event<'l> {
    #[serde(rename = "type")]
    pub(super) change: Change,
    #[serde(borrow)]
    pub(super) object: &'l RawValue,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Change {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

/// An object, or a bookmark, as far as a watch needs it to go on from there.
#[derive(Deserialize)]
pub(super) struct Versioned {
    pub(super) metadata: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Version {
    pub(super) resource_version: String,
}

/// Reduces an object to what is read of it.
pub(super) fn reduce(resource: &Resource, object: &RawValue) -> Result<Record, Diagnostic> {
    let piece = Piece { text: object.get(), line: 0 };
    json::parse(piece).and_then(|tree| record(resource.kind, resource.api_version, &tree)).map_err(
        |fault: Fault| {
            let origin = Origin::new(format!("the API server's {}", resource.plural), 0);
            fault.report("bad-object", &origin, Some(resource.kind()))
        },
    )
}
