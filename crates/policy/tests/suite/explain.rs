//! Denied connections: what each rule would have needed, and what would allow them.

use proptest::prelude::*;
use ringfence_model::object::Pod;
use ringfence_model::{Direction, NetworkPolicy, Operator, Protocol, Requirement};
use ringfence_policy::{
    Compared, Connection, Difference, End, Fault, IpBlockNodes, IpBlockPods, Judgement,
    LabelChanges, Miss, PodIx, PolicySet, Profile, Remedy,
};

use crate::agree::world;
use crate::cluster::{
    PolicyExt, block, container_port, ip, named, namespace, namespaces, node, number, pod, pods,
    pods_in, policy, port, rule, tcp,
};
use crate::oracle::Oracle;

/// web and two api pods in shop, db in data, and a host-network pod.
fn set(policies: &[NetworkPolicy], profile: Profile) -> PolicySet {
    let labels = "app=api,tier=api,pod-template-hash=1";
    let mut db = pod("data/db", "app=db", &["10.0.0.4"], "n1");
    db.spec.ports.push(container_port("sql", Protocol::Tcp, 5432));
    let mut host = pod("shop/host", "app=host", &["192.168.0.1"], "n2");
    host.spec.host_network = true;
    let cluster_pods = [
        pod("shop/web", "app=web,tier=web", &["10.0.0.1"], "n1"),
        pod("shop/api-1", labels, &["10.0.0.2"], "n1"),
        pod("shop/api-2", labels, &["10.0.0.3"], "n1"),
        db,
        host,
    ];
    let namespaces = [namespace("shop", "team=red"), namespace("data", "team=blue")];
    let nodes = [node("n1", &["192.168.0.9"]), node("n2", &["192.168.0.1"])];
    let (set, diagnostics) =
        PolicySet::compile(&namespaces, &nodes, &cluster_pods, policies, &profile);
    assert_eq!(diagnostics, []);
    set
}

const WEB: End = End::Pod(PodIx::new(0));
const API: End = End::Pod(PodIx::new(1));
const DB: End = End::Pod(PodIx::new(3));
const HOST: End = End::Pod(PodIx::new(4));

fn tcp_to(source: End, destination: End, port: u16) -> Connection {
    Connection { source, destination, protocol: Protocol::Tcp, port: number(port) }
}

/// `policy#rule: fault; fault` for each miss, nearest first.
fn misses(set: &PolicySet, direction: Direction, connection: &Connection) -> Vec<String> {
    let line = |miss: &ringfence_policy::Miss| {
        let faults: Vec<String> = miss.faults.iter().map(ToString::to_string).collect();
        format!("{}#{}: {}", set.policy(miss.policy).name, miss.rule, faults.join("; "))
    };
    set.misses(direction, connection).iter().map(line).collect()
}

#[test]
fn misses_name_what_was_missing_nearest_first() {
    let set = set(
        &[
            policy("data/far", "").ingress(vec![
                rule(&[block("172.16.0.0/12", &[])], &[tcp(1)]),
                rule(&[block("10.0.0.0/8", &["10.0.0.0/24"])], &[]),
                rule(&[pods("app=web")], &[named(Protocol::Tcp, "http")]),
            ]),
            policy("data/near", "app=db").ingress(vec![
                rule(&[namespaces("team=blue"), pods_in("team=red", "tier=web")], &[tcp(5432)]),
                rule(&[pods_in("team=red", "role")], &[port(Protocol::Udp, 5432), tcp(80)]),
            ]),
        ],
        Profile::default(),
    );
    assert_eq!(
        misses(&set, Direction::Ingress, &tcp_to(API, DB, 5432)),
        [
            "near#0: namespaceSelector needs team=blue, namespace shop has team=red",
            "far#1: ipBlock 10.0.0.0/8 excepts 10.0.0.0/24",
            "near#1: podSelector needs role, pod shop/api-1 has no role; ports needs 80, the connection is to 5432",
            "far#0: the address is outside ipBlock 172.16.0.0/12; ports needs 1, the connection is to 5432",
            "far#2: podSelector without namespaceSelector means namespace data, not that of pod shop/api-1; \
             podSelector needs app=web, pod shop/api-1 has app=api; \
             ports needs http, which the destination does not declare; the connection is to 5432",
        ]
    );
    assert_eq!(
        misses(&set, Direction::Ingress, &tcp_to(WEB, DB, 5432)),
        [""; 0],
        "near#0 allows it"
    );
    assert_eq!(
        misses(&set, Direction::Ingress, &tcp_to(HOST, DB, 5432))[2],
        "near#0: selectors ignore host-network pods such as shop/host"
    );
    assert_eq!(
        misses(&set, Direction::Ingress, &tcp_to(End::Address(ip("8.8.8.8")), DB, 5432))[0],
        "far#1: the address is outside ipBlock 10.0.0.0/8"
    );
}

