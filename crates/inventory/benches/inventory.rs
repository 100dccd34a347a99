//! How long it takes to take stock of a large cluster, and to ask about an address.
//! `cargo bench -p ringfence-inventory --bench inventory`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot set up has nothing to measure")]

use std::net::{IpAddr, Ipv4Addr};

use ringfence_inventory::Inventory;
use ringfence_model::object::{
    Controller, ExternalTrafficPolicy, Node, Objects, OwnerRef, Phase, Pod, PodSpec, Service,
    ServicePort, ServiceType, TargetPort,
};
use ringfence_model::resolve::{Hint, Resolver};
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{
    Cidr, Labels, Name, Origin, PodRef, Port, Protocol, Selector, ServiceRef, Timestamp,
    WorkloadKind,
};

const PODS_PER_WORKLOAD: u32 = 10;
const PODS_PER_NODE: u32 = 100;
const WORKLOADS_PER_NAMESPACE: u32 = 50;

fn main() {
    divan::main();
}

fn name(text: String) -> Name {
    Name::new(text).unwrap()
}

/// A /24 for each node.
fn address(pod: u32) -> IpAddr {
    let (node, host) = (pod / PODS_PER_NODE, pod % PODS_PER_NODE);
    Ipv4Addr::from_bits((10 << 24) | (node << 8) | (host + 2)).into()
}

fn workload(n: u32) -> (Name, String, Labels) {
    let namespace = name(format!("team-{}", n / WORKLOADS_PER_NAMESPACE));
    (namespace, format!("app-{n}"), Labels::from_iter([("app", format!("app-{n}"))]))
}

fn pod(n: u32) -> Pod {
    let (namespace, app, labels) = workload(n / PODS_PER_WORKLOAD);
    let hash = [("pod-template-hash".into(), "7b69698887".into())];
    let labels = labels.iter().map(|(k, v)| (k.clone(), v.clone())).chain(hash).collect();
    Pod {
        reference: PodRef { namespace, name: name(format!("{app}-7b69698887-{n}")) },
        labels,
        owner: Some(OwnerRef {
            kind: WorkloadKind::ReplicaSet,
            name: name(format!("{app}-7b69698887")),
        }),
        ips: vec![address(n)],
        node: Some(name(format!("node-{}", n / PODS_PER_NODE))),
        phase: Phase::Running,
        started: Some(Timestamp::from_secs(i64::from(n))),
        ended: None,
        spec: PodSpec::default(),
        origin: Origin::default(),
    }
}

fn controllers(n: u32) -> [Controller; 2] {
    let (namespace, app, labels) = workload(n);
    let deployment = Controller {
        namespace,
        kind: WorkloadKind::Deployment,
        name: name(app.clone()),
        owner: None,
        selector: Some(Selector::labels(&labels)),
        template_labels: labels,
        template: PodSpec::default(),
        replicas: Some(PODS_PER_WORKLOAD),
        schedule: None,
        origin: Origin::default(),
    };
    let replica_set = Controller {
        kind: WorkloadKind::ReplicaSet,
        name: name(format!("{app}-7b69698887")),
        owner: Some(OwnerRef { kind: WorkloadKind::Deployment, name: name(app) }),
        ..deployment.clone()
    };
    [deployment, replica_set]
}

fn service(n: u32) -> Service {
    let (namespace, app, labels) = workload(n);
    Service {
        reference: ServiceRef { namespace, name: name(app) },
        kind: ServiceType::ClusterIp,
        selector: Some(Selector::labels(&labels)),
        cluster_ips: vec![Ipv4Addr::from_bits((172 << 24) | (16 << 16) | n).into()],
        external_ips: Vec::new(),
        ports: vec![ServicePort {
            name: None,
            protocol: Protocol::Tcp,
            port: Port::new(80).unwrap(),
            target: TargetPort::Number(Port::new(8080).unwrap()),
            node_port: None,
        }],
        external_traffic_policy: ExternalTrafficPolicy::Cluster,
        origin: Origin::default(),
    }
}

fn objects(pods: u32) -> Objects {
    let workloads = pods / PODS_PER_WORKLOAD;
    let node = |n: u32| Node {
        name: name(format!("node-{n}")),
        labels: Labels::empty(),
        addresses: vec![Ipv4Addr::from_bits((192 << 24) | (168 << 16) | n).into()],
        pod_network_addresses: Vec::new(),
        pod_cidrs: vec![
            Cidr::new(ipnet::IpNet::new(address(n * PODS_PER_NODE), 24).unwrap().trunc()).unwrap(),
        ],
        origin: Origin::default(),
    };
    Objects {
        nodes: (0..pods / PODS_PER_NODE).map(node).collect(),
        pods: (0..pods).map(pod).collect(),
        controllers: (0..workloads).flat_map(controllers).collect(),
        services: (0..workloads).map(service).collect(),
        ..Objects::default()
    }
}

#[divan::bench(args = [10_000, 100_000], sample_count = 10)]
fn build(bencher: divan::Bencher<'_, '_>, pods: u32) {
    let objects = objects(pods);
    bencher
        .with_inputs(|| objects.clone())
        .bench_values(|objects| Inventory::build(objects, &ClusterCidrs::default()));
}

#[divan::bench]
fn resolve_address(bencher: divan::Bencher<'_, '_>) {
    let (inventory, _) = Inventory::build(objects(100_000), &ClusterCidrs::default());
    let mut n = 0;
    bencher.bench_local(|| {
        n = (n + 7919) % 100_000;
        inventory.resolve(address(n), Timestamp::from_secs(50_000), None)
    });
}

#[divan::bench]
fn resolve_gone_pod(bencher: divan::Bencher<'_, '_>) {
    let (inventory, _) = Inventory::build(objects(100_000), &ClusterCidrs::default());
    let hint = Hint::Pod {
        pod: PodRef { namespace: name("team-7".into()), name: name("gone".into()) },
        workload: None,
        labels: Some(workload(7 * WORKLOADS_PER_NAMESPACE).2),
    };
    bencher.bench_local(|| inventory.resolve(address(1), Timestamp::default(), Some(&hint)));
}
