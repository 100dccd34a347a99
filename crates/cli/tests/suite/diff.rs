//! `ringfence diff`: what two dumps or two policy sets let through differently.

use std::fs;

use crate::harness::{Run, repository, ringfence, town};

/// The policies of the town with some text replaced, beside the town's own files.
fn with_policies(replaced: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in ["cluster.yaml", "policies.yaml"] {
        fs::copy(town().join(name), directory.path().join(name)).unwrap();
    }
    let mut policies = fs::read_to_string(town().join("policies.yaml")).unwrap();
    for (from, to) in replaced {
        assert!(policies.contains(from), "{from}");
        policies = policies.replace(from, to);
    }
    fs::write(directory.path().join("after.yaml"), policies).unwrap();
    directory
}

fn policies(replaced: &[(&str, &str)], args: &[&str]) -> Run {
    let input = ["diff", "--cluster", "cluster.yaml", "policies.yaml", "after.yaml"];
    ringfence(with_policies(replaced).path(), &[&input[..], args].concat())
}

/// One rule more, one port less, one policy gone, one block wider.
const EDITS: [(&str, &str); 4] = [
    (
        "matchLabels: {app: proxy}",
        "matchExpressions: [{key: app, operator: In, values: [proxy, batch]}]",
    ),
    ("{protocol: SCTP, port: 3868}, ", ""),
    ("{name: deny, namespace: other}", "{name: deny, namespace: elsewhere}"),
    ("except: [10.0.0.0/8]", "except: [10.0.0.0/9]"),
];

#[test]
fn two_policy_sets_over_one_cluster() {
    insta::assert_snapshot!("diff-table", policies(&EDITS, &[]).expect(0).all());
    insta::assert_snapshot!("diff-json", policies(&EDITS, &["-o", "json"]).expect(0).all());
}

#[test]
fn equal_connectivity_is_no_difference_whatever_the_text() {
    let same = [(
        "matchLabels: {app: proxy}",
        "matchExpressions: [{key: app, operator: In, values: [proxy]}]",
    )];
    assert_eq!(policies(&same, &["--exit-code"]).expect(0).stdout, "no difference\n");
    policies(&EDITS, &["--exit-code"]).expect(1);
    let answer = policies(&same, &["-o", "json", "--exit-code"]).expect(0).json();
    assert_eq!(answer["pairs"].as_array().unwrap().len(), 0);
}

#[test]
fn policies_of_the_cluster_that_neither_set_names_stay() {
    let directory = with_policies(&[]);
    let cluster = fs::read_to_string(town().join("cluster.yaml")).unwrap();
    let deny = "\
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: other}
spec: {podSelector: {}, policyTypes: [Ingress]}
";
    fs::write(directory.path().join("cluster.yaml"), cluster + deny).unwrap();
    fs::write(directory.path().join("none.yaml"), "").unwrap();
    let run = |before: &str, after: &str| {
        ringfence(directory.path(), &["diff", "--cluster", "cluster.yaml", before, after])
            .expect(0)
            .stdout
    };
    assert_eq!(run("none.yaml", "none.yaml"), "no difference\n");
    // Named before and not after: it goes.
    assert!(run("policies.yaml", "none.yaml").contains("other/Deployment/legacy"));
}

/// The town with its policies as one dump, and again after edits of the cluster.
fn dumps(edit: impl Fn(String) -> String, args: &[&str]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let text = |name| fs::read_to_string(town().join(name)).unwrap();
    let before = text("cluster.yaml") + &text("policies.yaml");
    fs::write(directory.path().join("before.yaml"), &before).unwrap();
    fs::write(directory.path().join("after.yaml"), edit(before)).unwrap();
    ringfence(directory.path(), &[&["diff", "before.yaml", "after.yaml"], args].concat())
}

#[test]
fn a_rollout_or_another_number_of_replicas_is_no_difference() {
    let rolled = dumps(|text| text.replace("proxy-5d9c7b", "proxy-7f6b9"), &["--exit-code"]);
    assert_eq!(rolled.expect(0).stdout, "no difference\n");
    let scaled = dumps(
        |text| {
            let pod = text.split("---\n").find(|d| d.contains("name: batch-5d9c7b-aaaaa")).unwrap();
            let second =
                pod.replace("5d9c7b-aaaaa", "5d9c7b-ccccc").replace("10.1.1.15", "10.1.1.16");
            format!("{text}---\n{second}")
        },
        &["--exit-code"],
    );
    assert_eq!(scaled.expect(0).stdout, "no difference\n");
}

#[test]
fn a_workload_that_comes_and_one_that_goes() {
    let run = dumps(|text| text.replace("legacy", "heir"), &[]);
    insta::assert_snapshot!("diff-workloads", run.expect(0).all());
}

#[test]
fn a_pod_that_gets_another_label() {
    let run = dumps(
        |text| {
            let labels = "name: web-5d9c7b-bbbbb\n  namespace: front\n  labels: {app: web,";
            assert!(text.contains(labels), "the second web pod");
            text.replace(
                labels,
                "name: web-5d9c7b-bbbbb\n  namespace: front\n  labels: {app: canary,",
            )
        },
        &["-o", "json"],
    );
    insta::assert_snapshot!("diff-label", run.expect(0).all());
}

#[test]
fn the_shop_without_its_policies() {
    let directory = tempfile::tempdir().unwrap();
    let none = directory.path().join("none.yaml");
    fs::write(&none, "").unwrap();
    let cluster = "examples/shop/cluster";
    let args = ["diff", "--cluster", cluster, none.to_str().unwrap(), cluster];
    insta::assert_snapshot!("diff-shop", ringfence(&repository(), &args).expect(0).all());
}

#[test]
fn what_is_not_there_is_told() {
    let run = ringfence(&town(), &["diff", "cluster.yaml", "nowhere.yaml"]).expect(2);
    insta::assert_snapshot!("diff-nowhere", run.all());
    ringfence(&town(), &["diff", "cluster.yaml"]).expect(2);
}
