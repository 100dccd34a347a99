//! Cluster-wide policies, before and behind NetworkPolicies.

use serde_json::{Value, json};

use crate::harness::Town;
use crate::proof::failures;

const WEB_TO_API: [&str; 3] = ["front/Deployment/web", "back/Deployment/api", "8080"];

/// A `ClusterNetworkPolicy` with one ingress rule for the pods of `back`.
fn into_back(name: &str, tier: &str, priority: u16, action: &str, from: &str) -> String {
    format!(
        "\
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {{name: {name}}}
spec:
  tier: {tier}
  priority: {priority}
  subject: {{namespaces: {{matchLabels: {{kubernetes.io/metadata.name: back}}}}}}
  ingress:
  - {{action: {action}, from: [{{namespaces: {from}}}]}}
---
"
    )
}

/// A NetworkPolicy for the pods of `back`.
fn network_policy(ingress: &str) -> String {
    format!(
        "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: own, namespace: back}}
spec: {{podSelector: {{}}, policyTypes: [Ingress], ingress: {ingress}}}
---
"
    )
}

const ALL: &str = "{}";
const FRONT: &str = "{matchLabels: {kubernetes.io/metadata.name: front}}";

#[test]
fn tiers_decide_in_their_order() {
    let (open, closed) = (network_policy("[{}]"), network_policy("[]"));
    let admin = |priority, action, from| {
        into_back(&format!("a{priority}"), "Admin", priority, action, from)
    };
    let baseline = |priority, action, from| {
        into_back(&format!("b{priority}"), "Baseline", priority, action, from)
    };
    // policies => whether the connection passes, and what decides.
    let cases = [
        (
            vec![open.clone(), admin(5, "Deny", FRONT)],
            false,
            "ClusterNetworkPolicy a5 (Admin, priority 5) ingress[0] Deny (cluster.yaml:351)",
        ),
        (
            vec![closed.clone(), admin(5, "Accept", FRONT)],
            true,
            "ClusterNetworkPolicy a5 (Admin, priority 5) ingress[0] Accept",
        ),
        (
            vec![closed.clone(), admin(9, "Deny", ALL), admin(3, "Accept", FRONT)],
            true,
            "ClusterNetworkPolicy a3",
        ),
        // Pass skips the rest of its tier, and the NetworkPolicy has the word.
        (
            vec![open.clone(), admin(3, "Pass", FRONT), admin(9, "Deny", ALL)],
            true,
            "NetworkPolicy back/own ingress[0]",
        ),
        (
            vec![closed.clone(), admin(3, "Pass", FRONT), admin(9, "Accept", ALL)],
            false,
            "NetworkPolicy back/own",
        ),
        // Without one it goes on to Baseline, and through that to the default.
        (
            vec![admin(3, "Pass", FRONT), admin(9, "Deny", ALL), baseline(1, "Deny", ALL)],
            false,
            "ClusterNetworkPolicy b1 (Baseline, priority 1)",
        ),
        (vec![admin(3, "Pass", FRONT), admin(9, "Deny", ALL)], true, "no policy isolates it"),
        (vec![baseline(1, "Pass", FRONT), baseline(2, "Deny", ALL)], true, "no policy isolates it"),
        // Baseline speaks for pods without a NetworkPolicy alone.
        (
            vec![baseline(1, "Deny", ALL)],
            false,
            "ClusterNetworkPolicy b1 (Baseline, priority 1) ingress[0] Deny",
        ),
        (vec![open, baseline(1, "Deny", ALL)], true, "NetworkPolicy back/own ingress[0]"),
        (vec![closed, baseline(1, "Accept", ALL)], false, "NetworkPolicy back/own"),
    ];
    for (policies, passes, because) in cases {
        let policies = policies.concat();
        let run = Town::new().with(&policies).explain(&WEB_TO_API).expect(i32::from(!passes));
        assert!(run.stdout.contains(because), "{policies}{}", run.all());
        assert!(!run.stderr.contains("unread"), "{}", run.all());
    }
}

