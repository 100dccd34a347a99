//! The conformance cases of `ClusterNetworkPolicy`, by their names: namespace g is the subject, r, h and s are peers.

use ringfence_model::{
    Action, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPolicyKind, ClusterPort, ClusterPorts,
    ClusterRule, Direction, NetworkPolicy, Origin, PortRange, Protocol, Tier,
};
use ringfence_policy::{
    Assumption, ClusterPolicyIx, ClusterRuleRef, Connection, End, Hairpin, Judgement, PodIx,
    PolicySet, Profile,
};

use crate::cluster::{
    PolicyExt, container_port, ip, name, namespace, namespaces, node, number, pod, policy, rule,
    selector,
};

use Action::{Accept, Deny, Pass};
use Protocol::{Sctp, Tcp, Udp};

fn pods_of(namespace: &str) -> ClusterPods {
    let namespaces = selector(&format!("kubernetes.io/metadata.name={namespace}"));
    ClusterPods { namespaces, pods: selector("") }
}

fn everywhere(pods: &str) -> ClusterPods {
    ClusterPods { namespaces: selector(""), pods: selector(pods) }
}

fn networks(cidrs: &[&str]) -> ClusterPeer {
    ClusterPeer::Networks(cidrs.iter().map(|c| c.parse().unwrap()).collect())
}

fn numbers(protocol: Protocol, first: u16, last: u16) -> ClusterPort {
    ClusterPort::Numbers(protocol, PortRange::new(number(first), number(last)).unwrap())
}

/// A rule; without ports it matches everything.
fn cluster_rule(action: Action, peer: ClusterPeer, ports: &[ClusterPort]) -> ClusterRule {
    ClusterRule {
        name: None,
        origin: Origin::default(),
        action,
        peers: vec![peer],
        ports: if ports.is_empty() {
            ClusterPorts::Any
        } else {
            ClusterPorts::Only(ports.to_vec())
        },
    }
}

/// A policy on the pods of g with the same rules in the given directions.
fn on_g(tier: Tier, directions: &[Direction], rules: &[ClusterRule]) -> ClusterPolicy {
    let of = |direction| if directions.contains(&direction) { rules.to_vec() } else { Vec::new() };
    ClusterPolicy {
        kind: ClusterPolicyKind::ClusterNetworkPolicy,
        name: name("p"),
        origin: Origin::default(),
        tier,
        priority: 10,
        subject: pods_of("g"),
        ingress: of(Direction::Ingress),
        egress: of(Direction::Egress),
    }
}

/// Two pods, 0 and 1, in each of g, r, h and s; they serve TCP 80 as `web`.
fn set(
    cluster_policies: &[ClusterPolicy],
    policies: &[NetworkPolicy],
    profile: Profile,
) -> PolicySet {
    let mut pods = Vec::new();
    for (n, ns) in ["g", "r", "h", "s"].into_iter().enumerate() {
        for p in 0..2 {
            let mut new =
                pod(&format!("{ns}/{p}"), &format!("pod={p}"), &[&format!("10.0.{n}.{p}")], "n1");
            new.spec.ports.push(container_port("web", Tcp, 80));
            pods.push(new);
        }
    }
    let namespaces = ["g", "r", "h", "s"].map(|ns| namespace(ns, ""));
    let mut nodes = [node("n1", &["192.168.0.1"]), node("n2", &["192.168.0.2"])];
    nodes[1].labels = crate::cluster::labels("role=edge");
    let (set, diagnostics) = PolicySet::compile(&namespaces, &nodes, &pods, policies, &profile);
    assert_eq!(diagnostics, []);
    let (set, diagnostics) = set.with_cluster_policies(cluster_policies);
    assert_eq!(diagnostics, []);
    set
}

fn end(set: &PolicySet, text: &str) -> End {
    (0..8)
        .map(PodIx::new)
        .find(|pod| set.pod(*pod).to_string() == text)
        .map_or_else(|| End::Address(ip(text)), End::Pod)
}

