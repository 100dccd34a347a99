//! The end-to-end cases of Kubernetes for `NetworkPolicy`, by their names: nine pods, what each case applies, and which
//! connections must then fail.

use ringfence_model::object::{Namespace, Pod};
use ringfence_model::{NetworkPolicy, PortMatch, Protocol, Rule};
use ringfence_policy::{Connection, End, PodIx, PolicySet, Profile};

use crate::cluster::{
    PolicyExt, block, container_port, every, named, namespace, namespaces, node, number, pod, pods,
    pods_in, policy, port, rule, tcp,
};

use Protocol::{Sctp, Tcp, Udp};

/// Namespaces x, y, z with pods a, b, c that serve ports 80 and 81 over every protocol, with names.
fn nine_pods() -> (Vec<Namespace>, Vec<Pod>) {
    let mut all = Vec::new();
    for (n, ns) in ["x", "y", "z"].into_iter().enumerate() {
        for (p, name) in ["a", "b", "c"].into_iter().enumerate() {
            let address = format!("10.0.{n}.{p}");
            let mut new = pod(&format!("{ns}/{name}"), &format!("pod={name}"), &[&address], "n1");
            for protocol in Protocol::ALL {
                for served in [80, 81] {
                    let named = format!("serve-{served}-{}", protocol.as_str().to_lowercase());
                    new.spec.ports.push(container_port(&named, protocol, served));
                }
            }
            all.push(new);
        }
    }
    (["x", "y", "z"].map(|ns| namespace(ns, "")).into(), all)
}

/// What a case probes: protocol, port, and in order `- FROM TO` for what fails and `+ FROM TO` for what works after
/// all. `*` stands for any pod or namespace. Everything not named works. Loopback is left out, as upstream does.
type Probe = (Protocol, u16, &'static [&'static str]);

struct Case {
    name: &'static str,
    policies: Vec<NetworkPolicy>,
    probes: Vec<Probe>,
}

/// All with the same policies.
fn case(name: &'static str, policies: Vec<NetworkPolicy>, probes: &[Probe]) -> Case {
    Case { name, policies, probes: probes.to_vec() }
}

fn matches(pattern: &str, pod: &str) -> bool {
    match pattern.split_once('/') {
        Some((namespace, "*")) => pod.starts_with(&format!("{namespace}/")),
        Some(_) => pattern == pod,
        None => true,
    }
}

fn works(changes: &[&str], from: &str, to: &str) -> bool {
    let last = changes.iter().rev().find(|change| {
        let [_, source, destination] = change.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{change}")
        };
        matches(source, from) && matches(destination, to)
    });
    last.is_none_or(|change| change.starts_with('+'))
}

fn run(cases: Vec<Case>, change: impl Fn(&mut Vec<Namespace>, &mut Vec<Pod>)) {
    let (mut namespaces, mut pods) = nine_pods();
    change(&mut namespaces, &mut pods);
    for case in cases {
        let nodes = [node("n1", &["192.168.0.1"])];
        let profile = Profile::default();
        let (set, diagnostics) =
            PolicySet::compile(&namespaces, &nodes, &pods, &case.policies, &profile);
        assert_eq!(diagnostics, []);
        for (protocol, probed, changes) in &case.probes {
            for (a, from) in (0u32..).zip(&pods) {
                for (b, to) in (0u32..).zip(&pods) {
                    if a == b {
                        continue;
                    }
                    let connection = Connection {
                        source: End::Pod(PodIx::new(a)),
                        destination: End::Pod(PodIx::new(b)),
                        protocol: *protocol,
                        port: number(*probed),
                    };
                    let (from, to) = (from.reference.to_string(), to.reference.to_string());
                    assert_eq!(
                        set.allows(&connection),
                        works(changes, &from, &to),
                        "{}: {from} to {to} {protocol} {probed}",
                        case.name
                    );
                }
            }
        }
    }
}

/// A policy on pod x/a with one ingress rule.
fn into_a(peers: &[ringfence_model::PeerMatch], ports: &[PortMatch]) -> Vec<NetworkPolicy> {
    vec![policy("x/into-a", "pod=a").ingress(vec![rule(peers, ports)])]
}

fn out_of_a(peers: &[ringfence_model::PeerMatch]) -> Vec<NetworkPolicy> {
    vec![policy("x/out-of-a", "pod=a").egress(vec![rule(peers, &[])])]
}

fn every_pod(ingress: Option<Vec<Rule>>, egress: Option<Vec<Rule>>) -> NetworkPolicy {
    NetworkPolicy { ingress, egress, ..policy("x/every-pod", "") }
}