#[test]
fn misses_speak_of_the_destination_and_the_profile() {
    let out = [policy("shop/out", "").egress(vec![
        rule(&[block("10.0.0.0/8", &[])], &[]),
        rule(&[namespaces("")], &[named(Protocol::Tcp, "sql")]),
        rule(&[], &[port(Protocol::Sctp, 5432)]),
    ])];
    let set = set(&out, Profile { ip_block_pods: IpBlockPods::NeverMatch, ..Profile::default() });
    assert_eq!(
        misses(&set, Direction::Egress, &tcp_to(WEB, DB, 80)),
        [
            "out#1: ports needs sql, which is 5432, the connection is to 80",
            "out#2: ports needs SCTP, the connection is TCP",
            "out#0: ipBlock 10.0.0.0/8 holds the address but does not match it under this profile",
        ]
    );
}

#[test]
fn remedies_are_small_and_tell_what_else_they_open() {
    let set = set(
        &[policy("data/db", "app=db").ingress(vec![
            rule(&[pods_in("team=blue", "app in web|api")], &[tcp(5432)]),
            rule(&[pods_in("team=red", "tier=web")], &[tcp(5432)]),
        ])],
        Profile::default(),
    );
    let connection = tcp_to(API, DB, 5432);
    let remedies = set.remedies(Direction::Ingress, &connection, |key| key != "pod-template-hash");
    let [pods, namespace, rule] = &remedies[..] else { panic!("{remedies:#?}") };

    let Remedy::LabelPods { pods: both, labels } = pods else { panic!("{pods:?}") };
    assert_eq!(both, &[PodIx::new(1), PodIx::new(2)], "replicas change together");
    assert_eq!(labels, &[("tier".into(), Some("web".into()))].into());
    let Remedy::LabelNamespace { namespace: name, labels } = namespace else { panic!() };
    assert_eq!((name.as_str(), labels), ("shop", &[("team".into(), Some("blue".into()))].into()));
    let Remedy::AddRule { rule: added, .. } = rule else { panic!("{rule:?}") };
    let expected = pods_in("kubernetes.io/metadata.name=shop", "app=api,tier=api");
    assert_eq!(added, &crate::cluster::rule(&[expected], &[tcp(5432)]));

    let opens = |remedy| {
        let (after, touched) = set.with_remedy(remedy);
        let mut opened = Vec::new();
        Difference::new(&set, &after).walk_touched(&touched, |change| {
            let Compared::Pods(from) = change.source else { panic!("no address is concerned") };
            for pair in from {
                opened.push(format!("{} {}", set.pod(pair.before.unwrap()), change.added()));
            }
        });
        opened
    };
    assert_eq!(opens(pods), ["shop/api-1 TCP 5432", "shop/api-2 TCP 5432"]);
    assert_eq!(opens(namespace), ["shop/api-1 TCP 5432", "shop/api-2 TCP 5432"]);
    assert_eq!(opens(rule), ["shop/api-1 TCP 5432", "shop/api-2 TCP 5432"]);
}

#[test]
fn replicas_that_change_together_change_who_is_isolated() {
    let red = policy("shop/api", "tier=api").ingress(vec![rule(&[pods("tier=web")], &[])]);
    let sealed = policy("shop/web", "tier=web").ingress(vec![]);
    let connection = tcp_to(API, End::Pod(PodIx::new(2)), 80);
    let relabels = |policies: &[NetworkPolicy]| {
        let remedies =
            set(policies, Profile::default()).remedies(Direction::Ingress, &connection, |_| false);
        remedies.iter().any(|remedy| matches!(remedy, Remedy::LabelPods { .. }))
    };
    assert!(relabels(std::slice::from_ref(&red)), "nothing isolates them any more");
    assert!(!relabels(&[red, sealed]), "they would be isolated as web, and closed");
}

#[test]
fn remedies_never_select_by_nothing() {
    let set = set(&[policy("data/db", "").ingress(vec![])], Profile::default());
    let connection = tcp_to(API, DB, 5432);
    assert_eq!(set.remedies(Direction::Ingress, &connection, |_| false), []);
    let outside = tcp_to(End::Address(ip("8.8.8.8")), DB, 5432);
    let [Remedy::AddRule { rule, .. }] = &set.remedies(Direction::Ingress, &outside, |_| false)[..]
    else {
        panic!("an address needs no labels")
    };
    assert_eq!(rule, &crate::cluster::rule(&[block("8.8.8.8/32", &[])], &[tcp(5432)]));
}

