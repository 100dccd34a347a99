//! Kubernetes objects, reduced to what policies and resolution depend on.

use std::net::IpAddr;
use std::sync::Arc;

use crate::cluster_policy::ClusterPolicy;
use crate::diagnostic::Origin;
use crate::identity::{Name, PodRef, ServiceRef, WorkloadKind};
use crate::label::{Labels, Selector};
use crate::net::{Cidr, Port, Protocol};
use crate::policy::NetworkPolicy;
use crate::time::Timestamp;

/// Everything read about one cluster.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Namespaces.
    pub namespaces: Vec<Namespace>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Pods.
    pub pods: Vec<Pod>,
    /// Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs.
    pub controllers: Vec<Controller>,
    /// Services.
    pub services: Vec<Service>,
    /// `EndpointSlices` and Endpoints.
    pub endpoints: Vec<Endpoints>,
    /// `NetworkPolicies`.
    pub policies: Vec<NetworkPolicy>,
    /// Cluster-wide policies.
    pub cluster_policies: Vec<ClusterPolicy>,
    /// Machines outside Kubernetes that talk with the cluster.
    pub hosts: Vec<Host>,
}

/// A Namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: Name,
    /// Its labels, with `kubernetes.io/metadata.name` added when the object never went through an API server,
    /// which would set it.
    pub labels: Labels,
    /// Where it was read.
    pub origin: Origin,
}

/// A Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Name,
    /// Its labels.
    pub labels: Labels,
    /// Addresses of type `InternalIP` and `ExternalIP`.
    pub addresses: Vec<IpAddr>,
    /// Addresses the node has inside the pod network, such as Cilium's host address (from annotations): pods may
    /// see the node under these.
    pub pod_network_addresses: Vec<IpAddr>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<Cidr>,
    /// Where it was read.
    pub origin: Origin,
}

/// A machine outside Kubernetes, as its agent or a manifest (`ringfence.dev/v1alpha1` Host) describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: Name,
    /// Its tags.
    pub labels: Labels,
    /// Its addresses on the network: neither loopback nor link-local ones.
    pub addresses: Vec<IpAddr>,
    /// Its operating system, for people, such as `Debian GNU/Linux 12 (bookworm)`.
    pub system: Option<Arc<str>>,
    /// Where it was read.
    pub origin: Origin,
}

impl Host {
    /// Whether others can know a host under an address: under loopback and link-local ones nobody is the only one.
    pub const fn can_have(ip: IpAddr) -> bool {
        let link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        !(link_local || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
    }
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Accepted, not running yet.
    Pending,
    /// Running.
    Running,
    /// All containers ended with success.
    Succeeded,
    /// All containers ended, one with failure.
    Failed,
    /// Not reported.
    Unknown,
}

impl Phase {
    /// Whether all containers have ended, so that the address may already belong to another pod.
    pub const fn is_terminated(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// The controlling `metadata.ownerReferences` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRef {
    /// Kind of the owner.
    pub kind: WorkloadKind,
    /// Name of the owner, in the same namespace.
    pub name: Name,
}

/// A port that a container declares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerPort {
    /// Its name, which policies and Services may use.
    pub name: Option<Arc<str>>,
    /// Protocol, TCP when the file named none.
    pub protocol: Protocol,
    /// Port number.
    pub port: Port,
}

/// What a pod, or a pod template, says about the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSpec {
    /// Shares the node's network namespace.
    pub host_network: bool,
    /// Declared ports of all containers, init and sidecar containers included.
    pub ports: Vec<ContainerPort>,
    /// Port numbers that liveness, readiness and startup probes connect to.
    pub probe_ports: Vec<Port>,
    /// Command lines of the containers (`command` then `args`), for reading cluster CIDRs from control-plane pods.
    pub commands: Vec<Vec<Arc<str>>>,
}

/// A Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub reference: PodRef,
    /// Its labels.
    pub labels: Labels,
    /// The controlling owner.
    pub owner: Option<OwnerRef>,
    /// `status.podIPs`.
    pub ips: Vec<IpAddr>,
    /// `spec.nodeName`.
    pub node: Option<Name>,
    /// `status.phase`.
    pub phase: Phase,
    /// `status.startTime`, or the creation time.
    pub started: Option<Timestamp>,
    /// When the last container ended, for terminated pods that say so.
    pub ended: Option<Timestamp>,
    /// The network side of its specification.
    pub spec: PodSpec,
    /// Where it was read.
    pub origin: Origin,
}

/// A controller of pods, at any level of an owner chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Namespace.
    pub namespace: Name,
    /// Kind.
    pub kind: WorkloadKind,
    /// Name.
    pub name: Name,
    /// Its own controlling owner.
    pub owner: Option<OwnerRef>,
    /// `spec.selector`; `None` for a `CronJob`, whose Jobs have one each.
    pub selector: Option<Selector>,
    /// Labels of the pod template.
    pub template_labels: Labels,
    /// The pod template.
    pub template: PodSpec,
    /// Wanted number of pods; `None` where the kind has no such field.
    pub replicas: Option<u32>,
    /// `spec.schedule` of a `CronJob`.
    pub schedule: Option<Arc<str>>,
    /// Where it was read.
    pub origin: Origin,
}

/// `spec.type` of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceType {
    /// Reached inside the cluster.
    ClusterIp,
    /// Also on a port of every node.
    NodePort,
    /// Also through a load balancer.
    LoadBalancer,
    /// A DNS alias of a name outside.
    ExternalName,
}

/// `spec.externalTrafficPolicy` of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExternalTrafficPolicy {
    /// Outside traffic may be forwarded to another node, with the client address replaced by a node's.
    Cluster,
    /// Outside traffic stays on the node and keeps the client address.
    Local,
}

/// `targetPort` of a Service port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetPort {
    /// A port number; the Service's own port when the file named none.
    Number(Port),
    /// The name of a container port, resolved on each pod.
    Named(Arc<str>),
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name, when it has one.
    pub name: Option<Arc<str>>,
    /// Protocol, TCP when the file named none.
    pub protocol: Protocol,
    /// The port of the Service.
    pub port: Port,
    /// Where it goes on the pods.
    pub target: TargetPort,
    /// The port on the nodes, for `NodePort` and `LoadBalancer`.
    pub node_port: Option<Port>,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub reference: ServiceRef,
    /// Type.
    pub kind: ServiceType,
    /// `spec.selector`; `None` when its endpoints are managed by somebody else.
    pub selector: Option<Selector>,
    /// `spec.clusterIPs`; empty for headless Services and manifests that no API server has seen.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.externalIPs` and the addresses of the load balancer.
    pub external_ips: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// `spec.externalTrafficPolicy`.
    pub external_traffic_policy: ExternalTrafficPolicy,
    /// Where it was read.
    pub origin: Origin,
}

/// The endpoints of a Service: an `EndpointSlice`, or one subset of an Endpoints object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The Service they belong to.
    pub service: ServiceRef,
    /// Addresses, with the pod behind each when the object names it.
    pub addresses: Vec<(IpAddr, Option<PodRef>)>,
    /// Ports, matched to the Service's by name.
    pub ports: Vec<EndpointPort>,
    /// Where it was read.
    pub origin: Origin,
}

/// One port of [`Endpoints`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPort {
    /// Name of the Service port.
    pub name: Option<Arc<str>>,
    /// Protocol.
    pub protocol: Protocol,
    /// Port at the endpoint.
    pub port: Port,
}
