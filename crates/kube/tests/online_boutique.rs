//! A dump of a real API server, when it is there.

use std::path::Path;

use ringfence_kube::read::Reader;
use ringfence_model::{Direction, NamespaceScope, PeerMatch, Peers, Ports, WorkloadKind};

#[test]
fn a_real_dump_is_read_completely() {
    let directory = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/testdata/online-boutique/cluster"
    ));
    if !directory.exists() {
        println!("skipped: {} missing", directory.display());
        return;
    }
    let mut reader = Reader::new();
    reader.path(directory);
    let input = reader.finish();
    assert_eq!(input.diagnostics, []);
    assert!(input.ignored.is_empty(), "{:?}", input.ignored);

    // Every item is read: as many objects as the files have `kind:` lines at the depth of items.
    let in_file = |name: &str| {
        let text = std::fs::read_to_string(directory.join(name)).unwrap();
        text.lines().filter(|line| line.starts_with("  kind: ")).count()
    };
    let objects = &input.objects;
    assert_eq!(objects.namespaces.len(), in_file("namespaces.yaml"));
    assert_eq!(objects.nodes.len(), in_file("nodes.yaml"));
    assert_eq!(objects.pods.len(), in_file("pods.yaml"));
    assert_eq!(objects.services.len(), in_file("services.yaml"));
    assert_eq!(objects.endpoints.len(), in_file("endpointslices.yaml"));
    let controllers =
        ["cronjobs", "daemonsets", "deployments", "jobs", "replicasets", "statefulsets"];
    let expected: usize = controllers.iter().map(|c| in_file(&format!("{c}.yaml"))).sum();
    assert_eq!(objects.controllers.len(), expected);

    let [guard] = objects.policies.as_slice() else { panic!("{:?}", objects.policies) };
    assert_eq!(guard.to_string(), "online-boutique/db-guard");
    assert_eq!(guard.origin.line, 3);
    assert_eq!(guard.pod_selector.to_string(), "app=redis-cart");
    assert!(guard.rules(Direction::Egress).is_none());
    let [rule] = guard.rules(Direction::Ingress).unwrap() else { panic!("{guard:?}") };
    assert_eq!(rule.origin.line, 15);
    assert_eq!(rule.ports, Ports::Any);
    let Peers::Only(peers) = &rule.peers else { panic!("{rule:?}") };
    assert!(
        matches!(&peers[0], PeerMatch::Pods { namespaces: NamespaceScope::Own, pods } if pods.is_everything())
    );
    assert!(
        matches!(&peers[1], PeerMatch::Pods { namespaces: NamespaceScope::Matching(n), .. } if n.to_string() == "purpose=monitoring")
    );

    // Owners lead to objects that are there, nodes know their address in the pod network, and pods their probes.
    for pod in &objects.pods {
        let owner = pod.owner.as_ref().unwrap();
        let controllers = objects.controllers.iter();
        let mut owners = controllers.filter(|c| c.kind == owner.kind && c.name == owner.name);
        assert!(owners.any(|c| c.namespace == pod.reference.namespace), "{pod:?}");
        assert!(!pod.ips.is_empty() && pod.started.is_some());
    }
    assert!(
        objects.nodes.iter().all(|n| n.pod_network_addresses.len() == 1 && n.addresses.len() == 1)
    );
    let cron = objects.controllers.iter().filter(|c| c.kind == WorkloadKind::CronJob);
    assert!(cron.into_iter().all(|c| c.schedule.is_some() && c.selector.is_none()));
    assert!(objects.pods.iter().any(|p| !p.spec.probe_ports.is_empty()));
    assert!(objects.pods.iter().any(|p| p.spec.host_network));
}
