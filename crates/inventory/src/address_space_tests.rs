use ringfence_model::object::{Objects, Phase, Pod, PodSpec};
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{AddressClass, Severity};

use super::*;
use crate::Inventory;
use crate::fixture::*;

/// Three nodes with a range each, a pod and a Service, as a kubeadm cluster without its control plane.
fn cluster() -> Objects {
    Objects {
        nodes: vec![
            node("n1", "192.168.77.10", "10.244.0.0/24"),
            node("n2", "192.168.77.11", "10.244.1.0/24"),
        ],
        pods: vec![pod("shop/web", "app=web", "10.244.0.5")],
        services: vec![service("shop/web", "app=web", "10.96.0.7", "TCP/80->80")],
        ..Objects::default()
    }
}

fn control_plane(namespace: &str, process: &str, flags: &str) -> Pod {
    let spec = PodSpec { host_network: true, ..runs(&format!("/usr/bin/{process} {flags}")) };
    Pod { spec, ..pod(&format!("{namespace}/{process}-n1"), "", "192.168.77.10") }
}

fn given(pods: &str, services: &str, processes: &[&str]) -> ClusterCidrs {
    let parse = |text: &str| text.split_whitespace().map(|c| c.parse().unwrap()).collect();
    ClusterCidrs {
        pods: parse(pods),
        services: parse(services),
        processes: processes.iter().map(|p| Arc::from(*p)).collect(),
    }
}

