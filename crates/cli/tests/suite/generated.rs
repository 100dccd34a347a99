//! Random clusters, edges and reviews: what is written, read back and called proven holds for an evaluator that
//! shares nothing with the engine; and where nothing stands in the way, it is proven.

use std::net::IpAddr;

use proptest::prelude::*;
use ringfence_advise::{Case, Certificate, Cut, Plan, Scope, Verdict, plan, prove};
use ringfence_inventory::Inventory;
use ringfence_kube::manifest::{self, Notes};
use ringfence_kube::read::Reader;
use ringfence_model::object::{
    Controller, ExternalTrafficPolicy, Namespace, Node, Objects, OwnerRef, Phase, Pod, PodSpec,
    Service, ServicePort, ServiceType, TargetPort,
};
use ringfence_model::review::{
    Choice, CidrRule, ClusterCidrs, EdgeDecision, GeneralRule, GeneralRules, PeerPattern, Review,
};
use ringfence_model::{
    Direction, Edge, EdgeKey, Evidence, IpBlock, L4, Labels, Name, NamespaceScope, Nature,
    NetworkPolicy, Origin, Peer, PeerMatch, Peers, PodRef, Port, PortTarget, Ports, Protocol,
    Selector, ServiceRef, Timestamp, WorkloadKind, WorkloadRef,
};
use ringfence_policy::Profile;

const NAMESPACES: [&str; 3] = ["a", "b", "c"];
const OUTSIDE: [&str; 3] = ["198.51.100.1", "198.51.100.77", "2001:db8::1"];

/// A cluster in a few numbers, so that it shrinks well.
#[derive(Clone, Debug)]
struct Spec {
    /// Namespace, kind and number of pods of each workload.
    workloads: Vec<(usize, usize, usize)>,
    /// Workloads share an `app` label modulo this number.
    labels: usize,
    /// Source, destination, protocol, port, accepted and dropped connections. Beyond the workloads, an end is a
    /// node, then an address outside.
    edges: Vec<(usize, usize, usize, u16, u64, u64)>,
    ingress: usize,
    egress: usize,
    /// Edges to exclude, and to include, modulo their number.
    exclude: Vec<usize>,
    include: Vec<usize>,
    cidr: bool,
    dns: bool,
}

