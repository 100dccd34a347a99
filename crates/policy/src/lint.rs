//! Policies that do not say what their author meant.

mod cluster;

use std::net::IpAddr;

use foldhash::HashSet;
use ringfence_model::{
    Cidr, Diagnostic, Direction, IpBlock, NamespaceScope, NetworkPolicy, Origin, PeerMatch, Peers,
    Port, PortTarget, Ports, Protocol, Rule, Severity,
};

use crate::compiled::{CompiledRule, NOT_ISOLATED, PortTest};
use crate::end_set::EndSet;
use crate::index::{PolicyIx, index};
use crate::policy_set::PolicySet;
use crate::profile::EndPort;

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lint {
    /// The code of its diagnostics.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about, in one sentence.
    pub summary: &'static str,
}

macro_rules! lints {
    ($($name:ident $severity:ident $code:literal $summary:literal)*) => {
        $(const $name: Lint =
            Lint { code: $code, severity: Severity::$severity, summary: $summary };)*

        /// Every kind of finding of [`PolicySet::lint`].
        pub const LINTS: &[Lint] = &[$($name),*];
    };
}

lints! {
    NO_DIRECTION Warning "no-direction"
        "A policy that isolates in no direction does nothing."
    SELECTS_NOTHING Warning "selects-nothing"
        "A policy whose podSelector matches no pod does nothing today."
    PEER_MATCHES_NOTHING Warning "peer-matches-nothing"
        "An entry of from or to that matches no pod allows nothing today."
    ALLOWS_EVERYTHING Warning "allows-everything"
        "A rule without peers and ports opens the pods to everybody over everything."
    OPEN_TO_ALL Note "open-to-all"
        "A rule without peers lets in, or out to, everybody, outside included."
    SPLIT_SELECTORS Warning "split-selectors"
        "namespaceSelector and podSelector in separate entries are alternatives, not both conditions."
    SHADOWED_RULE Warning "shadowed-rule"
        "A rule allows nothing that another rule of the policy does not."
    COVERED_RULE Note "covered-rule"
        "A rule allows nothing that a rule of another policy on the same pods does not."
    UNKNOWN_PORT_NAME Warning "unknown-port-name"
        "No destination of the rule declares a port of that name, so it allows nothing."
    END_PORT_IGNORED Warning "end-port-ignored"
        "The network plugin enforces only the first port of a range."
    BLOCK_HOLDS_PODS Warning "block-holds-pods"
        "Network plugins differ on whether an ipBlock matches pods, and pod addresses do not last."
    NO_DNS Warning "no-dns"
        "Pods that may open connections but not ask DNS cannot find their peers by name."
    NO_DNS_OVER_TCP Note "no-dns-over-tcp"
        "DNS answers that do not fit into a UDP packet are asked for again over TCP."
    EQUAL_PRIORITY Warning "equal-priority"
        "Of two cluster-wide policies with equal priority, which one comes first is undefined."
}

impl PolicySet {
    /// Findings about the policies, in their order, then about the cluster-wide ones. What pods would be needed to judge is left out when the cluster has
    /// none.
    pub fn lint(&self) -> Vec<Diagnostic> {
        let mut found = Linter::new(self).run();
        found.extend(cluster::findings(self));
        found
    }
}

struct Linter<'a> {
    set: &'a PolicySet,
    /// Addresses of pods that are not their node's, sorted.
    pod_addresses: Vec<IpAddr>,
    /// Policies to tell that some of their pods cannot ask DNS, over UDP or over TCP.
    without_dns: [HashSet<PolicyIx>; 2],
    found: Vec<Diagnostic>,
}

/// One rule and where it stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    policy: &'a NetworkPolicy,
    ix: PolicyIx,
    direction: Direction,
    n: usize,
    rule: &'a Rule,
    compiled: &'a CompiledRule,
}

