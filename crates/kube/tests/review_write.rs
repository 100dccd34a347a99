//! A review that was written reads back as it.

#![expect(clippy::panic, reason = "a test may fail anywhere")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use ringfence_kube::review;
use ringfence_model::review::{
    Alias, Choice, CidrRule, ClusterCidrs, EdgeDecision, GeneralRule, GeneralRules, LabelChoice,
    PeerPattern, Review, WorkloadRules,
};
use ringfence_model::{
    AddressClass, Cidr, Direction, IpBlock, L4, Name, Origin, Peer, Port, PortMatch, PortRange,
    PortTarget, Protocol, ServiceRef, WorkloadKind, WorkloadRef,
};

fn name() -> impl Strategy<Value = Name> {
    // Among them what YAML would take for numbers, booleans and times.
    let odd =
        select(vec!["0", "1e3", "no", "true", "null", "0x1f", "1.5", "2026-11-20", "n", "a-b"]);
    prop_oneof![odd.prop_map(str::to_owned), "[a-z]([a-z0-9.-]{0,8}[a-z0-9])?"]
        .prop_map(|text| Name::new(text).unwrap_or_else(|e| panic!("{e}")))
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|n| IpAddr::V4(Ipv4Addr::from(n))),
        // Not an IPv4 address in disguise, which the file holds as the IPv4 address.
        any::<u64>()
            .prop_map(|n| IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(n)))),
    ]
}

fn cidr() -> impl Strategy<Value = Cidr> {
    (ip(), 1u8..=32).prop_map(|(ip, length)| {
        let net = ipnet::IpNet::new(ip, length).unwrap_or_else(|e| panic!("{e}"));
        Cidr::new(net.trunc()).unwrap_or_else(|e| panic!("{e}"))
    })
}

fn block() -> impl Strategy<Value = IpBlock> {
    (any::<u32>(), 8u8..=24, vec(25u8..=32, 0..3)).prop_map(|(ip, length, excepts)| {
        let net = |length| {
            let net = ipnet::Ipv4Net::new(ip.into(), length).unwrap_or_else(|e| panic!("{e}"));
            Cidr::new(net.trunc().into()).unwrap_or_else(|e| panic!("{e}"))
        };
        let excepts = excepts.into_iter().map(net).collect();
        IpBlock::new(net(length), excepts).unwrap_or_else(|e| panic!("{e}"))
    })
}

fn port() -> impl Strategy<Value = Port> {
    (1u16..).prop_map(|n| Port::new(n).unwrap_or(Port::MIN))
}

fn workload() -> impl Strategy<Value = WorkloadRef> {
    let kind = prop_oneof!["Deployment|CronJob|Pod", "[A-Z][a-z]{0,5}", "[ -~]{1,6}"];
    (name(), kind, name()).prop_map(|(namespace, kind, name)| WorkloadRef {
        namespace,
        kind: WorkloadKind::from(kind.as_str()),
        name,
    })
}

fn rule() -> impl Strategy<Value = GeneralRule> {
    select(vec![
        GeneralRule::Observed,
        GeneralRule::BlockAll,
        GeneralRule::AllowNamespace,
        GeneralRule::AllowAll,
        GeneralRule::Unmanaged,
    ])
}

fn pattern() -> impl Strategy<Value = PeerPattern> {
    let service = (name(), name()).prop_map(|(namespace, name)| ServiceRef { namespace, name });
    prop_oneof![
        Just(PeerPattern::Any),
        name().prop_map(PeerPattern::Namespace),
        cidr().prop_map(PeerPattern::Cidr),
        workload().prop_map(|w| PeerPattern::Peer(Peer::Workload(w))),
        service.prop_map(|s| PeerPattern::Peer(Peer::Service(s))),
        name().prop_map(|n| PeerPattern::Peer(Peer::Node(n))),
        name().prop_map(|n| PeerPattern::Peer(Peer::Host(n))),
        name().prop_map(|n| PeerPattern::Peer(Peer::Alias(n.as_str().into()))),
        ip().prop_map(|ip| PeerPattern::Peer(Peer::Address(ip, AddressClass::Unknown))),
    ]
}

fn l4() -> impl Strategy<Value = L4> {
    let protocol = select(Protocol::ALL.to_vec());
    let transport = (protocol, port()).prop_map(|(protocol, port)| L4::Port(protocol, port));
    prop_oneof![8 => transport, 1 => Just(L4::Icmp), 1 => Just(L4::IcmpV6)]
}

fn decision() -> impl Strategy<Value = EdgeDecision> {
    let choice = select(vec![Choice::Include, Choice::Exclude]);
    (choice, pattern(), pattern(), option::of(l4())).prop_map(
        |(choice, source, destination, l4)| EdgeDecision {
            choice,
            source,
            destination,
            l4,
            origin: Origin::default(),
        },
    )
}

