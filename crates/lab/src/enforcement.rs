//! NetworkPolicies as rules of nftables, for the machine that routes the pods' packets.
//!
//! Rules see packets after the translation of Service addresses, those of a connection that was let in pass, and both
//! ends have their say: first the egress rules of the source, then the ingress rules of the destination. An ipBlock
//! matches pods like other addresses. Pods on the host network are nobody's: no policy isolates them and no selector
//! finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use ringfence_model::object::{Objects, Pod};
use ringfence_model::{
    Cidr, Direction, IpBlock, NamespaceScope, NetworkPolicy, PeerMatch, Peers, PortRange, PortSet,
    PortTarget, Ports, Protocol, Rule,
};

/// Name of the table, of family inet.
pub const TABLE: &str = "ringfence";

/// The text for `nft -f` that puts the policies in force, in place of those before, in one transaction.
///
/// A packet on its way meets rules of one generation, but elements of maps of the newest, and a base chain that comes
/// with a transaction may be passed before its rules are in force. So the base chain and the maps stay, and each pod
/// has a chain of its own, to which its elements lead before and after; only what is in it changes. The chains of
/// addresses that no pod has any longer stay too, empty.
pub fn render(objects: &Objects) -> String {
    let cluster = Cluster { objects };
    let mut chains = String::new();
    let mut maps: BTreeMap<(Direction, Family), Vec<String>> = BTreeMap::new();
    for direction in Direction::BOTH {
        for pod in cluster.pods() {
            let (Some(first), Some(body)) = (pod.ips.first(), cluster.chain(direction, pod)) else {
                continue;
            };
            let chain = format!("{}-{first}", word(direction)).replace(':', ".");
            let _ = write!(chains, "\tchain {chain} {{\n{body}\t\tcounter drop\n\t}}\n");
            for ip in &pod.ips {
                let element = format!("{ip} : jump {chain}");
                maps.entry((direction, Family::of(*ip))).or_default().push(element);
            }
        }
    }

    let (mut declared, mut flushed, mut filled) = (String::new(), String::new(), String::new());
    let mut jumps = String::new();
    // Egress comes first in this order too.
    for direction in [Direction::Egress, Direction::Ingress] {
        for family in [Family::V4, Family::V6] {
            let map = format!("{}_{}", word(direction), family.word());
            let kind = format!("type {} : verdict;", family.kind());
            let _ = writeln!(declared, "\tmap {map} {{ {kind} }}");
            let _ = writeln!(flushed, "flush map inet {TABLE} {map}");
            let _ = writeln!(jumps, "\t\t{} {} vmap @{map}", family.word(), own_side(direction));
            if let Some(elements) = maps.get(&(direction, family)) {
                let elements = elements.join(", ");
                let _ = writeln!(filled, "\tmap {map} {{ {kind} elements = {{ {elements} }}; }}");
            }
        }
    }
    let hook = "type filter hook forward priority filter; policy accept;";
    format!(
        "table inet {TABLE} {{\n{declared}\tchain forward {{ {hook} }}\n}}\n\
         flush table inet {TABLE}\n{flushed}\
         table inet {TABLE} {{\n{chains}{filled}\tchain forward {{\n\t\t{hook}\n\
         \t\tct state established,related accept\n{jumps}\t}}\n}}\n"
    )
}

/// An IP family, in the order of the listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}

impl Family {
    const fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// As rules begin.
    const fn word(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    /// As types are called.
    const fn kind(self) -> &'static str {
        match self {
            Self::V4 => "ipv4_addr",
            Self::V6 => "ipv6_addr",
        }
    }
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "egress",
        Direction::Ingress => "ingress",
    }
}

/// Where in the packet the pod is whose rules they are.
const fn own_side(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "saddr",
        Direction::Ingress => "daddr",
    }
}

/// Where in the packet the peer of a rule is.
const fn peer_side(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "daddr",
        Direction::Ingress => "saddr",
    }
}

/// Who may be meant by a policy.
struct Cluster<'a> {
    objects: &'a Objects,
}

