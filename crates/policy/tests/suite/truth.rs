//! One row a case: the point of the semantics it speaks of, the policies, and verdicts.

use crate::cluster::{
    PolicyExt, block, container_port, every, ip, named, namespace, namespaces, node, number, pod,
    pods, pods_in, policy, port, range, rule, tcp,
};
use ringfence_model::object::{Namespace, Node, Pod};
use ringfence_model::{NetworkPolicy, Protocol};
use ringfence_policy::{
    Assumption, Connection, End, EndPort, Hairpin, HostNetwork, IpBlockNodes, IpBlockPods,
    Judgement, PodIx, PolicyIx, PolicySet, Profile, RuleRef,
};

use Protocol::{Sctp, Tcp, Udp};

/// Namespaces x, y, z with pods a, b, c each, that serve TCP 80 as `web` (a: also 81 as `alt`, b: 8080 as `web`);
/// a host-network pod x/h on node n1, where x/a runs. Everything else runs on n2.
fn small_cluster() -> (Vec<Namespace>, Vec<Node>, Vec<Pod>) {
    let mut cluster_pods = Vec::new();
    for (n, ns) in ["x", "y", "z"].into_iter().enumerate() {
        for (p, name) in ["a", "b", "c"].into_iter().enumerate() {
            let (v4, v6) = (format!("10.0.{n}.{p}"), format!("fd00::{n}:{p}"));
            let on = if (ns, name) == ("x", "a") { "n1" } else { "n2" };
            let mut new = pod(
                &format!("{ns}/{name}"),
                &format!("pod={name}"),
                &[v4.as_str(), v6.as_str()],
                on,
            );
            let web = if name == "b" { 8080 } else { 80 };
            new.spec.ports.push(container_port("web", Tcp, web));
            if name == "a" {
                new.spec.ports.push(container_port("alt", Tcp, 81));
                new.spec.ports.push(container_port("dns", Udp, 53));
            }
            cluster_pods.push(new);
        }
    }
    let mut host = pod("x/h", "pod=h", &["192.168.0.1"], "n1");
    host.spec.host_network = true;
    cluster_pods.push(host);
    let mut first = node("n1", &["192.168.0.1"]);
    first.pod_network_addresses.push(ip("10.0.9.1"));
    (
        vec![namespace("x", "team=red"), namespace("y", "team=blue"), namespace("z", "team=blue")],
        vec![first, node("n2", &["192.168.0.2"])],
        cluster_pods,
    )
}

struct World {
    set: PolicySet,
}

impl World {
    fn new(policies: &[NetworkPolicy], profile: Profile) -> Self {
        let (namespaces, nodes, pods) = small_cluster();
        let (set, diagnostics) = PolicySet::compile(&namespaces, &nodes, &pods, policies, &profile);
        assert_eq!(diagnostics, [], "the input is clean");
        Self { set }
    }

    /// `x/a`, or an address.
    fn end(&self, text: &str) -> End {
        (0..self.set.pod_count())
            .map(|n| PodIx::new(u32::try_from(n).unwrap()))
            .find(|pod| self.set.pod(*pod).to_string() == text)
            .map_or_else(|| End::Address(ip(text)), End::Pod)
    }

    /// `x/a y/b TCP 80`.
    fn connection(&self, text: &str) -> Connection {
        let words: Vec<&str> = text.split(' ').collect();
        let [source, destination, protocol, port] = words[..] else { panic!("{text}") };
        Connection {
            source: self.end(source),
            destination: self.end(destination),
            protocol: protocol.parse().unwrap(),
            port: number(port.parse().unwrap()),
        }
    }
}

/// A point of the semantics, its policies, and connections with the verdict that must come out.
struct Row {
    point: &'static str,
    what: &'static str,
    policies: Vec<NetworkPolicy>,
    yes: &'static [&'static str],
    no: &'static [&'static str],
}

fn check(rows: Vec<Row>, profile: Profile) {
    for row in rows {
        let world = World::new(&row.policies, profile);
        for (connections, expected) in [(row.yes, true), (row.no, false)] {
            for text in connections {
                let connection = world.connection(text);
                let decision = world.set.decide(&connection);
                let context = format!("{} {}: {text}: {decision:?}", row.point, row.what);
                assert_eq!(decision.allowed(), expected, "{context}");
                assert_eq!(world.set.allows(&connection), expected, "{context}");
            }
        }
    }
}

