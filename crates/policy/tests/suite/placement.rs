//! Cluster-wide rules on networks and nodes, and pods whose addresses are not known.

use ringfence_model::{
    Action, Cidr, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPolicyKind, ClusterPorts,
    ClusterRule, Origin, Protocol, Tier,
};
use ringfence_policy::{Assumption, Connection, End, PodIx, PolicySet, Profile};

use crate::cluster::{labels, name, namespace, node, number, pod, selector};

use Action::{Accept, Deny, Pass};

const ANYWHERE: &[&str] = &[];
const V4: &[&str] = &["10.244.0.0/16"];

/// Networks of egress rules, the networks where pods are, whether all passes, and whether that depends on the address.
type Case = (&'static [(Action, &'static [&'static str])], &'static [&'static str], bool, bool);

const REST: (Action, &[&str]) = (Deny, &["0.0.0.0/0", "::/0"]);

#[test]
fn what_is_allowed_passes_whatever_the_address_is() {
    let cases: [Case; 16] = [
        // A denial of one family counts: the pod may be of it.
        (&[(Deny, &["0.0.0.0/0"])], ANYWHERE, false, true),
        (&[(Deny, &["0.0.0.0/0", "::/0"])], ANYWHERE, false, false),
        (&[(Deny, &["0.0.0.0/1", "128.0.0.0/1"])], V4, false, false),
        (&[(Deny, &["10.0.0.0/8"])], ANYWHERE, false, true),
        (&[(Deny, &["10.244.7.0/24"])], V4, false, true),
        // Where the pod cannot be, it is no matter.
        (&[(Deny, &["10.7.0.0/16", "::/0"])], V4, true, false),
        (&[(Deny, &["169.254.169.254/32", "127.0.0.0/8", "fe80::/10"])], ANYWHERE, true, false),
        // Acceptance counts only where the pod must be.
        (&[(Accept, &["0.0.0.0/0"]), REST], ANYWHERE, false, true),
        (&[(Accept, &["10.244.7.0/24"]), REST], V4, false, true),
        (&[(Accept, &["0.0.0.0/0"]), REST], V4, true, false),
        (&[(Accept, &["10.244.0.0/17", "10.244.128.0/17"]), REST], V4, true, false),
        // After a Pass that may have matched, only what passes both ways does.
        (&[(Pass, &["0.0.0.0/0"]), REST], V4, true, false),
        (&[(Pass, &["10.244.7.0/24"]), REST], V4, false, true),
        (&[(Pass, &["10.244.7.0/24"])], V4, true, true),
        (&[(Pass, &["10.244.7.0/24"]), (Accept, &["10.0.0.0/8"])], V4, true, true),
        (&[(Accept, &["10.0.0.0/8"]), (Pass, &["10.244.7.0/24"])], V4, true, false),
    ];
    for (rules, ranges, expected, depends) in cases {
        let networks = |cidrs: &[&str]| {
            ClusterPeer::Networks(cidrs.iter().map(|c| c.parse().unwrap()).collect())
        };
        let rules: Vec<_> =
            rules.iter().map(|(action, cidrs)| (*action, networks(cidrs))).collect();
        check(&rules, ranges, false, expected, depends);
    }
}

#[test]
fn an_accept_after_a_doubtful_pass_leaves_it_to_network_policies() {
    let networks = |cidr: &str| ClusterPeer::Networks(vec![cidr.parse().unwrap()]);
    let rules = [(Pass, networks("10.244.7.0/24")), (Accept, networks("10.0.0.0/8"))];
    let closed = crate::cluster::policy("x/closed", "");
    let closed = crate::cluster::PolicyExt::egress(closed, vec![]);
    let set = set(&rules, V4, false);
    let (mut isolated, _) = set.with_policies(&[]);
    assert!(isolated.allows(&connection()));
    isolated.add_policy(closed);
    assert!(!isolated.allows(&connection()), "the pod may be one of those passed on");
    let party = |pod| isolated.party(End::Pod(PodIx::new(pod)));
    assert!(isolated.allowed(party(0), party(1)).is_empty());
}

#[test]
fn host_network_pods_have_the_address_of_some_node() {
    let nodes = |text: &str| ClusterPeer::Nodes(selector(text));
    let network = |cidr: &str| ClusterPeer::Networks(vec![cidr.parse().unwrap()]);
    for (peer, expected, depends) in [
        (nodes(""), false, false),
        (nodes("role=edge"), false, true),
        (nodes("role=none"), true, false),
        (network("192.168.0.0/24"), false, false),
        (network("192.168.0.1/32"), false, true),
        (network("10.244.0.0/16"), true, false),
    ] {
        check(&[(Deny, peer.clone())], V4, true, expected, depends);
        if matches!(peer, ClusterPeer::Nodes(_)) {
            // Other pods never have a node's address.
            check(&[(Deny, peer)], V4, false, true, false);
        }
    }
}

/// From the first pod to the second.
fn connection() -> Connection {
    let [source, destination] = [0, 1].map(|n| End::Pod(PodIx::new(n)));
    Connection { source, destination, protocol: Protocol::Tcp, port: number(80) }
}

#[track_caller]
fn check(
    rules: &[(Action, ClusterPeer)],
    ranges: &[&str],
    host_network: bool,
    expected: bool,
    depends: bool,
) {
    let set = set(rules, ranges, host_network);
    let decision = set.decide(&connection());
    assert_eq!(decision.allowed(), expected, "{rules:?} in {ranges:?}");
    assert_eq!(set.allows(&connection()), expected, "{rules:?} in {ranges:?}");
    let named = decision.assumptions.contains(&Assumption::AddressNotKnown);
    assert_eq!(named, depends, "{rules:?} in {ranges:?}");
    let party = |pod| set.party(End::Pod(PodIx::new(pod)));
    assert_eq!(set.allowed(party(0), party(1)).is_all(), expected, "{rules:?} in {ranges:?}");
}

/// Two pods without addresses in x, of which the second may be in the host network, and rules for their egress.
fn set(rules: &[(Action, ClusterPeer)], ranges: &[&str], host_network: bool) -> PolicySet {
    let mut pods = [pod("x/a", "", &[], "n1"), pod("x/b", "", &[], "n1")];
    pods[1].node = None;
    pods[1].spec.host_network = host_network;
    let mut nodes = [node("n1", &["192.168.0.1"]), node("n2", &["192.168.0.2"])];
    nodes[1].labels = labels("role=edge");
    let everything = selector("");
    let policy = ClusterPolicy {
        kind: ClusterPolicyKind::ClusterNetworkPolicy,
        name: name("p"),
        origin: Origin::default(),
        tier: Tier::Admin,
        priority: 1,
        subject: ClusterPods { namespaces: everything.clone(), pods: everything },
        ingress: Vec::new(),
        egress: rules
            .iter()
            .map(|(action, peer)| ClusterRule {
                name: None,
                origin: Origin::default(),
                action: *action,
                peers: vec![peer.clone()],
                ports: ClusterPorts::Any,
            })
            .collect(),
    };
    let (set, _) =
        PolicySet::compile(&[namespace("x", "")], &nodes, &pods, &[], &Profile::default());
    let ranges: Vec<Cidr> = ranges.iter().map(|range| range.parse().unwrap()).collect();
    set.with_pod_ranges(&ranges).with_cluster_policies(&[policy]).0
}
