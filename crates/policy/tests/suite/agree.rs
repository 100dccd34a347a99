//! Random clusters and policies: the oracle, single decisions and all pairs must agree on every connection.
//!
//! `PROPTEST_CASES` sets the number of clusters, 64 unless told; each is asked about some 10,000 connections.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use ringfence_model::object::{ContainerPort, Namespace, Node, Pod};
use ringfence_model::{
    Action, Cidr, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPolicyKind, ClusterPort,
    ClusterPorts, ClusterRule, Direction, IpBlock, Labels, NamespaceScope, NetworkPolicy, Operator,
    Origin, PeerMatch, Peers, PortMatch, PortRange, PortTarget, Ports, Protocol, Requirement, Rule,
    Selector, Tier,
};
use ringfence_policy::{
    Assumption, Compared, Connection, ConnectionSet, Difference, EgressView, End, EndPort, Hairpin,
    HostNetwork, IpBlockNodes, IpBlockPods, Party, PodIx, PolicySet, Profile,
};

use crate::cluster::{ip, name, namespace, node, number, pod};
use crate::oracle::Oracle;

const NAMESPACES: [&str; 4] = ["x", "y", "w", "z"];
const KEYS: [&str; 3] = ["app", "tier", "team"];
const VALUES: [&str; 3] = ["a", "b", "c"];
const PORT_NAMES: [&str; 3] = ["web", "dns", "none"];
const NUMBERS: [u16; 7] = [1, 53, 80, 81, 90, 8080, 65535];
/// Numbers that policies and pods use, and some that they do not.
const ASKED: [u16; 6] = [1, 2, 80, 85, 8080, 65535];
pub(crate) const CIDRS: [&str; 17] = [
    "0.0.0.0/0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.0.0.4/30",
    "10.0.0.5/32",
    "192.168.0.0/24",
    "192.168.0.1/32",
    "8.8.8.0/24",
    "8.8.8.8/32",
    "255.255.255.255/32",
    "::/0",
    "fd00::/16",
    "fd00::4/126",
    "fd00::5/128",
    "8000::/1",
];
/// Where pods without addresses may be.
const POD_RANGES: [&[&str]; 3] =
    [&["0.0.0.0/0", "::/0"], &["10.0.0.0/8"], &["10.0.0.0/24", "fd00::/16"]];
const OUTSIDE: [&str; 12] = [
    "8.8.8.8",
    "8.8.8.9",
    "0.0.0.0",
    "255.255.255.255",
    "10.0.0.6",
    "::",
    "::ffff:8.8.8.8",
    "fd00::6",
    "ffff::1",
    "192.168.0.1",
    "192.168.0.2",
    "10.9.9.1",
];

/// Fewer clusters than usual, because each is asked so much.
pub(crate) fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    match std::env::var("PROPTEST_CASES") {
        Ok(_) => usual,
        Err(_) => ProptestConfig { cases: 64, ..usual },
    }
}

pub(crate) fn labels() -> impl Strategy<Value = Labels> {
    (subsequence(&KEYS[..], 0..=3), prop::collection::vec(select(&VALUES[..]), 3))
        .prop_map(|(keys, values)| keys.into_iter().zip(values).collect())
}

fn values() -> impl Strategy<Value = BTreeSet<Arc<str>>> {
    subsequence(&["a", "b", "c", "d"][..], 1..=3)
        .prop_map(|v| v.into_iter().map(Arc::from).collect())
}

fn requirement(keys: &'static [&'static str]) -> impl Strategy<Value = Requirement> {
    let operator = prop_oneof![
        3 => values().prop_map(Operator::In),
        2 => values().prop_map(Operator::NotIn),
        1 => Just(Operator::Exists),
        1 => Just(Operator::DoesNotExist),
    ];
    (select(keys), operator).prop_map(|(key, operator)| Requirement { key: key.into(), operator })
}

/// One requirement most of the time, often none: long selectors match nothing.
fn selector() -> impl Strategy<Value = Selector> {
    let keys = &["app", "tier", "team", "other"][..];
    prop::collection::vec(requirement(keys), 0..=2).prop_map(|r| r.into_iter().collect())
}

