//! The objects as `kubectl get -A -o yaml` prints them: the manifests with what the server adds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::manifest;
use super::pod::{self, Pod};
use super::shop::{DEPLOYED, FOUNDED, Kind, NAMESPACES, REPORT_RUNS, WORKLOADS, Workload};
use super::yaml;
use crate::clock::{Moment, SECOND};
use crate::random::Random;

mod defaults;
mod network;
mod running;

/// The files of the dump, by name.
pub fn files() -> anyhow::Result<BTreeMap<String, String>> {
    let pods = pod::all();
    let mut lists: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    lists.insert("namespaces", NAMESPACES.iter().map(namespace).collect());
    lists.insert("nodes", running::nodes());
    lists.insert("pods", pods.iter().filter(|pod| pod.is_in_dump()).map(running::pod).collect());
    lists.insert("services", network::services());
    lists.insert("endpointslices", network::endpoint_slices(&pods)?);
    lists.insert("networkpolicies", vec![policy()]);
    for workload in WORKLOADS {
        let list = match workload.kind {
            Kind::Deployment => "deployments",
            Kind::StatefulSet => "statefulsets",
            Kind::DaemonSet => "daemonsets",
            Kind::CronJob => "cronjobs",
            Kind::StaticPod => continue,
        };
        lists.entry(list).or_default().push(controller(workload));
        if workload.kind == Kind::Deployment {
            lists.entry("replicasets").or_default().push(replica_set(workload));
        }
        if workload.kind == Kind::CronJob {
            let jobs = (0..workload.places.len()).map(|run| job(workload, run));
            lists.entry("jobs").or_default().extend(jobs);
        }
    }
    Ok(lists
        .into_iter()
        .map(|(name, items)| {
            let list = json!({
                "apiVersion": "v1",
                "items": items,
                "kind": "List",
                "metadata": { "resourceVersion": "" },
            });
            (format!("{name}.yaml"), yaml::document(&list))
        })
        .collect())
}

/// The UID of an object.
fn uid(kind: &str, path: &str) -> String {
    Random::named(&format!("{kind} {path}")).uuid()
}

/// Adds what the server adds to the metadata of every object.
fn stamp(object: &mut Value, created: Moment) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    let kind = object["kind"].as_str().unwrap_or_default();
    let path = format!("{}/{}", text("namespace"), text("name"));
    let version = Random::named(&format!("version {kind} {path}")).below(900_000);
    let uid = uid(kind, &path);
    let metadata = &mut object["metadata"];
    metadata["creationTimestamp"] = json!(created.to_seconds());
    metadata["resourceVersion"] = json!((1_000 + version).to_string());
    metadata["uid"] = json!(uid);
}

/// The reference of an owned object to its controller.
fn owner(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!([{
        "apiVersion": api_version,
        "blockOwnerDeletion": true,
        "controller": true,
        "kind": kind,
        "name": name,
        "uid": uid,
    }])
}

fn created(workload: &Workload) -> Moment {
    if workload.namespace == "kube-system" { FOUNDED } else { DEPLOYED }
}

fn namespace(namespace: &super::shop::Namespace) -> Value {
    let mut object = manifest::namespace(namespace);
    stamp(&mut object, if namespace.system { FOUNDED } else { DEPLOYED });
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(namespace.name);
    object["spec"] = json!({ "finalizers": ["kubernetes"] });
    object["status"] = json!({ "phase": "Active" });
    object
}

fn policy() -> Value {
    let mut object = manifest::cache_guard();
    stamp(&mut object, DEPLOYED);
    object["metadata"]["generation"] = json!(1);
    object["spec"]["policyTypes"] = json!(["Ingress"]);
    object
}

fn controller(workload: &Workload) -> Value {
    let mut object = manifest::controller(workload);
    stamp(&mut object, created(workload));
    object["metadata"]["generation"] = json!(1);
    let replicas = object["spec"]["replicas"].clone();
    let spec = &mut object["spec"];
    match workload.kind {
        Kind::Deployment => {
            defaults::template(&mut spec["template"]);
            spec["progressDeadlineSeconds"] = json!(600);
            spec["revisionHistoryLimit"] = json!(10);
            spec["strategy"] = json!({
                "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" },
                "type": "RollingUpdate",
            });
            object["status"] = json!({
                "availableReplicas": replicas,
                "observedGeneration": 1,
                "readyReplicas": replicas,
                "replicas": replicas,
                "updatedReplicas": replicas,
            });
            object["metadata"]["annotations"] = json!({ "deployment.kubernetes.io/revision": "1" });
        }
        Kind::StatefulSet => {
            defaults::template(&mut spec["template"]);
            spec["podManagementPolicy"] = json!("OrderedReady");
            spec["revisionHistoryLimit"] = json!(10);
            spec["updateStrategy"] =
                json!({ "rollingUpdate": { "partition": 0 }, "type": "RollingUpdate" });
            let revision = format!("{}-{}", workload.name, pod::template_hash(workload));
            object["status"] = json!({
                "availableReplicas": replicas,
                "currentReplicas": replicas,
                "currentRevision": revision,
                "observedGeneration": 1,
                "readyReplicas": replicas,
                "replicas": replicas,
                "updateRevision": revision,
                "updatedReplicas": replicas,
            });
        }
        Kind::DaemonSet => {
            defaults::template(&mut spec["template"]);
            spec["revisionHistoryLimit"] = json!(10);
            spec["updateStrategy"] = json!({
                "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 },
                "type": "RollingUpdate",
            });
            let nodes = workload.places.len();
            object["status"] = json!({
                "currentNumberScheduled": nodes,
                "desiredNumberScheduled": nodes,
                "numberAvailable": nodes,
                "numberMisscheduled": 0,
                "numberReady": nodes,
                "observedGeneration": 1,
                "updatedNumberScheduled": nodes,
            });
        }
        Kind::CronJob => {
            defaults::template(&mut spec["jobTemplate"]["spec"]["template"]);
            spec["jobTemplate"]["metadata"] = json!({});
            spec["concurrencyPolicy"] = json!("Allow");
            spec["failedJobsHistoryLimit"] = json!(1);
            spec["successfulJobsHistoryLimit"] = json!(3);
            spec["suspend"] = json!(false);
            let [.., last] = REPORT_RUNS;
            let finished = workload.places.last().and_then(|place| place.until);
            object["status"] = json!({
                "lastScheduleTime": last.to_seconds(),
                "lastSuccessfulTime": finished.map(Moment::to_seconds),
            });
        }
        Kind::StaticPod => {}
    }
    object
}