impl<'a> Linter<'a> {
    fn new(set: &'a PolicySet) -> Self {
        let pods = set.cluster.present().map(|(_, pod)| pod).filter(|pod| !pod.host_network);
        let mut pod_addresses: Vec<IpAddr> = pods.flat_map(|pod| &pod.addresses).copied().collect();
        pod_addresses.sort_unstable();
        Self { set, pod_addresses, without_dns: policies_without_dns(set), found: Vec::new() }
    }

    fn run(mut self) -> Vec<Diagnostic> {
        for (n, (policy, compiled)) in self.set.policies.iter().zip(&self.set.compiled).enumerate()
        {
            let ix = PolicyIx::new(index(n));
            if self.set.removed.contains(&ix) {
                continue;
            }
            if policy.ingress.is_none() && policy.egress.is_none() {
                self.found.push(
                    about(
                        NO_DIRECTION,
                        &policy.origin,
                        policy,
                        "policyTypes names neither Ingress nor Egress",
                    )
                    .hint("leave policyTypes out, or name the direction to isolate"),
                );
            }
            if self.has_pods() && compiled.subjects.is_empty() {
                let message = format!(
                    "podSelector {} matches no pod of namespace {}",
                    policy.pod_selector, policy.namespace
                );
                self.found.push(
                    about(SELECTS_NOTHING, &policy.origin, policy, message)
                        .value("pods", &policy.pod_selector)
                        .hint("compare with the labels of `kubectl get pods --show-labels`"),
                );
            }
            for direction in Direction::BOTH {
                let rules = policy.rules(direction).unwrap_or_default();
                let judged = compiled.rules[direction as usize].as_deref().unwrap_or_default();
                for (n, (rule, compiled)) in rules.iter().zip(judged).enumerate() {
                    self.rule(Place { policy, ix, direction, n, rule, compiled });
                }
            }
            self.dns(policy, ix);
        }
        self.found
    }

    fn has_pods(&self) -> bool {
        self.set.cluster.present().next().is_some()
    }

    fn rule(&mut self, place: Place<'_>) {
        match &place.rule.peers {
            Peers::Any => self.open(place),
            Peers::Only(peers) => {
                self.split_selectors(place, peers);
                for (n, peer) in peers.iter().enumerate() {
                    self.peer(place, n, peer);
                }
            }
        }
        if let Ports::Only(ports) = &place.rule.ports {
            for port in ports {
                self.port(place, port.protocol, &port.target);
            }
        }
        self.covered(place);
    }

    fn open(&mut self, place: Place<'_>) {
        let (list, who) = match place.direction {
            Direction::Ingress => ("from", "sources"),
            Direction::Egress => ("to", "destinations"),
        };
        if place.rule.ports == Ports::Any {
            let message = format!(
                "without {list} and ports it allows all {who} over every port and protocol"
            );
            self.found.push(at(ALLOWS_EVERYTHING, place, &message).hint(
                "if nothing should pass, write an empty list of rules instead of an empty rule",
            ));
        } else {
            let message =
                format!("without {list} it allows all {who}, outside the cluster included");
            self.found.push(
                at(OPEN_TO_ALL, place, &message).hint(format!("name who is meant in {list}")),
            );
        }
    }

    fn split_selectors(&mut self, place: Place<'_>, peers: &[PeerMatch]) {
        let split = peers.windows(2).find_map(|pair| match pair {
            [
                PeerMatch::Pods { namespaces: NamespaceScope::Matching(namespaces), pods: all },
                PeerMatch::Pods { namespaces: NamespaceScope::Own, pods },
            ] if all.is_everything() && !pods.is_everything() => Some((namespaces, pods)),
            _ => None,
        });
        if let Some((namespaces, pods)) = split {
            let message = format!(
                "it allows every pod of the namespaces {namespaces}, and the pods {pods} of namespace {} beside them",
                place.policy.namespace
            );
            let finding = at(SPLIT_SELECTORS, place, &message);
            self.found.push(finding.value("namespaces", namespaces).value("pods", pods).hint(
                "if only these pods of these namespaces are meant, put podSelector into the entry of namespaceSelector, without a dash",
            ));
        }
    }