fn namespace_selector() -> impl Strategy<Value = Selector> {
    let by_name = select(&["x", "y", "w", "z", "gone"][..]).prop_map(|n| {
        [Requirement::equals("kubernetes.io/metadata.name", n)].into_iter().collect()
    });
    prop_oneof![2 => selector(), 1 => by_name]
}

fn ip_block() -> impl Strategy<Value = IpBlock> {
    (select(&CIDRS[..]), subsequence(&CIDRS[..], 0..=5)).prop_map(|(cidr, except)| {
        let cidr: Cidr = cidr.parse().unwrap();
        let inside = |e: &Cidr| cidr.covers(e) && *e != cidr;
        let except = except.into_iter().map(|e| e.parse().unwrap()).filter(inside).collect();
        IpBlock::new(cidr, except).unwrap()
    })
}

fn peer() -> impl Strategy<Value = PeerMatch> {
    let scope = prop_oneof![
        Just(NamespaceScope::Own),
        namespace_selector().prop_map(NamespaceScope::Matching),
    ];
    prop_oneof![
        3 => (scope, selector()).prop_map(|(namespaces, pods)| PeerMatch::Pods { namespaces, pods }),
        2 => ip_block().prop_map(PeerMatch::IpBlock),
    ]
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(&Protocol::ALL[..])
}

fn port() -> impl Strategy<Value = PortMatch> {
    let range =
        (select(&NUMBERS[..]), prop_oneof![Just(0u16), 0..=10u16]).prop_map(|(first, len)| {
            PortRange::new(number(first), number(first.saturating_add(len))).unwrap()
        });
    let target = prop_oneof![
        1 => Just(PortTarget::Any),
        3 => range.prop_map(PortTarget::Numbers),
        2 => select(&PORT_NAMES[..]).prop_map(|n| PortTarget::Named(n.into())),
    ];
    (protocol(), target).prop_map(|(protocol, target)| PortMatch { protocol, target })
}

fn rule() -> impl Strategy<Value = Rule> {
    let peers = prop_oneof![
        1 => Just(Peers::Any),
        4 => prop::collection::vec(peer(), 1..=3).prop_map(Peers::Only),
    ];
    let ports = prop_oneof![
        1 => Just(Ports::Any),
        2 => prop::collection::vec(port(), 1..=3).prop_map(Ports::Only),
    ];
    (peers, ports).prop_map(|(peers, ports)| Rule { origin: Origin::default(), peers, ports })
}

fn rules() -> impl Strategy<Value = Option<Vec<Rule>>> {
    prop::option::weighted(0.6, prop::collection::vec(rule(), 0..=3))
}

pub(crate) fn policy() -> impl Strategy<Value = NetworkPolicy> {
    // One policy may live in a namespace that is not there.
    (select(&["x", "x", "y", "w", "z", "gone"][..]), selector(), rules(), rules()).prop_map(
        |(namespace, pod_selector, ingress, egress)| NetworkPolicy {
            namespace: name(namespace),
            name: name("p"),
            origin: Origin::default(),
            pod_selector,
            ingress,
            egress,
        },
    )
}

fn container_port() -> impl Strategy<Value = ContainerPort> {
    let names = prop::option::of(select(&PORT_NAMES[..2]).prop_map(Arc::from));
    (names, protocol(), select(&NUMBERS[..])).prop_map(|(name, protocol, port)| ContainerPort {
        name,
        protocol,
        port: number(port),
    })
}

