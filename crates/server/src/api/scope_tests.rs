use std::fmt::Write as _;

use ringfence_inventory::Inventory;
use ringfence_kube::read::Reader;
use ringfence_model::review::ClusterCidrs;

use super::{Asked, ScopeQuery};

/// Two Deployments behind Service `api`, one behind `blue`, nobody behind `none`.
fn inventory() -> Inventory {
    let mut text = String::from("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    for name in ["blue", "green"] {
        let _ = write!(
            text,
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec:\n  selector: {{matchLabels: {{track: {name}}}}}\n  template:\n    \
             metadata: {{labels: {{app: api, track: {name}}}}}\n    \
             spec: {{containers: [{{name: main, ports: [{{containerPort: 8080}}]}}]}}\n"
        );
    }
    for (name, selector) in [("api", "app: api"), ("blue", "track: blue"), ("none", "app: none")] {
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{selector: {{{selector}}}, ports: [{{port: 80, targetPort: 8080}}]}}\n"
        );
    }
    let mut reader = Reader::new();
    reader.bytes("cluster.yaml", text.as_bytes());
    let input = reader.finish();
    assert_eq!(input.diagnostics, []);
    Inventory::build(input.objects, &ClusterCidrs::default()).0
}

/// The scope of the policies for a Service, in words, and the workloads in it.
fn policies_for(service: &str) -> Result<(String, Vec<String>), String> {
    let inventory = inventory();
    let query = ScopeQuery {
        namespace: "shop".to_owned(),
        kind: Some("Service".to_owned()),
        name: Some(service.to_owned()),
        from: None,
        until: None,
    };
    let asked = Asked::try_from(&query).map_err(|fault| fault.detail().to_owned())?;
    let scope = asked.policy_scope(&inventory).map_err(|fault| fault.detail().to_owned())?;
    assert!(!scope.is_whole_namespaces(), "one policy must not speak for all pods");
    let workloads = scope.workloads(&inventory).map(|w| w.reference.to_string()).collect();
    Ok((scope.to_string(), workloads))
}

#[test]
fn the_policies_for_a_service_are_those_of_all_workloads_behind_it() {
    let both = vec!["shop/Deployment/blue".to_owned(), "shop/Deployment/green".to_owned()];
    assert_eq!(policies_for("api"), Ok(("Service/api in namespace shop".to_owned(), both)));
    let one = vec!["shop/Deployment/blue".to_owned()];
    assert_eq!(policies_for("blue"), Ok(("Deployment/blue in namespace shop".to_owned(), one)));
    let fault = policies_for("none").expect_err("nobody stands behind it");
    assert!(fault.starts_with("no workload stands behind Service shop/none"), "{fault}");
}