fn spec(labels: impl Strategy<Value = usize>, choices: usize) -> impl Strategy<Value = Spec> {
    let edge = (
        0..12usize,
        0..12usize,
        0..3usize,
        prop_oneof![8000..8006u16, Just(53), Just(65535)],
        0..4u64,
        0..2u64,
    );
    (
        prop::collection::vec((0..3usize, 0..4usize, 0..3usize), 1..8),
        labels,
        prop::collection::vec(edge, 0..24),
        (0..5usize, 0..5usize),
        prop::collection::vec(any::<usize>(), 0..=choices),
        prop::collection::vec(any::<usize>(), 0..=choices),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(workloads, labels, edges, (ingress, egress), exclude, include, cidr, dns)| Spec {
                workloads,
                labels,
                edges,
                ingress,
                egress,
                exclude,
                include,
                cidr,
                dns,
            },
        )
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

impl Spec {
    fn reference(&self, n: usize) -> WorkloadRef {
        let (namespace, kind, _) = self.workloads[n];
        let kinds = [
            WorkloadKind::Deployment,
            WorkloadKind::StatefulSet,
            WorkloadKind::DaemonSet,
            WorkloadKind::Deployment,
        ];
        WorkloadRef {
            namespace: name(NAMESPACES[namespace]),
            kind: kinds[kind].clone(),
            name: name(&format!("w{n}")),
        }
    }

    fn objects(&self) -> Objects {
        let mut objects = Objects::default();
        let mut namespaces: Vec<&str> = NAMESPACES.to_vec();
        namespaces.push("kube-system");
        for namespace in namespaces {
            objects.namespaces.push(Namespace {
                name: name(namespace),
                labels: labels(&[("kubernetes.io/metadata.name", namespace)]),
                origin: Origin::default(),
            });
        }
        for n in 1..=2 {
            objects.nodes.push(Node {
                name: name(&format!("node{n}")),
                labels: Labels::empty(),
                addresses: vec![address(&format!("192.168.0.{n}"))],
                pod_network_addresses: vec![address(&format!("10.1.{n}.1"))],
                pod_cidrs: vec![format!("10.1.{n}.0/24").parse().unwrap()],
                origin: Origin::default(),
            });
        }
        for n in 0..self.workloads.len() {
            let app = format!("app{}", n % self.labels);
            add_workload(
                &mut objects,
                &self.reference(n),
                &labels(&[("app", &app)]),
                self.workloads[n].2,
                n + 2,
            );
        }
        if self.dns {
            let coredns = WorkloadRef {
                namespace: name("kube-system"),
                kind: WorkloadKind::Deployment,
                name: name("coredns"),
            };
            let chosen = labels(&[("k8s-app", "kube-dns")]);
            add_workload(&mut objects, &coredns, &chosen, 1, 100);
            objects.services.push(Service {
                reference: ServiceRef { namespace: name("kube-system"), name: name("kube-dns") },
                kind: ServiceType::ClusterIp,
                selector: Some(Selector::labels(&chosen)),
                cluster_ips: vec![address("10.96.0.10")],
                external_ips: Vec::new(),
                ports: vec![ServicePort {
                    name: Some("dns".into()),
                    protocol: Protocol::Udp,
                    port: port(53),
                    target: TargetPort::Number(port(53)),
                    node_port: None,
                }],
                external_traffic_policy: ExternalTrafficPolicy::Cluster,
                origin: Origin::default(),
            });
        }
        objects
    }

    fn end(&self, n: usize, inventory: &Inventory) -> Peer {
        match n.checked_sub(self.workloads.len()) {
            None => Peer::Workload(self.reference(n)),
            Some(0) => Peer::Node(name("node1")),
            Some(1) => Peer::Node(name("node2")),
            Some(n) => {
                let ip = address(OUTSIDE[n % OUTSIDE.len()]);
                Peer::Address(ip, inventory.address_space().classify(ip))
            }
        }
    }

    fn edges(&self, inventory: &Inventory) -> Vec<Edge> {
        let mut edges: Vec<Edge> = self
            .edges
            .iter()
            .map(|&(source, destination, protocol, number, forwarded, dropped)| Edge {
                key: EdgeKey {
                    source: self.end(source, inventory),
                    destination: self.end(destination, inventory),
                    l4: L4::Port(Protocol::ALL[protocol], port(number)),
                    nature: Nature::Ordinary,
                },
                evidence: Evidence {
                    first_seen: Timestamp::from_secs(1_000_000),
                    last_seen: Timestamp::from_secs(1_090_000),
                    forwarded,
                    dropped,
                    refused: 0,
                },
                services: Vec::new(),
            })
            .filter(|edge| edge.key.source != edge.key.destination)
            .collect();
        edges.sort_by(|a, b| a.key.cmp(&b.key));
        edges.dedup_by(|a, b| a.key == b.key);
        edges
    }

    fn review(&self, edges: &[Edge]) -> Review {
        let rules = [
            GeneralRule::Observed,
            GeneralRule::BlockAll,
            GeneralRule::AllowNamespace,
            GeneralRule::AllowAll,
            GeneralRule::Unmanaged,
        ];
        let decide = |choice, picks: &[usize]| -> Vec<EdgeDecision> {
            let picked =
                picks.iter().filter(|_| !edges.is_empty()).map(|n| &edges[n % edges.len()].key);
            picked
                .map(|key| EdgeDecision {
                    choice,
                    source: PeerPattern::Peer(key.source.clone()),
                    destination: PeerPattern::Peer(key.destination.clone()),
                    l4: Some(key.l4),
                    origin: Origin::default(),
                })
                .collect()
        };
        let block = IpBlock::new(
            "198.51.100.0/24".parse().unwrap(),
            vec!["198.51.100.64/26".parse().unwrap()],
        )
        .unwrap();
        let cidr_rule = CidrRule {
            direction: Direction::Egress,
            workload: None,
            block,
            ports: Vec::new(),
            origin: Origin::default(),
        };
        let mut decisions = decide(Choice::Include, &self.include);
        decisions.extend(decide(Choice::Exclude, &self.exclude));
        Review {
            rules: GeneralRules { ingress: rules[self.ingress], egress: rules[self.egress] },
            edges: decisions,
            cidr_rules: if self.cidr { vec![cidr_rule] } else { Vec::new() },
            ..Review::default()
        }
    }
}

fn add_workload(
    objects: &mut Objects,
    reference: &WorkloadRef,
    chosen: &Labels,
    pods: usize,
    net: usize,
) {
    objects.controllers.push(Controller {
        namespace: reference.namespace.clone(),
        kind: reference.kind.clone(),
        name: reference.name.clone(),
        owner: None,
        selector: Some(Selector::labels(chosen)),
        template_labels: chosen.clone(),
        template: PodSpec::default(),
        replicas: Some(u32::try_from(pods).unwrap()),
        schedule: None,
        origin: Origin::default(),
    });
    for n in 0..pods {
        objects.pods.push(Pod {
            reference: PodRef {
                namespace: reference.namespace.clone(),
                name: name(&format!("{}-{n}", reference.name)),
            },
            labels: chosen.clone(),
            owner: Some(OwnerRef { kind: reference.kind.clone(), name: reference.name.clone() }),
            ips: vec![address(&format!("10.1.{}.{net}", n + 1))],
            node: Some(name(&format!("node{}", n + 1))),
            phase: Phase::Running,
            started: Some(Timestamp::from_secs(0)),
            ended: None,
            spec: PodSpec::default(),
            origin: Origin::default(),
        });
    }
}

/// One end of a connection for the evaluator.
enum Side<'a> {
    Pod(&'a Pod),
    Address(IpAddr),
}

impl Side<'_> {
    /// A pod that a controller has yet to make has none.
    fn address(&self) -> Option<IpAddr> {
        match self {
            Side::Pod(pod) => pod.ips.first().copied(),
            Side::Address(ip) => Some(*ip),
        }
    }
}

