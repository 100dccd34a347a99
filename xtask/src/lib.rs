//! Chores of the repository. Nothing else depends on this crate, and it depends on no other.

#![expect(missing_docs, reason = "fields of the example's tables are named after what they hold")]

use std::path::{Path, PathBuf};

pub mod bench;
pub mod clock;
pub mod dependencies;
pub mod engine;
pub mod example;
pub mod large;
pub mod measure;
pub mod options;
pub mod random;

/// The root of the repository.
///
/// Cargo says where it runs this crate. What it said when it compiled it may be another checkout that shares the
/// target directory.
pub fn root() -> PathBuf {
    let compiled = || env!("CARGO_MANIFEST_DIR").into();
    let own = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(compiled, PathBuf::from);
    own.parent().unwrap_or(Path::new(".")).to_owned()
}
