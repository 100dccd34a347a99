//! What each part of a review does to the policies.

use crate::harness::Town;

#[test]
fn an_included_edge_is_allowed_before_it_was_ever_seen() {
    let town = Town::new().reviewed(
        "  edges:
  - choice: Include
    source: {workload: {namespace: front, kind: Deployment, name: proxy}}
    destination: {workload: {namespace: back, kind: StatefulSet, name: db}}
    protocol: TCP
    port: 5432
",
    );
    town.certificate(0);
    let proxy = town.policy("ringfence-deployment-proxy");
    assert!(
        proxy.contains("# back/StatefulSet/db, TCP 5432: included at review.yaml:6, not observed"),
        "{proxy}"
    );
    assert!(proxy.contains("app: db"), "{proxy}");
}

#[test]
fn an_alias_goes_into_the_policy_only_when_it_is_allowed() {
    let alias = |allowed| {
        Town::new().reviewed(&format!(
            "  aliases: [{{name: payment, addresses: [198.51.100.0/28, 203.0.113.9], allowed: {allowed}}}]\n"
        ))
    };
    let town = alias(true);
    town.certificate(0);
    let proxy = town.policy("ringfence-deployment-proxy");
    assert!(proxy.contains("# Alias/payment, TCP 443: 70 connections"), "{proxy}");
    assert!(
        proxy.contains("cidr: 198.51.100.0/28") && proxy.contains("cidr: 203.0.113.9/32"),
        "{proxy}"
    );
    let town = alias(false);
    town.certificate(0);
    assert!(!town.policy("ringfence-deployment-proxy").contains("ipBlock"));
}

#[test]
fn labels_are_chosen_by_the_review() {
    let tier = (
        "labels: {app: web, pod-template-hash: 5d9c7b}",
        "labels: {app: web, pod-template-hash: 5d9c7b, tier: edge}",
    );
    let town = Town::new()
        .replacing(tier.0, tier.1)
        .replacing("metadata: {labels: {app: web}}", "metadata: {labels: {app: web, tier: edge}}")
        .reviewed("  labels: {include: [tier, pod-template-hash]}\n");
    town.certificate(0);
    let web = town.policy("ringfence-deployment-web");
    assert!(web.contains("app: web\n      tier: edge\n"), "{web}");
    assert!(!web.contains("pod-template-hash"), "{web}");
}

#[test]
fn a_workload_whose_labels_are_all_excluded_gets_no_policy_rather_than_an_empty_selector() {
    let town = Town::new().reviewed("  labels: {exclude: [app]}\n");
    let run = town.run("generate", &["-n", "front", "-o", "out"]).expect(0);
    assert!(run.stderr.contains("workload-not-selectable"), "{}", run.stderr);
    assert!(!town.has_policy("ringfence-deployment-web"));
}

#[test]
fn an_unmanaged_direction_is_left_alone() {
    let town = Town::new().reviewed("  rules: {ingress: Unmanaged, egress: BlockAll}\n");
    town.certificate(0);
    let policy = town.policy("ringfence-namespace");
    assert!(policy.contains("podSelector: {}") && policy.contains("- Egress"), "{policy}");
    assert!(!policy.contains("- Ingress"), "{policy}");
}

#[test]
fn a_rule_of_one_workload_wins_over_the_general_one() {
    let town = Town::new().reviewed(
        "  rules: {ingress: AllowNamespace, egress: AllowAll}
  workloads:
  - {workload: {namespace: front, kind: Deployment, name: retired}, ingress: BlockAll}
",
    );
    town.certificate(0);
    assert!(town.policy("ringfence-deployment-retired").contains("ingress: []"));
    assert!(town.policy("ringfence-deployment-web").contains("podSelector: {}"));
    assert!(
        town.policy("ringfence-namespace")
            .contains("egress:\n  # anyone, all: general rule\n  - {}")
    );
}