#[track_caller]
fn check(set: &PolicySet, case: &str, from: &str, to: &str, over: (Protocol, u16), expected: bool) {
    let (source, destination) = (end(set, from), end(set, to));
    let connection = Connection { source, destination, protocol: over.0, port: number(over.1) };
    let decision = set.decide(&connection);
    assert_eq!(decision.allowed(), expected, "{case}: {from} to {to} {over:?}: {decision:?}");
    assert_eq!(set.allows(&connection), expected, "{case}");
    let all = set.allowed(set.party(source), set.party(destination));
    assert_eq!(all.contains(over.0, number(over.1)), expected, "{case}");
}

/// Everything from r thrice over, s and h on one port.
fn seven_rules(over: &[ClusterPort]) -> Vec<ClusterRule> {
    let peer = |ns| ClusterPeer::Pods(pods_of(ns));
    vec![
        cluster_rule(Accept, peer("r"), &[]),
        cluster_rule(Deny, peer("r"), &[]),
        cluster_rule(Pass, peer("r"), &[]),
        cluster_rule(Deny, peer("s"), over),
        cluster_rule(Pass, peer("s"), over),
        cluster_rule(Accept, peer("h"), over),
        cluster_rule(Deny, peer("h"), &[]),
    ]
}

#[test]
fn rules_count_in_their_order() {
    use Direction::{Egress, Ingress};
    // CNPAdminTierIngressTCP, ...UDP, ...SCTP, CNPAdminTierEgress..., CNPAdminTierGress, and the same of the
    // Baseline tier.
    for tier in [Tier::Admin, Tier::Baseline] {
        for directions in [&[Ingress][..], &[Egress], &[Ingress, Egress]] {
            for protocol in [Tcp, Udp, Sctp] {
                let case = format!("CNP{tier}Tier {directions:?} {protocol}");
                let check_peer = |swapped: Option<(usize, usize)>, peer: &str, port, expected| {
                    let mut rules = seven_rules(&[numbers(protocol, 80, 80)]);
                    if let Some((a, b)) = swapped {
                        rules.swap(a, b);
                    }
                    let set = set(&[on_g(tier, directions, &rules)], &[], Profile::default());
                    for direction in Direction::BOTH {
                        let (from, to) = match direction {
                            Ingress => (peer, "g/0"),
                            Egress => ("g/0", peer),
                        };
                        // CNPBaselineTierIngressRulesEgressUnaffected and its like: no rules, no effect.
                        let expected = expected || !directions.contains(&direction);
                        check(&set, &case, from, to, (protocol, port), expected);
                    }
                };
                check_peer(None, "r/0", 80, true);
                check_peer(None, "r/1", 8080, true);
                check_peer(None, "h/0", 80, true);
                check_peer(None, "h/1", 8080, false);
                check_peer(None, "s/0", 80, false);
                check_peer(None, "s/1", 8080, true);
                check_peer(Some((0, 1)), "r/0", 80, false);
                check_peer(Some((0, 2)), "r/0", 80, true);
                check_peer(Some((3, 4)), "s/0", 80, true);
            }
        }
    }
}

#[test]
fn tiers_work_together() {
    // CNPAdminTierIntegration.
    let all = |tier, action| {
        on_g(tier, &Direction::BOTH, &[cluster_rule(action, ClusterPeer::Pods(pods_of("s")), &[])])
    };
    let from_s = || rule(&[namespaces("kubernetes.io/metadata.name=s")], &[]);
    let allow_s = policy("g/p", "").ingress(vec![from_s()]).egress(vec![from_s()]);
    let deny_all = policy("g/p", "").ingress(vec![]).egress(vec![]);
    let baseline = all(Tier::Baseline, Deny);
    let accept = all(Tier::Admin, Accept);
    let pass = all(Tier::Admin, Pass);
    for (case, admin, below, expected) in [
        ("Admin denies before NetworkPolicy", all(Tier::Admin, Deny), Some(&allow_s), false),
        ("Admin accepts before NetworkPolicy", accept.clone(), Some(&deny_all), true),
        ("Admin accepts before Baseline", accept, None, true),
        ("Admin passes to NetworkPolicy, which allows", pass.clone(), Some(&allow_s), true),
        ("Admin passes to NetworkPolicy, which denies", pass.clone(), Some(&deny_all), false),
        ("Admin passes to Baseline", pass, None, false),
    ] {
        let below = below.cloned().into_iter().collect::<Vec<_>>();
        let set = set(&[baseline.clone(), admin], &below, Profile::default());
        check(&set, case, "s/0", "g/0", (Tcp, 80), expected);
        check(&set, case, "g/1", "s/1", (Tcp, 8080), expected);
    }
}

