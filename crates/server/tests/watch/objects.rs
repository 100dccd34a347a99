//! Objects for API servers.

use serde_json::{Value, json};

pub(crate) fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name,
           "labels": {"kubernetes.io/metadata.name": name}}})
}

pub(crate) fn deployment(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
           "metadata": {"namespace": namespace, "name": name}, "spec": controller(name)})
}

pub(crate) fn replica_set(namespace: &str, deployment: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
           "metadata": {"namespace": namespace, "name": format!("{deployment}-1"),
                        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment",
                            "name": deployment, "uid": "d", "controller": true}]},
           "spec": controller(deployment)})
}

fn controller(app: &str) -> Value {
    json!({"replicas": 2, "selector": {"matchLabels": {"app": app}},
           "template": {"metadata": {"labels": {"app": app}},
                        "spec": {"containers": [{"name": "c", "image": "x"}]}}})
}

/// A running pod of a Deployment, as an API server has it: with much that nothing reads.
pub(crate) fn pod(namespace: &str, app: &str, name: &str, ip: &str, start: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
           "metadata": {"namespace": namespace, "name": name, "labels": {"app": app},
                        "managedFields": [{"manager": "kubelet", "operation": "Update"}],
                        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                            "name": format!("{app}-1"), "uid": "r", "controller": true}]},
           "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "x",
                    "env": [{"name": "A", "value": "b"}],
                    "ports": [{"name": "web", "containerPort": 8080}]}]},
           "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "startTime": start,
                      "conditions": [{"type": "Ready", "status": "True"}]}})
}

pub(crate) fn policy(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
           "metadata": {"namespace": namespace, "name": name},
           "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}})
}

/// A pod of its own in the namespace `shop`.
pub(crate) fn web(name: &str, ip: &str) -> Value {
    pod("shop", "web", name, ip, "2026-03-02T01:00:00Z")
}
