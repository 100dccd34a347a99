//! Nodes and pods.

use serde_json::{Value, json};

use super::super::manifest;
use super::super::pod::{Pod, template_hash};
use super::super::shop::{FOUNDED, Kind, NODES, Node};
use super::{defaults, job_labels, pod_owner, stamp, uid};
use crate::clock::{Moment, SECOND};

/// The UID of a pod.
pub(super) fn pod_uid(pod: &Pod) -> String {
    uid("Pod", &format!("{}/{}", pod.workload.namespace, pod.name))
}

/// Every node.
pub(super) fn nodes() -> Vec<Value> {
    NODES.iter().map(node).collect()
}

fn node(node: &Node) -> Value {
    let pod_cidrs =
        [format!("10.42.{}.0/24", node.number), format!("fd00:42:0:{:x}::/64", node.number)];
    let mut labels = json!({
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": node.zone,
    });
    if node.runs_api_server() {
        labels["node-role.kubernetes.io/control-plane"] = json!("");
    }
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "annotations": { "network.cilium.io/ipv4-cilium-host": node.router() },
            "labels": labels,
            "name": node.name,
        },
        "spec": { "podCIDR": pod_cidrs[0], "podCIDRs": pod_cidrs },
        "status": {
            "addresses": [
                { "address": node.address, "type": "InternalIP" },
                { "address": node.name, "type": "Hostname" },
            ],
            "allocatable": { "cpu": "8", "memory": "32Gi", "pods": "110" },
            "capacity": { "cpu": "8", "memory": "32Gi", "pods": "110" },
            "conditions": [{
                "lastTransitionTime": FOUNDED.to_seconds(),
                "message": "kubelet is posting ready status",
                "reason": "KubeletReady",
                "status": "True",
                "type": "Ready",
            }],
            "nodeInfo": {
                "architecture": "amd64",
                "kubeletVersion": "v1.35.1",
                "operatingSystem": "linux",
            },
        },
    });
    stamp(&mut object, FOUNDED);
    object
}

/// A pod.
pub(super) fn pod(pod: &Pod) -> Value {
    let workload = pod.workload;
    let hash = template_hash(workload);
    let mut spec = manifest::pod_spec(workload);
    defaults::pod_spec(&mut spec);
    spec["enableServiceLinks"] = json!(true);
    spec["nodeName"] = json!(pod.node.name);
    spec["priority"] = json!(0);
    let mut labels = manifest::labels(workload);
    let mut metadata = json!({});
    match workload.kind {
        Kind::Deployment => {
            labels["pod-template-hash"] = json!(hash);
            metadata["generateName"] = json!(format!("{}-", pod.owner));
        }
        Kind::StatefulSet => {
            let ordinal = pod.name.rsplit('-').next().unwrap_or_default();
            labels["apps.kubernetes.io/pod-index"] = json!(ordinal);
            labels["controller-revision-hash"] = json!(format!("{}-{hash}", workload.name));
            labels["statefulset.kubernetes.io/pod-name"] = json!(pod.name);
            metadata["generateName"] = json!(format!("{}-", pod.owner));
            spec["hostname"] = json!(pod.name);
            spec["subdomain"] = json!(workload.name);
        }
        Kind::DaemonSet => {
            labels["controller-revision-hash"] = json!(hash);
            labels["pod-template-generation"] = json!("1");
            metadata["generateName"] = json!(format!("{}-", pod.owner));
        }
        Kind::CronJob => {
            labels = job_labels(workload, &pod.owner);
            metadata["generateName"] = json!(format!("{}-", pod.owner));
        }
        Kind::StaticPod => {
            metadata["annotations"] = json!({
                "kubernetes.io/config.mirror": hash,
                "kubernetes.io/config.source": "file",
            });
        }
    }
    metadata["labels"] = labels;
    metadata["name"] = json!(pod.name);
    metadata["namespace"] = json!(workload.namespace);
    metadata["ownerReferences"] = pod_owner(pod);
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": status(pod),
    });
    stamp(&mut object, pod.from);
    object
}

fn status(pod: &Pod) -> Value {
    let started = pod.from.plus(SECOND).to_seconds();
    let finished = pod.until.map(Moment::to_seconds);
    let running = finished.is_none();
    let condition = |kind: &str, is: bool, reason: Option<&str>| {
        let mut condition = json!({
            "lastProbeTime": null,
            "lastTransitionTime": finished.clone().unwrap_or_else(|| started.clone()),
            "status": if is { "True" } else { "False" },
            "type": kind,
        });
        if let Some(reason) = reason.filter(|_| !is) {
            condition["reason"] = json!(reason);
        }
        condition
    };
    let state = match &finished {
        None => json!({ "running": { "startedAt": started } }),
        Some(finished) => json!({
            "terminated": {
                "exitCode": 0,
                "finishedAt": finished,
                "reason": "Completed",
                "startedAt": started,
            },
        }),
    };
    let addresses: Vec<Value> = pod.addresses.iter().map(|ip| json!({ "ip": ip })).collect();
    json!({
        "conditions": [
            condition("Initialized", true, None),
            condition("Ready", running, Some("PodCompleted")),
            condition("ContainersReady", running, Some("PodCompleted")),
            condition("PodScheduled", true, None),
        ],
        "containerStatuses": [{
            "image": pod.workload.image,
            "lastState": {},
            "name": pod.workload.name,
            "ready": running,
            "restartCount": 0,
            "started": running,
            "state": state,
        }],
        "hostIP": pod.node.address,
        "hostIPs": [{ "ip": pod.node.address }],
        "phase": if running { "Running" } else { "Succeeded" },
        "podIP": pod.v4(),
        "podIPs": addresses,
        "qosClass": "BestEffort",
        "startTime": pod.from.to_seconds(),
    })
}
