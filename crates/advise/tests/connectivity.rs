//! What is told of workloads holds for each of their pods, connection by connection.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use ringfence_advise::{ChangedWho, Changes, Connectivity, FocusSide, Group, Who, changes};
use ringfence_inventory::Inventory;
use ringfence_model::object::{ContainerPort, Objects, OwnerRef, Phase, Pod, PodSpec};
use ringfence_model::review::ClusterCidrs;
use ringfence_model::{
    Direction, IpBlock, Labels, Name, NamespaceScope, NetworkPolicy, Origin, PeerMatch, Peers,
    PodRef, Port, PortMatch, PortRange, PortTarget, Ports, Protocol, Requirement, Rule, Selector,
    WorkloadKind,
};
use ringfence_policy::{Connection, ConnectionSet, End, PodIx, Profile};

const NAMESPACES: [&str; 2] = ["a", "b"];
const TIERS: [&str; 3] = ["x", "y", ""];

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

fn tier(tier: usize) -> Labels {
    let labels = [("tier", TIERS[tier])];
    labels.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// A pod of one of three workloads in each namespace. They need not have the labels or ports of each other.
fn pod(n: usize, (namespace, workload, labels, http): (usize, usize, usize, u16)) -> Pod {
    let ports = [ContainerPort {
        name: Some("http".into()),
        protocol: Protocol::Tcp,
        port: port(http.max(1)),
    }];
    Pod {
        reference: PodRef { namespace: name(NAMESPACES[namespace]), name: name(&format!("p{n}")) },
        labels: tier(labels),
        owner: Some(OwnerRef {
            kind: WorkloadKind::StatefulSet,
            name: name(&format!("w{workload}")),
        }),
        ips: vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(n).unwrap()))],
        node: None,
        phase: Phase::Running,
        started: None,
        ended: None,
        spec: PodSpec {
            ports: ports.into_iter().filter(|_| http > 0).collect(),
            ..PodSpec::default()
        },
        origin: Origin::default(),
    }
}

fn pods() -> impl Strategy<Value = Vec<Pod>> {
    let pod_parts = (0..2usize, 0..3usize, 0..3usize, prop::sample::select(vec![0u16, 80, 8080]));
    prop::collection::vec(pod_parts, 1..9)
        .prop_map(|pods| pods.into_iter().enumerate().map(|(n, parts)| pod(n, parts)).collect())
}

fn selector() -> impl Strategy<Value = Selector> {
    prop::option::of(0..2usize)
        .prop_map(|of| of.map(|n| Requirement::equals("tier", TIERS[n])).into_iter().collect())
}

fn peer() -> impl Strategy<Value = PeerMatch> {
    let block = |cidr: &str, except: &[&str]| {
        let except = except.iter().map(|e| e.parse().unwrap()).collect();
        PeerMatch::IpBlock(IpBlock::new(cidr.parse().unwrap(), except).unwrap())
    };
    prop_oneof![
        (any::<bool>(), selector()).prop_map(|(own, pods)| PeerMatch::Pods {
            namespaces: if own {
                NamespaceScope::Own
            } else {
                NamespaceScope::Matching(Selector::everything())
            },
            pods,
        }),
        prop::sample::select(vec![
            block("10.0.0.0/30", &[]),
            block("10.0.0.0/29", &["10.0.0.2/31"]),
            block("0.0.0.0/0", &["10.0.0.0/8"]),
            block("2001:db8::/32", &[]),
        ]),
    ]
}

fn ports() -> impl Strategy<Value = Ports> {
    let target = |target| Ports::Only(vec![PortMatch { protocol: Protocol::Tcp, target }]);
    prop::sample::select(vec![
        Ports::Any,
        target(PortTarget::Numbers(PortRange::single(port(80)))),
        target(PortTarget::Named("http".into())),
    ])
}

fn rules() -> impl Strategy<Value = Option<Vec<Rule>>> {
    let rule = (prop::option::of(prop::collection::vec(peer(), 1..3)), ports()).prop_map(
        |(peers, ports)| Rule {
            origin: Origin::default(),
            peers: peers.map_or(Peers::Any, Peers::Only),
            ports,
        },
    );
    prop::option::of(prop::collection::vec(rule, 0..3))
}

fn policies() -> impl Strategy<Value = Vec<NetworkPolicy>> {
    let policy = (0..2usize, selector(), rules(), rules());
    prop::collection::vec(policy, 0..5).prop_map(|policies| {
        let policy = |(n, (namespace, pod_selector, ingress, egress))| NetworkPolicy {
            namespace: name(NAMESPACES[namespace]),
            name: name(&format!("policy-{n}")),
            origin: Origin::default(),
            pod_selector,
            ingress,
            egress,
        };
        policies.into_iter().enumerate().map(policy).collect()
    })
}

fn inventory(pods: Vec<Pod>) -> Inventory {
    Inventory::build(Objects { pods, ..Objects::default() }, &ClusterCidrs::default()).0
}

/// Everything that a group stands for, as ends of the policy set.
fn ends(group: &Group<'_>) -> Vec<End> {
    match &group.who {
        Who::Pods { pods, .. } => {
            pods.iter().map(|n| End::Pod(PodIx::new(u32::try_from(*n).unwrap()))).collect()
        }
        Who::Addresses { cidrs, .. } => {
            cidrs.iter().flat_map(|c| [c.network(), c.broadcast()]).map(End::Address).collect()
        }
    }
}

