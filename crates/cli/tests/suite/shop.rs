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

#[test]
fn manifests_from_git_serve_as_well_as_a_dump() {
    let args = [
        "generate",
        "--cluster",
        "examples/shop/manifests",
        "--flows",
        "examples/shop/flows.jsonl.zst",
        "-n",
        "shop",
    ];
    let generated = ringfence(&repository(), &args).expect(0);
    assert!(generated.stderr.contains("PROVEN: 9 policies"), "{}", generated.stderr);
    // What only a dump knows is said to be missing.
    for code in ["cluster-subnet-incomplete", "no-dns-found"] {
        assert!(generated.stderr.contains(code), "{code}: {}", generated.stderr);
    }
    let web = "name: ringfence-deployment-web\n  namespace: shop\n";
    assert!(generated.stdout.contains(web), "{}", generated.stdout);
}