#[test]
fn the_older_kinds_are_judged_and_named() {
    let town = Town::new().with(&network_policy("[]")).with(
        "\
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: monitoring}
spec:
  priority: 10
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}}
  ingress:
  - name: front-may
    action: Allow
    from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: front}}}]
    ports: [{portNumber: {protocol: TCP, port: 8080}}]
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: front}}}
  egress:
  - {action: Deny, to: [{networks: [0.0.0.0/0]}]}
",
    );
    insta::assert_snapshot!(town.explain(&WEB_TO_API).expect(1).all(), @"
    exit code 1
    --- stdout
    DENIED: pod front/web-5d9c7b-aaaaa -> pod back/api-5d9c7b-aaaaa TCP/8080
      egress   denied by a cluster-wide policy
               BaselineAdminNetworkPolicy default (Baseline, priority 0) egress[0] Deny (cluster.yaml:362)
      ingress  accepted by a cluster-wide policy
               AdminNetworkPolicy monitoring (Admin, priority 10) ingress[0] Accept (cluster.yaml:351)
    --- stderr
    ");
    insta::assert_snapshot!(town.explain(&["other/Deployment/legacy", "back/Deployment/api", "8080"]).expect(1).all(), @"
    exit code 1
    --- stdout
    DENIED: pod other/legacy-5d9c7b-aaaaa -> pod back/api-5d9c7b-aaaaa TCP/8080
      egress   no policy isolates it
      ingress  denied: isolated by these policies, and none of their rules matches
               NetworkPolicy back/own (cluster.yaml:338)
      to allow add to NetworkPolicy back/own (cluster.yaml:338) the ingress rule: from any pod with app=legacy of namespace other over TCP/8080
               also opens other/Deployment/legacy -> back/StatefulSet/db TCP 8080
    --- stderr
    ");
}

#[test]
fn candidates_replace_policies_of_their_kind_and_name() {
    let town = || Town::new().with(&into_back("gate", "Admin", 5, "Deny", ALL));
    let args = [&["--policies", "new.yaml"], &WEB_TO_API[..]].concat();
    let opened = into_back("gate", "Admin", 5, "Accept", ALL);
    town().writing("new.yaml", &opened).explain(&args).expect(0);
    // Another name, and the same name of another kind, join.
    let later = into_back("later", "Admin", 6, "Accept", ALL);
    town().writing("new.yaml", &later).explain(&args).expect(1);
    let older = "\
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: gate}
spec: {priority: 6, subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {}}]}]}
";
    town().writing("new.yaml", older).explain(&args).expect(1);

    let check = ["-n", "front", "-o", "json"];
    let checked = town().run("check", &check).expect(1).json();
    assert_eq!(checked["neededAndCut"], 2);
    let cut: Vec<&Value> = checked["edges"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|edge| edge["verdict"] == "denied")
        .map(|edge| &edge["because"][0])
        .collect();
    let rule = "ClusterNetworkPolicy gate (Admin, priority 5) ingress[0] Deny (cluster.yaml:346)";
    assert_eq!(cut, [rule, rule]);
    let args = [&check[..], &["--policies", "new.yaml"]].concat();
    town().writing("new.yaml", &opened).run("check", &args).expect(0);
}

#[test]
fn an_admin_rule_that_cuts_a_kept_edge_is_the_counter_example() {
    let town = Town::new().with(&into_back("gate", "Admin", 5, "Deny", FRONT));
    let rule = "ClusterNetworkPolicy gate (Admin, priority 5) ingress[0] Deny (cluster.yaml:346)";
    assert_eq!(
        failures(&town.certificate(1)),
        [
            format!("kept-passes: front/Deployment/batch -> back/Deployment/api TCP/8080 [{rule}]"),
            format!("kept-passes: front/Deployment/web -> back/Deployment/api TCP/8080 [{rule}]"),
        ]
    );
}

#[test]
fn a_baseline_rule_is_superseded_by_the_policies_that_are_written() {
    let closed = "\
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: closed}
spec:
  tier: Baseline
  priority: 1
  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: front}}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
  egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]
";
    let town = Town::new().with(closed);
    town.explain(&WEB_TO_API).expect(1);
    let certificate = town.certificate(0);
    assert_eq!(certificate["outcome"], "PROVEN");
    // Nor does the next pod pass, wherever its address will be.
    let opened = json!({
        "edge": "front/Deployment/web -> back/Deployment/api TCP/8080",
        "before": "denied",
        "after": "allowed",
    });
    let changes = certificate["changes"].as_array().unwrap();
    assert!(changes.contains(&opened), "{changes:?}");
}