pub(crate) fn pods() -> impl Strategy<Value = Vec<Pod>> {
    let one = (
        select(&NAMESPACES[..]),
        labels(),
        subsequence(&["10.0.0.0", "fd00::"][..], 0..=2),
        select(&["n1", "n2", "elsewhere"][..]),
        prop::bool::weighted(0.2),
        prop::collection::vec(container_port(), 0..=3),
    );
    let unnumbered = one.prop_map(|(namespace, labels, families, on, host_network, ports)| {
        let mut new = pod(&format!("{namespace}/p"), "", &[], on);
        new.labels = labels;
        new.spec.host_network = host_network;
        new.spec.ports = ports;
        new.ips = match (host_network, on) {
            (true, "n2") => vec![ip("192.168.0.2")],
            (true, _) => Vec::new(),
            (false, _) => families.into_iter().map(ip).collect(),
        };
        new
    });
    prop::collection::vec(unnumbered, 1..=9).prop_map(|mut pods| {
        for (n, pod) in (0u8..).zip(&mut pods) {
            pod.reference.name = name(&format!("p{n}"));
            if !pod.spec.host_network {
                pod.ips.iter_mut().for_each(|ip| *ip = plus(*ip, n));
            }
        }
        pods
    })
}

fn plus(ip: IpAddr, n: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => (v4.to_bits() + u32::from(n)).to_be_bytes().into(),
        IpAddr::V6(v6) => (v6.to_bits() + u128::from(n)).to_be_bytes().into(),
    }
}

fn profile() -> impl Strategy<Value = Profile> {
    (
        select(&[IpBlockPods::Match, IpBlockPods::NeverMatch][..]),
        select(&[IpBlockNodes::Match, IpBlockNodes::NeverMatch][..]),
        select(&[HostNetwork::NodeAddress, HostNetwork::LikePods][..]),
        select(&[Hairpin::Allowed, Hairpin::Judged][..]),
        select(&[EndPort::Enforced, EndPort::FirstPortOnly][..]),
    )
        .prop_map(|(ip_block_pods, ip_block_nodes, host_network, hairpin, end_port)| Profile {
            ip_block_pods,
            ip_block_nodes,
            host_network,
            hairpin,
            end_port,
            egress_view: EgressView::Reached,
        })
}

fn nodes() -> Vec<Node> {
    let mut first = node("n1", &["192.168.0.1", "fd01::1"]);
    first.labels = [("team", "a")].into_iter().collect();
    first.pod_network_addresses.push(ip("10.9.9.1"));
    vec![first, node("n2", &["192.168.0.2"])]
}

fn cluster_peer() -> impl Strategy<Value = ClusterPeer> {
    let networks = prop::collection::vec(select(&CIDRS[..]), 1..=2).prop_map(|cidrs| {
        ClusterPeer::Networks(cidrs.iter().map(|c| c.parse().unwrap()).collect())
    });
    prop_oneof![
        6 => (namespace_selector(), selector())
            .prop_map(|(namespaces, pods)| ClusterPeer::Pods(ClusterPods { namespaces, pods })),
        2 => selector().prop_map(ClusterPeer::Nodes),
        4 => networks,
        1 => Just(ClusterPeer::DomainNames(vec!["example.com".into()])),
        1 => Just(ClusterPeer::Unknown),
    ]
}

fn cluster_rule() -> impl Strategy<Value = ClusterRule> {
    let port = prop_oneof![
        3 => port().prop_map(|port| match port.target {
            PortTarget::Any => ClusterPort::Numbers(port.protocol, PortRange::ALL),
            PortTarget::Numbers(range) => ClusterPort::Numbers(port.protocol, range),
            PortTarget::Named(name) => ClusterPort::Named(name, Some(port.protocol)),
        }),
        1 => select(&PORT_NAMES[..]).prop_map(|n| ClusterPort::Named(n.into(), None)),
        1 => Just(ClusterPort::Other),
    ];
    let ports = prop_oneof![
        1 => Just(ClusterPorts::Any),
        1 => prop::collection::vec(port, 1..=2).prop_map(ClusterPorts::Only),
    ];
    let action = select(&[Action::Accept, Action::Deny, Action::Pass][..]);
    (action, prop::collection::vec(cluster_peer(), 0..=2), ports).prop_map(
        |(action, peers, ports)| ClusterRule {
            name: None,
            origin: Origin::default(),
            action,
            peers,
            ports,
        },
    )
}

