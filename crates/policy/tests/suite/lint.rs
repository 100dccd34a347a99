//! Findings: what is reported, and that clean policies have none.

use std::collections::BTreeSet;

use proptest::prelude::*;
use ringfence_model::{Diagnostic, NetworkPolicy, Origin, Protocol};
use ringfence_policy::{Difference, EndPort, LINTS, PolicySet, Profile};

use crate::agree::world;
use crate::cluster::{
    PolicyExt, block, container_port, every, name, named, namespace, namespaces, node, pod, pods,
    pods_in, policy, port, range, rule, tcp,
};

use crate::oracle::Oracle;

use Protocol::{Tcp, Udp};

/// web, api and a host-network agent in shop; DNS in kube-system.
fn lint_with(policies: &[NetworkPolicy], profile: Profile) -> Vec<Diagnostic> {
    let mut api = pod("shop/api", "app=api", &["10.0.0.2"], "n1");
    api.spec.ports.push(container_port("http", Tcp, 8080));
    let mut agent = pod("shop/agent", "app=agent", &["192.168.0.1"], "n1");
    agent.spec.host_network = true;
    let cluster_pods = [
        pod("shop/web", "app=web", &["10.0.0.1"], "n1"),
        api,
        agent,
        pod("kube-system/dns", "k8s-app=kube-dns", &["10.0.1.1"], "n1"),
    ];
    let namespaces = [namespace("shop", "team=red"), namespace("kube-system", "")];
    let nodes = [node("n1", &["192.168.0.1"])];
    let (set, diagnostics) =
        PolicySet::compile(&namespaces, &nodes, &cluster_pods, policies, &profile);
    assert_eq!(diagnostics, []);
    set.lint()
}

/// `code subject: message` of each finding.
fn lint(policies: &[NetworkPolicy]) -> Vec<String> {
    let found = lint_with(policies, Profile::default());
    assert!(found.iter().all(|d| d.hint.is_some()), "every finding says what to do");
    let line = |d: &Diagnostic| {
        let policy = d.subject.as_deref().unwrap().strip_prefix("NetworkPolicy shop/").unwrap();
        format!("{} {policy}: {}", d.code, d.message)
    };
    found.iter().map(line).collect()
}

fn dns() -> ringfence_model::Rule {
    rule(&[pods_in("", "k8s-app=kube-dns")], &[port(Udp, 53), tcp(53)])
}

#[test]
fn clean_policies_have_no_findings() {
    let clean = [
        policy("shop/default-deny", "").ingress(vec![]).egress(vec![]),
        policy("shop/api", "app=api")
            .ingress(vec![rule(&[pods("app=web")], &[named(Tcp, "http")])])
            .egress(vec![dns(), rule(&[block("8.8.8.0/24", &[])], &[tcp(443)])]),
        policy("shop/web", "app=web")
            .ingress(vec![rule(&[block("0.0.0.0/0", &["10.0.0.0/16"])], &[tcp(80)])])
            .egress(vec![dns(), rule(&[pods("app=api")], &[named(Tcp, "http"), range(Tcp, 1, 9)])]),
    ];
    assert_eq!(lint(&clean), [""; 0]);
}

#[test]
fn findings_about_selectors_and_peers() {
    assert_eq!(
        lint(&[
            policy("shop/idle", ""),
            policy("shop/typo", "app=wbe").ingress(vec![]),
            policy("shop/peers", "app=web").ingress(vec![
                rule(&[pods("app=gone"), pods("app=api"), pods("app=agent")], &[tcp(1)]),
                rule(&[namespaces("team=red"), pods("app=api")], &[tcp(2)]),
                rule(&[], &[]),
                rule(&[], &[tcp(3)]),
                rule(&[block("10.0.0.0/24", &["10.0.0.1/32"])], &[tcp(4)]),
            ]),
        ]),
        [
            "no-direction idle: policyTypes names neither Ingress nor Egress",
            "selects-nothing typo: podSelector app=wbe matches no pod of namespace shop",
            "peer-matches-nothing peers: Ingress rule 0: no pod matches entry 0, pods app=gone of namespace shop",
            "peer-matches-nothing peers: Ingress rule 0: no pod matches entry 2, pods app=agent of namespace shop",
            "shadowed-rule peers: Ingress rule 0: with the pods of today, rule 2 already allows all of it",
            "split-selectors peers: Ingress rule 1: it allows every pod of the namespaces team=red, and the pods app=api of namespace shop beside them",
            "shadowed-rule peers: Ingress rule 1: with the pods of today, rule 2 already allows all of it",
            "allows-everything peers: Ingress rule 2: without from and ports it allows all sources over every port and protocol",
            "open-to-all peers: Ingress rule 3: without from it allows all sources, outside the cluster included",
            "shadowed-rule peers: Ingress rule 3: with the pods of today, rule 2 already allows all of it",
            "block-holds-pods peers: Ingress rule 4: ipBlock 10.0.0.0/24 except 10.0.0.1/32 holds pod addresses such as 10.0.0.2",
            "shadowed-rule peers: Ingress rule 4: with the pods of today, rule 2 already allows all of it",
        ]
    );
    let hints = lint_with(
        &[policy("shop/p", "").ingress(vec![rule(&[pods("app=agent")], &[])])],
        Profile::default(),
    );
    assert_eq!(
        hints[0].hint.as_deref(),
        Some("selectors ignore host-network pods: use an ipBlock of the node addresses")
    );
}