    fn peer(&mut self, place: Place<'_>, n: usize, peer: &PeerMatch) {
        match peer {
            PeerMatch::IpBlock(block) => self.block(place, block),
            PeerMatch::Pods { namespaces, pods } => {
                let set =
                    place.compiled.peers.get(n).map(|set| &self.set.tables.sets[*set as usize]);
                if !self.has_pods() || set.is_none_or(|set| !set.is_empty()) {
                    return;
                }
                let scope = match namespaces {
                    NamespaceScope::Own => format!("namespace {}", place.policy.namespace),
                    NamespaceScope::Matching(selector) => format!("the namespaces {selector}"),
                };
                let message = format!("no pod matches entry {n}, pods {pods} of {scope}");
                let is_host_network = self
                    .set
                    .cluster
                    .pods
                    .iter()
                    .any(|pod| pod.host_network && pods.matches(&pod.labels));
                let mut finding =
                    at(PEER_MATCHES_NOTHING, place, &message).value("entry", n).value("pods", pods);
                if let NamespaceScope::Matching(selector) = namespaces {
                    finding = finding.value("namespaces", selector);
                }
                self.found.push(finding.hint(if is_host_network {
                    "selectors ignore host-network pods: use an ipBlock of the node addresses"
                } else {
                    "compare with the labels of the pods and namespaces that are meant"
                }));
            }
        }
    }

    fn block(&mut self, place: Place<'_>, block: &IpBlock) {
        let Some(address) = self.pod_inside(block) else { return };
        // Whoever writes 0.0.0.0/0 means the outside and knows that it is large.
        let hint = if block.cidr().net().prefix_len() == 0 {
            "leave the pod CIDRs out with except, or use podSelector and namespaceSelector for pods"
        } else {
            "use podSelector and namespaceSelector for pods"
        };
        let message = format!("ipBlock {block} holds pod addresses such as {address}");
        let finding = at(BLOCK_HOLDS_PODS, place, &message);
        self.found.push(finding.value("block", block).value("address", address).hint(hint));
    }

    fn pod_inside(&self, block: &IpBlock) -> Option<IpAddr> {
        let (first, last) = bounds(block.cidr());
        let from = self.pod_addresses.partition_point(|ip| *ip < first);
        let candidates = self.pod_addresses[from..].iter().take_while(|ip| **ip <= last);
        candidates.copied().find(|ip| block.contains(*ip))
    }

    fn port(&mut self, place: Place<'_>, protocol: Protocol, target: &PortTarget) {
        match target {
            PortTarget::Any => {}
            PortTarget::Numbers(range) => {
                let ignored = self.set.profile().end_port == EndPort::FirstPortOnly;
                if ignored && range.first() != range.last() {
                    let message = format!("of the ports {range} only {} is allowed", range.first());
                    self.found.push(
                        at(END_PORT_IGNORED, place, &message)
                            .value("ports", range)
                            .value("first", range.first())
                            .hint("list the ports one by one"),
                    );
                }
            }
            PortTarget::Named(name) => {
                if self.has_pods() && !self.is_declared(place, protocol, name) {
                    let message = format!("no destination declares the {protocol} port {name}");
                    let finding = at(UNKNOWN_PORT_NAME, place, &message);
                    self.found.push(finding.value("protocol", protocol).value("name", name).hint(
                        "container ports carry the name, not Service ports; or use the number",
                    ));
                }
            }
        }
    }

