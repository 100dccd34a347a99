//! What a set allows beyond what was observed.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_model::{
    Direction, EdgeKey, L4, NamespaceScope, NetworkPolicy, Peer, PeerMatch, Peers, PortRange,
    Ports, Rule, Selector, WorkloadRef,
};
use ringfence_policy::{ClassIx, ConnectionSet, Party as Ends};

use crate::certificate::{Slack, SlackCause};
use crate::need::{Need, Party, Reason, Subject, declared_ports};
use crate::plan::Plan;
use crate::prove::EdgeOutcome;
use crate::verdict::Verdict;
use crate::witness::World;

/// Everything that the policies of a plan allow and no kept edge asked for, sorted.
///
/// Pairs of workloads are judged by the engine over the whole set; addresses and pods that do not exist yet are read
/// off the written rules, because nothing in the cluster stands for them.
pub(crate) fn slack(
    after: &World<'_>,
    plan: &Plan<'_>,
    written: &[NetworkPolicy],
    outcomes: &BTreeMap<&EdgeKey, EdgeOutcome<'_>>,
) -> Vec<Slack> {
    let mut found = BTreeSet::new();
    found.extend(between_workloads(after, plan, outcomes));
    found.extend(addresses(&plan.needs));
    found.extend(general_rules(&plan.needs));
    for policy in written {
        for direction in Direction::BOTH {
            found.extend(
                policy
                    .rules(direction)
                    .unwrap_or_default()
                    .iter()
                    .flat_map(|rule| future_pods(policy, direction, rule)),
            );
        }
    }
    found.into_iter().collect()
}

fn between_workloads(
    after: &World<'_>,
    plan: &Plan<'_>,
    outcomes: &BTreeMap<&EdgeKey, EdgeOutcome<'_>>,
) -> Vec<Slack> {
    let observed = observed_ports(outcomes);
    let managed = Managed::of(plan);
    let mut found = Vec::new();
    for ((source, destination), allowed) in allowed(after, &managed) {
        let extra = match observed.get(&(source, destination)) {
            Some(ports) => allowed.difference(ports),
            None => allowed,
        };
        if extra.is_empty() {
            continue;
        }
        let cause = if managed.means(source, destination) {
            SlackCause::UnobservedPorts
        } else {
            SlackCause::CollateralWorkload
        };
        let out = managed.contains(source, Direction::Egress);
        let direction = if out { Direction::Egress } else { Direction::Ingress };
        found.push(Slack {
            cause,
            direction: direction.into(),
            source: source.to_string(),
            destination: destination.to_string(),
            ports: extra.to_string(),
        });
    }
    found
}

/// What any pod of one workload may open to any pod of another, for the pairs that the plan speaks for and no general
/// rule asks for: those would be all pairs.
fn allowed<'w>(
    world: &World<'w>,
    managed: &Managed<'_>,
) -> BTreeMap<(&'w WorkloadRef, &'w WorkloadRef), ConnectionSet> {
    let classes = world.workloads_of_classes();
    let stances = |direction| -> Vec<Vec<Stance>> {
        let of_class = |class: &BTreeSet<&'w WorkloadRef>| {
            class.iter().map(|w| managed.stance(w, direction)).collect()
        };
        classes.iter().map(of_class).collect()
    };
    let (out, into) = (stances(Direction::Egress), stances(Direction::Ingress));
    let mut allowed: BTreeMap<_, ConnectionSet> = BTreeMap::new();
    let with_pods = (0..).zip(&classes).filter(|(_, workloads)| !workloads.is_empty());
    let sources: Vec<Ends> = with_pods.map(|(n, _)| Ends::Pods(ClassIx::new(n))).collect();
    world.set().reach().walk(sources, |row| {
        let Ends::Pods(from) = row.source() else { return };
        for (ends, ports) in row.iter() {
            let Ends::Pods(to) = ends else { continue };
            for (source, out) in classes[from.place()].iter().zip(&out[from.place()]) {
                for (destination, into) in classes[to.place()].iter().zip(&into[to.place()]) {
                    let same_namespace = source.namespace == destination.namespace;
                    let asked =
                        out.asks_for_all(same_namespace) || into.asks_for_all(same_namespace);
                    if (out.managed || into.managed) && !asked {
                        let known = allowed.entry((*source, *destination)).or_default();
                        *known = known.union(ports);
                    }
                }
            }
        }
    });
    allowed
}

/// The ports that kept edges use between two workloads.
fn observed_ports<'r>(
    outcomes: &BTreeMap<&'r EdgeKey, EdgeOutcome<'r>>,
) -> BTreeMap<(&'r WorkloadRef, &'r WorkloadRef), ConnectionSet> {
    let mut observed: BTreeMap<_, ConnectionSet> = BTreeMap::new();
    for (key, outcome) in outcomes {
        if let (
            Peer::Workload(source),
            Peer::Workload(destination),
            L4::Port(protocol, port),
            Verdict::Kept(_),
        ) = (&key.source, &key.destination, key.l4, outcome.verdict)
        {
            let ports: ConnectionSet = [(protocol, PortRange::single(port))].into_iter().collect();
            let known = observed.entry((source, destination)).or_default();
            *known = known.union(&ports);
        }
    }
    observed
}

/// Which directions of which workloads the plan speaks for, and whom its needs mean.
struct Managed<'p> {
    subjects: BTreeSet<(&'p Subject, Direction)>,
    general: BTreeSet<(&'p Subject, Direction, &'p Party)>,
    meant: BTreeSet<(&'p Subject, Direction, &'p Party)>,
}