/// The API text, word for word: isolated when a policy selects the pod in the direction, then allowed when one of
/// their rules has a matching peer and port.
fn lets_pass(
    policies: &[NetworkPolicy],
    direction: Direction,
    pod: &Pod,
    other: &Side<'_>,
    l4: (Protocol, Port),
) -> bool {
    let mut isolated = false;
    for policy in policies {
        if policy.namespace != pod.reference.namespace || !policy.pod_selector.matches(&pod.labels)
        {
            continue;
        }
        let Some(rules) = policy.rules(direction) else { continue };
        isolated = true;
        for rule in rules {
            let peer = match &rule.peers {
                Peers::Any => true,
                Peers::Only(peers) => peers.iter().any(|peer| match (peer, other) {
                    (PeerMatch::Pods { namespaces, pods }, Side::Pod(other)) => {
                        let namespace = other.reference.namespace.as_str();
                        let in_namespace = match namespaces {
                            NamespaceScope::Own => policy.namespace == other.reference.namespace,
                            NamespaceScope::Matching(selector) => selector
                                .matches(&labels(&[("kubernetes.io/metadata.name", namespace)])),
                        };
                        in_namespace && pods.matches(&other.labels)
                    }
                    (PeerMatch::IpBlock(block), other) => {
                        other.address().is_some_and(|ip| block.contains(ip))
                    }
                    (PeerMatch::Pods { .. }, Side::Address(_)) => false,
                }),
            };
            let port = match &rule.ports {
                Ports::Any => true,
                Ports::Only(ports) => ports.iter().any(|port| {
                    port.protocol == l4.0
                        && match &port.target {
                            PortTarget::Any => true,
                            PortTarget::Numbers(range) => range.contains(l4.1),
                            PortTarget::Named(_) => false,
                        }
                }),
            };
            if peer && port {
                return true;
            }
        }
    }
    !isolated
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passes {
    Yes,
    No,
    /// Whatever the policies say.
    Always,
}

/// Whether a connection passes at both ends, for each pair of live pods behind an edge.
fn verdicts(inventory: &Inventory, policies: &[NetworkPolicy], key: &EdgeKey) -> Vec<Passes> {
    let L4::Port(protocol, number) = key.l4 else { return Vec::new() };
    let sides = |peer: &Peer| -> Vec<Side<'_>> {
        match peer {
            Peer::Workload(reference) => {
                let workload = inventory.workload(reference).unwrap();
                workload.pods.iter().map(|&n| Side::Pod(&inventory.pods()[n])).collect()
            }
            Peer::Node(node) => {
                let node = inventory.nodes().iter().find(|n| n.name == *node).unwrap();
                node.addresses.iter().map(|ip| Side::Address(*ip)).collect()
            }
            Peer::Address(ip, _) => vec![Side::Address(*ip)],
            other => panic!("{other}"),
        }
    };
    let (sources, destinations) = (sides(&key.source), sides(&key.destination));
    let mut verdicts = Vec::new();
    for source in &sources {
        for destination in &destinations {
            let out = match source {
                Side::Pod(pod) => {
                    lets_pass(policies, Direction::Egress, pod, destination, (protocol, number))
                }
                Side::Address(_) => true,
            };
            let into = match destination {
                Side::Address(_) => true,
                Side::Pod(pod) => {
                    lets_pass(policies, Direction::Ingress, pod, source, (protocol, number))
                }
            };
            // "or if the traffic source is the pod's local node"
            let own_node = match (source, destination) {
                (Side::Address(ip), Side::Pod(Pod { node: Some(node), .. })) => {
                    inventory.node_addresses(node).contains(ip)
                }
                _ => false,
            };
            verdicts.push(if own_node {
                Passes::Always
            } else if out && into {
                Passes::Yes
            } else {
                Passes::No
            });
        }
    }
    verdicts
}