#[test]
fn lower_priorities_come_first() {
    // CNPAdminTierPriorityField, CNPAdminTierSamePriority.
    let of = |action, peer, priority| ClusterPolicy {
        priority,
        ..on_g(
            Tier::Admin,
            &[Direction::Ingress],
            &[cluster_rule(action, ClusterPeer::Pods(pods_of(peer)), &[])],
        )
    };
    for (accept, deny, expected) in [(50, 60, true), (60, 50, false)] {
        let set = set(&[of(Accept, "r", accept), of(Deny, "r", deny)], &[], Profile::default());
        check(&set, "PriorityField", "r/0", "g/0", (Tcp, 80), expected);
    }
    let set = set(&[of(Deny, "h", 5), of(Deny, "r", 5)], &[], Profile::default());
    assert_eq!(set.lint().iter().map(|d| d.code).collect::<Vec<_>>(), ["equal-priority"]);
    check(&set, "SamePriority", "r/0", "g/0", (Tcp, 80), false);
    check(&set, "SamePriority", "h/0", "g/0", (Tcp, 80), false);
    check(&set, "SamePriority", "s/0", "g/0", (Tcp, 80), true);
}

#[test]
fn peers_and_ports_of_egress() {
    use Direction::Egress;
    // CNPAdminTierEgressInlineCIDRPeers: networks see pods, whatever ipBlocks do.
    let profile = Profile::CILIUM;
    let mut rules = vec![
        cluster_rule(Accept, ClusterPeer::Pods(pods_of("s")), &[]),
        cluster_rule(Deny, networks(&["0.0.0.0/0"]), &[]),
    ];
    let closed = set(&[on_g(Tier::Admin, &[Egress], &rules)], &[], profile);
    check(&closed, "InlineCIDRPeers", "g/1", "r/0", (Udp, 53), false);
    check(&closed, "InlineCIDRPeers", "g/1", "s/0", (Udp, 53), true);
    check(&closed, "InlineCIDRPeers", "g/1", "192.168.0.1", (Udp, 53), false);
    check(&closed, "InlineCIDRPeers", "g/1", "2001:db8::1", (Udp, 53), true);
    rules.insert(0, cluster_rule(Accept, networks(&["10.0.1.0/32", "10.0.2.0/32"]), &[]));
    let open = set(&[on_g(Tier::Admin, &[Egress], &rules)], &[], profile);
    check(&open, "InlineCIDRPeers", "g/1", "r/0", (Tcp, 80), true);
    check(&open, "InlineCIDRPeers", "g/1", "h/0", (Tcp, 80), true);
    check(&open, "InlineCIDRPeers", "g/1", "r/1", (Tcp, 80), false);

    // CNPAdminTierEgressNamedPort, and port ranges.
    let named = ClusterPort::Named("web".into(), None);
    let rules = [
        cluster_rule(Accept, ClusterPeer::Pods(pods_of("r")), &[named, numbers(Udp, 5000, 6000)]),
        cluster_rule(Deny, ClusterPeer::Pods(pods_of("r")), &[]),
        cluster_rule(Deny, ClusterPeer::Nodes(selector("role=edge")), &[]),
    ];
    let ports = set(&[on_g(Tier::Baseline, &[Egress], &rules)], &[], profile);
    check(&ports, "EgressNamedPort", "g/0", "r/0", (Tcp, 80), true);
    check(&ports, "EgressNamedPort", "g/0", "r/0", (Udp, 80), false);
    check(&ports, "EgressNamedPort", "g/0", "r/0", (Tcp, 81), false);
    check(&ports, "port ranges", "g/0", "r/0", (Udp, 5353), true);
    check(&ports, "port ranges", "g/0", "r/0", (Udp, 6001), false);
    check(&ports, "nodes", "g/0", "192.168.0.2", (Tcp, 80), false);
    check(&ports, "nodes", "g/0", "192.168.0.1", (Tcp, 80), true);
}

