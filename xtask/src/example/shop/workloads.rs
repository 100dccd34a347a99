//! The table of workloads, with the nodes and addresses of their pods.

use super::{
    Ask, CART_MOVED, ContainerPort, DEPLOYED, FOUNDED, Kind, Place, PortRef, REPORT_DURATION,
    REPORT_RUNS, WEB_SCALED, Workload,
};
use crate::clock::SECOND;

const fn tcp(name: &'static str, number: u16) -> ContainerPort {
    ContainerPort { name, number, protocol: "TCP" }
}

const fn at(node: usize, host: u8) -> Place {
    Place { node, host, from: DEPLOYED, until: None }
}

const fn report(run: usize, node: usize, host: u8) -> Place {
    let from = REPORT_RUNS[run].plus(2 * SECOND);
    Place { node, host, from, until: Some(from.plus(REPORT_DURATION)) }
}

const fn http(path: &'static str, port: PortRef) -> Ask {
    Ask::Http { path, port }
}

const NOTHING: Workload = Workload {
    namespace: "",
    name: "",
    kind: Kind::Deployment,
    selector: &[],
    image: "",
    args: &[],
    ports: &[],
    liveness: None,
    readiness: None,
    scraped_at: None,
    host_network: false,
    places: &[],
};

pub const WORKLOADS: &[Workload] = &[
    Workload {
        namespace: "kube-system",
        name: "coredns",
        selector: &[("k8s-app", "kube-dns")],
        image: "registry.k8s.io/coredns/coredns:v1.12.1",
        args: &["-conf", "/etc/coredns/Corefile"],
        ports: &[
            ContainerPort { name: "dns", number: 53, protocol: "UDP" },
            tcp("dns-tcp", 53),
            tcp("metrics", 9153),
        ],
        liveness: Some(http("/health", PortRef::Number(8080))),
        readiness: Some(http("/ready", PortRef::Number(8181))),
        scraped_at: Some(9153),
        places: &[
            Place { node: 0, host: 3, from: FOUNDED, until: None },
            Place { node: 1, host: 3, from: FOUNDED, until: None },
        ],
        ..NOTHING
    },
    Workload {
        namespace: "kube-system",
        name: "kube-apiserver",
        kind: Kind::StaticPod,
        selector: &[("component", "kube-apiserver"), ("tier", "control-plane")],
        image: "registry.k8s.io/kube-apiserver:v1.35.1",
        args: &[
            "kube-apiserver",
            "--advertise-address=192.168.10.11",
            "--secure-port=6443",
            "--service-cluster-ip-range=10.43.0.0/16",
        ],
        host_network: true,
        places: &[Place { node: 0, host: 0, from: FOUNDED, until: None }],
        ..NOTHING
    },
    Workload {
        namespace: "kube-system",
        name: "kube-controller-manager",
        kind: Kind::StaticPod,
        selector: &[("component", "kube-controller-manager"), ("tier", "control-plane")],
        image: "registry.k8s.io/kube-controller-manager:v1.35.1",
        args: &[
            "kube-controller-manager",
            "--allocate-node-cidrs=true",
            "--cluster-cidr=10.42.0.0/16,fd00:42::/48",
            "--service-cluster-ip-range=10.43.0.0/16",
        ],
        host_network: true,
        places: &[Place { node: 0, host: 0, from: FOUNDED, until: None }],
        ..NOTHING
    },
    Workload {
        namespace: "platform",
        name: "ingress",
        selector: &[("app.kubernetes.io/name", "ingress")],
        image: "registry.example/ingress:4.2.0",
        ports: &[tcp("http", 8000), tcp("https", 8443), tcp("status", 10_254)],
        liveness: Some(http("/healthz", PortRef::Name("status"))),
        readiness: Some(http("/healthz", PortRef::Name("status"))),
        scraped_at: Some(10_254),
        places: &[at(1, 10), at(2, 10)],
        ..NOTHING
    },
    Workload {
        namespace: "platform",
        name: "metrics",
        selector: &[
            ("app.kubernetes.io/component", "server"),
            ("app.kubernetes.io/name", "metrics"),
        ],
        image: "registry.example/metrics:3.4.1",
        args: &["--storage=/data", "--retention=15d"],
        ports: &[tcp("http", 9090)],
        liveness: Some(http("/-/healthy", PortRef::Name("http"))),
        readiness: Some(http("/-/ready", PortRef::Name("http"))),
        places: &[at(1, 11)],
        ..NOTHING
    },
    Workload {
        namespace: "platform",
        name: "node-agent",
        kind: Kind::DaemonSet,
        selector: &[("app.kubernetes.io/name", "node-agent")],
        image: "registry.example/node-agent:1.9.3",
        ports: &[
            ContainerPort { name: "statsd", number: 8125, protocol: "UDP" },
            tcp("metrics", 9100),
        ],
        scraped_at: Some(9100),
        host_network: true,
        places: &[at(0, 0), at(1, 0), at(2, 0)],
        ..NOTHING
    },
    Workload {
        namespace: "shop",
        name: "web",
        selector: &[("app", "web")],
        image: "registry.example/shop/web:2.31.0",
        ports: &[tcp("http", 8080)],
        liveness: Some(http("/healthz", PortRef::Name("http"))),
        readiness: Some(http("/readyz", PortRef::Name("http"))),
        scraped_at: Some(8080),
        places: &[at(1, 12), Place { node: 1, host: 13, from: WEB_SCALED, until: None }],
        ..NOTHING
    },
    Workload {
        namespace: "shop",
        name: "catalog",
        selector: &[("app", "catalog")],
        image: "registry.example/shop/catalog:1.18.2",
        ports: &[tcp("http", 8000)],
        liveness: Some(http("/healthz", PortRef::Name("http"))),
        readiness: Some(http("/healthz", PortRef::Name("http"))),
        scraped_at: Some(8000),
        places: &[at(1, 14), at(2, 14)],
        ..NOTHING
    },
    Workload {
        namespace: "shop",
        name: "cart",
        selector: &[("app", "cart")],
        image: "registry.example/shop/cart:1.7.0",
        ports: &[tcp("grpc", 7000), tcp("metrics", 7001)],
        liveness: Some(Ask::Tcp { port: PortRef::Name("grpc") }),
        readiness: Some(Ask::Tcp { port: PortRef::Name("grpc") }),
        scraped_at: Some(7001),
        places: &[
            at(2, 15),
            // Evicted: web has its address later.
            Place { node: 1, host: 13, from: DEPLOYED, until: Some(CART_MOVED) },
            // The address that the first report's pod had, whose status still says so.
            Place { node: 2, host: 20, from: CART_MOVED.plus(5 * SECOND), until: None },
        ],
        ..NOTHING
    },
    Workload {
        namespace: "shop",
        name: "cache",
        selector: &[("app", "cache")],
        image: "registry.example/shop/cache:7.4",
        args: &["--maxmemory", "512mb"],
        ports: &[tcp("redis", 6379), tcp("metrics", 9121)],
        liveness: Some(Ask::Tcp { port: PortRef::Name("redis") }),
        readiness: Some(Ask::Tcp { port: PortRef::Name("redis") }),
        scraped_at: Some(9121),
        places: &[at(2, 16)],
        ..NOTHING
    },
    Workload {
        namespace: "shop",
        name: "orders",
        selector: &[("app", "orders"), ("tier", "backend")],
        image: "registry.example/shop/orders:3.2.5",
        args: &["--database=orders-db-0.orders-db:5432"],
        ports: &[tcp("http", 8081)],
        liveness: Some(http("/live", PortRef::Name("http"))),
        readiness: Some(http("/ready", PortRef::Name("http"))),
        scraped_at: Some(8081),
        places: &[at(1, 17), at(2, 17)],
        ..NOTHING
    },
    Workload {
        namespace: "shop",
        name: "orders-db",
        kind: Kind::StatefulSet,
        selector: &[("app", "orders-db")],
        image: "registry.example/shop/postgres:16.4",
        ports: &[tcp("postgres", 5432), tcp("metrics", 9187)],
        liveness: Some(Ask::Command("pg_isready")),
        readiness: Some(Ask::Tcp { port: PortRef::Name("postgres") }),
        scraped_at: Some(9187),
        places: &[at(2, 18), at(1, 18)],
        ..NOTHING
    },
    Workload {
        namespace: "shop",
        name: "payments",
        selector: &[("app", "payments")],
        image: "registry.example/shop/payments:5.0.1",
        args: &["--api=https://api.pay.example"],
        ports: &[tcp("https", 8443), tcp("metrics", 9464)],
        liveness: Some(http("/healthz", PortRef::Name("metrics"))),
        readiness: Some(http("/healthz", PortRef::Name("metrics"))),
        scraped_at: Some(9464),
        places: &[at(2, 19)],
        ..NOTHING
    },
    Workload {
        namespace: "shop",
        name: "recommendations-v1",
        selector: &[("app", "recommendations"), ("version", "v1")],
        image: "registry.example/shop/recommendations:1.0.9",
        ports: &[tcp("http", 8090)],
        liveness: Some(http("/healthz", PortRef::Name("http"))),
        scraped_at: Some(8090),
        places: &[at(1, 21)],
        ..NOTHING
    },
    Workload {
        namespace: "shop",
        name: "report",
        kind: Kind::CronJob,
        selector: &[("app", "report")],
        image: "registry.example/shop/report:0.9.4",
        args: &["--day=yesterday"],
        places: &[report(0, 2, 20), report(1, 1, 22)],
        ..NOTHING
    },
    Workload {
        namespace: "legacy",
        name: "invoicing",
        selector: &[("run", "invoicing")],
        image: "registry.example/invoicing:2011-final",
        ports: &[tcp("http", 8000)],
        liveness: Some(Ask::Tcp { port: PortRef::Number(8000) }),
        scraped_at: Some(8000),
        places: &[at(2, 23)],
        ..NOTHING
    },
];
