//! The smallest changes that would allow a denied connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringfence_model::object::Namespace;
use ringfence_model::{
    Cidr, Direction, IpBlock, Labels, Name, NamespaceScope, NetworkPolicy, Operator, Origin,
    PeerMatch, Peers, PortMatch, PortRange, PortTarget, Ports, Requirement, Rule, Selector,
};

use crate::cluster::{NAMESPACE_NAME, PodEntry};
use crate::connection::{Connection, End};
use crate::decision::Judgement;
use crate::index::{PodIx, PolicyIx};
use crate::miss::{Fault, Miss};
use crate::policy_set::PolicySet;
use crate::update::Touched;

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

/// How many of the nearest rules are tried for a remedy: farther ones need more than a small change.
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
        let (subject, peer) = match direction {
            Direction::Ingress => (connection.destination, connection.source),
            Direction::Egress => (connection.source, connection.destination),
        };
        let misses = self.misses_of(&isolating, direction, connection);
        let trial =
            Trial { set: self, direction, connection, isolating: &isolating, subject, peer };
        let near = misses.iter().take(TRIED);
        let labels = near.clone().find_map(|miss| trial.relabel_pods(miss));
        let namespace = near.clone().find_map(|miss| trial.relabel_namespace(miss));
        let policy = misses.first().map(|miss| miss.policy).or(isolating.first().copied());
        let rule =
            policy.and_then(|policy| self.rule_for(policy, direction, peer, connection, stable));
        let rule = rule.filter(|rule| trial.adds(rule));
        [labels, namespace, rule].into_iter().flatten().collect()
    }

    /// The set as it would be after a change, and what the change touches.
    ///
    /// # Panics
    /// When the remedy is of another set.
    #[must_use]
    pub fn with_remedy(&self, remedy: &Remedy) -> (Self, Touched) {
        let mut set = self.clone();
        let mut touched = Touched::default();
        match remedy {
            Remedy::LabelPods { pods, labels } => {
                for &pod in pods {
                    let labels = changed(&self.cluster.pods[pod.place()].labels, labels);
                    touched.parties.extend(set.relabel_pod(pod, labels).parties);
                }
                touched.parties.sort_unstable();
                touched.parties.dedup();
            }
            Remedy::LabelNamespace { namespace, labels } => {
                let known = self.cluster.namespaces.iter().find(|n| n.name == *namespace);
                if let Some(entry) = known {
                    touched = set.relabel_namespace(&Namespace {
                        name: namespace.clone(),
                        labels: changed(&entry.labels, labels),
                        origin: Origin::default(),
                    });
                }
            }
            Remedy::AddRule { policy: ix, direction, rule } => {
                let mut policy = self.policy(*ix).clone();
                let rules = match direction {
                    Direction::Ingress => &mut policy.ingress,
                    Direction::Egress => &mut policy.egress,
                };
                rules.get_or_insert_default().push(rule.clone());
                touched = set.replace_policy(*ix, policy);
            }
        }
        (set, touched)
    }

    /// The pods of the namespace that have the same labels, sorted.
    fn alike(&self, pod: &PodEntry) -> Vec<PodIx> {
        let classes = &self.classes.of_namespace[pod.namespace as usize];
        let pods = classes.iter().flat_map(|class| self.classes.list[*class as usize].pods());
        let alike = |ix: &PodIx| self.cluster.pods[ix.place()].labels == pod.labels;
        let mut pods: Vec<PodIx> = pods.copied().filter(alike).collect();
        pods.sort_unstable();
        pods
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

/// A connection that one end denies, and changes tried on it.
struct Trial<'a> {
    set: &'a PolicySet,
    direction: Direction,
    connection: &'a Connection,
    isolating: &'a [PolicyIx],
    /// The end that denies it.
    subject: End,
    peer: End,
}

/// The labels of an end and its namespace, as they would be.
struct Relabelled {
    pod: Labels,
    namespace: Labels,
}

