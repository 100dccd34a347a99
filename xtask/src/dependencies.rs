//! What the crates depend on: each other in one direction only, and nothing whose licence `deny.toml` does not allow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde::Deserialize;

mod licence;

/// The architecture: which crate of the workspace depends on which others. Nothing more, and nothing less, so that
/// an edge that nobody needs any longer goes.
pub const EDGES: &[(&str, &[&str])] = &[
    ("ringfence-bench", &[]),
    ("ringfence-model", &[]),
    ("ringfence-policy", &["ringfence-model"]),
    ("ringfence-inventory", &["ringfence-model"]),
    ("ringfence-flows", &["ringfence-model"]),
    ("ringfence-kube", &["ringfence-model"]),
    ("ringfence-advise", &["ringfence-inventory", "ringfence-model", "ringfence-policy"]),
    (
        "ringfence-generate",
        &["ringfence-advise", "ringfence-kube", "ringfence-model", "ringfence-policy"],
    ),
    (
        "ringfence-views",
        &["ringfence-advise", "ringfence-inventory", "ringfence-model", "ringfence-policy"],
    ),
    ("ringfence-store", &["ringfence-bench", "ringfence-model"]),
    ("ringfence-bpf", &[]),
    // The server, the store and the model are for tests of the two together.
    (
        "ringfence-agent",
        &[
            "ringfence-bpf",
            "ringfence-flows",
            "ringfence-model",
            "ringfence-proto",
            "ringfence-server",
            "ringfence-store",
        ],
    ),
    ("ringfence-proto", &[]),
    ("ringfence-lab", &["ringfence-kube", "ringfence-model", "ringfence-policy"]),
    ("ringfence-testkit", &["ringfence-proto"]),
    (
        "ringfence-server",
        &[
            "ringfence-advise",
            "ringfence-bench",
            "ringfence-flows",
            "ringfence-generate",
            "ringfence-inventory",
            "ringfence-kube",
            "ringfence-model",
            "ringfence-policy",
            "ringfence-proto",
            "ringfence-store",
            "ringfence-testkit",
            "ringfence-views",
        ],
    ),
    (
        "ringfence",
        &[
            "ringfence-advise",
            "ringfence-flows",
            "ringfence-generate",
            "ringfence-inventory",
            "ringfence-kube",
            "ringfence-model",
            "ringfence-policy",
            "ringfence-server",
            "ringfence-store",
            "ringfence-views",
        ],
    ),
    ("xtask", &[]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Set for crates of this repository.
    path: Option<String>,
}

/// Everything that is not as it should be.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut faults = edge_faults(&edges(root)?);
    faults.extend(licence_faults(root)?);
    Ok(faults)
}

/// The edges between the crates of the workspace, those for tests and build scripts included. Needs no network.
pub fn edges(root: &Path) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let metadata = metadata(root, &["--no-deps"])?;
    let edge = |package: Package| {
        let own = package.dependencies.into_iter().filter(|d| d.path.is_some()).map(|d| d.name);
        (package.name, own.collect())
    };
    Ok(metadata.packages.into_iter().map(edge).collect())
}

/// Where the edges differ from [`EDGES`].
pub fn edge_faults(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let expected: BTreeMap<&str, BTreeSet<&str>> =
        EDGES.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    let mut faults = Vec::new();
    for (from, to) in edges {
        let Some(expected) = expected.get(from.as_str()) else {
            faults.push(format!("crate {from} is not part of the architecture"));
            continue;
        };
        let to: BTreeSet<&str> = to.iter().map(String::as_str).collect();
        faults.extend(to.difference(expected).map(|to| format!("{from} must not depend on {to}")));
        faults.extend(
            expected
                .difference(&to)
                .map(|to| format!("{from} no longer depends on {to}: drop the edge")),
        );
    }
    let missing = expected.keys().filter(|name| !edges.contains_key(**name));
    faults.extend(missing.map(|name| format!("crate {name} is missing")));
    faults
}

/// The dependencies whose licence is not among those that `deny.toml` allows. Needs their sources, as a build does.
pub fn licence_faults(root: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(root.join("deny.toml")).context("deny.toml")?;
    let allowed = licence::allowed(&text).context("deny.toml has no list of allowed licences")?;
    let host = host()?;
    let metadata = metadata(root, &["--filter-platform", &host])?;
    let mut faults = Vec::new();
    for package in metadata.packages {
        if metadata.workspace_members.contains(&package.id) {
            continue;
        }
        let Package { name, version, license, .. } = package;
        match license {
            None => faults.push(format!("{name} {version} states no licence")),
            Some(licence) => {
                if !licence::is_allowed(&licence, &allowed) {
                    faults.push(format!("{name} {version}: licence {licence} is not in deny.toml"));
                }
            }
        }
    }
    Ok(faults)
}

fn metadata(root: &Path, arguments: &[&str]) -> anyhow::Result<Metadata> {
    let output = run(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args(["metadata", "--format-version=1", "--locked"])
        .args(arguments))?;
    serde_json::from_str(&output).context("the output of cargo metadata")
}

fn host() -> anyhow::Result<String> {
    let output = run(Command::new("rustc").arg("-vV"))?;
    let line = output.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc -vV names no host")?.to_owned())
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