/// Equal priorities often.
pub(crate) fn cluster_policy() -> impl Strategy<Value = ClusterPolicy> {
    (
        select(&[Tier::Admin, Tier::Baseline][..]),
        0..=2u16,
        select(&["p", "q"][..]),
        (namespace_selector(), selector()),
        prop::collection::vec(cluster_rule(), 0..=3),
        prop::collection::vec(cluster_rule(), 0..=3),
    )
        .prop_map(|(tier, priority, called, (namespaces, pods), ingress, egress)| {
            ClusterPolicy {
                kind: ClusterPolicyKind::ClusterNetworkPolicy,
                name: name(called),
                origin: Origin::default(),
                tier,
                priority,
                subject: ClusterPods { namespaces, pods },
                ingress,
                egress,
            }
        })
}

/// None at all as often as not.
fn cluster_policies() -> impl Strategy<Value = Vec<ClusterPolicy>> {
    prop_oneof![Just(Vec::new()), prop::collection::vec(cluster_policy(), 1..=4)]
}

/// Namespace z is missing from the input.
fn given_namespaces() -> impl Strategy<Value = Vec<Namespace>> {
    prop::collection::vec(labels(), 3).prop_map(|labels| {
        let with = |(name, labels): (&&str, Labels)| {
            let mut new = namespace(name, "");
            new.labels = new
                .labels
                .iter()
                .chain(labels.iter())
                .map(|(k, v)| (Arc::clone(k), Arc::clone(v)))
                .collect();
            new
        };
        NAMESPACES.iter().zip(labels).map(with).collect()
    })
}

pub(crate) fn world() -> impl Strategy<Value = Oracle> {
    let policies = prop::collection::vec(policy(), 0..=6);
    let ranges = select(&POD_RANGES[..]);
    (given_namespaces(), pods(), policies, cluster_policies(), profile(), ranges).prop_map(
        |(namespaces, pods, policies, cluster_policies, profile, ranges)| Oracle {
            namespaces,
            nodes: nodes(),
            pods,
            policies,
            cluster_policies,
            pod_ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
            profile,
        },
    )
}

impl Oracle {
    pub(crate) fn compile(&self) -> PolicySet {
        let Self { namespaces, nodes, pods, policies, cluster_policies, pod_ranges, profile } =
            self;
        let (set, _) = PolicySet::compile(namespaces, nodes, pods, policies, profile);
        let set = set.with_pod_ranges(pod_ranges);
        if cluster_policies.is_empty() {
            set
        } else {
            set.with_cluster_policies(cluster_policies).0
        }
    }