const Y: &str = "kubernetes.io/metadata.name=y";
const NOT_X: &str = "kubernetes.io/metadata.name!=x";

const INTO_X: Probe = (Tcp, 80, &["- * x/*"]);
const ONLY_B_INTO_A: Probe = (Tcp, 80, &["- * x/a", "+ x/b x/a"]);
const ONLY_Y_INTO_A: Probe = (Tcp, 80, &["- * x/a", "+ y/* x/a"]);
const ONLY_YA_INTO_A: &[&str] = &["- * x/a", "+ y/a x/a"];
const OPEN: &[&str] = &[];

#[test]
fn ingress() {
    run(
        vec![
            case(
                "should support a 'default-deny-ingress' policy",
                vec![every_pod(Some(vec![]), None)],
                &[INTO_X],
            ),
            case(
                "should support a 'default-deny-all' policy",
                vec![every_pod(Some(vec![]), Some(vec![]))],
                &[(Tcp, 80, &["- * x/*", "- x/* *"])],
            ),
            case(
                "should enforce policy to allow traffic from pods within server namespace based on PodSelector",
                into_a(&[pods("pod=b")], &[]),
                &[ONLY_B_INTO_A],
            ),
            case(
                "should enforce policy to allow ingress traffic for a target",
                vec![every_pod(Some(vec![]), None), into_a(&[pods_in("", "")], &[]).remove(0)],
                &[(Tcp, 80, &["- * x/*", "+ * x/a"])],
            ),
            case(
                "should enforce policy to allow ingress traffic from pods in all namespaces",
                into_a(&[namespaces("")], &[]),
                &[(Tcp, 80, OPEN)],
            ),
            case(
                "should enforce policy to allow traffic only from a different namespace, based on NamespaceSelector",
                into_a(&[namespaces(Y)], &[]),
                &[ONLY_Y_INTO_A],
            ),
            case(
                "should enforce policy based on PodSelector with MatchExpressions",
                into_a(&[pods("pod in b")], &[]),
                &[ONLY_B_INTO_A],
            ),
            case(
                "should enforce policy based on NamespaceSelector with MatchExpressions",
                into_a(&[namespaces("kubernetes.io/metadata.name in y")], &[]),
                &[ONLY_Y_INTO_A],
            ),
            case(
                "should enforce policy based on PodSelector or NamespaceSelector",
                into_a(&[namespaces(NOT_X), pods("pod=b")], &[]),
                &[(Tcp, 80, &["- x/c x/a"])],
            ),
            case(
                "should enforce policy based on PodSelector and NamespaceSelector",
                into_a(&[pods_in(NOT_X, "pod=b")], &[]),
                &[(Tcp, 80, &["- * x/a", "+ y/b x/a", "+ z/b x/a"])],
            ),
            case(
                "should enforce policy based on Multiple PodSelectors and NamespaceSelectors",
                into_a(&[pods_in(NOT_X, "pod in b|c")], &[]),
                &[(Tcp, 80, &["- x/* x/a", "- y/a x/a", "- z/a x/a"])],
            ),
            case(
                "should enforce policy based on any PodSelectors",
                into_a(&[pods("pod=b"), pods("pod=c")], &[]),
                &[(Tcp, 80, &["- * x/a", "+ x/b x/a", "+ x/c x/a"])],
            ),
            case(
                "should enforce policy to allow traffic only from a pod in a different namespace based on PodSelector and NamespaceSelector",
                into_a(&[pods_in(Y, "pod=a")], &[]),
                &[(Tcp, 80, ONLY_YA_INTO_A), (Udp, 80, ONLY_YA_INTO_A), (Sctp, 80, ONLY_YA_INTO_A)],
            ),
            case(
                "should deny ingress from pods on other namespaces",
                vec![every_pod(Some(vec![rule(&[pods("")], &[])]), None)],
                &[(Tcp, 80, &["- y/* x/*", "- z/* x/*"])],
            ),
            case(
                "should enforce policy to allow traffic based on NamespaceSelector with MatchLabels using default ns label",
                into_a(&[namespaces(Y)], &[]),
                &[ONLY_Y_INTO_A],
            ),
        ],
        |_, _| {},
    );
}

