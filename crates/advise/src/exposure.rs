//! What is open to more than the pods of today: to addresses, to every namespace, and to pods that do not exist yet.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ringfence_model::object::PodSpec;
use ringfence_model::{
    Direction, IpBlock, Name, NamespaceScope, NetworkPolicy, Operator, PeerMatch, Peers, PortMatch,
    PortRange, PortTarget, Ports, Protocol, Requirement, Rule, Selector,
};
use ringfence_policy::{ClassIx, ConnectionSet, End, EndPort, Party, PodIx};

use crate::blame::rule_name;
use crate::connectivity::{Connectivity, Group, Who, place};
use crate::selection::NAMESPACE_NAME_LABEL;

/// One opening of a group.
///
/// It is told as the group's own policies have it. Whoever comes may have policies of his own that forbid him to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The group, as an index into [`Connectivity::groups`].
    pub group: usize,
    /// Whether others may open connections to it, or it to others.
    pub direction: Direction,
    /// To whom it is open.
    pub to: Exposed,
    /// Over what. A wider opening of the same group has been taken off.
    pub connections: ConnectionSet,
    /// Ports whose number depends on who will be reached.
    pub names: Vec<(Protocol, Arc<str>)>,
    /// The rules that open it, with file and line; none where no policy isolates the group.
    pub because: Vec<String>,
}

/// To whom something is open, the widest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exposed {
    /// Every pod and every address, because no policy isolates the group.
    Unrestricted,
    /// Every pod and every address, because a rule names no peer.
    Everybody,
    /// Every pod of every namespace.
    EveryPod,
    /// Pods of every namespace with these labels.
    EveryNamespace(Selector),
    /// Pods, of today and later.
    Pods {
        /// Their namespaces.
        namespaces: Namespaces,
        /// Their labels.
        pods: Selector,
    },
    /// Addresses.
    Addresses(IpBlock),
}

/// The namespaces of [`Exposed::Pods`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namespaces {
    /// The one of this name.
    Named(Name),
    /// Those with these labels.
    Matching(Selector),
}

impl Namespaces {
    /// A namespace can be selected by its name, since the API server labels it so.
    fn of(selector: &Selector) -> Self {
        if let [Requirement { key, operator: Operator::In(values) }] = selector.requirements()
            && **key == *NAMESPACE_NAME_LABEL
            && values.len() == 1
            && let Some(Ok(name)) = values.first().map(|value| value.parse())
        {
            return Self::Named(name);
        }
        Self::Matching(selector.clone())
    }
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pods = |f: &mut fmt::Formatter<'_>, pods: &Selector| {
            if pods.is_everything() {
                f.write_str("any pod of ")
            } else {
                write!(f, "any pod with {pods} of ")
            }
        };
        match self {
            Self::Unrestricted | Self::Everybody => f.write_str("everybody"),
            Self::EveryPod => f.write_str("any pod of any namespace"),
            Self::EveryNamespace(selector) => {
                pods(f, selector)?;
                f.write_str("any namespace")
            }
            Self::Pods { namespaces, pods: selector } => {
                pods(f, selector)?;
                match namespaces {
                    Namespaces::Named(name) => write!(f, "namespace {name}"),
                    Namespaces::Matching(labels) => write!(f, "any namespace with {labels}"),
                }
            }
            Self::Addresses(block) => write!(f, "addresses {block}"),
        }
    }
}

#[derive(Default)]
struct Opening {
    connections: ConnectionSet,
    names: Vec<(Protocol, Arc<str>)>,
    because: Vec<String>,
}

impl<'a> Connectivity<'a> {
    /// The openings of a group in a direction, the widest first. Policies do not apply to addresses and host-network
    /// pods, which have none.
    pub fn exposure(&self, group: usize, direction: Direction) -> Vec<Exposure> {
        let mut openings: BTreeMap<Exposed, Opening> = BTreeMap::new();
        let who = &self.groups()[group];
        if who.namespace().is_none() || self.is_node(who) {
            return Vec::new();
        }
        if !who.is_isolated(direction) {
            openings.entry(Exposed::Unrestricted).or_default().connections = ConnectionSet::all();
        }
        // Pods that behave alike today may still be selected by different policies.
        for (end, spec) in self.kinds(who) {
            for policy in self.set().isolating(direction, end) {
                let policy = self.set().policy(*policy);
                for (n, rule) in policy.rules(direction).unwrap_or_default().iter().enumerate() {
                    let because = rule_name(policy, direction, n, &rule.origin);
                    let (connections, names) = self.ports(direction, rule, spec);
                    for to in exposed(policy, rule) {
                        let opening = openings.entry(to).or_default();
                        opening.connections = opening.connections.union(&connections);
                        opening.names.extend(names.iter().cloned());
                        opening.because.push(because.clone());
                    }
                }
            }
        }
        let mut wider: Vec<(Exposed, ConnectionSet)> = Vec::new();
        let mut found = Vec::new();
        for (to, mut opening) in openings {
            for (_, connections) in wider.iter().filter(|(wide, _)| covers(wide, &to)) {
                opening.connections = opening.connections.difference(connections);
            }
            opening.names.sort();
            opening.names.dedup();
            opening.because.sort();
            opening.because.dedup();
            if opening.connections.is_empty() && opening.names.is_empty() {
                continue;
            }
            wider.push((to.clone(), opening.connections.clone()));
            let Opening { connections, names, because } = opening;
            found.push(Exposure { group, direction, to, connections, names, because });
        }
        found
    }

