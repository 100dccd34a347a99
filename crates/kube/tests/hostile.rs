//! Input that nobody meant well: no panic, no hang (the test runner ends those), and nothing read that is not there.

#![expect(clippy::format_collect, reason = "the texts are short-lived")]

use proptest::prelude::*;
use ringfence_kube::read::{Input, Reader};
use ringfence_kube::review;
use ringfence_model::Severity;

const YAML: &str = "apiVersion: v1
kind: List
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: a, namespace: b}
  spec:
    podSelector: {matchExpressions: [{key: x, operator: In, values: [z]}]}
    policyTypes: [Ingress, Egress]
    egress:
    - to:
      - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
      ports:
      - {port: 80, endPort: 90}
- apiVersion: v1
  kind: Pod
  metadata:
    name: p
    labels: &l {a: \"1\"}
  spec:
    containers:
    - args: [\"a\\tb\", 'c']
      command:
      - |
        x
      ports:
      - containerPort: 80
        name: http
      livenessProbe: {httpGet: {port: http}}
  status: {phase: Running, podIPs: [{ip: 10.0.0.1}], startTime: '2026-01-01T00:00:00Z'}
---
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {ports: [{port: 80, targetPort: http}], clusterIP: None}
";

const JSON: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "labels": {"x": "\u00e9\ud83d\ude00\n"}}},
  {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
   "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 1e0}, {"port": -1, "endPort": null}, {"port": true}]}]}}
]}"#;

fn read(bytes: &[u8]) -> Input {
    let mut reader = Reader::new();
    reader.bytes("in", bytes);
    let input = reader.finish();
    // Whatever a review's reader finds is fine, as long as it ends.
    let _ = review::bytes("in", bytes);
    for finding in &input.diagnostics {
        assert!(finding.to_string().len() < 4000, "{finding}");
    }
    input
}

fn damage(text: &str, edits: &[(usize, u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (at, action, new) in edits {
        let at = at % (bytes.len() + 1);
        let end = (at + new.len()).min(bytes.len());
        match action {
            0 => drop(bytes.splice(at..at, new.iter().copied())),
            1 => drop(bytes.splice(at..end, [])),
            2 => drop(bytes.splice(at..end, new.iter().copied())),
            3 => {
                let copy = bytes[at..].to_vec();
                bytes.extend(copy);
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(usize, u8, Vec<u8>)>> {
    let tokens = prop::sample::select(vec![
        "\n",
        "  ",
        "- ",
        ": ",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "|\n",
        ">\n",
        "&a ",
        "*a",
        "!!str ",
        "# ",
        "---\n",
        "...\n",
        "\t",
        ",",
        "null",
        "~",
        "\\",
        "\\u12",
        "\u{feff}",
        "99999999999999999999",
        "<<: *l",
        "items:\n",
        "kind: List\n",
        "%YAML 1.2\n",
        "\r\n",
    ]);
    let new = prop_oneof![
        tokens.prop_map(|token| token.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4)
    ];
    prop::collection::vec((any::<usize>(), 0u8..5, new), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes);
    }

    #[test]
    fn damaged_yaml(edits in edits()) {
        read(&damage(YAML, &edits));
    }

    #[test]
    fn damaged_json(edits in edits()) {
        read(&damage(JSON, &edits));
    }

    /// JSON is judged as another JSON reader judges it.
    #[test]
    fn json_is_accepted_when_it_is_json(edits in edits()) {
        let bytes = damage(JSON, &edits);
        let theirs = serde_json::from_slice::<serde_json::Value>(&bytes);
        let ours = read(&bytes);
        if ours.diagnostics.iter().any(|d| d.code == "bad-json") {
            let repeated = ours.diagnostics.iter().any(|d| d.message.contains("stands twice"));
            prop_assert!(theirs.is_err() || repeated, "{:?}", ours.diagnostics);
        }
    }
}

#[test]
fn the_undamaged_inputs_are_read() {
    let input = read(YAML.as_bytes());
    assert_eq!(input.diagnostics, []);
    assert_eq!((input.objects.policies.len(), input.objects.pods.len()), (1, 1));
    let input = read(JSON.as_bytes());
    assert_eq!((input.objects.policies.len(), input.objects.namespaces.len()), (0, 1));
    assert_eq!(input.diagnostics.len(), 1);
}

#[test]
fn messages_are_short_and_fit_for_a_terminal() {
    let long = "x".repeat(100_000);
    let escape = "\\e[31m";
    for text in [
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: \"{escape}\"}}\n"),
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: a, labels: {{\"{escape}\": [{long}]}}}}\n"
        ),
        format!("apiVersion: v1\nkind: \"{escape}{long}\"\nmetadata: {{name: a}}\n"),
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: a}}\nspec: {{\"{escape}\": {long}}}\n"
        ),
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: a}}\nspec: {{podSelector: {{matchLabels: {{a: {long}-}}}}}}\n"
        ),
    ] {
        let input = read(text.as_bytes());
        let said =
            input.diagnostics.iter().map(ToString::to_string).chain(input.ignored.into_keys());
        for line in said.collect::<Vec<_>>() {
            assert!(line.len() < 2500 && !line.contains('\u{1b}'), "{line}");
        }
    }
}

#[test]
fn bombs_are_refused_soon() {
    let deep_json = format!("{{\"a\":{}", "[".repeat(1_000_000));
    let deep_list = format!("{{\"kind\":\"List\",\"items\":[{}", "[".repeat(1_000_000));
    let anchored = {
        let open: String = (0..90).map(|n| format!("&a{n} [")).collect();
        format!("x: {open}{}", "x, ".repeat(100_000))
    };
    let keys: String = (0..100_000).map(|n| format!("k{n}: x\n")).collect();
    let merges = format!("base: &b {{{}}}\nuse:\n  <<: [{}]\n", "a: 1", "*b, ".repeat(100_000));
    let documents = "---\n".repeat(200_000);
    let dashes = "- ".repeat(500_000);
    let questions = "? ".repeat(500_000);
    let quotes = "\"".repeat(500_000);
    let colons = "a: ".repeat(500_000);
    let spaces: String = (0..3_000).map(|n| format!("{:n$}a:\n", "")).collect();
    let anchors: String = (0..100_000).map(|n| format!("- &a{n} x\n")).collect();
    let comments = "#\n".repeat(300_000);
    let braces = "{".repeat(1_000_000);
    for (name, text) in [
        ("deep_json", deep_json),
        ("deep_list", deep_list),
        ("anchored", anchored),
        ("keys", keys),
        ("merges", merges),
        ("documents", documents),
        ("dashes", dashes),
        ("questions", questions),
        ("quotes", quotes),
        ("colons", colons),
        ("spaces", spaces),
        ("anchors", anchors),
        ("comments", comments),
        ("braces", braces),
    ] {
        let input = read(text.as_bytes());
        let harmless = matches!(name, "documents" | "comments");
        let refused = input.diagnostics.iter().any(|d| d.severity == Severity::Error);
        assert_eq!(refused, !harmless, "{name}: {:?}", input.diagnostics);
    }
}