#[test]
fn consecutive_observed_ports_become_a_range_and_others_do_not() {
    let flows: Vec<(&str, &str, &str, u16, u64)> = [7001, 7002, 7003, 7005, 7006]
        .map(|port| ("10.1.0.11", "10.1.0.21", "TCP", port, 2))
        .to_vec();
    let town = Town::new().talking(&flows);
    town.certificate(0);
    let web = town.policy("ringfence-deployment-web");
    assert!(web.contains("port: 7001\n      endPort: 7003\n"), "{web}");
    assert!(web.contains("port: 7005\n") && web.contains("port: 7006\n"), "{web}");
    assert!(!web.contains("endPort: 7006") && !web.contains("7004"), "{web}");
}

#[test]
fn only_the_flows_of_the_window_count() {
    let town = Town::new().talking(&[("10.1.0.11", "10.1.1.22", "TCP", 5432, 1)]);
    let edges = |args: &[&str]| {
        let tables =
            town.run("edges", &[args, &["-n", "front", "-o", "json"]].concat()).expect(0).json();
        let egress = tables["egress"].as_array().unwrap().clone();
        egress.iter().filter(|line| line["peer"] == "back/StatefulSet/db").count()
    };
    assert_eq!(edges(&[]), 1);
    assert_eq!(edges(&["--since", "2026-03-02T08:00:00Z", "--until", "2026-03-02T10:00:00Z"]), 1);
    assert_eq!(edges(&["--since", "2026-03-02T12:00:00Z"]), 0);
    assert_eq!(edges(&["--until", "2026-03-02T08:00:00Z"]), 0);
}

#[test]
fn a_short_window_is_warned_about() {
    let town = Town::new();
    let run = town.run("generate", &["-n", "front", "--until", "2026-03-02T01:00:00Z"]).expect(0);
    assert!(run.stderr.contains("the flows cover less than 12 hours"), "{}", run.stderr);
}