fn port_match() -> impl Strategy<Value = PortMatch> {
    let range = (port(), port())
        .prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap_or_else(|e| panic!("{e}")));
    let target = prop_oneof![Just(PortTarget::Any), range.prop_map(PortTarget::Numbers)];
    (select(Protocol::ALL.to_vec()), target)
        .prop_map(|(protocol, target)| PortMatch { protocol, target })
}

fn cidr_rule() -> impl Strategy<Value = CidrRule> {
    let direction = select(Direction::BOTH.to_vec());
    (direction, option::of(workload()), block(), vec(port_match(), 0..3)).prop_map(
        |(direction, workload, block, ports)| CidrRule {
            direction,
            workload,
            block,
            ports,
            origin: Origin::default(),
        },
    )
}

fn keys() -> impl Strategy<Value = BTreeSet<Arc<str>>> {
    let key = prop_oneof!["[a-z]{1,4}", "[a-z]{1,3}\\.[a-z]{1,3}/[a-zA-Z0-9]{1,5}", "yes|1|0\\.5"];
    btree_set(key.prop_map(Arc::from), 0..3)
}

fn review_strategy() -> impl Strategy<Value = Review> {
    let rules = (rule(), rule()).prop_map(|(ingress, egress)| GeneralRules { ingress, egress });
    let workload_rules =
        (workload(), option::of(rule()), rule()).prop_map(|(workload, ingress, egress)| {
            WorkloadRules { workload, ingress, egress: Some(egress), origin: Origin::default() }
        });
    let alias = (name(), vec(cidr(), 1..3), any::<bool>()).prop_map(|(name, cidrs, allowed)| {
        Alias { name: name.as_str().into(), cidrs, allowed, origin: Origin::default() }
    });
    let labels = (keys(), keys(), keys()).prop_map(|(include, exclude, namespace)| LabelChoice {
        include,
        exclude,
        namespace,
    });
    let process = "[ -~]{1,8}|[\u{a0}-\u{2fff}]{1,3}".prop_map(Arc::<str>::from);
    let cluster = (vec(cidr(), 0..3), vec(cidr(), 0..3), vec(process, 0..3))
        .prop_map(|(pods, services, processes)| ClusterCidrs { pods, services, processes });
    (
        rules,
        vec(workload_rules, 0..3),
        vec(decision(), 0..5),
        vec(cidr_rule(), 0..3),
        vec(alias, 0..3),
        labels,
        cluster,
    )
        .prop_map(|(rules, workloads, edges, cidr_rules, aliases, labels, cluster)| Review {
            rules,
            workloads: distinct(workloads, |rules| rules.workload.clone()),
            edges,
            cidr_rules,
            aliases: distinct(aliases, |alias| alias.name.clone()),
            labels,
            cluster,
        })
}

fn distinct<T, K: Ord>(items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = BTreeSet::new();
    items.into_iter().filter(|item| seen.insert(key(item))).collect()
}

fn without_places(mut review: Review) -> Review {
    review.workloads.iter_mut().for_each(|rules| rules.origin = Origin::default());
    review.edges.iter_mut().for_each(|edge| edge.origin = Origin::default());
    review.cidr_rules.iter_mut().for_each(|rule| rule.origin = Origin::default());
    review.aliases.iter_mut().for_each(|alias| alias.origin = Origin::default());
    review
}

proptest! {
    #[test]
    fn what_is_written_reads_back(review in review_strategy(), name in name()) {
        let text = review::yaml(&name, &review);
        let back = review::part("review.yaml", text.as_bytes())
            .unwrap_or_else(|faults| panic!("{faults:?}\n{text}"));
        prop_assert_eq!(without_places(back.clone()), review, "{}", text);
        prop_assert_eq!(review::yaml(&name, &back), text);
    }
}

#[test]
fn a_review_that_says_nothing_is_short() {
    let name: Name = "shop".parse().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        review::yaml(&name, &Review::default()),
        "apiVersion: ringfence.dev/v1alpha1\nkind: Review\nmetadata:\n  name: shop\nspec:\n  rules:\n    \
         ingress: Observed\n    egress: Observed\n"
    );
}

#[test]
fn a_part_may_speak_of_aliases_of_another_part() {
    let text = "apiVersion: ringfence.dev/v1alpha1\nkind: Review\nmetadata: {name: r}\nspec:\n  edges:\n  \
                - {choice: Include, destination: {alias: elsewhere}, port: 443}\n";
    assert!(review::bytes("review.yaml", text.as_bytes()).is_err());
    assert!(review::part("review.yaml", text.as_bytes()).is_ok());
}
