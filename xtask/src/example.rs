//! The example in `examples/shop`: objects, manifests, flow log and true edges, from one table and one call graph.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

pub mod call;
pub mod cluster;
pub mod connection;
pub mod hubble;
pub mod log;
pub mod manifest;
pub mod pod;
pub mod shop;
pub mod truth;
pub mod yaml;

/// The best level that every reader takes without being asked.
const LEVEL: i32 = 19;

/// Every generated file by its path below `examples/shop`. A `.zst` file is given uncompressed.
pub fn files() -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (name, text) in cluster::files()? {
        files.insert(format!("cluster/{name}"), text);
    }
    for (name, text) in manifest::files() {
        files.insert(format!("manifests/{name}"), text);
    }
    let connections = connection::all()?;
    let log = log::write(&connections)?;
    let truth = truth::of(&connections, &pod::all(), &log)?;
    files.insert("expected-edges.json".to_owned(), serde_json::to_string_pretty(&truth)? + "\n");
    files.insert("flows.jsonl.zst".to_owned(), log.text);
    Ok(files)
}

/// The text of a file below `directory`, uncompressed.
pub fn read(directory: &Path, name: &str) -> anyhow::Result<String> {
    let path = directory.join(name);
    let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
    let bytes = if is_compressed(name) { zstd::decode_all(&bytes[..])? } else { bytes };
    String::from_utf8(bytes).with_context(|| path.display().to_string())
}

/// Writes the files below `directory`. A compressed file that says the same already is left alone, so that a newer
/// compressor changes nothing.
pub fn write(directory: &Path) -> anyhow::Result<usize> {
    let files = files()?;
    for (name, text) in &files {
        if read(directory, name).is_ok_and(|committed| committed == *text) {
            continue;
        }
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let bytes = if is_compressed(name) {
            zstd::encode_all(text.as_bytes(), LEVEL)?
        } else {
            text.clone().into_bytes()
        };
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    }
    Ok(files.len())
}

fn is_compressed(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "zst")
}
