//! The manifest with the server's rights grants what is watched, and nothing else.
#![cfg(feature = "live")]

use std::collections::BTreeSet;
use std::path::Path;

use ringfence_kube::live::RESOURCES;
use serde::Deserialize;

#[derive(Deserialize)]
struct Manifest {
    kind: String,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
}

#[test]
fn the_rights_are_the_least() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rbac.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let manifests: Vec<Manifest> = serde_saphyr::from_multiple(&text).unwrap();
    let mut granted = BTreeSet::new();
    for rule in manifests.iter().flat_map(|manifest| &manifest.rules) {
        assert_eq!(rule.verbs, ["list", "watch"]);
        for group in &rule.api_groups {
            for resource in &rule.resources {
                assert!(granted.insert((group.clone(), resource.clone())), "{resource} twice");
            }
        }
    }
    let watched = RESOURCES.iter();
    let watched = watched.map(|r| (r.group().to_owned(), r.plural().to_owned()));
    assert_eq!(granted, watched.collect());
    assert!(manifests.iter().all(|manifest| manifest.kind != "Role"));
}
