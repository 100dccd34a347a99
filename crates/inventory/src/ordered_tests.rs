use ringfence_model::object::{Pod, Service};

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
