//! The five cases that people come with, from the flow log to the policies and back through `check`.

use std::fs;
use std::path::Path;

use crate::harness::{Run, ringfence, town};

const INPUT: [&str; 4] = ["--cluster", "cluster.yaml", "--flows", "flows.jsonl"];

fn run(command: &str, args: &[&str]) -> Run {
    ringfence(&town(), &[&[command], &INPUT[..], args].concat())
}

/// Generates into a directory and checks the observed flows against it with the same review.
fn generate_and_check(args: &[&str]) -> (Run, Run, tempfile::TempDir) {
    let out = tempfile::tempdir().unwrap();
    let directory = out.path().to_str().unwrap();
    let generated = run("generate", &[args, &["-o", directory]].concat()).expect(0);
    let policies = format!("{directory}/policies");
    let checked = run("check", &[args, &["--policies", &policies, "-o", "json"]].concat());
    (generated, checked, out)
}

/// Whether the candidate policies let a connection pass.
fn allowed(policies: &Path, source: &str, destination: &str, port: &str) -> bool {
    let policies = policies.join("policies");
    let args = [
        "explain",
        "--cluster",
        "cluster.yaml",
        "--policies",
        policies.to_str().unwrap(),
        source,
        destination,
        port,
    ];
    let explained = ringfence(&town(), &args);
    assert!(explained.code < 2, "{}", explained.all());
    explained.code == 0
}