    /// One pod of each class that is in the group, with what it says about its ports.
    fn kinds(&self, group: &Group<'a>) -> Vec<(End, &'a PodSpec)> {
        let Who::Pods { workload, pods, .. } = &group.who else { return Vec::new() };
        let mut seen: Vec<Party> = Vec::new();
        let mut kinds = Vec::new();
        for &pod in pods {
            let end = End::Pod(PodIx::new(place(pod)));
            let party = self.set().party(end);
            if !seen.contains(&party) {
                seen.push(party);
                kinds.push((end, &self.inventory().pods()[pod].spec));
            }
        }
        if pods.is_empty()
            && let Some(pod) = self.template(group.party())
        {
            kinds.push((End::Pod(pod), &workload.spec));
        }
        kinds
    }

    fn template(&self, party: Party) -> Option<PodIx> {
        let class = |class: ClassIx| self.set().classes().get(class.place());
        match party {
            Party::Pods(of) => class(of)?.pods().first().copied(),
            Party::Addresses(_) => None,
        }
    }

    /// The ports of a rule. Names are those of the pod reached: of the group's own for ingress.
    fn ports(
        &self,
        direction: Direction,
        rule: &Rule,
        spec: &PodSpec,
    ) -> (ConnectionSet, Vec<(Protocol, Arc<str>)>) {
        let Ports::Only(ports) = &rule.ports else { return (ConnectionSet::all(), Vec::new()) };
        let mut ranges = Vec::new();
        let mut names = Vec::new();
        for PortMatch { protocol, target } in ports {
            match target {
                PortTarget::Any => ranges.push((*protocol, PortRange::ALL)),
                PortTarget::Numbers(range) => {
                    let range = match self.set().profile().end_port {
                        EndPort::Enforced => *range,
                        EndPort::FirstPortOnly => PortRange::single(range.first()),
                    };
                    ranges.push((*protocol, range));
                }
                PortTarget::Named(name) if direction == Direction::Egress => {
                    names.push((*protocol, Arc::clone(name)));
                }
                PortTarget::Named(name) => {
                    let meant = spec.ports.iter().filter(|port| {
                        port.name.as_ref() == Some(name) && port.protocol == *protocol
                    });
                    ranges.extend(meant.map(|port| (*protocol, PortRange::single(port.port))));
                }
            }
        }
        (ranges.into_iter().collect(), names)
    }
}

/// Who may come by a rule.
pub(crate) fn exposed(policy: &NetworkPolicy, rule: &Rule) -> Vec<Exposed> {
    let Peers::Only(peers) = &rule.peers else { return vec![Exposed::Everybody] };
    let exposed = |peer: &PeerMatch| match peer {
        PeerMatch::IpBlock(block) => Exposed::Addresses(block.clone()),
        PeerMatch::Pods { namespaces: NamespaceScope::Own, pods } => Exposed::Pods {
            namespaces: Namespaces::Named(policy.namespace.clone()),
            pods: pods.clone(),
        },
        PeerMatch::Pods { namespaces: NamespaceScope::Matching(namespaces), pods } => {
            match (namespaces.is_everything(), pods.is_everything()) {
                (true, true) => Exposed::EveryPod,
                (true, false) => Exposed::EveryNamespace(pods.clone()),
                (false, _) => {
                    Exposed::Pods { namespaces: Namespaces::of(namespaces), pods: pods.clone() }
                }
            }
        }
    };
    peers.iter().map(exposed).collect()
}

/// Whether everybody whom the second means is meant by the first too, as far as can be told without the cluster.
fn covers(wide: &Exposed, narrow: &Exposed) -> bool {
    match wide {
        Exposed::Unrestricted | Exposed::Everybody => true,
        Exposed::EveryPod => !matches!(narrow, Exposed::Addresses(_)),
        Exposed::EveryNamespace(labels) => {
            matches!(narrow, Exposed::Pods { pods, .. } if pods == labels)
        }
        Exposed::Pods { namespaces, pods } => {
            pods.is_everything()
                && matches!(narrow, Exposed::Pods { namespaces: others, .. } if others == namespaces)
        }
        Exposed::Addresses(_) => false,
    }
}