#[test]
fn ports() {
    let into_a_81 = |protocol| into_a(&[namespaces(Y)], &[port(protocol, 81)]);
    let name = "should enforce policy based on Ports";
    let only_y: &[&str] = &["- x/* x/a", "- z/* x/a"];
    let both = || {
        vec![
            into_a_81(Tcp).remove(0),
            NetworkPolicy {
                name: crate::cluster::name("more"),
                ..into_a(&[namespaces(Y)], &[tcp(80)]).remove(0)
            },
        ]
    };
    let stacked = "should enforce multiple, stacked policies with overlapping podSelectors";
    run(
        vec![
            case(name, into_a_81(Tcp), &[(Tcp, 81, only_y), (Tcp, 80, &["- * x/a"])]),
            case(name, into_a_81(Udp), &[(Udp, 81, only_y), (Tcp, 81, &["- * x/a"])]),
            case(name, into_a_81(Sctp), &[(Sctp, 81, only_y), (Udp, 81, &["- * x/a"])]),
            case(stacked, into_a_81(Tcp), &[(Tcp, 81, only_y), (Tcp, 80, &["- * x/a"])]),
            case(stacked, both(), &[(Tcp, 81, only_y), (Tcp, 80, only_y)]),
            case(
                "should support allow-all policy",
                vec![every_pod(Some(vec![rule(&[], &[])]), None)],
                &[(Tcp, 80, OPEN), (Tcp, 81, OPEN)],
            ),
            case(
                "should allow ingress access on one named port",
                vec![every_pod(Some(vec![rule(&[], &[named(Tcp, "serve-81-tcp")])]), None)],
                &[(Tcp, 81, OPEN), INTO_X],
            ),
            case(
                "should allow ingress access from namespace on one named port",
                into_a(&[namespaces(Y)], &[named(Tcp, "serve-80-tcp")]),
                &[(Tcp, 80, only_y), (Tcp, 81, &["- * x/a"])],
            ),
            case(
                "should allow egress access on one named port",
                vec![every_pod(None, Some(vec![rule(&[], &[named(Tcp, "serve-80-tcp")])]))],
                &[(Tcp, 80, OPEN), (Tcp, 81, &["- x/* *"])],
            ),
            case(
                "should enforce ingress policy allowing any port traffic to a server on a specific protocol",
                into_a(&[], &[every(Tcp)]),
                &[(Tcp, 80, OPEN), (Udp, 80, &["- * x/a"])],
            ),
            case(
                "should enforce multiple ingress policies with ingress allow-all policy taking precedence",
                vec![
                    every_pod(Some(vec![rule(&[], &[tcp(80)])]), None),
                    policy("x/all", "").ingress(vec![rule(&[], &[])]),
                ],
                &[(Tcp, 81, OPEN)],
            ),
            case(
                "should enforce multiple egress policies with egress allow-all policy taking precedence",
                vec![
                    every_pod(None, Some(vec![rule(&[], &[tcp(80)])])),
                    policy("x/all", "").egress(vec![rule(&[], &[])]),
                ],
                &[(Tcp, 81, OPEN)],
            ),
            case(
                "should not mistakenly treat 'protocol: SCTP' as 'protocol: TCP', even if the plugin doesn't support SCTP",
                vec![every_pod(Some(vec![]), None), into_a(&[], &[port(Sctp, 81)]).remove(0)],
                &[(Tcp, 81, &["- * x/*"])],
            ),
            case(
                "should properly isolate pods that are selected by a policy allowing SCTP, even if the plugin doesn't support SCTP",
                into_a(&[], &[port(Sctp, 80)]),
                &[(Tcp, 81, &["- * x/a"])],
            ),
            case(
                "should not allow access by TCP when a policy specifies only UDP",
                into_a(&[], &[port(Udp, 81)]),
                &[(Tcp, 81, &["- * x/a"])],
            ),
            case(
                "should support a 'default-deny-ingress' policy",
                vec![every_pod(Some(vec![]), None)],
                &[(Udp, 80, &["- * x/*"]), (Sctp, 80, &["- * x/*"])],
            ),
        ],
        |_, _| {},
    );
}

