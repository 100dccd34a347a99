//! Dependencies between crates go one way.

use xtask::{dependencies, root};

#[test]
fn crates_depend_on_each_other_as_the_architecture_says() {
    let edges = dependencies::edges(&root()).expect("cargo metadata");
    assert_eq!(dependencies::edge_faults(&edges), Vec::<String>::new());
}

#[test]
fn an_edge_too_many_or_too_few_is_found() {
    let mut edges = dependencies::edges(&root()).expect("cargo metadata");
    edges.get_mut("ringfence-flows").expect("flows").insert("ringfence-kube".to_owned());
    edges.get_mut("ringfence-policy").expect("policy").clear();
    edges.insert("ringfence-utils".to_owned(), [].into());
    edges.remove("ringfence-kube");
    assert_eq!(
        dependencies::edge_faults(&edges),
        [
            "ringfence-flows must not depend on ringfence-kube",
            "ringfence-policy no longer depends on ringfence-model: drop the edge",
            "crate ringfence-utils is not part of the architecture",
            "crate ringfence-kube is missing",
        ]
    );
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let faults = dependencies::licence_faults(&root()).expect("cargo metadata");
    assert_eq!(faults, Vec::<String>::new());
}
