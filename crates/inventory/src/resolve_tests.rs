use ringfence_model::object::{Controller, Objects, Phase, Pod};
use ringfence_model::resolve::{Hint, Resolver};
use ringfence_model::{Peer, Span, Timestamp};

use crate::Inventory;
use crate::fixture::*;

/// A small shop: a Deployment whose pod `cart-old-x6rgm` is gone and whose address a frontend pod has since
/// second 100; a nightly job; a `StatefulSet`; an exporter on the host network.
fn shop() -> Objects {
    let replica_set = |name: &str, labelled: &str, parent: &str| Controller {
        owner: owner(parent),
        ..controller(name, labelled)
    };
    let finished = |name: &str, job: &str, address: &str, ended| Pod {
        owner: owner(job),
        phase: Phase::Succeeded,
        started: Some(at(40)),
        ended,
        ..pod(name, "job=backup", address)
    };
    let mut n1 = node("n1", "192.168.0.1 2001:db8::1", "10.0.1.0/24");
    n1.pod_network_addresses = ips("10.0.1.1");
    Objects {
        namespaces: vec![namespace("shop")],
        nodes: vec![n1, node("n2", "192.168.0.2", "10.0.2.0/24")],
        pods: vec![
            Pod {
                owner: owner("ReplicaSet/front-bcd"),
                started: Some(at(100)),
                ..pod("shop/front-bcd-vwxyz", "app=front pod-template-hash=bcd", "10.0.1.9")
            },
            Pod {
                owner: owner("ReplicaSet/cart-f"),
                node: Some(name("n2")),
                ..pod("shop/cart-f-zzzzz", "app=cart pod-template-hash=f", "10.0.2.4 fd00::4")
            },
            Pod {
                owner: owner("StatefulSet/db"),
                started: Some(at(50)),
                ..pod("shop/db-0", "app=db", "10.0.1.5")
            },
            Pod {
                owner: owner("DaemonSet/exporter"),
                spec: on_host(),
                ..pod("shop/exporter-2l4d8", "app=exporter", "192.168.0.1")
            },
            finished("shop/backup-29540280-l2xvv", "Job/backup-29540280", "10.0.1.7", Some(at(60))),
            finished("shop/backup-29541720-mk56q", "Job/backup-29541720", "10.0.1.8", None),
        ],
        controllers: vec![
            controller("shop/Deployment/front", "app=front"),
            controller("shop/Deployment/cart", "app=cart"),
            replica_set(
                "shop/ReplicaSet/front-bcd",
                "app=front pod-template-hash=bcd",
                "Deployment/front",
            ),
            replica_set(
                "shop/ReplicaSet/cart-f",
                "app=cart pod-template-hash=f",
                "Deployment/cart",
            ),
            controller("shop/StatefulSet/db", "app=db"),
            Controller {
                template: on_host(),
                ..controller("shop/DaemonSet/exporter", "app=exporter")
            },
            Controller { selector: None, ..controller("shop/CronJob/backup", "job=backup") },
            replica_set(
                "shop/Job/backup-29540280",
                "job=backup controller-uid=1",
                "CronJob/backup",
            ),
        ],
        services: vec![service("shop/cart", "app=cart", "10.96.0.7", "TCP/7070->7070")],
        hosts: vec![
            host(
                "db",
                "198.51.100.5 2001:db8::5 172.17.0.1 192.168.0.2 10.96.0.7 10.0.2.4 10.0.1.7",
            ),
            host("mail", "198.51.100.6 172.17.0.1"),
        ],
        ..Objects::default()
    }
}

fn world() -> Hint {
    Hint::World
}

/// A pod by name, with `Kind/name` of its workload and labels, if the observer gives them.
fn hint(pod: &str, workload: Option<&str>, labelled: Option<&str>) -> Hint {
    let pod = pod_ref(pod);
    let workload = workload.map(|w| workload_ref(&format!("{}/{w}", pod.namespace)));
    Hint::Pod { pod, workload, labels: labelled.map(labels) }
}

fn peer(inventory: &Inventory, address: &str, secs: i64, hint: Option<&Hint>) -> String {
    match inventory.resolve(ip(address), at(secs), hint).peer {
        Peer::Address(ip, class) => format!("{ip} {class}"),
        peer => peer.to_string(),
    }
}

