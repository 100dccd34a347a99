//! What files say of cluster-wide policies, as their API would understand it.

use ringfence_kube::read::{Input, Reader};
use ringfence_model::{
    ClusterPeer, ClusterPods, ClusterPolicy, ClusterPort, ClusterPorts, ClusterRule,
};

fn read(text: &str) -> Input {
    let mut reader = Reader::new();
    reader.bytes("in.yaml", text.as_bytes());
    reader.finish()
}

/// The diagnostics, one a line.
fn said(text: &str) -> String {
    read(text).diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A `ClusterNetworkPolicy`; its spec begins at line 5.
fn cluster(spec: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: p}}\nspec:\n{spec}\n"
    )
}

/// One of the kinds of v1alpha1; its spec begins at line 5.
fn older(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}\n"
    )
}

/// One ingress or egress rule of a policy that is right otherwise; the rule stands at line 8.
fn with_rule(list: &str, rule: &str) -> String {
    cluster(&format!(
        "  tier: Admin\n  priority: 1\n  subject: {{namespaces: {{}}}}\n  {list}: [{rule}]"
    ))
}

/// The same of an `AdminNetworkPolicy`; the rule stands at line 7.
fn with_older_rule(list: &str, rule: &str) -> String {
    let spec = format!("  priority: 1\n  subject: {{namespaces: {{}}}}\n  {list}: [{rule}]");
    older("AdminNetworkPolicy", "p", &spec)
}

/// The one policy of a text without faults.
fn only(text: &str) -> ClusterPolicy {
    let mut input = read(text);
    assert_eq!(input.diagnostics, [], "{text}");
    assert!(input.ignored.is_empty());
    assert_eq!(input.objects.cluster_policies.len(), 1);
    input.objects.cluster_policies.remove(0)
}

fn pods(pods: &ClusterPods) -> String {
    format!("pods {} in {}", pods.pods, pods.namespaces)
}

fn peer(peer: &ClusterPeer) -> String {
    match peer {
        ClusterPeer::Pods(chosen) => pods(chosen),
        ClusterPeer::Nodes(nodes) => format!("nodes {nodes}"),
        ClusterPeer::Networks(all) => {
            format!(
                "networks {}",
                all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            )
        }
        ClusterPeer::DomainNames(names) => format!("domains {}", names.join(" ")),
        ClusterPeer::Unknown => "unknown".into(),
    }
}

fn port(port: &ClusterPort) -> String {
    match port {
        ClusterPort::Numbers(protocol, range) => format!("{protocol}/{range}"),
        ClusterPort::Named(name, None) => format!("*/{name}"),
        ClusterPort::Named(name, Some(protocol)) => format!("{protocol}/{name}"),
        ClusterPort::Other => "other".into(),
    }
}

fn rule(rule: &ClusterRule) -> String {
    let ports = match &rule.ports {
        ClusterPorts::Any => "any".into(),
        ClusterPorts::Only(ports) => ports.iter().map(port).collect::<Vec<_>>().join(", "),
    };
    let peers = rule.peers.iter().map(peer).collect::<Vec<_>>().join("; ");
    let name = rule.name.as_ref().map(|name| format!(" {name:?}")).unwrap_or_default();
    format!("{}{name} [{peers}] {ports}", rule.action)
}

