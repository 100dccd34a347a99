//! What files say, as the API server would understand it.

use ringfence_kube::read::{Input, Reader};
use ringfence_model::object::{ExternalTrafficPolicy, Phase, ServiceType, TargetPort};
use ringfence_model::{NetworkPolicy, Peers, PortTarget, Ports, WorkloadKind};

fn read(text: &str) -> Input {
    let mut reader = Reader::new();
    reader.bytes("in.yaml", text.as_bytes());
    reader.finish()
}

/// Reads what must be faultless.
fn good(text: &str) -> Input {
    let input = read(text);
    assert_eq!(input.diagnostics, [], "{text}");
    input
}

fn lines(input: &Input) -> String {
    input.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The diagnostics, one a line.
fn said(text: &str) -> String {
    lines(&read(text))
}

fn policy(spec: &str) -> String {
    let head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:";
    format!("{head}{spec}\n")
}

fn only_policy(spec: &str) -> NetworkPolicy {
    good(&policy(spec)).objects.policies.remove(0)
}

#[test]
fn policies_are_defaulted_as_the_server_does() {
    // spec => (number of ingress rules, number of egress rules); None: not isolated.
    let cases: [(&str, Option<usize>, Option<usize>); 12] = [
        (" {podSelector: {}}", Some(0), None),
        (" {podSelector: {}, ingress: null}", Some(0), None),
        (" {podSelector: {}, ingress: []}", Some(0), None),
        (" {podSelector: {}, ingress: [{}]}", Some(1), None),
        ("\n  podSelector:\n  ingress:\n  -\n", Some(1), None),
        (" {podSelector: {}, egress: []}", Some(0), None),
        (" {podSelector: {}, egress: [{}]}", Some(0), Some(1)),
        (" {podSelector: {}, policyTypes: []}", Some(0), None),
        (" {podSelector: {}, policyTypes: [Egress]}", None, Some(0)),
        (" {podSelector: {}, policyTypes: [Ingress], ingress: []}", Some(0), None),
        (" {podSelector: {}, policyTypes: [Ingress, Egress]}", Some(0), Some(0)),
        (" {podSelector: {}, policyTypes: [Egress, Ingress], egress: [{}, {}]}", Some(0), Some(2)),
    ];
    for (spec, ingress, egress) in cases {
        let policy = only_policy(spec);
        let found = (policy.ingress.as_ref().map(Vec::len), policy.egress.as_ref().map(Vec::len));
        assert_eq!(found, (ingress, egress), "{spec}");
    }
}

#[test]
fn empty_lists_are_any() {
    for rule in ["{}", "{from: []}", "{from: null, ports: null}", "{ports: []}"] {
        let policy = only_policy(&format!(" {{podSelector: {{}}, ingress: [{rule}]}}"));
        let rule = &policy.ingress.unwrap()[0];
        assert_eq!((&rule.peers, &rule.ports), (&Peers::Any, &Ports::Any));
    }
}

#[test]
fn ports_of_policies() {
    let policy = only_policy(
        " {podSelector: {}, ingress: [{ports: [{}, {port: 80}, {protocol: UDP, port: 1, endPort: 9}, {port: http}]}]}",
    );
    let Ports::Only(ports) = &policy.ingress.unwrap()[0].ports else { panic!() };
    let text: Vec<_> = ports
        .iter()
        .map(|p| match &p.target {
            PortTarget::Any => format!("{}", p.protocol),
            PortTarget::Numbers(range) => format!("{}/{range}", p.protocol),
            PortTarget::Named(name) => format!("{}/{name}", p.protocol),
        })
        .collect();
    assert_eq!(text, ["TCP", "TCP/80", "UDP/1-9", "TCP/http"]);
}

#[test]
fn rules_know_their_lines() {
    let text = "# a comment\n---\nkind: List\napiVersion: v1\nitems:\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  metadata:\n    name: a\n  spec:\n    podSelector: {}\n    ingress:\n    - from:\n      - podSelector: {}\n    -\n      ports:\n      - port: 1\n";
    let policies = good(text).objects.policies;
    let rules = policies[0].ingress.as_ref().unwrap();
    assert_eq!(policies[0].origin.to_string(), "in.yaml:6");
    assert_eq!(rules.iter().map(|r| r.origin.line).collect::<Vec<_>>(), [13, 16]);

    let json = r#"{
  "apiVersion": "v1",
  "items": [
    {
      "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
      "metadata": {"name": "a", "namespace": "b"},
      "spec": {
        "podSelector": {},
        "egress": [
          {}
        ]
      }
    }
  ],
  "kind": "List"
}"#;
    let policies = good(json).objects.policies;
    assert_eq!(policies[0].origin.line, 4);
    assert_eq!(policies[0].egress.as_ref().unwrap()[0].origin.line, 10);
}

