//! Observed edges against the truth behind a log: the realistic sample where it is at hand, and the example.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ringfence_flows::{Aggregator, Options, ReadOptions, read_file};
use ringfence_inventory::Inventory;
use ringfence_kube::read::Reader;
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{Edge, L4, Peer, Severity, Timestamp};
use serde_json::Value;

use crate::harness::{repository, ringfence};

/// What a truth file says of one edge, and what was observed.
#[derive(Debug, Default)]
struct Counts {
    forwarded: u64,
    dropped: u64,
    refused: u64,
    services: BTreeSet<String>,
    /// In seconds: the truth is written to the second.
    first: Option<i64>,
    last: Option<i64>,
}

impl Counts {
    /// A log need not show how a Service was dialled, so services may be missing, but never others; moments agree
    /// to the second.
    fn agrees(&self, truth: &Self) -> bool {
        let near =
            |a: Option<i64>, b: Option<i64>| a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= 1);
        (self.forwarded, self.dropped, self.refused)
            == (truth.forwarded, truth.dropped, truth.refused)
            && self.services.is_subset(&truth.services)
            && near(self.first, truth.first)
            && near(self.last, truth.last)
    }

    fn seen(&mut self, first: Timestamp, last: Timestamp) {
        let (first, last) =
            (first.nanos().div_euclid(1_000_000_000), last.nanos().div_euclid(1_000_000_000));
        self.first = Some(self.first.map_or(first, |known| known.min(first)));
        self.last = Some(self.last.map_or(last, |known| known.max(last)));
    }
}

/// Aggregates a log over a cluster.
fn observe(cluster: &[&Path], flows: &Path) -> Vec<Edge> {
    let mut reader = Reader::new();
    for path in cluster {
        reader.path(path);
    }
    let input = reader.finish();
    let errors: Vec<_> =
        input.diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let (inventory, _) = Inventory::build(input.objects, &ClusterCidrs::default());
    let mut aggregator = Aggregator::new(&inventory, Options::default());
    read_file(flows, ReadOptions::default(), &mut aggregator, |_| ()).unwrap();
    aggregator.finish().edges
}

/// The edges of a truth file; nodes are one peer there, and an edge may stand in several classes.
fn expected(truth: &Value) -> BTreeMap<String, Counts> {
    let mut expected: BTreeMap<String, Counts> = BTreeMap::new();
    for edge in truth["edges"].as_array().unwrap() {
        let counts = expected.entry(key(edge)).or_default();
        let number = |name: &str| edge[name].as_u64().unwrap_or(0);
        counts.forwarded += number("forwarded");
        counts.dropped += number("dropped");
        counts.refused += number("refused");
        let moment = |name: &str| edge[name].as_str().unwrap().parse().unwrap();
        counts.seen(moment("first"), moment("last"));
        if let Some(service) = edge["service"].as_object() {
            let text = |name: &str| service[name].as_str().unwrap();
            counts.services.insert(format!(
                "{}/{}:{}",
                text("namespace"),
                text("name"),
                service["port"]
            ));
        }
    }
    expected
}

/// What an edge of a truth file is called here.
fn key(edge: &Value) -> String {
    let port = edge["port"].as_u64().map_or(String::new(), |port| format!("/{port}"));
    let protocol = edge["protocol"].as_str().unwrap().replace("ICMPv4", "ICMP");
    format!("{} -> {} {protocol}{port}", end(&edge["source"]), end(&edge["destination"]))
}

/// Edges as a truth file has them.
fn observed(edges: &[Edge]) -> BTreeMap<String, Counts> {
    let mut observed: BTreeMap<String, Counts> = BTreeMap::new();
    for Edge { key, evidence, services } in edges {
        let port = match key.l4 {
            L4::Port(protocol, port) => format!("{protocol}/{port}"),
            icmp => icmp.to_string(),
        };
        let counts = observed
            .entry(format!("{} -> {} {port}", peer(&key.source), peer(&key.destination)))
            .or_default();
        counts.forwarded += evidence.forwarded;
        counts.dropped += evidence.dropped;
        counts.refused += evidence.refused;
        counts.seen(evidence.first_seen, evidence.last_seen);
        counts.services.extend(services.iter().map(ToString::to_string));
    }
    observed
}

