//! Policies compiled for evaluation.

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::HashSet;
use ringfence_model::object::{Namespace, Node, Pod};
use ringfence_model::{
    Action, Cidr, ClusterPolicy, Diagnostic, Direction, NetworkPolicy, PodRef, PortTarget, Ports,
    Rule, Tier,
};

use crate::atom::{AddressSpace, Atom};
use crate::class::{Classes, PodClass};
use crate::cluster::{Cluster, anywhere};
use crate::compile;
use crate::compiled::{CompiledPolicy, CompiledRule, NOT_ISOLATED, PortTest, Side, Term};
use crate::connection::{Connection, End};
use crate::decision::{Decision, Judgement, RuleRef};
use crate::index::{AtomIx, ClassIx, ClusterPolicyIx, PodIx, PolicyIx, index};
use crate::party::Party;
use crate::profile::{EndPort, Hairpin, Profile};
use crate::rules::Tables;
use crate::tier::{Question, Tiers};
use crate::words::Words;

/// `NetworkPolicies` compiled against the pods, namespaces and nodes of a cluster.
///
/// Every pod given is judged by its labels, whatever its phase: leave out the pods that should not count.
#[derive(Clone, Debug)]
pub struct PolicySet {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) policies: Vec<NetworkPolicy>,
    /// Policies that were removed, and only keep their places.
    pub(crate) removed: HashSet<PolicyIx>,
    pub(crate) tiers: Tiers,
    pub(crate) words: Words,
    pub(crate) classes: Classes,
    pub(crate) space: AddressSpace,
    pub(crate) tables: Tables,
    pub(crate) compiled: Vec<CompiledPolicy>,
    pub(crate) sides: [Side; 2],
}

impl PolicySet {
    /// Compiles policies against a cluster.
    ///
    /// What could not be taken as it stands is in the diagnostics: namespaces that are missing from the input (they
    /// are then known by name only), and policies given twice.
    pub fn compile(
        namespaces: &[Namespace],
        nodes: &[Node],
        pods: &[Pod],
        policies: &[NetworkPolicy],
        profile: &Profile,
    ) -> (Self, Vec<Diagnostic>) {
        let (cluster, mut diagnostics) = Cluster::new(namespaces, nodes, pods, *profile);
        let (set, more) = compile::compile(Arc::new(cluster), policies.to_vec(), &[]);
        diagnostics.extend(more);
        (set, diagnostics)
    }

    /// Compiles other policies against the same cluster, beside the same cluster-wide ones.
    pub fn with_policies(&self, policies: &[NetworkPolicy]) -> (Self, Vec<Diagnostic>) {
        let tiers = &self.tiers;
        let places = (0u32..).map(ClusterPolicyIx::new).zip(&tiers.policies);
        let present = places.filter(|(ix, _)| !tiers.removed.contains(ix));
        let cluster_policies: Vec<ClusterPolicy> = present.map(|(_, p)| p.clone()).collect();
        compile::compile(Arc::clone(&self.cluster), policies.to_vec(), &cluster_policies)
    }

    /// Compiles other cluster-wide policies against the same cluster, beside the same `NetworkPolicies`.
    ///
    /// The diagnostics tell what of them cannot be judged: domain names, and peers of unknown kind.
    pub fn with_cluster_policies(&self, policies: &[ClusterPolicy]) -> (Self, Vec<Diagnostic>) {
        let places = (0u32..).map(PolicyIx::new).zip(&self.policies);
        let present = places.filter(|(ix, _)| !self.removed.contains(ix));
        let network_policies = present.map(|(_, policy)| policy.clone()).collect();
        compile::compile(Arc::clone(&self.cluster), network_policies, policies)
    }

    /// Says where pods are whose addresses are not known, such as those of manifests: inside these ranges. Unless told
    /// so, or with an empty list, they may be anywhere.
    #[must_use]
    pub fn with_pod_ranges(mut self, ranges: &[Cidr]) -> Self {
        let ranges = if ranges.is_empty() { anywhere() } else { ranges.to_vec() };
        Arc::make_mut(&mut self.cluster).pod_ranges = ranges;
        if self.tiers.policies.is_empty() {
            return self;
        }
        // Nothing else depends on them.
        self.with_cluster_policies(&self.tiers.policies).0
    }

