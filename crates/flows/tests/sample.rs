//! The edges of the realistic sample are the true ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use ringfence_flows::{Aggregator, Observations, Options, ReadOptions, read_file};
use ringfence_model::{Peer, Protocol, Timestamp};
use serde_json::Value;

use support::{Table, name};

const SAMPLE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testdata/online-boutique");

fn items(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(Path::new(SAMPLE).join("cluster").join(file)).unwrap();
    let list: Value = serde_saphyr::from_str(&text).unwrap();
    list["items"].as_array().unwrap().clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Just enough of an inventory: nodes, where pods run, and Services with their backends by selector.
fn table() -> Table {
    let mut table = Table::default();
    let mut pods = Vec::new();
    for node in items("nodes.yaml") {
        let node_name = text(&node["metadata"]["name"]);
        for address in node["status"]["addresses"].as_array().unwrap() {
            if address["type"] == "InternalIP" {
                table = table.node(text(&address["address"]), node_name);
            }
        }
        // The address that Cilium gives the node inside its pod range.
        let cidr = text(&node["spec"]["podCIDR"]);
        table = table.node(&cidr.replace("0/24", "1"), node_name);
    }
    for pod in items("pods.yaml") {
        let (namespace, pod_name) =
            (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
        if let Some(node) = pod["spec"]["nodeName"].as_str() {
            table.pod_nodes.insert(format!("{namespace}/{pod_name}"), name(node));
        }
        pods.push(pod);
    }
    table.pod_nodes.insert("online-boutique/cartservice-7b69698887-x6rgm".into(), name("fake-1"));
    let mut workloads = BTreeMap::new();
    for (kind, file) in [("Deployment", "deployments.yaml"), ("StatefulSet", "statefulsets.yaml")] {
        for workload in items(file) {
            let namespace = text(&workload["metadata"]["namespace"]).to_owned();
            let labels = workload["spec"]["template"]["metadata"]["labels"].clone();
            let id = format!("{namespace}/{kind}/{}", text(&workload["metadata"]["name"]));
            workloads.insert(id, (namespace, labels, workload));
        }
    }
    for service in items("services.yaml") {
        let namespace = text(&service["metadata"]["namespace"]);
        let ip = text(&service["spec"]["clusterIP"]);
        if ip == "None" {
            continue;
        }
        let full = format!("{namespace}/{}", text(&service["metadata"]["name"]));
        for port in service["spec"]["ports"].as_array().unwrap() {
            let protocol: Protocol = text(&port["protocol"]).parse().unwrap();
            let number = u16::try_from(port["port"].as_u64().unwrap()).unwrap();
            let mut backends = Vec::new();
            if let Some(selector) = service["spec"]["selector"].as_object() {
                for (id, (ns, labels, workload)) in &workloads {
                    if ns == namespace && selector.iter().all(|(k, v)| &labels[k] == v) {
                        backends.push((id.as_str(), target(&port["targetPort"], workload)));
                    }
                }
            } else {
                backends.push(("Node/fake-0", 6443));
            }
            table = table.service(ip, protocol, &full, number, &backends);
        }
    }
    table
}

fn target(target: &Value, workload: &Value) -> u16 {
    let number = target.as_u64().unwrap_or_else(|| {
        let containers = workload["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        let mut ports = containers.iter().flat_map(|c| c["ports"].as_array().unwrap());
        ports.find(|p| &p["name"] == target).unwrap()["containerPort"].as_u64().unwrap()
    });
    u16::try_from(number).unwrap()
}

fn observe(table: &Table) -> Observations {
    let mut aggregator = Aggregator::new(table, Options::default());
    let log = Path::new(SAMPLE).join("flows.hubble.jsonl.gz");
    read_file(&log, ReadOptions::default(), &mut aggregator, |_| {}).unwrap();
    aggregator.finish()
}

/// Nodes all look alike, as in the list of expected edges.
fn label(peer: &Peer) -> String {
    match peer {
        Peer::Node(_) => "Node".into(),
        Peer::Workload(w) => format!("{}/{}/{}", w.kind, w.namespace, w.name),
        other => other.to_string(),
    }
}

fn expected_label(peer: &Value) -> String {
    let part = |key: &str| peer[key].as_str().map(str::to_owned);
    match part("kind").unwrap().as_str() {
        "Node" => "Node".into(),
        "External" | "Unresolved" => part("ip").or_else(|| part("address")).unwrap(),
        kind => format!("{kind}/{}/{}", part("namespace").unwrap(), part("name").unwrap()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    forwarded: u64,
    dropped: u64,
    refused: u64,
    first: i64,
    last: i64,
}

type Edges = BTreeMap<(String, String, String), Seen>;

fn add(edges: &mut Edges, key: (String, String, String), seen: Seen) {
    let sum = edges.entry(key).or_insert(Seen {
        forwarded: 0,
        dropped: 0,
        refused: 0,
        first: seen.first,
        last: seen.last,
    });
    sum.forwarded += seen.forwarded;
    sum.dropped += seen.dropped;
    sum.refused += seen.refused;
    sum.first = sum.first.min(seen.first);
    sum.last = sum.last.max(seen.last);
}

fn seconds(at: Timestamp) -> i64 {
    at.nanos().div_euclid(1_000_000_000)
}

#[test]
fn edges_are_the_true_ones() {
    if !Path::new(SAMPLE).exists() {
        println!("skipped: {SAMPLE} missing");
        return;
    }
    let observations = observe(&table());
    let mut actual = Edges::new();
    let mut services = BTreeMap::new();
    for edge in &observations.edges {
        let key = (label(&edge.key.source), label(&edge.key.destination), edge.key.l4.to_string());
        let ports: Vec<_> = edge.services.iter().map(ToString::to_string).collect();
        services.entry(key.clone()).or_insert_with(Vec::new).extend(ports);
        let evidence = &edge.evidence;
        let seen = Seen {
            forwarded: evidence.forwarded,
            dropped: evidence.dropped,
            refused: evidence.refused,
            first: seconds(evidence.first_seen),
            last: seconds(evidence.last_seen),
        };
        add(&mut actual, key, seen);
    }
    let text = std::fs::read_to_string(Path::new(SAMPLE).join("expected-edges.json")).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let mut expected = Edges::new();
    for edge in list["edges"].as_array().unwrap() {
        let l4 = match edge["port"].as_u64() {
            Some(port) => format!("{}/{port}", edge["protocol"].as_str().unwrap()),
            None => "ICMP".into(),
        };
        let key = (expected_label(&edge["source"]), expected_label(&edge["destination"]), l4);
        let moment = |field: &str| -> i64 {
            edge[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
        };
        let number = |field: &str| edge[field].as_u64().unwrap_or(0);
        let seen = Seen {
            forwarded: number("forwarded"),
            dropped: number("dropped"),
            refused: number("refused"),
            first: moment("first"),
            last: moment("last"),
        };
        add(&mut expected, key.clone(), seen);
        let service = &edge["service"];
        for dialled in services.get(&key).into_iter().flatten() {
            let wanted = format!(
                "{}/{}:{}",
                service["namespace"].as_str().unwrap(),
                service["name"].as_str().unwrap(),
                service["port"]
            );
            assert_eq!(*dialled, wanted, "{key:?}");
        }
    }
    let mut wrong = Vec::new();
    for (key, expected) in &expected {
        match actual.remove(key) {
            None => wrong.push(format!("missing {key:?} {expected:?}")),
            Some(mut seen) => {
                for (seen, expected) in
                    [(&mut seen.first, expected.first), (&mut seen.last, expected.last)]
                {
                    if seen.abs_diff(expected) <= 1 {
                        *seen = expected;
                    }
                }
                if seen != *expected {
                    wrong.push(format!("{key:?}: {seen:?}, expected {expected:?}"));
                }
            }
        }
    }
    wrong.extend(actual.iter().map(|(key, seen)| format!("too much: {key:?} {seen:?}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Most edges were dialled through a Service, and the log shows it of most of these.
    assert!(services.values().filter(|ports| !ports.is_empty()).count() >= 30, "{services:?}");
    let ledger = &observations.ledger;
    assert_eq!(ledger.lines(), 59_900);
    assert_eq!((ledger.malformed, ledger.loss_reports, ledger.evicted), (0, 3, 0));
}