    /// Whether a possible destination of the rule has a port of that name.
    fn is_declared(&self, place: Place<'_>, protocol: Protocol, name: &str) -> bool {
        let set = self.set;
        let declares = |end: u32| {
            let class = set.class_of(end).map(|class| &set.classes.list[class]);
            // All pods of a class have the same ports under names that policies mention.
            class.and_then(|class| class.pods().first()).is_some_and(|pod| {
                let pod = &set.cluster.pods[pod.place()];
                let mut ports = pod.ports.iter();
                ports.any(|p| p.protocol == protocol && p.name.as_deref() == Some(name))
                    && !set.cluster.counts_as_node(pod)
            })
        };
        let subjects = &set.compiled[place.ix.place()].subjects;
        match place.direction {
            Direction::Ingress => subjects.is_empty() || subjects.iter().any(|end| declares(*end)),
            Direction::Egress => {
                let mut found = false;
                let peers = &set.tables.sets[place.compiled.term.peers as usize];
                peers.for_each(set.end_count(), |end| found |= declares(end));
                found || peers.is_empty()
            }
        }
    }

    /// Whether some other rule allows all that this rule does, for all pods of the policy.
    fn covered(&mut self, place: Place<'_>) {
        let own = &self.set.compiled[place.ix.place()].rules[place.direction as usize];
        let own = own.as_deref().unwrap_or_default();
        let by = own.iter().enumerate().find(|(n, other)| {
            // Of two equal rules the later one is too many.
            *n != place.n
                && self.covers(other, place.compiled)
                && (*n < place.n || !self.covers(place.compiled, other))
        });
        if let Some((n, _)) = by {
            self.found.push(
                at(
                    SHADOWED_RULE,
                    place,
                    &format!("with the pods of today, rule {n} already allows all of it"),
                )
                .value("other", n)
                .hint("remove it, or narrow the other rule if that is too wide"),
            );
            return;
        }
        if let Some(other) = self.covering_policy(place) {
            let message =
                format!("with the pods of today, NetworkPolicy {other} already allows all of it");
            let finding = at(COVERED_RULE, place, &message).value("other", other);
            self.found.push(finding.hint("remove one of the two"));
        }
    }

    fn covers(&self, wide: &CompiledRule, narrow: &CompiledRule) -> bool {
        let set = |rule: &CompiledRule| &self.set.tables.sets[rule.term.peers as usize];
        let ports = |rule: &CompiledRule| self.set.port(rule.term.ports);
        !set(narrow).is_empty()
            && set(narrow).is_subset(set(wide))
            && includes(ports(wide), ports(narrow))
    }

