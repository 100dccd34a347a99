//! Connections: the call graph played out between the pods of the day.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::call::{CALLS, Call, Class, DENIED_PORTS, GHOST_HOST, REFUSED_PORTS, Target, VISITORS};
use super::pod::{self, Pod};
use super::shop::{
    API_PORT, API_SERVICE, BEGIN, END, Kind, NODES, Node, SERVICES, Service, Workload,
};
use crate::clock::{HOUR, MINUTE, Moment, SECOND};
use crate::random::Random;

/// An end of a connection.
#[derive(Clone, Debug)]
pub enum End {
    Pod(Pod),
    /// A node, at its address or at the CNI's own.
    Node(&'static Node, String),
    /// An address outside and the name it was looked up by.
    Outside(&'static str, &'static str),
    /// An address in the pod range that no pod has, seen from this node.
    Ghost(&'static Node, String),
}

impl End {
    /// Its address in the family of the other end.
    fn address(&self, v6: bool) -> &str {
        match self {
            Self::Pod(pod) if v6 => &pod.addresses[1],
            Self::Pod(pod) => pod.v4(),
            Self::Node(_, address) | Self::Ghost(_, address) => address,
            Self::Outside(_, address) => address,
        }
    }

    /// The node that it is on.
    pub fn node(&self) -> Option<&'static Node> {
        match self {
            Self::Pod(pod) => Some(pod.node),
            Self::Node(node, _) | Self::Ghost(node, _) => Some(node),
            Self::Outside(..) => None,
        }
    }
}

/// Protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
    Icmp,
}

/// How a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Opened, used and closed.
    Ordinary,
    /// Opened before the log begins and still open at its end.
    LongLived,
    /// Stopped by a policy.
    Dropped,
    /// Answered with a reset.
    Refused,
}

/// A Service that was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dialled {
    pub namespace: &'static str,
    pub name: &'static str,
    /// Its virtual address, if it has one.
    pub cluster_ip: Option<&'static str>,
    pub port: u16,
}

/// A connection.
#[derive(Clone, Debug)]
pub struct Connection {
    pub class: Class,
    pub start: Moment,
    pub client: End,
    pub server: End,
    pub source: String,
    pub destination: String,
    pub transport: Transport,
    pub client_port: u16,
    pub server_port: u16,
    pub dialled: Option<Dialled>,
    pub course: Course,
}

/// Of a hundred visits in the busiest hour, how many there are in each hour of the day.
const BUSINESS: [u64; 24] = [
    20, 15, 12, 10, 10, 15, 30, 50, 70, 85, 95, 100, 100, 95, 90, 90, 95, 100, 95, 85, 70, 55, 40,
    30,
];

/// Plays the day.
pub fn all() -> anyhow::Result<Vec<Connection>> {
    let mut day = Day {
        random: Random::seeded(20_260_511),
        pods: pod::all(),
        next_port: BTreeMap::new(),
        connections: Vec::new(),
    };
    for call in CALLS {
        day.play(call).with_context(|| format!("{call:?}"))?;
    }
    day.look_up_names()?;
    day.visit()?;
    day.probe_and_scrape()?;
    day.keep_pool_open()?;
    day.scan()?;
    day.ping_and_haunt()?;
    Ok(day.connections)
}

struct Day {
    random: Random,
    pods: Vec<Pod>,
    next_port: BTreeMap<String, u16>,
    connections: Vec<Connection>,
}

