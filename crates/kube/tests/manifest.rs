//! What is written is what was meant: read back by this crate, and by another YAML reader.

#![expect(clippy::unwrap_used, reason = "strategies run inside tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use ringfence_kube::manifest::{self, Notes};
use ringfence_kube::read::Reader;
use ringfence_model::{
    Cidr, IpBlock, Name, NamespaceScope, NetworkPolicy, Operator, Origin, PeerMatch, Peers, Port,
    PortMatch, PortRange, PortTarget, Ports, Protocol, Requirement, Rule, Selector,
};

/// Texts that YAML readers like to take for something else, and any other text.
fn text() -> impl Strategy<Value = String> {
    let traps = [
        "",
        "~",
        "null",
        "true",
        "yes",
        "n",
        "off",
        "1",
        "01",
        "1e3",
        "0x1f",
        "0o7",
        "1_000",
        ".5",
        ".inf",
        "-",
        "- a",
        "a: b",
        "a #b",
        "#",
        "&a",
        "*a",
        "!a",
        "%a",
        "@a",
        "`",
        "'",
        "\"",
        "\\",
        "{}",
        "[]",
        "a\nb",
        "\t",
        " a ",
        "---",
        "...",
        "1:30",
        "2026-01-01",
        "<<",
        "=",
        "?",
        "a:",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{0}",
        "\u{7f}",
        "\u{1f600}",
        "\u{fffe}",
        "é",
        "10.0.0.0/8",
        "1.5",
        "1./",
        "e1",
        "|",
        ">",
        ",",
        "a,b",
    ];
    prop_oneof![prop::sample::select(traps.to_vec()).prop_map(str::to_owned), any::<String>()]
}

fn key() -> impl Strategy<Value = Arc<str>> {
    prop::sample::select(vec![
        "app",
        "true",
        "on",
        "1",
        "0x1",
        "x.org/y",
        "1.2",
        "app.kubernetes.io/name",
        "null",
        "1e3",
    ])
    .prop_map(Arc::from)
}

fn value() -> impl Strategy<Value = Arc<str>> {
    prop::sample::select(vec![
        "web", "true", "no", "", "1", "1e3", "0o7", "1_0", "1.5", "A_b-c.d", "null", "Y",
    ])
    .prop_map(Arc::from)
}

fn selector() -> impl Strategy<Value = Selector> {
    let values = || btree_set(value(), 1..4);
    let operator = prop_oneof![
        value().prop_map(|v| Operator::In(BTreeSet::from([v]))),
        values().prop_map(Operator::In),
        values().prop_map(Operator::NotIn),
        Just(Operator::Exists),
        Just(Operator::DoesNotExist),
    ];
    let requirement = (key(), operator).prop_map(|(key, operator)| Requirement { key, operator });
    vec(requirement, 0..4).prop_map(Selector::from_iter)
}

fn block() -> impl Strategy<Value = IpBlock> {
    prop::sample::select(vec![
        ("10.0.0.0/8", vec![]),
        ("0.0.0.0/0", vec!["10.0.0.0/8", "169.254.169.254/32"]),
        ("2001:db8::/32", vec!["2001:db8:1::/48"]),
        ("::/0", vec![]),
        ("192.0.2.1/32", vec![]),
    ])
    .prop_map(|(cidr, except)| {
        let parse = |text: &str| text.parse::<Cidr>().unwrap();
        IpBlock::new(parse(cidr), except.into_iter().map(parse).collect()).unwrap()
    })
}

fn peer() -> impl Strategy<Value = PeerMatch> {
    let namespaces =
        prop_oneof![Just(NamespaceScope::Own), selector().prop_map(NamespaceScope::Matching)];
    prop_oneof![
        block().prop_map(PeerMatch::IpBlock),
        (namespaces, selector())
            .prop_map(|(namespaces, pods)| PeerMatch::Pods { namespaces, pods }),
    ]
}

