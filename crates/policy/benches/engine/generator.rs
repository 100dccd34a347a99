//! Clusters whose shape can be set. Equal shapes give equal clusters.

use std::net::{IpAddr, Ipv4Addr};

use ringfence_model::object::{ContainerPort, Namespace, Node, Phase, Pod, PodSpec};
use ringfence_model::{
    Cidr, IpBlock, Labels, Name, NamespaceScope, NetworkPolicy, Operator, Origin, PeerMatch, Peers,
    PodRef, Port, PortMatch, PortRange, PortTarget, Ports, Protocol, Requirement, Rule, Selector,
};

/// How large a cluster is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) pods: u32,
    /// Pods with the same labels; 1 gives every pod labels of its own.
    pub(crate) pods_per_workload: u32,
    pub(crate) namespaces: u32,
    pub(crate) policies: u32,
    /// Distinct ipBlocks, all with exceptions.
    pub(crate) blocks: u32,
}

impl Shape {
    /// A cluster of `pods` pods: a namespace for 50, a policy for 10.
    pub(crate) const fn of(pods: u32, pods_per_workload: u32) -> Self {
        Self { pods, pods_per_workload, namespaces: pods / 50, policies: pods / 10, blocks: 20 }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) policies: Vec<NetworkPolicy>,
}

/// Splitmix64: short, and good enough to spread choices.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a u32")]
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        (self.next() % u64::from(bound.max(1))) as u32
    }

    fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(u32::try_from(items.len()).unwrap()) as usize]
    }
}

const TIERS: [&str; 5] = ["web", "api", "data", "cache", "batch"];
const PORTS: [u16; 6] = [80, 443, 8080, 5432, 6379, 9090];
const PORT_NAMES: [&str; 3] = ["http", "metrics", "grpc"];

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

impl Cluster {
    pub(crate) fn new(shape: Shape) -> Self {
        let mut random = Random::new(1);
        let nodes = (0..shape.pods.div_ceil(100)).map(node).collect();
        let namespaces = (0..shape.namespaces).map(namespace).collect();
        let pods = (0..shape.pods).map(|n| pod(n, shape)).collect();
        let blocks: Vec<IpBlock> = (0..shape.blocks).map(|n| block(n, &mut random)).collect();
        let policies =
            (0..shape.policies).map(|n| policy(n, shape, &blocks, &mut random)).collect();
        Self { namespaces, nodes, pods, policies }
    }
}

fn node(n: u32) -> Node {
    Node {
        name: name(&format!("node-{n}")),
        labels: Labels::empty(),
        addresses: vec![IpAddr::V4(Ipv4Addr::from_bits(0xc0a8_0001 + n))],
        pod_network_addresses: Vec::new(),
        pod_cidrs: Vec::new(),
        origin: Origin::default(),
    }
}

fn namespace(n: u32) -> Namespace {
    let labels = [
        ("kubernetes.io/metadata.name", format!("ns-{n}")),
        ("team", format!("team-{}", n % 10)),
        ("env", (if n.is_multiple_of(3) { "prod" } else { "dev" }).to_owned()),
    ];
    Namespace {
        name: name(&format!("ns-{n}")),
        labels: labels.into_iter().collect(),
        origin: Origin::default(),
    }
}

fn pod(n: u32, shape: Shape) -> Pod {
    let workload = n / shape.pods_per_workload;
    let tier = TIERS[workload as usize % TIERS.len()];
    let labels = [
        ("app", format!("app-{workload}")),
        ("tier", tier.to_owned()),
        ("version", format!("v{}", workload % 7)),
        ("pod-template-hash", format!("{:08x}", workload.wrapping_mul(2_654_435_761))),
    ];
    let ports = PORT_NAMES.iter().enumerate().map(|(i, port_name)| ContainerPort {
        name: Some((*port_name).into()),
        protocol: Protocol::Tcp,
        port: port(PORTS[(workload as usize + i) % PORTS.len()]),
    });
    Pod {
        reference: PodRef {
            namespace: name(&format!("ns-{}", workload % shape.namespaces)),
            name: name(&format!("app-{workload}-{n}")),
        },
        labels: labels.into_iter().collect(),
        owner: None,
        ips: vec![IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))],
        node: Some(name(&format!("node-{}", n % shape.pods.div_ceil(100)))),
        phase: Phase::Running,
        started: None,
        ended: None,
        spec: PodSpec { ports: ports.collect(), ..PodSpec::default() },
        origin: Origin::default(),
    }
}

