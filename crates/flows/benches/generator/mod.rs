//! Flow logs of any size and shape, the same for the same seed.
//!
//! Records have the shape that an agent sends: about 490 bytes, both pods by namespace and name, without labels or
//! owners, bytes and packets both ways; reports of 50 records from the pods of one node, all of one interval.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};

use ringfence_model::Protocol;

use crate::support::Table;

/// What the cluster and its log look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    pub(crate) nodes: u32,
    pub(crate) workloads: u32,
    /// Pods of each workload.
    pub(crate) replicas: u32,
    /// Workloads that each workload talks to.
    pub(crate) peers: u32,
    /// Pods of each of these that one pod talks to, since clients keep their connections.
    pub(crate) fanout: u32,
}

impl Shape {
    /// 10,000 pods.
    pub(crate) const LARGE: Self =
        Self { seed: 1, nodes: 200, workloads: 500, replicas: 20, peers: 6, fanout: 3 };
}

/// The format of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Hubble,
    Record,
}

struct Pod {
    ip: Ipv4Addr,
    node: u32,
    /// The endpoint object as the pod's own node writes it, and as other nodes do.
    local: String,
    remote: String,
    /// The pod object of a record.
    record: String,
}

/// A cluster and a source of random numbers.
pub(crate) struct Generator {
    shape: Shape,
    format: Format,
    pods: Vec<Pod>,
    random: u64,
    nanos: u64,
    line: String,
    sent: usize,
    left: u64,
    pending: Vec<Event>,
    /// Pods by node.
    by_node: Vec<Vec<u32>>,
    /// Bytes given out.
    pub(crate) bytes: u64,
}

