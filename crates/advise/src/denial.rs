//! Why a connection is denied, what would allow it, and what else that would change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringfence_model::{
    Cidr, Direction, NamespaceScope, PeerMatch, Peers, PortMatch, PortTarget, Ports, Values,
};
use ringfence_policy::{
    Compared, Connection, ConnectionSet, Difference, End, Fault, LabelChanges, Miss, PodIx,
    PodPair, PolicySet, Remedy,
};
use serde::Serialize;

use crate::blame::rule_name;
use crate::connectivity::place;
use crate::exposure::exposed;
use crate::lack::LackCode;
use crate::said::{Said, Say};
use crate::selection::is_volatile;
use crate::witness::World;

/// A rule that did not allow a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The rule, with file and line.
    pub rule: String,
    /// The parts of it that match.
    pub matches: Vec<&'static str>,
    /// What the others would need.
    pub needs: Vec<Said<LackCode>>,
}

/// A change that would allow a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mend {
    /// What to do.
    pub change: Said<RemedyCode>,
    /// The connectivity that it opens beside the connection, by workload.
    pub opens: Vec<String>,
    /// The connectivity that it closes.
    pub closes: Vec<String>,
}

/// What kind of change would allow a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RemedyCode {
    /// On the pods of `workloads`, give labels the values of `set`, and remove the labels `remove`.
    LabelPods,
    /// On `namespace`, give labels the values of `set`, and remove the labels `remove`.
    LabelNamespace,
    /// Add to `policy`, at `file` and `line`, an ingress rule from `peers` over `ports`.
    AddIngressRule,
    /// Add to `policy`, at `file` and `line`, an egress rule to `peers` over `ports`.
    AddEgressRule,
}

impl World<'_> {
    /// The rules of the policies that deny a connection at one end, the nearest first.
    pub fn near_misses(&self, direction: Direction, connection: &Connection) -> Vec<NearMiss> {
        let misses = self.set().misses(direction, connection);
        misses.iter().map(|miss| near_miss(self.set(), miss)).collect()
    }

    /// Changes that make one end allow a connection that its policies deny, the smallest first.
    pub fn mends(&self, direction: Direction, connection: &Connection) -> Vec<Mend> {
        let remedies = self.set().remedies(direction, connection, |key| !is_volatile(key));
        remedies.iter().map(|remedy| self.mend(remedy, connection)).collect()
    }

    fn mend(&self, remedy: &Remedy, connection: &Connection) -> Mend {
        let (after, touched) = self.set().with_remedy(remedy);
        let pods = (0..self.set().pod_count()).map(|n| {
            let pod = Some(PodIx::new(place(n)));
            PodPair { before: pod, after: pod }
        });
        // What each end of a changed pair opens and closes.
        let mut opened: BTreeMap<(String, String), ConnectionSet> = BTreeMap::new();
        let mut closed = opened.clone();
        let asked =
            ConnectionSet::ports(connection.protocol, [connection.port].into_iter().collect());
        let asked_ends = (self.names(connection.source), self.names(connection.destination));
        Difference::with_pairs(self.set(), &after, pods).walk_touched(&touched, |change| {
            let (added, removed) = (change.added(), change.removed());
            for source in &self.compared(change.source) {
                for destination in &self.compared(change.destination) {
                    let ends = (source.clone(), destination.clone());
                    let is_asked = *source == asked_ends.0 && *destination == asked_ends.1;
                    let added = if is_asked { added.difference(&asked) } else { added.clone() };
                    for (changes, set) in [(&mut opened, added), (&mut closed, removed.clone())] {
                        if !set.is_empty() {
                            let all = changes.entry(ends.clone()).or_default();
                            *all = all.union(&set);
                        }
                    }
                }
            }
        });
        let told = |changes: BTreeMap<(String, String), ConnectionSet>| {
            let line = |((from, to), set)| format!("{from} -> {to} {set}");
            changes.into_iter().map(line).collect()
        };
        Mend { change: self.told(remedy), opens: told(opened), closes: told(closed) }
    }

    fn told(&self, remedy: &Remedy) -> Said<RemedyCode> {
        match remedy {
            Remedy::LabelPods { pods, labels } => {
                let workloads: BTreeSet<String> =
                    pods.iter().map(|pod| self.names(End::Pod(*pod))).collect();
                let workloads = workloads.into_iter().collect::<Vec<_>>().join(", ");
                let text = format!("{} on the pods of {workloads}", label_changes(labels));
                let mut values = label_values(labels);
                values.insert("workloads", workloads);
                Said { code: RemedyCode::LabelPods, values, text }
            }
            Remedy::LabelNamespace { namespace, labels } => {
                let text = format!("{} on namespace {namespace}", label_changes(labels));
                let mut values = label_values(labels);
                values.insert("namespace", namespace.to_string());
                Said { code: RemedyCode::LabelNamespace, values, text }
            }
            Remedy::AddRule { policy, direction, rule } => {
                let policy = self.set().policy(*policy);
                let (list, word, code) = match direction {
                    Direction::Ingress => ("ingress", "from", RemedyCode::AddIngressRule),
                    Direction::Egress => ("egress", "to", RemedyCode::AddEgressRule),
                };
                let peers: Vec<String> =
                    exposed(policy, rule).iter().map(ToString::to_string).collect();
                let ports: Vec<String> = match &rule.ports {
                    Ports::Any => vec!["every port".to_owned()],
                    Ports::Only(ports) => ports.iter().map(port).collect(),
                };
                let (peers, ports) = (peers.join(" or "), ports.join(", "));
                let text = format!(
                    "add to NetworkPolicy {policy} ({}) the {list} rule: {word} {peers} over {ports}",
                    policy.origin,
                );
                let mut values = crate::said::place(&policy.origin);
                let policy = policy.to_string();
                values.extend([("policy", policy), ("peers", peers), ("ports", ports)]);
                Said { code, values, text }
            }
        }
    }

    /// The workload of an end, or what else it is called.
    fn names(&self, end: End) -> String {
        match end {
            End::Pod(pod) => match self.workload_of(pod) {
                Some(workload) => workload.to_string(),
                None => format!("any pod of namespace {}", self.set().pod(pod).namespace),
            },
            End::Address(ip) => Cidr::host(ip).to_string(),
        }
    }

    fn compared(&self, compared: &Compared) -> BTreeSet<String> {
        match compared {
            Compared::Pods(pairs) => {
                pairs.iter().filter_map(|pair| Some(self.names(End::Pod(pair.after?)))).collect()
            }
            Compared::Addresses(atom) => {
                let cidrs = atom.cidrs();
                let first = cidrs.first().map(ToString::to_string).unwrap_or_default();
                let more = match cidrs.len() {
                    0 | 1 => String::new(),
                    n => format!(",+{}", n - 1),
                };
                [first + &more].into()
            }
        }
    }
}