/// The space, and the message about what it lacks.
fn discover(objects: Objects, review: &ClusterCidrs) -> (AddressSpace, String) {
    let (inventory, diagnostics) = Inventory::build(objects, review);
    let incomplete: Vec<_> =
        diagnostics.iter().filter(|d| d.code == "cluster-subnet-incomplete").collect();
    assert!(incomplete.len() <= 1);
    let space = inventory.address_space().clone();
    assert_eq!(space.is_complete(), incomplete.is_empty());
    let message = incomplete.first().map(|d| {
        assert_eq!(d.severity, Severity::Warning);
        assert!(d.hint.as_ref().is_some_and(|h| h.contains("cluster.processes")));
        d.message.clone()
    });
    (space, message.unwrap_or_default())
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn evidence_decides_whether_the_space_is_complete() {
    let api = |flags| control_plane("kube-system", "kube-apiserver", flags);
    let with = |pods: Vec<Pod>| {
        let mut objects = cluster();
        objects.pods.extend(pods);
        objects
    };
    let service_flag = "--service-cluster-ip-range=10.96.0.0/12";
    let mut no_nodes = with(vec![api(service_flag)]);
    no_nodes.nodes.clear();
    let mut bare_node = with(vec![api(service_flag)]);
    bare_node.nodes.push(node("n3", "192.168.77.12", ""));
    let mut bare_node_and_flag = bare_node.clone();
    bare_node_and_flag.pods.push(control_plane(
        "kube-system",
        "kube-controller-manager",
        "--allocate-node-cidrs=true --cluster-cidr 10.244.0.0/16",
    ));
    let none = ClusterCidrs::default();
    let cases = [
        ("nodes only", cluster(), none.clone(), "the Service CIDR is not known"),
        (
            "nothing",
            Objects::default(),
            none.clone(),
            "the pod CIDR is not known; the Service CIDR is not known",
        ),
        ("API server", with(vec![api(service_flag)]), none.clone(), ""),
        (
            "flag and value apart",
            with(vec![api("--service-cluster-ip-range 10.96.0.0/12")]),
            none.clone(),
            "",
        ),
        (
            "shell",
            with(vec![Pod {
                spec: PodSpec {
                    host_network: true,
                    commands: vec![vec![
                        "sh".into(),
                        "-c".into(),
                        format!("exec kube-apiserver {service_flag}").into(),
                    ]],
                    ..PodSpec::default()
                },
                ..api("")
            }]),
            none.clone(),
            "",
        ),
        ("no nodes", no_nodes, none.clone(), "the pod CIDR is not known"),
        ("a node without range", bare_node, none.clone(), "Node n3 has no podCIDRs"),
        ("controller manager", bare_node_and_flag, none.clone(), ""),
        (
            "a Service outside",
            with(vec![api("--service-cluster-ip-range=10.97.0.0/16")]),
            none.clone(),
            "10.96.0.7 of Service shop/web lies in none of the known Service CIDRs",
        ),
        (
            "a pod outside",
            with(vec![api(service_flag), pod("shop/odd", "", "100.64.0.9")]),
            none.clone(),
            "100.64.0.9 of pod shop/odd lies in none of the known pod CIDRs",
        ),
        (
            "an ended pod outside",
            with(vec![
                api(service_flag),
                Pod { phase: Phase::Failed, ..pod("shop/odd", "", "100.64.0.9") },
            ]),
            none.clone(),
            "",
        ),
        (
            "pods do not live in Service ranges",
            with(vec![api(service_flag), pod("shop/odd", "", "10.96.0.99")]),
            none.clone(),
            "10.96.0.99 of pod shop/odd lies in none of the known pod CIDRs",
        ),
        (
            "virtual cluster",
            with(vec![control_plane("tenant", "kube-apiserver", service_flag)]),
            none.clone(),
            "the Service CIDR is not known",
        ),
        (
            "another process",
            with(vec![control_plane("kube-system", "k3s", service_flag)]),
            none.clone(),
            "the Service CIDR is not known",
        ),
        (
            "another process, named",
            with(vec![control_plane("tenant", "k3s", service_flag)]),
            given("", "", &["k3s"]),
            "",
        ),
        ("review, Services", cluster(), given("", "10.96.0.0/12", &[]), ""),
        ("review, both", Objects::default(), given("10.244.0.0/16", "10.96.0.0/12", &[]), ""),
        (
            "review against the objects",
            cluster(),
            given("10.0.0.0/24", "10.96.0.0/12", &[]),
            "10.244.0.5 of pod shop/web lies in none of the known pod CIDRs",
        ),
    ];
    for (case, objects, review, expected) in cases {
        let (_, message) = discover(objects, &review);
        let expected = match expected {
            "" => String::new(),
            reason => format!("Cluster subnet is incomplete: {reason}"),
        };
        assert_eq!(message, expected, "{case}");
    }
}

#[test]
fn classes_of_addresses() {
    use AddressClass::{External, Internal, Unknown};
    let (vague, _) = discover(cluster(), &ClusterCidrs::default());
    let (exact, _) = discover(cluster(), &given("", "10.96.0.0/12", &[]));
    let cases = [
        // Address, class when the Service range is not known, class when it is.
        ("10.244.1.231", Internal, Internal),
        ("::ffff:10.244.1.231", Internal, Internal),
        ("10.244.2.1", Unknown, External),
        ("192.168.77.10", Internal, Internal),
        ("192.168.77.99", Unknown, External),
        ("10.96.200.1", Unknown, Internal),
        ("203.0.113.25", Unknown, External),
        // Whoever lists ranges lists both families: this cluster has no IPv6.
        ("2001:db8:4:1::7", Unknown, External),
        ("169.254.169.254", Internal, Internal),
        ("169.254.20.10", Internal, Internal),
        ("fe80::1", Internal, Internal),
        ("127.0.0.1", Internal, Internal),
        ("::1", Internal, Internal),
        ("0.0.0.0", Internal, Internal),
        ("255.255.255.255", Internal, Internal),
        ("224.0.0.251", Internal, Internal),
        ("ff02::fb", Internal, Internal),
        ("239.1.2.3", External, External),
        ("ff0e::1", External, External),
    ];
    for (address, without, with) in cases {
        assert_eq!(vague.classify(ip(address)), without, "{address}, Service range unknown");
        assert_eq!(exact.classify(ip(address)), with, "{address}, all known");
    }
}

#[test]
fn dual_stack_lists_and_one_family_left_out() {
    let mut objects = cluster();
    objects.pods[0].ips.push(ip("fd00:244::5"));
    let flags = "--service-cluster-ip-range=10.96.0.0/12,fd00:96::/112";
    objects.pods.push(control_plane("kube-system", "kube-apiserver", flags));
    let (space, message) = discover(objects.clone(), &ClusterCidrs::default());
    assert_eq!(
        message,
        "Cluster subnet is incomplete: fd00:244::5 of pod shop/web lies in none of the known pod CIDRs"
    );
    assert_eq!(space.unknown().collect::<Vec<_>>(), [(RangeUse::Pods, Family::V6)]);
    // IPv4 is known all the same.
    assert_eq!(space.classify(ip("203.0.113.1")), AddressClass::External);
    assert_eq!(space.classify(ip("2001:db8::1")), AddressClass::Unknown);
    assert_eq!(space.classify(ip("fd00:96::1")), AddressClass::Internal);

    let (space, message) = discover(objects, &given("fd00:244::/56", "", &[]));
    assert_eq!(message, "");
    assert_eq!(space.classify(ip("2001:db8::1")), AddressClass::External);
    let ranges: Vec<String> = space
        .ranges()
        .iter()
        .map(|r| format!("{} {} from {}", r.used_for, r.cidr, r.source))
        .collect();
    assert_eq!(
        ranges,
        [
            "pod 10.244.0.0/24 from podCIDRs of Node n1",
            "pod 10.244.1.0/24 from podCIDRs of Node n2",
            "pod fd00:244::/56 from review",
            "Service 10.96.0.0/12 from arguments of kube-apiserver in pod kube-system/kube-apiserver-n1",
            "Service fd00:96::/112 from arguments of kube-apiserver in pod kube-system/kube-apiserver-n1",
        ]
    );
}

#[test]
fn the_review_replaces_what_the_objects_say() {
    let mut objects = cluster();
    let flags = "--service-cluster-ip-range=10.0.0.0/8";
    objects.pods.push(control_plane("kube-system", "kube-apiserver", flags));
    let (space, message) = discover(objects, &given("10.244.0.0/16", "10.96.0.0/16", &[]));
    assert_eq!(message, "");
    assert_eq!(space.classify(ip("10.1.1.1")), AddressClass::External);
    assert_eq!(space.classify(ip("10.244.9.1")), AddressClass::Internal);
}

#[test]
fn arguments_that_are_no_range_are_told() {
    let mut objects = cluster();
    let flags = "--service-cluster-ip-range=10.96.0.1/12,10.96.0.0/33";
    objects.pods.push(control_plane("kube-system", "kube-apiserver", flags));
    let (space, message) = discover(objects.clone(), &ClusterCidrs::default());
    // Host bits do not count, as for the control plane.
    assert_eq!((space.classify(ip("10.97.0.1")), message.as_str()), (AddressClass::Internal, ""));
    assert_eq!(
        findings(objects, "cluster-cidr-invalid"),
        ["dump.yaml:2: warning[cluster-cidr-invalid]: Pod kube-system/kube-apiserver-n1: \
          \"10.96.0.0/33\" is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"]
    );
}

#[test]
fn nodes_without_ranges_are_told_once() {
    let mut objects = cluster();
    objects.nodes.push(node("n3", "192.168.77.12", ""));
    objects.nodes.push(node("n4", "192.168.77.13", ""));
    let found = findings(objects, "node-without-pod-cidrs");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("Node n3: 2 of 4 Nodes"), "{found:?}");
}