/// A line to come.
#[derive(Clone, Copy)]
struct Event {
    client: u32,
    server: u32,
    client_port: u16,
    port: u16,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Dialled,
    Request { at_server: bool, flags: &'static str },
    Reply { at_server: bool, flags: &'static str },
    Record { at_server: bool },
}

impl Generator {
    pub(crate) fn new(shape: Shape, format: Format, lines: u64) -> Self {
        let pods: Vec<Pod> =
            (0..shape.workloads * shape.replicas).map(|n| Pod::new(n, &shape)).collect();
        let mut by_node = vec![Vec::new(); shape.nodes as usize];
        for (n, pod) in (0..).zip(&pods) {
            by_node[pod.node as usize].push(n);
        }
        Self {
            shape,
            format,
            pods,
            random: shape.seed,
            nanos: 0,
            line: String::new(),
            sent: 0,
            left: lines,
            pending: Vec::new(),
            by_node,
            bytes: 0,
        }
    }

    /// A resolver that knows the cluster.
    pub(crate) fn resolver(&self) -> Table {
        let mut table = Table::default();
        for n in 0..self.shape.nodes {
            let [a, b] = u16::try_from(n).unwrap().to_be_bytes();
            table = table.node(&format!("192.168.{a}.{b}"), &format!("node-{n}"));
        }
        for (n, pod) in (0..).zip(&self.pods) {
            let workload = format!("space-{}/Deployment/app-{}", n / 400, n / self.shape.replicas);
            table = table.pod(&pod.ip.to_string(), &workload, &format!("node-{}", pod.node));
        }
        for n in 0..self.shape.workloads {
            let first = n * self.shape.replicas;
            let service = format!("space-{}/app-{n}", first / 400);
            let backend = format!("space-{}/Deployment/app-{n}", first / 400);
            let ip = service_ip(n).to_string();
            table = table.service(&ip, Protocol::Tcp, &service, 80, &[(&backend, 8080)]);
        }
        table
    }

    /// The generator `SplitMix64` (Steele, Lea, Flood 2014).
    fn next(&mut self, below: u32) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) % u64::from(below)).unwrap()
    }

    /// A pod that this one talks to.
    fn server_of(&mut self, client: u32) -> u32 {
        let Shape { workloads, replicas, peers, fanout, .. } = self.shape;
        let peer = (client / replicas + 1 + self.next(peers)) % workloads;
        peer * replicas + (client * 131 + self.next(fanout) * 7) % replicas
    }

    /// What comes in at a time: 50 records about the pods of one node in one interval, counted there or at the other
    /// end. An agent names the pods with their namespaces and leaves owners and labels to the cluster's objects.
    fn report(&mut self) {
        self.nanos += 61_234_567;
        let node = self.next(self.shape.nodes) as usize;
        for _ in 0..50 {
            let pods = u32::try_from(self.by_node[node].len()).unwrap();
            let at = self.next(pods) as usize;
            let client = self.by_node[node][at];
            let (server, at_server) = (self.server_of(client), self.next(2) == 0);
            let kind = Kind::Record { at_server };
            self.pending.push(Event { client, server, client_port: 0, port: 8080, kind });
        }
    }

    /// The lines of one more connection, the last first.
    fn connect(&mut self) {
        let client = self.next(self.shape.workloads * self.shape.replicas);
        let server = self.server_of(client);
        let client_port = u16::try_from(32_768 + self.next(28_000)).unwrap();
        let event = |kind| Event { client, server, client_port, port: 8080, kind };
        let local = self.pods[client as usize].node == self.pods[server as usize].node;
        let mut packet = |kind: fn(bool, &'static str) -> Kind, flags| {
            self.pending.push(event(kind(true, flags)));
            if !local {
                self.pending.push(event(kind(false, flags)));
            }
        };
        packet(|at_server, flags| Kind::Reply { at_server, flags }, r#""SYN":true,"ACK":true"#);
        packet(|at_server, flags| Kind::Request { at_server, flags }, r#""SYN":true"#);
        if self.next(10) == 0 {
            self.pending.push(event(Kind::Dialled));
        }
        if self.next(4) == 0 {
            let flags = r#""FIN":true,"ACK":true"#;
            self.pending.insert(0, event(Kind::Request { at_server: true, flags }));
        }
    }

    fn advance(&mut self) {
        if self.pending.is_empty() {
            match self.format {
                Format::Hubble => self.connect(),
                Format::Record => self.report(),
            }
        }
        let Some(event) = self.pending.pop() else { return };
        self.line.clear();
        match event.kind {
            Kind::Record { at_server } => self.record(event, at_server),
            _ => {
                self.nanos += 1_234_567;
                self.hubble(event);
            }
        }
        self.line.push('\n');
        self.left -= 1;
        self.sent = 0;
    }

    fn time(&self, ahead: u64) -> String {
        let nanos = 1_772_413_200_000_000_000 + i128::from(self.nanos + ahead);
        format!("{:.9}", jiff::Timestamp::from_nanosecond(nanos).unwrap())
    }

    fn hubble(&mut self, event: Event) {
        let Event { client, server, client_port, port, kind } = event;
        let (c, s) = (&self.pods[client as usize], &self.pods[server as usize]);
        let time = self.time(0);
        let dialled = service_ip(server / self.shape.replicas);
        let world = r#"{"identity":2,"labels":["reserved:world"]}"#;
        let (at, from, to, flags, trace) = match kind {
            Kind::Dialled => (
                c.node,
                (c.ip, client_port, c.local.as_str()),
                (dialled, 80, world),
                r#""SYN":true"#,
                r#""event_type":{"type":4,"sub_type":5},"trace_observation_point":"FROM_ENDPOINT""#,
            ),
            Kind::Request { at_server: false, flags } => (
                c.node,
                (c.ip, client_port, c.local.as_str()),
                (s.ip, port, s.remote.as_str()),
                flags,
                r#""event_type":{"type":4,"sub_type":4},"traffic_direction":"EGRESS","trace_observation_point":"TO_OVERLAY","trace_reason":"NEW","is_reply":false"#,
            ),
            Kind::Request { at_server: true, flags } => (
                s.node,
                (c.ip, client_port, c.remote.as_str()),
                (s.ip, port, s.local.as_str()),
                flags,
                r#""event_type":{"type":4},"traffic_direction":"INGRESS","trace_observation_point":"TO_ENDPOINT","trace_reason":"NEW","is_reply":false,"interface":{"index":122,"name":"lxc27f62b645eb3"}"#,
            ),
            Kind::Reply { at_server: true, flags } => (
                s.node,
                (s.ip, port, s.local.as_str()),
                (c.ip, client_port, c.remote.as_str()),
                flags,
                r#""reply":true,"event_type":{"type":4,"sub_type":4},"traffic_direction":"INGRESS","trace_observation_point":"TO_OVERLAY","trace_reason":"REPLY","is_reply":true"#,
            ),
            Kind::Reply { .. } | Kind::Record { .. } => (
                c.node,
                (s.ip, port, s.remote.as_str()),
                (c.ip, client_port, c.local.as_str()),
                r#""SYN":true,"ACK":true"#,
                r#""reply":true,"event_type":{"type":4},"traffic_direction":"EGRESS","trace_observation_point":"TO_ENDPOINT","trace_reason":"REPLY","is_reply":true,"interface":{"index":88,"name":"lxc1ad2be2a0c11"}"#,
            ),
        };
        write!(
            self.line,
            r#"{{"flow":{{"time":"{time}","uuid":"7519458c-5cfc-453d-b8c1-{:012x}","verdict":"FORWARDED","ethernet":{{"source":"1e:71:7c:da:31:e9","destination":"f2:c2:33:73:4a:b3"}},"IP":{{"source":"{}","destination":"{}","ipVersion":"IPv4"}},"l4":{{"TCP":{{"source_port":{},"destination_port":{},"flags":{{{flags}}}}}}},"source":{},"destination":{},"Type":"L3_L4","node_name":"node-{at}",{trace},"Summary":"TCP Flags: SYN"}},"node_name":"node-{at}","time":"{time}"}}"#,
            self.nanos, from.0, to.0, from.1, to.1, from.2, to.2
        )
        .unwrap();
    }

    fn record(&mut self, event: Event, at_server: bool) {
        let (start, end) = (self.time(0), self.time(10_000_000_000));
        let side = if at_server { "server" } else { "client" };
        let (opened, bytes) = (self.next(20), self.next(100_000));
        let (c, s) = (&self.pods[event.client as usize], &self.pods[event.server as usize]);
        let at = if at_server { s } else { c };
        write!(
            self.line,
            r#"{{"version":1,"start":"{start}","end":"{end}","observer":{{"node":"node-{}","side":"{side}"}},"protocol":"TCP","source":{{"ip":"{}","pod":{}}},"destination":{{"ip":"{}","port":{},"pod":{}}},"connections":{{"opened":{opened},"refused":0,"denied":0}},"sent":{{"bytes":{bytes},"packets":{}}},"received":{{"bytes":{bytes},"packets":{}}}}}"#,
            at.node, c.ip, c.record, s.ip, event.port, s.record, bytes / 800, bytes / 700
        )
        .unwrap();
    }
}

impl Read for Generator {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < buffer.len() {
            if self.sent == self.line.len() {
                if self.left == 0 {
                    break;
                }
                self.advance();
            }
            let rest = &self.line.as_bytes()[self.sent..];
            let n = rest.len().min(buffer.len() - written);
            buffer[written..written + n].copy_from_slice(&rest[..n]);
            self.sent += n;
            written += n;
        }
        self.bytes += written as u64;
        Ok(written)
    }
}