impl<'p> Managed<'p> {
    fn of(plan: &'p Plan<'_>) -> Self {
        let isolated = |draft: &'p crate::Draft| {
            Direction::BOTH
                .into_iter()
                .filter_map(|d| draft.policy.rules(d).map(|_| (&draft.subject, d)))
        };
        let (general, meant): (Vec<&Need>, Vec<&Need>) =
            plan.needs.iter().partition(|need| need.reason == Reason::GeneralRule);
        let keys = |needs: Vec<&'p Need>| {
            needs.into_iter().map(|n| (&n.subject, n.direction, &n.party)).collect()
        };
        Self {
            subjects: plan.drafts.iter().flat_map(isolated).collect(),
            general: keys(general),
            meant: keys(meant),
        }
    }

    fn contains(&self, workload: &WorkloadRef, direction: Direction) -> bool {
        subjects(workload).iter().any(|subject| self.subjects.contains(&(subject, direction)))
    }

    fn stance(&self, workload: &WorkloadRef, direction: Direction) -> Stance {
        let asks = |party: &Party| {
            let subjects = subjects(workload);
            subjects.iter().any(|subject| self.general.contains(&(subject, direction, party)))
        };
        Stance {
            managed: self.contains(workload, direction),
            anyone: asks(&Party::Anyone),
            namespace: asks(&Party::Namespace(workload.namespace.clone())),
        }
    }

    /// Whether a need at either end names the pair.
    fn means(&self, source: &WorkloadRef, destination: &WorkloadRef) -> bool {
        asks(&self.meant, source, destination, |other| [Party::Workload(other.clone())])
    }
}

/// What a plan says of one direction of a workload as a whole.
struct Stance {
    /// A policy isolates it.
    managed: bool,
    /// A general rule allows everybody.
    anyone: bool,
    /// A general rule allows its namespace.
    namespace: bool,
}

impl Stance {
    fn asks_for_all(&self, same_namespace: bool) -> bool {
        self.anyone || self.namespace && same_namespace
    }
}

/// Whether a need at either end of a pair has one of the parties that stand for the other end.
fn asks<const N: usize>(
    needs: &BTreeSet<(&Subject, Direction, &Party)>,
    source: &WorkloadRef,
    destination: &WorkloadRef,
    parties: impl Fn(&WorkloadRef) -> [Party; N],
) -> bool {
    let at = |workload, direction, other| {
        let parties = parties(other);
        subjects(workload)
            .iter()
            .any(|s| parties.iter().any(|party| needs.contains(&(s, direction, party))))
    };
    at(source, Direction::Egress, destination) || at(destination, Direction::Ingress, source)
}

fn subjects(workload: &WorkloadRef) -> [Subject; 2] {
    [Subject::Workload(workload.clone()), Subject::Namespace(workload.namespace.clone())]
}

/// Addresses that policies allow and nobody was seen using.
fn addresses(needs: &[Need]) -> Vec<Slack> {
    let mut found = Vec::new();
    for need in needs {
        let Party::Block(block) = &need.party else { continue };
        let observed = matches!(need.reason, Reason::Observed(_) | Reason::Included(_, Some(_)));
        if !(observed && block.cidr().is_host()) {
            found.push(entry(SlackCause::UnobservedAddresses, need, block.to_string()));
        }
    }
    found
}

fn general_rules(needs: &[Need]) -> Vec<Slack> {
    let general = needs.iter().filter(|need| need.reason == Reason::GeneralRule);
    general.map(|need| entry(SlackCause::GeneralRule, need, need.party.to_string())).collect()
}

fn entry(cause: SlackCause, need: &Need, other: String) -> Slack {
    let subject = need.subject.to_string();
    let (source, destination) = ends(need.direction, subject, other);
    Slack {
        cause,
        direction: need.direction.into(),
        source,
        destination,
        ports: need.ports.to_string(),
    }
}

fn ends(direction: Direction, subject: String, other: String) -> (String, String) {
    match direction {
        Direction::Ingress => (other, subject),
        Direction::Egress => (subject, other),
    }
}

/// A rule allows every pod that will ever carry the labels, so it speaks of classes of labels.
fn future_pods(policy: &NetworkPolicy, direction: Direction, rule: &Rule) -> Vec<Slack> {
    let Peers::Only(peers) = &rule.peers else { return Vec::new() };
    let ports = match &rule.ports {
        Ports::Any => ConnectionSet::all(),
        Ports::Only(ports) => declared_ports(ports),
    };
    let class = |namespaces: String, pods: &Selector| format!("pods {pods} in {namespaces}");
    let subject = class(format!("namespace {}", policy.namespace), &policy.pod_selector);
    let mut found = Vec::new();
    for peer in peers {
        let PeerMatch::Pods { namespaces, pods } = peer else { continue };
        let namespaces = match namespaces {
            NamespaceScope::Own => format!("namespace {}", policy.namespace),
            NamespaceScope::Matching(selector) => format!("namespaces {selector}"),
        };
        let (source, destination) = ends(direction, subject.clone(), class(namespaces, pods));
        let ports = ports.to_string();
        found.push(Slack {
            cause: SlackCause::FuturePods,
            direction: direction.into(),
            source,
            destination,
            ports,
        });
    }
    found
}
