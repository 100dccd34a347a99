//! Machines outside Kubernetes in policies.

use crate::harness::{Run, Town};

const HOSTS: &str = "\
apiVersion: ringfence.dev/v1alpha1
kind: Host
metadata: {name: mail, labels: {site: east}}
spec: {addresses: [198.51.100.5, '2001:db8::5', 172.17.0.1], system: Debian GNU/Linux 12 (bookworm)}
---
apiVersion: ringfence.dev/v1alpha1
kind: Host
metadata: {name: backup}
spec: {addresses: [198.51.100.6, 172.17.0.1]}
";

/// `web` sends mail; `backup` fetches from it; an address that is two hosts' calls, and one that is nobody's.
fn town() -> Town {
    Town::new().with(HOSTS).talking(&[
        ("10.1.0.11", "198.51.100.5", "TCP", 25, 7),
        ("198.51.100.6", "10.1.0.11", "TCP", 873, 2),
        ("172.17.0.1", "10.1.0.11", "TCP", 873, 1),
        ("198.51.100.7", "10.1.0.11", "TCP", 873, 1),
    ])
}

/// What is said on the way, and the policy of `web`.
fn web(town: &Town) -> (Run, String) {
    let run = town.run("generate", &["-n", "front", "-o", "out"]).expect(0);
    (run, town.policy("ringfence-deployment-web"))
}

#[test]
fn a_host_is_an_ip_block_of_its_own_addresses() {
    let (run, yaml) = web(&town());
    for address in ["198.51.100.5/32", "\"2001:db8::5/128\"", "198.51.100.6/32"] {
        assert!(yaml.contains(&format!("cidr: {address}")), "{yaml}");
    }
    // Nobody's alone, and unknown.
    assert!(!yaml.contains("172.17.0.1") && !yaml.contains("198.51.100.7"), "{yaml}");
    assert!(run.all().contains("host-address-shared"), "{}", run.all());
    assert!(run.all().contains("machines outside Kubernetes"), "{}", run.all());
}

#[test]
fn a_review_speaks_of_hosts_by_name() {
    let town = town().reviewed(
        "  edges:
  - {choice: Exclude, source: {host: backup}, destination: {namespace: front}}
  - {choice: Include, source: {host: mail}, protocol: TCP, port: 2525,
     destination: {workload: {namespace: front, kind: Deployment, name: web}}}
",
    );
    let (_, yaml) = web(&town);
    assert!(!yaml.contains("198.51.100.6"), "{yaml}");
    assert!(yaml.contains("2525") && yaml.contains("2001:db8::5/128"), "{yaml}");
}