impl Pod {
    fn new(n: u32, shape: &Shape) -> Self {
        let workload = n / shape.replicas;
        let (space, node) = (n / 400, n.wrapping_mul(31) % shape.nodes);
        let ip = Ipv4Addr::from(0x0a00_0000 + 256 * (n / 200) + n % 200 + 2);
        let name = format!("app-{workload}-5f85bf894b-{n:05}");
        let pod = format!(
            r#""cluster_name":"default","namespace":"space-{space}","labels":["k8s:app=app-{workload}","k8s:io.cilium.k8s.namespace.labels.environment=prod","k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=space-{space}","k8s:io.cilium.k8s.namespace.labels.team=shop","k8s:io.cilium.k8s.policy.cluster=default","k8s:io.cilium.k8s.policy.serviceaccount=app-{workload}","k8s:io.kubernetes.pod.namespace=space-{space}"],"pod_name":"{name}","workloads":[{{"name":"app-{workload}","kind":"Deployment"}}]}}"#
        );
        let identity = 1000 + workload;
        Self {
            ip,
            node,
            local: format!(r#"{{"ID":{},"identity":{identity},{pod}"#, n % 4000),
            remote: format!(r#"{{"identity":{identity},{pod}"#),
            record: format!(r#"{{"namespace":"space-{space}","name":"{name}"}}"#),
        }
    }
}

fn service_ip(workload: u32) -> Ipv4Addr {
    let IpAddr::V4(base) = IpAddr::from([10, 96, 0, 0]) else { return Ipv4Addr::UNSPECIFIED };
    Ipv4Addr::from(u32::from(base) + workload + 1)
}
