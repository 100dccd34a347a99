//! The pods that ever ran, with their names and addresses.

use super::shop::{Kind, NODES, Node, REPORT_RUNS, WORKLOADS, Workload};
use crate::clock::Moment;
use crate::random::Random;

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    pub workload: &'static Workload,
    pub node: &'static Node,
    pub name: String,
    /// Its `ReplicaSet`, `StatefulSet`, `DaemonSet` or Job; a static pod has its node.
    pub owner: String,
    pub uid: String,
    /// Its own addresses, or for a host-network pod those of its node.
    pub addresses: Vec<String>,
    pub from: Moment,
    pub until: Option<Moment>,
}

impl Pod {
    /// Its IPv4 address.
    pub fn v4(&self) -> &str {
        &self.addresses[0]
    }

    /// Whether it runs at a moment.
    pub fn runs_at(&self, moment: Moment) -> bool {
        self.from <= moment && self.until.is_none_or(|until| moment < until)
    }

    /// Whether the API server still has it: finished pods of Jobs stay, evicted pods go.
    pub fn is_in_dump(&self) -> bool {
        self.until.is_none() || self.workload.kind == Kind::CronJob
    }
}

/// The hash that a Deployment puts into the names and labels of its `ReplicaSet` and pods.
pub fn template_hash(workload: &Workload) -> String {
    Random::named(&format!("template {}", workload.path())).suffix(10)
}

/// The name of the Job for a run of the report.
pub fn job_name(run: usize) -> String {
    format!("report-{}", REPORT_RUNS[run].minutes())
}

/// Every pod, in the order of the table.
pub fn all() -> Vec<Pod> {
    WORKLOADS.iter().flat_map(of).collect()
}

fn of(workload: &'static Workload) -> impl Iterator<Item = Pod> {
    workload.places.iter().enumerate().map(move |(ordinal, place)| {
        let mut random = Random::named(&format!("pod {} {ordinal}", workload.path()));
        let node = &NODES[place.node];
        let (owner, name) = match workload.kind {
            Kind::Deployment => {
                let owner = format!("{}-{}", workload.name, template_hash(workload));
                let name = format!("{owner}-{}", random.suffix(5));
                (owner, name)
            }
            Kind::StatefulSet => (workload.name.to_owned(), format!("{}-{ordinal}", workload.name)),
            Kind::DaemonSet => {
                (workload.name.to_owned(), format!("{}-{}", workload.name, random.suffix(5)))
            }
            Kind::CronJob => {
                let owner = job_name(ordinal);
                let name = format!("{owner}-{}", random.suffix(5));
                (owner, name)
            }
            Kind::StaticPod => (node.name.to_owned(), format!("{}-{}", workload.name, node.name)),
        };
        let addresses = if workload.host_network {
            vec![node.address.to_owned()]
        } else {
            vec![node.pod_v4(place.host), node.pod_v6(place.host)]
        };
        Pod {
            workload,
            node,
            name,
            owner,
            uid: random.uuid(),
            addresses,
            from: place.from,
            until: place.until,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::shop::{BEGIN, END};
    use super::*;

    #[test]
    fn no_two_pods_have_an_address_at_the_same_time() {
        let mut by_address: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
        for pod in all().into_iter().filter(|pod| !pod.workload.host_network) {
            by_address.entry(pod.v4().to_owned()).or_default().push(pod);
        }
        let mut reused = 0;
        for (address, mut pods) in by_address {
            pods.sort_by_key(|pod| pod.from);
            for pair in pods.windows(2) {
                let until = pair[0].until.expect("an address is free before it is given again");
                assert!(
                    until <= pair[1].from,
                    "{address} is {} and {}",
                    pair[0].name,
                    pair[1].name
                );
                assert!(BEGIN < until && until < END);
                reused += 1;
            }
        }
        assert_eq!(reused, 2, "one after an eviction, one after a finished Job");
    }
}
