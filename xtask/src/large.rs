//! Large clusters as files, for benchmarks. Equal shapes and seeds give equal bytes.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::random::Random;

/// How large a cluster is, and which one of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub pods: u64,
    /// Pods of one ReplicaSet; 0 for pods without an owner, each with labels of its own.
    pub per_workload: u64,
    pub namespaces: u64,
    pub policies: u64,
    /// Distinct ipBlocks, each with an exception.
    pub blocks: u64,
    pub seed: u64,
    /// So many policies of a hundred are others than without.
    pub changed: u64,
}

impl Shape {
    /// A cluster of `pods` pods: a namespace for 50, a policy for 10, 10 to a ReplicaSet.
    pub const fn of(pods: u64) -> Self {
        Self {
            pods,
            per_workload: 10,
            namespaces: at_least_one(pods / 50),
            policies: pods / 10,
            blocks: 20,
            seed: 1,
            changed: 0,
        }
    }

    const fn workloads(&self) -> u64 {
        at_least_one(self.pods / at_least_one(self.per_workload))
    }
}

const fn at_least_one(n: u64) -> u64 {
    if n == 0 { 1 } else { n }
}

/// All that names the shape, as the options that give it.
impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pods, per_workload, namespaces, policies, blocks, seed, changed } = self;
        write!(
            f,
            "--pods {pods} --per-workload {per_workload} --namespaces {namespaces} --policies {policies} \
             --blocks {blocks} --seed {seed} --changed {changed}"
        )
    }
}

const TIERS: [&str; 5] = ["web", "api", "data", "cache", "batch"];
const PORTS: [u16; 6] = [80, 443, 8080, 5432, 6379, 9090];
const PORT_NAMES: [&str; 3] = ["http", "metrics", "grpc"];

/// Writes the cluster as `kubectl get -A -o yaml` would, less what nothing here reads.
pub fn write(shape: &Shape, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "apiVersion: v1\nitems:")?;
    let nodes = shape.pods.div_ceil(100);
    for n in 0..nodes {
        write!(
            out,
            "- apiVersion: v1\n  kind: Node\n  metadata:\n    name: node-{n}\n  status:\n    addresses:\n\
            \x20   - address: {}\n      type: InternalIP\n",
            address(0xc0a8_0001 + n)
        )?;
    }
    for n in 0..shape.namespaces {
        write!(
            out,
            "- apiVersion: v1\n  kind: Namespace\n  metadata:\n    labels:\n      env: {}\n\
            \x20     kubernetes.io/metadata.name: ns-{n}\n      team: team-{}\n    name: ns-{n}\n",
            if n % 3 == 0 { "prod" } else { "dev" },
            n % 10
        )?;
    }
    if shape.per_workload > 0 {
        for workload in 0..shape.workloads() {
            replica_set(shape, workload, out)?;
        }
    }
    for n in 0..shape.pods {
        pod(shape, n, nodes, out)?;
    }
    let mut random = Random::seeded(shape.seed);
    let blocks: Vec<String> = (0..shape.blocks).map(|n| block(n, &mut random)).collect();
    for n in 0..shape.policies {
        // Each policy has its own numbers, so that changing one leaves the others as they are.
        let mut random = Random::seeded(shape.seed ^ (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if n % 100 < shape.changed {
            random = Random::seeded(random.bits());
        }
        out.write_all(policy(shape, n, &blocks, &mut random).as_bytes())?;
    }
    writeln!(out, "kind: List")
}

fn labels(indent: &str, workload: u64) -> String {
    format!(
        "{indent}labels:\n{indent}  app: app-{workload}\n{indent}  pod-template-hash: {}\n{indent}  tier: {}\n\
         {indent}  version: v{}\n",
        hash(workload),
        TIERS[place(workload, TIERS.len())],
        workload % 7
    )
}

fn hash(workload: u64) -> String {
    Random::seeded(workload).suffix(9)
}

/// A number that looks random as a place in a list.
fn place(n: u64, length: usize) -> usize {
    usize::try_from(n % length as u64).unwrap_or_default()
}

fn containers(indent: &str, workload: u64) -> String {
    let mut text = format!(
        "{indent}containers:\n{indent}- image: registry.example/app:1\n{indent}  name: main\n"
    );
    let _ = writeln!(text, "{indent}  ports:");
    for (i, name) in PORT_NAMES.iter().enumerate() {
        let port = PORTS[place(workload + i as u64, PORTS.len())];
        let _ = write!(
            text,
            "{indent}  - containerPort: {port}\n{indent}    name: {name}\n{indent}    protocol: TCP\n"
        );
    }
    text
}

fn replica_set(shape: &Shape, workload: u64, out: &mut impl Write) -> io::Result<()> {
    write!(
        out,
        "- apiVersion: apps/v1\n  kind: ReplicaSet\n  metadata:\n    name: app-{workload}\n    namespace: ns-{}\n\
        \x20 spec:\n    replicas: {}\n    selector:\n      matchLabels:\n        app: app-{workload}\n    template:\n\
        \x20     metadata:\n{}      spec:\n{}",
        workload % shape.namespaces,
        shape.per_workload,
        labels("        ", workload),
        containers("        ", workload)
    )
}

fn pod(shape: &Shape, n: u64, nodes: u64, out: &mut impl Write) -> io::Result<()> {
    let workload = n / at_least_one(shape.per_workload);
    let owner = if shape.per_workload == 0 {
        String::new()
    } else {
        format!(
            "    ownerReferences:\n    - apiVersion: apps/v1\n      controller: true\n      kind: ReplicaSet\n\
            \x20     name: app-{workload}\n"
        )
    };
    let ip = address(0x0a00_0000 + n);
    write!(
        out,
        "- apiVersion: v1\n  kind: Pod\n  metadata:\n    creationTimestamp: \"2026-03-01T00:00:00Z\"\n{}\
        \x20   name: app-{workload}-{n}\n    namespace: ns-{}\n{owner}  spec:\n{}    nodeName: node-{}\n  status:\n\
        \x20   phase: Running\n    podIP: {ip}\n    podIPs:\n    - ip: {ip}\n    startTime: \"2026-03-01T00:00:00Z\"\n",
        labels("    ", workload),
        workload % shape.namespaces,
        containers("    ", workload),
        n % nodes
    )
}

fn address(bits: u64) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX))
}

