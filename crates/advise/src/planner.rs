//! What general rules, kept edges and included ones ask the policies to let through.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_inventory::Workload;
use ringfence_model::review::{Choice, EdgeDecision, GeneralRule, PeerPattern};
use ringfence_model::{
    Cidr, Diagnostic, Direction, IpBlock, L4, Name, Peer, Protocol, WorkloadRef,
};
use ringfence_policy::ConnectionSet;

use crate::judge::{Judge, Row, decides};
use crate::need::{Need, Party, Reason, Subject, declared_ports, single_port};
use crate::plan::Case;
use crate::report;
use crate::selection::Unselectable;
use crate::verdict::{Kept, Verdict};

/// What the policies must let through.
pub(crate) struct Collected {
    pub(crate) needs: Vec<Need>,
    /// The directions in which the policy of a subject isolates.
    pub(crate) managed: BTreeMap<Subject, BTreeSet<Direction>>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Collects what the policies must let through.
pub(crate) struct Planner<'a> {
    judge: &'a Judge<'a>,
    case: Case<'a>,
    collected: Collected,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(judge: &'a Judge<'a>, case: Case<'a>) -> Self {
        let collected =
            Collected { needs: Vec::new(), managed: BTreeMap::new(), diagnostics: Vec::new() };
        Self { judge, case, collected }
    }

