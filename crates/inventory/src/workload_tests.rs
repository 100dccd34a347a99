use ringfence_model::object::{Objects, Phase, PodSpec};

use super::*;
use crate::Inventory;
use crate::fixture::*;

fn owned(by: &str, controller: Controller) -> Controller {
    Controller { owner: owner(by), ..controller }
}

fn pod_of(by: &str, reference: &str, labelled: &str) -> Pod {
    Pod { owner: owner(by), ..pod(reference, labelled, "") }
}

/// `reference[pods]` of every workload.
fn summary(inventory: &Inventory) -> Vec<String> {
    inventory
        .workloads()
        .iter()
        .map(|w| {
            let pods: Vec<&str> =
                w.pods.iter().map(|&n| inventory.pods()[n].reference.name.as_str()).collect();
            format!("{}[{}]", w.reference, pods.join(" "))
        })
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn pods_roll_up_to_the_top() {
    let objects = Objects {
        pods: vec![
            pod_of("ReplicaSet/web-5d", "a/web-5d-x", "app=web pod-template-hash=5d"),
            // Its ReplicaSet is not in the dump.
            pod_of("ReplicaSet/web-77", "a/web-77-y", "app=web pod-template-hash=77"),
            // The label does not say so, or there is no such Deployment.
            pod_of("ReplicaSet/web-88", "a/web-88-z", "app=web"),
            pod_of("ReplicaSet/gone-99", "a/gone-99-z", "app=gone pod-template-hash=99"),
            pod_of("ReplicaSet/lone", "a/lone-x", "app=lone"),
            pod_of("Job/nightly-29540280", "a/nightly-29540280-x", "j=1"),
            pod_of("Job/nightly-29541720", "a/nightly-29541720-x", "j=1"),
            pod_of("Job/once", "a/once-x", "j=2"),
            pod_of("Job/other-29541720", "a/other-29541720-x", "j=3"),
            pod_of("ReplicaSet/shop-a", "a/shop-a-1", "app=shop rollouts-pod-template-hash=a"),
            pod_of("ReplicaSet/shop-b", "a/shop-b-1", "app=shop rollouts-pod-template-hash=b"),
            pod_of("StatefulSet/prom", "a/prom-0", "app=prom"),
            pod_of("Workflow/w", "a/w-1", "step=1 wf=w"),
            pod_of("Workflow/w", "a/w-2", "step=2 wf=w"),
            pod_of("Node/n1", "a/static-n1", "tier=x"),
            pod("a/bare", "app=bare", ""),
            Pod { phase: Phase::Succeeded, ..pod("a/done", "app=done", "") },
        ],
        controllers: vec![
            controller("a/Deployment/web", "app=web"),
            owned(
                "Deployment/web",
                controller("a/ReplicaSet/web-5d", "app=web pod-template-hash=5d"),
            ),
            owned(
                "Deployment/web",
                Controller {
                    replicas: Some(0),
                    ..controller("a/ReplicaSet/web-44", "app=web pod-template-hash=44")
                },
            ),
            controller("a/Deployment/asleep", "app=asleep"),
            controller("a/ReplicaSet/lone", "app=lone"),
            Controller { replicas: Some(0), ..controller("a/ReplicaSet/left-over", "app=left") },
            Controller {
                selector: None,
                schedule: Some("0 2 * * *".into()),
                ..controller("a/CronJob/nightly", "j=1")
            },
            owned("CronJob/nightly", controller("a/Job/nightly-29540280", "controller-uid=1")),
            controller("a/Job/once", "j=2"),
            // A parent that is not in the dump.
            owned("CronJob/lost", controller("a/Job/lost-1", "j=4 job-name=lost-1")),
            owned("CronJob/lost", controller("a/Job/lost-2", "j=4 job-name=lost-2")),
            owned(
                "Rollout/shop",
                controller("a/ReplicaSet/shop-a", "app=shop rollouts-pod-template-hash=a"),
            ),
            owned(
                "Rollout/shop",
                controller("a/ReplicaSet/shop-b", "app=shop rollouts-pod-template-hash=b"),
            ),
            // An operator's object may own several workloads: they stay what they are.
            owned("Prometheus/k8s", controller("a/StatefulSet/prom", "app=prom")),
            // A cycle.
            owned(
                "ReplicaSet/snake",
                Controller { replicas: Some(1), ..controller("a/ReplicaSet/snake", "app=snake") },
            ),
        ],
        ..Objects::default()
    };
    let missing = findings(objects.clone(), "owner-missing");
    let inventory = inventory(objects);
    assert_eq!(
        summary(&inventory),
        [
            "a/Deployment/asleep[]",
            "a/Deployment/web[web-5d-x web-77-y]",
            "a/StatefulSet/prom[prom-0]",
            "a/CronJob/lost[]",
            "a/CronJob/nightly[nightly-29540280-x nightly-29541720-x]",
            "a/Job/once[once-x]",
            "a/Job/other-29541720[other-29541720-x]",
            "a/ReplicaSet/gone-99[gone-99-z]",
            "a/ReplicaSet/lone[lone-x]",
            "a/ReplicaSet/snake[]",
            "a/ReplicaSet/web-88[web-88-z]",
            "a/Pod/bare[bare]",
            "a/Pod/static-n1[static-n1]",
            "a/Rollout/shop[shop-a-1 shop-b-1]",
            "a/Workflow/w[w-1 w-2]",
        ]
    );
    assert_eq!(missing.len(), 1);
    assert!(
        missing[0].starts_with("dump.yaml:2: warning[owner-missing]: Pod a/gone-99-z: owners of pods are not in the input: a/Job/other-29541720, a/ReplicaSet/gone-99, a/ReplicaSet/web-88\n"),
        "{missing:?}"
    );

    let workload = |text: &str| inventory.workload(&workload_ref(text)).unwrap();
    for (n, pod) in inventory.pods().iter().enumerate() {
        let workload = inventory.workload_of(n).unwrap();
        assert!(workload.pods.contains(&n), "{}", pod.reference);
    }
    assert_eq!(inventory.workload_of(inventory.pods().len()), None);
    assert_eq!(workload("a/CronJob/nightly").schedule.as_deref(), Some("0 2 * * *"));
    assert_eq!(workload("a/Deployment/web").selector, Some(selects("app=web")));
    // Without a controller of its own: what the generations below have in common.
    assert_eq!(workload("a/Rollout/shop").selector, Some(selects("app=shop")));
    assert_eq!(workload("a/Rollout/shop").template_labels, labels("app=shop"));
    assert_eq!(workload("a/CronJob/lost").template_labels, labels("j=4"));
    assert_eq!(workload("a/Workflow/w").template_labels, labels("wf=w"));
    assert_eq!(workload("a/Workflow/w").selector, None);
    assert_eq!(workload("a/Pod/bare").template_labels, labels("app=bare"));
}

#[test]
fn selectors_that_disagree_or_vanish_are_none() {
    let rollout = |a: &str, b: &str| {
        let inventory = inventory(Objects {
            controllers: vec![
                owned("Rollout/r", controller("a/ReplicaSet/r-1", a)),
                owned("Rollout/r", controller("a/ReplicaSet/r-2", b)),
            ],
            ..Objects::default()
        });
        inventory.workload(&workload_ref("a/Rollout/r")).unwrap().selector.clone()
    };
    assert_eq!(rollout("app=r pod-template-hash=1", "app=r"), Some(selects("app=r")));
    assert_eq!(rollout("app=r", "app=s"), None);
    assert_eq!(rollout("pod-template-hash=1", "pod-template-hash=2"), None);
}

#[test]
fn manifests_get_the_pods_they_would_have() {
    let objects = Objects {
        pods: vec![Pod { node: None, started: None, ..pod("a/bare", "app=bare", "") }],
        controllers: vec![
            Controller {
                replicas: Some(5),
                template: declares("http:TCP/8080"),
                ..controller("a/Deployment/web", "app=web")
            },
            Controller { replicas: Some(0), ..controller("a/Deployment/asleep", "app=asleep") },
            Controller {
                replicas: None,
                template: PodSpec { host_network: true, ..PodSpec::default() },
                ..controller("a/DaemonSet/agent", "app=agent")
            },
            Controller { selector: None, replicas: None, ..controller("a/CronJob/nightly", "j=1") },
        ],
        services: vec![service("a/web", "app=web", "", "TCP/80->http")],
        ..Objects::default()
    };
    let manifests = inventory(objects.clone());
    assert_eq!(
        summary(&manifests),
        [
            "a/Deployment/asleep[asleep-0]",
            "a/Deployment/web[web-0 web-1]",
            "a/DaemonSet/agent[agent-0]",
            "a/CronJob/nightly[nightly-0]",
            "a/Pod/bare[bare]",
        ]
    );
    let web = manifests.pods().iter().find(|p| p.reference.name.as_str() == "web-1").unwrap();
    assert_eq!(web.labels, labels("app=web"));
    assert_eq!(web.spec, declares("http:TCP/8080"));
    assert!(web.ips.is_empty() && web.node.is_none());
    let backends: Vec<String> =
        manifests.backends(0)[0].iter().map(|(peer, port)| format!("{peer}:{port}")).collect();
    assert_eq!(backends, ["a/Deployment/web:8080"]);

    // One pod that a cluster has seen, and the dump is a dump: workloads without pods have none.
    let mut dump = objects;
    dump.pods.push(pod("a/real", "app=real", "10.0.0.1"));
    assert_eq!(summary(&inventory(dump))[..2], ["a/Deployment/asleep[]", "a/Deployment/web[]"]);
}