#[test]
fn findings_about_rules_that_are_too_many() {
    assert_eq!(
        lint(&[
            policy("shop/all", "")
                .ingress(vec![rule(&[pods("app in web|api")], &[range(Tcp, 1, 99)])]),
            policy("shop/web", "app=web").ingress(vec![
                rule(&[pods("app=api")], &[tcp(80)]),
                rule(&[pods("app=api")], &[tcp(80)]),
                rule(&[pods("app=api")], &[tcp(100)]),
                rule(&[pods("app=api")], &[every(Tcp)]),
            ]),
        ]),
        [
            "shadowed-rule web: Ingress rule 0: with the pods of today, rule 3 already allows all of it",
            "shadowed-rule web: Ingress rule 1: with the pods of today, rule 0 already allows all of it",
            "shadowed-rule web: Ingress rule 2: with the pods of today, rule 3 already allows all of it",
        ]
    );
    assert_eq!(
        lint(&[
            policy("shop/all", "")
                .ingress(vec![rule(&[pods("app in web|api")], &[range(Tcp, 1, 99)])]),
            policy("shop/web", "app=web").ingress(vec![rule(&[pods("app=api")], &[tcp(80)])]),
            policy("shop/api", "app=api").ingress(vec![rule(&[pods("app=web")], &[tcp(100)])]),
        ]),
        [
            "covered-rule web: Ingress rule 0: with the pods of today, NetworkPolicy shop/all already allows all of it"
        ]
    );
}

#[test]
fn findings_about_ports_and_dns() {
    assert_eq!(
        lint(&[
            policy("shop/in", "app=web")
                .ingress(vec![rule(&[pods("app=api")], &[named(Tcp, "http")])]),
            policy("shop/out", "app=web").egress(vec![
                rule(&[pods("app=api")], &[named(Udp, "http"), named(Tcp, "http")]),
                rule(&[pods_in("", "k8s-app=kube-dns")], &[port(Udp, 53)]),
            ]),
            policy("shop/lost", "app=api").egress(vec![rule(&[pods("app=web")], &[port(Udp, 53)])]),
        ]),
        [
            "unknown-port-name in: Ingress rule 0: no destination declares the TCP port http",
            "unknown-port-name out: Egress rule 0: no destination declares the UDP port http",
            "no-dns-over-tcp out: some of its pods may ask DNS over UDP only",
            "no-dns lost: some of its pods may not ask DNS over UDP",
        ]
    );
}

#[test]
fn findings_follow_the_profile_and_the_origin() {
    let mut ranged = policy("shop/p", "app=web")
        .ingress(vec![rule(&[pods("app=api")], &[range(Tcp, 80, 90), tcp(443)])]);
    ranged.origin = Origin::new("a.yaml", 3);
    let profile = Profile { end_port: EndPort::FirstPortOnly, ..Profile::default() };
    let found = lint_with(&[ranged.clone()], profile);
    assert_eq!(
        found[0].to_string(),
        "a.yaml:3: warning[end-port-ignored]: NetworkPolicy shop/p: Ingress rule 0: \
         of the ports 80-90 only 80 is allowed\n  hint: list the ports one by one"
    );
    ranged.ingress.as_mut().unwrap()[0].origin = Origin::new("a.yaml", 9);
    assert_eq!(lint_with(&[ranged], profile)[0].origin, Some(Origin::new("a.yaml", 9)));
}

#[test]
fn without_pods_only_the_text_is_judged() {
    let policies =
        [policy("shop/p", "app=web")
            .ingress(vec![rule(&[pods("app=api")], &[named(Tcp, "http")])])];
    let (set, _) = PolicySet::compile(&[], &[], &[], &policies, &Profile::default());
    assert_eq!(set.lint(), []);
}

#[test]
fn codes_are_distinct() {
    let codes: BTreeSet<&str> = LINTS.iter().map(|lint| lint.code).collect();
    assert_eq!(codes.len(), LINTS.len());
}

proptest! {
    #![proptest_config(crate::agree::config())]

    #[test]
    fn rules_that_are_too_many_can_go(world in world()) {
        let world = Oracle { policies: distinctly_named(world.policies.clone()), ..world };
        let set = world.compile();
        let too_many = set.lint().into_iter().filter(|d| d.code.ends_with("ed-rule"));
        for finding in too_many {
            let (direction, rest) = finding.message.split_once(" rule ").unwrap();
            let n: usize = rest.split_once(':').unwrap().0.parse().unwrap();
            let mut policies = world.policies.clone();
            let policy = policies
                .iter_mut()
                .find(|p| finding.subject == Some(format!("NetworkPolicy {p}")))
                .unwrap();
            let rules = if direction == "Ingress" { &mut policy.ingress } else { &mut policy.egress };
            rules.as_mut().unwrap().remove(n);
            let (without, _) = set.with_policies(&policies);
            Difference::new(&set, &without).walk(|change| panic!("{finding}: {change:?}"));
        }
    }
}

fn distinctly_named(mut policies: Vec<NetworkPolicy>) -> Vec<NetworkPolicy> {
    for (n, policy) in policies.iter_mut().enumerate() {
        policy.name = name(&format!("p{n}"));
    }
    policies
}
