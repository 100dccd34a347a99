//! Kubernetes objects from the tree: the fields that matter, with the defaults of the API server.

mod cluster_policy;
mod endpoints;
mod host;
mod meta;
mod node;
mod pod;
mod policy;
mod selector;
mod service;
mod workload;

pub(crate) use node::{POD_NETWORK_ANNOTATIONS, cidr, ip};
pub(crate) use selector::check_key;

use ringfence_model::object::{
    Controller, Endpoints, Host, Namespace, Node, Objects, Pod, Service,
};
use ringfence_model::{
    ClusterPolicy, ClusterPolicyKind, Diagnostic, Name, NetworkPolicy, Origin, WorkloadKind,
};

use crate::fault::Fault;
use crate::node::Node as Tree;
use crate::strings::Strings;

/// The kinds that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Namespace,
    Node,
    Pod,
    Deployment,
    ReplicaSet,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
    Service,
    EndpointSlice,
    Endpoints,
    NetworkPolicy,
    ClusterPolicy(ClusterPolicyKind),
    Host,
}

impl Kind {
    /// The kind that `apiVersion` and `kind` name, if it is read. A kind of the same name in another API group,
    /// such as Calico's `NetworkPolicy`, is another kind; older versions of a group have the same fields.
    pub(crate) fn of(api_version: &str, kind: &str) -> Option<Self> {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        Some(match (group, kind) {
            ("", "Namespace") => Self::Namespace,
            ("", "Node") => Self::Node,
            ("", "Pod") => Self::Pod,
            ("apps" | "extensions", "Deployment") => Self::Deployment,
            ("apps" | "extensions", "ReplicaSet") => Self::ReplicaSet,
            ("apps", "StatefulSet") => Self::StatefulSet,
            ("apps" | "extensions", "DaemonSet") => Self::DaemonSet,
            ("batch", "Job") => Self::Job,
            ("batch", "CronJob") => Self::CronJob,
            ("", "Service") => Self::Service,
            ("discovery.k8s.io", "EndpointSlice") => Self::EndpointSlice,
            ("", "Endpoints") => Self::Endpoints,
            ("networking.k8s.io" | "extensions", "NetworkPolicy") => Self::NetworkPolicy,
            ("policy.networking.k8s.io", kind) => Self::ClusterPolicy(match kind {
                "ClusterNetworkPolicy" => ClusterPolicyKind::ClusterNetworkPolicy,
                "AdminNetworkPolicy" => ClusterPolicyKind::AdminNetworkPolicy,
                "BaselineAdminNetworkPolicy" => ClusterPolicyKind::BaselineAdminNetworkPolicy,
                _ => return None,
            }),
            ("ringfence.dev", "Host") => Self::Host,
            _ => return None,
        })
    }

    /// The kind as Kubernetes spells it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Endpoints => "Endpoints",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::ClusterPolicy(ClusterPolicyKind::ClusterNetworkPolicy) => "ClusterNetworkPolicy",
            Self::ClusterPolicy(ClusterPolicyKind::AdminNetworkPolicy) => "AdminNetworkPolicy",
            Self::ClusterPolicy(ClusterPolicyKind::BaselineAdminNetworkPolicy) => {
                "BaselineAdminNetworkPolicy"
            }
            Self::Host => "Host",
        }
    }
}

/// One object of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A Namespace.
    Namespace(Namespace),
    /// A Node.
    Node(Node),
    /// A Pod.
    Pod(Pod),
    /// A controller of pods.
    Controller(Controller),
    /// A Service.
    Service(Service),
    /// One for each subset of an Endpoints object; empty when the object belongs to no Service.
    Endpoints(Vec<Endpoints>),
    /// A `NetworkPolicy`.
    Policy(NetworkPolicy),
    /// A cluster-wide policy.
    ClusterPolicy(ClusterPolicy),
    /// A machine outside Kubernetes.
    Host(Host),
}

impl Extend<Object> for Objects {
    fn extend<I: IntoIterator<Item = Object>>(&mut self, all: I) {
        for object in all {
            match object {
                Object::Namespace(namespace) => self.namespaces.push(namespace),
                Object::Node(node) => self.nodes.push(node),
                Object::Pod(pod) => self.pods.push(pod),
                Object::Controller(controller) => self.controllers.push(controller),
                Object::Service(service) => self.services.push(service),
                Object::Endpoints(endpoints) => self.endpoints.extend(endpoints),
                Object::Policy(policy) => self.policies.push(policy),
                Object::ClusterPolicy(policy) => self.cluster_policies.push(policy),
                Object::Host(host) => self.hosts.push(host),
            }
        }
    }
}

/// What every conversion needs.
pub(crate) struct Context<'c> {
    pub(crate) strings: &'c mut Strings,
    /// Where the object begins.
    pub(crate) origin: &'c Origin,
    /// Findings that do not spoil the object.
    pub(crate) findings: Vec<Diagnostic>,
}

impl Context<'_> {
    fn name(&mut self, text: &str) -> Result<Name, Fault> {
        Name::new(self.strings.share(text)).map_err(|e| Fault::new(0, e.to_string()))
    }
}

/// An object with the names that tell it from others of its kind.
pub(crate) struct Read {
    pub(crate) namespace: Option<Name>,
    pub(crate) name: Name,
    pub(crate) object: Object,
}

/// Reads an object of a known kind. All faults that can be told apart are returned together.
pub(crate) fn read(kind: Kind, tree: &Tree<'_>, cx: &mut Context<'_>) -> Result<Read, Vec<Fault>> {
    let one = |fault: Fault| vec![fault];
    let meta = meta::read(tree, cx).map_err(one)?;
    let name = meta.name.clone();
    let namespace = match kind {
        Kind::Namespace | Kind::Node | Kind::ClusterPolicy(_) | Kind::Host => None,
        _ => Some(meta.namespace.clone()),
    };
    let controller = |kind| workload::Kind::Selecting(kind);
    let object = match kind {
        Kind::Namespace => Object::Namespace(node::namespace(meta, cx)),
        Kind::Node => Object::Node(node::read(tree, meta, cx).map_err(one)?),
        Kind::Pod => Object::Pod(pod::read(tree, meta, cx).map_err(one)?),
        Kind::Deployment => workload::read(controller(WorkloadKind::Deployment), tree, meta, cx)?,
        Kind::ReplicaSet => workload::read(controller(WorkloadKind::ReplicaSet), tree, meta, cx)?,
        Kind::StatefulSet => workload::read(controller(WorkloadKind::StatefulSet), tree, meta, cx)?,
        Kind::DaemonSet => workload::read(controller(WorkloadKind::DaemonSet), tree, meta, cx)?,
        Kind::Job => workload::read(workload::Kind::Job, tree, meta, cx)?,
        Kind::CronJob => workload::read(workload::Kind::CronJob, tree, meta, cx)?,
        Kind::Service => Object::Service(service::read(tree, meta, cx).map_err(one)?),
        Kind::EndpointSlice => Object::Endpoints(endpoints::slice(tree, meta, cx).map_err(one)?),
        Kind::Endpoints => Object::Endpoints(endpoints::read(tree, &meta, cx).map_err(one)?),
        Kind::NetworkPolicy => Object::Policy(policy::read(tree, meta, cx)?),
        Kind::ClusterPolicy(kind) => {
            Object::ClusterPolicy(cluster_policy::read(kind, tree, meta, cx)?)
        }
        Kind::Host => Object::Host(host::read(tree, meta, cx).map_err(one)?),
    };
    Ok(Read { namespace, name, object })
}
