//! How fast the whole server answers from ten million buckets of edges, over its own listener:
//! `cargo bench -p ringfence-server --bench api`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark may fail")]

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ringfence_bench::{Aim, Quantity, Took, figure, heading, percentile, pin};
use ringfence_model::{
    AddressClass, EdgeKey, L4, Name, Nature, Peer, Port, Protocol, ServicePortRef, ServiceRef,
    Timestamp, WorkloadKind, WorkloadRef,
};
use ringfence_server::config::{Config, Flags};
use ringfence_store::{
    Arrivals, Counted, Counts, ObjectChange, ObjectKey, Options, Sqlite, Store, Tally,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CLUSTER: &str = "prod";
const NAMESPACES: usize = 10;
const WORKLOADS: usize = 100;
const PODS: usize = 3;
const EDGES: usize = 20_000;
const BUCKETS: usize = 10_000_000;
const GROUP: usize = 50_000;
const MINUTES: usize = 7 * 24 * 60;
const QUERIES: usize = 200;

/// A week ago, in seconds since 1970: what is older than the retention would go while it is asked for.
static BEGIN: LazyLock<i64> =
    LazyLock::new(|| ringfence_server::clock::now().nanos() / 1_000_000_000 - 7 * 24 * 3_600);

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ringfence.db");
    fill(&Sqlite::open(&file, &Options::default()).unwrap());
    println!(
        "{NAMESPACES} namespaces of {WORKLOADS} workloads and {} pods; {EDGES} edges over 7 days in {BUCKETS} \
         buckets of a minute",
        WORKLOADS * PODS
    );
    heading("the API, with the server and its client on one core");
    pin(0).unwrap();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(measure(&file));
}

async fn measure(file: &Path) {
    let begun = Instant::now();
    let listen = Some("127.0.0.1:0".parse().unwrap());
    let flags = Flags { listen, store: Some(file.to_owned()) };
    // One client asks more than a person would.
    let text = "limits: {requestsPerSecond: 10000, burst: 10000}";
    let config = Config::parse(text, file, &flags).unwrap();
    let server = ringfence_server::serve::start(config).await.unwrap();
    let mut client = Client::connect(server.address()).await;
    client.get("/readyz").await;
    let ready = Quantity::Time(begun.elapsed());
    figure("ready", ready, Aim::AtMost(Quantity::Time(Duration::from_secs(5))));

    let cluster = format!("/api/v1/clusters/{CLUSTER}");
    let window = format!("from={}&until={}", at(0), at(MINUTES));
    let hundredth = Aim::AtMost(Quantity::Time(Duration::from_millis(100)));
    let edges = |namespace: usize| {
        format!(
            "{cluster}/edges?namespace=team-{namespace}&direction=ingress&{window}&pageSize=100"
        )
    };
    client.measure("a page of the edges of a namespace, 7 days", QUERIES, hundredth, edges).await;
    let workload = |n: usize| {
        let (namespace, app) = (n % NAMESPACES, n % WORKLOADS);
        format!(
            "{cluster}/edges?namespace=team-{namespace}&kind=Deployment&name=app-{app}&direction=egress&{window}"
        )
    };
    client.measure("the edges of a workload, 7 days", QUERIES, hundredth, workload).await;
    let aim = Aim::AtMost(Quantity::Time(Duration::from_millis(300)));
    let yaml = |n: usize| format!("{cluster}/policies.yaml?namespace=team-{n}&{window}");
    client.measure("policies of a namespace of 100 workloads, proven", 20, aim, yaml).await;
    let policies = |n: usize| format!("{cluster}/policies?namespace=team-{n}&{window}");
    let what = "the same with certificate and all pairs that change";
    client.measure(what, 20, Aim::None, policies).await;
    let topology = |n: usize| format!("{cluster}/topology?namespace=team-{n}&{window}");
    client.measure("topology of a namespace", 30, Aim::None, topology).await;
    let addresses = |_| format!("{cluster}/addresses?{window}");
    client.measure("unresolved addresses of the cluster", 10, Aim::None, addresses).await;
    server.stop().await;
}

/// A client that keeps its connection.
struct Client(TcpStream);

