//! What the store takes with 10 million buckets of edges, beside what it is meant to take.
//! `cargo bench -p ringfence-store`
#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::fs;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use ringfence_bench::{Aim, Quantity, Took, Watch, figure, heading, percentile};
use ringfence_model::{
    AddressClass, EdgeKey, L4, Name, Nature, Peer, Port, Protocol, ServicePortRef, ServiceRef,
    Span, Timestamp, WorkloadKind, WorkloadRef,
};
use ringfence_store::{
    Arrivals, AuditEntry, Counted, Counts, EdgeQuery, ObjectChange, ObjectKey, Options, Retention,
    Sqlite, Store, Tally,
};

const ROWS: u64 = 10_000_000;
const GROUP: usize = 50_000;
const EDGES: u64 = 20_000;
const NAMESPACES: u64 = 50;
const WORKLOADS_PER_NAMESPACE: u64 = 20;
const MINUTES: i64 = 7 * 24 * 60;
const QUERIES: usize = 300;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ringfence.db");
    println!(
        "{EDGES} edges in {NAMESPACES} namespaces over 7 days: {ROWS} buckets of a minute, in groups of {GROUP}"
    );
    heading("the store");
    let store = Sqlite::open(&path, &Options::default()).unwrap();
    fill(&store);
    figure("file", Quantity::Memory(size(&path)), Aim::None);
    queries(&store);
    objects(&store);
    copies(&store);
    drop(store);
    opening(&path);
    retention(&path);
}

fn ms(milliseconds: u64) -> Aim {
    Aim::AtMost(Quantity::Time(Duration::from_millis(milliseconds)))
}

/// A time, and what of it the processor worked.
fn timed(what: &str, took: Took, aim: Aim) {
    let Took { time, processor } = took;
    figure(what, Quantity::Time(time), aim);
    figure("    of it at work", Quantity::Time(processor), Aim::None);
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// Numbers that look random, the same in every run (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Small numbers more often than large ones, as some edges are always busy and many hardly ever.
    fn skewed(&mut self, bound: u64) -> u64 {
        self.below(bound) * self.below(bound) / bound
    }
}

fn namespace(n: u64) -> Name {
    Name::new(format!("team-{n}")).unwrap()
}

fn workload(namespace_number: u64, n: u64) -> WorkloadRef {
    WorkloadRef {
        namespace: namespace(namespace_number),
        kind: WorkloadKind::Deployment,
        name: Name::new(format!("app-{n}")).unwrap(),
    }
}

/// Half of the edges stay inside a namespace, a tenth comes from outside the cluster.
fn edge(random: &mut Random, n: u64) -> (EdgeKey, Vec<ServicePortRef>) {
    let to = workload(random.below(NAMESPACES), random.below(WORKLOADS_PER_NAMESPACE));
    let service = ServicePortRef {
        service: ServiceRef { namespace: to.namespace.clone(), name: to.name.clone() },
        port: Port::new(80).unwrap(),
    };
    let from = random.below(WORKLOADS_PER_NAMESPACE);
    let source = match n % 10 {
        0 => {
            let ip = std::net::Ipv4Addr::from_bits(0xc600_0000 | u32::try_from(n).unwrap());
            Peer::Address(ip.into(), AddressClass::External)
        }
        1..=5 => {
            Peer::Workload(WorkloadRef { namespace: to.namespace.clone(), ..workload(0, from) })
        }
        _ => Peer::Workload(workload(random.below(NAMESPACES), from)),
    };
    // Enough ports that no two edges are the same.
    let port = Port::new(8000 + u16::try_from(n % 1000).unwrap()).unwrap();
    let l4 = L4::Port(Protocol::Tcp, port);
    let key = EdgeKey { source, destination: Peer::Workload(to), l4, nature: Nature::Ordinary };
    (key, vec![service])
}