#[test]
fn a_bad_policy_is_refused_as_a_whole_with_every_fault() {
    let spec = "
  podSelector: {}
  ingress:
  - from:
    - ipBlock: {cidr: 10.1.2.3/8}
    - ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}
    - ipBlock: {cidr: 10.0.0.0/8}
      podSelector: {}
    - {}
    ports:
    - port: \"80\"
    - {port: 90, endPort: 80}
    - {port: http, endPort: 80}
    - {port: 65536}
    - {protocol: tcp}
  egress:
  - to:
    - podSelector:
        matchExpressions:
        - {key: a, operator: In}
        - {key: a, operator: Exists, values: [x]}";
    let text = policy(spec);
    assert!(read(&text).objects.policies.is_empty());
    insta::assert_snapshot!(said(&text), @r#"
    in.yaml:8: error[bad-object]: NetworkPolicy p: spec.ingress[0].from[0].ipBlock.cidr: CIDR 10.1.2.3/8 has host bits set; did you mean 10.0.0.0/8?
    in.yaml:9: error[bad-object]: NetworkPolicy p: spec.ingress[0].from[1].ipBlock: except 11.0.0.0/16 is not a strict subset of 10.0.0.0/8
    in.yaml:10: error[bad-object]: NetworkPolicy p: spec.ingress[0].from[2]: ipBlock excludes the selectors in one peer
      hint: make two peers of it
    in.yaml:12: error[bad-object]: NetworkPolicy p: spec.ingress[0].from[3]: the peer is empty
      hint: name podSelector, namespaceSelector or ipBlock; to allow everyone, leave the whole list out
    in.yaml:14: error[bad-object]: NetworkPolicy p: spec.ingress[0].ports[0].port: "80" is not a port name
      hint: write 80 without quotes for the port number
    in.yaml:15: error[bad-object]: NetworkPolicy p: spec.ingress[0].ports[1]: endPort 80 is below port 90
    in.yaml:16: error[bad-object]: NetworkPolicy p: spec.ingress[0].ports[2]: endPort needs port as a number
    in.yaml:17: error[bad-object]: NetworkPolicy p: spec.ingress[0].ports[3].port: port 65536 is not between 1 and 65535
    in.yaml:18: error[bad-object]: NetworkPolicy p: spec.ingress[0].ports[4].protocol: protocol "tcp" is not TCP, UDP or SCTP
    in.yaml:23: error[bad-object]: NetworkPolicy p: spec.egress[0].to[0].podSelector.matchExpressions[0]: In needs values
    "#);
}

#[test]
fn misspelt_fields_of_policies_are_errors() {
    for (spec, place, cure) in [
        ("\n  podSelector: {}\n  ingres: []", "in.yaml:6", "did you mean ingress?"),
        ("\n  podselector: {}", "in.yaml:5", "did you mean podSelector?"),
        ("\n  ingress:\n  - form: []", "in.yaml:6", "did you mean from?"),
        (
            "\n  ingress:\n  - from:\n    - podSelector:\n        app: web",
            "in.yaml:8",
            "matchLabels",
        ),
        ("\n  podSelector: {}\ningress: []", "in.yaml:6", "rules stand under spec"),
    ] {
        let said = said(&policy(spec));
        assert!(
            said.starts_with(place) && said.contains("unknown field") && said.contains(cure),
            "{said}"
        );
    }
}