fn near_miss(set: &PolicySet, miss: &Miss) -> NearMiss {
    let policy = set.policy(miss.policy);
    let rules = policy.rules(miss.direction).unwrap_or_default();
    let rule = rules.get(miss.rule as usize);
    let origin = rule.map_or(&policy.origin, |rule| &rule.origin);
    let has = |is: fn(&Fault) -> bool| miss.faults.iter().any(is);
    let mut matches = Vec::new();
    if let (Some(Peers::Only(peers)), Some(peer)) = (rule.map(|rule| &rule.peers), miss.peer) {
        let is_no_pod = has(|f| matches!(f, Fault::NotAPod(_) | Fault::HostNetworkPod(_)));
        match peers.get(peer as usize) {
            Some(PeerMatch::Pods { namespaces, pods }) if !is_no_pod => {
                if matches!(namespaces, NamespaceScope::Matching(_))
                    && !has(|f| matches!(f, Fault::NamespaceLabel { .. }))
                {
                    matches.push("namespaceSelector");
                }
                if !pods.is_everything() && !has(|f| matches!(f, Fault::PodLabel { .. })) {
                    matches.push("podSelector");
                }
            }
            Some(PeerMatch::IpBlock(_))
                if !has(|f| {
                    matches!(
                        f,
                        Fault::OutsideBlock(_) | Fault::Excepted { .. } | Fault::IgnoredByBlocks(_)
                    )
                }) =>
            {
                matches.push("ipBlock");
            }
            _ => {}
        }
    }
    let is_port = |f: &Fault| {
        matches!(f, Fault::Port { .. } | Fault::PortName { .. } | Fault::Protocol { .. })
    };
    if miss.port.is_some() && !has(is_port) {
        matches.push("ports");
    }
    NearMiss {
        rule: rule_name(policy, miss.direction, miss.rule as usize, origin),
        matches,
        needs: miss.faults.iter().map(Say::said).collect(),
    }
}

fn label_changes(labels: &LabelChanges) -> String {
    let change = |(key, value): (&Arc<str>, &Option<Arc<str>>)| match value {
        Some(value) => format!("set label {key}={value}"),
        None => format!("remove label {key}"),
    };
    labels.iter().map(change).collect::<Vec<_>>().join(" and ")
}

/// Labels to `set`, as `key=value`, and to `remove`.
fn label_values(labels: &LabelChanges) -> Values {
    let mut values = Values::new();
    for (key, value) in labels {
        let (name, label) = match value {
            Some(value) => ("set", format!("{key}={value}")),
            None => ("remove", key.to_string()),
        };
        let labels = values.entry(name).or_default();
        if !labels.is_empty() {
            labels.push_str(", ");
        }
        labels.push_str(&label);
    }
    values
}

fn port(port: &PortMatch) -> String {
    match &port.target {
        PortTarget::Any => format!("{}/all", port.protocol),
        PortTarget::Numbers(range) => format!("{}/{range}", port.protocol),
        PortTarget::Named(name) => format!("{}/{name}", port.protocol),
    }
}