fn one(rows: impl FnOnce(NetworkPolicy) -> NetworkPolicy, pods: &str) -> Vec<NetworkPolicy> {
    vec![rows(policy("x/p", pods))]
}

#[test]
fn isolation_and_union() {
    check(
        vec![
            Row {
                point: "02",
                what: "without policies everything passes",
                policies: vec![],
                yes: &[
                    "x/a y/b TCP 80",
                    "x/a 8.8.8.8 UDP 53",
                    "8.8.8.8 x/a SCTP 1",
                    "x/h x/a TCP 1",
                ],
                no: &[],
            },
            Row {
                point: "01",
                what: "both ends must agree",
                policies: vec![
                    policy("x/out", "").egress(vec![rule(&[namespaces("team=blue")], &[tcp(80)])]),
                    policy("y/in", "pod=a").ingress(vec![rule(&[namespaces("team=red")], &[])]),
                ],
                yes: &["x/a y/a TCP 80", "x/a y/b TCP 80", "x/a z/a TCP 80", "y/b x/a TCP 1"],
                no: &["x/a y/a TCP 81", "x/a x/b TCP 80", "z/a y/a TCP 80"],
            },
            Row {
                point: "02",
                what: "policies add up, in any order",
                policies: vec![
                    policy("x/none", "").ingress(vec![]),
                    policy("x/b", "pod=a").ingress(vec![rule(&[pods("pod=b")], &[])]),
                    policy("x/c", "pod=a").ingress(vec![rule(&[pods("pod=c")], &[])]),
                ],
                yes: &["x/b x/a TCP 80", "x/c x/a TCP 80", "x/a y/a TCP 80"],
                no: &["y/b x/a TCP 80", "x/a x/b TCP 80"],
            },
            Row {
                point: "03",
                what: "a direction without policyType is not isolated",
                policies: one(|p| p.egress(vec![]), ""),
                yes: &["y/a x/a TCP 80"],
                no: &["x/a y/a TCP 80", "x/a 8.8.8.8 TCP 80"],
            },
            Row {
                point: "04",
                what: "no rules deny all, one empty rule allows all",
                policies: vec![
                    policy("x/none", "pod=a").ingress(vec![]),
                    policy("x/all", "pod=b").ingress(vec![rule(&[], &[])]),
                ],
                yes: &["x/a x/b TCP 80", "8.8.8.8 x/b SCTP 9", "x/b x/c TCP 1"],
                no: &["x/b x/a TCP 80", "8.8.8.8 x/a TCP 80"],
            },
            Row {
                point: "05",
                what: "empty peers are everybody, outside included; empty ports every port and protocol",
                policies: vec![
                    policy("x/port", "pod=a").ingress(vec![rule(&[], &[tcp(80)])]),
                    policy("x/peer", "pod=b").ingress(vec![rule(&[pods("pod=c")], &[])]),
                ],
                yes: &["8.8.8.8 x/a TCP 80", "z/a x/a TCP 80", "x/c x/b SCTP 77", "x/h x/a TCP 9"],
                no: &["8.8.8.8 x/a UDP 80", "8.8.8.8 x/a TCP 81", "x/a x/b TCP 80"],
            },
        ],
        Profile::default(),
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn peers() {
    check(
        vec![
            Row {
                point: "06",
                what: "both selectors in one peer are AND",
                policies: one(
                    |p| p.ingress(vec![rule(&[pods_in("team=blue", "pod=b")], &[])]),
                    "pod=a",
                ),
                yes: &["y/b x/a TCP 80", "z/b x/a TCP 80"],
                no: &["x/b x/a TCP 80", "y/a x/a TCP 80", "8.8.8.8 x/a TCP 80"],
            },
            Row {
                point: "06",
                what: "separate peers are OR",
                policies: one(
                    |p| p.ingress(vec![rule(&[namespaces("team=blue"), pods("pod=b")], &[])]),
                    "pod=a",
                ),
                yes: &["x/b x/a TCP 80", "y/c x/a TCP 80"],
                no: &["x/c x/a TCP 80"],
            },
            Row {
                point: "06",
                what: "podSelector alone stays at home, and empty selectors match no address",
                policies: vec![
                    policy("x/home", "pod=a").ingress(vec![rule(&[pods("")], &[])]),
                    policy("x/every", "pod=b").ingress(vec![rule(&[namespaces("")], &[])]),
                ],
                yes: &["x/c x/a TCP 80", "x/c x/b TCP 80", "z/c x/b TCP 80"],
                no: &[
                    "y/c x/a TCP 80",
                    "8.8.8.8 x/a TCP 80",
                    "8.8.8.8 x/b TCP 80",
                    "192.168.0.1 x/b TCP 80",
                ],
            },
            Row {
                point: "08",
                what: "NotIn and DoesNotExist match a missing key",
                policies: one(
                    |p| {
                        p.ingress(vec![
                            rule(&[pods("tier notin web|api,pod in b|c")], &[tcp(80)]),
                            rule(&[pods("!tier,pod!=c")], &[tcp(81)]),
                            rule(&[pods("tier")], &[tcp(82)]),
                        ])
                    },
                    "pod=a",
                ),
                yes: &["x/b x/a TCP 80", "x/c x/a TCP 80", "x/b x/a TCP 81"],
                no: &["x/c x/a TCP 81", "x/b x/a TCP 82", "y/b x/a TCP 80"],
            },
            Row {
                point: "09",
                what: "namespaces by the name that the API server gives them",
                policies: one(
                    |p| {
                        p.ingress(vec![rule(
                            &[namespaces("kubernetes.io/metadata.name in y|none")],
                            &[],
                        )])
                    },
                    "pod=a",
                ),
                yes: &["y/a x/a TCP 80"],
                no: &["z/a x/a TCP 80", "x/b x/a TCP 80"],
            },
            Row {
                point: "17",
                what: "an exception may be allowed by another peer",
                policies: vec![policy("x/out", "pod=a").egress(vec![rule(
                    &[block("8.0.0.0/8", &["8.8.0.0/16", "8.8.8.0/24"]), block("8.8.8.8/32", &[])],
                    &[],
                )])],
                yes: &["x/a 8.1.1.1 TCP 80", "x/a 8.8.8.8 TCP 80", "x/b 9.9.9.9 TCP 80"],
                no: &[
                    "x/a 8.8.8.9 TCP 80",
                    "x/a 8.8.9.9 TCP 80",
                    "x/a 9.9.9.9 TCP 80",
                    "x/a 2001:db8::1 TCP 80",
                ],
            },
            Row {
                point: "18",
                what: "families are apart, and mapped addresses are IPv4",
                policies: one(|p| p.egress(vec![rule(&[block("0.0.0.0/0", &[])], &[])]), "pod=a"),
                yes: &[
                    "x/a 8.8.8.8 TCP 80",
                    "x/a ::ffff:8.8.8.8 TCP 80",
                    "x/a 255.255.255.255 TCP 80",
                ],
                no: &["x/a 2001:db8::1 TCP 80", "x/a :: TCP 80"],
            },
            Row {
                point: "18",
                what: "IPv6 needs its own block",
                policies: one(
                    |p| p.ingress(vec![rule(&[block("::/0", &["2001:db8::/32"])], &[])]),
                    "pod=a",
                ),
                yes: &["2001:db9::1 x/a TCP 80", "::1 x/a TCP 80"],
                no: &["2001:db8::1 x/a TCP 80", "8.8.8.8 x/a TCP 80", "::ffff:8.8.8.8 x/a TCP 80"],
            },
        ],
        Profile::default(),
    );
}

#[test]
fn ports() {
    check(
        vec![
            Row {
                point: "10",
                what: "a protocol without port is every port of it",
                policies: one(
                    |p| p.ingress(vec![rule(&[], &[every(Udp), port(Sctp, 80)])]),
                    "pod=a",
                ),
                yes: &["x/b x/a UDP 1", "x/b x/a UDP 65535", "x/b x/a SCTP 80"],
                no: &["x/b x/a TCP 1", "x/b x/a SCTP 81"],
            },
            Row {
                point: "11",
                what: "endPort includes both ends",
                policies: one(|p| p.ingress(vec![rule(&[], &[range(Tcp, 80, 82)])]), "pod=a"),
                yes: &["x/b x/a TCP 80", "x/b x/a TCP 81", "x/b x/a TCP 82"],
                no: &["x/b x/a TCP 79", "x/b x/a TCP 83"],
            },
            Row {
                point: "12",
                what: "names resolve on each destination, in both directions",
                policies: vec![
                    policy("x/out", "").egress(vec![rule(&[], &[named(Tcp, "web")])]),
                    policy("y/in", "").ingress(vec![rule(&[], &[named(Tcp, "web")])]),
                ],
                yes: &["x/a y/a TCP 80", "x/a y/b TCP 8080", "x/a z/b TCP 8080"],
                no: &["x/a y/a TCP 8080", "x/a y/b TCP 80", "x/a z/b TCP 80", "8.8.8.8 y/b TCP 80"],
            },
            Row {
                point: "12",
                what: "name and protocol both count, and a missing name matches nothing",
                policies: vec![
                    policy("x/in", "")
                        .ingress(vec![rule(&[], &[named(Tcp, "dns"), named(Tcp, "alt")])]),
                ],
                yes: &["y/a x/a TCP 81"],
                no: &["y/a x/a TCP 53", "y/a x/a UDP 53", "y/a x/b TCP 81", "y/a x/c TCP 80"],
            },
            Row {
                point: "12",
                what: "an address has no named port",
                policies: vec![policy("x/out", "").egress(vec![rule(&[], &[named(Tcp, "web")])])],
                yes: &["x/b x/a TCP 80"],
                no: &["x/a 8.8.8.8 TCP 80", "x/a x/h TCP 80"],
            },
        ],
        Profile::default(),
    );
}

#[test]
fn nodes_and_self() {
    check(
        vec![
            Row {
                point: "19",
                what: "selectors ignore host-network pods, in both roles",
                policies: vec![
                    policy("x/all", "").ingress(vec![rule(&[namespaces(""), pods("")], &[])]),
                    policy("x/out", "").egress(vec![rule(&[pods("pod=h")], &[])]),
                ],
                yes: &[
                    "x/h y/a TCP 80",
                    "8.8.8.8 x/h TCP 80",
                    "y/a x/h TCP 1",
                    "x/h 8.8.8.8 TCP 1",
                ],
                no: &["x/h x/b TCP 80", "x/a x/h TCP 80", "x/a x/b TCP 80"],
            },
            Row {
                point: "19",
                what: "a host-network pod is its node's address",
                policies: one(|p| p.egress(vec![rule(&[block("192.168.0.1/32", &[])], &[])]), ""),
                yes: &["x/a x/h TCP 80", "x/a 192.168.0.1 TCP 80"],
                no: &["x/a 192.168.0.2 TCP 80"],
            },
            Row {
                point: "20",
                what: "the own node always comes in, under every address, and never out",
                policies: one(|p| p.ingress(vec![]).egress(vec![]), ""),
                yes: &[
                    "192.168.0.1 x/a TCP 80",
                    "10.0.9.1 x/a TCP 80",
                    "x/h x/a TCP 80",
                    "192.168.0.2 x/b TCP 80",
                ],
                no: &[
                    "192.168.0.2 x/a TCP 80",
                    "192.168.0.1 x/b TCP 80",
                    "x/h x/b TCP 80",
                    "x/a 192.168.0.1 TCP 80",
                ],
            },
            Row {
                point: "22",
                what: "a pod reaches itself",
                policies: one(|p| p.ingress(vec![]).egress(vec![]), ""),
                yes: &["x/a x/a TCP 80"],
                no: &["x/a x/b TCP 80"],
            },
        ],
        Profile::default(),
    );
}

/// What policies mean for traffic that something translates on its way. The engine judges what the end sees.
#[test]
fn translated_traffic() {
    check(
        vec![
            Row {
                point: "13",
                what: "ports are the pod's, whatever the Service in front of it calls them",
                policies: one(|p| p.ingress(vec![rule(&[], &[tcp(8080)])]), "pod=b"),
                yes: &["y/a x/b TCP 8080"],
                no: &["y/a x/b TCP 80"],
            },
            Row {
                point: "14",
                what: "where egress is judged before translation, the Service address is what counts",
                policies: one(
                    |p| p.egress(vec![rule(&[block("10.96.0.10/32", &[])], &[tcp(443)])]),
                    "pod=a",
                ),
                yes: &["x/a 10.96.0.10 TCP 443"],
                no: &["x/a y/a TCP 443", "x/a 10.96.0.10 TCP 8443"],
            },
            Row {
                point: "21",
                what: "a node is also what pods see it as in their network",
                policies: one(|p| p.ingress(vec![]), ""),
                yes: &["10.0.9.1 x/a TCP 80"],
                no: &["10.0.9.1 x/b TCP 80", "10.0.9.2 x/a TCP 80"],
            },
            Row {
                point: "23",
                what: "behind a node that hides them, clients are not who an ipBlock means",
                policies: one(|p| p.ingress(vec![rule(&[block("203.0.113.0/24", &[])], &[])]), ""),
                yes: &["203.0.113.9 x/a TCP 80"],
                no: &["192.168.0.2 x/a TCP 80"],
            },
            Row {
                point: "24",
                what: "a policy of the pod sees its own port, one of the client the node and its port",
                policies: vec![
                    policy("x/in", "pod=b").ingress(vec![rule(&[], &[tcp(8080)])]),
                    policy("y/out", "")
                        .egress(vec![rule(&[block("192.168.0.2/32", &[])], &[tcp(30080)])]),
                ],
                yes: &["192.168.0.1 x/b TCP 8080", "y/a 192.168.0.2 TCP 30080"],
                no: &["192.168.0.1 x/b TCP 30080", "y/a 192.168.0.2 TCP 8080"],
            },
            Row {
                point: "25",
                what: "the API server is an address of its host, no pod",
                policies: one(
                    |p| {
                        p.egress(vec![
                            rule(&[namespaces("")], &[]),
                            rule(&[block("192.168.0.1/32", &[])], &[tcp(6443)]),
                        ])
                    },
                    "pod=a",
                ),
                yes: &["x/a 192.168.0.1 TCP 6443"],
                no: &["x/a 192.168.0.1 TCP 443", "x/a 10.96.0.1 TCP 443"],
            },
            Row {
                point: "26",
                what: "name resolution needs its ports, by both protocols",
                policies: one(
                    |p| {
                        p.egress(vec![rule(
                            &[pods_in("team=blue", "pod=a")],
                            &[port(Udp, 53), tcp(53)],
                        )])
                    },
                    "pod=a",
                ),
                yes: &["x/a y/a UDP 53", "x/a y/a TCP 53"],
                no: &["x/a y/a UDP 5353", "x/a 169.254.20.10 UDP 53"],
            },
        ],
        Profile::default(),
    );
}

#[test]
fn open_points_follow_the_profile() {
    let common = Profile::default();
    let to_pods = || one(|p| p.egress(vec![rule(&[block("10.0.0.0/8", &[])], &[])]), "pod=a");
    let blocks = |what, yes, no| Row { point: "16", what, policies: to_pods(), yes, no };
    check(
        vec![blocks("ipBlock matches pods", &["x/a y/b TCP 80", "x/a 10.1.1.1 TCP 80"], &[])],
        common,
    );
    check(
        vec![blocks("ipBlock never matches pods", &["x/a 10.1.1.1 TCP 80"], &["x/a y/b TCP 80"])],
        Profile { ip_block_pods: IpBlockPods::NeverMatch, ..common },
    );
    let to_nodes = || one(|p| p.egress(vec![rule(&[block("0.0.0.0/0", &[])], &[])]), "pod=a");
    check(
        vec![Row {
            point: "16",
            what: "ipBlock never matches nodes",
            policies: to_nodes(),
            yes: &["x/a 192.168.0.3 TCP 80"],
            no: &["x/a 192.168.0.2 TCP 80", "x/a x/h TCP 80"],
        }],
        Profile { ip_block_nodes: IpBlockNodes::NeverMatch, ..common },
    );
    check(
        vec![Row {
            point: "19",
            what: "host-network pods like all others",
            policies: vec![policy("x/in", "").ingress(vec![rule(&[pods("pod=h")], &[])])],
            yes: &["x/h x/b TCP 80"],
            no: &["y/a x/h TCP 80"],
        }],
        Profile { host_network: HostNetwork::LikePods, ..common },
    );
    check(
        vec![Row {
            point: "22",
            what: "a pod's connections to itself are judged",
            policies: one(|p| p.ingress(vec![]), ""),
            yes: &["y/a y/a TCP 80"],
            no: &["x/a x/a TCP 80"],
        }],
        Profile { hairpin: Hairpin::Judged, ..common },
    );
    check(
        vec![Row {
            point: "11",
            what: "a plugin without endPort enforces only the first port",
            policies: one(|p| p.ingress(vec![rule(&[], &[range(Tcp, 80, 82)])]), ""),
            yes: &["y/a x/a TCP 80"],
            no: &["y/a x/a TCP 81"],
        }],
        Profile { end_port: EndPort::FirstPortOnly, ..common },
    );
}

#[test]
fn decisions_name_every_item_that_allows() {
    let world = World::new(
        &[
            policy("x/none", "").ingress(vec![]),
            policy("x/some", "pod=a").ingress(vec![
                rule(&[pods("pod=c")], &[]),
                rule(
                    &[pods("pod=c"), pods("pod=b"), pods("")],
                    &[tcp(79), tcp(80), range(Tcp, 1, 99)],
                ),
            ]),
            policy("x/any", "pod=a").ingress(vec![rule(&[], &[])]),
        ],
        Profile::default(),
    );
    let item = |policy, rule, peer, port| RuleRef {
        policy: PolicyIx::new(policy),
        direction: ringfence_model::Direction::Ingress,
        rule,
        peer,
        port,
    };
    let decision = world.set.decide(&world.connection("x/b x/a TCP 80"));
    assert_eq!(decision.egress, Judgement::NotIsolated);
    assert_eq!(
        decision.ingress,
        Judgement::Allowed(vec![
            item(1, 1, Some(1), Some(1)),
            item(1, 1, Some(1), Some(2)),
            item(1, 1, Some(2), Some(1)),
            item(1, 1, Some(2), Some(2)),
            item(2, 0, None, None),
        ])
    );
    assert_eq!(decision.assumptions, [Assumption::EndPort(EndPort::Enforced)]);
    let denied = world.set.decide(&world.connection("x/a x/c TCP 80"));
    assert_eq!(denied.ingress, Judgement::Denied(vec![PolicyIx::new(0)]));
}

#[test]
fn addresses_belong_to_live_pods() {
    let (namespaces, nodes, mut pods) = small_cluster();
    pods[0].phase = ringfence_model::object::Phase::Succeeded;
    pods[1].ips = pods[0].ips.clone();
    let (set, diagnostics) =
        PolicySet::compile(&namespaces, &nodes, &pods, &[], &Profile::default());
    assert_eq!(diagnostics, []);
    assert_eq!(
        set.end(ip("10.0.0.0")),
        End::Pod(PodIx::new(1)),
        "28: the ended pod has lost its address"
    );
    assert_eq!(set.end(ip("::ffff:10.0.1.2")), End::Pod(PodIx::new(5)));
    assert_eq!(
        set.end(ip("192.168.0.1")),
        End::Address(ip("192.168.0.1")),
        "19: the node, not x/h"
    );
}

#[test]
fn unusable_input_is_reported() {
    let (_, nodes, mut pods) = small_cluster();
    pods.truncate(2);
    pods[1].ips = pods[0].ips.clone();
    let twice = [policy("x/p", "").ingress(vec![]), policy("x/p", "").ingress(vec![])];
    let (_, diagnostics) = PolicySet::compile(&[], &nodes, &pods, &twice, &Profile::default());
    let codes: Vec<&str> = diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(
        codes,
        ["namespace-missing", "duplicate-address", "duplicate-address", "duplicate-policy"]
    );
}