/// The policy in a few lines.
fn shown(policy: &ClusterPolicy) -> String {
    let ClusterPolicy { kind, name, origin, tier, priority, subject, ingress, egress } = policy;
    let head = format!("{origin} {kind} {name}: {tier} {priority}, {}", pods(subject));
    let lists = [("ingress", ingress), ("egress", egress)];
    let rules = lists.into_iter().flat_map(|(list, rules)| {
        rules.iter().map(move |r| format!("{} {list}: {}", r.origin, rule(r)))
    });
    std::iter::once(head).chain(rules).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_cluster_network_policy_is_read_with_its_lines() {
    let policy = only(&cluster(
        "
  tier: Baseline
  priority: 1000
  subject:
    pods:
      namespaceSelector: {matchLabels: {team: web}}
      podSelector: {matchExpressions: [{key: app, operator: In, values: [a, b]}]}
  ingress:
  - name: all-pods
    action: Accept
    from:
    - namespaces: {}
  - action: Deny
    from:
    - pods: {podSelector: {matchLabels: {app: x}}}
    - namespaces: {matchLabels: {team: data}}
    protocols:
    - tcp: {destinationPort: {number: 80}}
    - udp: {destinationPort: {range: {start: 1, end: 65535}}}
    - sctp: {destinationPort: {number: 9}}
    - destinationNamedPort: http
  egress:
  - action: Pass
    to:
    - nodes: {matchExpressions: [{key: gpu, operator: Exists}]}
    - networks: [10.0.0.0/8, 'fd00::/8']
  - action: Accept
    to:
    - domainNames: [example.org, '*.example.org', a.b_c.example.]",
    ));
    insta::assert_snapshot!(shown(&policy), @r#"
    in.yaml:1 ClusterNetworkPolicy p: Baseline 1000, pods app in (a,b) in team=web
    in.yaml:13 ingress: Accept "all-pods" [pods <all> in <all>] any
    in.yaml:17 ingress: Deny [pods app=x in <all>; pods <all> in team=data] TCP/80, UDP/1-65535, SCTP/9, */http
    in.yaml:27 egress: Pass [nodes gpu; networks 10.0.0.0/8 fd00::/8] any
    in.yaml:31 egress: Accept [domains example.org *.example.org a.b_c.example.] any
    "#);
}

#[test]
fn the_older_kinds_read_as_the_new_one() {
    let spec = "
  priority: 0
  subject: {namespaces: {matchLabels: {team: web}}}
  ingress:
  - action: Allow
    from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: x}}}}]
    ports:
    - portNumber: {protocol: UDP, port: 53}
    - portNumber: {port: 80}
    - portRange: {start: 8000, end: 8080}
    - portRange: {protocol: SCTP, start: 9, end: 9}
    - namedPort: http
  - {action: Pass, from: [{namespaces: {}}]}
  egress:
  - {action: Deny, to: [{nodes: {}}, {networks: [0.0.0.0/0]}]}";
    insta::assert_snapshot!(shown(&only(&older("AdminNetworkPolicy", "p", spec))), @"
    in.yaml:1 AdminNetworkPolicy p: Admin 0, pods <all> in team=web
    in.yaml:9 ingress: Accept [pods app=x in <all>] UDP/53, TCP/80, TCP/8000-8080, SCTP/9, */http
    in.yaml:17 ingress: Pass [pods <all> in <all>] any
    in.yaml:19 egress: Deny [nodes <all>; networks 0.0.0.0/0] any
    ");

    let spec = "
  subject: {pods: {namespaceSelector: {}, podSelector: {}}}
  ingress:
  - {name: closed, action: Deny, from: [{namespaces: {}}]}
  egress:
  - {action: Allow, to: [{namespaces: {}}]}";
    insta::assert_snapshot!(shown(&only(&older("BaselineAdminNetworkPolicy", "default", spec))), @r#"
    in.yaml:1 BaselineAdminNetworkPolicy default: Baseline 0, pods <all> in <all>
    in.yaml:8 ingress: Deny "closed" [pods <all> in <all>] any
    in.yaml:10 egress: Accept [pods <all> in <all>] any
    "#);
}

#[test]
fn objects_of_two_kinds_and_one_name_are_two() {
    let spec = "  subject: {namespaces: {}}";
    let text = [
        cluster(&format!("  tier: Admin\n  priority: 1\n{spec}")),
        older("AdminNetworkPolicy", "p", &format!("  priority: 1\n{spec}")),
        older("BaselineAdminNetworkPolicy", "default", spec),
        // The same object with other contents.
        older("AdminNetworkPolicy", "p", &format!("  priority: 2\n{spec}")),
        // The same object with the same contents at other lines.
        cluster(&format!("  tier: Admin\n  priority: 1\n{spec}")),
    ]
    .join("---\n");
    let policies = read(&text).objects.cluster_policies;
    let found: Vec<String> =
        policies.iter().map(|p| format!("{} {p} {}", p.kind, p.priority)).collect();
    assert_eq!(
        found,
        [
            "ClusterNetworkPolicy p 1",
            "AdminNetworkPolicy p 2",
            "BaselineAdminNetworkPolicy default 0",
        ]
    );
    insta::assert_snapshot!(said(&text), @"
    in.yaml:22: warning[duplicate-object]: AdminNetworkPolicy p: also stands at in.yaml:9 with other contents; this one is used
      hint: give the files of one moment and one cluster only
    ");
}

#[test]
fn lists_of_a_cluster_are_read_and_other_groups_are_not() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
{"apiVersion": "policy.networking.k8s.io/v1beta1", "kind": "ClusterNetworkPolicy", "metadata": {"name": "a"},
 "spec": {"tier": "Admin", "priority": 5, "subject": {"namespaces": {}},
  "egress": [
   {"action": "Deny", "to": [{"networks": ["169.254.169.254/32"]}]}]},
 "status": {"conditions": []}}]}"#;
    insta::assert_snapshot!(shown(&only(list)), @"
    in.yaml:2 ClusterNetworkPolicy a: Admin 5, pods <all> in <all>
    in.yaml:5 egress: Deny [networks 169.254.169.254/32] any
    ");
    let text =
        "apiVersion: crd.antrea.io/v1beta1\nkind: ClusterNetworkPolicy\nmetadata: {name: a}\n";
    assert!(said(text).contains("unread-policies"));
}