impl Day {
    fn play(&mut self, call: &Call) -> anyhow::Result<()> {
        for index in 0..call.count {
            let (client, start) = self.client(call, index)?;
            let (server, server_port, dialled, udp) = match call.target {
                Target::Service(namespace, name, port) => {
                    let (server, target, dialled) = self.behind(namespace, name, port, start)?;
                    (server, target, Some(dialled), false)
                }
                Target::FirstPod(namespace, name, port) => {
                    let first = self
                        .pods
                        .iter()
                        .find(|pod| {
                            pod.workload.namespace == namespace && pod.workload.name == name
                        })
                        .context("no pod")?;
                    let dialled = Dialled { namespace, name, cluster_ip: None, port };
                    (End::Pod(first.clone()), port, Some(dialled), false)
                }
                Target::Outside { name, addresses, port, udp } => {
                    (End::Outside(name, self.random.pick::<&str>(addresses)), port, None, udp)
                }
                Target::ApiServer => {
                    let node = &NODES[0];
                    let dialled = Dialled {
                        namespace: "default",
                        name: "kubernetes",
                        cluster_ip: Some(API_SERVICE),
                        port: 443,
                    };
                    (End::Node(node, node.address.to_owned()), API_PORT, Some(dialled), false)
                }
                Target::OwnNode(port) => {
                    let node = client.node;
                    (End::Node(node, node.address.to_owned()), port, None, true)
                }
            };
            let transport = if udp { Transport::Udp } else { Transport::Tcp };
            self.connect(
                call.class,
                start,
                End::Pod(client),
                server,
                transport,
                server_port,
                dialled,
            );
        }
        Ok(())
    }

    /// A pod of the caller and a moment while it runs.
    fn client(&mut self, call: &Call, index: u64) -> anyhow::Result<(Pod, Moment)> {
        let pods: Vec<Pod> =
            self.pods.iter().filter(|pod| is(pod, call.namespace, call.client)).cloned().collect();
        if pods.first().is_some_and(|pod| pod.workload.kind == Kind::CronJob) {
            // The runs take turns.
            let pod = &pods[usize::try_from(index)? % pods.len()];
            let until = pod.until.context("a report ends")?;
            let start = pod.from.plus(self.random.below(until.0 - pod.from.0 - 10 * SECOND));
            return Ok((pod.clone(), start));
        }
        if matches!(call.target, Target::FirstPod(_, name, _) if name == call.client) {
            // The replica follows the first pod.
            let replica = pods.last().context("a replica")?;
            return Ok((replica.clone(), self.moment()));
        }
        let start = self.moment();
        let running: Vec<Pod> = pods.into_iter().filter(|pod| pod.runs_at(start)).collect();
        anyhow::ensure!(!running.is_empty(), "no pod of {} at {start}", call.client);
        Ok((self.random.pick(&running).clone(), start))
    }

    /// A pod behind a Service, the port there, and what was dialled.
    fn behind(
        &mut self,
        namespace: &'static str,
        name: &'static str,
        port: u16,
        start: Moment,
    ) -> anyhow::Result<(End, u16, Dialled)> {
        let service = service(namespace, name)?;
        let server = self.pod(namespace, service.workload, start)?;
        let target =
            service.ports.iter().find(|p| p.port == port).context("no such Service port")?;
        let End::Pod(pod) = &server else { anyhow::bail!("a Service leads to pods") };
        let target = pod.workload.port_number(target.target)?;
        let dialled = Dialled { namespace, name, cluster_ip: service.exposure.cluster_ip(), port };
        Ok((server, target, dialled))
    }

    fn pod(&mut self, namespace: &str, name: &str, start: Moment) -> anyhow::Result<End> {
        let running: Vec<Pod> = self
            .pods
            .iter()
            .filter(|pod| is(pod, namespace, name) && pod.runs_at(start))
            .cloned()
            .collect();
        anyhow::ensure!(!running.is_empty(), "no pod of {namespace}/{name} at {start}");
        Ok(End::Pod(self.random.pick(&running).clone()))
    }

