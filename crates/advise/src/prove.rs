//! The proof, done on the policies as they were written and read back, with the engine alone.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_model::{
    Diagnostic, Direction, Edge, EdgeKey, L4, NetworkPolicy, Peers, Port, Ports, Protocol,
    Timestamp,
};
use ringfence_policy::{
    Assumption, Connection, ConnectionSet, Decision, Judgement, PolicyIx, PolicySet, Profile,
    RuleRef,
};

use crate::certificate::{Certificate, Change, Checks, JudgedEdge, Outcome, Window};
use crate::check::check;
use crate::dns::DNS_PORT;
use crate::failure::{Check, Failure, Flaw};
use crate::judge::Row;
use crate::message::Message;
use crate::need::{Need, Reason};
use crate::plan::{Case, Plan};
use crate::readiness::{readiness, window_warning};
use crate::said::Say;
use crate::slack::slack;
use crate::verdict::{Cut, Verdict};
use crate::witness::{World, pairs};

/// Proves a plan. `written` are its policies read back from their files, in the same order; `observed` is the time
/// of the first and the last flow.
pub fn prove(
    case: Case<'_>,
    plan: &Plan<'_>,
    written: &[NetworkPolicy],
    profile: &Profile,
    observed: Option<(Timestamp, Timestamp)>,
) -> Certificate {
    let existing = case.inventory.policies();
    let is_replaced =
        |p: &&NetworkPolicy| written.iter().any(|w| w.namespace == p.namespace && w.name == p.name);
    let replaced: Vec<String> =
        existing.iter().filter(is_replaced).map(ToString::to_string).collect();
    let mut effective: Vec<NetworkPolicy> =
        existing.iter().filter(|p| !is_replaced(p)).cloned().collect();
    let first_written = effective.len();
    effective.extend_from_slice(written);

    let cluster_wide = case.inventory.cluster_policies();
    let after = World::new(case.inventory, case.review, &effective, cluster_wide, profile);
    let mut proof = Proof {
        case,
        alone: (!cluster_wide.is_empty()).then(|| after.set().with_cluster_policies(&[]).0),
        before: World::new(case.inventory, case.review, existing, cluster_wide, profile),
        after,
        first_written,
        checks: Checks::default(),
        failures: Vec::new(),
        needed: Needed::default(),
        assumptions: BTreeSet::new(),
    };
    proof.written_as_meant(plan, written);
    let outcomes = edge_outcomes(&plan.rows);
    proof.edges(&outcomes);
    proof.needs(&plan.needs);
    proof.names_resolve(&plan.rows);
    proof.nothing_removable(written, first_written);
    let changes = proof.changes();
    let slack = slack(&proof.after, plan, written, &outcomes);

    let Proof { mut checks, mut failures, needed, assumptions, .. } = proof;
    checks.needed_items = needed.peers.len() + needed.ports.len();
    failures.sort();
    failures.dedup();
    let listed = |wanted: fn(&Verdict) -> bool| {
        outcomes.values().filter(|o| wanted(o.verdict)).map(|o| judged(o.edge, o.verdict)).collect()
    };
    Certificate {
        api_version: "ringfence.dev/v1alpha1",
        kind: "Certificate",
        outcome: if failures.is_empty() { Outcome::Proven } else { Outcome::Failed },
        scope: case.scope.to_string(),
        window: observed.map(|(first, last)| Window {
            first: first.to_string(),
            last: last.to_string(),
            hours: (last.seconds_since(first) / 360.0).round() / 10.0,
        }),
        checks,
        failures,
        policies: written.iter().map(ToString::to_string).collect(),
        replaced,
        kept: listed(|v| matches!(v, Verdict::Kept(_))),
        cut: listed(|v| matches!(v, Verdict::Cut(_))),
        unknown: listed(|v| matches!(v, Verdict::Unknown)),
        changes,
        slack,
        assumptions: assumptions.iter().map(Say::said).collect(),
        readiness: readiness(case.inventory, case.edges, case.scope, observed),
        messages: messages(plan, observed),
    }
}

fn messages(plan: &Plan<'_>, observed: Option<(Timestamp, Timestamp)>) -> Vec<Message> {
    let short: Option<Diagnostic> = window_warning(observed);
    plan.diagnostics.iter().chain(&short).map(Message::from).collect()
}