#[test]
fn addresses_resolve_by_the_moment() {
    let inventory = inventory(shop());
    let cases = [
        ("10.0.1.9", 99, "10.0.1.9 Internal"),
        ("10.0.1.9", 100, "shop/Deployment/front"),
        ("10.0.2.4", 0, "shop/Deployment/cart"),
        ("::ffff:10.0.2.4", 0, "shop/Deployment/cart"),
        ("fd00::4", 0, "shop/Deployment/cart"),
        // Terminated: only in its own time, and never when the end is not known.
        ("10.0.1.7", 39, "Host/db"),
        ("10.0.1.7", 40, "shop/CronJob/backup"),
        ("10.0.1.7", 60, "shop/CronJob/backup"),
        ("10.0.1.7", 61, "Host/db"),
        ("10.0.1.8", 45, "10.0.1.8 Internal"),
        ("10.0.1.8", 99, "10.0.1.8 Internal"),
        // Nodes by every address; pods on the host network are their node.
        ("192.168.0.1", 0, "Node/n1"),
        ("2001:db8::1", 0, "Node/n1"),
        ("10.0.1.1", 0, "Node/n1"),
        ("192.168.0.2", 0, "Node/n2"),
        ("10.96.0.7", 0, "shop/Service/cart"),
        ("10.0.2.231", 0, "10.0.2.231 Internal"),
        ("198.51.100.5", 0, "Host/db"),
        ("2001:db8::5", 0, "Host/db"),
        ("::ffff:198.51.100.6", 0, "Host/mail"),
        // What several hosts have names none of them.
        ("172.17.0.1", 0, "172.17.0.1 Unknown"),
        ("203.0.113.9", 0, "203.0.113.9 Unknown"),
    ];
    for (address, secs, expected) in cases {
        assert_eq!(peer(&inventory, address, secs, None), expected, "{address} at {secs}");
        // What is known about an address stays true when an observer calls it foreign or some node.
        for vague in [world(), Hint::OtherNode, Hint::Node(None)] {
            let got = peer(&inventory, address, secs, Some(&vague));
            assert_eq!(got, expected, "{address} at {secs}, {vague:?}");
        }
    }
}

#[test]
fn observers_know_pods_better_than_addresses_do() {
    let inventory = inventory(shop());
    let cases = [
        // The address is a frontend's today.
        (hint("shop/cart-f-x6rgm", Some("Deployment/cart"), None), "shop/Deployment/cart"),
        (hint("shop/front-bcd-vwxyz", None, None), "shop/Deployment/front"),
        (hint("shop/db-0", None, None), "shop/StatefulSet/db"),
        // A terminated pod by name, even of unknown end.
        (hint("shop/backup-29541720-mk56q", None, None), "shop/CronJob/backup"),
        // Workloads below the top are rolled up, through the objects or by their names.
        (hint("shop/cart-f-x", Some("ReplicaSet/cart-f"), None), "shop/Deployment/cart"),
        (
            hint("shop/cart-77-x", Some("ReplicaSet/cart-77"), Some("pod-template-hash=77")),
            "shop/Deployment/cart",
        ),
        (hint("shop/cart-77-xxxxx", Some("ReplicaSet/cart-77"), None), "shop/Deployment/cart"),
        (hint("shop/cart-77-x", Some("ReplicaSet/cart-77"), None), "shop/ReplicaSet/cart-77"),
        (hint("shop/b-1-x", Some("Job/backup-29540280"), None), "shop/CronJob/backup"),
        (hint("shop/b-1-x", Some("Job/backup-29549999"), None), "shop/CronJob/backup"),
        (hint("shop/b-1-x", Some("Job/backup-manual"), None), "shop/Job/backup-manual"),
        (hint("shop/x-y", Some("Rollout/x"), None), "shop/Rollout/x"),
        // No workload: by labels, then by the pattern of the name, then as it is.
        (hint("shop/whatever", None, Some("app=cart tier=1")), "shop/Deployment/cart"),
        (hint("shop/whatever", None, Some("job-name=backup-29549999")), "shop/CronJob/backup"),
        (hint("shop/cart-7b69698887-x6rgm", None, None), "shop/Deployment/cart"),
        (hint("shop/cart-7b69698887-x6rgm", None, Some("odd=1")), "shop/Deployment/cart"),
        (hint("shop/db-7", None, None), "shop/StatefulSet/db"),
        (hint("shop/backup-29549999-x6rgm", None, None), "shop/CronJob/backup"),
        (hint("shop/toolbox", None, Some("odd=1")), "shop/Pod/toolbox"),
        // Static pods are "owned" by their node.
        (hint("shop/etcd-n1", Some("Node/n1"), None), "shop/Pod/etcd-n1"),
        (hint("else/cart-7b69698887-x6rgm", None, None), "else/Pod/cart-7b69698887-x6rgm"),
        (hint("else/x", None, Some("app=cart")), "else/Pod/x"),
        // Host network.
        (hint("shop/exporter-2l4d8", None, None), "Node/n1"),
        (Hint::Node(Some(name("n2"))), "Node/n2"),
        (Hint::Node(Some(name("new"))), "Node/new"),
        (Hint::Host(name("db")), "Host/db"),
        (Hint::Host(name("new")), "Host/new"),
    ];
    for (hint, expected) in cases {
        assert_eq!(peer(&inventory, "10.0.1.9", 150, Some(&hint)), expected, "{hint:?}");
    }
    let gone = hint("shop/exporter-99999", Some("DaemonSet/exporter"), None);
    assert_eq!(peer(&inventory, "192.168.0.2", 0, Some(&gone)), "Node/n2");
}

