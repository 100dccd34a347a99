//! The smallest changes that would allow a denied connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringfence_model::{
    Cidr, Direction, IpBlock, Labels, Name, NamespaceScope, NetworkPolicy, Operator, Origin,
    PeerMatch, Peers, PortMatch, PortRange, PortTarget, Ports, Requirement, Rule, Selector,
};

use crate::cluster::NAMESPACE_NAME;
use crate::compile;
use crate::connection::{Connection, End};
use crate::decision::Judgement;
use crate::index::{PodIx, PolicyIx};
use crate::miss::{Fault, Miss};
use crate::policy_set::PolicySet;

/// Labels to set, or with `None` to remove.
pub type LabelChanges = BTreeMap<Arc<str>, Option<Arc<str>>>;

/// A change that would allow a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Change labels of these pods: those of the namespace that have the same labels today, as replicas do.
    LabelPods {
        /// The pods, sorted.
        pods: Vec<PodIx>,
        /// The change.
        labels: LabelChanges,
    },
    /// Change labels of a namespace.
    LabelNamespace {
        /// The namespace.
        namespace: Name,
        /// The change.
        labels: LabelChanges,
    },
    /// Add a rule for exactly this peer and port.
    AddRule {
        /// The policy to add it to.
        policy: PolicyIx,
        /// Its `ingress` or `egress` list.
        direction: Direction,
        /// The rule.
        rule: Rule,
    },
}

/// How many of the nearest rules are tried for a remedy: each trial compiles the policies.
const TRIED: usize = 8;

impl PolicySet {
    /// Changes of one kind each that make the policies of one end allow a connection which they deny, smallest first.
    ///
    /// Every remedy has been tried. What else it opens tells the [`Difference`](crate::Difference) between this set
    /// and the one [`with_remedy`](Self::with_remedy). New rules select pods by the labels whose key is `stable`.
    ///
    /// # Panics
    /// When a pod is of another set.
    pub fn remedies(
        &self,
        direction: Direction,
        connection: &Connection,
        stable: impl Fn(&str) -> bool,
    ) -> Vec<Remedy> {
        let Judgement::Denied(isolating) = self.judge(direction, connection) else {
            return Vec::new();
        };
        let peer = match direction {
            Direction::Ingress => connection.source,
            Direction::Egress => connection.destination,
        };
        let misses = self.misses(direction, connection);
        let works =
            |remedy: &Remedy| self.with_remedy(remedy).judge(direction, connection).allowed();
        let near = misses.iter().take(TRIED);
        let labels = near.clone().filter_map(|miss| self.relabel_pods(miss, peer)).find(works);
        let namespace = near.filter_map(relabel_namespace).find(works);
        let policy = misses.first().map(|miss| miss.policy).or(isolating.first().copied());
        let rule =
            policy.and_then(|policy| self.rule_for(policy, direction, peer, connection, stable));
        [labels, namespace, rule.filter(works)].into_iter().flatten().collect()
    }

    /// The set as it would be after a change.
    ///
    /// # Panics
    /// When the remedy is of another set.
    #[must_use]
    pub fn with_remedy(&self, remedy: &Remedy) -> Self {
        let mut cluster = (*self.cluster).clone();
        let mut policies = self.policies().to_vec();
        match remedy {
            Remedy::LabelPods { pods, labels } => {
                for pod in pods {
                    let pod = &mut cluster.pods[pod.place()];
                    pod.labels = changed(&pod.labels, labels);
                }
            }
            Remedy::LabelNamespace { namespace, labels } => {
                for entry in cluster.namespaces.iter_mut().filter(|n| n.name == *namespace) {
                    entry.labels = changed(&entry.labels, labels);
                }
            }
            Remedy::AddRule { policy, direction, rule } => {
                let policy = &mut policies[policy.place()];
                let rules = match direction {
                    Direction::Ingress => &mut policy.ingress,
                    Direction::Egress => &mut policy.egress,
                };
                rules.get_or_insert_default().push(rule.clone());
            }
        }
        compile::compile(Arc::new(cluster), policies, self.cluster_policies()).0
    }