#[test]
fn rules_that_policy_types_leave_out_are_named() {
    let input = read(&policy(" {podSelector: {}, policyTypes: [Egress], ingress: [{}]}"));
    assert_eq!(input.objects.policies[0].ingress, None);
    assert_eq!(input.diagnostics[0].code, "rules-without-type");
}

#[test]
fn the_types_are_those_of_the_server() {
    let pod = |label: &str| {
        format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels:\n    x: {label}\n")
    };
    for bad in ["true", "1", "yes", "1e3", "on", "0x1f", "1.5", "[a]", "{a: b}"] {
        let said = said(&pod(bad));
        assert!(said.contains("in.yaml:6") && said.contains("expected a string"), "{bad}: {said}");
        assert_eq!(said.contains("hint: quote it"), !bad.starts_with(['[', '{']), "{bad}: {said}");
    }
    for (good_value, meant) in [
        ("\"1\"", "1"),
        ("'yes'", "yes"),
        ("v1.2", "v1.2"),
        ("", ""),
        ("!!str 1", "1"),
        ("2026-01-01", "2026-01-01"),
    ] {
        let input = good(&pod(good_value));
        assert_eq!(input.objects.pods[0].labels.get("x"), Some(meant));
    }
    let said = said(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - ports:\n    - containerPort: \"80\"\n",
    );
    assert!(said.contains("in.yaml:7") && said.contains("remove the quotes"), "{said}");
}

#[test]
fn broken_documents_do_not_spoil_their_neighbours() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\nkind: [\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: b}\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n\tname: c\n- {apiVersion: v1, kind: Namespace, metadata: {name: d}}\n---\nfoo: bar\n---\njust text\n---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: E}\n---\napiVersion: v1\nKind: Namespace\n---\napiVersion: example.org/v1\nkind: Thing\n";
    let input = read(text);
    let names: Vec<_> = input.objects.namespaces.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "d"]);
    assert_eq!(input.ignored.get("example.org/v1/Thing"), Some(&1));
    insta::assert_snapshot!(said(text), @r#"
    in.yaml:5: error[bad-yaml]: not valid YAML: unclosed bracket '['
    in.yaml:16: error[bad-yaml]: not valid YAML: tabs disallowed within this context (block indentation)
    in.yaml:19: error[not-an-object]: apiVersion is missing
      hint: only Kubernetes objects can be read; leave other files out, and render templates first
    in.yaml:21: error[bad-object]: not an object
      hint: an object has apiVersion, kind and metadata
    in.yaml:27: error[bad-object]: Namespace E: metadata.name: "E" is not a name: 1 to 253 lower-case letters, digits, '-' or '.', beginning and ending with a letter or digit
    in.yaml:29: error[not-an-object]: kind is missing
      hint: line 30 has "Kind"; write kind
    "#);
}