    /// A moment of the day, more often in business hours, with room for the packets until the end.
    fn moment(&mut self) -> Moment {
        loop {
            let offset = self.random.below(END.0 - BEGIN.0 - MINUTE);
            let hour = usize::try_from(offset / HOUR % 24).unwrap_or_default();
            if self.random.percent(BUSINESS[hour]) {
                return BEGIN.plus(offset);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one place fills in a connection")]
    fn connect(
        &mut self,
        class: Class,
        start: Moment,
        client: End,
        server: End,
        transport: Transport,
        server_port: u16,
        dialled: Option<Dialled>,
    ) -> &mut Connection {
        let v6 = [&client, &server]
            .iter()
            .any(|end| matches!(end, End::Outside(_, address) if address.contains(':')));
        let source = client.address(v6).to_owned();
        let destination = server.address(v6).to_owned();
        let client_port = self.port(&source);
        self.connections.push(Connection {
            class,
            start,
            client,
            server,
            source,
            destination,
            transport,
            client_port,
            server_port,
            dialled,
            course: Course::Ordinary,
        });
        let last = self.connections.len() - 1;
        &mut self.connections[last]
    }

    /// The next ephemeral port of an address: never the same twice, so that a socket pair is one connection.
    fn port(&mut self, address: &str) -> u16 {
        let step = 1 + self.random.below(3);
        let step = u16::try_from(step).unwrap_or(1);
        let port = self.next_port.entry(address.to_owned()).or_insert(32_768);
        *port += step;
        *port
    }

    /// Look-ups before some of the calls that use a name, and at least one for each caller.
    fn look_up_names(&mut self) -> anyhow::Result<()> {
        let mut looked_up = BTreeMap::new();
        for connection in self.connections.clone() {
            let by_name = connection.dialled.is_some()
                || matches!(connection.server, End::Outside(name, _) if !name.is_empty());
            let End::Pod(pod) = &connection.client else { continue };
            let count = looked_up.entry(pod.workload.path()).or_insert(0_u32);
            if !by_name
                || pod.workload.name == "coredns"
                || (*count > 0 && !self.random.percent(11))
            {
                continue;
            }
            // A large answer is truncated, and asked for again over TCP.
            let transport = if *count % 14 == 3 { Transport::Tcp } else { Transport::Udp };
            *count += 1;
            // The report begins with a look-up; others ask just before they call.
            let start = Moment(connection.start.0.max(BEGIN.0 + SECOND) - 4_000);
            let start = if pod.runs_at(start) { start } else { connection.start };
            let (server, port, dialled) = self.behind("kube-system", "kube-dns", 53, start)?;
            let client = connection.client.clone();
            self.connect(Class::Dns, start, client, server, transport, port, Some(dialled));
        }
        Ok(())
    }

    /// Visitors at the node ports. The node that they reach passes them on from its own address.
    fn visit(&mut self) -> anyhow::Result<()> {
        for &(address, count) in VISITORS {
            for _ in 0..count {
                let start = self.moment();
                let node = self.random.pick(NODES);
                let (server, port, dialled) = self.behind("platform", "ingress", 443, start)?;
                let node_end = End::Node(node, node.address.to_owned());
                let visitor = End::Outside("", address);
                let dialled = Some(Dialled { cluster_ip: None, ..dialled });
                self.connect(
                    Class::NodeportFrontdoor,
                    start,
                    visitor,
                    node_end.clone(),
                    Transport::Tcp,
                    30_443,
                    dialled,
                );
                self.connect(
                    Class::IngressNodeport,
                    start.plus(90),
                    node_end,
                    server,
                    Transport::Tcp,
                    port,
                    dialled,
                );
            }
        }
        Ok(())
    }

    /// Probes from each pod's own node, and scrapes of each pod, thinned to one in a while.
    fn probe_and_scrape(&mut self) -> anyhow::Result<()> {
        for pod in self.pods.clone() {
            if pod.workload.kind == Kind::CronJob {
                continue;
            }
            for port in pod.workload.probed_ports()? {
                for start in self.regularly(&pod, 45 * MINUTE) {
                    let node = pod.node;
                    let address = if node.probes_from_router {
                        node.router()
                    } else {
                        node.address.to_owned()
                    };
                    let kubelet = End::Node(node, address);
                    let server = End::Pod(pod.clone());
                    self.connect(Class::Probe, start, kubelet, server, Transport::Tcp, port, None);
                }
            }
            let Some(port) = pod.workload.scraped_at else { continue };
            for start in self.regularly(&pod, HOUR) {
                let collector = self.pod("platform", "metrics", start)?;
                let server = if pod.workload.host_network {
                    End::Node(pod.node, pod.node.address.to_owned())
                } else {
                    End::Pod(pod.clone())
                };
                self.connect(Class::Scrape, start, collector, server, Transport::Tcp, port, None);
            }
        }
        Ok(())
    }

    /// One moment in each period while the pod runs.
    fn regularly(&mut self, pod: &Pod, period: u64) -> Vec<Moment> {
        let mut moments = Vec::new();
        let mut at = BEGIN;
        while at.plus(period) <= END {
            let start = at.plus(SECOND + self.random.below(period - MINUTE));
            if pod.runs_at(start) && pod.runs_at(start.plus(5 * SECOND)) {
                moments.push(start);
            }
            at = at.plus(period);
        }
        moments
    }

    /// Database connections that `orders` opened before the log begins.
    fn keep_pool_open(&mut self) -> anyhow::Result<()> {
        let database = self.pod_named("shop", "orders-db")?;
        let orders: Vec<Pod> =
            self.pods.iter().filter(|pod| is(pod, "shop", "orders")).cloned().collect();
        for pod in orders {
            for _ in 0..2 {
                let dialled =
                    Dialled { namespace: "shop", name: "orders-db", cluster_ip: None, port: 5432 };
                let (client, server) = (End::Pod(pod.clone()), End::Pod(database.clone()));
                let start = BEGIN.plus(self.random.below(HOUR));
                self.connect(
                    Class::App,
                    start,
                    client,
                    server,
                    Transport::Tcp,
                    5432,
                    Some(dialled),
                )
                .course = Course::LongLived;
            }
        }
        Ok(())
    }

    /// Somebody in the pod of `invoicing` looks around.
    fn scan(&mut self) -> anyhow::Result<()> {
        let scanner = self.pod_named("legacy", "invoicing")?;
        let cache = self.pod_named("shop", "cache")?;
        let web = self.pod_named("shop", "web")?;
        let afternoon = BEGIN.plus(14 * HOUR + 24 * MINUTE);
        let denied =
            DENIED_PORTS.iter().map(|&port| (&cache, port, Class::ScanDenied, Course::Dropped));
        let refused =
            REFUSED_PORTS.iter().map(|&port| (&web, port, Class::ScanRefused, Course::Refused));
        let mut start = afternoon;
        for (server, port, class, course) in denied.chain(refused) {
            start = start.plus(9 * SECOND + self.random.below(SECOND));
            let (client, server) = (End::Pod(scanner.clone()), End::Pod(server.clone()));
            self.connect(class, start, client, server, Transport::Tcp, port, None).course = course;
        }
        Ok(())
    }

    /// A few pings, and connections from an address in the pod range that no pod has.
    fn ping_and_haunt(&mut self) -> anyhow::Result<()> {
        for _ in 0..6 {
            let client = End::Pod(self.pod_named("legacy", "invoicing")?);
            let server = End::Pod(self.pod_named("shop", "web")?);
            let start = self.moment();
            self.connect(Class::Icmp, start, client, server, Transport::Icmp, 0, None);
        }
        for _ in 0..9 {
            let node = &NODES[2];
            let ghost = End::Ghost(node, node.pod_v4(GHOST_HOST));
            let start = self.moment();
            let server = self.pod("shop", "catalog", start)?;
            self.connect(Class::Unresolved, start, ghost, server, Transport::Tcp, 8000, None);
        }
        Ok(())
    }

    fn pod_named(&self, namespace: &str, name: &str) -> anyhow::Result<Pod> {
        self.pods
            .iter()
            .find(|pod| is(pod, namespace, name))
            .cloned()
            .with_context(|| format!("no pod of {namespace}/{name}"))
    }
}

fn is(pod: &Pod, namespace: &str, name: &str) -> bool {
    let Workload { namespace: its_namespace, name: its_name, .. } = pod.workload;
    *its_namespace == namespace && *its_name == name
}

/// Finds a Service.
fn service(namespace: &str, name: &str) -> anyhow::Result<&'static Service> {
    SERVICES
        .iter()
        .find(|service| service.namespace == namespace && service.name == name)
        .with_context(|| format!("no Service {namespace}/{name}"))
}