/// One peer of a rule, with what it means here.
enum Meant<'a> {
    Everyone,
    Pods(Vec<&'a Pod>),
    Block(&'a IpBlock),
}

impl<'a> Cluster<'a> {
    fn pods(&self) -> impl Iterator<Item = &'a Pod> {
        self.objects.pods.iter().filter(|pod| !pod.spec.host_network && !pod.phase.is_terminated())
    }

    /// The rules of a pod in a direction, one a line; [`None`] when no policy isolates it.
    fn chain(&self, direction: Direction, pod: &Pod) -> Option<String> {
        let policies = self.objects.policies.iter().filter(|policy| {
            policy.namespace == pod.reference.namespace && policy.pod_selector.matches(&pod.labels)
        });
        let mut isolating =
            policies.filter_map(|policy| Some((policy, policy.rules(direction)?))).peekable();
        isolating.peek()?;
        let lines: BTreeSet<String> = isolating
            .flat_map(|(policy, rules)| rules.iter().map(move |rule| (policy, rule)))
            .flat_map(|(policy, rule)| self.lines(direction, pod, policy, rule))
            .collect();
        Some(lines.iter().flat_map(|line| ["\t\t", line, "return\n"]).collect())
    }

    /// A rule, as matches that each let pass.
    fn lines(
        &self,
        direction: Direction,
        pod: &'a Pod,
        policy: &NetworkPolicy,
        rule: &'a Rule,
    ) -> Vec<String> {
        let meant: Vec<Meant<'a>> = match &rule.peers {
            Peers::Any => vec![Meant::Everyone],
            Peers::Only(peers) => peers.iter().map(|peer| self.meant(policy, peer)).collect(),
        };
        let ports = match &rule.ports {
            Ports::Any => None,
            Ports::Only(ports) => Some(ports),
        };
        let mut lines = Vec::new();
        for peer in &meant {
            let Some(ports) = ports else {
                lines.extend(peers(direction, peer));
                continue;
            };
            for protocol in Protocol::ALL {
                let numbers: PortSet = ports
                    .iter()
                    .filter(|port| port.protocol == protocol)
                    .filter_map(|port| match &port.target {
                        PortTarget::Any => Some(PortRange::ALL),
                        PortTarget::Numbers(range) => Some(*range),
                        PortTarget::Named(_) => None,
                    })
                    .collect();
                lines.extend(combine(&peers(direction, peer), protocol, &numbers));
                let names = ports.iter().filter(|port| port.protocol == protocol);
                for name in names.filter_map(|port| match &port.target {
                    PortTarget::Named(name) => Some(name),
                    PortTarget::Any | PortTarget::Numbers(_) => None,
                }) {
                    // A name is resolved on each destination.
                    match direction {
                        Direction::Ingress => {
                            let numbers = named(pod, protocol, name);
                            lines.extend(combine(&peers(direction, peer), protocol, &numbers));
                        }
                        Direction::Egress => {
                            for destination in self.pods().filter(|pod| covers(peer, pod)) {
                                let only = peers(direction, &Meant::Pods(vec![destination]));
                                let numbers = named(destination, protocol, name);
                                lines.extend(combine(&only, protocol, &numbers));
                            }
                        }
                    }
                }
            }
        }
        lines
    }

    fn meant(&self, policy: &NetworkPolicy, peer: &'a PeerMatch) -> Meant<'a> {
        let (namespaces, pods) = match peer {
            PeerMatch::IpBlock(block) => return Meant::Block(block),
            PeerMatch::Pods { namespaces, pods } => (namespaces, pods),
        };
        let in_scope = |pod: &&Pod| match namespaces {
            NamespaceScope::Own => pod.reference.namespace == policy.namespace,
            NamespaceScope::Matching(selector) => self
                .objects
                .namespaces
                .iter()
                .any(|n| n.name == pod.reference.namespace && selector.matches(&n.labels)),
        };
        Meant::Pods(self.pods().filter(in_scope).filter(|pod| pods.matches(&pod.labels)).collect())
    }
}

/// The ports that a pod declares under a name.
fn named(pod: &Pod, protocol: Protocol, name: &str) -> PortSet {
    let declared = pod.spec.ports.iter().filter(|port| port.protocol == protocol);
    declared.filter(|port| port.name.as_deref() == Some(name)).map(|port| port.port).collect()
}

fn covers(peer: &Meant<'_>, pod: &Pod) -> bool {
    match peer {
        Meant::Everyone => true,
        Meant::Pods(pods) => pods.iter().any(|other| other.reference == pod.reference),
        Meant::Block(block) => pod.ips.iter().any(|ip| block.contains(*ip)),
    }
}

/// The matches of a peer, each with a blank at its end; none when nobody is meant.
fn peers(direction: Direction, peer: &Meant<'_>) -> Vec<String> {
    let side = peer_side(direction);
    let in_set = |family: Family, elements: &BTreeSet<String>| {
        let list: Vec<&str> = elements.iter().map(String::as_str).collect();
        format!("{} {side} {{ {} }} ", family.word(), list.join(", "))
    };
    match peer {
        Meant::Everyone => vec![String::new()],
        Meant::Pods(pods) => {
            let mut addresses: BTreeMap<Family, BTreeSet<String>> = BTreeMap::new();
            for ip in pods.iter().flat_map(|pod| &pod.ips) {
                addresses.entry(Family::of(*ip)).or_default().insert(ip.to_string());
            }
            addresses.iter().map(|(family, addresses)| in_set(*family, addresses)).collect()
        }
        Meant::Block(block) => {
            let family = Family::of(block.cidr().net().addr());
            let mut text = format!("{} {side} {} ", family.word(), block.cidr());
            if !block.except().is_empty() {
                let list: Vec<String> = block.except().iter().map(Cidr::to_string).collect();
                let _ = write!(text, "{} {side} != {{ {} }} ", family.word(), list.join(", "));
            }
            vec![text]
        }
    }
}

/// Peers and ports of one protocol together.
fn combine(peers: &[String], protocol: Protocol, ports: &PortSet) -> Vec<String> {
    if ports.is_empty() {
        return Vec::new();
    }
    let protocol = protocol.as_str().to_ascii_lowercase();
    let list: Vec<String> = ports.ranges().iter().map(PortRange::to_string).collect();
    let ports = format!("{protocol} dport {{ {} }} ", list.join(", "));
    peers.iter().map(|peer| format!("{peer}{ports}")).collect()
}
