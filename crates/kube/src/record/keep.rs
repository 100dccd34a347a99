//! Which fields of each kind are read. This is the one place that says so; a test holds it to the reader.

use Keep::{All, Fields};

use crate::object::{Kind, POD_NETWORK_ANNOTATIONS};

/// What to keep of a value. Of a list, the same of every element.
pub(super) enum Keep {
    /// All of it.
    All,
    /// These fields.
    Fields(&'static [(&'static str, Keep)]),
}

const OWNERS: Keep =
    Fields(&[("apiVersion", All), ("kind", All), ("name", All), ("controller", All)]);

/// Without the resource version, which changes when nothing does that is read.
const METADATA: Keep = Fields(&[
    ("name", All),
    ("namespace", All),
    ("uid", All),
    ("labels", All),
    ("ownerReferences", OWNERS),
    ("creationTimestamp", All),
]);

/// A Namespace that an API server has seen is known by either of these.
const NAMESPACE_METADATA: Keep =
    Fields(&[("name", All), ("uid", All), ("resourceVersion", All), ("labels", All)]);

const NODE_METADATA: Keep =
    Fields(&[("name", All), ("uid", All), ("labels", All), ("annotations", ANNOTATIONS)]);

const ANNOTATIONS: Keep = Fields(
    &const {
        let mut fields = [const { ("", All) }; POD_NETWORK_ANNOTATIONS.len()];
        let mut n = 0;
        while n < fields.len() {
            fields[n].0 = POD_NETWORK_ANNOTATIONS[n];
            n += 1;
        }
        fields
    },
);

const PROBE: Keep = Fields(&[("httpGet", PORT), ("tcpSocket", PORT), ("grpc", PORT)]);
const PORT: Keep = Fields(&[("port", All)]);

const CONTAINERS: Keep = Fields(&[
    ("name", All),
    ("command", All),
    ("args", All),
    ("ports", Fields(&[("name", All), ("protocol", All), ("containerPort", All)])),
    ("livenessProbe", PROBE),
    ("readinessProbe", PROBE),
    ("startupProbe", PROBE),
]);

const POD_SPEC: Keep = Fields(&[
    ("nodeName", All),
    ("hostNetwork", All),
    ("initContainers", CONTAINERS),
    ("containers", CONTAINERS),
]);

const FINISHED: Keep =
    Fields(&[("state", Fields(&[("terminated", Fields(&[("finishedAt", All)]))]))]);

const POD: Keep = Fields(&[
    ("metadata", METADATA),
    ("spec", POD_SPEC),
    (
        "status",
        Fields(&[
            ("phase", All),
            ("podIP", All),
            ("podIPs", Fields(&[("ip", All)])),
            ("startTime", All),
            ("containerStatuses", FINISHED),
        ]),
    ),
]);

const TEMPLATE: Keep = Fields(&[("metadata", Fields(&[("labels", All)])), ("spec", POD_SPEC)]);

const CONTROLLER: Keep = Fields(&[
    ("metadata", METADATA),
    (
        "spec",
        Fields(&[
            ("selector", All),
            ("replicas", All),
            ("schedule", All),
            ("template", TEMPLATE),
            ("jobTemplate", Fields(&[("spec", Fields(&[("template", TEMPLATE)]))])),
        ]),
    ),
]);

const NODE: Keep = Fields(&[
    ("metadata", NODE_METADATA),
    ("spec", Fields(&[("podCIDR", All), ("podCIDRs", All)])),
    ("status", Fields(&[("addresses", Fields(&[("type", All), ("address", All)]))])),
]);

const SERVICE: Keep = Fields(&[
    ("metadata", METADATA),
    (
        "spec",
        Fields(&[
            ("type", All),
            ("selector", All),
            ("clusterIP", All),
            ("clusterIPs", All),
            ("externalIPs", All),
            (
                "ports",
                Fields(&[
                    ("name", All),
                    ("protocol", All),
                    ("port", All),
                    ("targetPort", All),
                    ("nodePort", All),
                ]),
            ),
            ("externalTrafficPolicy", All),
        ]),
    ),
    ("status", Fields(&[("loadBalancer", Fields(&[("ingress", Fields(&[("ip", All)]))]))])),
]);

const ENDPOINT_PORTS: Keep = Fields(&[("name", All), ("protocol", All), ("port", All)]);
const TARGET: Keep = Fields(&[("kind", All), ("namespace", All), ("name", All)]);
const ENDPOINT: Keep = Fields(&[("ip", All), ("targetRef", TARGET)]);

const ENDPOINT_SLICE: Keep = Fields(&[
    ("metadata", METADATA),
    ("addressType", All),
    ("endpoints", Fields(&[("addresses", All), ("targetRef", TARGET)])),
    ("ports", ENDPOINT_PORTS),
]);

const ENDPOINTS: Keep = Fields(&[
    ("metadata", METADATA),
    (
        "subsets",
        Fields(&[
            ("addresses", ENDPOINT),
            ("notReadyAddresses", ENDPOINT),
            ("ports", ENDPOINT_PORTS),
        ]),
    ),
]);

/// Nothing in a policy is passed over.
const POLICY: Keep = Fields(&[("metadata", METADATA), ("spec", All)]);

const HOST: Keep =
    Fields(&[("metadata", METADATA), ("spec", Fields(&[("addresses", All), ("system", All)]))]);

/// What to keep of an object.
pub(super) const fn of(kind: Kind) -> &'static Keep {
    match kind {
        Kind::Namespace => &Fields(&[("metadata", NAMESPACE_METADATA)]),
        Kind::Node => &NODE,
        Kind::Pod => &POD,
        Kind::Deployment
        | Kind::ReplicaSet
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::Job
        | Kind::CronJob => &CONTROLLER,
        Kind::Service => &SERVICE,
        Kind::EndpointSlice => &ENDPOINT_SLICE,
        Kind::Endpoints => &ENDPOINTS,
        Kind::NetworkPolicy | Kind::ClusterPolicy(_) => &POLICY,
        Kind::Host => &HOST,
    }
}
