//! The proof fails where it must, with a counter-example, and names what else a set opens.

use serde_json::Value;

use crate::harness::Town;

pub(crate) fn failures(certificate: &Value) -> Vec<String> {
    assert_eq!(certificate["outcome"], "FAILED");
    let failures = certificate["failures"].as_array().unwrap();
    failures
        .iter()
        .map(|f| {
            let at_fault: Vec<_> =
                f["atFault"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
            format!(
                "{}: {} [{}]",
                f["check"].as_str().unwrap(),
                f["subject"].as_str().unwrap(),
                at_fault.join(", ")
            )
        })
        .collect()
}

fn slack(certificate: &Value, cause: &str) -> Vec<String> {
    let slack = certificate["slack"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    slack
        .filter(|s| s["cause"] == cause)
        .map(|s| {
            format!("{} -> {} {}", text(&s["source"]), text(&s["destination"]), text(&s["ports"]))
        })
        .collect()
}

#[test]
fn a_policy_of_the_peer_that_cuts_a_kept_edge_is_the_counter_example() {
    let town = Town::new().with(
        "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: back}
spec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}
",
    );
    let certificate = town.certificate(1);
    assert_eq!(
        failures(&certificate),
        [
            "kept-passes: front/Deployment/batch -> back/Deployment/api TCP/8080 [NetworkPolicy back/closed (cluster.yaml:338)]",
            "kept-passes: front/Deployment/web -> back/Deployment/api TCP/8080 [NetworkPolicy back/closed (cluster.yaml:338)]",
        ]
    );
    assert_eq!(
        certificate["failures"][1]["connection"],
        "pod front/web-5d9c7b-aaaaa -> pod back/api-5d9c7b-aaaaa TCP/8080"
    );
}

#[test]
fn a_policy_in_the_cluster_that_lets_a_cut_edge_pass_is_the_counter_example() {
    let town = Town::new()
        .with(
            "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open, namespace: front}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress: [{}]
  egress: [{}]
",
        )
        .reviewed("  edges: [{choice: Exclude, destination: {workload: {namespace: front, kind: Deployment, name: retired}}}]\n");
    let failures = failures(&town.certificate(1));
    let about_retired: Vec<_> = failures.iter().filter(|f| f.contains("retired")).collect();
    assert_eq!(
        about_retired,
        ["cut-fails: front/Deployment/web -> front/Deployment/retired TCP/9000 \
             [NetworkPolicy front/open egress[0] (cluster.yaml:345), NetworkPolicy front/open ingress[0] (cluster.yaml:344)]"]
    );
}

#[test]
fn a_policy_of_the_same_name_is_replaced() {
    let town = Town::new().with(
        "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ringfence-deployment-web, namespace: front}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{}]}
",
    );
    let certificate = town.certificate(0);
    assert_eq!(certificate["replaced"], serde_json::json!(["front/ringfence-deployment-web"]));
}

#[test]
fn an_exclusion_that_a_general_rule_opens_again_fails_and_is_explained() {
    let town = Town::new().reviewed(
        "  rules: {ingress: AllowAll, egress: AllowAll}\n  \
         edges: [{choice: Exclude, destination: {workload: {namespace: front, kind: Deployment, name: retired}}}]\n",
    );
    let certificate = town.certificate(1);
    assert!(
        failures(&certificate)[0]
            .starts_with("cut-fails: front/Deployment/web -> front/Deployment/retired")
    );
    let messages = certificate["messages"].as_array().unwrap();
    assert!(messages.iter().any(|m| m["code"] == "exclusion-contradicts-rule"), "{messages:?}");
}

#[test]
fn a_workload_that_shares_labels_is_named_as_collateral() {
    let twin = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: twin, namespace: back}
spec:
  replicas: 1
  selector: {matchLabels: {app: api, twin: yes-it-is}}
  template:
    metadata: {labels: {app: api, twin: yes-it-is}}
    spec: {containers: [{name: main}]}
";
    let certificate = Town::new().with(twin).certificate(0);
    assert_eq!(
        slack(&certificate, "collateral-workload"),
        [
            "front/Deployment/batch -> back/Deployment/twin TCP 8080",
            "front/Deployment/web -> back/Deployment/twin TCP 8080",
        ]
    );
}

