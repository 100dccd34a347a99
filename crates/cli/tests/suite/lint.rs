//! `ringfence lint`: policies that do not say what was meant.

use std::fs;

use crate::harness::{Run, repository, ringfence, town};

/// The policies of the town, and some that go wrong.
const TRAPS: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: nobody, namespace: front}
spec:
  podSelector: {matchLabels: {app: wbe}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: either, namespace: back}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {team: web}}
    - podSelector: {matchLabels: {app: web}}
    ports: [{port: sql}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: everything, namespace: other}
spec:
  podSelector: {}
  ingress:
  - {}
";

fn lint(args: &[&str]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    fs::copy(town().join("cluster.yaml"), directory.path().join("cluster.yaml")).unwrap();
    fs::write(directory.path().join("traps.yaml"), TRAPS).unwrap();
    let input = ["lint", "--cluster", "cluster.yaml", "--policies", "traps.yaml"];
    ringfence(directory.path(), &[&input[..], args].concat())
}

#[test]
fn each_format() {
    for format in ["table", "json", "sarif"] {
        let run = lint(&["-o", format]).expect(1);
        insta::assert_snapshot!(format!("lint-{format}"), run.all());
    }
}

#[test]
fn sarif_names_rules_that_it_describes() {
    let log = lint(&["-o", "sarif"]).expect(1).json();
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert!(!results.is_empty());
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
}

#[test]
fn an_ip_block_that_holds_pods() {
    let run =
        ringfence(&town(), &["lint", "--cluster", "cluster.yaml", "--policies", "policies.yaml"]);
    insta::assert_snapshot!("lint-town", run.expect(1).all());
}

#[test]
fn without_findings_all_is_fine() {
    let directory = tempfile::tempdir().unwrap();
    fs::copy(town().join("cluster.yaml"), directory.path().join("cluster.yaml")).unwrap();
    let run = ringfence(directory.path(), &["lint", "--cluster", "cluster.yaml"]).expect(0);
    assert_eq!(run.stdout, "0 policies: 0 errors, 0 warnings, 0 notes\n");
}

#[test]
fn the_shop() {
    let run = ringfence(&repository(), &["lint", "--cluster", "examples/shop/cluster"]);
    insta::assert_snapshot!("lint-shop", run.all());
}

#[test]
fn what_is_not_there_is_told() {
    let run = ringfence(&town(), &["lint", "--cluster", "cluster.yaml", "--policies", "nowhere"]);
    insta::assert_snapshot!("lint-nowhere", run.expect(2).all());
}