const ASKED: [(Protocol, u16); 4] =
    [(Protocol::Tcp, 80), (Protocol::Tcp, 8080), (Protocol::Udp, 80), (Protocol::Sctp, 9)];

/// What the engine says about one connection at a time.
fn judged(c: &Connectivity<'_>, source: End, destination: End) -> Vec<bool> {
    let allows = |(protocol, number): (Protocol, u16)| {
        c.set().allows(&Connection { source, destination, protocol, port: port(number) })
    };
    ASKED.into_iter().map(allows).collect()
}

fn contained(set: &ConnectionSet) -> Vec<bool> {
    ASKED.into_iter().map(|(protocol, number)| set.contains(protocol, port(number))).collect()
}

/// All links, by source and destination; the empty set where there is none.
fn links(c: &Connectivity<'_>) -> Vec<Vec<ConnectionSet>> {
    let size = c.groups().len();
    let mut links = vec![vec![ConnectionSet::empty(); size]; size];
    c.walk(&c.focus(FocusSide::Either, |_| true), |link| {
        links[link.source][link.destination] = link.connections.clone();
    });
    links
}

/// Whether a changed end means a pod.
fn means(changes: &Changes<'_>, end: usize, inventory: &Inventory, pod: usize) -> bool {
    let reference = &inventory.workload_of(pod).unwrap().reference;
    match &changes.ends[end].who {
        ChangedWho::Workload(workload) => *workload == reference,
        ChangedWho::Part(workload, pods) => {
            *workload == reference
                && pods.iter().any(|p| p == inventory.pods()[pod].reference.name.as_str())
        }
        ChangedWho::Addresses(_) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn links_of_groups_are_the_connections_of_their_members(pods in pods(), policies in policies()) {
        let inventory = inventory(pods);
        let c = Connectivity::new(&inventory, &policies, &[], &Profile::default());
        let links = links(&c);
        let mut members: Vec<usize> = Vec::new();
        for (a, source) in c.groups().iter().enumerate() {
            if let Who::Pods { pods, .. } = &source.who {
                members.extend(pods);
            }
            for (b, destination) in c.groups().iter().enumerate() {
                if source.namespace().is_none() && destination.namespace().is_none() {
                    continue;
                }
                for from in ends(source) {
                    for to in ends(destination).into_iter().filter(|to| *to != from) {
                        prop_assert_eq!(
                            contained(&links[a][b]), judged(&c, from, to),
                            "{} -> {}: {:?} -> {:?}", c.name(source), c.name(destination), from, to
                        );
                    }
                }
            }
        }
        members.sort_unstable();
        prop_assert_eq!(members, (0..inventory.pods().len()).collect::<Vec<_>>());
    }

    #[test]
    fn groups_of_one_workload_differ_in_something(pods in pods(), policies in policies()) {
        let inventory = inventory(pods);
        let c = Connectivity::new(&inventory, &policies, &[], &Profile::default());
        let groups = c.groups();
        // Connections among its own pods included: the engine's parties, for a group of one pod has no link to itself.
        let passes = |from: usize, to: usize| c.set().allowed(groups[from].party(), groups[to].party());
        for a in 0..groups.len() {
            for b in a + 1..groups.len() {
                let workload = |group: &Group<'_>| match &group.who {
                    Who::Pods { workload, .. } => Some(workload.reference.clone()),
                    Who::Addresses { .. } => None,
                };
                if workload(&groups[a]).is_none() || workload(&groups[a]) != workload(&groups[b]) {
                    continue;
                }
                let differ = Direction::BOTH
                    .iter()
                    .any(|d| groups[a].is_isolated(*d) != groups[b].is_isolated(*d))
                    || (0..groups.len())
                        .any(|x| passes(a, x) != passes(b, x) || passes(x, a) != passes(x, b));
                prop_assert!(differ, "{} and {}", c.name(&groups[a]), c.name(&groups[b]));
            }
        }
    }

    #[test]
    fn changes_are_those_of_each_pair_of_pods(
        pods in pods(),
        before in policies(),
        after in policies(),
    ) {
        let inventory = inventory(pods);
        let was = Connectivity::new(&inventory, &before, &[], &Profile::default());
        let is = Connectivity::new(&inventory, &after, &[], &Profile::default());
        let changes = changes(&was, &is);
        let count = inventory.pods().len();
        for (a, b) in (0..count).flat_map(|a| (0..count).map(move |b| (a, b))).filter(|(a, b)| a != b) {
            let pod = |n: usize| End::Pod(PodIx::new(u32::try_from(n).unwrap()));
            let found: Vec<_> = changes
                .pairs
                .iter()
                .filter(|p| {
                    means(&changes, p.source, &inventory, a)
                        && means(&changes, p.destination, &inventory, b)
                })
                .collect();
            prop_assert!(found.len() <= 1, "{:?}", found);
            let both = (judged(&was, pod(a), pod(b)), judged(&is, pod(a), pod(b)));
            match found.first() {
                Some(p) => {
                    let told = (contained(&changes.sets[p.before]), contained(&changes.sets[p.after]));
                    prop_assert_eq!(told, both);
                    prop_assert_ne!(&changes.sets[p.before], &changes.sets[p.after]);
                }
                None => prop_assert_eq!(both.0, both.1),
            }
        }
    }
}
