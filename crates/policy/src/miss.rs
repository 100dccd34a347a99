//! Why a connection was not allowed: what each rule would have needed.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ringfence_model::{
    Cidr, Direction, IpBlock, Labels, Name, NamespaceScope, PeerMatch, Peers, PodRef, Port,
    PortMatch, PortRange, PortTarget, Ports, Protocol, Requirement, Rule, Selector,
};

use crate::connection::{Connection, End};
use crate::decision::Judgement;
use crate::index::{PolicyIx, index};
use crate::policy_set::PolicySet;
use crate::profile::{EndPort, IpBlockNodes};

/// A rule that did not allow a connection, by its entries that came nearest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The policy.
    pub policy: PolicyIx,
    /// Its `ingress` or `egress` list.
    pub direction: Direction,
    /// The rule in that list, from 0.
    pub rule: u32,
    /// The entry of `from` or `to` with the fewest faults, from 0; `None` when everybody matches.
    pub peer: Option<u32>,
    /// The entry of `ports` with the fewest faults, from 0; `None` when every port matches.
    pub port: Option<u32>,
    /// What these two entries would need; never empty.
    pub faults: Vec<Fault>,
}

impl Miss {
    /// How far the rule is from allowing the connection; comparable only with others of the same connection.
    pub fn distance(&self) -> u32 {
        self.faults.iter().map(Fault::weight).sum()
    }
}

/// One condition that a connection did not fulfil.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `podSelector`: the pod's label is another or missing.
    PodLabel {
        /// What the selector asks.
        requirement: Requirement,
        /// The pod.
        pod: PodRef,
        /// The value that the pod has.
        value: Option<Arc<str>>,
    },
    /// `namespaceSelector`: the namespace's label is another or missing.
    NamespaceLabel {
        /// What the selector asks.
        requirement: Requirement,
        /// The namespace of the pod.
        namespace: Name,
        /// The value that the namespace has.
        value: Option<Arc<str>>,
    },
    /// `podSelector` alone means the policy's own namespace, and the pod is in another.
    OtherNamespace {
        /// The policy's namespace.
        needed: Name,
        /// The pod.
        pod: PodRef,
    },
    /// Selectors do not match addresses.
    NotAPod(IpAddr),
    /// Selectors ignore host-network pods.
    HostNetworkPod(PodRef),
    /// No address of the end is in the ipBlock.
    OutsideBlock(Cidr),
    /// The addresses in the ipBlock are excepted, one of them by this.
    Excepted {
        /// The ipBlock before exceptions.
        cidr: Cidr,
        /// The exception.
        except: Cidr,
    },
    /// The end is in the ipBlock, but the profile says that ipBlocks do not match pods, or not nodes.
    IgnoredByBlocks(Cidr),
    /// The entry of `ports` is for another protocol.
    Protocol {
        /// The protocol of the entry.
        needed: Protocol,
        /// The protocol of the connection.
        found: Protocol,
    },
    /// The entry of `ports` has other numbers.
    Port {
        /// The numbers of the entry, as the profile enforces them.
        needed: PortRange,
        /// The port of the connection.
        found: Port,
    },
    /// The entry of `ports` has a name that means something else, or nothing, at the destination.
    PortName {
        /// The name.
        name: Arc<str>,
        /// The numbers behind the name at the destination.
        numbers: Vec<Port>,
        /// The port of the connection.
        found: Port,
    },
}

impl Fault {
    /// Labels and ports are nearer to what was meant than namespaces and addresses.
    const fn weight(&self) -> u32 {
        match self {
            Self::PodLabel { .. }
            | Self::NamespaceLabel { .. }
            | Self::Port { .. }
            | Self::PortName { .. } => 2,
            Self::Protocol { .. } => 3,
            Self::OtherNamespace { .. } | Self::Excepted { .. } | Self::IgnoredByBlocks(_) => 4,
            Self::OutsideBlock(_) => 6,
            Self::NotAPod(_) | Self::HostNetworkPod(_) => 8,
        }
    }
}