/// What becomes of an edge when all tables that show it are taken together: one cut is enough to forbid it.
pub(crate) struct EdgeOutcome<'r> {
    pub(crate) edge: &'r Edge,
    pub(crate) verdict: &'r Verdict,
}

fn edge_outcomes<'r>(rows: &'r [Row<'_>]) -> BTreeMap<&'r EdgeKey, EdgeOutcome<'r>> {
    let mut outcomes: BTreeMap<&EdgeKey, EdgeOutcome<'r>> = BTreeMap::new();
    for row in rows {
        let outcome = outcomes
            .entry(&row.edge.key)
            .or_insert(EdgeOutcome { edge: row.edge, verdict: &row.verdict });
        // The reason of the end that cuts says more than "the other end".
        let rank = |verdict: &Verdict| match verdict {
            Verdict::Kept(_) => 0,
            Verdict::Unknown => 1,
            Verdict::Cut(Cut::OtherEnd) => 2,
            Verdict::Cut(_) => 3,
        };
        if rank(&row.verdict) > rank(outcome.verdict) {
            outcome.verdict = &row.verdict;
        }
    }
    outcomes
}

fn judged(edge: &Edge, verdict: &Verdict) -> JudgedEdge {
    JudgedEdge {
        source: edge.key.source.to_string(),
        destination: edge.key.destination.to_string(),
        port: edge.key.l4.to_string(),
        reason: verdict.said(),
        accepted: edge.evidence.accepted(),
        rejected: edge.evidence.dropped + edge.evidence.refused,
        first_seen: edge.evidence.first_seen.to_string(),
        last_seen: edge.evidence.last_seen.to_string(),
    }
}

/// The peers and ports of written rules without which a need would fail.
#[derive(Default)]
struct Needed {
    peers: BTreeSet<(PolicyIx, Direction, u32, Option<u32>)>,
    ports: BTreeSet<(PolicyIx, Direction, u32, Option<u32>)>,
}

struct Proof<'a> {
    case: Case<'a>,
    before: World<'a>,
    after: World<'a>,
    /// `after` without cluster-wide policies, when there are any.
    alone: Option<PolicySet>,
    first_written: usize,
    checks: Checks,
    failures: Vec<Failure>,
    needed: Needed,
    assumptions: BTreeSet<Assumption>,
}