#[test]
fn a_policy_that_would_isolate_a_workload_out_of_scope_fails() {
    // The policy for web selects app=web, and so the pods of its neighbour, which has needs of its own.
    let neighbour = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: neighbour, namespace: front}
spec:
  replicas: 1
  selector: {matchLabels: {app: web, side: left}}
  template:
    metadata: {labels: {app: web, side: left}}
    spec: {containers: [{name: main}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: neighbour-1
  namespace: front
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: neighbour, uid: u, controller: true}]
spec:
  replicas: 1
  selector: {matchLabels: {app: web, side: left}}
  template: {metadata: {labels: {app: web, side: left}}, spec: {containers: [{name: main}]}}
---
apiVersion: v1
kind: Pod
metadata:
  name: neighbour-1-aaaaa
  namespace: front
  labels: {app: web, side: left}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: neighbour-1, uid: u, controller: true}]
spec: {nodeName: n1, containers: [{name: main}]}
status: {phase: Running, podIP: 10.1.0.77, podIPs: [{ip: 10.1.0.77}], startTime: \"2026-03-01T00:00:00Z\"}
";
    let town = Town::new().with(neighbour).talking(&[("10.1.0.77", "10.1.1.22", "TCP", 5432, 9)]);
    let run = town
        .run("generate", &["-n", "front", "--workload", "Deployment/web", "-o", "out"])
        .expect(1);
    assert!(
        run.stderr.contains("front/Deployment/neighbour -> back/StatefulSet/db TCP/5432: an observed connection that is kept would be cut"),
        "{}",
        run.stderr
    );
    // With the neighbour in scope its needs are met by its own policy.
    assert_eq!(town.certificate(0)["outcome"], "PROVEN");
}

#[test]
fn unobserved_ports_of_name_resolution_are_slack() {
    let slack = slack(&Town::new().certificate(0), "unobserved-ports");
    assert!(
        slack.contains(&"front/Deployment/web -> kube-system/Deployment/coredns TCP 53".to_owned()),
        "{slack:?}"
    );
}

#[test]
fn candidates_are_judged_in_place_of_the_cluster_s_own_policies() {
    let town = Town::new().with(
        "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: back}
spec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}
",
    );
    let checked = town.run("check", &["-n", "front", "-o", "json"]).expect(1).json();
    assert_eq!(checked["neededAndCut"], 2);
    town.run("check", &["-n", "back", "--workload", "StatefulSet/db"]).expect(0);
}

#[test]
fn a_workload_out_of_scope_keeps_what_some_of_its_pods_had() {
    // Before, one of the neighbour's two pods may reach the database; the policy for web takes that away.
    let pod = |name: &str, ip: &str, side: &str| {
        format!(
            "\
---
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: front
  labels: {{app: web, side: {side}}}
  ownerReferences: [{{apiVersion: example.dev/v1, kind: Band, name: band, uid: u, controller: true}}]
spec: {{nodeName: n1, containers: [{{name: main}}]}}
status: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}], startTime: \"2026-03-01T00:00:00Z\"}}
"
        )
    };
    let guard = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: guard, namespace: back}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - namespaceSelector: {}
      podSelector: {matchLabels: {side: left}}
    - podSelector: {}
";
    let objects = format!(
        "{guard}{}{}",
        pod("band-1", "10.1.0.77", "left"),
        pod("band-2", "10.1.0.78", "right")
    );
    let town = Town::new().with(&objects).talking(&[("10.1.0.77", "10.1.1.22", "TCP", 5432, 9)]);
    let run = town
        .run("generate", &["-n", "front", "--workload", "Deployment/web", "-o", "out"])
        .expect(1);
    let certificate = town.written_certificate();
    let lost = "front/Band/band -> back/StatefulSet/db TCP/5432";
    let changes = certificate["changes"].as_array().unwrap();
    let change = changes.iter().find(|change| change["edge"] == lost).unwrap();
    assert_eq!((&change["before"], &change["after"]), (&"partly".into(), &"denied".into()));
    assert!(
        run.stderr.contains("front/Band/band -> back/StatefulSet/db TCP/5432"),
        "{}",
        run.stderr
    );
}
