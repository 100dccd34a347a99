use super::*;
use crate::fixture::*;

#[test]
fn names_of_gone_pods_point_to_their_controllers() {
    let cron = format!("a/CronJob/{}", "c".repeat(52));
    let long = format!("a/Deployment/{}", "d".repeat(50));
    let longer = format!("a/DaemonSet/{}", "e".repeat(57));
    let controllers = [
        &cron,
        &long,
        &longer,
        "a/Deployment/web",
        "a/DaemonSet/agent",
        "a/DaemonSet/web-bcdfg",
        "a/StatefulSet/db",
        "a/CronJob/night",
        "a/Job/load-1",
        "a/ReplicaSet/lone",
    ]
    .map(|reference| controller(reference, "app=x"));
    let owners = Owners::new(&controllers);
    let cut = |base: String| format!("a/{}x6rgm", &base[..base.len().min(MAX_GENERATED_BASE)]);
    let cron_pod = cut(format!("{}-29540280-", "c".repeat(52)));
    assert_eq!(cron_pod.len(), "a/".len() + 63);
    let long_pod = cut(format!("{}-7b69698887-", "d".repeat(50)));
    let longer_pod = cut(format!("{}-", "e".repeat(57)));
    let cases = [
        ("a/web-7b69698887-x6rgm", "a/Deployment/web"),
        ("a/agent-x6rgm", "a/DaemonSet/agent"),
        ("a/db-12", "a/StatefulSet/db"),
        ("a/night-29540280-x6rgm", "a/CronJob/night"),
        ("a/load-1-x6rgm", "a/Job/load-1"),
        ("a/lone-x6rgm", "a/ReplicaSet/lone"),
        // Cut at 63 characters: within the time, within the hash, and just not.
        (cron_pod.as_str(), cron.as_str()),
        (long_pod.as_str(), long.as_str()),
        (longer_pod.as_str(), longer.as_str()),
        // The Deployment's, or the DaemonSet's?
        ("a/web-bcdfg-x6rgm", "a/Pod/web-bcdfg-x6rgm"),
        // Vowels, 0, 1 and 3 are in no generated name; a manual Job has no time; too short to be cut.
        ("a/web-7b69698887-x6rga", "a/Pod/web-7b69698887-x6rga"),
        ("a/web-release-x6rgm", "a/Pod/web-release-x6rgm"),
        ("a/night-1-x6rgm", "a/Pod/night-1-x6rgm"),
        ("a/web-7b6x6rgm", "a/Pod/web-7b6x6rgm"),
        ("a/db-x", "a/Pod/db-x"),
        ("b/db-12", "b/Pod/db-12"),
        ("a/x", "a/Pod/x"),
    ];
    for (pod, expected) in cases {
        let top = owners.top_of_gone_pod(&pod_ref(pod), None, None);
        assert_eq!(top.to_string(), expected, "{pod}");
    }
}

#[test]
fn labels_that_several_controllers_select_point_to_none() {
    let controllers = [
        controller("a/Deployment/web", "app=web"),
        controller("a/Deployment/canary", "app=web track=canary"),
        controller("a/Deployment/everything", ""),
    ];
    let owners = Owners::new(&controllers);
    let top = |labelled: &str| {
        let labels = labels(labelled);
        owners.top_of_gone_pod(&pod_ref("a/x"), None, Some(&labels)).to_string()
    };
    assert_eq!(top("app=web"), "a/Deployment/web");
    assert_eq!(top("app=web track=canary"), "a/Pod/x");
    assert_eq!(top("app=other"), "a/Pod/x");
}