#[test]
fn subjects_are_chosen_by_labels() {
    // CNPAdminTierPodSelector.
    let rules = [cluster_rule(Deny, ClusterPeer::Pods(everywhere("pod=1")), &[])];
    let denied = ClusterPolicy {
        subject: everywhere("pod=0"),
        ..on_g(Tier::Admin, &[Direction::Ingress], &rules)
    };
    let nobody = ClusterPolicy { subject: everywhere("pod=9"), ..denied.clone() };
    let set = set(&[denied, nobody], &[], Profile::default());
    assert_eq!(set.lint().iter().map(|d| d.code).collect::<Vec<_>>(), ["selects-nothing"]);
    check(&set, "PodSelector", "r/1", "g/0", (Tcp, 80), false);
    check(&set, "PodSelector", "r/1", "s/0", (Tcp, 80), false);
    check(&set, "PodSelector", "r/0", "g/0", (Tcp, 80), true);
    check(&set, "PodSelector", "r/1", "g/1", (Tcp, 80), true);
}

#[test]
fn the_own_node_and_the_pod_itself() {
    let rules = [cluster_rule(Deny, ClusterPeer::Unknown, &[])];
    let deny = || on_g(Tier::Admin, &[Direction::Ingress], &rules);
    let judge = |hairpin, from: &str| {
        let profile = Profile { hairpin, ..Profile::default() };
        let (set, diagnostics) = set(&[], &[], profile).with_cluster_policies(&[deny()]);
        assert_eq!(diagnostics[0].code, "unknown-peer");
        let source = end(&set, from);
        let connection =
            Connection { source, destination: end(&set, "g/0"), protocol: Tcp, port: number(80) };
        set.decide(&connection).ingress
    };
    let refused = Judgement::ClusterDenied(ClusterRuleRef {
        policy: ClusterPolicyIx::new(0),
        direction: Direction::Ingress,
        rule: 0,
    });
    assert_eq!(judge(Hairpin::Allowed, "192.168.0.1"), Judgement::OwnNode, "20: probes");
    assert_eq!(judge(Hairpin::Allowed, "192.168.0.2"), refused, "37: unknown peers fail closed");
    assert_eq!(judge(Hairpin::Allowed, "g/0"), Judgement::SelfTraffic, "22");
    assert_eq!(judge(Hairpin::Judged, "g/0"), refused, "CNPAdminTierHairpin");
}

#[test]
fn domain_names_are_not_resolved_and_accept_nothing() {
    let names = ClusterPeer::DomainNames(vec!["example.org".into()]);
    let rules = [
        cluster_rule(Accept, names, &[]),
        cluster_rule(Deny, networks(&["0.0.0.0/0", "::/0"]), &[]),
    ];
    let policy = on_g(Tier::Admin, &[Direction::Egress], &rules);
    let (set, diagnostics) = set(&[], &[], Profile::default()).with_cluster_policies(&[policy]);
    let codes: Vec<&str> = diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["domain-names-not-judged"]);
    check(&set, "domain names", "g/0", "8.8.8.8", (Tcp, 443), false);
    let (source, destination) = (end(&set, "g/0"), end(&set, "8.8.8.8"));
    let asked = Connection { source, destination, protocol: Tcp, port: number(443) };
    assert!(set.decide(&asked).assumptions.contains(&Assumption::DomainNamesMatchNothing));
}