#[test]
fn egress() {
    let deny_b = [block("0.0.0.0/4", &["10.0.0.1/32"])];
    let server_allows = |who: &str| {
        policy(&format!("y/into-{who}"), &format!("pod={who}"))
            .ingress(vec![rule(&[pods_in("kubernetes.io/metadata.name=x", "pod=a")], &[])])
    };
    run(
        vec![
            case(
                "should deny egress from pods based on PodSelector",
                vec![policy("x/p", "pod=a").egress(vec![])],
                &[(Tcp, 80, &["- x/a *"])],
            ),
            case(
                "should deny egress from all pods in a namespace",
                vec![every_pod(None, Some(vec![]))],
                &[(Tcp, 80, &["- x/* *"])],
            ),
            case(
                "should work with Ingress, Egress specified together",
                vec![
                    policy("x/p", "pod=a")
                        .ingress(vec![rule(&[pods("pod=b")], &[])])
                        .egress(vec![rule(&[], &[tcp(80)])]),
                ],
                &[ONLY_B_INTO_A, (Tcp, 81, &["- * x/a", "- x/a *", "+ x/b x/a"])],
            ),
            case(
                "should support denying of egress traffic on the client side (even if the server explicitly allows this traffic)",
                vec![
                    out_of_a(&[pods_in(Y, "pod=a")]).remove(0),
                    server_allows("a"),
                    server_allows("b"),
                ],
                &[(Tcp, 80, &["- x/a *", "- * y/a", "- * y/b", "+ x/a y/a"])],
            ),
            case(
                "should enforce egress policy allowing traffic to a server in a different namespace based on PodSelector and NamespaceSelector",
                out_of_a(&[pods_in(Y, "pod=a")]),
                &[(Tcp, 80, &["- x/a *", "+ x/a y/a"])],
            ),
            case(
                "should allow egress access to server in CIDR block",
                out_of_a(&[block("10.0.1.1/32", &[])]),
                &[(Tcp, 80, &["- x/a *", "+ x/a y/b"])],
            ),
            case(
                "should enforce except clause while egress access to server in CIDR block",
                out_of_a(&deny_b),
                &[(Tcp, 80, &["- x/a x/b"])],
            ),
            case(
                "should ensure an IP overlapping both IPBlock.CIDR and IPBlock.Except is allowed",
                out_of_a(&deny_b),
                &[(Tcp, 80, &["- x/a x/b"])],
            ),
            case(
                "should ensure an IP overlapping both IPBlock.CIDR and IPBlock.Except is allowed",
                out_of_a(&[block("10.0.0.1/32", &[])]),
                &[(Tcp, 80, &["- x/a *", "+ x/a x/b"])],
            ),
            case(
                "should enforce policies to check ingress and egress policies can be controlled independently based on PodSelector",
                vec![
                    policy("x/out", "pod=a").egress(vec![rule(&[], &[])]),
                    policy("x/in", "pod=a").ingress(vec![]),
                ],
                &[(Tcp, 80, &["- * x/a"])],
            ),
            case(
                "should enforce policy based on NamespaceSelector with MatchExpressions using default ns label",
                out_of_a(&[namespaces("kubernetes.io/metadata.name!=y")]),
                &[(Tcp, 80, &["- x/a y/*"])],
            ),
        ],
        |_, _| {},
    );
}

#[test]
fn changes() {
    let all = || vec![every_pod(Some(vec![rule(&[], &[])]), None)];
    let name = "should enforce updated policy";
    run(vec![case(name, all(), &[(Tcp, 81, OPEN)])], |_, _| {});
    run(
        vec![case(name, vec![every_pod(Some(vec![]), None)], &[(Tcp, 81, &["- * x/*"])])],
        |_, _| {},
    );

    let name = "should allow ingress access from updated namespace";
    let updated = || into_a(&[namespaces("ns2=updated")], &[]);
    run(vec![case(name, updated(), &[(Tcp, 80, &["- * x/a"])])], |_, _| {});
    run(vec![case(name, updated(), &[ONLY_Y_INTO_A])], |namespaces, _| {
        namespaces[1] = namespace("y", "ns2=updated");
    });

    let name = "should allow ingress access from updated pod";
    let updated = || into_a(&[pods("pod=b,pod2=updated")], &[]);
    run(vec![case(name, updated(), &[(Tcp, 80, &["- * x/a"])])], |_, _| {});
    run(vec![case(name, updated(), &[ONLY_B_INTO_A])], |_, pods| {
        pods[1].labels = crate::cluster::labels("pod=b,pod2=updated");
    });

    let name = "should deny ingress access to updated pod";
    let isolated = || vec![policy("x/isolated", "target=isolated").ingress(vec![])];
    run(vec![case(name, isolated(), &[(Tcp, 80, OPEN)])], |_, _| {});
    run(vec![case(name, isolated(), &[(Tcp, 80, &["- * x/a"])])], |_, pods| {
        pods[0].labels = crate::cluster::labels("pod=a,target=isolated");
    });

    let name = "should stop enforcing policies after they are deleted";
    let deny = vec![every_pod(Some(vec![]), Some(vec![]))];
    run(vec![case(name, deny, &[(Tcp, 80, &["- x/* *", "- * x/*"])])], |_, _| {});
    run(vec![case(name, vec![], &[(Tcp, 80, OPEN)])], |_, _| {});
}