    fn ends(&self) -> Vec<End> {
        let outside = OUTSIDE.iter().map(|a| End::Address(ip(a)));
        let pods = (0u32..).zip(&self.pods).map(|(n, _)| End::Pod(PodIx::new(n)));
        pods.chain(outside).collect()
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (End, End)> {
        let ends = self.ends();
        let sources = ends.clone();
        sources.into_iter().flat_map(move |a| ends.clone().into_iter().map(move |b| (a, b)))
    }
}

pub(crate) fn connections(source: End, destination: End) -> impl Iterator<Item = Connection> {
    Protocol::ALL.into_iter().flat_map(move |protocol| {
        ASKED.map(|port| Connection { source, destination, protocol, port: number(port) })
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn decisions_agree_with_the_specification(world in world()) {
        let set = world.compile();
        for (source, destination) in world.pairs() {
            for c in connections(source, destination) {
                let decision = set.decide(&c);
                let egress = world.judge(Direction::Egress, &c);
                let ingress = world.judge(Direction::Ingress, &c);
                prop_assert_eq!(&decision.egress, &egress, "egress of {:?}", c);
                prop_assert_eq!(&decision.ingress, &ingress, "ingress of {:?}", c);
                prop_assert_eq!(set.allows(&c), egress.allowed() && ingress.allowed(), "{:?}", c);
            }
        }
    }

    #[test]
    fn all_pairs_agree_with_decisions(world in world()) {
        let set = world.compile();
        let mut reach = set.reach();
        let mut table: Vec<(Party, Vec<(Party, ConnectionSet)>)> = Vec::new();
        reach.walk(set.parties(), |row| {
            table.push((row.source(), row.iter().map(|(to, over)| (to, over.clone())).collect()));
        });
        let cell = |from: Party, to: Party| -> ConnectionSet {
            let row = table.iter().find(|(source, _)| *source == from);
            let open = row.and_then(|(_, row)| row.iter().find(|(party, _)| *party == to));
            open.map_or_else(ConnectionSet::empty, |(_, over)| over.clone())
        };
        for from in set.parties() {
            for to in set.parties() {
                prop_assert_eq!(cell(from, to), set.allowed(from, to), "{:?} to {:?}", from, to);
            }
            let mut around = Vec::new();
            set.walk_party(from, |to, sends, receives| {
                around.push((sends == &cell(from, to), receives == &cell(to, from)));
            });
            prop_assert_eq!(around, vec![(true, true); set.parties().count()], "around {:?}", from);
        }
        for (source, destination) in world.pairs() {
            let over = cell(set.party(source), set.party(destination));
            for c in connections(source, destination) {
                // What is allowed whatever the policies say is not in the table.
                let always = world.is_own_node(&c) || source == destination && world.profile.hairpin == Hairpin::Allowed;
                if !always {
                    prop_assert_eq!(over.contains(c.protocol, c.port), set.allows(&c), "{:?}", c);
                }
            }
        }
    }

    #[test]
    fn open_points_that_matter_are_named(world in world(), other in profile(), option in 0..5) {
        let set = world.compile();
        let p = world.profile;
        let flipped = match option {
            0 => Profile { ip_block_pods: other.ip_block_pods, ..p },
            1 => Profile { ip_block_nodes: other.ip_block_nodes, ..p },
            2 => Profile { host_network: other.host_network, ..p },
            3 => Profile { hairpin: other.hairpin, ..p },
            _ => Profile { end_port: other.end_port, ..p },
        };
        let otherwise = Oracle { profile: flipped, ..world.clone() }.compile();
        for (source, destination) in world.pairs() {
            for c in connections(source, destination) {
                let decision = set.decide(&c);
                let named = decision.assumptions.iter().any(|a| match a {
                    Assumption::IpBlockPods(_) => flipped.ip_block_pods != p.ip_block_pods,
                    Assumption::IpBlockNodes(_) => flipped.ip_block_nodes != p.ip_block_nodes,
                    Assumption::HostNetwork(_) => flipped.host_network != p.host_network,
                    Assumption::Hairpin(_) => flipped.hairpin != p.hairpin,
                    Assumption::EndPort(_) => flipped.end_port != p.end_port,
                    // No profile changes these.
                    Assumption::UnknownPeerFailsClosed
                    | Assumption::AddressNotKnown
                    | Assumption::DomainNamesMatchNothing => false,
                });
                if !named {
                    prop_assert_eq!(decision.allowed(), otherwise.allows(&c), "{:?} under {:?}", c, flipped);
                }
            }
        }
    }

    #[test]
    fn a_pod_whose_address_is_not_known_is_allowed_what_passes_whatever_it_is(
        world in world(),
        addresses in subsequence(&["10.0.0.5", "10.0.0.77", "10.3.0.1", "fd00::5", "fd00::9"][..], 1..=2),
    ) {
        let nowhere = world.pods.iter().position(|pod| pod.ips.is_empty() && !pod.spec.host_network);
        let Some(nowhere) = nowhere else { return Ok(()) };
        let addresses: Vec<IpAddr> = addresses.into_iter().map(ip).collect();
        let may_be = |ip: &IpAddr| world.pod_ranges.iter().any(|range| range.contains(*ip));
        // NetworkPolicies only add to what their ipBlocks match.
        let world = Oracle { policies: Vec::new(), ..world.clone() };
        let mut placed = world.clone();
        placed.pods[nowhere].ips.clone_from(&addresses);
        let (set, otherwise) = (world.compile(), placed.compile());
        for (source, destination) in world.pairs() {
            for c in connections(source, destination) {
                let decision = set.decide(&c);
                if addresses.iter().all(may_be) && decision.allowed() {
                    prop_assert!(otherwise.allows(&c), "{:?} at {:?}", c, addresses);
                }
                let concerned = [source, destination].contains(&End::Pod(PodIx::new(u32::try_from(nowhere).unwrap())));
                if addresses.iter().all(may_be) && concerned && !decision.assumptions.contains(&Assumption::AddressNotKnown) {
                    prop_assert_eq!(decision.allowed(), otherwise.allows(&c), "{:?} at {:?}", c, addresses);
                }
            }
        }
    }

    #[test]
    fn differences_agree_with_decisions(
        world in world(),
        policies in prop::collection::vec(policy(), 0..=6),
        labels in labels(),
        moved in 0..9usize,
    ) {
        // Other policies, one pod relabelled, one gone, one new.
        let mut later = Oracle { policies, ..world.clone() };
        let place = moved % later.pods.len();
        later.pods[place].labels = labels;
        let last = later.pods.len() - 1;
        later.pods[last].reference.name = name("new");
        let (before, after) = (world.compile(), later.compile());

        let mut changes: Vec<(Compared, Compared, ConnectionSet, ConnectionSet)> = Vec::new();
        Difference::new(&before, &after).walk(|change| {
            assert_ne!(change.before, change.after);
            changes.push((change.source.clone(), change.destination.clone(), change.added(), change.removed()));
        });
        let holds = |compared: &Compared, end: End| match (compared, end) {
            (Compared::Pods(pairs), End::Pod(pod)) => pairs.iter().any(|pair| {
                pair.before == Some(pod) && pair.after.is_some() == (pod.place() != last)
            }),
            (Compared::Addresses(atom), End::Address(ip)) => {
                atom.cidrs().iter().any(|cidr| cidr.contains(&ip.to_canonical()))
            }
            _ => false,
        };
        for (source, destination) in world.pairs() {
            let change = changes.iter().find(|(a, b, ..)| holds(a, source) && holds(b, destination));
            let gone = [source, destination].contains(&End::Pod(PodIx::new(u32::try_from(last).unwrap())));
            for c in connections(source, destination) {
                let always = world.is_own_node(&c) || source == destination;
                let was = before.allows(&c);
                let is = !gone && after.allows(&c);
                if always {
                    continue;
                }
                let (added, removed) = change.map_or((false, false), |(_, _, added, removed)| {
                    (added.contains(c.protocol, c.port), removed.contains(c.protocol, c.port))
                });
                prop_assert_eq!((added, removed), (!was && is, was && !is), "{:?}", c);
            }
        }
    }

    #[test]
    fn atoms_cut_the_address_space_exactly(blocks in prop::collection::vec(ip_block(), 0..=4)) {
        let policy = NetworkPolicy {
            namespace: name("x"),
            name: name("p"),
            origin: Origin::default(),
            pod_selector: Selector::everything(),
            ingress: None,
            egress: Some(blocks.iter().map(|b| Rule {
                origin: Origin::default(),
                peers: Peers::Only(vec![PeerMatch::IpBlock(b.clone())]),
                ports: Ports::Any,
            }).collect()),
        };
        let (set, _) = PolicySet::compile(&[], &[], &[], &[policy], &Profile::default());
        let mut addresses: Vec<IpAddr> = OUTSIDE.iter().map(|a| ip(a)).collect();
        addresses.extend(set.atoms().iter().map(ringfence_policy::Atom::representative));
        for address in addresses.iter().map(IpAddr::to_canonical) {
            let Party::Addresses(atom) = set.party(End::Address(address)) else { panic!("an address") };
            for (n, other) in set.atoms().iter().enumerate() {
                let listed = other.cidrs().iter().any(|cidr| cidr.contains(&address));
                prop_assert_eq!(listed, n == atom.place(), "{} in {:?}", address, other.cidrs());
            }
            let like = set.atoms()[atom.place()].representative();
            for block in &blocks {
                prop_assert_eq!(block.contains(address), block.contains(like), "{} like {}", address, like);
            }
        }
    }
}