/// Compares edges with a truth file.
fn compare(truth: &Value, edges: &[Edge]) {
    let (expected, observed) = (expected(truth), observed(edges));
    let keys: BTreeSet<&String> = expected.keys().chain(observed.keys()).collect();
    let wrong: Vec<String> = keys
        .into_iter()
        .filter(|key| match (expected.get(*key), observed.get(*key)) {
            (Some(truth), Some(counts)) => !counts.agrees(truth),
            _ => true,
        })
        .map(|key| {
            format!("{key}\n  expected {:?}\n  observed {:?}", expected.get(key), observed.get(key))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} edges differ:\n{}",
        wrong.len(),
        expected.len(),
        wrong.join("\n")
    );
}

fn end(end: &Value) -> String {
    match (end["kind"].as_str().unwrap(), end["ip"].as_str()) {
        ("Node", _) => "Node".to_owned(),
        (_, Some(ip)) => ip.to_owned(),
        (kind, None) => format!(
            "{}/{kind}/{}",
            end["namespace"].as_str().unwrap(),
            end["name"].as_str().unwrap()
        ),
    }
}

fn peer(peer: &Peer) -> String {
    match peer {
        Peer::Node(_) => "Node".to_owned(),
        other => other.to_string(),
    }
}

fn truth(file: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

#[test]
fn the_edges_of_the_example_are_those_its_generator_made() {
    let shop = repository().join("examples/shop");
    let edges = observe(&[&shop.join("cluster")], &shop.join("flows.jsonl.zst"));
    compare(&truth(&shop.join("expected-edges.json")).unwrap(), &edges);
}

/// What agents saw of the lab is the story of the example, told by real packets: nothing else, and of it everything
/// that sockets can tell of.
#[test]
fn the_edges_of_the_lab_are_those_of_the_example() {
    let shop = repository().join("examples/shop");
    let (cluster, lab) = (shop.join("cluster"), shop.join("lab/report.yaml"));
    let observed = observed(&observe(&[&cluster, &lab], &shop.join("lab/flows.jsonl.zst")));
    let truth = truth(&shop.join("expected-edges.json")).unwrap();
    let expected = expected(&truth);
    for (edge, counts) in &observed {
        let truth = expected.get(edge).unwrap_or_else(|| panic!("not in the story: {edge}"));
        assert!(counts.services.is_subset(&truth.services), "{edge}: {counts:?}");
        assert_eq!(counts.refused > 0, truth.refused > 0, "{edge}: {counts:?}");
    }
    // What a policy drops never comes to a socket, a node passes visitors on without one, and nobody pings.
    let unseen = ["scan-denied", "nodeport-frontdoor", "icmp"];
    for edge in truth["edges"].as_array().unwrap() {
        let is_unseen = unseen.contains(&edge["class"].as_str().unwrap());
        assert_eq!(observed.contains_key(&key(edge)), !is_unseen, "{}", key(edge));
    }
}

#[test]
fn the_edges_of_the_realistic_sample_are_the_true_ones() {
    let sample = repository().join("../shared/testdata/online-boutique");
    let Some(truth) = truth(&sample.join("expected-edges.json")) else {
        eprintln!("skipped: the sample online-boutique is missing");
        return;
    };
    compare(&truth, &observe(&[&sample.join("cluster")], &sample.join("flows.hubble.jsonl.gz")));
}

#[test]
fn the_policies_for_the_realistic_sample_are_proven() {
    let sample = repository().join("../shared/testdata/online-boutique");
    if !sample.exists() {
        eprintln!("skipped: the sample online-boutique is missing");
        return;
    }
    let args = ["generate", "--cluster", "cluster", "--flows", "flows.hubble.jsonl.gz"];
    for scope in [&["-n", "online-boutique"][..], &["-n", "monitoring"], &["-n", "legacy"], &[]] {
        let run = ringfence(&sample, &[&args[..], scope].concat()).expect(0);
        assert!(run.stderr.contains("PROVEN"), "{}", run.stderr);
    }
}
