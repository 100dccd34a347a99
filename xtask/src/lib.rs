//! Chores of the repository. Nothing else depends on this crate, and it depends on no other.

#![expect(missing_docs, reason = "fields of the example's tables are named after what they hold")]

use std::path::Path;

pub mod clock;
pub mod dependencies;
pub mod example;
pub mod random;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