    fn relabel_pods(&self, miss: &Miss, peer: End) -> Option<Remedy> {
        let End::Pod(pod) = peer else { return None };
        let pod = &self.cluster.pods[pod.place()];
        let labels = changes(miss, |fault| match fault {
            Fault::PodLabel { requirement, .. } => Some(requirement),
            _ => None,
        })?;
        let alike = self
            .cluster
            .present()
            .filter(|(_, other)| other.namespace == pod.namespace && other.labels == pod.labels);
        let pods = alike.map(|(ix, _)| ix).collect();
        Some(Remedy::LabelPods { pods, labels })
    }

    fn rule_for(
        &self,
        policy: PolicyIx,
        direction: Direction,
        peer: End,
        connection: &Connection,
        stable: impl Fn(&str) -> bool,
    ) -> Option<Remedy> {
        let host = |ip: &std::net::IpAddr| PeerMatch::IpBlock(IpBlock::whole(Cidr::host(*ip)));
        let peers = match peer {
            End::Address(ip) => vec![host(&ip)],
            End::Pod(pod) => {
                let pod = &self.cluster.pods[pod.place()];
                if self.cluster.counts_as_node(pod) {
                    pod.addresses.iter().map(host).collect()
                } else {
                    let labels = pod.labels.filtered(stable);
                    // An empty selector would allow the whole namespace.
                    if labels.is_empty() {
                        return None;
                    }
                    let namespaces = scope(self.policy(policy), &pod.reference.namespace);
                    vec![PeerMatch::Pods { namespaces, pods: Selector::labels(&labels) }]
                }
            }
        };
        let port = PortMatch {
            protocol: connection.protocol,
            target: PortTarget::Numbers(PortRange::single(connection.port)),
        };
        let rule = Rule {
            origin: Origin::default(),
            peers: Peers::Only(peers),
            ports: Ports::Only(vec![port]),
        };
        Some(Remedy::AddRule { policy, direction, rule })
    }
}

fn relabel_namespace(miss: &Miss) -> Option<Remedy> {
    let labels = changes(miss, |fault| match fault {
        // The API server sets this label, nobody can change it.
        Fault::NamespaceLabel { requirement, .. } if &*requirement.key != NAMESPACE_NAME => {
            Some(requirement)
        }
        _ => None,
    })?;
    let namespace = miss.faults.iter().find_map(|fault| match fault {
        Fault::NamespaceLabel { namespace, .. } => Some(namespace.clone()),
        _ => None,
    })?;
    Some(Remedy::LabelNamespace { namespace, labels })
}

fn scope(policy: &NetworkPolicy, namespace: &Name) -> NamespaceScope {
    if policy.namespace == *namespace {
        return NamespaceScope::Own;
    }
    let by_name = Requirement::equals(NAMESPACE_NAME, namespace.as_str());
    NamespaceScope::Matching([by_name].into_iter().collect())
}

/// The label changes that mend all faults of a miss, when labels of one kind are all its faults.
fn changes<'a>(
    miss: &'a Miss,
    requirement: impl Fn(&'a Fault) -> Option<&'a Requirement>,
) -> Option<LabelChanges> {
    miss.faults
        .iter()
        .map(|fault| {
            let requirement = requirement(fault)?;
            let value = match &requirement.operator {
                Operator::In(values) => Some(Arc::clone(values.first()?)),
                Operator::Exists => Some("true".into()),
                Operator::NotIn(_) | Operator::DoesNotExist => None,
            };
            Some((Arc::clone(&requirement.key), value))
        })
        .collect()
}

fn changed(labels: &Labels, changes: &LabelChanges) -> Labels {
    let kept = labels.iter().filter(|(key, _)| !changes.contains_key(*key));
    let kept = kept.map(|(key, value)| (Arc::clone(key), Arc::clone(value)));
    let set = changes
        .iter()
        .filter_map(|(key, value)| Some((Arc::clone(key), Arc::clone(value.as_ref()?))));
    kept.chain(set).collect()
}