    /// Another policy with a rule that covers this one wherever the policy applies.
    fn covering_policy(&self, place: Place<'_>) -> Option<&'a NetworkPolicy> {
        let set = self.set;
        let side = &set.sides[place.direction as usize];
        let subjects = &set.compiled[place.ix.place()].subjects;
        let (first, rest) = subjects.split_first()?;
        let isolating = |class: u32| &side.policies[side.group[class as usize] as usize];
        isolating(*first).iter().copied().find_map(|other| {
            let everywhere =
                rest.iter().all(|class| isolating(*class).binary_search(&other).is_ok());
            let rules = set.compiled[other.place()].rules[place.direction as usize].as_ref()?;
            let covers = rules.iter().any(|rule| {
                self.covers(rule, place.compiled)
                    && (other < place.ix || !self.covers(place.compiled, rule))
            });
            (other != place.ix && everywhere && covers).then(|| set.policy(other))
        })
    }

    fn dns(&mut self, policy: &NetworkPolicy, ix: PolicyIx) {
        if self.without_dns[0].contains(&ix) {
            self.found.push(
                about(NO_DNS, &policy.origin, policy, "some of its pods may not ask DNS over UDP")
                    .hint("allow egress to the DNS pods, UDP and TCP, on the port they listen on"),
            );
        } else if self.without_dns[1].contains(&ix) {
            self.found.push(
                about(
                    NO_DNS_OVER_TCP,
                    &policy.origin,
                    policy,
                    "some of its pods may ask DNS over UDP only",
                )
                .hint("allow TCP beside UDP"),
            );
        }
    }
}

fn diagnostic(lint: Lint, message: String) -> Diagnostic {
    match lint.severity {
        Severity::Note => Diagnostic::note(lint.code, message),
        Severity::Warning => Diagnostic::warning(lint.code, message),
        Severity::Error => Diagnostic::error(lint.code, message),
    }
}

fn about(
    lint: Lint,
    origin: &Origin,
    policy: &NetworkPolicy,
    message: impl Into<String>,
) -> Diagnostic {
    // A policy that no file holds has no places inside either.
    let origin = if *origin == Origin::default() { &policy.origin } else { origin };
    diagnostic(lint, message.into())
        .at(origin.clone())
        .about(format!("NetworkPolicy {policy}"))
        .value("policy", policy)
        .value("namespace", &policy.namespace)
}

fn at(lint: Lint, place: Place<'_>, message: &str) -> Diagnostic {
    let message = format!("{} rule {}: {message}", place.direction, place.n);
    about(lint, &place.rule.origin, place.policy, message)
        .value("direction", place.direction)
        .value("rule", place.n)
}

/// Whether every port of `narrow` is in `wide`, whatever names stand for.
fn includes(wide: &PortTest, narrow: &PortTest) -> bool {
    narrow.numbers.difference(&wide.numbers).is_empty()
        && narrow.names.iter().all(|&(name, protocol)| {
            wide.numbers.get(protocol).is_all() || wide.names.contains(&(name, protocol))
        })
}

fn bounds(cidr: Cidr) -> (IpAddr, IpAddr) {
    (cidr.net().network(), cidr.net().broadcast())
}

/// The ports that cluster DNS listens on: 53, and 5353 where it runs without privileges.
const DNS_PORTS: [u16; 2] = [53, 5353];

/// The policies whose pods may open connections but not ask DNS, over UDP and over TCP: of the policies that isolate a
/// pod, the first.
fn policies_without_dns(set: &PolicySet) -> [HashSet<PolicyIx>; 2] {
    let side = &set.sides[Direction::Egress as usize];
    let mut found = [HashSet::default(), HashSet::default()];
    let dns = dns_classes(set);
    let in_use: HashSet<u32> = side.group.iter().copied().collect();
    let reaches_dns = |peers: &EndSet| {
        let mut any = peers.is_all();
        // An address may be that of a DNS server on the node.
        peers.for_each(0, |end| {
            any |= set.class_of(end).is_none() || dns.is_empty() || dns.contains(&end);
        });
        any
    };
    for (group, (policies, terms)) in side.policies.iter().zip(&side.terms).enumerate() {
        let open: Vec<_> =
            terms.iter().filter(|t| !set.tables.sets[t.peers as usize].is_empty()).collect();
        let Some(&first) = policies.first() else { continue };
        if index(group) == NOT_ISOLATED || open.is_empty() || !in_use.contains(&index(group)) {
            continue;
        }
        for (protocol, policies) in [Protocol::Udp, Protocol::Tcp].into_iter().zip(&mut found) {
            let asks = open.iter().filter(|t| reaches_dns(&set.tables.sets[t.peers as usize])).any(
                |term| {
                    let test = set.port(term.ports);
                    let by_number = DNS_PORTS.iter().filter_map(|p| Port::new(*p));
                    let mut by_number = by_number.map(|port| test.numbers.contains(protocol, port));
                    by_number.any(|allowed| allowed)
                        || test.names.iter().any(|(_, p)| *p == protocol)
                },
            );
            if !asks {
                policies.insert(first);
            }
        }
    }
    found
}

/// The ends of the pods that serve DNS, by the labels that their usual manifests carry.
fn dns_classes(set: &PolicySet) -> HashSet<u32> {
    const LABELS: [(&str, &str); 3] =
        [("k8s-app", "kube-dns"), ("k8s-app", "coredns"), ("app.kubernetes.io/name", "coredns")];
    let serving = set
        .cluster
        .present()
        .filter(|(_, pod)| LABELS.iter().any(|(key, value)| pod.labels.get(key) == Some(*value)));
    serving.map(|(ix, _)| set.class_end(set.classes.of_pod[ix.place()])).collect()
}