fn port() -> impl Strategy<Value = PortMatch> {
    let number = (1..=u16::MAX, 1..=u16::MAX).prop_map(|(a, b)| {
        let port = |n| Port::new(n).unwrap();
        PortTarget::Numbers(PortRange::new(port(a.min(b)), port(a.max(b))).unwrap())
    });
    let single =
        (1..=u16::MAX).prop_map(|n| PortTarget::Numbers(PortRange::single(Port::new(n).unwrap())));
    let names = prop::sample::select(vec!["http", "1a", "y", "on", "e", "null", "0x1f"]);
    let target = prop_oneof![
        Just(PortTarget::Any),
        number,
        single,
        names.prop_map(|n| PortTarget::Named(n.into()))
    ];
    (prop::sample::select(Protocol::ALL.to_vec()), target)
        .prop_map(|(protocol, target)| PortMatch { protocol, target })
}

fn rule() -> impl Strategy<Value = Rule> {
    let peers = prop_oneof![Just(Peers::Any), vec(peer(), 1..4).prop_map(Peers::Only)];
    let ports = prop_oneof![Just(Ports::Any), vec(port(), 1..4).prop_map(Ports::Only)];
    (peers, ports).prop_map(|(peers, ports)| Rule { origin: Origin::default(), peers, ports })
}

fn policy() -> impl Strategy<Value = NetworkPolicy> {
    let name = prop::sample::select(vec!["web", "1", "1e3", "null", "yes", "a.b-c"]);
    let rules = || prop::option::of(vec(rule(), 0..4));
    (name.clone(), name, selector(), rules(), rules()).prop_map(
        |(namespace, name, pod_selector, ingress, egress)| NetworkPolicy {
            namespace: Name::new(namespace).unwrap(),
            name: Name::new(name).unwrap(),
            origin: Origin::default(),
            pod_selector,
            // A policy isolates in one direction at least: no types at all would be defaulted.
            ingress: ingress.or_else(|| egress.is_none().then(Vec::new)),
            egress,
        },
    )
}

fn notes() -> impl Strategy<Value = Notes> {
    let map = || btree_map(key().prop_map(|k| k.to_string()), text(), 0..3);
    let comments = || vec(vec(text(), 0..3), 0..4);
    (vec(text(), 0..3), map(), map(), comments(), comments()).prop_map(
        |(header, labels, annotations, ingress, egress)| Notes {
            header,
            labels,
            annotations,
            ingress,
            egress,
        },
    )
}

fn without_origins(mut policy: NetworkPolicy) -> NetworkPolicy {
    policy.origin = Origin::default();
    for rule in [&mut policy.ingress, &mut policy.egress].into_iter().flatten().flatten() {
        rule.origin = Origin::default();
    }
    policy
}

fn has_null(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => true,
        serde_json::Value::Array(items) => items.iter().any(has_null),
        serde_json::Value::Object(map) => map.values().any(has_null),
        _ => false,
    }
}

proptest! {
    #[test]
    fn written_policies_read_back_equal(policy in policy(), notes in notes()) {
        let text = manifest::policy(&policy, &notes);
        prop_assert_eq!(&text, &manifest::policy(&policy, &notes));
        let mut reader = Reader::new();
        reader.bytes("out.yaml", text.as_bytes());
        let mut input = reader.finish();
        prop_assert!(input.diagnostics.is_empty(), "{:?}\n{}", input.diagnostics, text);
        prop_assert_eq!(input.objects.policies.len(), 1);
        let back = without_origins(input.objects.policies.remove(0));
        prop_assert_eq!(back, policy, "{}", text);
    }

    /// Another reader, which guesses types from the spelling, finds the same strings and no null.
    #[test]
    fn another_yaml_reader_sees_the_same(policy in policy(), notes in notes()) {
        let text = manifest::policy(&policy, &notes);
        let options = serde_saphyr::options! { strict_booleans: false };
        let value: serde_json::Value =
            serde_saphyr::from_str_with_options(&text, options).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        let metadata = &value["metadata"];
        prop_assert_eq!(metadata["name"].as_str(), Some(policy.name.as_str()));
        for (field, map) in [("labels", &notes.labels), ("annotations", &notes.annotations)] {
            let read: BTreeMap<String, String> = metadata.get(field).map_or_else(BTreeMap::new, |map| {
                serde_json::from_value(map.clone()).unwrap()
            });
            prop_assert_eq!(&read, map, "{}", text);
        }
        prop_assert!(!has_null(&value), "{}", text);
        let types = value["spec"]["policyTypes"].as_array().map_or(0, Vec::len);
        prop_assert_eq!(types, usize::from(policy.ingress.is_some()) + usize::from(policy.egress.is_some()));
    }
}