    /// The policies, in the order in which they were given. Removed ones keep their places, without rules.
    pub fn policies(&self) -> &[NetworkPolicy] {
        &self.policies
    }

    /// A policy.
    ///
    /// # Panics
    /// When the index is of another set.
    pub fn policy(&self, policy: PolicyIx) -> &NetworkPolicy {
        &self.policies[policy.place()]
    }

    /// The rule that an item belongs to; `None` when the item is of another set.
    pub fn rule(&self, item: RuleRef) -> Option<&Rule> {
        self.policies.get(item.policy.place())?.rules(item.direction)?.get(item.rule as usize)
    }

    /// The profile that the set was compiled with.
    pub fn profile(&self) -> &Profile {
        &self.cluster.profile
    }

    /// The number of pods, removed ones included: their places are not used again.
    pub fn pod_count(&self) -> usize {
        self.cluster.pods.len()
    }

    /// Namespace and name of a pod.
    ///
    /// # Panics
    /// When the index is of another set.
    pub fn pod(&self, pod: PodIx) -> &PodRef {
        &self.cluster.pods[pod.place()].reference
    }

    /// The classes of pods that the policies cannot tell apart, sorted by namespace; classes that came with later
    /// updates follow behind.
    pub fn classes(&self) -> &[PodClass] {
        &self.classes.list
    }

    /// The atoms of the address space that the policies cannot tell apart.
    pub fn atoms(&self) -> &[Atom] {
        &self.space.atoms
    }

    /// The class or atom of an end.
    ///
    /// # Panics
    /// When the pod is of another set.
    pub fn party(&self, end: End) -> Party {
        match end {
            End::Pod(pod) => Party::Pods(ClassIx::new(self.classes.of_pod[pod.place()])),
            End::Address(ip) => Party::Addresses(AtomIx::new(self.space.atom(ip))),
        }
    }

    /// The end that an address belongs to: the pod that has it, unless the pod has ended or counts as its node.
    pub fn end(&self, ip: IpAddr) -> End {
        self.cluster
            .pod_addresses
            .get(&ip.to_canonical())
            .map_or(End::Address(ip), |pod| End::Pod(*pod))
    }

    /// Whether the connection is allowed.
    ///
    /// # Panics
    /// When a pod is of another set.
    pub fn allows(&self, connection: &Connection) -> bool {
        if self.cluster.profile.hairpin == Hairpin::Allowed && is_self(connection) {
            return true;
        }
        let source = self.end_index(connection.source);
        let destination = self.end_index(connection.destination);
        let Connection { protocol, port, .. } = *connection;
        let to = destination;
        let question =
            |direction, subject, peer| Question { direction, subject, peer, to, protocol, port };
        self.passes(question(Direction::Egress, source, destination))
            && (self.passes(question(Direction::Ingress, destination, source))
                || self.is_own_node(connection))
    }

    fn passes(&self, q: Question) -> bool {
        if let Some((action, _)) = self.tier_verdict(Tier::Admin, q) {
            return action == Action::Accept;
        }
        if let Some(terms) = self.terms(q.direction, q.subject) {
            return terms.iter().any(|term| self.holds(*term, q));
        }
        let baseline = self.tier_verdict(Tier::Baseline, q);
        baseline.is_none_or(|(action, _)| action == Action::Accept)
    }

    /// Whether a rule with these peers and ports matches.
    pub(crate) fn holds(&self, term: Term, q: Question) -> bool {
        self.tables.sets[term.peers as usize].contains(q.peer)
            && self.port_holds(self.port(term.ports), q)
    }

    /// A test of ports.
    pub(crate) fn port(&self, test: u32) -> &PortTest {
        &self.tables.ports.items()[test as usize]
    }

