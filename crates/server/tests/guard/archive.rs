use std::collections::BTreeMap;
use std::path::Path;

use ringfence_model::Name;
use ringfence_server::archive::{self, ArchiveError};
use ringfence_server::demo::Demo;
use ringfence_store::{Options, Sqlite};

/// Every file below a directory, by its path.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn an_archive_brings_everything_over() {
    let demo = Demo::new(ringfence_server::demo::Traffic::Recorded).unwrap();
    let cluster: Name = "example".parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    archive::export(&demo.store, &cluster, &at("one")).unwrap();
    let before = files(&at("one"));
    for file in ["cluster/objects.json", "edges.jsonl", "reviews/shop.yaml", "ringfence.json"] {
        assert!(before[file].len() > 20, "{file}");
    }
    let again = archive::export(&demo.store, &cluster, &at("one"));
    assert!(matches!(again, Err(ArchiveError::Exists { .. })));

    let store = Sqlite::open(&at("two.db"), &Options::default()).unwrap();
    assert_eq!(archive::import(&store, &at("one"), None).unwrap(), cluster);
    archive::export(&store, &cluster, &at("two")).unwrap();
    assert!(files(&at("two")) == before, "by directory");

    archive::export(&demo.store, &cluster, &at("one.tar.zst")).unwrap();
    let store = Sqlite::open(&at("three.db"), &Options::default()).unwrap();
    archive::import(&store, &at("one.tar.zst"), None).unwrap();
    archive::export(&store, &cluster, &at("three")).unwrap();
    assert!(files(&at("three")) == before, "by file");
    assert!(archive::import(&store, &at("one"), None).is_err(), "the name is taken");
    let other: Name = "other".parse().unwrap();
    assert_eq!(archive::import(&store, &at("one"), Some(&other)).unwrap(), other);
}

#[test]
fn what_is_no_archive_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::in_memory().unwrap();
    let refused = || archive::import(&store, directory.path(), None).unwrap_err();
    assert!(matches!(refused(), ArchiveError::File { .. }));
    std::fs::write(directory.path().join("ringfence.json"), "{}").unwrap();
    assert!(matches!(refused(), ArchiveError::Foreign { .. }));
    let head = r#"{"archiveVersion":9,"cluster":"a"}"#;
    std::fs::write(directory.path().join("ringfence.json"), head).unwrap();
    assert!(refused().to_string().contains("it has version 9"));
}
