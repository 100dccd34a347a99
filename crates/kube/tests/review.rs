//! The review file and its schema.

#![expect(clippy::panic, clippy::expect_used, reason = "a test may fail anywhere")]

use ringfence_kube::review;
use ringfence_model::review::{Choice, GeneralRule, PeerPattern, Review};
use ringfence_model::{Direction, L4, Peer, Protocol};

const FULL: &str = "apiVersion: ringfence.dev/v1alpha1
kind: Review
metadata: {name: shop}
spec:
  rules: {ingress: AllowNamespace}
  workloads:
  - workload: {namespace: shop, kind: Deployment, name: web}
    egress: BlockAll
  edges:
  - choice: Exclude
    source: {workload: {namespace: shop, kind: Deployment, name: web}}
    destination: {namespace: legacy}
    protocol: UDP
    port: 8080
  - choice: Include
    destination: {alias: payment-gateway}
    port: 443
  - {choice: Exclude, source: {any: {}}, destination: {service: {namespace: a, name: b}}, protocol: ICMP}
  - {choice: Exclude, source: {node: n1}, destination: {address: '::ffff:192.0.2.1'}}
  - {choice: Exclude, source: {cidr: 10.0.0.0/8}}
  cidrRules:
  - direction: Egress
    workload: {namespace: shop, kind: Rollout, name: web}
    cidr: 198.51.100.0/24
    except: [198.51.100.128/25]
    ports: [{protocol: TCP, port: 443}, {port: 8000, endPort: 8080}, {protocol: UDP}]
  - {direction: Ingress, cidr: 0.0.0.0/0, ports: [{port: 8080}]}
  aliases:
  - name: payment-gateway
    addresses: [198.51.100.21, 203.0.113.0/24]
    allowed: true
  labels: {include: [tier], exclude: [app.kubernetes.io/instance], namespace: [team]}
  cluster: {podCIDRs: [10.244.0.0/16], serviceCIDRs: [10.96.0.0/12], processes: [my-apiserver]}
";