#[test]
fn bad_bytes_are_named() {
    let mut reader = Reader::new();
    let mut text =
        b"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n# \xff\n---\n".to_vec();
    text.extend(b"apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n");
    reader.bytes("in.yaml", &text);
    reader.bytes("long.yaml", &vec![b'a'; 5 << 20]);
    reader.bytes("cut.json", b"{\"kind\": \"List\", \"items\": [{\"apiVersion\": \"v1\",\n\"kind\": \"Namespace\", \"metadata\": {\"name\": \"c\"}}, {\"a");
    reader.bytes("cut.gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1]);
    reader.bytes("empty.yaml", b"");
    reader.bytes("comment.yaml", b"# nothing\n---\n...\n");
    let input = reader.finish();
    assert_eq!(input.objects.namespaces.len(), 3);
    insta::assert_snapshot!(lines(&input), @r#"
    in.yaml:5: error[bad-yaml]: the text is not UTF-8
    long.yaml:1: error[unreadable]: has a line longer than 4 MiB
      hint: is it a manifest at all?
    cut.json:2: error[bad-json]: not valid JSON: it ends inside a string
    cut.gz: error[unreadable]: cannot be read: incomplete deflate stream
    "#);
}

#[test]
fn duplicates() {
    let namespace = |label: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: a, labels: {{x: {label}}}}}\n")
    };
    assert_eq!(good(&(namespace("b") + "---\n" + &namespace("b"))).objects.namespaces.len(), 1);
    let text = namespace("b") + "---\n" + &namespace("c");
    let input = read(&text);
    assert_eq!(input.objects.namespaces[0].labels.get("x"), Some("c"));
    insta::assert_snapshot!(said(&text), @r#"
    in.yaml:5: warning[duplicate-object]: Namespace a: also stands at in.yaml:1 with other contents; this one is used
      hint: give the files of one moment and one cluster only
    "#);
}

#[test]
fn namespaces_carry_their_name() {
    let fresh = good("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n");
    let label = "kubernetes.io/metadata.name";
    assert_eq!(fresh.objects.namespaces[0].labels.get(label), Some("a"));
    let stored = good("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, uid: u}\n");
    assert_eq!(stored.objects.namespaces[0].labels.get(label), None);
}

#[test]
fn services_are_defaulted() {
    let text = "apiVersion: v1
kind: Service
metadata: {name: a}
spec:
  selector: {app: web}
  clusterIP: None
  ports:
  - port: 80
  - {name: nn, port: 443, targetPort: https, protocol: UDP, nodePort: 30000}
  - {port: 1, targetPort: 0}
---
apiVersion: v1
kind: Service
metadata: {name: b}
spec: {type: LoadBalancer, clusterIPs: [10.0.0.1, 'fd00::1'], externalTrafficPolicy: Local, externalIPs: [192.0.2.1]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.2}, {hostname: example.org}]}}
";
    let services = good(text).objects.services;
    let (a, b) = (&services[0], &services[1]);
    assert_eq!(a.reference.to_string(), "default/a");
    assert_eq!((a.kind, a.cluster_ips.len()), (ServiceType::ClusterIp, 0));
    assert_eq!(a.ports[0].target, TargetPort::Number(a.ports[0].port));
    assert_eq!(a.ports[1].target, TargetPort::Named("https".into()));
    assert_eq!(a.ports[2].target, TargetPort::Number(a.ports[2].port));
    assert_eq!(a.ports[1].node_port.map(std::num::NonZero::get), Some(30000));
    assert_eq!(a.external_traffic_policy, ExternalTrafficPolicy::Cluster);
    assert_eq!(b.selector, None);
    assert_eq!((b.cluster_ips.len(), b.external_ips.len()), (2, 2));
    assert_eq!(b.external_traffic_policy, ExternalTrafficPolicy::Local);
}

