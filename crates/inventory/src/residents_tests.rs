use ringfence_model::object::{Objects, PodSpec};

use super::*;
use crate::fixture::*;

#[test]
fn running_pods_that_share_an_address_are_told() {
    let later =
        |reference, phase| Pod { phase, started: Some(at(9)), ..pod(reference, "", "10.0.0.1") };
    let on_host = |reference| Pod { spec: on_host(), ..pod(reference, "", "192.168.0.1") };
    let with = |second: Pod| Objects {
        nodes: vec![node("n1", "192.168.0.1", "10.0.0.0/24")],
        pods: vec![pod("a/first", "", "10.0.0.1"), second, on_host("a/x"), on_host("a/y")],
        ..Objects::default()
    };
    let found = findings(with(later("a/second", Phase::Running)), "pod-address-overlap");
    assert_eq!(
        found,
        [
            "dump.yaml:2: warning[pod-address-overlap]: Pod a/second: 10.0.0.1 is the address of two running pods, \
          a/first and a/second; it counts as the later one's\n  hint: give dumps of one cluster, all taken at the \
          same time"
        ]
    );
    for phase in [Phase::Succeeded, Phase::Failed] {
        assert!(findings(with(later("a/second", phase)), "pod-address-overlap").is_empty());
    }
}

#[test]
fn nodes_have_the_addresses_of_their_host_network_pods() {
    let host_pod = |reference: &str, node: Option<&str>, addresses: &str| Pod {
        node: node.map(name),
        spec: PodSpec { host_network: true, ..PodSpec::default() },
        ..pod(reference, "", addresses)
    };
    let mut n1 = node("n1", "192.168.0.1", "10.0.0.0/24");
    n1.pod_network_addresses = ips("10.0.0.1");
    let objects = Objects {
        nodes: vec![n1, node("n3", "192.168.0.1 192.168.0.3", "")],
        pods: vec![
            host_pod("a/w", Some("n2"), "192.168.0.2 192.168.0.3"),
            host_pod("a/x", None, "192.168.0.1"),
            host_pod("a/y", None, "192.168.0.9"),
        ],
        ..Objects::default()
    };
    let shared = findings(objects.clone(), "node-address-shared");
    let inventory = inventory(objects);
    for (node, addresses) in [
        ("n1", "10.0.0.1 192.168.0.1"),
        // Described by no Node object; what n3 claims for itself is n3's.
        ("n2", "192.168.0.2"),
        ("n3", "192.168.0.1 192.168.0.3"),
        ("n4", ""),
    ] {
        assert_eq!(inventory.node_addresses(&name(node)), ips(addresses), "{node}");
    }
    assert_eq!(shared.len(), 1, "{shared:?}");
    assert!(shared[0].contains("192.168.0.1 is an address of both Node n1 and Node n3"));
    let peers: Vec<String> = ["a/w", "a/x", "a/y"]
        .map(|pod| inventory.residents.named(&pod_ref(pod)).unwrap().peer.to_string())
        .into();
    assert_eq!(peers, ["Node/n2", "Node/n1", "a/Pod/y"]);
}

/// The pod of a `StatefulSet` that was deleted and made again: one name, two addresses, each in its own time.
#[test]
fn a_name_used_again_keeps_both_pods() {
    let first = Pod {
        phase: Phase::Succeeded,
        started: Some(at(10)),
        ended: Some(at(20)),
        ..pod("a/db-0", "", "10.0.0.1")
    };
    let second = Pod { started: Some(at(20)), ..pod("a/db-0", "", "10.0.0.2") };
    for pods in [vec![first.clone(), second.clone()], vec![second, first]] {
        let inventory = inventory(Objects { pods, ..Objects::default() });
        let holds = |address, time| {
            let (resident, _) = inventory.residents.at(ips(address)[0], at(time));
            resident.map(|resident| resident.started)
        };
        assert_eq!(holds("10.0.0.1", 15), Some(Some(at(10))));
        assert_eq!(holds("10.0.0.1", 25), None);
        assert_eq!(holds("10.0.0.2", 15), None);
        assert_eq!(holds("10.0.0.2", 25), Some(Some(at(20))));
        assert_eq!(inventory.residents.named(&pod_ref("a/db-0")).unwrap().started, Some(at(20)));
        assert_eq!(inventory.pods().len(), 1);
    }
}