fn sample() -> NetworkPolicy {
    let labels = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| Requirement::equals(*k, *v)).collect::<Selector>()
    };
    let tcp = |port| PortMatch {
        protocol: Protocol::Tcp,
        target: PortTarget::Numbers(PortRange::single(Port::new(port).unwrap())),
    };
    let origin = Origin::default;
    NetworkPolicy {
        namespace: Name::new("shop").unwrap(),
        name: Name::new("web").unwrap(),
        origin: origin(),
        pod_selector: labels(&[("app", "web"), ("version", "1.0")]),
        ingress: Some(vec![
            Rule {
                origin: origin(),
                peers: Peers::Only(vec![
                    PeerMatch::Pods {
                        namespaces: NamespaceScope::Matching(labels(&[(
                            "kubernetes.io/metadata.name",
                            "front",
                        )])),
                        pods: labels(&[("app", "gate")]),
                    },
                    PeerMatch::IpBlock(
                        IpBlock::new(
                            "10.0.0.0/8".parse().unwrap(),
                            vec!["10.1.0.0/16".parse().unwrap()],
                        )
                        .unwrap(),
                    ),
                ]),
                ports: Ports::Only(vec![tcp(8080)]),
            },
            Rule { origin: origin(), peers: Peers::Only(vec![]), ports: Ports::Any },
        ]),
        egress: Some(vec![Rule { origin: origin(), peers: Peers::Any, ports: Ports::Any }]),
    }
}

#[test]
fn the_layout_is_that_of_hand_written_manifests() {
    let notes = Notes {
        header: vec!["web: 2 edges\nspec: {}".into(), String::new()],
        labels: BTreeMap::from([("app.kubernetes.io/managed-by".into(), "ringfence".into())]),
        annotations: BTreeMap::new(),
        ingress: vec![vec!["front/Deployment/gate: 12 connections".into()]],
        egress: vec![],
    };
    insta::assert_snapshot!(manifest::policy(&sample(), &notes), @r#"
    # web: 2 edges spec: {}
    #
    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata:
      name: web
      namespace: shop
      labels:
        app.kubernetes.io/managed-by: ringfence
    spec:
      podSelector:
        matchLabels:
          app: web
          version: "1.0"
      policyTypes:
      - Ingress
      - Egress
      ingress:
      # front/Deployment/gate: 12 connections
      - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: front
          podSelector:
            matchLabels:
              app: gate
        - ipBlock:
            cidr: 10.0.0.0/8
            except:
            - 10.1.0.0/16
        ports:
        - protocol: TCP
          port: 8080
      egress:
      - {}
    "#);
}

#[test]
fn rules_that_match_nothing_never_become_rules_that_match_all() {
    let mut policy = sample();
    policy.egress = Some(vec![Rule {
        origin: Origin::default(),
        peers: Peers::Any,
        ports: Ports::Only(vec![]),
    }]);
    let text = manifest::policy(&policy, &Notes::default());
    assert!(text.ends_with("  egress: []\n"), "{text}");
    assert_eq!(text.matches("- namespaceSelector:").count(), 1, "{text}");
}