fn fill(store: &Sqlite) {
    let mut random = Random(7);
    let cluster = Name::new("prod").unwrap();
    let edges: Vec<_> = (0..EDGES).map(|n| edge(&mut random, n)).collect();
    let per_minute = ROWS / u64::try_from(MINUTES).unwrap();
    let (mut group, mut stored, mut times) = (Vec::new(), 0_u64, Vec::new());
    let mut flush = |group: &mut Vec<Counted>| {
        let arrivals = Arrivals { edges: std::mem::take(group), ..Arrivals::default() };
        let watch = Watch::start();
        store.record(&arrivals).unwrap();
        times.push(watch.stop());
        stored += arrivals.edges.len() as u64;
    };
    for minute in 0..MINUTES {
        let at = Timestamp::from_secs(1_772_409_600 + minute * 60);
        for _ in 0..per_minute {
            let (key, services) = &edges[usize::try_from(random.skewed(EDGES)).unwrap()];
            let (opened, sent) = (random.below(50) + 1, random.below(100_000));
            let client = Tally { opened, sent, received: 3 * sent, ..Tally::default() };
            let last = Timestamp::from_nanos(at.nanos() + 59_000_000_000);
            let counts = Counts { client, server: client, ..Counts::seen(at, last) };
            let (cluster, key, services) = (cluster.clone(), key.clone(), services.clone());
            group.push(Counted { cluster, at, key, counts, services });
        }
        if group.len() >= GROUP {
            flush(&mut group);
        }
    }
    flush(&mut group);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rate = |part: fn(&Took) -> Duration| {
        Quantity::Rate(stored as f64 / times.iter().map(part).sum::<Duration>().as_secs_f64())
    };
    let aim = Aim::AtLeast(Quantity::Rate(100_000.0));
    figure("buckets recorded, durable", rate(|took| took.time), aim);
    figure("    of time at work", rate(|took| took.processor), Aim::None);
    // A group that holds one minute of many edges touches each coarser bucket for one row.
    let at = Timestamp::from_secs(1_772_409_600 + MINUTES * 60);
    let edges = edges.iter().cycle().take(GROUP).enumerate().map(|(n, (key, services))| {
        let mut key = key.clone();
        key.l4 =
            L4::Port(Protocol::Udp, Port::new(u16::try_from(n / 20_000 + 1).unwrap()).unwrap());
        let counts = Counts::seen(at, at);
        Counted { cluster: cluster.clone(), at, key, counts, services: services.clone() }
    });
    let arrivals = Arrivals { edges: edges.collect(), ..Arrivals::default() };
    let watch = Watch::start();
    store.record(&arrivals).unwrap();
    timed("group of 50,000 new edges in one minute", watch.stop(), Aim::None);
    let watch = Watch::start();
    store.record(&arrivals).unwrap();
    timed("the same group again", watch.stop(), ms(500));
}

fn queries(store: &Sqlite) {
    let cluster = Name::new("prod").unwrap();
    let mut random = Random(11);
    let end = 1_772_409_600 + MINUTES * 60;
    let week = MINUTES * 60;
    for (what, length, aim) in [
        ("edges of a namespace, 7 days", week, ms(100)),
        ("edges of a namespace, a day", 24 * 3600, ms(100)),
        ("edges of a namespace, an hour", 3600, ms(100)),
    ] {
        let mut times = Vec::new();
        let mut edges = 0;
        for n in 0..QUERIES {
            let until = end - i64::try_from(random.below(3600 * 5)).unwrap() - (week - length) / 2;
            let window = Span {
                from: Timestamp::from_secs(until - length),
                until: Timestamp::from_secs(until),
            };
            let namespace = Some(namespace(n as u64 % NAMESPACES));
            let query = EdgeQuery { cluster: cluster.clone(), window, namespace };
            let watch = Watch::start();
            edges += black_box(store.edges(&query).unwrap()).len();
            times.push(watch.stop());
        }
        println!("{what}: {} edges on average", edges / QUERIES);
        timed("  median", percentile(&times, 50), Aim::None);
        timed("  99th percentile", percentile(&times, 99), aim);
    }
    let watch = Watch::start();
    let query = EdgeQuery { cluster, window: Span::ALL, namespace: None };
    let edges = store.edges(&query).unwrap().len();
    timed(&format!("all {edges} edges, all time"), watch.stop(), Aim::None);
}