/// An Admin policy that denies egress from `front` to these networks.
fn out_of_front(networks: &str) -> String {
    format!(
        "\
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {{name: closed}}
spec:
  tier: Admin
  priority: 1
  subject: {{namespaces: {{matchLabels: {{kubernetes.io/metadata.name: front}}}}}}
  egress: [{{action: Deny, to: [{{networks: [{networks}]}}]}}]
"
    )
}

#[test]
fn networks_where_no_pod_can_be_deny_nothing_to_the_next_pod() {
    // The cloud metadata service, and addresses outside the pod CIDRs.
    let town = Town::new().with(&out_of_front("169.254.169.254/32, 172.16.0.0/12"));
    assert_eq!(town.certificate(0)["outcome"], "PROVEN");
}

#[test]
fn the_next_pod_may_be_in_networks_that_are_denied() {
    let town = Town::new().with(&out_of_front("10.1.1.128/25"));
    let run = town.explain(&WEB_TO_API).expect(1);
    let next = "DENIED: pod front/web-5d9c7b-aaaaa -> the next pod of back/Deployment/api TCP/8080";
    let assumed = "  assumed  a pod's address is not known: rules on networks that may hold it deny, none accepts";
    for line in [next, assumed] {
        assert!(run.stdout.lines().any(|found| found == line), "{}", run.all());
    }
}

#[test]
fn what_an_admin_rule_accepts_needs_its_own_rule_all_the_same() {
    let accepted = "\
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: dns}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  egress:
  - action: Accept
    to: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
    protocols: [{udp: {destinationPort: {number: 53}}}, {tcp: {destinationPort: {number: 53}}}]
";
    let (town, without) = (Town::new().with(accepted), Town::new());
    assert_eq!(town.certificate(0)["outcome"], "PROVEN");
    without.certificate(0);
    assert_eq!(town.policy("ringfence-deployment-web"), without.policy("ringfence-deployment-web"));

    // An exclusion holds while one end denies; where such rules accept at both it cannot.
    let wide = accepted.replace("kube-system", "front").replace("number: 53", "number: 9000");
    let town = Town::new().with(&wide).reviewed(
        "  edges: [{choice: Exclude, destination: {workload: {namespace: front, kind: Deployment, name: retired}}}]\n",
    );
    town.explain(&["front/Deployment/web", "front/Deployment/retired", "9000"]).expect(0);
    town.certificate(0);
    let both = wide + "  ingress: [{action: Accept, from: [{namespaces: {}}]}]\n";
    let town = Town::new().with(&both).reviewed(
        "  edges: [{choice: Exclude, destination: {workload: {namespace: front, kind: Deployment, name: retired}}}]\n",
    );
    let failures = failures(&town.certificate(1));
    assert_eq!(
        failures,
        ["cut-fails: front/Deployment/web -> front/Deployment/retired TCP/9000 \
          [ClusterNetworkPolicy dns (Admin, priority 1) egress[0] Accept (cluster.yaml:346), \
          ClusterNetworkPolicy dns (Admin, priority 1) ingress[0] Accept (cluster.yaml:349)]"]
    );
}

#[test]
fn a_bad_one_ends_the_command_and_an_unknown_peer_is_said() {
    let bad = into_back("gate", "Admin", 1001, "Allow", ALL);
    let run = Town::new().with(&bad).explain(&WEB_TO_API).expect(2);
    assert!(
        run.stderr
            .contains("ClusterNetworkPolicy gate: spec.ingress[0].action: \"Allow\" is not one of"),
        "{}",
        run.all()
    );

    let unknown =
        into_back("gate", "Admin", 1, "Pass", ALL).replace("namespaces: {}}]", "services: {}}]");
    let run = Town::new().with(&unknown).explain(&WEB_TO_API).expect(1);
    assert!(
        run.stderr.contains("warning[unknown-peer]: ClusterNetworkPolicy gate"),
        "{}",
        run.all()
    );
    assert!(run.stdout.contains("ClusterNetworkPolicy gate"), "{}", run.all());
}