    fn port_holds(&self, test: &PortTest, q: Question) -> bool {
        test.numbers.contains(q.protocol, q.port)
            || (!test.names.is_empty() && {
                let named = &self.classes.named[self.named_signature(q.to) as usize];
                test.names.iter().any(|&(name, protocol)| {
                    protocol == q.protocol && named.binary_search(&(name, protocol, q.port)).is_ok()
                })
            })
    }

    /// What the policies that isolate an end allow; `None` when none does.
    pub(crate) fn terms(&self, direction: Direction, subject: u32) -> Option<&[Term]> {
        let side = &self.sides[direction as usize];
        let group = side.group[subject as usize];
        (group != NOT_ISOLATED).then(|| &*side.terms[group as usize])
    }

    /// The signature of the named ports of an end.
    pub(crate) fn named_signature(&self, end: u32) -> u32 {
        self.class_of(end).map_or(0, |class| self.classes.keys[class].named)
    }

    /// The verdict about a connection, with every item that allows it.
    ///
    /// # Panics
    /// When a pod is of another set.
    pub fn decide(&self, connection: &Connection) -> Decision {
        Decision {
            egress: self.judge(Direction::Egress, connection),
            ingress: self.judge(Direction::Ingress, connection),
            assumptions: self.assumptions(connection),
        }
    }

    /// What the policies of one end say about a connection: those of the source for egress, of the destination for
    /// ingress.
    ///
    /// # Panics
    /// When a pod is of another set.
    pub fn judge(&self, direction: Direction, connection: &Connection) -> Judgement {
        let (subject, peer) = match direction {
            Direction::Egress => (connection.source, connection.destination),
            Direction::Ingress => (connection.destination, connection.source),
        };
        if !self.is_subject(subject) {
            return Judgement::NotSubject;
        }
        let isolating = self.isolating(direction, subject);
        let subject = self.end_index(subject);
        let is_ruled = self.tiers.sides[direction as usize]
            .group(subject)
            .is_some_and(|group| !group.admin.is_empty() || !group.baseline.is_empty());
        if isolating.is_empty() && !is_ruled {
            return Judgement::NotIsolated;
        }
        if direction == Direction::Ingress && self.is_own_node(connection) {
            return Judgement::OwnNode;
        }
        if self.cluster.profile.hairpin == Hairpin::Allowed && is_self(connection) {
            return Judgement::SelfTraffic;
        }
        let peer = self.end_index(peer);
        let to = self.end_index(connection.destination);
        let Connection { protocol, port, .. } = *connection;
        let question = Question { direction, subject, peer, to, protocol, port };
        if let Some(judgement) = self.tier_judgement(Tier::Admin, question) {
            return judgement;
        }
        if isolating.is_empty() {
            let baseline = self.tier_judgement(Tier::Baseline, question);
            return baseline.unwrap_or(Judgement::NotIsolated);
        }
        let items: Vec<RuleRef> =
            isolating.iter().flat_map(|&policy| self.items(policy, question, connection)).collect();
        if items.is_empty() {
            Judgement::Denied(isolating.to_vec())
        } else {
            Judgement::Allowed(items)
        }
    }

    /// The policies that isolate an end in a direction, sorted.
    ///
    /// # Panics
    /// When the pod is of another set.
    pub fn isolating(&self, direction: Direction, end: End) -> &[PolicyIx] {
        let side = &self.sides[direction as usize];
        &side.policies[side.group[self.end_index(end) as usize] as usize]
    }

    /// The items of a policy that allow the connection.
    fn items(&self, policy: PolicyIx, q: Question, connection: &Connection) -> Vec<RuleRef> {
        let direction = q.direction;
        let rules = self.policies[policy.place()].rules(direction).unwrap_or_default();
        let compiled = self.compiled[policy.place()].rules[direction as usize].as_deref();
        let rules = (0u32..).zip(rules.iter().zip(compiled.unwrap_or_default()));
        let mut items = Vec::new();
        for (n, (rule, compiled)) in rules.filter(|(_, (_, rule))| self.holds(rule.term, q)) {
            let ports = self.matching_ports(rule, connection);
            for peer in self.matching_peers(compiled, q.peer) {
                let item =
                    |port: &Option<u32>| RuleRef { policy, direction, rule: n, peer, port: *port };
                items.extend(ports.iter().map(item));
            }
        }
        items
    }

