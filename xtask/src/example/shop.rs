//! The shop: its namespaces, nodes, workloads and Services. Everything else follows from here and from the
//! call graph, so that the objects and the flow log cannot drift apart.

use crate::clock::{DAY, HOUR, MINUTE, Moment, SECOND};

mod workloads;

pub use workloads::WORKLOADS;

/// When the log begins: Monday 2026-05-11, midnight UTC.
pub const BEGIN: Moment = Moment(1_778_457_600 * SECOND);
/// When the log ends and the objects were dumped.
pub const END: Moment = BEGIN.plus(26 * HOUR);
/// When the applications were deployed.
pub const DEPLOYED: Moment = Moment(BEGIN.0 - 7 * DAY + 9 * HOUR + 12 * MINUTE);
/// When the cluster was made.
pub const FOUNDED: Moment = Moment(BEGIN.0 - 40 * DAY + 7 * HOUR);
/// When a `cart` pod was evicted and another one took its place on another node.
pub const CART_MOVED: Moment = BEGIN.plus(9 * HOUR + 20 * MINUTE);
/// When a second `web` pod started and got the address that the evicted `cart` pod had.
pub const WEB_SCALED: Moment = BEGIN.plus(9 * HOUR + 24 * MINUTE);
/// When the nightly report runs.
pub const REPORT_RUNS: [Moment; 2] =
    [BEGIN.plus(HOUR + 30 * MINUTE), BEGIN.plus(25 * HOUR + 30 * MINUTE)];
/// How long a report takes.
pub const REPORT_DURATION: u64 = 6 * MINUTE;

/// The cluster-wide pod ranges, as the controller manager has them in its arguments.
pub const POD_CIDRS: &str = "10.42.0.0/16,fd00:42::/48";
/// The Service range.
pub const SERVICE_CIDR: &str = "10.43.0.0/16";

/// A namespace.
#[derive(Debug)]
pub struct Namespace {
    pub name: &'static str,
    /// The value of the label `team`, which one namespace lacks.
    pub team: Option<&'static str>,
    /// Whether it comes with the cluster rather than from Git.
    pub system: bool,
}

pub const NAMESPACES: &[Namespace] = &[
    Namespace { name: "default", team: None, system: true },
    Namespace { name: "kube-system", team: None, system: true },
    Namespace { name: "legacy", team: None, system: false },
    Namespace { name: "platform", team: Some("platform"), system: false },
    Namespace { name: "shop", team: Some("shop"), system: false },
];

/// A node.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    pub name: &'static str,
    pub zone: &'static str,
    pub address: &'static str,
    /// The third byte of its pod range `10.42.N.0/24`.
    pub number: u8,
    /// Whether the kubelet's probes leave from the CNI's own address in the pod range.
    pub probes_from_router: bool,
}

impl Node {
    /// The CNI's own address on the node.
    pub fn router(&self) -> String {
        self.pod_v4(1)
    }

    /// An IPv4 address in the node's pod range.
    pub fn pod_v4(&self, host: u8) -> String {
        format!("10.42.{}.{host}", self.number)
    }

    /// An IPv6 address in the node's pod range.
    pub fn pod_v6(&self, host: u8) -> String {
        format!("fd00:42:0:{:x}::{host:x}", self.number)
    }

    /// Where the API server listens.
    pub fn runs_api_server(&self) -> bool {
        self.number == 0
    }
}

pub const NODES: &[Node] = &[
    Node {
        name: "shop-a",
        zone: "zone-1",
        address: "192.168.10.11",
        number: 0,
        probes_from_router: false,
    },
    Node {
        name: "shop-b",
        zone: "zone-2",
        address: "192.168.10.12",
        number: 1,
        probes_from_router: false,
    },
    Node {
        name: "shop-c",
        zone: "zone-3",
        address: "192.168.10.13",
        number: 2,
        probes_from_router: true,
    },
];

/// The kinds of workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    CronJob,
    /// A pod that the kubelet runs from a file.
    StaticPod,
}

impl Kind {
    /// The kind as Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::CronJob => "CronJob",
            Self::StaticPod => "Pod",
        }
    }
}

/// What a probe asks.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// An HTTP GET of a path on a port, by name or number as in the manifest.
    Http { path: &'static str, port: PortRef },
    /// A TCP connection.
    Tcp { port: PortRef },
    /// A command in the container, which makes no traffic.
    Command(&'static str),
}

/// A port in a manifest.
#[derive(Clone, Copy, Debug)]
pub enum PortRef {
    Name(&'static str),
    Number(u16),
}

/// A port of a container.
#[derive(Debug)]
pub struct ContainerPort {
    pub name: &'static str,
    pub number: u16,
    pub protocol: &'static str,
}

/// A pod of a workload: where it runs and when it did.
#[derive(Debug)]
pub struct Place {
    /// Index into [`NODES`].
    pub node: usize,
    /// The last byte of its address; host-network pods have none.
    pub host: u8,
    pub from: Moment,
    /// When it went, if it did before the end.
    pub until: Option<Moment>,
}

/// A workload.
#[derive(Debug)]
pub struct Workload {
    pub namespace: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    /// What the controller selects its pods by.
    pub selector: &'static [(&'static str, &'static str)],
    pub image: &'static str,
    pub args: &'static [&'static str],
    pub ports: &'static [ContainerPort],
    pub liveness: Option<Ask>,
    pub readiness: Option<Ask>,
    /// Where the metrics collector scrapes it.
    pub scraped_at: Option<u16>,
    pub host_network: bool,
    pub places: &'static [Place],
}

impl Workload {
    /// `namespace/name`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The number of a named or numbered port.
    pub fn port_number(&self, port: PortRef) -> anyhow::Result<u16> {
        match port {
            PortRef::Number(number) => Ok(number),
            PortRef::Name(name) => self
                .ports
                .iter()
                .find(|port| port.name == name)
                .map(|port| port.number)
                .ok_or_else(|| anyhow::anyhow!("{} has no port {name}", self.path())),
        }
    }

    /// The ports that the kubelet connects to.
    pub fn probed_ports(&self) -> anyhow::Result<Vec<u16>> {
        let mut ports = Vec::new();
        for ask in [self.liveness, self.readiness].into_iter().flatten() {
            match ask {
                Ask::Http { port, .. } | Ask::Tcp { port } => ports.push(self.port_number(port)?),
                Ask::Command(_) => {}
            }
        }
        ports.sort_unstable();
        ports.dedup();
        Ok(ports)
    }
}

/// How a Service can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Inside, at this address.
    ClusterIp(&'static str),
    /// Inside, at the addresses of the pods.
    Headless,
    /// Also from outside, at node ports and at a load balancer's address.
    LoadBalancer { cluster_ip: &'static str, address: &'static str },
}

impl Exposure {
    /// The virtual address, if any.
    pub const fn cluster_ip(self) -> Option<&'static str> {
        match self {
            Self::ClusterIp(ip) | Self::LoadBalancer { cluster_ip: ip, .. } => Some(ip),
            Self::Headless => None,
        }
    }
}