impl Proof<'_> {
    /// What was written, read back, must be what was meant: a fault of the writer must not pass as a smaller set.
    fn written_as_meant(&mut self, plan: &Plan<'_>, written: &[NetworkPolicy]) {
        let meant: Vec<&NetworkPolicy> = plan.drafts.iter().map(|draft| &draft.policy).collect();
        if meant.len() != written.len() {
            let flaw = Flaw::Miscounted { meant: meant.len(), read: written.len() };
            self.fail(Check::Written, "the set".into(), None, Vec::new(), &flaw);
            return;
        }
        for (meant, written) in meant.into_iter().zip(written) {
            if !same_policy(meant, written) {
                let fault = vec![written.origin.to_string()];
                self.fail(Check::Written, meant.to_string(), None, fault, &Flaw::WrittenOtherwise);
            }
        }
    }

    fn edges(&mut self, outcomes: &BTreeMap<&EdgeKey, EdgeOutcome<'_>>) {
        for edge in self.case.edges {
            let L4::Port(protocol, port) = edge.key.l4 else { continue };
            match outcomes.get(&edge.key).map(|outcome| outcome.verdict) {
                Some(Verdict::Kept(_)) => {
                    let connections = self.after.connections(&edge.key, protocol, port);
                    self.must_pass(edge, connections, Check::KeptPasses);
                }
                // What nobody needs and nobody forbade may be allowed with something else: that is slack.
                Some(Verdict::Cut(Cut::NeverAccepted) | Verdict::Unknown) => {}
                Some(Verdict::Cut(_)) => self.must_fail(edge, protocol, port),
                None if edge.evidence.accepted() > 0 => {
                    self.must_not_get_worse(edge, protocol, port);
                }
                None => {}
            }
        }
    }

    fn must_pass(&mut self, edge: &Edge, connections: Vec<Connection>, check: Check) {
        for connection in connections {
            let decision = self.decide(&connection);
            // A rule is needed even where the other end spoils the connection.
            for direction in Direction::BOTH {
                self.note_needed(direction, &connection, &decision);
            }
            if !decision.allowed() {
                let faults = self.after.denying(&decision);
                let shown = Some(self.after.show(&connection));
                self.fail(check, edge.key.to_string(), shown, faults, &Flaw::KeptIsCut);
                return;
            }
        }
    }

    /// Between all pairs but those of a node and the pods it runs, which no policy can forbid.
    fn must_fail(&mut self, edge: &Edge, protocol: Protocol, port: Port) {
        for connection in self.after.connections(&edge.key, protocol, port) {
            let decision = self.decide(&connection);
            if decision.allowed() && decision.ingress != Judgement::OwnNode {
                let faults = self.after.allowing(&decision);
                let shown = Some(self.after.show(&connection));
                let subject = edge.key.to_string();
                self.fail(Check::CutFails, subject, shown, faults, &Flaw::CutPasses);
                return;
            }
        }
    }

    /// An edge between workloads out of scope keeps what the policies in the cluster gave it, pair by pair of the pods
    /// that either set tells apart. Both have the same pods in the same places.
    fn must_not_get_worse(&mut self, edge: &Edge, protocol: Protocol, port: Port) {
        let mut connections = self.before.connections(&edge.key, protocol, port);
        connections.extend(self.after.connections(&edge.key, protocol, port));
        connections.retain(|connection| self.before.set().allows(connection));
        self.must_pass(edge, connections, Check::OthersUnharmed);
    }

    /// What no edge shows: name resolution, CIDR rules, included edges to come, general rules.
    fn needs(&mut self, needs: &[Need]) {
        for need in needs.iter().filter(|need| !matches!(need.reason, Reason::Observed(_))) {
            let both_ends = matches!(need.reason, Reason::Dns(_) | Reason::Included(..));
            for connection in needed_connections(&self.after, need) {
                let decision = self.decide(&connection);
                let own = decision.judgement(need.direction);
                self.note_needed(need.direction, &connection, &decision);
                if own.allowed() && (!both_ends || decision.allowed()) {
                    continue;
                }
                let flaw = Flaw::NeedIsCut { direction: need.direction, need: need.label.clone() };
                let faults = self.after.denying(&decision);
                let shown = Some(self.after.show(&connection));
                self.fail(Check::KeptPasses, need.subject.to_string(), shown, faults, &flaw);
                break;
            }
        }
    }

    /// Names that were resolved must still be resolved: where the servers cannot be selected, a set that isolates
    /// egress stops applications, whatever else it proves.
    fn names_resolve(&mut self, rows: &[Row<'_>]) {
        for row in rows.iter().filter(|row| row.direction == Direction::Egress) {
            let L4::Port(Protocol::Udp | Protocol::Tcp, port) = row.edge.key.l4 else { continue };
            let lost = matches!(row.verdict, Verdict::Cut(Cut::Unselectable(_)));
            if port == DNS_PORT && lost && row.edge.evidence.accepted() > 0 {
                let faults = vec![format!("forbidden: {}", row.verdict)];
                let subject = row.edge.key.to_string();
                self.fail(Check::KeptPasses, subject, None, faults, &Flaw::NamesUnresolved);
            }
        }
    }

    fn decide(&mut self, connection: &Connection) -> Decision {
        self.checks.connections += 1;
        let decision = self.after.set().decide(connection);
        self.assumptions.extend(decision.assumptions.iter().copied());
        decision
    }

    /// A connection that only one peer, or only one port, of a policy allows shows that it is needed there.
    ///
    /// The administrators' policies do not count here: they may change theirs without asking, and what a rule of
    /// theirs accepts today must still pass then.
    fn note_needed(&mut self, direction: Direction, connection: &Connection, decision: &Decision) {
        let alone = self.alone.as_ref().map(|set| set.judge(direction, connection));
        let judgement = alone.as_ref().unwrap_or_else(|| decision.judgement(direction));
        let Judgement::Allowed(items) = judgement else { return };
        let mut by_policy: BTreeMap<PolicyIx, Vec<&RuleRef>> = BTreeMap::new();
        for item in items.iter().filter(|item| item.policy.place() >= self.first_written) {
            by_policy.entry(item.policy).or_default().push(item);
        }
        for (policy, items) in by_policy {
            let peers: BTreeSet<_> =
                items.iter().map(|i| (policy, i.direction, i.rule, i.peer)).collect();
            let ports: BTreeSet<_> =
                items.iter().map(|i| (policy, i.direction, i.rule, i.port)).collect();
            if peers.len() == 1 {
                self.needed.peers.extend(peers);
            }
            if ports.len() == 1 {
                self.needed.ports.extend(ports);
            }
        }
    }

    fn nothing_removable(&mut self, written: &[NetworkPolicy], first_written: usize) {
        for (n, policy) in written.iter().enumerate() {
            let Ok(place) = u32::try_from(first_written + n) else { continue };
            let index = PolicyIx::new(place);
            for direction in Direction::BOTH {
                for (r, rule) in policy.rules(direction).unwrap_or_default().iter().enumerate() {
                    let peers = match &rule.peers {
                        Peers::Any => vec![None],
                        Peers::Only(peers) => (0..peers.len()).map(Some).collect(),
                    };
                    let ports = match &rule.ports {
                        Ports::Any => vec![None],
                        Ports::Only(ports) => (0..ports.len()).map(Some).collect(),
                    };
                    let place = |n: Option<usize>| n.and_then(|n| u32::try_from(n).ok());
                    let key = |n: Option<usize>| {
                        (index, direction, u32::try_from(r).unwrap_or(u32::MAX), place(n))
                    };
                    let idle_peer =
                        peers.into_iter().find(|n| !self.needed.peers.contains(&key(*n)));
                    let idle_port =
                        ports.into_iter().find(|n| !self.needed.ports.contains(&key(*n)));
                    let flaw = match (idle_peer, idle_port) {
                        (Some(_), _) => Flaw::IdlePeer { direction, rule: r },
                        (None, Some(_)) => Flaw::IdlePort { direction, rule: r },
                        (None, None) => continue,
                    };
                    let fault = vec![rule.origin.to_string()];
                    self.fail(Check::NothingRemovable, policy.to_string(), None, fault, &flaw);
                }
            }
        }
    }

    fn changes(&self) -> Vec<Change> {
        let edges = self.case.edges;
        let both = check(&self.before, edges).into_iter().zip(check(&self.after, edges));
        both.filter(|(before, after)| before.passes != after.passes)
            .map(|(before, after)| Change {
                edge: before.edge.key.to_string(),
                before: before.passes,
                after: after.passes,
            })
            .collect()
    }

    fn fail(
        &mut self,
        check: Check,
        subject: String,
        connection: Option<String>,
        at_fault: Vec<String>,
        flaw: &Flaw,
    ) {
        let message = flaw.said();
        self.failures.push(Failure { check, subject, connection, at_fault, message });
    }
}