#[test]
fn services_are_entities_too() {
    let tables = Town::new()
        .run("edges", &["-n", "back", "--kind", "Service", "-o", "json"])
        .expect(0)
        .json();
    let ingress = tables["ingress"].as_array().unwrap();
    let lines: Vec<_> = ingress
        .iter()
        .map(|line| {
            format!(
                "{} {} {}",
                line["entity"].as_str().unwrap(),
                line["peer"].as_str().unwrap(),
                line["port"]
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "back/Service/api front/Deployment/batch 8080",
            "back/Service/api front/Deployment/web 8080",
            "back/Service/db back/Deployment/api 5432",
        ]
    );
}

#[test]
fn an_included_namespace_means_its_workloads_at_their_end_too() {
    let town = Town::new().reviewed(
        "  edges:
  - choice: Include
    source: {workload: {namespace: front, kind: Deployment, name: batch}}
    destination: {namespace: front}
    port: 7000
",
    );
    town.certificate(0);
    for (name, direction) in [("batch", "egress"), ("web", "ingress"), ("proxy", "ingress")] {
        let policy = town.policy(&format!("ringfence-deployment-{name}"));
        let rules = policy.split("spec:").nth(1).unwrap();
        let part = rules.split(&format!("\n  {direction}:")).nth(1).unwrap();
        assert!(part.contains("port: 7000"), "{name} {direction}: {policy}");
    }
}

#[test]
fn an_included_edge_that_no_policy_can_say_is_reported_and_left_out() {
    let unlabelled = "labels: {kubernetes.io/metadata.name: back, team: data}";
    let town = Town::new().replacing(unlabelled, "labels: {}").reviewed(
        "  edges:
  - choice: Include
    source: {workload: {namespace: front, kind: Deployment, name: proxy}}
    destination: {workload: {namespace: back, kind: StatefulSet, name: db}}
    port: 5432
  - choice: Include
    source: {workload: {namespace: back, kind: StatefulSet, name: db}}
    destination: {namespace: front}
    port: 7001
",
    );
    let run = town.run("generate", &["-n", "front", "-o", "out"]).expect(0);
    assert_eq!(run.stderr.matches("this included edge stays forbidden").count(), 2);
    let proxy = town.policy("ringfence-deployment-proxy");
    assert!(!proxy.contains("5432") && !proxy.contains("7001"), "{proxy}");
}

#[test]
fn an_included_edge_among_the_pods_of_a_workload_without_pods_is_proven() {
    let town = Town::new()
        .with(
            "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: idle, namespace: front}
spec:
  replicas: 0
  selector: {matchLabels: {app: idle}}
  template: {metadata: {labels: {app: idle}}, spec: {containers: [{name: main}]}}
",
        )
        .reviewed(
            "  edges:
  - choice: Include
    source: {workload: {namespace: front, kind: Deployment, name: idle}}
    destination: {workload: {namespace: front, kind: Deployment, name: idle}}
    port: 7000
",
        );
    town.certificate(0);
    assert!(town.policy("ringfence-deployment-idle").contains("port: 7000"));
}

#[test]
fn the_policy_of_a_namespace_speaks_for_pods_without_labels_too() {
    let town = Town::new()
        .with(
            "\
apiVersion: v1
kind: Pod
metadata: {name: plain, namespace: front}
spec: {nodeName: n1, containers: [{name: main}]}
status: {phase: Running, podIP: 10.1.0.77, startTime: \"2026-03-01T00:00:00Z\"}
",
        )
        .talking(&[
            ("10.1.0.77", "10.1.0.21", "TCP", 8080, 3),
            ("10.1.0.77", "10.1.0.11", "TCP", 8080, 4),
        ])
        .reviewed("  rules: {ingress: AllowNamespace, egress: AllowNamespace}\n");
    let certificate = town.certificate(0);
    let verdict = |list: &str, destination: &str| {
        let edges = certificate[list].as_array().unwrap();
        edges
            .iter()
            .any(|edge| edge["source"] == "front/Pod/plain" && edge["destination"] == destination)
    };
    assert!(verdict("cut", "back/Deployment/api"), "{certificate}");
    assert!(verdict("kept", "front/Deployment/web"), "{certificate}");
}

#[test]
fn a_namespace_with_pods_on_the_host_network_only_gets_no_policy() {
    let agent = "\
apiVersion: v1
kind: Namespace
metadata: {name: agents, uid: u, labels: {kubernetes.io/metadata.name: agents}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: agents}
spec:
  selector: {matchLabels: {app: agent}}
  template: {metadata: {labels: {app: agent}}, spec: {hostNetwork: true, containers: [{name: main}]}}
";
    let town = Town::new().with(agent).reviewed(
        "  rules: {ingress: AllowAll, egress: BlockAll}
  cidrRules: [{direction: Ingress, cidr: 198.51.100.0/24}]
",
    );
    let run = town.run("generate", &["-n", "agents"]).expect(0);
    assert!(run.stderr.contains("PROVEN: 0 policies"), "{}", run.stderr);
}

#[test]
fn a_namespace_may_be_included_before_its_first_pod() {
    let empty = "{apiVersion: v1, kind: Namespace, metadata: {name: empty}}\n";
    let town = Town::new().with(empty).reviewed(
        "  edges:
  - choice: Include
    source: {namespace: empty}
    destination: {workload: {namespace: front, kind: Deployment, name: proxy}}
    port: 8443
",
    );
    town.certificate(0);
    assert!(
        town.policy("ringfence-deployment-proxy").contains("kubernetes.io/metadata.name: empty")
    );
}

#[test]
fn a_policy_that_selects_another_workload_too_is_named() {
    let twin = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: twin, namespace: front}
spec:
  replicas: 1
  selector: {matchLabels: {app: web, twin: yes-it-is}}
  template:
    metadata: {labels: {app: web, twin: yes-it-is}}
    spec: {containers: [{name: main}]}
";
    let run = Town::new().with(twin).run("generate", &["-n", "front"]).expect(0);
    let said = "warning[selector-shared]: front/Deployment/web: its policy also selects the pods of front/Deployment/twin";
    assert!(run.stderr.contains(said), "{}", run.stderr);
}

#[test]
fn a_profile_whose_egress_is_judged_before_translation_is_warned_about() {
    let said = "warning[egress-before-translation]";
    let run =
        |profile| Town::new().run("generate", &["-n", "front", "--profile", profile]).expect(0);
    assert!(run("aws-vpc").stderr.contains(said));
    assert!(!run("common").stderr.contains(said));
}