    fn matching_peers(&self, rule: &CompiledRule, end: u32) -> Vec<Option<u32>> {
        if rule.peers.is_empty() {
            return vec![None];
        }
        let matching = rule
            .peers
            .iter()
            .enumerate()
            .filter(|(_, set)| self.tables.sets[**set as usize].contains(end));
        matching.map(|(n, _)| Some(index(n))).collect()
    }

    fn matching_ports(&self, rule: &Rule, connection: &Connection) -> Vec<Option<u32>> {
        match &rule.ports {
            Ports::Any => vec![None],
            Ports::Only(ports) => {
                let matching = ports.iter().enumerate().filter(|(_, item)| {
                    item.protocol == connection.protocol
                        && match &item.target {
                            PortTarget::Any => true,
                            PortTarget::Numbers(range) => match self.cluster.profile.end_port {
                                EndPort::Enforced => range.contains(connection.port),
                                EndPort::FirstPortOnly => range.first() == connection.port,
                            },
                            PortTarget::Named(name) => self.has_named_port(connection, name),
                        }
                });
                matching.map(|(n, _)| Some(index(n))).collect()
            }
        }
    }

    fn has_named_port(&self, connection: &Connection, name: &str) -> bool {
        let End::Pod(pod) = connection.destination else { return false };
        self.is_subject(connection.destination)
            && self.cluster.pods[pod.place()].ports.iter().any(|p| {
                p.name.as_deref() == Some(name)
                    && p.protocol == connection.protocol
                    && p.port == connection.port
            })
    }

    /// Whether policies apply to the end.
    pub(crate) fn is_subject(&self, end: End) -> bool {
        match end {
            End::Pod(pod) => !self.counts_as_node(pod),
            End::Address(_) => false,
        }
    }

    pub(crate) fn counts_as_node(&self, pod: PodIx) -> bool {
        self.cluster.counts_as_node(&self.cluster.pods[pod.place()])
    }

    /// Whether the source is the node that runs the destination.
    fn is_own_node(&self, connection: &Connection) -> bool {
        let End::Pod(to) = connection.destination else { return false };
        let Some(node) = &self.cluster.pods[to.place()].node else { return false };
        match connection.source {
            End::Address(ip) => {
                let ip = ip.to_canonical();
                self.cluster.nodes.get(node).is_some_and(|node| node.seen_as.contains(&ip))
            }
            End::Pod(from) => {
                self.counts_as_node(from)
                    && self.cluster.pods[from.place()].node.as_ref() == Some(node)
            }
        }
    }

    /// The index of an end: its atom, or its pod class after all atoms.
    pub(crate) fn end_index(&self, end: End) -> u32 {
        self.party_index(self.party(end))
    }

    pub(crate) fn party_index(&self, party: Party) -> u32 {
        match party {
            Party::Pods(class) => self.class_end(index(class.place())),
            Party::Addresses(atom) => index(atom.place()),
        }
    }

    /// The index of a class among the ends: after all atoms.
    pub(crate) fn class_end(&self, class: u32) -> u32 {
        index(self.space.atoms.len()) + class
    }

    /// The class of an end, when it is one of pods.
    pub(crate) fn class_of(&self, end: u32) -> Option<usize> {
        (end as usize).checked_sub(self.space.atoms.len())
    }

    /// The number of ends.
    pub(crate) fn end_count(&self) -> usize {
        self.space.atoms.len() + self.classes.list.len()
    }
}

pub(crate) fn is_self(connection: &Connection) -> bool {
    matches!((connection.source, connection.destination), (End::Pod(a), End::Pod(b)) if a == b)
}