#[test]
fn pods_say_what_they_do_on_the_network() {
    let text = "apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: ns
  creationTimestamp: 2026-01-01T00:00:00Z
  ownerReferences:
  - {apiVersion: apps.kruise.io/v1alpha1, kind: StatefulSet, name: x}
  - {apiVersion: apps.kruise.io/v1alpha1, kind: StatefulSet, name: own, controller: true}
spec:
  hostNetwork: true
  initContainers:
  - name: mesh
    restartPolicy: Always
    ports: [{containerPort: 15001}]
  containers:
  - name: main
    command: [serve]
    args: [--port, '80']
    ports: [{name: http, containerPort: 80}, {name: dns, containerPort: 53, protocol: UDP}]
    livenessProbe: {httpGet: {port: http}}
    readinessProbe: {tcpSocket: {port: 81}}
    startupProbe: {grpc: {port: 82}}
  - name: other
    readinessProbe: {httpGet: {port: http}}
status:
  phase: Succeeded
  podIP: 10.0.0.1
  containerStatuses:
  - state: {terminated: {finishedAt: '2026-01-01T00:00:02Z'}}
  - state: {terminated: {finishedAt: '2026-01-01T00:00:01.5Z'}}
";
    let input = read(text);
    let pod = &input.objects.pods[0];
    let owner = pod.owner.as_ref().unwrap();
    assert_eq!(owner.kind, WorkloadKind::Custom("StatefulSet".into()));
    assert_eq!(owner.name.as_str(), "own");
    assert!(pod.spec.host_network);
    let numbers =
        |ports: &[std::num::NonZeroU16]| ports.iter().map(|p| p.get()).collect::<Vec<_>>();
    assert_eq!(numbers(&pod.spec.probe_ports), [80, 81, 82]);
    let declared: Vec<_> = pod.spec.ports.iter().map(|p| p.port).collect();
    assert_eq!(numbers(&declared), [15001, 80, 53]);
    assert_eq!(pod.spec.commands, [["serve", "--port", "80"].map(Into::into).to_vec()]);
    assert_eq!((pod.phase, pod.ips.len()), (Phase::Succeeded, 1));
    let seconds = pod.ended.unwrap().seconds_since(pod.started.unwrap());
    assert!((seconds - 2.0).abs() < 1e-9);
    insta::assert_snapshot!(said(text), @r#"
    in.yaml:25: warning[unknown-probe-port]: Pod ns/a: readinessProbe of container "other" names a port that the container does not declare
      hint: the probe cannot work; declare the port or use its number
    "#);
}

#[test]
fn static_pods_have_no_owner() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  ownerReferences: [{apiVersion: v1, kind: Node, name: n1, controller: true}]\n";
    assert_eq!(good(text).objects.pods[0].owner, None);
}

#[test]
fn endpoints_name_the_pods_behind_them() {
    let text = "apiVersion: v1
kind: Endpoints
metadata: {name: a, namespace: ns}
subsets:
- addresses: [{ip: 10.0.0.1, targetRef: {kind: Pod, name: p, namespace: ns}}, {ip: 192.0.2.1}]
  notReadyAddresses: [{ip: 10.0.0.2}]
  ports: [{name: web, port: 80}]
- addresses: [{ip: '::ffff:10.0.0.3'}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-x, namespace: ns, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
endpoints:
- {addresses: [10.0.0.1], targetRef: {kind: Pod, name: p}}
ports: [{name: '', port: 80, protocol: SCTP}]
";
    let all = good(text).objects.endpoints;
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|e| e.service.to_string() == "ns/a"));
    assert_eq!(all[0].addresses.len(), 3);
    assert_eq!(all[0].addresses[0].1.as_ref().unwrap().to_string(), "ns/p");
    assert_eq!(all[1].addresses[0].0.to_string(), "10.0.0.3");
    assert_eq!(all[2].addresses[0].1.as_ref().unwrap().to_string(), "ns/p");
    assert_eq!(all[2].ports[0].name, None);
}

#[test]
fn controllers() {
    let text = "apiVersion: batch/v1
kind: CronJob
metadata: {name: c}
spec:
  schedule: '0 3 * * *'
  jobTemplate: {spec: {template: {metadata: {labels: {app: c}}, spec: {containers: [{ports: [{containerPort: 1}]}]}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: s}
spec: {selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: x}}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: s}
spec: {template: {metadata: {labels: {app: x}}}}
";
    let all = read(text).objects.controllers;
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].schedule.as_deref(), all[0].replicas), (Some("0 3 * * *"), None));
    assert_eq!((all[0].template.ports.len(), all[0].template_labels.get("app")), (1, Some("c")));
    assert_eq!(all[1].replicas, Some(1));
    insta::assert_snapshot!(said(text), @r#"
    in.yaml:16: error[bad-object]: DaemonSet s: spec.selector app=d does not select the pod template's labels {app=x}
      hint: make the template carry the labels of the selector
    in.yaml:18: error[bad-object]: StatefulSet s: spec.selector is missing
    "#);
}

