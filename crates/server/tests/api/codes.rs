//! The codes that the API names are those that the code has.

use std::collections::BTreeSet;
use std::path::Path;

use ringfence_model::diagnostic::CODES;
use ringfence_policy::LINTS;

/// What a code follows in the sources, white space aside.
const BEFORE: [&str; 6] = [
    "Diagnostic::note(",
    "Diagnostic::warning(",
    "Diagnostic::error(",
    ".report(",
    "self.fault(file,",
    "Self::fault(",
];

/// The code after each place where a diagnostic is made.
fn codes_in(text: &str, found: &mut BTreeSet<String>) {
    for before in BEFORE {
        for (at, _) in text.match_indices(before) {
            let rest = text[at + before.len()..].trim_start();
            if let Some((code, _)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
                found.insert(code.to_owned());
            }
        }
    }
}

fn walk(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !name.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            codes_in(text.split("#[cfg(test)]\nmod tests {").next().unwrap(), found);
        }
    }
}

#[test]
fn every_code_of_a_diagnostic_is_listed() {
    let crates = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut found: BTreeSet<String> = LINTS.iter().map(|lint| lint.code.to_owned()).collect();
    for entry in std::fs::read_dir(crates).unwrap() {
        let sources = entry.unwrap().path().join("src");
        // The model makes examples.
        if sources.is_dir() && !sources.starts_with(crates.join("model")) {
            walk(&sources, &mut found);
        }
    }
    let listed: BTreeSet<String> = CODES.iter().map(|code| (*code).to_owned()).collect();
    assert_eq!(
        found, listed,
        "left: made in the sources, right: ringfence_model::diagnostic::CODES"
    );
    assert!(CODES.is_sorted());
}
