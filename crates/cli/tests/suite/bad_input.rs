//! Bad input: a clear error that names the place and the cure, exit code 2, and nothing written.

use std::fs;
use std::path::Path;

use crate::harness::{Run, ringfence, town};

/// A directory with the cluster and flows of the scenarios, one file of which is replaced or added.
fn with(file: &str, contents: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in ["cluster.yaml", "flows.jsonl", "retire.review.yaml"] {
        fs::copy(town().join(name), directory.path().join(name)).unwrap();
    }
    fs::write(directory.path().join(file), contents).unwrap();
    directory
}

fn generate(directory: &Path, args: &[&str]) -> Run {
    let input = [
        "generate",
        "--cluster",
        "cluster.yaml",
        "--flows",
        "flows.jsonl",
        "-n",
        "front",
        "-o",
        "out",
    ];
    ringfence(directory, &[&input[..], args].concat())
}

/// Generates, expects a refusal, and gives what was said.
#[track_caller]
fn refusal(directory: &tempfile::TempDir, args: &[&str]) -> String {
    let run = generate(directory.path(), args).expect(2);
    assert_eq!(run.stdout, "");
    assert!(!directory.path().join("out").exists(), "something was written");
    run.stderr
}

#[test]
fn one_broken_document_of_many() {
    let mut cluster = fs::read_to_string(town().join("cluster.yaml")).unwrap();
    cluster.push_str("---\napiVersion: v1\nkind: Service\nmetadata: {name: broken\n");
    insta::assert_snapshot!(
        "broken-document",
        refusal(&with("cluster.yaml", cluster.as_bytes()), &[])
    );
}

#[test]
fn a_policy_with_faults() {
    let policy = "\
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: faulty, namespace: front}
spec:
  podSelector: {}
  egress:
  - to:
    - ipBlock: {cidr: 10.0.0.1/8}
  - ports:
    - {port: 9000, endPort: 8000}
";
    let cluster = fs::read_to_string(town().join("cluster.yaml")).unwrap() + policy;
    insta::assert_snapshot!(
        "faulty-policy",
        refusal(&with("cluster.yaml", cluster.as_bytes()), &[])
    );
}

#[test]
fn a_review_with_faults() {
    let review = "\
apiVersion: ringfence.dev/v1alpha1
kind: Review
metadata: {name: faulty}
spec:
  rules: {ingress: Sometimes}
  cidrRules:
  - {direction: Egress, cidr: 10.0.0.0/8, except: [11.0.0.0/16]}
  surprise: true
";
    let directory = with("bad.review.yaml", review.as_bytes());
    insta::assert_snapshot!("faulty-review", refusal(&directory, &["--review", "bad.review.yaml"]));
}

#[test]
fn a_review_that_speaks_of_nothing_is_told_so() {
    let review = "\
apiVersion: ringfence.dev/v1alpha1
kind: Review
metadata: {name: empty-words}
spec:
  workloads:
  - {workload: {namespace: front, kind: Deployment, name: wbe}, ingress: BlockAll}
  edges:
  - {choice: Exclude, source: {namespace: front}, destination: {namespace: nowhere}}
  - {choice: Include, source: {namespace: front}, destination: {namespace: nowhere}}
  aliases:
  - {name: nobody, addresses: [192.0.2.1]}
  labels: {include: [colour], namespace: [size, team]}
";
    let directory = with("vague.review.yaml", review.as_bytes());
    let run = generate(directory.path(), &["--review", "vague.review.yaml"]).expect(0);
    insta::assert_snapshot!("vague-review", run.stderr);
}