/// As many pods as the largest clusters have, noted, noted again unchanged, and read.
fn objects(store: &Sqlite) {
    const PODS: usize = 100_000;
    let cluster = Name::new("prod").unwrap();
    let at = Timestamp::from_secs(1_772_409_600);
    let pods: Vec<ObjectChange> = (0..PODS).map(|n| pod(n, at)).collect();
    println!("{PODS} pods in groups of 1,000");
    let before = size(store.path());
    for what in ["  noted", "  noted again, unchanged"] {
        let watch = Watch::start();
        for group in pods.chunks(1_000) {
            store.record_objects(&cluster, group).unwrap();
        }
        timed(what, watch.stop(), Aim::None);
    }
    figure("  growth of the file", Quantity::Memory(size(store.path()) - before), Aim::None);
    let window = Span { from: at, until: Timestamp::MAX };
    let watch = Watch::start();
    assert_eq!(store.objects(&cluster, window).unwrap().len(), PODS);
    timed("  all that are there", watch.stop(), Aim::None);
}

fn pod(n: usize, at: Timestamp) -> ObjectChange {
    let (namespace, app, node) = (n % 50, n / 20, n % 1_000);
    let json = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"app-{app}-7b69698887-{n}","namespace":"team-{namespace}","uid":"{:08x}-5f2c-4a51-9b6e-{n:012x}","labels":{{"app":"app-{app}","pod-template-hash":"7b69698887","app.kubernetes.io/part-of":"team-{namespace}"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"app-{app}-7b69698887","controller":true}}]}},"spec":{{"nodeName":"node-{node}","containers":[{{"name":"app","ports":[{{"name":"http","containerPort":8080,"protocol":"TCP"}}]}}]}},"status":{{"phase":"Running","startTime":"2026-03-01T10:00:00Z","podIP":"10.{}.{}.{}","podIPs":[{{"ip":"10.{}.{}.{}"}}]}}}}"#,
        n * 2_654_435_761 % 0xffff_ffff,
        n >> 16,
        n >> 8 & 255,
        n & 255,
        n >> 16,
        n >> 8 & 255,
        n & 255,
    );
    ObjectChange {
        key: ObjectKey {
            kind: "Pod".into(),
            namespace: Some(self::namespace(namespace as u64)),
            name: format!("app-{app}-7b69698887-{n}").into(),
            uid: format!("{n:032x}").into(),
        },
        at,
        json: Some(json.into()),
    }
}

fn copies(store: &Sqlite) {
    let watch = Watch::start();
    let copy = store.path().with_file_name("copy.db");
    store.backup(&copy).unwrap();
    timed("backup", watch.stop(), Aim::None);
    fs::remove_file(copy).unwrap();
    let watch = Watch::start();
    let mut records = 0;
    let end = store.export(&Name::new("prod").unwrap(), &mut |record| {
        black_box(record);
        records += 1;
        ControlFlow::Continue(())
    });
    assert!(end.unwrap().is_continue());
    timed(&format!("export of {records} records"), watch.stop(), Aim::None);
}

/// The older half of the minutes goes.
fn retention(path: &Path) {
    let store = Sqlite::open(path, &Options::default()).unwrap();
    let now = Timestamp::from_secs(1_772_409_600 + MINUTES * 60);
    let retention = Retention { minutes_for: Duration::from_hours(7 * 12), ..Retention::default() };
    let (mut removed, mut times) = (0, Vec::new());
    loop {
        let watch = Watch::start();
        let done = store.maintain(now, &retention).unwrap();
        times.push(watch.stop());
        removed += done.removed;
        if done.is_done {
            break;
        }
    }
    println!("retention: {removed} rows removed in {} calls", times.len());
    timed("  median call", percentile(&times, 50), Aim::None);
    timed("  longest call", percentile(&times, 100), ms(1000));
    figure("  file", Quantity::Memory(size(path)), Aim::None);
}

fn opening(path: &Path) {
    let watch = Watch::start();
    let store = Sqlite::open(path, &Options::default()).unwrap();
    timed("open", watch.stop(), ms(5000));
    // What a killed process leaves behind is the file and its log.
    store.record(&Arrivals::default()).unwrap();
    store
        .put_setting(
            "a",
            None,
            &AuditEntry {
                at: Timestamp::default(),
                who: String::new(),
                action: String::new(),
                object: String::new(),
                detail: String::new(),
            },
        )
        .unwrap();
    let killed = path.with_file_name("killed.db");
    for suffix in ["", "-wal"] {
        let [from, to] = [path, &killed].map(|path| format!("{}{suffix}", path.display()));
        fs::copy(from, to).unwrap();
    }
    let watch = Watch::start();
    drop(Sqlite::open(&killed, &Options::default()).unwrap());
    timed("open after a kill", watch.stop(), ms(5000));
    fs::remove_file(&killed).unwrap();
}
