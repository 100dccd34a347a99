//! The committed example is what the generator writes.

use std::collections::BTreeSet;
use std::fs;

use xtask::{example, root};

#[test]
fn the_committed_files_are_those_that_the_generator_writes() {
    let directory = root().join("examples/shop");
    let files = example::files().expect("the example");
    for (name, text) in &files {
        let committed = example::read(&directory, name).expect("a committed file");
        assert!(committed == *text, "{name} is out of date: cargo run -p xtask -- example");
    }
    let mut strays = BTreeSet::new();
    for below in ["cluster", "manifests"] {
        for entry in fs::read_dir(directory.join(below)).expect("a directory") {
            let name = entry.expect("an entry").file_name();
            strays.insert(format!("{below}/{}", name.to_string_lossy()));
        }
    }
    strays.retain(|name| !files.contains_key(name));
    assert_eq!(strays, BTreeSet::new(), "nothing generates these");
}

#[test]
fn the_committed_log_is_small() {
    let log = root().join("examples/shop/flows.jsonl.zst");
    let size = fs::metadata(log).expect("the log").len();
    assert!(size < 1_000_000, "{size} bytes");
}