fn texts(directory: &Path) -> String {
    let mut files: Vec<_> = walk(&directory.join("policies"));
    files.sort();
    files.into_iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// The edges of `check -o json` that are denied, as `source destination port`.
fn denied(checked: &Run) -> Vec<String> {
    let answer = checked.json();
    let edges = answer["edges"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    edges
        .filter(|edge| edge["verdict"] != "allowed")
        .map(|edge| {
            format!(
                "{} {} {}",
                text(&edge["source"]),
                text(&edge["destination"]),
                text(&edge["port"])
            )
        })
        .collect()
}

#[test]
fn only_chosen_communications_pass() {
    let args = ["-n", "front", "--review", "retire.review.yaml"];
    let (_, checked, out) = generate_and_check(&args);
    let yaml = texts(out.path());
    assert!(!yaml.contains("ipBlock"), "{yaml}");
    assert!(!yaml.contains("9000"), "{yaml}");
    let from_web =
        fs::read_to_string(out.path().join("policies/front/ringfence-deployment-web.yaml"))
            .unwrap();
    assert!(!from_web.contains("retired"), "{from_web}");
    // What is left out beside the retired service are addresses that nobody let in.
    assert_eq!(
        denied(&checked),
        [
            "front/Deployment/proxy 198.51.100.7 TCP/443",
            "front/Deployment/proxy 203.0.113.9 TCP/443",
            "front/Deployment/web front/Deployment/retired TCP/9000",
        ]
    );
    checked.expect(0);
    insta::assert_snapshot!("retire", run("generate", &args).expect(0).all());
}

#[test]
fn a_static_proxy_reaches_its_range_and_dns_only() {
    let args = ["-n", "front", "--workload", "Deployment/proxy", "--review", "proxy.review.yaml"];
    let (_, checked, out) = generate_and_check(&args);
    checked.expect(0);
    let proxy = "front/Deployment/proxy";
    for (destination, port, expected) in [
        ("198.51.100.7", "443", true),
        ("198.51.100.127", "443", true),
        ("198.51.100.128", "443", false),
        ("198.51.100.7", "80", false),
        ("203.0.113.9", "443", false),
        ("kube-system/Deployment/coredns", "UDP/53", true),
        ("kube-system/Deployment/coredns", "TCP/53", true),
        ("front/Deployment/web", "8080", false),
        ("back/Deployment/api", "8080", false),
    ] {
        assert_eq!(allowed(out.path(), proxy, destination, port), expected, "{destination} {port}");
    }
    insta::assert_snapshot!("proxy", run("generate", &args).expect(0).all());
}

#[test]
fn the_namespace_only_names_no_workload() {
    let args = ["-n", "front", "--review", "namespace-only.review.yaml"];
    let (_, checked, out) = generate_and_check(&args);
    checked.expect(0);
    let rules: String =
        texts(out.path()).lines().filter(|line| !line.trim().starts_with('#')).collect();
    for workload in ["web", "proxy", "retired", "batch", "api", "legacy"] {
        assert!(!rules.contains(&format!("app: {workload}")), "{workload} in {rules}");
    }
    assert!(allowed(out.path(), "front/Deployment/web", "front/Deployment/batch", "1"));
    assert!(!allowed(out.path(), "front/Deployment/web", "back/Deployment/api", "8080"));
    assert!(!allowed(out.path(), "other/Deployment/legacy", "front/Deployment/web", "8080"));
    insta::assert_snapshot!("namespace-only", run("generate", &args).expect(0).all());
}

#[test]
fn egress_to_another_namespace_reaches_it_and_dns_only() {
    let args = ["-n", "front", "--workload", "Deployment/batch"];
    let (_, checked, out) = generate_and_check(&args);
    checked.expect(0);
    let tables = run("edges", &[&args[..], &["-o", "json"]].concat()).expect(0).json();
    assert_eq!(tables["ingress"].as_array().unwrap().len(), 0, "{tables}");
    let batch = "front/Deployment/batch";
    for (destination, port, expected) in [
        ("back/Deployment/api", "8080", true),
        ("back/Deployment/api", "80", false),
        ("back/StatefulSet/db", "5432", false),
        ("kube-system/Deployment/coredns", "UDP/53", true),
        ("front/Deployment/web", "8080", false),
        ("front/Deployment/proxy", "3128", false),
    ] {
        assert_eq!(allowed(out.path(), batch, destination, port), expected, "{destination} {port}");
    }
    insta::assert_snapshot!("batch", run("generate", &args).expect(0).all());
}

#[test]
fn a_namespace_without_usable_labels_is_named_and_its_edges_forbidden() {
    let args = ["-n", "front", "--review", "by-team.review.yaml"];
    let (generated, checked, out) = generate_and_check(&args);
    assert!(generated.stderr.contains("Namespaces without labels: other"), "{}", generated.stderr);
    assert!(!texts(out.path()).contains("legacy"));
    assert!(
        denied(&checked)
            .contains(&"other/Deployment/legacy front/Deployment/web TCP/8080".to_owned())
    );
    checked.expect(0);

    let labelled = tempfile::tempdir().unwrap();
    for file in ["flows.jsonl", "by-team.review.yaml"] {
        fs::copy(town().join(file), labelled.path().join(file)).unwrap();
    }
    let cluster = fs::read_to_string(town().join("cluster.yaml")).unwrap();
    let cluster = cluster.replace(
        "labels: {kubernetes.io/metadata.name: other}",
        "labels: {kubernetes.io/metadata.name: other, team: old}",
    );
    fs::write(labelled.path().join("cluster.yaml"), cluster).unwrap();
    let generate = [&["generate"], &INPUT[..], &args, &["-o", "out"]].concat();
    let generated = ringfence(labelled.path(), &generate).expect(0);
    assert!(!generated.stderr.contains("Namespaces without labels"), "{}", generated.stderr);
    let checked = ringfence(
        labelled.path(),
        &[&["check"], &INPUT[..], &args, &["--policies", "out/policies", "-o", "json"]].concat(),
    )
    .expect(0);
    assert!(!denied(&checked).iter().any(|edge| edge.contains("legacy")), "{}", checked.stdout);
}

#[test]
fn a_namespace_that_an_old_api_server_left_without_any_label_is_named_too() {
    let old = tempfile::tempdir().unwrap();
    fs::copy(town().join("flows.jsonl"), old.path().join("flows.jsonl")).unwrap();
    let cluster = fs::read_to_string(town().join("cluster.yaml")).unwrap();
    let cluster = cluster.replace("labels: {kubernetes.io/metadata.name: other}", "labels: {}");
    fs::write(old.path().join("cluster.yaml"), cluster).unwrap();
    let generated =
        ringfence(old.path(), &[&["generate"], &INPUT[..], &["-n", "front"]].concat()).expect(0);
    assert!(generated.stderr.contains("Namespaces without labels: other"), "{}", generated.stderr);
    assert!(!generated.stdout.contains("legacy"), "{}", generated.stdout);
}