fn read(text: &str) -> Review {
    review::bytes("review.yaml", text.as_bytes()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn faults(text: &str) -> String {
    let faults = review::bytes("review.yaml", text.as_bytes()).expect_err("a faulty review");
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn with_spec(spec: &str) -> String {
    format!(
        "apiVersion: ringfence.dev/v1alpha1\nkind: Review\nmetadata: {{name: r}}\nspec:\n{spec}"
    )
}

#[test]
fn everything_that_a_review_can_say() {
    let review = read(FULL);
    assert_eq!(review.rules.get(Direction::Ingress), GeneralRule::AllowNamespace);
    assert_eq!(review.rules.get(Direction::Egress), GeneralRule::Observed);
    assert_eq!(review.workloads[0].ingress, None);
    assert_eq!(review.workloads[0].egress, Some(GeneralRule::BlockAll));
    assert_eq!(review.workloads[0].origin.to_string(), "review.yaml:7");

    let edges: Vec<_> = review
        .edges
        .iter()
        .map(|edge| {
            let side = |peer: &PeerPattern| match peer {
                PeerPattern::Any => "any".to_owned(),
                PeerPattern::Namespace(name) => format!("namespace {name}"),
                PeerPattern::Peer(peer) => peer.to_string(),
                PeerPattern::Cidr(cidr) => cidr.to_string(),
            };
            let l4 = edge.l4.map_or_else(|| "any".to_owned(), |l4| l4.to_string());
            format!("{:?} {} -> {} {l4}", edge.choice, side(&edge.source), side(&edge.destination))
        })
        .collect();
    assert_eq!(
        edges,
        [
            "Exclude shop/Deployment/web -> namespace legacy UDP/8080",
            "Include any -> Alias/payment-gateway TCP/443",
            "Exclude any -> a/Service/b ICMP",
            "Exclude Node/n1 -> 192.0.2.1 any",
            "Exclude 10.0.0.0/8 -> any any",
        ]
    );
    assert_eq!(review.edges[1].origin.line, 15);
    assert_eq!(review.cidr_rules[0].block.to_string(), "198.51.100.0/24 except 198.51.100.128/25");
    assert_eq!(review.cidr_rules[0].ports.len(), 3);
    assert_eq!(review.cidr_rules[1].direction, Direction::Ingress);
    assert_eq!(review.aliases[0].cidrs.len(), 2);
    assert!(review.aliases[0].allowed && review.aliases[0].cidrs[0].is_host());
    assert!(review.labels.include.contains("tier") && review.labels.namespace.contains("team"));
    assert_eq!((review.cluster.pods.len(), review.cluster.services.len()), (1, 1));
    assert_eq!(review.cluster.processes, ["my-apiserver".into()]);
}

#[test]
fn an_empty_review_changes_nothing() {
    for spec in ["", "  {}\n", "  edges: []\n  rules: null\n"] {
        assert_eq!(read(&with_spec(spec)), Review::default());
    }
    let json = r#"{"apiVersion": "ringfence.dev/v1alpha1", "kind": "Review", "metadata": {"name": "r"}, "spec": {"edges": [{"choice": "Include", "port": 53, "protocol": "UDP"}]}}"#;
    let review = read(json);
    assert_eq!(review.edges[0].choice, Choice::Include);
    assert_eq!(review.edges[0].l4.map(|l4| matches!(l4, L4::Port(Protocol::Udp, _))), Some(true));
    assert_eq!(review.edges[0].source, PeerPattern::Any);
    assert!(!matches!(review.edges[0].destination, PeerPattern::Peer(Peer::Node(_))));
}

#[test]
fn all_faults_are_told_at_once() {
    let text = with_spec(
        "  rules: {ingress: observed}
  workload: []
  workloads:
  - workload: {namespace: Shop, kind: Deployment, name: web}
    egress: BlockAll
  - workload: {namespace: shop, kind: Deployment, name: web}
  - {workload: {namespace: shop, kind: Deployment, name: web}, egress: BlockAll}
  - {workload: {namespace: shop, kind: Deployment, name: web}, egress: AllowAll}
  edges:
  - choice: Allow
  - {choice: Include, destination: {alias: nobody}}
  - {choice: Include, destination: {namespace: a, node: b}}
  - {choice: Include, destination: {}}
  - {choice: Include, destination: {pod: a}}
  - {choice: Include, protocol: TCP}
  - {choice: Include, protocol: ICMP, port: 1}
  - {choice: Include, port: '80'}
  - {choice: Include, port: 0}
  - {choice: Include, prot: TCP}
  - {choice: Include, source: {address: 10.0.0.0/8}}
  cidrRules:
  - {direction: Egress, cidr: 10.0.0.1/8}
  - {direction: Egress, cidr: 10.0.0.0/8, except: [10.0.0.0/8]}
  - {direction: Egress, cidr: 10.0.0.0/8, ports: [{port: http}]}
  - {direction: Egress, cidr: 10.0.0.0/8, ports: [{port: 2, endPort: 1}]}
  - {cidr: 10.0.0.0/8}
  aliases:
  - {name: a, addresses: [10.0.0.1]}
  - {name: a, addresses: [10.0.0.2]}
  - {name: b, addresses: []}
  - {name: c, addresses: [10.0.0.256]}
  labels: {include: ['-bad'], exclude: [true]}
  cluster: {podCIDRs: [10.0.0.1/8, x]}
",
    );
    insta::assert_snapshot!(faults(&text), @r#"
    review.yaml:5: error[bad-review]: Review: spec.rules.ingress: "observed" is not one of Observed, BlockAll, AllowNamespace, AllowAll, Unmanaged
    review.yaml:6: error[bad-review]: Review: spec: unknown field "workload"
      hint: did you mean workloads?
    review.yaml:8: error[bad-review]: Review: spec.workloads[0].workload.namespace: "Shop" is not a name: 1 to 253 lower-case letters, digits, '-' or '.', beginning and ending with a letter or digit
    review.yaml:10: error[bad-review]: Review: spec.workloads[1]: neither ingress nor egress is set
    review.yaml:12: error[bad-review]: Review: the rules of shop/Deployment/web stand twice
    review.yaml:14: error[bad-review]: Review: spec.edges[0].choice: "Allow" is not one of Include, Exclude
    review.yaml:15: error[bad-review]: Review: no alias is named "nobody"
      hint: define it under spec.aliases
    review.yaml:16: error[bad-review]: Review: spec.edges[2].destination: expected exactly one of workload, service, namespace, node, host, alias, address, cidr, any, found several
    review.yaml:17: error[bad-review]: Review: spec.edges[3].destination: expected exactly one of workload, service, namespace, node, host, alias, address, cidr, any, found none
    review.yaml:18: error[bad-review]: Review: spec.edges[4].destination: "pod" is not one of workload, service, namespace, node, host, alias, address, cidr, any
    review.yaml:19: error[bad-review]: Review: spec.edges[5]: the protocol needs a port
      hint: leave the protocol out for every protocol and port
    review.yaml:20: error[bad-review]: Review: spec.edges[6]: ICMP has no ports
    review.yaml:21: error[bad-review]: Review: spec.edges[7].port: expected a number, found the string "80"
      hint: remove the quotes
    review.yaml:22: error[bad-review]: Review: spec.edges[8].port: port 0 is not between 1 and 65535
    review.yaml:23: error[bad-review]: Review: spec.edges[9]: unknown field "prot"
      hint: did you mean protocol?
    review.yaml:24: error[bad-review]: Review: spec.edges[10].source: "10.0.0.0/8" is not an IP address
    review.yaml:26: error[bad-review]: Review: spec.cidrRules[0].cidr: CIDR 10.0.0.1/8 has host bits set; did you mean 10.0.0.0/8?
    review.yaml:27: error[bad-review]: Review: spec.cidrRules[1].except: except 10.0.0.0/8 is not a strict subset of 10.0.0.0/8
    review.yaml:28: error[bad-review]: Review: spec.cidrRules[2].ports[0]: a port name means other numbers on other pods: write the number
    review.yaml:29: error[bad-review]: Review: spec.cidrRules[3].ports[0]: endPort 1 is below port 2
    review.yaml:30: error[bad-review]: Review: spec.cidrRules[4]: the field "direction" is missing
    review.yaml:33: error[bad-review]: Review: the alias "a" is defined twice
    review.yaml:34: error[bad-review]: Review: spec.aliases[2]: an alias without addresses
    review.yaml:35: error[bad-review]: Review: spec.aliases[3].addresses: "10.0.0.256" is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32
    review.yaml:36: error[bad-review]: Review: spec.labels.exclude[0]: expected a string, found the boolean `true`
      hint: quote it
    review.yaml:37: error[bad-review]: Review: spec.cluster.podCIDRs: CIDR 10.0.0.1/8 has host bits set; did you mean 10.0.0.0/8?
    review.yaml:37: error[bad-review]: Review: spec.cluster.podCIDRs: "x" is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32
    "#);
}

#[test]
fn files_that_are_no_review() {
    let other = FULL.replace("kind: Review", "kind: Pod");
    let version = FULL.replace("v1alpha1", "v2");
    let two = format!("{FULL}---\n{FULL}");
    let cut = &FULL[..FULL.len() - 30];
    let said: Vec<_> = ["", "# nothing\n", "[]", "text", "{", &other, &version, &two, cut, "a: *b"]
        .iter()
        .map(|text| faults(text))
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    review.yaml: error[bad-review]: Review: the file holds no review
      hint: it begins with apiVersion: ringfence.dev/v1alpha1 and kind: Review
    review.yaml: error[bad-review]: Review: the file holds no review
      hint: it begins with apiVersion: ringfence.dev/v1alpha1 and kind: Review
    review.yaml:1: error[bad-review]: Review: expected a mapping, found a sequence
    review.yaml:1: error[bad-review]: Review: expected a mapping, found the string "text"
    review.yaml:1: error[bad-review]: Review: not valid JSON: it ends where a key in quotes was expected
    review.yaml:2: error[bad-review]: Review: kind: "Pod" is not one of Review
    review.yaml:1: error[bad-review]: Review: apiVersion: "ringfence.dev/v2" is not one of ringfence.dev/v1alpha1
    review.yaml:35: error[bad-review]: Review: a second document; a review is one document
    review.yaml:33: error[bad-review]: Review: not valid YAML: unclosed bracket '['
    review.yaml:1: error[bad-review]: Review: not valid YAML: while parsing node, found unknown anchor
    "#);
    assert!(review::bytes("review.yaml", b"\xff").is_err());
    assert!(review::path("missing.yaml".as_ref()).is_err());
}

/// The published schema is what the reader reads. `UPDATE_SCHEMAS=1` rewrites it.
#[test]
fn the_published_schema_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/review.v1alpha1.json");
    let schema = review::schema();
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        std::fs::write(path, text).unwrap();
    }
    let published = std::fs::read(path).unwrap_or_default();
    let published = serde_json::from_slice(&published).unwrap_or(serde_json::Value::Null);
    assert_eq!(published, schema, "run the tests with UPDATE_SCHEMAS=1 and commit {path}");
}

/// Every field of the schema is one that the reader knows, and the other way round.
#[test]
fn the_schema_names_the_sections_that_are_read() {
    let schema = review::schema();
    let spec = &schema["$defs"]["Spec"]["properties"];
    for section in spec.as_object().unwrap().keys() {
        let said = review::bytes("r", with_spec(&format!("  {section}: 1\n")).as_bytes());
        let said = said.map_or_else(|f| f[0].to_string(), |_| String::new());
        assert!(said.contains("expected a"), "{section}: {said}");
    }
    assert!(faults(&with_spec("  other: 1\n")).contains("unknown field"));
}
