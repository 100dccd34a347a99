//! Which workloads a question or a generated set is about.

use std::collections::BTreeSet;

use ringfence_inventory::{Inventory, Workload};
use ringfence_model::{Name, WorkloadKind, WorkloadRef};

/// Namespaces that belong to Kubernetes itself. They are in scope only when named.
const SYSTEM_NAMESPACES: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];

/// A choice of workloads. The default is every workload outside the namespaces of Kubernetes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only this namespace.
    pub namespace: Option<Name>,
    /// Only workloads of this kind.
    pub kind: Option<WorkloadKind>,
    /// Only workloads of this name.
    pub name: Option<Name>,
    /// Only the workloads behind a Service.
    pub behind: Option<Behind>,
}

/// The workloads behind a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The name of the Service.
    pub service: Name,
    /// The workloads, of its namespace.
    pub workloads: BTreeSet<WorkloadRef>,
}

impl Scope {
    /// Whether the workload is meant.
    pub fn contains(&self, workload: &WorkloadRef) -> bool {
        let namespace = match &self.namespace {
            Some(namespace) => *namespace == workload.namespace,
            None => !SYSTEM_NAMESPACES.contains(&workload.namespace.as_str()),
        };
        namespace
            && self.kind.as_ref().is_none_or(|kind| *kind == workload.kind)
            && self.name.as_ref().is_none_or(|name| *name == workload.name)
            && self.behind.as_ref().is_none_or(|behind| behind.workloads.contains(workload))
    }

    /// Whether whole namespaces are meant, so that one policy may speak for all their pods.
    pub fn is_whole_namespaces(&self) -> bool {
        self.kind.is_none() && self.name.is_none() && self.behind.is_none()
    }

    /// The workloads meant, sorted.
    pub fn workloads<'a>(&self, inventory: &'a Inventory) -> impl Iterator<Item = &'a Workload> {
        inventory.workloads().iter().filter(|w| self.contains(&w.reference))
    }
}

/// `namespace shop`, `Deployment/web in namespace shop`, `Service/web in namespace shop`, `all namespaces`.
impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(behind) = &self.behind {
            write!(f, "Service/{} in ", behind.service)?;
        }
        match (&self.kind, &self.name) {
            (Some(kind), Some(name)) => write!(f, "{kind}/{name} in ")?,
            (Some(kind), None) => write!(f, "every {kind} in ")?,
            (None, Some(name)) => write!(f, "{name} in ")?,
            (None, None) => {}
        }
        match &self.namespace {
            Some(namespace) => write!(f, "namespace {namespace}"),
            None => f.write_str("all namespaces but those of Kubernetes itself"),
        }
    }
}