/// A block outside the pod network with a hole, as lines of a peer.
fn block(n: u64, random: &mut Random) -> String {
    let first = 0x6400_0000 + (n << 20);
    let except = first + (random.below(16) << 16);
    format!(
        "    - ipBlock:\n        cidr: {}/12\n        except:\n        - {}/16\n",
        address(first),
        address(except)
    )
}

fn policy(shape: &Shape, n: u64, blocks: &[String], random: &mut Random) -> String {
    let own = random.below(shape.namespaces);
    let mut text = format!(
        "- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  metadata:\n    name: policy-{n}\n\
        \x20   namespace: ns-{own}\n  spec:\n"
    );
    let directions = random.below(10);
    let (ingress, egress) = (directions < 8, directions >= 5);
    if egress {
        rules("egress", "to", own, shape, blocks, random, &mut text);
    }
    if ingress {
        rules("ingress", "from", own, shape, blocks, random, &mut text);
    }
    match random.below(100) {
        0..90 => app("podSelector", "    ", own, shape, random, &mut text),
        90..99 => tiers("podSelector", "    ", random, &mut text),
        _ => text.push_str("    podSelector: {}\n"),
    }
    text.push_str("    policyTypes:\n");
    for (name, isolates) in [("Ingress", ingress), ("Egress", egress)] {
        if isolates {
            let _ = writeln!(text, "    - {name}");
        }
    }
    text
}

fn rules(
    list: &str,
    peers: &str,
    own: u64,
    shape: &Shape,
    blocks: &[String],
    random: &mut Random,
    text: &mut String,
) {
    let _ = writeln!(text, "    {list}:");
    for _ in 0..=random.below(3) {
        let mut start = "    - ";
        if !random.percent(20) {
            let _ = writeln!(text, "{start}ports:");
            start = "      ";
            for _ in 0..=random.below(2) {
                port(random, text);
            }
        }
        if random.percent(3) {
            if start == "    - " {
                text.push_str("    - {}\n");
            }
            continue;
        }
        let _ = writeln!(text, "{start}{peers}:");
        for _ in 0..=random.below(2) {
            peer(own, shape, blocks, random, text);
        }
    }
}