    /// From the general rules, the kept rows, and what the review includes without it having been seen.
    pub(crate) fn collect(mut self, rows: &[Row<'_>]) -> Collected {
        self.general();
        self.observed(rows);
        self.included();
        self.collected
    }

    /// What the general rules, the CIDR rules and name resolution ask for.
    fn general(&mut self) {
        for (namespace, direction) in self.judge.whole_namespaces.clone() {
            let rule = self.judge.review.rules.get(direction);
            self.isolate(&Subject::Namespace(namespace), direction, rule, None);
        }
        let inventory = self.judge.inventory;
        for workload in self.judge.scope.workloads(inventory) {
            if let Err(why) = self.judge.selection.pods(workload) {
                self.collected.diagnostics.push(report::unselectable_subject(workload, &why));
                continue;
            }
            let subject = Subject::Workload(workload.reference.clone());
            for direction in Direction::BOTH {
                let rule = self.judge.general_rule(&workload.reference, direction);
                let whole = self.judge.is_whole_namespace(&workload.reference.namespace, direction);
                if !whole && rule != GeneralRule::Unmanaged {
                    self.isolate(&subject, direction, rule, Some(&workload.reference));
                } else if whole {
                    self.cidr_rules(&subject, direction, |of| of == Some(&workload.reference));
                }
            }
        }
    }

    fn isolate(
        &mut self,
        subject: &Subject,
        direction: Direction,
        rule: GeneralRule,
        workload: Option<&WorkloadRef>,
    ) {
        self.collected.managed.entry(subject.clone()).or_default().insert(direction);
        let namespace = subject.namespace().clone();
        let everything = match rule {
            GeneralRule::AllowAll => Some((Party::Anyone, "anyone".to_owned())),
            GeneralRule::AllowNamespace => Some((
                Party::Namespace(namespace.clone()),
                format!("every pod of namespace {namespace}"),
            )),
            GeneralRule::Observed | GeneralRule::BlockAll | GeneralRule::Unmanaged => None,
        };
        if let Some((party, label)) = everything {
            self.need(subject, direction, party, label, ConnectionSet::all(), Reason::GeneralRule);
        }
        self.cidr_rules(subject, direction, |of| of.is_none() || of == workload);
        if direction == Direction::Egress && rule != GeneralRule::AllowAll {
            let judge = self.judge;
            for (party, label, ports) in judge.dns.iter() {
                if !self.excludes_dns(workload, party, ports) {
                    self.need(
                        subject,
                        direction,
                        party.clone(),
                        label.to_owned(),
                        ports.clone(),
                        Reason::Dns(None),
                    );
                }
            }
        }
    }

    fn cidr_rules(
        &mut self,
        subject: &Subject,
        direction: Direction,
        applies: impl Fn(Option<&WorkloadRef>) -> bool,
    ) {
        for rule in &self.judge.review.cidr_rules {
            if rule.direction == direction && applies(rule.workload.as_ref()) {
                let reason = Reason::CidrRule(rule.origin.clone());
                let (party, label) = (Party::Block(rule.block.clone()), rule.block.to_string());
                self.need(subject, direction, party, label, declared_ports(&rule.ports), reason);
            }
        }
    }

    /// Whether the review excludes the edges from a workload to a DNS server.
    fn excludes_dns(
        &self,
        workload: Option<&WorkloadRef>,
        party: &Party,
        ports: &ConnectionSet,
    ) -> bool {
        let (Some(workload), Party::Workload(server)) = (workload, party) else { return false };
        let key = |protocol| ringfence_model::EdgeKey {
            source: Peer::Workload(workload.clone()),
            destination: Peer::Workload(server.clone()),
            l4: L4::Port(
                protocol,
                ports
                    .get(protocol)
                    .ranges()
                    .first()
                    .map_or(ringfence_model::Port::MIN, |r| r.first()),
            ),
            nature: ringfence_model::Nature::Ordinary,
        };
        Protocol::ALL.into_iter().filter(|p| !ports.get(*p).is_empty()).all(|protocol| {
            self.judge
                .decision_about(&key(protocol), &[])
                .is_some_and(|d| d.choice == Choice::Exclude)
        })
    }

    /// What the kept rows ask for, beyond what general rules give.
    fn observed(&mut self, rows: &[Row<'_>]) {
        for row in rows {
            let Verdict::Kept(why) = &row.verdict else { continue };
            let evidence = row.edge.evidence.clone();
            let reason = match why {
                Kept::Observed => Reason::Observed(evidence),
                Kept::Included(origin) => Reason::Included(origin.clone(), Some(evidence)),
                Kept::Dns => {
                    self.observed_resolution(row);
                    continue;
                }
                Kept::CidrRule(_)
                | Kept::GeneralRule(_)
                | Kept::OwnNode { .. }
                | Kept::Unmanaged => {
                    continue;
                }
            };
            let L4::Port(protocol, port) = row.edge.key.l4 else { continue };
            let subject = Subject::Workload(row.workload.clone());
            self.collected.diagnostics.extend(addresses_note(row.peer(), &subject, row.direction));
            for party in self.peer_parties(row.peer(), row.direction) {
                let (label, ports) = (row.peer().to_string(), single_port(protocol, port));
                self.need(&subject, row.direction, party, label, ports, reason.clone());
            }
        }
    }

    /// Adds what was observed of name resolution to the need that allows it anyway.
    fn observed_resolution(&mut self, row: &Row<'_>) {
        let (label, evidence) = (row.peer().to_string(), &row.edge.evidence);
        let of_row = |subject: &Subject| match subject {
            Subject::Namespace(namespace) => *namespace == row.workload.namespace,
            Subject::Workload(workload) => workload == row.workload,
        };
        for need in self
            .collected
            .needs
            .iter_mut()
            .filter(|need| need.label == label && of_row(&need.subject))
        {
            if let Reason::Dns(known) = &mut need.reason {
                match known {
                    Some(known) => known.merge(evidence),
                    None => *known = Some(evidence.clone()),
                }
            }
        }
    }

    /// Included entries of the review that name what nobody has observed yet.
    fn included(&mut self) {
        let Case { review, edges, .. } = self.case;
        for decision in review.edges.iter().filter(|d| d.choice == Choice::Include) {
            if edges.iter().any(|edge| decides(decision, edge)) {
                continue;
            }
            match self.to_come(decision) {
                Ok(needs) if needs.is_empty() => {
                    self.collected.diagnostics.push(report::names_no_connection(decision));
                }
                Ok(needs) => {
                    for end in [&decision.source, &decision.destination] {
                        let PeerPattern::Peer(peer) = end else { continue };
                        let note =
                            |need: &Need| addresses_note(peer, &need.subject, need.direction);
                        self.collected.diagnostics.extend(needs.iter().filter_map(note));
                    }
                    for need in needs {
                        self.add(need);
                    }
                }
                Err(why) => self.collected.diagnostics.push(report::cannot_include(decision, &why)),
            }
        }
    }

    /// What an included edge needs at both ends; nothing when it does not name one connection of the scope. A
    /// connection that one end cannot say is of no use to the other.
    fn to_come(&self, decision: &EdgeDecision) -> Result<Vec<Need>, Unselectable> {
        let Some(L4::Port(protocol, port)) = decision.l4 else { return Ok(Vec::new()) };
        let ports = single_port(protocol, port);
        let reason = Reason::Included(decision.origin.clone(), None);
        let mut needs = Vec::new();
        for (direction, subject, other) in [
            (Direction::Egress, &decision.source, &decision.destination),
            (Direction::Ingress, &decision.destination, &decision.source),
        ] {
            for subject in self.subjects(subject, direction)? {
                for (party, label) in self.parties(subject.namespace(), direction, other)? {
                    needs.push(Need {
                        subject: subject.clone(),
                        direction,
                        party,
                        label,
                        ports: ports.clone(),
                        reason: reason.clone(),
                    });
                }
            }
        }
        Ok(needs)
    }

    /// Whose policies an included edge changes at one end.
    fn subjects(
        &self,
        pattern: &PeerPattern,
        direction: Direction,
    ) -> Result<Vec<Subject>, Unselectable> {
        let judge = &self.judge;
        let managed = |workload: &WorkloadRef| {
            judge.scope.contains(workload)
                && judge.general_rule(workload, direction) != GeneralRule::Unmanaged
        };
        let subject = |workload: &Workload| Subject::Workload(workload.reference.clone());
        match pattern {
            PeerPattern::Peer(Peer::Workload(workload)) if managed(workload) => {
                let workload = judge.inventory.workload(workload);
                let workload = workload.ok_or(Unselectable::NotInInput)?;
                judge.selection.pods(workload)?;
                Ok(vec![subject(workload)])
            }
            PeerPattern::Namespace(namespace) if judge.is_whole_namespace(namespace, direction) => {
                Ok(vec![Subject::Namespace(namespace.clone())])
            }
            PeerPattern::Namespace(namespace) => {
                let workloads = judge.scope.workloads(judge.inventory).filter(|workload| {
                    workload.reference.namespace == *namespace
                        && managed(&workload.reference)
                        && judge.selection.pods(workload).is_ok()
                });
                Ok(workloads.map(subject).collect())
            }
            PeerPattern::Peer(_) | PeerPattern::Cidr(_) | PeerPattern::Any => Ok(Vec::new()),
        }
    }

    /// The other end of an included edge, as a policy in `home` names it.
    fn parties(
        &self,
        home: &Name,
        direction: Direction,
        pattern: &PeerPattern,
    ) -> Result<Vec<(Party, String)>, Unselectable> {
        let judge = &self.judge;
        match pattern {
            PeerPattern::Peer(peer) => {
                judge.selectable(home, peer)?;
                Ok(self.peer_parties(peer, direction).map(|p| (p, peer.to_string())).collect())
            }
            PeerPattern::Namespace(namespace) => {
                judge.selection.namespace(home, namespace)?;
                let label = format!("every pod of namespace {namespace}");
                Ok(vec![(Party::Namespace(namespace.clone()), label)])
            }
            PeerPattern::Cidr(cidr) => {
                Ok(vec![(Party::Block(IpBlock::whole(*cidr)), cidr.to_string())])
            }
            PeerPattern::Any => Ok(Vec::new()),
        }
    }

    /// What stands for a peer in a policy; nothing when a policy cannot name it.
    fn peer_parties(&self, peer: &Peer, direction: Direction) -> std::vec::IntoIter<Party> {
        let block = |cidr| Party::Block(IpBlock::whole(cidr));
        let parties: Vec<Party> = match peer {
            Peer::Workload(workload) => vec![Party::Workload(workload.clone())],
            Peer::Node(node) => {
                let addresses = self.judge.selection.node(node, direction);
                addresses.map(Cidr::host).map(block).collect()
            }
            Peer::Alias(name) => {
                let aliases = self.judge.review.aliases.iter().filter(|alias| alias.name == *name);
                aliases.flat_map(|alias| alias.cidrs.iter().copied()).map(block).collect()
            }
            Peer::Address(ip, _) => vec![block(Cidr::host(*ip))],
            Peer::Host(host) => {
                self.judge.inventory.host_addresses(host).map(Cidr::host).map(block).collect()
            }
            Peer::Service(_) => Vec::new(),
        };
        parties.into_iter()
    }

    fn need(
        &mut self,
        subject: &Subject,
        direction: Direction,
        party: Party,
        label: String,
        ports: ConnectionSet,
        reason: Reason,
    ) {
        self.add(Need { subject: subject.clone(), direction, party, label, ports, reason });
    }

    fn add(&mut self, need: Need) {
        self.collected.managed.entry(need.subject.clone()).or_default().insert(need.direction);
        self.collected.needs.push(need);
    }
}

/// The namespaces and directions for which one policy speaks for all pods: the whole namespace is in scope, the
/// general rule names no single edge, and no workload has a rule of its own.
pub(crate) fn whole_namespaces(case: Case<'_>) -> BTreeSet<(Name, Direction)> {
    if !case.scope.is_whole_namespaces() {
        return BTreeSet::new();
    }
    let mut whole = BTreeSet::new();
    for direction in Direction::BOTH {
        if matches!(
            case.review.rules.get(direction),
            GeneralRule::Observed | GeneralRule::Unmanaged
        ) {
            continue;
        }
        let has_own_rule = |namespace: &Name| {
            case.review.workloads.iter().any(|rules| {
                rules.workload.namespace == *namespace
                    && match direction {
                        Direction::Ingress => rules.ingress.is_some(),
                        Direction::Egress => rules.egress.is_some(),
                    }
            })
        };
        // Policies do not govern pods on the host network: with no others there is nothing to speak for.
        for workload in case.scope.workloads(case.inventory).filter(|w| !w.host_network) {
            let namespace = &workload.reference.namespace;
            if !has_own_rule(namespace) {
                whole.insert((namespace.clone(), direction));
            }
        }
    }
    whole
}

/// What is to be said of a peer that policies can only name by its addresses of now.
fn addresses_note(peer: &Peer, subject: &Subject, direction: Direction) -> Option<Diagnostic> {
    let note = match peer {
        Peer::Node(_) => Diagnostic::note(
            "node-addresses",
            format!(
                "{direction} rules name cluster nodes, and pods on the host network, by their \
                addresses"
            ),
        )
        .hint(
            "generate again when nodes are added or get other addresses; some network plugins do \
            not match node addresses with ipBlock (cilium: policy-cidr-match-mode)",
        ),
        Peer::Host(_) => Diagnostic::note(
            "host-addresses",
            format!("{direction} rules name machines outside Kubernetes by their addresses"),
        )
        .hint("generate again when such a machine gets other addresses"),
        Peer::Workload(_) | Peer::Service(_) | Peer::Alias(_) | Peer::Address(..) => return None,
    };
    Some(note.about(subject.to_string()).value("direction", direction))
}