#[test]
fn missing_files_and_names() {
    let directory = with("unused", b"");
    let said = ringfence(
        directory.path(),
        &["generate", "--cluster", "nowhere", "--flows", "flows.jsonl"],
    )
    .expect(2);
    assert!(said.stderr.contains("nowhere"), "{}", said.stderr);
    let said = ringfence(
        directory.path(),
        &["generate", "--cluster", "cluster.yaml", "--flows", "nowhere"],
    )
    .expect(2);
    assert!(said.stderr.contains("nowhere"), "{}", said.stderr);
    insta::assert_snapshot!(
        "unknown-workload",
        refusal(&directory, &["--workload", "Deployment/wbe"])
    );
    let input = ["edges", "--cluster", "cluster.yaml", "--flows", "flows.jsonl", "-n", "fornt"];
    insta::assert_snapshot!(
        "unknown-namespace",
        ringfence(directory.path(), &input).expect(2).stderr
    );
}

#[test]
fn garbage_lines_are_counted_and_the_rest_is_used() {
    let flows = fs::read_to_string(town().join("flows.jsonl")).unwrap();
    let clean = with("flows.jsonl", flows.as_bytes());
    let mut dirty = b"\xff\xfe not text\n{\"half\": \n".to_vec();
    dirty.extend_from_slice(flows.as_bytes());
    let dirty = with("flows.jsonl", &dirty);
    let (of_clean, of_dirty) =
        (generate(clean.path(), &[]).expect(0), generate(dirty.path(), &[]).expect(0));
    let kept = |directory: &tempfile::TempDir| {
        let text = fs::read_to_string(directory.path().join("out/certificate.json")).unwrap();
        let certificate: serde_json::Value = serde_json::from_str(&text).unwrap();
        certificate["kept"].clone()
    };
    assert_eq!(kept(&clean), kept(&dirty));
    assert!(of_clean.stderr.contains(" 0 malformed"), "{}", of_clean.stderr);
    insta::assert_snapshot!("garbage-lines", of_dirty.stderr);
}

#[test]
fn a_truncated_archive() {
    let flows = fs::read(town().join("flows.jsonl")).unwrap();
    let mut archive = zstd::stream::encode_all(&flows[..], 3).unwrap();
    archive.truncate(archive.len() / 2);
    let said = refusal(&with("flows.jsonl", &archive), &[]);
    assert!(said.contains("ends too early") && said.contains("hint:"), "{said}");
}

#[test]
fn an_alias_bomb_and_deep_nesting_are_refused() {
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (this, before) in ('b'..='i').zip('a'..) {
        let nine = vec![format!("*{before}"); 9].join(", ");
        bomb += &format!("{this}: &{this} [{nine}]\n");
    }
    let said = refusal(&with("cluster.yaml", bomb.as_bytes()), &[]);
    assert!(said.contains("cluster.yaml"), "{said}");
    let deep = "[".repeat(100_000);
    let said = refusal(&with("cluster.yaml", deep.as_bytes()), &[]);
    assert!(said.contains("cluster.yaml"), "{said}");
}

#[test]
fn an_earlier_result_survives_a_refusal() {
    let directory = with("unused", b"");
    generate(directory.path(), &[]).expect(0);
    let before = fs::read_to_string(directory.path().join("out/certificate.json")).unwrap();
    fs::write(directory.path().join("flows.jsonl"), b"no flows at all\n").unwrap();
    generate(directory.path(), &[]).expect(2);
    assert_eq!(fs::read_to_string(directory.path().join("out/certificate.json")).unwrap(), before);
}

#[test]
fn policies_of_an_earlier_run_do_not_linger() {
    let directory = with("unused", b"");
    generate(directory.path(), &[]).expect(0);
    let stale = directory.path().join("out/policies/front/ringfence-deployment-gone.yaml");
    let foreign = directory.path().join("out/policies/front/by-hand.yaml");
    let web = directory.path().join("out/policies/front/ringfence-deployment-web.yaml");
    fs::copy(&web, &stale).unwrap();
    fs::write(&foreign, "# mine\n").unwrap();
    generate(directory.path(), &[]).expect(0);
    assert!(!stale.exists() && foreign.exists() && web.exists());
}