/// `podSelector needs tier=web, pod shop/cart has tier=api`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodLabel { requirement, pod, value } => {
                write!(f, "podSelector needs {requirement}, pod {pod} has ")?;
                write_label(f, requirement, value.as_deref())
            }
            Self::NamespaceLabel { requirement, namespace, value } => {
                write!(f, "namespaceSelector needs {requirement}, namespace {namespace} has ")?;
                write_label(f, requirement, value.as_deref())
            }
            Self::OtherNamespace { needed, pod } => {
                write!(
                    f,
                    "podSelector without namespaceSelector means namespace {needed}, not that of pod {pod}"
                )
            }
            Self::NotAPod(ip) => write!(f, "selectors match pods, and {ip} is none"),
            Self::HostNetworkPod(pod) => {
                write!(f, "selectors ignore host-network pods such as {pod}")
            }
            Self::OutsideBlock(cidr) => write!(f, "the address is outside ipBlock {cidr}"),
            Self::Excepted { cidr, except } => write!(f, "ipBlock {cidr} excepts {except}"),
            Self::IgnoredByBlocks(cidr) => {
                write!(
                    f,
                    "ipBlock {cidr} holds the address but does not match it under this profile"
                )
            }
            Self::Protocol { needed, found } => {
                write!(f, "ports needs {needed}, the connection is {found}")
            }
            Self::Port { needed, found } => {
                write!(f, "ports needs {needed}, the connection is to {found}")
            }
            Self::PortName { name, numbers, found } if numbers.is_empty() => {
                write!(
                    f,
                    "ports needs {name}, which the destination does not declare; the connection is to {found}"
                )
            }
            Self::PortName { name, numbers, found } => {
                let numbers: Vec<String> = numbers.iter().map(Port::to_string).collect();
                write!(
                    f,
                    "ports needs {name}, which is {}, the connection is to {found}",
                    numbers.join(",")
                )
            }
        }
    }
}

fn write_label(
    f: &mut fmt::Formatter<'_>,
    requirement: &Requirement,
    value: Option<&str>,
) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{}={value}", requirement.key),
        None => write!(f, "no {}", requirement.key),
    }
}

impl PolicySet {
    /// Why the policies of one end deny a connection: every rule of the policies that isolate it, nearest first.
    ///
    /// Empty when they do not deny it. A policy without rules has no entry: it denies everything.
    ///
    /// # Panics
    /// When a pod is of another set.
    pub fn misses(&self, direction: Direction, connection: &Connection) -> Vec<Miss> {
        let Judgement::Denied(isolating) = self.judge(direction, connection) else {
            return Vec::new();
        };
        self.misses_of(&isolating, direction, connection)
    }

    /// The rules of policies that deny a connection, nearest first.
    pub(crate) fn misses_of(
        &self,
        isolating: &[PolicyIx],
        direction: Direction,
        connection: &Connection,
    ) -> Vec<Miss> {
        let mut misses: Vec<Miss> = Vec::new();
        for &policy in isolating {
            let rules = self.policy(policy).rules(direction).unwrap_or_default();
            for (n, rule) in rules.iter().enumerate() {
                misses.push(self.miss(policy, direction, index(n), rule, connection));
            }
        }
        misses.sort_by_key(|miss| (miss.distance(), miss.policy, miss.rule));
        misses
    }

    fn miss(
        &self,
        policy: PolicyIx,
        direction: Direction,
        n: u32,
        rule: &Rule,
        c: &Connection,
    ) -> Miss {
        let end = match direction {
            Direction::Ingress => c.source,
            Direction::Egress => c.destination,
        };
        let (peer, mut faults) = match &rule.peers {
            Peers::Any => (None, Vec::new()),
            Peers::Only(peers) => {
                nearest(peers.iter().map(|peer| self.peer_faults(policy, peer, end)))
            }
        };
        let (port, port_faults) = match &rule.ports {
            Ports::Any => (None, Vec::new()),
            Ports::Only(ports) => {
                nearest(ports.iter().map(|port| self.port_fault(port, c).into_iter().collect()))
            }
        };
        faults.extend(port_faults);
        Miss { policy, direction, rule: n, peer, port, faults }
    }

    fn peer_faults(&self, policy: PolicyIx, peer: &PeerMatch, end: End) -> Vec<Fault> {
        match peer {
            PeerMatch::Pods { namespaces, pods } => {
                self.selector_faults(policy, namespaces, pods, end)
            }
            PeerMatch::IpBlock(block) => self.block_fault(block, end).into_iter().collect(),
        }
    }

