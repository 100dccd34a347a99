//! How fast dumps are read. `cargo bench -p ringfence-kube`.

use std::fmt::Write as _;

use divan::Bencher;
use divan::counter::BytesCount;
use ringfence_kube::read::Reader;

fn main() {
    divan::main();
}

const PODS: [usize; 2] = [1_000, 10_000];

/// A list of pods as `kubectl get -o yaml` prints them, 10 for each owner and 50 for each namespace, with some
/// of the parts that nothing reads.
fn yaml(pods: usize) -> String {
    let mut out = String::from("apiVersion: v1\nitems:\n");
    for n in 0..pods {
        let (namespace, set, node) = (n / 50, n / 10, n % 100);
        let (a, b, c) = (n >> 16, n >> 8 & 0xff, n & 0xff);
        let _ = write!(
            out,
            "- apiVersion: v1
  kind: Pod
  metadata:
    creationTimestamp: '2026-01-31T01:00:00Z'
    labels:
      app: web-{set}
      pod-template-hash: 677c4d5c{set}
    name: web-{set}-{n}
    namespace: ns-{namespace}
    ownerReferences:
    - apiVersion: apps/v1
      blockOwnerDeletion: true
      controller: true
      kind: ReplicaSet
      name: web-{set}
  spec:
    containers:
    - image: registry.example.org/web:v1
      name: web
      ports:
      - containerPort: 8080
        name: http
        protocol: TCP
      readinessProbe:
        httpGet:
          path: /ready
          port: http
      resources: {{}}
      volumeMounts:
      - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
        name: kube-api-access
        readOnly: true
    nodeName: node-{node}
    tolerations:
    - effect: NoExecute
      key: node.kubernetes.io/not-ready
      operator: Exists
      tolerationSeconds: 300
    volumes:
    - name: kube-api-access
      projected:
        defaultMode: 420
  status:
    conditions:
    - lastProbeTime: null
      lastTransitionTime: '2026-01-31T01:00:01Z'
      status: \"True\"
      type: Ready
    phase: Running
    podIP: 10.{a}.{b}.{c}
    podIPs:
    - ip: 10.{a}.{b}.{c}
    startTime: '2026-01-31T01:00:00Z'
"
        );
    }
    out + "kind: List\nmetadata:\n  resourceVersion: \"\"\n"
}

fn read(bencher: Bencher<'_, '_>, text: &str) {
    bencher.counter(BytesCount::of_str(text)).bench_local(|| {
        let mut reader = Reader::new();
        reader.bytes("pods", text.as_bytes());
        reader.finish()
    });
}

/// The layout of kubectl.
#[divan::bench(args = PODS)]
fn block_yaml(bencher: Bencher<'_, '_>, pods: usize) {
    read(bencher, &yaml(pods));
}

/// A tag in every object sends it to the full parser.
#[divan::bench(args = PODS)]
fn other_yaml(bencher: Bencher<'_, '_>, pods: usize) {
    read(bencher, &yaml(pods).replace("phase: Running", "phase: !!str Running"));
}

#[divan::bench(args = PODS)]
fn json(bencher: Bencher<'_, '_>, pods: usize) {
    let value: serde_json::Value =
        serde_saphyr::from_str_with_options(&yaml(pods), serde_saphyr::options! { budget: None })
            .unwrap_or_default();
    read(bencher, &serde_json::to_string_pretty(&value).unwrap_or_default());
}
