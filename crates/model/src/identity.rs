//! Names, and what stands at the ends of a connection.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a Kubernetes object or namespace: a DNS subdomain (RFC 1123) of at most 253 characters.
///
/// The check makes a name safe inside file names and messages.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a string is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a name: 1 to 253 lower-case letters, digits, '-' or '.', beginning and ending with a letter or digit"
)]
pub struct NameError(String);

impl Name {
    /// Checks and takes a name.
    pub fn new(name: impl AsRef<str> + Into<Arc<str>>) -> Result<Self, NameError> {
        let text = name.as_ref();
        let inner =
            |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-' || *b == b'.';
        let outer =
            |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = text.as_bytes();
        if bytes.len() <= 253
            && bytes.iter().all(inner)
            && outer(bytes.first())
            && outer(bytes.last())
        {
            Ok(Self(name.into()))
        } else {
            Err(NameError(text.chars().take(300).collect()))
        }
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        Self::new(s)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A pod by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodRef {
    /// Namespace of the pod.
    pub namespace: Name,
    /// Name of the pod.
    pub name: Name,
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A Service by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceRef {
    /// Namespace of the Service.
    pub namespace: Name,
    /// Name of the Service.
    pub name: Name,
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The kinds of top owners of pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 DaemonSet.
    DaemonSet,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// batch/v1 CronJob, standing for its Jobs and their pods.
    CronJob,
    /// batch/v1 Job without a CronJob.
    Job,
    /// apps/v1 ReplicaSet without an owner.
    ReplicaSet,
    /// A pod without an owner, static pods included.
    Pod,
    /// Any other controller, by its kind, such as Argo's `Rollout`.
    Custom(Arc<str>),
}

impl WorkloadKind {
    /// The kind as Kubernetes spells it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
            Self::StatefulSet => "StatefulSet",
            Self::CronJob => "CronJob",
            Self::Job => "Job",
            Self::ReplicaSet => "ReplicaSet",
            Self::Pod => "Pod",
            Self::Custom(kind) => kind,
        }
    }
}

/// Known kinds become their variant, every other text is [`WorkloadKind::Custom`].
impl From<&str> for WorkloadKind {
    fn from(kind: &str) -> Self {
        match kind {
            "Deployment" => Self::Deployment,
            "DaemonSet" => Self::DaemonSet,
            "StatefulSet" => Self::StatefulSet,
            "CronJob" => Self::CronJob,
            "Job" => Self::Job,
            "ReplicaSet" => Self::ReplicaSet,
            "Pod" => Self::Pod,
            other => Self::Custom(other.into()),
        }
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A workload, the top owner of pods, by namespace, kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadRef {
    /// Namespace of the workload.
    pub namespace: Name,
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: Name,
}

/// `namespace/Kind/name`.
impl fmt::Display for WorkloadRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.kind, self.name)
    }
}

/// Where an unresolved address lies, judged by the cluster CIDRs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressClass {
    /// Inside a pod, service or node CIDR of the cluster.
    Internal,
    /// Outside all of them, and all of them are known.
    External,
    /// The cluster CIDRs are not known well enough to tell.
    Unknown,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Internal => "Internal",
            Self::External => "External",
            Self::Unknown => "Unknown",
        })
    }
}

/// What stands at one end of an edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// Pods of one top owner.
    Workload(WorkloadRef),
    /// A Service whose endpoints are no known pods, or one asked for by name.
    Service(ServiceRef),
    /// A cluster node, host-network pods included.
    Node(Name),
    /// A machine outside Kubernetes.
    Host(Name),
    /// A group of addresses that the review named.
    Alias(Arc<str>),
    /// An address that resolves to nothing known.
    Address(IpAddr, AddressClass),
}

impl Peer {
    /// The namespace the peer lives in, when it lives in one.
    pub fn namespace(&self) -> Option<&Name> {
        match self {
            Self::Workload(workload) => Some(&workload.namespace),
            Self::Service(service) => Some(&service.namespace),
            Self::Node(_) | Self::Host(_) | Self::Alias(_) | Self::Address(..) => None,
        }
    }

    /// The workload, when the peer is one.
    pub fn workload(&self) -> Option<&WorkloadRef> {
        match self {
            Self::Workload(workload) => Some(workload),
            _ => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload(workload) => workload.fmt(f),
            Self::Service(service) => write!(f, "{}/Service/{}", service.namespace, service.name),
            Self::Node(node) => write!(f, "Node/{node}"),
            Self::Host(host) => write!(f, "Host/{host}"),
            Self::Alias(alias) => write!(f, "Alias/{alias}"),
            Self::Address(ip, _) => ip.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_escape_a_directory_are_refused() {
        for bad in ["", "..", "../x", "a/b", "A", "a_b", "-a", "a-", ".a", "a\n", &"a".repeat(254)]
        {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "0", "web-1", "ip-10-0-0-1.ec2.internal", &"a".repeat(253)] {
            assert!(Name::new(good).is_ok(), "{good:?}");
        }
    }
}