fn replica_set(workload: &Workload) -> Value {
    let hash = pod::template_hash(workload);
    let mut object = manifest::controller(workload);
    let replicas = object["spec"]["replicas"].clone();
    object["kind"] = json!("ReplicaSet");
    object["metadata"]["name"] = json!(format!("{}-{hash}", workload.name));
    stamp(&mut object, created(workload));
    let metadata = &mut object["metadata"];
    metadata["annotations"] = json!({
        "deployment.kubernetes.io/desired-replicas": replicas.to_string(),
        "deployment.kubernetes.io/revision": "1",
    });
    metadata["generation"] = json!(1);
    metadata["labels"]["pod-template-hash"] = json!(hash);
    metadata["ownerReferences"] =
        owner("apps/v1", "Deployment", workload.name, &uid("Deployment", &workload.path()));
    let spec = &mut object["spec"];
    spec["selector"]["matchLabels"]["pod-template-hash"] = json!(hash);
    spec["template"]["metadata"]["labels"]["pod-template-hash"] = json!(hash);
    defaults::template(&mut spec["template"]);
    object["status"] = json!({
        "availableReplicas": replicas,
        "fullyLabeledReplicas": replicas,
        "observedGeneration": 1,
        "readyReplicas": replicas,
        "replicas": replicas,
    });
    object
}

/// The labels that the Job controller adds to its pods.
fn job_labels(workload: &Workload, run: &str) -> Value {
    let job_uid = uid("Job", &format!("{}/{run}", workload.namespace));
    let mut labels = manifest::labels(workload);
    labels["batch.kubernetes.io/controller-uid"] = json!(job_uid);
    labels["batch.kubernetes.io/job-name"] = json!(run);
    labels["controller-uid"] = json!(job_uid);
    labels["job-name"] = json!(run);
    labels
}

fn job(workload: &Workload, run: usize) -> Value {
    let name = pod::job_name(run);
    let labels = job_labels(workload, &name);
    let place = &workload.places[run];
    let controller_uid = &labels["batch.kubernetes.io/controller-uid"];
    let selector =
        json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": controller_uid } });
    let mut template =
        json!({ "metadata": { "labels": labels }, "spec": manifest::pod_spec(workload) });
    defaults::template(&mut template);
    let finished = place.until.map(|until| until.plus(2 * SECOND).to_seconds());
    let mut object = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "annotations": {
                "batch.kubernetes.io/cronjob-scheduled-timestamp": REPORT_RUNS[run].to_seconds(),
            },
            "generation": 1,
            "labels": labels,
            "name": name,
            "namespace": workload.namespace,
            "ownerReferences":
                owner("batch/v1", "CronJob", workload.name, &uid("CronJob", &workload.path())),
        },
        "spec": {
            "backoffLimit": 6,
            "completionMode": "NonIndexed",
            "completions": 1,
            "manualSelector": false,
            "parallelism": 1,
            "selector": selector,
            "suspend": false,
            "template": template,
        },
        "status": {
            "completionTime": finished,
            "conditions": [{
                "lastProbeTime": finished,
                "lastTransitionTime": finished,
                "message": "Reached expected number of succeeded pods",
                "reason": "CompletionsReached",
                "status": "True",
                "type": "Complete",
            }],
            "ready": 0,
            "startTime": REPORT_RUNS[run].to_seconds(),
            "succeeded": 1,
            "terminating": 0,
        },
    });
    stamp(&mut object, REPORT_RUNS[run]);
    object
}

/// The references of a pod to its controller.
fn pod_owner(pod: &Pod) -> Value {
    let (api_version, kind) = match pod.workload.kind {
        Kind::Deployment => ("apps/v1", "ReplicaSet"),
        Kind::StatefulSet => ("apps/v1", "StatefulSet"),
        Kind::DaemonSet => ("apps/v1", "DaemonSet"),
        Kind::CronJob => ("batch/v1", "Job"),
        Kind::StaticPod => {
            let node = uid("Node", &format!("/{}", pod.node.name));
            return json!([{
                "apiVersion": "v1",
                "controller": true,
                "kind": "Node",
                "name": pod.node.name,
                "uid": node,
            }]);
        }
    };
    let path = format!("{}/{}", pod.workload.namespace, pod.owner);
    owner(api_version, kind, &pod.owner, &uid(kind, &path))
}
