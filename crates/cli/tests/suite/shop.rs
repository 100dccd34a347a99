//! The example that ships with the project: what the README shows.

use crate::harness::{Run, repository, ringfence};

fn run(command: &str, args: &[&str]) -> Run {
    let input = [
        command,
        "--cluster",
        "examples/shop/cluster",
        "--flows",
        "examples/shop/flows.jsonl.zst",
        "--review",
        "examples/shop/review.yaml",
        "-n",
        "shop",
    ];
    ringfence(&repository(), &[&input[..], args].concat())
}

#[test]
fn the_example_is_proven() {
    let out = tempfile::tempdir().unwrap();
    let directory = out.path().to_str().unwrap();
    let generated = run("generate", &["-o", directory]).expect(0);
    assert!(generated.stderr.contains("PROVEN"), "{}", generated.stderr);
    let certificate = std::fs::read_to_string(out.path().join("certificate.json")).unwrap();
    let certificate: serde_json::Value = serde_json::from_str(&certificate).unwrap();
    assert_eq!(certificate["outcome"], "PROVEN");
    run("check", &["--policies", &format!("{directory}/policies")]).expect(0);
}

#[test]
fn the_policies_of_the_example_are_the_reviewed_ones() {
    insta::assert_snapshot!("shop", run("generate", &[]).expect(0).all());
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (first, second) = (run("generate", &[]), run("generate", &[]));
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(first.stderr, second.stderr);
}

/// Generates from manifests, which have no pods, and more of the cluster.
fn from_manifests(more: &[&str]) -> Run {
    let cluster = ["generate", "--cluster", "examples/shop/manifests"];
    let flows = ["--flows", "examples/shop/flows.jsonl.zst", "-n", "shop"];
    ringfence(&repository(), &[&cluster[..], more, &flows].concat())
}

#[test]
fn manifests_from_git_serve_as_well_as_a_dump() {
    let dns = ["examples/shop/cluster/services.yaml", "examples/shop/cluster/deployments.yaml"];
    let generated = from_manifests(&dns).expect(0);
    assert!(generated.stderr.contains("PROVEN: 9 policies"), "{}", generated.stderr);
    let web = "name: ringfence-deployment-web\n  namespace: shop\n";
    assert!(generated.stdout.contains(web), "{}", generated.stdout);
}

#[test]
fn what_is_missing_for_name_resolution_is_said_and_nothing_is_called_proven() {
    let generated = from_manifests(&[]).expect(1);
    for said in [
        "cluster-subnet-incomplete",
        "no-dns-found",
        "name resolution was observed and would be cut",
    ] {
        assert!(generated.stderr.contains(said), "{said}: {}", generated.stderr);
    }
}
