//! The kinds that are watched.

use ringfence_model::ClusterPolicyKind;

use crate::object::Kind;

/// A kind that is watched, and where the API server has it.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    pub(super) kind: Kind,
    pub(super) api_version: &'static str,
    pub(super) plural: &'static str,
}

const fn resource(kind: Kind, api_version: &'static str, plural: &'static str) -> Resource {
    Resource { kind, api_version, plural }
}

/// Every kind that is watched. Endpoints are not among them: the API server mirrors them to `EndpointSlices`.
pub static RESOURCES: [Resource; 15] = [
    resource(Kind::Namespace, "v1", "namespaces"),
    resource(Kind::Node, "v1", "nodes"),
    resource(Kind::Pod, "v1", "pods"),
    resource(Kind::Deployment, "apps/v1", "deployments"),
    resource(Kind::ReplicaSet, "apps/v1", "replicasets"),
    resource(Kind::StatefulSet, "apps/v1", "statefulsets"),
    resource(Kind::DaemonSet, "apps/v1", "daemonsets"),
    resource(Kind::Job, "batch/v1", "jobs"),
    resource(Kind::CronJob, "batch/v1", "cronjobs"),
    resource(Kind::Service, "v1", "services"),
    resource(Kind::EndpointSlice, "discovery.k8s.io/v1", "endpointslices"),
    resource(Kind::NetworkPolicy, "networking.k8s.io/v1", "networkpolicies"),
    resource(
        Kind::ClusterPolicy(ClusterPolicyKind::ClusterNetworkPolicy),
        "policy.networking.k8s.io/v1alpha2",
        "clusternetworkpolicies",
    ),
    resource(
        Kind::ClusterPolicy(ClusterPolicyKind::AdminNetworkPolicy),
        "policy.networking.k8s.io/v1alpha1",
        "adminnetworkpolicies",
    ),
    resource(
        Kind::ClusterPolicy(ClusterPolicyKind::BaselineAdminNetworkPolicy),
        "policy.networking.k8s.io/v1alpha1",
        "baselineadminnetworkpolicies",
    ),
];

impl Resource {
    /// The kind, as Kubernetes spells it.
    pub const fn kind(&self) -> &'static str {
        self.kind.as_str()
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &'static str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// The kind as it stands in paths and RBAC rules.
    pub const fn plural(&self) -> &'static str {
        self.plural
    }

    /// The path of the list of all objects in the cluster.
    pub(super) fn path(&self) -> String {
        let root = if self.group().is_empty() { "/api" } else { "/apis" };
        format!("{root}/{}/{}", self.api_version, self.plural)
    }
}
