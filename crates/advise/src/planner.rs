//! What general rules, kept edges and included ones ask the policies to let through.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_model::review::{Choice, GeneralRule, PeerPattern};
use ringfence_model::{
    Cidr, Diagnostic, Direction, IpBlock, L4, Name, Peer, Protocol, WorkloadRef,
};
use ringfence_policy::ConnectionSet;

use crate::judge::{Judge, Kept, Row, Verdict, decides};
use crate::need::{Need, Party, Reason, Subject, declared_ports, single_port};
use crate::plan::Case;
use crate::report;

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
    whole_namespaces: BTreeSet<(Name, Direction)>,
    collected: Collected,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(judge: &'a Judge<'a>, case: Case<'a>) -> Self {
        let collected =
            Collected { needs: Vec::new(), managed: BTreeMap::new(), diagnostics: Vec::new() };
        Self { judge, case, whole_namespaces: whole_namespaces(case), collected }
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
        for (namespace, direction) in self.whole_namespaces.clone() {
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
                let whole = self
                    .whole_namespaces
                    .contains(&(workload.reference.namespace.clone(), direction));
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
            let ports = single_port(protocol, port);
            self.peer_needs(&subject, row.direction, row.peer(), &ports, &reason);
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
            let ends = [
                (Direction::Egress, &decision.source, &decision.destination),
                (Direction::Ingress, &decision.destination, &decision.source),
            ];
            let reason = Reason::Included(decision.origin.clone(), None);
            let mut used = false;
            for (direction, subject, other) in ends {
                let (PeerPattern::Peer(Peer::Workload(workload)), Some(L4::Port(protocol, port))) =
                    (subject, decision.l4)
                else {
                    continue;
                };
                if !self.judge.scope.contains(workload)
                    || self.judge.inventory.workload(workload).is_none()
                    || self.judge.general_rule(workload, direction) == GeneralRule::Unmanaged
                {
                    continue;
                }
                let subject = Subject::Workload(workload.clone());
                let ports = single_port(protocol, port);
                match other {
                    PeerPattern::Peer(peer) => {
                        used |= self.peer_needs(&subject, direction, peer, &ports, &reason);
                    }
                    PeerPattern::Namespace(namespace) => {
                        let label = format!("every pod of namespace {namespace}");
                        let party = Party::Namespace(namespace.clone());
                        self.need(&subject, direction, party, label, ports, reason.clone());
                        used = true;
                    }
                    PeerPattern::Cidr(cidr) => {
                        let party = Party::Block(IpBlock::whole(*cidr));
                        self.need(
                            &subject,
                            direction,
                            party,
                            cidr.to_string(),
                            ports,
                            reason.clone(),
                        );
                        used = true;
                    }
                    PeerPattern::Any => {}
                }
            }
            if !used {
                self.collected.diagnostics.push(
                    Diagnostic::warning(
                        "review-entry-matches-nothing",
                        "this included edge was not observed and does not name one connection",
                    )
                    .at(decision.origin.clone())
                    .hint(
                        "to allow what was never observed, name a source, a destination, a \
                            protocol and a port, with a workload of the scope at one end",
                    ),
                );
            }
        }
    }

    /// Needs towards a peer; `false` when the peer stands for nothing that a policy can name.
    fn peer_needs(
        &mut self,
        subject: &Subject,
        direction: Direction,
        peer: &Peer,
        ports: &ConnectionSet,
        reason: &Reason,
    ) -> bool {
        let blocks = |cidrs: Vec<Cidr>| {
            cidrs.into_iter().map(|c| Party::Block(IpBlock::whole(c))).collect::<Vec<_>>()
        };
        let parties = match peer {
            Peer::Workload(workload) => vec![Party::Workload(workload.clone())],
            Peer::Node(node) => {
                self.collected.diagnostics.push(node_addresses_note(subject, direction));
                blocks(self.judge.selection.node(node, direction).map(Cidr::host).collect())
            }
            Peer::Alias(name) => {
                let alias = self.judge.review.aliases.iter().find(|alias| alias.name == *name);
                blocks(alias.map(|alias| alias.cidrs.clone()).unwrap_or_default())
            }
            Peer::Address(ip, _) => blocks(vec![Cidr::host(*ip)]),
            Peer::Service(_) | Peer::Host(_) => Vec::new(),
        };
        let found = !parties.is_empty();
        for party in parties {
            self.need(subject, direction, party, peer.to_string(), ports.clone(), reason.clone());
        }
        found
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
        self.collected.managed.entry(subject.clone()).or_default().insert(direction);
        self.collected.needs.push(Need {
            subject: subject.clone(),
            direction,
            party,
            label,
            ports,
            reason,
        });
    }
}

/// The namespaces and directions for which one policy speaks for all pods: the whole namespace is in scope, the
/// general rule names no single edge, and no workload has a rule of its own.
fn whole_namespaces(case: Case<'_>) -> BTreeSet<(Name, Direction)> {
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
        for workload in case.scope.workloads(case.inventory) {
            let namespace = &workload.reference.namespace;
            if !has_own_rule(namespace) {
                whole.insert((namespace.clone(), direction));
            }
        }
    }
    whole
}

fn node_addresses_note(subject: &Subject, direction: Direction) -> Diagnostic {
    Diagnostic::note(
        "node-addresses",
        format!(
            "{direction} rules name cluster nodes, and pods on the host network, by their \
            addresses"
        ),
    )
    .about(subject.to_string())
    .hint(
        "generate again when nodes are added or get other addresses; some network plugins do \
        not match node addresses with ipBlock (cilium: policy-cidr-match-mode)",
    )
}