fn same_policy(a: &NetworkPolicy, b: &NetworkPolicy) -> bool {
    let same_rules = |direction| match (a.rules(direction), b.rules(direction)) {
        (None, None) => true,
        (Some(x), Some(y)) => {
            x.len() == y.len()
                && x.iter().zip(y).all(|(x, y)| x.peers == y.peers && x.ports == y.ports)
        }
        _ => false,
    };
    a.namespace == b.namespace
        && a.name == b.name
        && a.pod_selector == b.pod_selector
        && Direction::BOTH.into_iter().all(same_rules)
}

/// One connection for every pair of kinds of ends, at both ends of every port range, that a need stands for.
fn needed_connections(world: &World<'_>, need: &Need) -> impl Iterator<Item = Connection> + use<> {
    let (subject, party) = (world.subject(&need.subject), world.party(&need.party));
    let ports = corner_ports(&need.ports);
    match need.direction {
        Direction::Ingress => pairs(party, subject, ports),
        Direction::Egress => pairs(subject, party, ports),
    }
}

fn corner_ports(ports: &ConnectionSet) -> Vec<(Protocol, Port)> {
    let corners: BTreeSet<(Protocol, Port)> = ports
        .ranges()
        .flat_map(|(protocol, range)| [(protocol, range.first()), (protocol, range.last())])
        .collect();
    corners.into_iter().collect()
}