#[test]
fn peers_of_unknown_kind_fail_closed_and_are_said() {
    let text = cluster(
        "
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress:
  - action: Accept
    from:
    - namespaces: {}
    - services: {name: web}
  - action: Deny
    from: [{}]
  egress:
  - action: Pass
    to:
    - network: [10.0.0.0/8]",
    );
    let input = read(&text);
    insta::assert_snapshot!(shown(&input.objects.cluster_policies[0]), @"
    in.yaml:1 ClusterNetworkPolicy p: Admin 1, pods <all> in <all>
    in.yaml:10 ingress: Accept [pods <all> in <all>; unknown] any
    in.yaml:14 ingress: Deny [unknown] any
    in.yaml:17 egress: Pass [unknown] any
    ");
    insta::assert_snapshot!(said(&text), @r#"
    in.yaml:13: warning[unknown-peer]: ClusterNetworkPolicy p: spec.ingress[0].from[1]: unknown field "services", so the whole rule fails closed and matches nothing
      hint: the fields are namespaces, pods, nodes, networks, domainNames
    in.yaml:15: warning[unknown-peer]: ClusterNetworkPolicy p: spec.ingress[1].from[0]: the peer has no field, so the whole rule fails closed and denies everything
      hint: a server drops the fields that it does not know: look at the file it came from
    in.yaml:19: warning[unknown-peer]: ClusterNetworkPolicy p: spec.egress[0].to[0]: unknown field "network", so the whole rule fails closed and denies everything
      hint: did you mean networks?
    "#);
}

#[test]
fn a_bad_policy_is_refused_as_a_whole_with_every_fault() {
    let text = cluster(
        "
  tier: Admin
  priority: 1001
  subject: {pods: {namespaceSelector: {}}}
  ingress:
  - action: Accept
    from: []
    protocols: []
  - action: Deny
    from:
    - {namespaces: {}, pods: {podSelector: {}}}
    - networks: [10.0.0.0/8]
    - pods: {namespaceSelector: {}}
    - namespaces: {matchLabels: {a: '-'}}
    protocols:
    - tcp: {}
    - udp: {destinationPort: {number: 65536}}
    - sctp: {destinationPort: {range: {start: 9, end: 9}}}
    - tcp: {destinationPort: {range: {start: 9, end: 8}}}
    - destinationNamedPort: '80'
  egress:
  - action: Deny
    to:
    - domainNames: [example.org]
    - networks: []
    - networks: [10.0.0.0/8, 10.1.2.3/8]
    - nodes: {matchExpressions: [{key: a, operator: In}]}
  - action: Accept
    to:
    - networks: [10.0.0.0/8]
    - domainNames: ['*']
    protocols:
    - destinationNamedPort: http",
    );
    assert!(read(&text).objects.cluster_policies.is_empty());
    insta::assert_snapshot!(said(&text), @r#"
    in.yaml:7: error[bad-object]: ClusterNetworkPolicy p: spec.priority: 1001 is not between 0 and 1000
    in.yaml:8: error[bad-object]: ClusterNetworkPolicy p: spec.subject.pods: podSelector is missing
      hint: for all write podSelector: {}
    in.yaml:10: error[bad-object]: ClusterNetworkPolicy p: spec.ingress[0].from: names no peer
      hint: for all pods write namespaces: {}
    in.yaml:10: error[bad-object]: ClusterNetworkPolicy p: spec.ingress[0].protocols: is empty
      hint: for all traffic leave it out
    in.yaml:15: error[bad-object]: ClusterNetworkPolicy p: spec.ingress[1].from[0]: a peer has exactly one field
      hint: make several of it
    in.yaml:16: error[bad-object]: ClusterNetworkPolicy p: spec.ingress[1].from[1]: networks may stand in egress rules only
    in.yaml:17: error[bad-object]: ClusterNetworkPolicy p: spec.ingress[1].from[2].pods: podSelector is missing
      hint: for all write podSelector: {}
    in.yaml:18: error[bad-object]: ClusterNetworkPolicy p: spec.ingress[1].from[3].namespaces.matchLabels: "-" is not a label value
      hint: a value is at most 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit
    in.yaml:20: error[bad-object]: ClusterNetworkPolicy p: spec.ingress[1].protocols[0].tcp: destinationPort is missing
      hint: for every port write destinationPort: {range: {start: 1, end: 65535}}
    in.yaml:21: error[bad-object]: ClusterNetworkPolicy p: spec.ingress[1].protocols[1].udp.destinationPort.number: port 65536 is not between 1 and 65535
    in.yaml:22: error[bad-object]: ClusterNetworkPolicy p: spec.ingress[1].protocols[2].sctp.destinationPort.range: start and end are equal
      hint: for one port write number
    in.yaml:23: error[bad-object]: ClusterNetworkPolicy p: spec.ingress[1].protocols[3].tcp.destinationPort.range: start 9 is above end 8
    in.yaml:24: error[bad-object]: ClusterNetworkPolicy p: spec.ingress[1].protocols[4].destinationNamedPort: "80" is not a port name
      hint: write 80 without quotes for the port number
    in.yaml:28: error[bad-object]: ClusterNetworkPolicy p: spec.egress[0].to[0]: domainNames may stand in Accept rules only
    in.yaml:29: error[bad-object]: ClusterNetworkPolicy p: spec.egress[0].to[1].networks: is empty
    in.yaml:30: error[bad-object]: ClusterNetworkPolicy p: spec.egress[0].to[2].networks[1]: CIDR 10.1.2.3/8 has host bits set; did you mean 10.0.0.0/8?
    in.yaml:31: error[bad-object]: ClusterNetworkPolicy p: spec.egress[0].to[3].nodes.matchExpressions[0]: In needs values
    in.yaml:35: error[bad-object]: ClusterNetworkPolicy p: spec.egress[1].to[1].domainNames[0]: "*" is not a domain name such as example.org or *.example.org
    in.yaml:32: error[bad-object]: ClusterNetworkPolicy p: spec.egress[1]: a port name stands beside peers that are no pods, which have no port names
      hint: make two rules of it
    "#);

    let text = older(
        "BaselineAdminNetworkPolicy",
        "other",
        "
  subject: {namespaces: {}}
  egress:
  - action: Allow
    to:
    - pods: {podSelector: {}}
    ports:
    - portNumber: {protocol: tcp, port: 0}
    - portNumber: {protocol: tcp, port: 1}
    - portRange: {start: 10, end: 9}
    - namedPort: HTTP",
    );
    assert!(read(&text).objects.cluster_policies.is_empty());
    insta::assert_snapshot!(said(&text), @r#"
    in.yaml:1: error[bad-object]: BaselineAdminNetworkPolicy other: metadata.name: "other" is not "default"
      hint: a cluster has one BaselineAdminNetworkPolicy at most, of that name
    in.yaml:10: error[bad-object]: BaselineAdminNetworkPolicy other: spec.egress[0].to[0].pods: namespaceSelector is missing
      hint: for all write namespaceSelector: {}
    in.yaml:12: error[bad-object]: BaselineAdminNetworkPolicy other: spec.egress[0].ports[0].portNumber.port: port 0 is not between 1 and 65535
    in.yaml:13: error[bad-object]: BaselineAdminNetworkPolicy other: spec.egress[0].ports[1].portNumber.protocol: protocol "tcp" is not TCP, UDP or SCTP
    in.yaml:14: error[bad-object]: BaselineAdminNetworkPolicy other: spec.egress[0].ports[2].portRange: start 10 is above end 9
    in.yaml:15: error[bad-object]: BaselineAdminNetworkPolicy other: spec.egress[0].ports[3].namedPort: "HTTP" is not a port name
      hint: a port name has at most 15 lower-case letters, digits and '-', with a letter among them
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one case a row")]
fn what_is_missing_misspelt_or_of_another_version_is_an_error() {
    let peers = "from: [{namespaces: {}}]";
    // text => line, and what is said.
    let cases = [
        (cluster("  priority: 1\n  subject: {namespaces: {}}"), 5, "the field \"tier\" is missing"),
        (
            cluster("  tier: Admin\n  subject: {namespaces: {}}"),
            5,
            "the field \"priority\" is missing",
        ),
        (cluster("  tier: Admin\n  priority: 1"), 5, "the field \"subject\" is missing"),
        (
            cluster("  tier: Edge\n  priority: 1\n  subject: {namespaces: {}}"),
            5,
            "\"Edge\" is not one of Admin, Baseline",
        ),
        (
            cluster("  tier: Admin\n  priority: -1\n  subject: {namespaces: {}}"),
            6,
            "spec.priority: -1 is not between 0 and 1000",
        ),
        (
            cluster("  tier: Admin\n  priority: high\n  subject: {namespaces: {}}"),
            6,
            "expected a number",
        ),
        (
            cluster("  tier: Admin\n  priority: 1\n  subject: {}"),
            7,
            "expected exactly one of namespaces, pods, found none",
        ),
        (
            cluster(
                "  tier: Admin\n  priority: 1\n  subject: {namespaces: {}, pods: {podSelector: {}}}",
            ),
            7,
            "found several",
        ),
        (
            cluster("  tier: Admin\n  priority: 1\n  subject: {nodes: {}}"),
            7,
            "\"nodes\" is not one of namespaces, pods",
        ),
        (
            cluster("  tier: Admin\n  priority: 1\n  subject: {namespaces: {}}\n  ingres: []"),
            8,
            "did you mean ingress?",
        ),
        (
            with_rule("ingress", &format!("{{action: Allow, {peers}}}")),
            8,
            "\"Allow\" is not one of Accept, Deny, Pass",
        ),
        (with_rule("ingress", &format!("{{{peers}}}")), 8, "the field \"action\" is missing"),
        (with_rule("ingress", "{action: Deny}"), 8, "spec.ingress[0].from: names no peer"),
        (
            with_rule("egress", "{action: Deny, from: [{namespaces: {}}]}"),
            8,
            "unknown field \"from\"",
        ),
        (
            with_rule("ingress", &format!("{{action: Deny, {peers}, ports: []}}")),
            8,
            "unknown field \"ports\"",
        ),
        (
            with_rule("ingress", "{action: Deny, from: [{namespaces: {team: web}}]}"),
            8,
            "the fields are matchLabels, matchExpressions",
        ),
        (
            with_rule(
                "ingress",
                &format!("{{action: Deny, {peers}, protocols: [{{icmp: {{}}}}]}}"),
            ),
            8,
            "\"icmp\" is not one of tcp, udp, sctp, destinationNamedPort",
        ),
        (
            with_rule("ingress", &format!("{{action: Deny, {peers}, protocols: [tcp]}}")),
            8,
            "spec.ingress[0].protocols[0]",
        ),
        (
            with_rule(
                "ingress",
                &format!("{{action: Deny, {peers}, protocols: [{{tcp: {{port: 80}}}}]}}"),
            ),
            8,
            "unknown field \"port\"",
        ),
        (
            with_older_rule("ingress", &format!("{{action: Accept, {peers}}}")),
            7,
            "\"Accept\" is not one of Allow, Deny, Pass",
        ),
        (
            with_older_rule("ingress", &format!("{{action: Deny, {peers}, ports: []}}")),
            7,
            "ports: is empty",
        ),
        (
            with_older_rule(
                "ingress",
                &format!("{{action: Deny, {peers}, ports: [{{port: 80}}]}}"),
            ),
            7,
            "\"port\" is not one of portNumber, namedPort, portRange",
        ),
        (
            with_older_rule("egress", "{action: Pass, to: [{domainNames: [a.b]}]}"),
            7,
            "domainNames may stand in Allow rules only",
        ),
        (
            with_older_rule("ingress", "{action: Deny, from: [{namespaces: {sameLabels: [a]}}]}"),
            7,
            "unknown field \"sameLabels\"",
        ),
        (
            older(
                "BaselineAdminNetworkPolicy",
                "default",
                "  priority: 1\n  subject: {namespaces: {}}",
            ),
            5,
            "unknown field \"priority\"",
        ),
        (
            older(
                "BaselineAdminNetworkPolicy",
                "default",
                &format!("  subject: {{namespaces: {{}}}}\n  ingress: [{{action: Pass, {peers}}}]"),
            ),
            6,
            "\"Pass\" is not one of Allow, Deny",
        ),
        (cluster("") + "rules: []\n", 1, "spec is missing"),
    ];
    for (text, line, wanted) in cases {
        let input = read(&text);
        assert!(input.objects.cluster_policies.is_empty(), "{text}");
        let said = said(&text);
        let place = format!("in.yaml:{line}: error[bad-object]: ");
        assert!(said.contains(wanted) && said.contains(&place), "{text}{said}");
    }
}

#[test]
fn the_limits_of_the_api_hold() {
    let many = |count: usize, item: &str| vec![item; count].join(", ");
    let rule = "{action: Deny, from: [{namespaces: {}}]}";
    let peers = |count| format!("{{action: Deny, from: [{}]}}", many(count, "{namespaces: {}}"));
    let ports = |count, field: &str, port: &str| {
        format!("{{action: Deny, from: [{{namespaces: {{}}}}], {field}: [{}]}}", many(count, port))
    };
    let networks =
        |count| format!("{{action: Deny, to: [{{networks: [{}]}}]}}", many(count, "10.0.0.0/8"));
    let names = |count| {
        format!("{{action: Deny, from: [{{namespaces: {{}}}}], name: {}}}", "é".repeat(count))
    };
    let (new, old) = ("{destinationNamedPort: a}", "{namedPort: a}");
    // At the limit, beyond it, and what is said then.
    let cases = [
        (
            with_rule("ingress", &many(25, rule)),
            with_rule("ingress", &many(26, rule)),
            "spec.ingress: has 26 entries, and the API takes 25 at most",
        ),
        (
            with_rule("ingress", &peers(25)),
            with_rule("ingress", &peers(26)),
            "spec.ingress[0].from: has 26 entries",
        ),
        (
            with_rule("ingress", &ports(25, "protocols", new)),
            with_rule("ingress", &ports(26, "protocols", new)),
            "spec.ingress[0].protocols: has 26 entries",
        ),
        (
            with_rule("egress", &networks(25)),
            with_rule("egress", &networks(26)),
            "spec.egress[0].to[0].networks: has 26 entries",
        ),
        (
            with_rule("ingress", &names(100)),
            with_rule("ingress", &names(101)),
            "spec.ingress[0].name: has more than 100 characters",
        ),
        (
            with_older_rule("ingress", &many(100, rule)),
            with_older_rule("ingress", &many(101, rule)),
            "spec.ingress: has 101 entries",
        ),
        (
            with_older_rule("ingress", &peers(100)),
            with_older_rule("ingress", &peers(101)),
            "spec.ingress[0].from: has 101 entries",
        ),
        (
            with_older_rule("ingress", &ports(100, "ports", old)),
            with_older_rule("ingress", &ports(101, "ports", old)),
            "spec.ingress[0].ports: has 101 entries",
        ),
        (
            with_older_rule("egress", &networks(25)),
            with_older_rule("egress", &networks(26)),
            "networks: has 26 entries",
        ),
    ];
    for (within, beyond, wanted) in cases {
        only(&within);
        let said = said(&beyond);
        assert!(said.contains(wanted), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