#[test]
fn policies_of_other_dialects_are_said_to_be_left_out() {
    let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n";
    insta::assert_snapshot!(said(text), @r#"
    warning[unread-policies]: 1 of kind cilium.io/v2/CiliumNetworkPolicy: policies of this dialect are not read
      hint: what they allow or deny is not part of the answer
    "#);
}

#[test]
fn directories_are_searched() {
    let directory = tempfile::tempdir().unwrap();
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).unwrap();
    std::fs::create_dir_all(directory.path().join("sub/.git")).unwrap();
    let namespace =
        |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
    write("sub/b.yml", namespace("b").as_bytes());
    write("sub/.git/c.yaml", b"[");
    write("notes.txt", b"[");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, namespace("a").as_bytes()).unwrap();
    write("a.yaml.gz", &gzip.finish().unwrap());
    write("z.json", br#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "z"}}"#);
    let mut reader = Reader::new();
    reader.path(directory.path());
    let input = reader.finish();
    assert_eq!(input.diagnostics, []);
    let names: Vec<_> = input.objects.namespaces.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "z"]);
    let mut reader = Reader::new();
    reader.path(&directory.path().join("missing.yaml"));
    assert_eq!(reader.finish().diagnostics[0].code, "unreadable");
}

#[test]
fn layouts_of_streams() {
    let namespace = |name: &str| {
        format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {{\"name\": \"{name}\"}}}}"
        )
    };
    let names = |text: &str| {
        let all = good(text).objects.namespaces;
        all.iter().map(|n| format!("{}:{}", n.name, n.origin.line)).collect::<Vec<_>>().join(" ")
    };
    let (a, b) = (namespace("a"), namespace("b"));
    assert_eq!(names(&format!("{a}{b}")), "a:1 b:1");
    assert_eq!(names(&format!("{a}\n---\n\n{b}\n")), "a:1 b:4");
    assert_eq!(names("{apiVersion: v1, kind: Namespace, metadata: {name: a}}"), "a:1");
    assert_eq!(names(&format!("apiVersion: v1\nkind: List\nitems:\n- {a}\n- {b}\n")), "a:4 b:5");
    assert_eq!(names(&format!("{{apiVersion: v1, kind: List, items: [\n{a},\n{b}]}}")), "a:2 b:3");
    assert_eq!(
        names(
            "apiVersion: v1\r\nkind: List\r\nitems:\r\n- apiVersion: v1\r\n  kind: Namespace\r\n  metadata:\r\n    name: a\r\n"
        ),
        "a:4"
    );
    // Items of typed lists take their kind from the list; `items` of other kinds are their own business.
    assert_eq!(
        names("apiVersion: v1\nkind: NamespaceList\nitems:\n- metadata: {name: a}\n"),
        "a:4"
    );
    assert_eq!(
        names(
            "{\"apiVersion\": \"v1\", \"items\": [{\"metadata\": {\"name\": \"a\"}}], \"kind\": \"NamespaceList\"}"
        ),
        "a:1"
    );
    let thing = good("{\"apiVersion\": \"x.org/v1\", \"kind\": \"Thing\", \"items\": [1, {}]}");
    assert_eq!(thing.ignored.get("x.org/v1/Thing"), Some(&1));
    let thing = good(
        "apiVersion: x.org/v1\nkind: DenyList\nspec: {}\n---\napiVersion: v1\nkind: List\nitems: []\n",
    );
    assert_eq!(thing.ignored.values().sum::<usize>(), 1);
    // Directives belong to the document below them, and anchors to theirs.
    assert_eq!(
        names(
            "%YAML 1.2\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: &n a, labels: {x: *n}}\n"
        ),
        "a:3"
    );
}