impl Client {
    async fn connect(address: std::net::SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Prints the median and the 99th percentile of so many answers.
    async fn measure(
        &mut self,
        what: &str,
        times: usize,
        aim: Aim,
        path: impl Fn(usize) -> String,
    ) {
        let mut took = Vec::new();
        for n in 0..times {
            let (path, begun) = (path(n % NAMESPACES), Instant::now());
            self.get(&path).await;
            took.push(Took { time: begun.elapsed(), ..Took::default() });
        }
        figure(what, Quantity::Time(percentile(&took, 50).time), Aim::None);
        figure("    99th percentile", Quantity::Time(percentile(&took, 99).time), aim);
    }

    /// The body of an answer that must be fine.
    async fn get(&mut self, path: &str) -> Vec<u8> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.0.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let end = loop {
            assert_ne!(self.0.read_buf(&mut bytes).await.unwrap(), 0, "closed");
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
        let mut body = bytes.split_off(end + 4);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap_or_else(|| panic!("no length: {head}")).parse().unwrap();
        while body.len() < length {
            assert_ne!(self.0.read_buf(&mut body).await.unwrap(), 0, "closed");
        }
        body
    }
}

fn at(minute: usize) -> Timestamp {
    Timestamp::from_secs(*BEGIN + i64::try_from(minute).unwrap() * 60)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn fill(store: &Sqlite) {
    let cluster = name(CLUSTER);
    for changes in objects().chunks(1_000) {
        store.record_objects(&cluster, changes).unwrap();
    }
    let edges: Vec<(EdgeKey, ServicePortRef)> = (0..EDGES).map(edge).collect();
    let per_minute = BUCKETS / MINUTES;
    let mut group = Vec::with_capacity(GROUP + per_minute);
    let mut turn = 0;
    for minute in 0..MINUTES {
        for _ in 0..per_minute {
            // A stride that visits all of them, some minutes apart.
            turn = (turn + 7_919) % EDGES;
            let (key, service) = edges[turn].clone();
            let client = Tally { opened: 3, sent: 3_000, received: 9_000, ..Tally::default() };
            let last = Timestamp::from_nanos(at(minute).nanos() + 59_000_000_000);
            let counts = Counts { client, server: client, ..Counts::seen(at(minute), last) };
            let (cluster, at) = (cluster.clone(), at(minute));
            group.push(Counted { cluster, at, key, counts, services: vec![service] });
        }
        if group.len() >= GROUP || minute + 1 == MINUTES {
            let edges = std::mem::take(&mut group);
            store.record(&Arrivals { edges, ..Arrivals::default() }).unwrap();
        }
    }
}

/// Most edges stay inside a namespace, some come from outside the cluster or from another namespace.
fn edge(n: usize) -> (EdgeKey, ServicePortRef) {
    let (namespace, app) = (n % NAMESPACES, n / NAMESPACES % WORKLOADS);
    let other = (n / NAMESPACES / WORKLOADS * 17 + app + 1) % WORKLOADS;
    let workload = |namespace: usize, app: usize| WorkloadRef {
        namespace: name(&format!("team-{namespace}")),
        kind: WorkloadKind::Deployment,
        name: name(&format!("app-{app}")),
    };
    let to = workload(namespace, app);
    let source = match n / NAMESPACES / WORKLOADS {
        0 => {
            let ip = std::net::Ipv4Addr::from_bits(0xc633_6400 | u32::try_from(n & 0xff).unwrap());
            Peer::Address(ip.into(), AddressClass::External)
        }
        1..=3 => Peer::Workload(workload((namespace + 1) % NAMESPACES, other)),
        _ => Peer::Workload(workload(namespace, other)),
    };
    let port = Port::new(8_080 + u16::try_from(n % 2).unwrap()).unwrap();
    let service = ServicePortRef {
        service: ServiceRef { namespace: to.namespace.clone(), name: to.name.clone() },
        port: Port::new(80).unwrap(),
    };
    let l4 = L4::Port(Protocol::Tcp, port);
    (EdgeKey { source, destination: Peer::Workload(to), l4, nature: Nature::Ordinary }, service)
}

fn objects() -> Vec<ObjectChange> {
    let mut objects = Vec::new();
    for n in 0..NAMESPACES {
        let namespace = format!("team-{n}");
        objects.push(object(
            "Namespace",
            None,
            &namespace,
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        ));
        for app in 0..WORKLOADS {
            objects.extend(workload(n, &namespace, app));
        }
    }
    objects
}

fn workload(n: usize, namespace: &str, app: usize) -> Vec<ObjectChange> {
    let called = format!("app-{app}");
    let labels = json!({"app": called});
    let ports = json!([{"containerPort": 8080}, {"containerPort": 8081}]);
    let containers = json!([{"name": "app", "ports": ports}]);
    let metadata = json!({"name": called, "namespace": namespace, "labels": labels});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {
            "replicas": PODS,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {
            "selector": labels, "clusterIP": format!("172.20.{n}.{app}"),
            "ports": [{"port": 80, "targetPort": 8080}],
        },
    });
    let set = format!("{called}-7b69698887");
    let replicas = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": set, "namespace": namespace, "labels": labels,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": called, "controller": true}],
        },
        "spec": {"replicas": PODS, "selector": {"matchLabels": labels}},
    });
    let mut objects = vec![
        object("Deployment", Some(namespace), &called, &deployment),
        object("Service", Some(namespace), &called, &service),
        object("ReplicaSet", Some(namespace), &set, &replicas),
    ];
    for pod in 0..PODS {
        let (pod_name, ip) = (format!("{set}-{pod}"), format!("10.{n}.{app}.{}", pod + 1));
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": pod_name, "namespace": namespace, "labels": labels,
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set, "controller": true}],
            },
            "spec": {"nodeName": "node-1", "containers": containers},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
        });
        objects.push(object("Pod", Some(namespace), &pod_name, &pod));
    }
    objects
}

fn object(kind: &str, namespace: Option<&str>, called: &str, json: &Value) -> ObjectChange {
    ObjectChange {
        key: ObjectKey {
            kind: kind.into(),
            namespace: namespace.map(name),
            name: called.into(),
            uid: called.into(),
        },
        at: at(0),
        json: Some(json.to_string().into()),
    }
}