#[test]
fn the_node_of_a_pod_is_that_of_the_moment() {
    let inventory = inventory(shop());
    let gone = hint("shop/cart-f-x6rgm", Some("Deployment/cart"), None);
    let set = hint("shop/db-0", None, None);
    let cases = [
        ("10.0.2.4", 0, None, Some("n2")),
        // Gone, but its address is out of the range that n1 serves.
        ("10.0.1.9", 0, Some(&gone), Some("n1")),
        ("10.0.1.5", 60, Some(&set), Some("n1")),
        // An earlier db-0, elsewhere.
        ("10.0.2.5", 49, Some(&set), Some("n2")),
        ("198.51.100.1", 0, Some(&gone), None),
        ("192.168.0.2", 0, None, Some("n2")),
        ("198.51.100.5", 0, None, Some("db")),
    ];
    for (address, secs, hint, expected) in cases {
        let node = inventory.resolve(ip(address), at(secs), hint).node;
        assert_eq!(node.as_ref().map(AsRef::as_ref), expected, "{address} at {secs}, {hint:?}");
    }
}

#[test]
fn ranges_of_nodes_say_nothing_when_pods_contradict_them() {
    let mut objects = shop();
    objects.pods.push(pod("shop/elsewhere", "", "10.0.2.77"));
    let gone = hint("shop/cart-f-x6rgm", Some("Deployment/cart"), None);
    let resolved = inventory(objects).resolve(ip("10.0.1.9"), at(0), Some(&gone));
    assert_eq!(resolved.node, None);
}

#[test]
fn a_host_has_the_addresses_that_nobody_else_has() {
    let inventory = inventory(shop());
    let of = |host: &str| inventory.host_addresses(&name(host)).collect::<Vec<_>>();
    assert_eq!(of("db"), ips("10.0.1.7 198.51.100.5 2001:db8::5"));
    assert_eq!(of("mail"), ips("198.51.100.6"));
    assert_eq!(of("nobody"), ips(""));
    assert_eq!(inventory.host(&name("mail")).unwrap().addresses, ips("198.51.100.6 172.17.0.1"));
    assert_eq!(findings(shop(), "host-address-shared").len(), 1);
}

#[test]
fn answers_say_how_long_they_hold() {
    let inventory = inventory(shop());
    let set = hint("shop/db-0", None, None);
    let before = |until| Span { from: Timestamp::MIN, until: at(until) };
    let after = |from| Span { from: at(from), until: Timestamp::MAX };
    let cases = [
        ("10.0.1.9", 0, None, before(100)),
        ("10.0.1.9", 100, None, after(100)),
        ("10.0.1.7", 50, None, Span { from: at(40), until: at(61) }),
        ("10.0.1.7", 61, None, after(61)),
        ("10.0.1.5", 49, Some(&set), before(50)),
        ("10.0.1.5", 50, Some(&set), after(50)),
        ("192.168.0.1", 0, None, Span::ALL),
        ("10.96.0.7", 0, None, Span::ALL),
        ("203.0.113.9", 0, None, Span::ALL),
    ];
    for (address, secs, hint, expected) in cases {
        let valid = inventory.resolve(ip(address), at(secs), hint).valid;
        assert_eq!(valid, expected, "{address} at {secs}, {hint:?}");
    }
}