impl Trial<'_> {
    /// The change of the peer's labels that mends a miss, if it helps.
    fn relabel_pods(&self, miss: &Miss) -> Option<Remedy> {
        let End::Pod(pod) = self.peer else { return None };
        let labels = changes(miss, |fault| match fault {
            Fault::PodLabel { requirement, .. } => Some(requirement),
            _ => None,
        })?;
        let cluster = &self.set.cluster;
        let pod = &cluster.pods[pod.place()];
        let peer = Relabelled {
            pod: changed(&pod.labels, &labels),
            namespace: cluster.namespaces[pod.namespace as usize].labels.clone(),
        };
        let remedy = || Remedy::LabelPods { pods: self.set.alike(pod), labels: labels.clone() };
        self.helps(&peer, self.subject_labels(pod, &peer.pod).as_ref(), remedy)
    }

    /// The change of the labels of the peer's namespace that mends a miss, if it helps.
    fn relabel_namespace(&self, miss: &Miss) -> Option<Remedy> {
        let End::Pod(pod) = self.peer else { return None };
        let labels = changes(miss, |fault| match fault {
            // The API server sets this label, nobody can change it.
            Fault::NamespaceLabel { requirement, .. } if &*requirement.key != NAMESPACE_NAME => {
                Some(requirement)
            }
            _ => None,
        })?;
        let cluster = &self.set.cluster;
        let pod = &cluster.pods[pod.place()];
        let namespace = &cluster.namespaces[pod.namespace as usize];
        let peer =
            Relabelled { pod: pod.labels.clone(), namespace: changed(&namespace.labels, &labels) };
        let remedy =
            || Remedy::LabelNamespace { namespace: namespace.name.clone(), labels: labels.clone() };
        self.helps(&peer, None, remedy)
    }

    /// The labels of the subject, when it is one of the pods that change with the peer.
    fn subject_labels(&self, peer: &PodEntry, changed: &Labels) -> Option<Labels> {
        let End::Pod(subject) = self.subject else { return None };
        let subject = &self.set.cluster.pods[subject.place()];
        let is_alike = subject.namespace == peer.namespace && subject.labels == peer.labels;
        is_alike.then(|| changed.clone())
    }

    /// The remedy, if the end allows the connection once labels have changed.
    fn helps(
        &self,
        peer: &Relabelled,
        subject: Option<&Labels>,
        remedy: impl Fn() -> Remedy,
    ) -> Option<Remedy> {
        let set = self.set;
        // Cluster-wide policies may say something else about other labels: rare enough to try it out.
        if !set.tiers.sides[self.direction as usize].group.is_empty() {
            let remedy = remedy();
            let judgement = set.with_remedy(&remedy).0.judge(self.direction, self.connection);
            return judgement.allowed().then_some(remedy);
        }
        let allows = |policy: &NetworkPolicy| {
            let rules = policy.rules(self.direction).unwrap_or_default();
            rules.iter().any(|rule| self.matches(policy, rule, peer))
        };
        let helps = match subject {
            None => self.isolating.iter().any(|ix| allows(set.policy(*ix))),
            Some(labels) => {
                let namespace = self.isolating.first().map(|ix| &set.policy(*ix).namespace);
                let mut isolating = set.policies.iter().filter(|policy| {
                    Some(&policy.namespace) == namespace
                        && policy.rules(self.direction).is_some()
                        && policy.pod_selector.matches(labels)
                });
                // Pods that no policy isolates are open.
                isolating.clone().next().is_none() || isolating.any(allows)
            }
        };
        helps.then(remedy)
    }

    fn matches(&self, policy: &NetworkPolicy, rule: &Rule, peer: &Relabelled) -> bool {
        let from = match &rule.peers {
            Peers::Any => true,
            Peers::Only(peers) => peers.iter().any(|item| match item {
                PeerMatch::Pods { namespaces, pods } => {
                    let is_inside = match namespaces {
                        NamespaceScope::Own => {
                            let End::Pod(pod) = self.peer else { return false };
                            self.set.pod(pod).namespace == policy.namespace
                        }
                        NamespaceScope::Matching(selector) => selector.matches(&peer.namespace),
                    };
                    is_inside && pods.matches(&peer.pod) && self.set.is_subject(self.peer)
                }
                PeerMatch::IpBlock(block) => self.set.block_fault(block, self.peer).is_none(),
            }),
        };
        let over = match &rule.ports {
            Ports::Any => true,
            Ports::Only(ports) => {
                ports.iter().any(|port| self.set.port_fault(port, self.connection).is_none())
            }
        };
        from && over
    }

    /// Whether a rule that is added allows the connection. Nothing else changes, so what stands before and behind
    /// `NetworkPolicies` has no more to say than before.
    fn adds(&self, remedy: &Remedy) -> bool {
        let Remedy::AddRule { policy, rule, .. } = remedy else { return false };
        let (pod, namespace) = match self.peer {
            End::Address(_) => (Labels::empty(), Labels::empty()),
            End::Pod(pod) => {
                let pod = &self.set.cluster.pods[pod.place()];
                let namespace = &self.set.cluster.namespaces[pod.namespace as usize];
                (pod.labels.clone(), namespace.labels.clone())
            }
        };
        self.matches(self.set.policy(*policy), rule, &Relabelled { pod, namespace })
    }
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