struct Outcome<'a> {
    certificate: Certificate,
    written: Vec<NetworkPolicy>,
    plan: Plan<'a>,
}

fn generate<'a>(
    inventory: &'a Inventory,
    edges: &'a [Edge],
    review: &'a Review,
    scope: &'a Scope,
) -> Outcome<'a> {
    let case = Case { inventory, edges, review, scope };
    let plan = plan(case);
    let mut reader = Reader::new();
    for draft in &plan.drafts {
        reader.bytes("policy.yaml", manifest::policy(&draft.policy, &Notes::default()).as_bytes());
    }
    let written = reader.finish().objects.policies;
    let certificate = prove(case, &plan, &written, &Profile::default(), None);
    Outcome { certificate, written, plan }
}

/// Runs the spec and checks every claim of the certificate.
fn check(spec: &Spec) -> Result<Certificate, TestCaseError> {
    let (inventory, _) = Inventory::build(spec.objects(), &ClusterCidrs::default());
    let edges = spec.edges(&inventory);
    let review = spec.review(&edges);
    let scope = Scope { namespace: Some(name("a")), ..Scope::default() };
    let Outcome { certificate, written, plan } = generate(&inventory, &edges, &review, &scope);
    if !certificate.is_proven() {
        return Ok(certificate);
    }
    for row in &plan.rows {
        let key = &row.edge.key;
        let verdicts = verdicts(&inventory, &written, key);
        let others = plan.rows.iter().filter(|other| other.edge.key == *key);
        // What was never accepted may be allowed with something else: nothing is claimed about it.
        if others.into_iter().any(|other| other.verdict == Verdict::Cut(Cut::NeverAccepted)) {
            continue;
        }
        match row.verdict {
            Verdict::Cut(_) => {
                prop_assert!(
                    verdicts.iter().all(|passes| *passes != Passes::Yes),
                    "cut, and passes: {}\n{:#?}",
                    key,
                    written
                );
            }
            Verdict::Kept(_) => {
                prop_assert!(
                    verdicts.iter().all(|passes| *passes != Passes::No),
                    "kept, and fails: {}\n{:#?}",
                    key,
                    written
                );
            }
            Verdict::Unknown => {}
        }
    }
    Ok(certificate)
}

proptest! {
    #[test]
    fn what_is_proven_holds(spec in spec(1..4usize, 3)) {
        check(&spec)?;
    }

    #[test]
    fn without_shared_labels_and_exclusions_everything_is_proven(spec in spec(Just(100), 0)) {
        let certificate = check(&spec)?;
        prop_assert!(certificate.is_proven(), "{:#?}", certificate.failures);
    }
}
