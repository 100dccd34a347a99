//! Services and their endpoints.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::manifest;
use super::super::pod::Pod;
use super::super::shop::{
    API_PORT, API_SERVICE, DEPLOYED, END, Exposure, FOUNDED, NODES, SERVICES, Service, workload,
};
use super::{owner, stamp, uid};
use crate::clock::Moment;
use crate::random::Random;

fn created(service: &Service) -> Moment {
    if service.namespace == "kube-system" { FOUNDED } else { DEPLOYED }
}

/// Every Service.
pub(super) fn services() -> Vec<Value> {
    let own = SERVICES
        .iter()
        .filter_map(|one| Some(service(one, workload(one.namespace, one.workload).ok()?)));
    std::iter::once(api_server()).chain(own).collect()
}

fn service(service: &Service, workload: &super::Workload) -> Value {
    let mut object = manifest::service(service, workload);
    stamp(&mut object, created(service));
    if service.name == "kube-dns" {
        object["metadata"]["labels"] =
            json!({ "k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS" });
    }
    let spec = &mut object["spec"];
    single_stack(spec, service.exposure.cluster_ip().unwrap_or("None"));
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        if port["protocol"].is_null() {
            port["protocol"] = json!("TCP");
        }
    }
    object["status"] = json!({ "loadBalancer": {} });
    if let Exposure::LoadBalancer { address, .. } = service.exposure {
        let spec = &mut object["spec"];
        spec["type"] = json!("LoadBalancer");
        spec["allocateLoadBalancerNodePorts"] = json!(true);
        spec["externalTrafficPolicy"] = json!("Cluster");
        object["status"]["loadBalancer"] =
            json!({ "ingress": [{ "ip": address, "ipMode": "VIP" }] });
    }
    object
}

fn single_stack(spec: &mut Value, cluster_ip: &str) {
    spec["clusterIP"] = json!(cluster_ip);
    spec["clusterIPs"] = json!([cluster_ip]);
    spec["internalTrafficPolicy"] = json!("Cluster");
    spec["ipFamilies"] = json!(["IPv4"]);
    spec["ipFamilyPolicy"] = json!("SingleStack");
    spec["sessionAffinity"] = json!("None");
    spec["type"] = json!("ClusterIP");
}

/// `default/kubernetes`, which selects nothing.
fn api_server() -> Value {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "labels": { "component": "apiserver", "provider": "kubernetes" },
            "name": "kubernetes",
            "namespace": "default",
        },
        "spec": {
            "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": API_PORT }],
        },
        "status": { "loadBalancer": {} },
    });
    stamp(&mut object, FOUNDED);
    single_stack(&mut object["spec"], API_SERVICE);
    object
}

/// The endpoints of every Service when the dump was made.
pub(super) fn endpoint_slices(pods: &[Pod]) -> anyhow::Result<Vec<Value>> {
    let mut slices = vec![api_server_slice()];
    for service in SERVICES {
        slices.push(slice(service, pods)?);
    }
    Ok(slices)
}

fn slice(service: &Service, pods: &[Pod]) -> anyhow::Result<Value> {
    let behind = workload(service.namespace, service.workload)?;
    let ours = |pod: &&Pod| std::ptr::eq(pod.workload, behind) && pod.runs_at(Moment(END.0 - 1));
    let endpoints: Vec<Value> = pods
        .iter()
        .filter(ours)
        .map(|pod| {
            let mut endpoint = json!({
                "addresses": [pod.v4()],
                "conditions": { "ready": true, "serving": true, "terminating": false },
                "nodeName": pod.node.name,
                "targetRef": {
                    "kind": "Pod",
                    "name": pod.name,
                    "namespace": service.namespace,
                    "uid": super::running::pod_uid(pod),
                },
                "zone": pod.node.zone,
            });
            if service.exposure == Exposure::Headless {
                endpoint["hostname"] = json!(pod.name);
            }
            endpoint
        })
        .collect();
    let ports = service
        .ports
        .iter()
        .map(|port| {
            let number = behind.port_number(port.target)?;
            Ok(json!({ "name": port.name, "port": number, "protocol": port.protocol }))
        })
        .collect::<anyhow::Result<Vec<Value>>>()
        .with_context(|| format!("Service {}/{}", service.namespace, service.name))?;
    let path = format!("{}/{}", service.namespace, service.name);
    let mut labels = json!({
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": service.name,
    });
    if service.exposure == Exposure::Headless {
        labels["service.kubernetes.io/headless"] = json!("");
    }
    let mut object = json!({
        "addressType": "IPv4",
        "apiVersion": "discovery.k8s.io/v1",
        "endpoints": endpoints,
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": format!("{}-", service.name),
            "generation": 2,
            "labels": labels,
            "name": format!("{}-{}", service.name, Random::named(&path).suffix(5)),
            "namespace": service.namespace,
            "ownerReferences": owner("v1", "Service", service.name, &uid("Service", &path)),
        },
        "ports": ports,
    });
    stamp(&mut object, created(service));
    Ok(object)
}

fn api_server_slice() -> Value {
    let mut object = json!({
        "addressType": "IPv4",
        "apiVersion": "discovery.k8s.io/v1",
        "endpoints": [{ "addresses": [NODES[0].address], "conditions": { "ready": true } }],
        "kind": "EndpointSlice",
        "metadata": {
            "generation": 1,
            "labels": { "kubernetes.io/service-name": "kubernetes" },
            "name": "kubernetes",
            "namespace": "default",
        },
        "ports": [{ "name": "https", "port": API_PORT, "protocol": "TCP" }],
    });
    stamp(&mut object, FOUNDED);
    object
}