/// A port of a Service.
#[derive(Debug)]
pub struct ServicePort {
    pub name: &'static str,
    pub port: u16,
    pub target: PortRef,
    pub protocol: &'static str,
    pub node_port: Option<u16>,
}

const fn port(name: &'static str, port: u16, target: PortRef) -> ServicePort {
    ServicePort { name, port, target, protocol: "TCP", node_port: None }
}

/// A Service. It has the namespace and name of a workload and selects that, but for `kube-dns`.
#[derive(Debug)]
pub struct Service {
    pub namespace: &'static str,
    pub name: &'static str,
    /// The workload behind it.
    pub workload: &'static str,
    pub exposure: Exposure,
    pub ports: &'static [ServicePort],
}

const fn service(
    namespace: &'static str,
    name: &'static str,
    exposure: Exposure,
    ports: &'static [ServicePort],
) -> Service {
    Service { namespace, name, workload: name, exposure, ports }
}

/// The address of the Service `default/kubernetes`, which selects nothing.
pub const API_SERVICE: &str = "10.43.0.1";
/// Where the API server listens on its node.
pub const API_PORT: u16 = 6443;

pub const SERVICES: &[Service] = &[
    Service {
        namespace: "kube-system",
        name: "kube-dns",
        workload: "coredns",
        exposure: Exposure::ClusterIp("10.43.0.10"),
        ports: &[
            ServicePort {
                name: "dns",
                port: 53,
                target: PortRef::Name("dns"),
                protocol: "UDP",
                node_port: None,
            },
            port("dns-tcp", 53, PortRef::Name("dns-tcp")),
            port("metrics", 9153, PortRef::Number(9153)),
        ],
    },
    service(
        "platform",
        "ingress",
        Exposure::LoadBalancer { cluster_ip: "10.43.17.4", address: "203.0.113.200" },
        &[
            ServicePort {
                name: "http",
                port: 80,
                target: PortRef::Name("http"),
                protocol: "TCP",
                node_port: Some(30_080),
            },
            ServicePort {
                name: "https",
                port: 443,
                target: PortRef::Name("https"),
                protocol: "TCP",
                node_port: Some(30_443),
            },
        ],
    ),
    service(
        "platform",
        "metrics",
        Exposure::ClusterIp("10.43.52.90"),
        &[port("http", 9090, PortRef::Name("http"))],
    ),
    service(
        "shop",
        "web",
        Exposure::ClusterIp("10.43.101.8"),
        &[port("http", 80, PortRef::Number(8080))],
    ),
    service(
        "shop",
        "catalog",
        Exposure::ClusterIp("10.43.33.71"),
        &[port("http", 80, PortRef::Name("http"))],
    ),
    service(
        "shop",
        "cart",
        Exposure::ClusterIp("10.43.210.15"),
        &[port("grpc", 7000, PortRef::Name("grpc"))],
    ),
    service(
        "shop",
        "cache",
        Exposure::ClusterIp("10.43.8.122"),
        &[
            port("redis", 6379, PortRef::Name("redis")),
            port("metrics", 9121, PortRef::Name("metrics")),
        ],
    ),
    service(
        "shop",
        "orders",
        Exposure::ClusterIp("10.43.140.3"),
        &[port("http", 80, PortRef::Name("http"))],
    ),
    service(
        "shop",
        "orders-db",
        Exposure::Headless,
        &[port("postgres", 5432, PortRef::Name("postgres"))],
    ),
    service(
        "shop",
        "payments",
        Exposure::ClusterIp("10.43.77.200"),
        &[port("https", 443, PortRef::Number(8443))],
    ),
    service(
        "shop",
        "recommendations-v1",
        Exposure::ClusterIp("10.43.64.9"),
        &[port("http", 80, PortRef::Number(8090))],
    ),
    service(
        "legacy",
        "invoicing",
        Exposure::ClusterIp("10.43.190.44"),
        &[port("http", 8000, PortRef::Number(8000))],
    ),
];

/// Finds a workload.
pub fn workload(namespace: &str, name: &str) -> anyhow::Result<&'static Workload> {
    WORKLOADS
        .iter()
        .find(|workload| workload.namespace == namespace && workload.name == name)
        .ok_or_else(|| anyhow::anyhow!("no workload {namespace}/{name}"))
}
