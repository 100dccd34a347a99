//! A cluster with 100,000 pods: how long until it is synced, how much memory that takes, and how soon a change shows.
//!
//! The API server is a process of its own, so that its memory is not counted.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringfence_bench::{Aim, Quantity, figure, heading, largest_memory, processor_time};
use ringfence_model::{Span, Timestamp};
use ringfence_server::App;
use ringfence_server::cluster::{KindState, View};
use ringfence_server::config::{Access, LiveCluster};
use ringfence_server::shutdown::Shutdown;
use ringfence_store::{Options, Sqlite};
use ringfence_testkit::ApiServer;
use serde_json::json;

const PODS: usize = 100_000;
const APPS: usize = 2_000;
const NODES: usize = 1_000;
const NAMESPACES: usize = 200;
const CHANGES: u32 = 20;
/// What makes this process the API server.
const SERVE: &str = "serve-api";

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if std::env::args().any(|argument| argument == SERVE) {
        return runtime.block_on(serve());
    }
    if std::env::args().any(|argument| argument == "--list") {
        return Ok(());
    }
    let mut api = Command::new(std::env::current_exe()?)
        .arg(SERVE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let measured = runtime.block_on(measure(&mut api));
    api.kill()?;
    api.wait()?;
    measured
}

async fn measure(api: &mut Child) -> Outcome {
    let mut answers = BufReader::new(api.stdout.take().ok_or("no output")?).lines();
    let mut orders = api.stdin.take().ok_or("no input")?;
    let files = tempfile::tempdir()?;
    let kubeconfig = files.path().join("config");
    std::fs::write(&kubeconfig, answers.next().ok_or("no kubeconfig")??)?;

    let store = Sqlite::open(&files.path().join("db"), &Options::default())?;
    let app = Arc::new(App::new(Arc::new(store)));
    let access = Access::Kubeconfig { path: Some(kubeconfig), context: None };
    let clusters = [LiveCluster { name: "c".parse()?, access }];
    let (trigger, shutdown) = Shutdown::new();
    let begun = Instant::now();
    let watches = ringfence_server::watch::start(Arc::clone(&app), &clusters, shutdown).await;
    let synced = |view: &View| {
        view.sync.kinds.iter().all(|kind| kind.state == KindState::Synced)
            && view.inventory.pods().len() == PODS
    };
    until(&app, synced).await?;
    heading(&format!("a live cluster of {PODS} pods"));
    figure("synced and in the tables", Quantity::Time(begun.elapsed()), Aim::None);

    let (mut slowest, busy) = (Duration::ZERO, processor_time()?);
    for n in 0..CHANGES as usize {
        let begun = Instant::now();
        writeln!(orders, "{n}")?;
        until(&app, |view| view.inventory.pods().len() > PODS + n).await?;
        slowest = slowest.max(begun.elapsed());
    }
    let aim = Aim::AtMost(Quantity::Time(Duration::from_secs(2)));
    figure(&format!("a change shows, slowest of {CHANGES}"), Quantity::Time(slowest), aim);
    let busy = processor_time()?.saturating_sub(busy) / CHANGES;
    figure("processor time of a change", Quantity::Time(busy), Aim::None);

    let begun = Instant::now();
    let present = Span { from: ringfence_server::clock::now(), until: Timestamp::MAX };
    ringfence_server::watch::past(&app, &"c".parse()?, present)?;
    figure("all pods read back from the store", Quantity::Time(begun.elapsed()), Aim::None);
    trigger.request();
    watches.ended().await;
    let memory = Quantity::Memory(largest_memory()?);
    figure("memory at its most", memory, Aim::AtMost(Quantity::Memory(1_000_000_000)));
    Ok(())
}

async fn until(app: &App, is_so: impl Fn(&View) -> bool) -> Outcome {
    let cluster = app.cluster(&"c".parse()?).ok_or("no cluster")?;
    let mut events = app.events.watch();
    while !is_so(&cluster.view()) {
        let event = tokio::time::timeout(Duration::from_mins(5), events.recv()).await;
        event.map_err(|_| format!("{:?}", cluster.view().sync))?.ok();
    }
    Ok(())
}