/// The first change of labels of each kind that helps when it is made.
fn relabellings(
    world: &Oracle,
    set: &PolicySet,
    direction: Direction,
    c: &Connection,
) -> Vec<Remedy> {
    let peer = match direction {
        Direction::Ingress => c.source,
        Direction::Egress => c.destination,
    };
    let End::Pod(peer) = peer else { return Vec::new() };
    let peer = &world.pods[peer.place()];
    let misses = set.misses(direction, c);
    let near = misses.iter().take(8);
    let is_alike = |other: &Pod| {
        other.reference.namespace == peer.reference.namespace && other.labels == peer.labels
    };
    let places = (0u32..).zip(&world.pods).filter(|(_, other)| is_alike(other));
    let pods: Vec<PodIx> = places.map(|(n, _)| PodIx::new(n)).collect();
    let of_pods = near.clone().filter_map(|miss| {
        let labels = mended(miss, |fault| match fault {
            Fault::PodLabel { requirement, .. } => Some(requirement),
            _ => None,
        })?;
        Some(Remedy::LabelPods { pods: pods.clone(), labels })
    });
    let of_namespace = near.filter_map(|miss| {
        let labels = mended(miss, |fault| match fault {
            Fault::NamespaceLabel { requirement, .. } => Some(requirement),
            _ => None,
        })?;
        let fixed = labels.contains_key("kubernetes.io/metadata.name");
        let namespace = peer.reference.namespace.clone();
        (!fixed).then_some(Remedy::LabelNamespace { namespace, labels })
    });
    let helps = |remedy: &Remedy| set.with_remedy(remedy).0.judge(direction, c).allowed();
    let (mut of_pods, mut of_namespace) = (of_pods, of_namespace);
    [of_pods.find(helps), of_namespace.find(helps)].into_iter().flatten().collect()
}

/// Labels that fulfil what all faults of a miss ask for.
fn mended<'a>(
    miss: &'a Miss,
    asked: impl Fn(&'a Fault) -> Option<&'a Requirement>,
) -> Option<LabelChanges> {
    let mut labels = LabelChanges::new();
    for fault in &miss.faults {
        let requirement = asked(fault)?;
        let value = match &requirement.operator {
            Operator::In(values) => values.first().cloned(),
            Operator::Exists => Some("true".into()),
            Operator::NotIn(_) | Operator::DoesNotExist => None,
        };
        labels.insert(requirement.key.clone(), value);
    }
    Some(labels)
}

proptest! {
    #![proptest_config(crate::agree::config())]

    #[test]
    fn every_rule_of_a_denial_has_a_fault(world in world()) {
        let set = world.compile();
        for (source, destination) in world.pairs() {
            let c = tcp_to(source, destination, 80);
            for direction in Direction::BOTH {
                let misses = set.misses(direction, &c);
                let Judgement::Denied(isolating) = world.judge(direction, &c) else {
                    prop_assert!(misses.is_empty());
                    continue;
                };
                let rules: usize = isolating.iter()
                    .map(|p| set.policy(*p).rules(direction).map_or(0, <[_]>::len))
                    .sum();
                prop_assert_eq!(misses.len(), rules);
                for miss in &misses {
                    prop_assert!(!miss.faults.is_empty(), "{:?} of {:?}", miss, c);
                }
                prop_assert!(misses.is_sorted_by_key(ringfence_policy::Miss::distance));
            }
        }
    }

    #[test]
    fn remedies_help_and_a_rule_can_always_be_added(world in world()) {
        let set = world.compile();
        // Trying remedies out takes long: a few connections will do.
        for (source, destination) in world.pairs().step_by(37) {
            let c = tcp_to(source, destination, 80);
            for direction in Direction::BOTH {
                if !matches!(set.judge(direction, &c), Judgement::Denied(_)) {
                    // Nobody but an administrator mends what a cluster-wide policy denies.
                    continue;
                }
                let peer = match direction {
                    Direction::Ingress => source,
                    Direction::Egress => destination,
                };
                let selectable = match peer {
                    End::Pod(pod) => {
                        let pod = &world.pods[pod.place()];
                        !pod.spec.host_network && !pod.labels.is_empty()
                    }
                    End::Address(_) => world.profile.ip_block_nodes == IpBlockNodes::Match,
                };
                let remedies = set.remedies(direction, &c, |_| true);
                prop_assert!(
                    !selectable || remedies.iter().any(|r| matches!(r, Remedy::AddRule { .. })),
                    "{:?}: {:?}", c, remedies
                );
                let labels = |r: &&Remedy| !matches!(r, Remedy::AddRule { .. });
                prop_assert_eq!(
                    remedies.iter().filter(labels).cloned().collect::<Vec<_>>(),
                    relabellings(&world, &set, direction, &c), "{:?}", c
                );
                for remedy in remedies {
                    prop_assert!(set.with_remedy(&remedy).0.judge(direction, &c).allowed(), "{:?} of {:?}", remedy, c);
                    let otherwise = Oracle { policies: set.with_remedy(&remedy).0.policies().to_vec(), ..world.clone() };
                    if matches!(remedy, Remedy::AddRule { .. }) {
                        prop_assert!(otherwise.judge(direction, &c).allowed(), "{:?} of {:?}", remedy, c);
                    }
                }
            }
        }
    }
}