/// Blocks outside the pod network, each with a hole.
fn block(n: u32, random: &mut Random) -> IpBlock {
    let cidr = |bits: u32, len: u8| -> Cidr {
        format!("{}/{len}", Ipv4Addr::from_bits(bits)).parse().unwrap()
    };
    let first = 0x6400_0000 + (n << 20);
    IpBlock::new(cidr(first, 12), vec![cidr(first + (random.below(16) << 16), 16)]).unwrap()
}

fn policy(n: u32, shape: Shape, blocks: &[IpBlock], random: &mut Random) -> NetworkPolicy {
    let own = random.below(shape.namespaces);
    let pod_selector = match random.below(10) {
        0..6 => app(own, shape, random),
        6..8 => tiers(random),
        _ => Selector::everything(),
    };
    let directions = random.below(10);
    let rules = |random: &mut Random| {
        let count = 1 + random.below(3);
        Some((0..count).map(|_| rule(own, shape, blocks, random)).collect())
    };
    NetworkPolicy {
        namespace: name(&format!("ns-{own}")),
        name: name(&format!("policy-{n}")),
        origin: Origin::new("generated", n + 1),
        pod_selector,
        ingress: if directions < 8 { rules(random) } else { None },
        egress: if directions >= 5 { rules(random) } else { None },
    }
}

/// A workload of the namespace.
fn app(own: u32, shape: Shape, random: &mut Random) -> Selector {
    let workloads = (shape.pods / shape.pods_per_workload).max(1);
    let of_namespace = workloads.div_ceil(shape.namespaces);
    let workload = own + random.below(of_namespace) * shape.namespaces;
    [Requirement::equals("app", format!("app-{workload}"))].into_iter().collect()
}

fn tiers(random: &mut Random) -> Selector {
    let values = [*random.pick(&TIERS), *random.pick(&TIERS)].map(Into::into).into();
    let operator = if random.percent(70) { Operator::In(values) } else { Operator::NotIn(values) };
    [Requirement { key: "tier".into(), operator }].into_iter().collect()
}

fn rule(own: u32, shape: Shape, blocks: &[IpBlock], random: &mut Random) -> Rule {
    let peers = (0..=random.below(2)).map(|_| peer(own, shape, blocks, random)).collect();
    let ports = (0..=random.below(2)).map(|_| port_match(random)).collect();
    Rule {
        origin: Origin::default(),
        peers: if random.percent(3) { Peers::Any } else { Peers::Only(peers) },
        ports: if random.percent(20) { Ports::Any } else { Ports::Only(ports) },
    }
}

fn peer(own: u32, shape: Shape, blocks: &[IpBlock], random: &mut Random) -> PeerMatch {
    let matching = |key: &str, value: String| {
        NamespaceScope::Matching([Requirement::equals(key, value)].into_iter().collect())
    };
    match random.below(10) {
        0..3 => PeerMatch::Pods { namespaces: NamespaceScope::Own, pods: app(own, shape, random) },
        3..5 => PeerMatch::Pods { namespaces: NamespaceScope::Own, pods: tiers(random) },
        5..7 => PeerMatch::Pods {
            namespaces: matching("team", format!("team-{}", random.below(10))),
            pods: tiers(random),
        },
        7 => PeerMatch::Pods {
            namespaces: matching(
                "kubernetes.io/metadata.name",
                format!("ns-{}", random.below(shape.namespaces)),
            ),
            pods: Selector::everything(),
        },
        _ => PeerMatch::IpBlock(random.pick(blocks).clone()),
    }
}

fn port_match(random: &mut Random) -> PortMatch {
    let number = *random.pick(&PORTS);
    let target = match random.below(10) {
        0..6 => PortTarget::Numbers(PortRange::single(port(number))),
        6..8 => PortTarget::Named((*random.pick(&PORT_NAMES)).into()),
        8 => PortTarget::Numbers(PortRange::new(port(number), port(number + 100)).unwrap()),
        _ => PortTarget::Any,
    };
    let protocol = if random.percent(90) { Protocol::Tcp } else { Protocol::Udp };
    PortMatch { protocol, target }
}