async fn serve() -> Outcome {
    let server = ApiServer::start().await?;
    for n in 0..NAMESPACES {
        let name = format!("team-{n}");
        server.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    }
    for n in 0..NODES {
        let addresses = json!([{"type": "InternalIP", "address": ip(172, n)}]);
        let cidr = format!("{}/24", ip(10, n * 256));
        server.apply(
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node-{n}")},
            "spec": {"podCIDRs": [cidr]}, "status": {"addresses": addresses}}),
        );
    }
    for app in 0..APPS {
        let (namespace, name) = (namespace(app), format!("app-{app}"));
        let selector = json!({"matchLabels": {"app": name}});
        let template = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": []}});
        let spec = json!({"selector": selector, "template": template});
        server.apply(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"namespace": namespace, "name": name}, "spec": spec}));
        server.apply(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"namespace": namespace, "name": format!("{name}-5d4f8c7b9"),
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name,
                    "uid": "u", "controller": true}]}, "spec": spec}));
        server.apply(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"selector": {"app": name}, "clusterIP": ip(192, app),
                "ports": [{"port": 80, "targetPort": "http"}]}}));
        let endpoints: Vec<_> = (app..PODS)
            .step_by(APPS)
            .map(|n| {
                json!({"addresses": [ip(10, n)],
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod_name(n)}})
            })
            .collect();
        server.apply(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"namespace": namespace, "name": format!("{name}-x"),
                "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}]}));
    }
    server.multitude("Pod", PODS, Arc::new(pod));
    println!("{}", ApiServer::kubeconfig(&[("c", &server)]));
    let orders = std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let Ok(n) = line.parse::<usize>() else { continue };
            server.apply(serde_json::from_str(&pod(PODS + n)).unwrap_or_default());
        }
    });
    tokio::task::spawn_blocking(move || orders.join()).await?.map_err(|_| "the orders failed")?;
    Ok(())
}

fn ip(first: usize, n: usize) -> String {
    format!("{first}.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
}

fn namespace(app: usize) -> String {
    format!("team-{}", app % NAMESPACES)
}

fn pod_name(n: usize) -> String {
    format!("app-{}-5d4f8c7b9-{n:05}", n % APPS)
}

/// A pod as an API server has it: some 6 KiB, most of which nothing reads.
fn pod(n: usize) -> String {
    let app = n % APPS;
    let name = format!("app-{app}");
    let address = ip(10, n);
    let variables: Vec<_> = (0..12)
        .map(|v| json!({"name": format!("VARIABLE_{v}"), "value": format!("value-{v}-of-the-app")}))
        .collect();
    let mounts: Vec<_> = (0..4)
        .map(|v| json!({"name": format!("volume-{v}"), "mountPath": format!("/mnt/{v}")}))
        .collect();
    let volumes: Vec<_> = (0..4).map(|v| json!({"name": format!("volume-{v}"), "configMap": {"name": format!("config-{v}"), "defaultMode": 420}})).collect();
    let conditions: Vec<_> = ["Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .iter()
        .map(|kind| {
            json!({"type": kind,
        "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-03-02T01:00:00Z"})
        })
        .collect();
    let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}}, "f:ownerReferences": {}},
        "f:spec": {"f:containers": {"k:{\"name\":\"main\"}": {".": {}, "f:env": {".": {}}, "f:image": {}, "f:imagePullPolicy": {},
        "f:name": {}, "f:ports": {".": {}}, "f:resources": {}, "f:terminationMessagePath": {}}}, "f:dnsPolicy": {},
        "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {}, "f:volumes": {}}});
    json!({"metadata": {"name": pod_name(n), "generateName": format!("{name}-5d4f8c7b9-"), "namespace": namespace(app),
        "uid": format!("6a1de7c2-0000-4000-8000-{n:012x}"), "resourceVersion": "900", "creationTimestamp": "2026-03-02T01:00:00Z",
        "labels": {"app": name, "pod-template-hash": "5d4f8c7b9", "team": namespace(app)},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{name}-5d4f8c7b9"),
            "uid": "2f4e0d70-0000-4000-8000-000000000000", "controller": true, "blockOwnerDeletion": true}],
        "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
            "time": "2026-03-02T01:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields},
            {"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": "2026-03-02T01:00:05Z",
            "fieldsType": "FieldsV1", "fieldsV1": fields, "subresource": "status"}]},
        "apiVersion": "v1", "kind": "Pod",
        "spec": {"volumes": volumes, "nodeName": format!("node-{}", n / 256 % NODES), "restartPolicy": "Always",
            "serviceAccountName": "default", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
            "containers": [{"name": "main", "image": format!("registry.example.org/{name}:v1.2.3"), "args": ["--listen=:8080"],
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}], "env": variables,
                "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
                "volumeMounts": mounts, "readinessProbe": {"httpGet": {"path": "/ready", "port": "http", "scheme": "HTTP"}, "periodSeconds": 10}}]},
        "status": {"phase": "Running", "conditions": conditions, "hostIP": ip(172, n / 256 % NODES), "podIP": address,
            "podIPs": [{"ip": address}], "startTime": "2026-03-02T01:00:00Z", "qosClass": "Burstable",
            "containerStatuses": [{"name": "main", "state": {"running": {"startedAt": "2026-03-02T01:00:03Z"}}, "ready": true,
                "restartCount": 0, "image": "registry.example.org/app:v1.2.3", "started": true,
                "containerID": format!("containerd://{n:064x}"),
                "imageID": "registry.example.org/app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}]}})
    .to_string()
}
