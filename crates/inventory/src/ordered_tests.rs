use ringfence_model::object::{Pod, Service};
use ringfence_model::{Action, ClusterPeer, ClusterPods, ClusterPorts, ClusterRule, Selector};

use super::*;
use crate::fixture::*;

#[test]
fn the_last_reading_of_an_object_counts() {
    let service_at = |line, address| Service {
        origin: origin(line),
        ..service("a/web", "app=web", address, "TCP/80->80")
    };
    let objects = Objects {
        namespaces: vec![namespace("b"), namespace("a")],
        pods: vec![
            Pod { origin: origin(10), ..pod("a/web", "app=old", "10.0.0.1") },
            pod("a/alone", "app=alone", "10.0.0.2"),
            Pod { origin: origin(20), ..pod("a/web", "app=new", "10.0.0.1") },
        ],
        services: vec![
            service_at(30, "10.96.0.1"),
            service_at(40, "10.96.0.2"),
            service_at(50, "10.96.0.3"),
        ],
        ..Objects::default()
    };
    let inventory = inventory(objects.clone());
    let names: Vec<&str> = inventory.pods().iter().map(|p| p.reference.name.as_str()).collect();
    assert_eq!(names, ["alone", "web"]);
    assert_eq!(inventory.pods()[1].labels, labels("app=new"));
    assert_eq!(inventory.services()[0].cluster_ips, ips("10.96.0.3"));
    assert_eq!(inventory.namespaces()[0].name, name("a"));
    assert_eq!(
        findings(objects.clone(), "object-repeated"),
        ["dump.yaml:10: warning[object-repeated]: Pod a/web: 3 objects were read more than once; \
          the last reading of each counts\n  hint: give each object once, from one dump"]
    );
    // The repeated pod is no second claim to its address.
    assert!(findings(objects, "pod-address-overlap").is_empty());
}

#[test]
fn namespaces_that_are_only_mentioned() {
    let mut objects = Objects {
        namespaces: vec![namespace("shop")],
        pods: vec![pod("shop/web", "app=web", "10.0.0.1"), pod("lost/web", "app=web", "10.0.0.2")],
        controllers: vec![controller("build/Deployment/ci", "app=ci")],
        services: vec![service("front/web", "", "10.96.0.1", "TCP/80->80")],
        ..Objects::default()
    };
    assert_eq!(
        findings(objects.clone(), "namespace-not-described"),
        [
            "dump.yaml:3: warning[namespace-not-described]: the input has objects in namespaces but not the Namespaces \
          themselves: build, front, lost\n  hint: they count as having no label but kubernetes.io/metadata.name; add \
          the output of kubectl get namespaces -o yaml"
        ]
    );
    let inventory = inventory(objects.clone());
    let names: Vec<&str> = inventory.namespaces().iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["build", "front", "lost", "shop"]);
    let lost = inventory.namespace("lost").unwrap();
    assert_eq!(lost.labels, labels("kubernetes.io/metadata.name=lost"));
    assert_eq!(inventory.namespace("nowhere"), None);

    objects.namespaces = ["build", "front", "lost", "shop"].map(namespace).into();
    assert!(findings(objects, "namespace-not-described").is_empty());
}

#[test]
fn long_lists_are_cut() {
    assert_eq!(listed([1, 2].iter()), "1, 2");
    assert_eq!(listed((1..=10).collect::<Vec<_>>().iter()), "1, 2, 3, 4, 5, 6, 7, 8 and 2 more");
}

#[test]
fn cluster_wide_policies_stand_in_the_order_in_which_they_count() {
    let policy = |kind, called, tier, priority, line| ClusterPolicy {
        kind,
        name: name(called),
        origin: origin(line),
        tier,
        priority,
        subject: ClusterPods { namespaces: Selector::everything(), pods: Selector::everything() },
        ingress: Vec::new(),
        egress: Vec::new(),
    };
    let (cluster, admin, baseline) = (
        ClusterPolicyKind::ClusterNetworkPolicy,
        ClusterPolicyKind::AdminNetworkPolicy,
        ClusterPolicyKind::BaselineAdminNetworkPolicy,
    );
    let objects = Objects {
        cluster_policies: vec![
            policy(baseline, "default", Tier::Baseline, 0, 1),
            policy(cluster, "default", Tier::Baseline, 7, 2),
            policy(cluster, "b", Tier::Admin, 900, 3),
            policy(admin, "a", Tier::Admin, 5, 4),
            policy(cluster, "a", Tier::Admin, 5, 5),
            policy(cluster, "b", Tier::Admin, 1, 6),
        ],
        ..Objects::default()
    };
    let inventory = inventory(objects.clone());
    let found: Vec<String> = inventory
        .cluster_policies()
        .iter()
        .map(|p| format!("{} {p} {} {} at {}", p.kind, p.tier, p.priority, p.origin.line))
        .collect();
    assert_eq!(
        found,
        [
            "ClusterNetworkPolicy b Admin 1 at 6",
            "ClusterNetworkPolicy a Admin 5 at 5",
            "AdminNetworkPolicy a Admin 5 at 4",
            "BaselineAdminNetworkPolicy default Baseline 0 at 1",
            "ClusterNetworkPolicy default Baseline 7 at 2",
        ]
    );
    // Of two readings of one object the last counts; another kind of the same name is another object.
    assert_eq!(
        findings(objects, "object-repeated"),
        [
            "dump.yaml:3: warning[object-repeated]: ClusterNetworkPolicy b: 1 objects were read more than once; the last \
          reading of each counts\n  hint: give each object once, from one dump"
        ]
    );
}

#[test]
fn rules_on_networks_are_judged_with_care_for_pods_from_manifests() {
    let rule = ClusterRule {
        name: None,
        origin: origin(9),
        action: Action::Deny,
        peers: vec![ClusterPeer::Networks(vec!["0.0.0.0/0".parse().unwrap()])],
        ports: ClusterPorts::Any,
    };
    let policy = ClusterPolicy {
        kind: ClusterPolicyKind::ClusterNetworkPolicy,
        name: name("closed"),
        origin: origin(1),
        tier: Tier::Admin,
        priority: 1,
        subject: ClusterPods { namespaces: Selector::everything(), pods: Selector::everything() },
        ingress: Vec::new(),
        egress: vec![rule],
    };
    let mut objects = Objects {
        namespaces: vec![namespace("shop")],
        controllers: vec![controller("shop/Deployment/web", "app=web")],
        cluster_policies: vec![policy],
        ..Objects::default()
    };
    assert_eq!(findings(objects.clone(), "pod-addresses-unknown").len(), 1);
    objects.pods = vec![pod("shop/web", "app=web", "10.0.0.1")];
    assert!(findings(objects, "pod-addresses-unknown").is_empty());
}
