//! The call graph: who calls whom, and how often between the beginning and the end.

use serde::Serialize;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The application's own traffic.
    App,
    /// Of the `CronJob`.
    Cron,
    /// Name look-ups.
    Dns,
    /// To outside the cluster.
    Egress,
    /// To the API server.
    #[serde(rename = "apiserver")]
    ApiServer,
    /// Metrics.
    Scrape,
    /// The kubelet's.
    Probe,
    /// To the host-network agent on the client's own node.
    HostAgent,
    /// From outside to a node port.
    NodeportFrontdoor,
    /// The same, after the node translated source and destination.
    IngressNodeport,
    /// A port scan that the `NetworkPolicy` stopped.
    ScanDenied,
    /// A port scan that met closed ports.
    ScanRefused,
    /// From an address in the pod range that no pod has.
    Unresolved,
    /// Ping.
    Icmp,
}

/// Where a call goes.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// A port of a Service, by namespace and name.
    Service(&'static str, &'static str, u16),
    /// The first pod of a `StatefulSet` through its headless Service, whose answer is the pod's address.
    FirstPod(&'static str, &'static str, u16),
    /// Addresses outside, with the name that they were looked up by.
    Outside { name: &'static str, addresses: &'static [&'static str], port: u16, udp: bool },
    /// The API server through its Service.
    ApiServer,
    /// UDP to the client's own node.
    OwnNode(u16),
}

/// A call, repeated.
#[derive(Debug)]
pub struct Call {
    pub class: Class,
    pub namespace: &'static str,
    pub client: &'static str,
    pub target: Target,
    /// How many connections there are between the beginning and the end.
    pub count: u64,
}

const fn call(
    namespace: &'static str,
    client: &'static str,
    count: u64,
    class: Class,
    target: Target,
) -> Call {
    Call { class, namespace, client, target, count }
}

/// The addresses of the payment provider, one of them IPv6.
const PAYMENT_API: Target = Target::Outside {
    name: "api.pay.example",
    addresses: &["198.51.100.40", "198.51.100.41", "2001:db8:40::40"],
    port: 443,
    udp: false,
};

/// Where the nightly report is uploaded. Nobody has reviewed this one yet.
const ARCHIVE: Target = Target::Outside {
    name: "archive.backup.example",
    addresses: &["203.0.113.77"],
    port: 443,
    udp: false,
};

/// The resolver that `CoreDNS` forwards to.
const UPSTREAM_DNS: Target =
    Target::Outside { name: "", addresses: &["192.0.2.53"], port: 53, udp: true };

/// The calls of the workloads. Probes, scrapes, look-ups, visitors and the scans are made elsewhere, for they
/// follow from the pods.
pub const CALLS: &[Call] = &[
    call("platform", "ingress", 700, Class::App, Target::Service("shop", "web", 80)),
    call("platform", "ingress", 40, Class::ApiServer, Target::ApiServer),
    call("platform", "metrics", 52, Class::ApiServer, Target::ApiServer),
    call("kube-system", "coredns", 26, Class::ApiServer, Target::ApiServer),
    call("kube-system", "coredns", 160, Class::Egress, UPSTREAM_DNS),
    call("shop", "web", 560, Class::App, Target::Service("shop", "catalog", 80)),
    call("shop", "web", 460, Class::App, Target::Service("shop", "cart", 7000)),
    call("shop", "web", 240, Class::App, Target::Service("shop", "orders", 80)),
    call("shop", "web", 60, Class::App, Target::Service("shop", "recommendations-v1", 80)),
    call("shop", "recommendations-v1", 60, Class::App, Target::Service("shop", "catalog", 80)),
    call("shop", "cart", 480, Class::App, Target::Service("shop", "cache", 6379)),
    call("shop", "cart", 140, Class::App, Target::Service("shop", "catalog", 80)),
    call("shop", "orders", 260, Class::App, Target::FirstPod("shop", "orders-db", 5432)),
    call("shop", "orders", 180, Class::App, Target::Service("shop", "payments", 443)),
    call("shop", "orders", 120, Class::App, Target::Service("shop", "cart", 7000)),
    call("shop", "orders", 130, Class::HostAgent, Target::OwnNode(8125)),
    call("shop", "cart", 110, Class::HostAgent, Target::OwnNode(8125)),
    call("shop", "orders-db", 30, Class::App, Target::FirstPod("shop", "orders-db", 5432)),
    call("shop", "payments", 190, Class::Egress, PAYMENT_API),
    call("shop", "report", 14, Class::Cron, Target::FirstPod("shop", "orders-db", 5432)),
    call("shop", "report", 8, Class::Cron, Target::Service("shop", "catalog", 80)),
    call("shop", "report", 2, Class::Egress, ARCHIVE),
    call("legacy", "invoicing", 52, Class::App, Target::Service("shop", "orders", 80)),
    call("shop", "orders", 45, Class::App, Target::Service("legacy", "invoicing", 8000)),
];

/// Who visits the shop from outside, and how often.
pub const VISITORS: &[(&str, u64)] =
    &[("203.0.113.10", 420), ("203.0.113.11", 260), ("198.51.100.9", 110)];

/// Ports of `cache` that somebody in the pod of `invoicing` tried one afternoon. The policy `cache-guard` let none through.
pub const DENIED_PORTS: &[u16] = &[21, 22, 80, 443, 3306, 5432, 6379, 8080, 9121, 11_211, 27_017];
/// Ports of `web` tried after that, which are closed.
pub const REFUSED_PORTS: &[u16] = &[22, 23, 3389];
/// The last byte of an address in the pod range of the third node that no pod has.
pub const GHOST_HOST: u8 = 231;