fn peer(own: u64, shape: &Shape, blocks: &[String], random: &mut Random, text: &mut String) {
    let indent = "        ";
    match random.below(10) {
        0..3 => app("- podSelector", "      ", own, shape, random, text),
        3..5 => tiers("- podSelector", "      ", random, text),
        5..7 => {
            let _ = write!(
                text,
                "      - namespaceSelector:\n          matchLabels:\n            team: team-{}\n",
                random.below(10)
            );
            tiers("podSelector", indent, random, text);
        }
        7 => {
            let _ = write!(
                text,
                "      - namespaceSelector:\n          matchLabels:\n            kubernetes.io/metadata.name: ns-{}\n",
                random.below(shape.namespaces)
            );
        }
        _ if blocks.is_empty() => text.push_str("      - podSelector: {}\n"),
        _ => {
            for line in random.pick(blocks).lines() {
                let _ = writeln!(text, "  {line}");
            }
        }
    }
}

/// A selector of a workload of the namespace.
fn app(key: &str, indent: &str, own: u64, shape: &Shape, random: &mut Random, text: &mut String) {
    let of_namespace = shape.workloads().div_ceil(shape.namespaces);
    let workload = own + random.below(of_namespace) * shape.namespaces;
    let inner = if key.starts_with('-') { "  " } else { "" };
    let _ = write!(
        text,
        "{indent}{key}:\n{indent}{inner}  matchLabels:\n{indent}{inner}    app: app-{workload}\n"
    );
}

/// A selector of tiers by expression.
fn tiers(key: &str, indent: &str, random: &mut Random, text: &mut String) {
    let (a, b) = (random.pick(&TIERS), random.pick(&TIERS));
    let operator = if random.percent(70) { "In" } else { "NotIn" };
    let inner = if key.starts_with('-') { "  " } else { "" };
    let _ = write!(
        text,
        "{indent}{key}:\n{indent}{inner}  matchExpressions:\n{indent}{inner}  - key: tier\n\
         {indent}{inner}    operator: {operator}\n{indent}{inner}    values:\n{indent}{inner}    - {a}\n"
    );
    if a != b {
        let _ = writeln!(text, "{indent}{inner}    - {b}");
    }
}

fn port(random: &mut Random, text: &mut String) {
    let number = random.pick(&PORTS);
    let protocol = if random.percent(90) { "TCP" } else { "UDP" };
    match random.below(10) {
        0..6 => {
            let _ = writeln!(text, "      - port: {number}");
        }
        6..8 => {
            let _ = writeln!(text, "      - port: {}", random.pick(&PORT_NAMES));
        }
        8 => {
            let _ = write!(text, "      - endPort: {}\n        port: {number}\n", number + 100);
        }
        _ => {
            let _ = writeln!(text, "      - protocol: {protocol}");
            return;
        }
    }
    let _ = writeln!(text, "        protocol: {protocol}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(shape: &Shape) -> String {
        let mut out = Vec::new();
        write(shape, &mut out).expect("a vector takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn equal_shapes_give_equal_clusters_and_changes_are_few() {
        let shape = Shape { changed: 0, ..Shape::of(1000) };
        let (one, other) = (text(&shape), text(&shape));
        assert!(one == other);
        let policies = |text: &str| -> Vec<String> {
            text.split("\n- ").filter(|o| o.contains("NetworkPolicy")).map(str::to_owned).collect()
        };
        let (before, after) = (policies(&one), policies(&text(&Shape { changed: 5, ..shape })));
        assert_eq!((before.len(), after.len()), (100, 100));
        let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert_eq!(changed, 5);
        assert!(
            ["endPort", "except", "NotIn", "port: http", "namespaceSelector", "ReplicaSet"]
                .iter()
                .all(|word| one.contains(word))
        );
        assert!(!text(&Shape { per_workload: 0, ..shape }).contains("ReplicaSet"));
    }
}