    fn selector_faults(
        &self,
        policy: PolicyIx,
        scope: &NamespaceScope,
        pods: &Selector,
        end: End,
    ) -> Vec<Fault> {
        let pod = match end {
            End::Address(ip) => return vec![Fault::NotAPod(ip)],
            End::Pod(pod) => &self.cluster.pods[pod.place()],
        };
        if self.cluster.counts_as_node(pod) {
            return vec![Fault::HostNetworkPod(pod.reference.clone())];
        }
        let namespace = &self.cluster.namespaces[pod.namespace as usize];
        let mut faults = Vec::new();
        match scope {
            NamespaceScope::Own => {
                let needed = &self.policy(policy).namespace;
                if *needed != namespace.name {
                    faults.push(Fault::OtherNamespace {
                        needed: needed.clone(),
                        pod: pod.reference.clone(),
                    });
                }
            }
            NamespaceScope::Matching(selector) => {
                faults.extend(unmet(selector, &namespace.labels).map(|(requirement, value)| {
                    Fault::NamespaceLabel { requirement, namespace: namespace.name.clone(), value }
                }));
            }
        }
        faults.extend(unmet(pods, &pod.labels).map(|(requirement, value)| Fault::PodLabel {
            requirement,
            pod: pod.reference.clone(),
            value,
        }));
        faults
    }

    pub(crate) fn block_fault(&self, block: &IpBlock, end: End) -> Option<Fault> {
        let profile = self.profile();
        let (addresses, ignored) = match &end {
            End::Address(ip) => (std::slice::from_ref(ip), false),
            End::Pod(pod) => {
                let pod = &self.cluster.pods[pod.place()];
                let ignored = !profile.block_sees(self.cluster.counts_as_node(pod));
                (pod.addresses.as_slice(), ignored)
            }
        };
        let is_apart = |ip: &IpAddr| {
            profile.ip_block_nodes == IpBlockNodes::NeverMatch
                && self.cluster.node_addresses.contains(&ip.to_canonical())
        };
        let cidr = block.cidr();
        let mut inside = addresses.iter().filter(|ip| block.contains(**ip)).peekable();
        if inside.peek().is_some() {
            let matches = !ignored && inside.any(|ip| !is_apart(ip));
            return (!matches).then_some(Fault::IgnoredByBlocks(cidr));
        }
        let mut exceptions = block.except().iter();
        let except = exceptions.find(|except| addresses.iter().any(|ip| except.contains(*ip)));
        Some(match except {
            Some(except) => Fault::Excepted { cidr, except: *except },
            None => Fault::OutsideBlock(cidr),
        })
    }

    pub(crate) fn port_fault(&self, item: &PortMatch, c: &Connection) -> Option<Fault> {
        if item.protocol != c.protocol {
            return Some(Fault::Protocol { needed: item.protocol, found: c.protocol });
        }
        match &item.target {
            PortTarget::Any => None,
            PortTarget::Numbers(range) => {
                let needed = match self.profile().end_port {
                    EndPort::Enforced => *range,
                    EndPort::FirstPortOnly => PortRange::single(range.first()),
                };
                (!needed.contains(c.port)).then_some(Fault::Port { needed, found: c.port })
            }
            PortTarget::Named(name) => {
                let numbers = self.numbers(name, c);
                let fault = || Fault::PortName {
                    name: Arc::clone(name),
                    numbers: numbers.clone(),
                    found: c.port,
                };
                (!numbers.contains(&c.port)).then(fault)
            }
        }
    }

    /// The ports that a name stands for at the destination.
    fn numbers(&self, name: &str, c: &Connection) -> Vec<Port> {
        let End::Pod(pod) = c.destination else { return Vec::new() };
        let pod = &self.cluster.pods[pod.place()];
        if self.cluster.counts_as_node(pod) {
            return Vec::new();
        }
        let meant = pod
            .ports
            .iter()
            .filter(|p| p.name.as_deref() == Some(name) && p.protocol == c.protocol);
        meant.map(|p| p.port).collect()
    }
}

/// The requirements that the labels do not fulfil, with the value that is there instead.
fn unmet<'a>(
    selector: &'a Selector,
    labels: &'a Labels,
) -> impl Iterator<Item = (Requirement, Option<Arc<str>>)> + use<'a> {
    let unmet = selector.requirements().iter().filter(|r| !r.matches(labels));
    unmet.map(|r| (r.clone(), labels.get(&r.key).map(Arc::from)))
}

/// The entry with the least faults.
fn nearest(entries: impl Iterator<Item = Vec<Fault>>) -> (Option<u32>, Vec<Fault>) {
    let distance = |faults: &[Fault]| faults.iter().map(Fault::weight).sum::<u32>();
    let entries = entries.enumerate().map(|(n, faults)| (Some(index(n)), faults));
    entries.min_by_key(|(_, faults)| distance(faults)).unwrap_or_default()
}
