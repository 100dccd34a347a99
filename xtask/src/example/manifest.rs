//! The objects as the team keeps them in Git: what people write, nothing that the server adds.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::shop::{
    Ask, Exposure, Kind, NAMESPACES, Namespace, PortRef, SERVICES, Service, ServicePort, WORKLOADS,
    Workload,
};
use super::yaml;

/// The manifest files, by name.
pub fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let own = |namespace: &str| {
        NAMESPACES.iter().any(|candidate| candidate.name == namespace && !candidate.system)
    };
    let namespaces: Vec<Value> =
        NAMESPACES.iter().filter(|namespace| !namespace.system).map(namespace).collect();
    files.insert("namespaces.yaml".to_owned(), documents(&namespaces));
    for workload in WORKLOADS.iter().filter(|workload| own(workload.namespace)) {
        let mut objects = vec![controller(workload)];
        let services = SERVICES
            .iter()
            .filter(|s| s.namespace == workload.namespace && s.workload == workload.name);
        objects.extend(services.map(|one| service(one, workload)));
        let name = format!("{}-{}.yaml", workload.namespace, workload.name);
        files.insert(name, documents(&objects));
    }
    files.insert("shop-cache-guard.yaml".to_owned(), documents(&[cache_guard()]));
    files
}

fn documents(objects: &[Value]) -> String {
    objects.iter().map(yaml::document).collect::<Vec<_>>().join("---\n")
}

/// A namespace.
pub fn namespace(namespace: &Namespace) -> Value {
    let mut metadata = json!({ "name": namespace.name });
    if let Some(team) = namespace.team {
        metadata["labels"] = json!({ "team": team });
    }
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata })
}

/// The controller of a workload.
pub fn controller(workload: &Workload) -> Value {
    let labels = labels(workload);
    let metadata =
        json!({ "name": workload.name, "namespace": workload.namespace, "labels": labels });
    let template = json!({ "metadata": { "labels": labels }, "spec": pod_spec(workload) });
    let selector = json!({ "matchLabels": labels });
    let replicas = workload.places.iter().filter(|place| place.until.is_none()).count();
    let (api_version, spec) = match workload.kind {
        Kind::Deployment => {
            ("apps/v1", json!({ "replicas": replicas, "selector": selector, "template": template }))
        }
        Kind::StatefulSet => (
            "apps/v1",
            json!({
                "replicas": replicas,
                "selector": selector,
                "serviceName": workload.name,
                "template": template,
            }),
        ),
        Kind::DaemonSet => ("apps/v1", json!({ "selector": selector, "template": template })),
        Kind::CronJob => (
            "batch/v1",
            json!({ "schedule": "30 1 * * *", "jobTemplate": { "spec": { "template": template } } }),
        ),
        Kind::StaticPod => ("v1", pod_spec(workload)),
    };
    json!({
        "apiVersion": api_version,
        "kind": workload.kind.as_str(),
        "metadata": metadata,
        "spec": spec,
    })
}

/// The labels that a controller selects by, which are those of its template.
pub fn labels(workload: &Workload) -> Value {
    let labels: Map<String, Value> = workload
        .selector
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
        .collect();
    Value::Object(labels)
}

/// The spec of a workload's pods.
pub fn pod_spec(workload: &Workload) -> Value {
    let mut container = json!({ "name": workload.name, "image": workload.image });
    if !workload.args.is_empty() {
        let key = if workload.kind == Kind::StaticPod { "command" } else { "args" };
        container[key] = json!(workload.args);
    }
    if !workload.ports.is_empty() {
        container["ports"] = workload
            .ports
            .iter()
            .map(|port| {
                let mut value = json!({ "name": port.name, "containerPort": port.number });
                if port.protocol != "TCP" {
                    value["protocol"] = json!(port.protocol);
                }
                value
            })
            .collect();
    }
    if let Some(ask) = workload.liveness {
        container["livenessProbe"] = probe(ask);
    }
    if let Some(ask) = workload.readiness {
        container["readinessProbe"] = probe(ask);
    }
    let mut spec = json!({ "containers": [container] });
    if workload.host_network {
        spec["hostNetwork"] = json!(true);
    }
    if workload.kind == Kind::CronJob {
        spec["restartPolicy"] = json!("Never");
    }
    spec
}

fn probe(ask: Ask) -> Value {
    match ask {
        Ask::Http { path, port } => json!({ "httpGet": { "path": path, "port": port_ref(port) } }),
        Ask::Tcp { port } => json!({ "tcpSocket": { "port": port_ref(port) } }),
        Ask::Command(command) => json!({ "exec": { "command": [command] } }),
    }
}

fn port_ref(port: PortRef) -> Value {
    match port {
        PortRef::Name(name) => json!(name),
        PortRef::Number(number) => json!(number),
    }
}

/// A Service.
pub fn service(service: &Service, workload: &Workload) -> Value {
    let ports: Vec<Value> = service.ports.iter().map(service_port).collect();
    let mut spec = json!({ "selector": labels(workload), "ports": ports });
    match service.exposure {
        Exposure::ClusterIp(_) => {}
        Exposure::Headless => spec["clusterIP"] = json!("None"),
        Exposure::LoadBalancer { .. } => spec["type"] = json!("LoadBalancer"),
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": service.name, "namespace": service.namespace },
        "spec": spec,
    })
}

fn service_port(port: &ServicePort) -> Value {
    let mut value =
        json!({ "name": port.name, "port": port.port, "targetPort": port_ref(port.target) });
    if port.protocol != "TCP" {
        value["protocol"] = json!(port.protocol);
    }
    if let Some(node_port) = port.node_port {
        value["nodePort"] = json!(node_port);
    }
    value
}

/// The one policy that the shop has before anybody generates any.
pub fn cache_guard() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": "cache-guard", "namespace": "shop" },
        "spec": {
            "podSelector": { "matchLabels": { "app": "cache" } },
            "ingress": [
                { "from": [
                    { "podSelector": {} },
                    { "namespaceSelector": { "matchLabels": { "team": "platform" } } },
                ] },
            ],
        },
    })
}
