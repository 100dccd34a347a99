//! What the server fills in where a manifest says nothing.

use serde_json::{Map, Value, json};

fn fill(object: &mut Map<String, Value>, defaults: Value) {
    if let Value::Object(defaults) = defaults {
        for (key, value) in defaults {
            object.entry(key).or_insert(value);
        }
    }
}

/// A pod template.
pub(super) fn template(template: &mut Value) {
    pod_spec(&mut template["spec"]);
}

/// The spec of a pod.
pub(super) fn pod_spec(spec: &mut Value) {
    let host_network = spec["hostNetwork"].as_bool().unwrap_or_default();
    if let Some(spec) = spec.as_object_mut() {
        fill(
            spec,
            json!({
                "dnsPolicy": "ClusterFirst",
                "restartPolicy": "Always",
                "schedulerName": "default-scheduler",
                "securityContext": {},
                "terminationGracePeriodSeconds": 30,
            }),
        );
    }
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        self::container(container, host_network);
    }
}

fn container(container: &mut Value, host_network: bool) {
    let Some(container) = container.as_object_mut() else { return };
    fill(
        container,
        json!({
            "imagePullPolicy": "IfNotPresent",
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }),
    );
    let ports = container.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        fill(port, json!({ "protocol": "TCP" }));
        if host_network && let Some(number) = port.get("containerPort").cloned() {
            port.insert("hostPort".to_owned(), number);
        }
    }
    for key in ["livenessProbe", "readinessProbe"] {
        let Some(probe) = container.get_mut(key).and_then(Value::as_object_mut) else { continue };
        fill(
            probe,
            json!({
                "failureThreshold": 3,
                "periodSeconds": 10,
                "successThreshold": 1,
                "timeoutSeconds": 1,
            }),
        );
        if let Some(get) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
            fill(get, json!({ "scheme": "HTTP" }));
        }
    }
}
