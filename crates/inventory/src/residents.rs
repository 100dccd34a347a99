//! Who stands behind pod names and pod addresses.

use std::collections::HashMap;
use std::net::IpAddr;

use ringfence_model::object::{Phase, Pod};
use ringfence_model::{Diagnostic, Name, Peer, PodRef, Span, Timestamp, WorkloadRef};

use crate::node::NodeBook;
use crate::timeline::{AddressBook, Claim, End};

/// A pod, live or terminated, as an end of connections.
#[derive(Debug)]
pub(crate) struct Resident {
    /// Its top owner.
    pub(crate) workload: WorkloadRef,
    /// Its workload, or its node when it shares the node's network.
    pub(crate) peer: Peer,
    pub(crate) node: Option<Name>,
    pub(crate) started: Option<Timestamp>,
}

/// All pods by name and by address.
#[derive(Debug)]
pub(crate) struct Residents {
    all: Vec<Resident>,
    by_name: HashMap<PodRef, usize>,
    by_address: AddressBook<usize>,
}

impl Residents {
    /// `pods` with the top owner of each.
    pub(crate) fn new<'a>(
        pods: impl Iterator<Item = (&'a Pod, WorkloadRef)>,
        nodes: &NodeBook,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut all = Vec::new();
        let mut by_name = HashMap::new();
        let mut claims: HashMap<IpAddr, Vec<Claim<usize>>> = HashMap::new();
        let mut running: HashMap<IpAddr, &Pod> = HashMap::new();
        for (pod, workload) in pods {
            let holder = all.len();
            let node = if pod.spec.host_network {
                pod.node.as_ref().or_else(|| pod.ips.iter().find_map(|&ip| nodes.at(ip)))
            } else {
                pod.node.as_ref()
            };
            let peer = match node {
                Some(node) if pod.spec.host_network => Peer::Node(node.clone()),
                _ => Peer::Workload(workload.clone()),
            };
            all.push(Resident { workload, peer, node: node.cloned(), started: pod.started });
            // Live pods come first: a name is theirs, whoever had it before.
            by_name.entry(pod.reference.clone()).or_insert(holder);
            if pod.spec.host_network {
                continue;
            }
            let from = pod.started.unwrap_or(Timestamp::MIN);
            for ip in pod.ips.iter().map(IpAddr::to_canonical) {
                claims.entry(ip).or_default().push(Claim { from, end: end(pod), holder });
                if pod.phase == Phase::Running
                    && let Some(other) = running.insert(ip, pod)
                {
                    diagnostics.push(overlap(ip, other, pod));
                }
            }
        }
        Self { all, by_name, by_address: AddressBook::new(claims) }
    }

    /// A pod by its name.
    pub(crate) fn named(&self, pod: &PodRef) -> Option<&Resident> {
        self.by_name.get(pod).map(|&n| &self.all[n])
    }

    /// Who had the address at that moment, and how long around it the answer holds.
    pub(crate) fn at(&self, ip: IpAddr, at: Timestamp) -> (Option<&Resident>, Span) {
        let (holder, span) = self.by_address.at(ip.to_canonical(), at);
        (holder.map(|n| &self.all[n]), span)
    }

    /// Who has the address now.
    pub(crate) fn now(&self, ip: IpAddr) -> Option<&Resident> {
        self.by_address.now(ip.to_canonical()).map(|n| &self.all[n])
    }
}

/// Kubernetes writes times in whole seconds, cut off: a pod was still there during the second it ended in.
const SECOND: i64 = 1_000_000_000;

fn end(pod: &Pod) -> End {
    match (pod.phase.is_terminated(), pod.ended) {
        (false, _) => End::Open,
        (true, Some(at)) => End::At(Timestamp::from_nanos(at.nanos().saturating_add(SECOND))),
        (true, None) => End::Unknown,
    }
}

fn overlap(ip: IpAddr, one: &Pod, other: &Pod) -> Diagnostic {
    Diagnostic::warning(
        "pod-address-overlap",
        format!(
            "{ip} is the address of two running pods, {} and {}; it counts as the later one's",
            one.reference, other.reference
        ),
    )
    .at(other.origin.clone())
    .about(format!("Pod {}", other.reference))
    .value("address", ip)
    .value("pod", &one.reference)
    .value("other", &other.reference)
    .hint("give dumps of one cluster, all taken at the same time")
}

#[cfg(test)]
#[path = "residents_tests.rs"]
mod tests;
