//! What people should know about a plan before they look at its policies.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_inventory::Workload;
use ringfence_model::review::{Choice, EdgeDecision, GeneralRule};
use ringfence_model::{Diagnostic, Direction, Edge, Name, Origin, Peer, WorkloadRef};

use crate::judge::{Judge, Row, decides};
use crate::selection::Unselectable;
use crate::verdict::{Cut, Kept, Verdict};

/// Everything about the rows and the review that is not as its author may think.
pub(crate) fn diagnostics(judge: &Judge<'_>, edges: &[Edge], rows: &[Row<'_>]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    found.extend(namespaces_without_labels(rows));
    found.extend(unselectable_peers(rows));
    found.extend(unresolved(rows));
    found.extend(icmp(rows));
    found.extend(contradictions(judge, rows));
    found.extend(no_dns(judge));
    found.extend(shared_selectors(judge));
    found.extend(unused_entries(judge, edges));
    found
}

/// A workload of the scope that no policy can be written for.
pub(crate) fn unselectable_subject(workload: &Workload, why: &Unselectable) -> Diagnostic {
    let hint = match why {
        Unselectable::HostNetwork => "restrict it with a firewall on its nodes",
        _ => "give its pod template a label of its own, such as app.kubernetes.io/name",
    };
    Diagnostic::warning(
        "workload-not-selectable",
        format!("no policy of its own was written: {why}"),
    )
    .at(workload.origin.clone())
    .about(workload.reference.to_string())
    .value("workload", &workload.reference)
    .value("why", why)
    .hint(hint)
}

/// An included edge that was never observed and cannot be allowed as it stands.
pub(crate) fn names_no_connection(decision: &EdgeDecision) -> Diagnostic {
    let message = "this included edge was not observed and does not name one connection";
    Diagnostic::warning("review-entry-matches-nothing", message).at(decision.origin.clone()).hint(
        "to allow what was never observed, name a source, a destination, a protocol and a port, \
         with a workload of the scope at one end",
    )
}

/// An included edge that was never observed and that no policy can allow.
pub(crate) fn cannot_include(decision: &EdgeDecision, why: &Unselectable) -> Diagnostic {
    let message =
        format!("this included edge stays forbidden, because one end cannot be selected: {why}");
    let finding = Diagnostic::warning("peer-not-selectable", message).value("why", why);
    finding.at(decision.origin.clone()).hint(
        "give the namespace or the pod template a label of its own, or allow its addresses with a \
         CIDR rule",
    )
}

fn namespaces_without_labels(rows: &[Row<'_>]) -> Option<Diagnostic> {
    let mut namespaces: BTreeMap<&Name, &str> = BTreeMap::new();
    for row in rows {
        if let Verdict::Cut(Cut::Unselectable(Unselectable::NamespaceWithoutLabels {
            namespace,
            keys,
        })) = &row.verdict
        {
            namespaces.insert(namespace, keys);
        }
    }
    let keys = namespaces.values().next()?;
    let names = namespaces.keys().map(|n| n.as_str()).collect::<Vec<_>>().join(", ");
    Some(
        Diagnostic::warning("namespaces-without-labels", format!("Namespaces without labels: {names}")).value("namespaces", &names).value("keys", keys).hint(format!(
            "their edges are forbidden, because no policy can select them by {keys}; label them with kubectl label \
             namespace, or choose other labels in spec.labels.namespace of the review, and generate again"
        )),
    )
}

fn unselectable_peers(rows: &[Row<'_>]) -> Vec<Diagnostic> {
    let mut peers: BTreeMap<(&Peer, String), usize> = BTreeMap::new();
    for row in rows {
        if let Verdict::Cut(Cut::Unselectable(why)) = &row.verdict
            && !matches!(why, Unselectable::NamespaceWithoutLabels { .. })
        {
            *peers.entry((row.peer(), why.to_string())).or_default() += 1;
        }
    }
    let finding = |((peer, why), edges): ((&Peer, String), usize)| {
        Diagnostic::warning(
            "peer-not-selectable",
            format!("{edges} edges with it are forbidden: {why}"),
        )
        .about(peer.to_string())
        .value("peer", peer)
        .value("edges", edges)
        .value("why", why)
        .hint(
            "add its manifests or labels to the cluster input, or allow its addresses with \
                a CIDR rule",
        )
    };
    peers.into_iter().map(finding).collect()
}

fn unresolved(rows: &[Row<'_>]) -> Option<Diagnostic> {
    let cut = rows.iter().filter(|row| row.verdict == Verdict::Cut(Cut::Unresolved));
    let peers: BTreeSet<&Peer> = cut.map(Row::peer).collect();
    let first = peers.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more =
        if peers.len() > 5 { format!(" and {} more", peers.len() - 5) } else { String::new() };
    (!peers.is_empty()).then(|| {
        Diagnostic::warning(
            "unresolved-left-out",
            format!("traffic with unresolved addresses is forbidden: {first}{more}"),
        )
        .value("count", peers.len())
        .value("addresses", first)
        .hint(
            "to let one in, include its edges, give it an alias with allowed: true, or write a \
            CIDR rule in the review",
        )
    })
}

fn icmp(rows: &[Row<'_>]) -> Option<Diagnostic> {
    let count = rows.iter().filter(|row| row.verdict == Verdict::Unknown).count();
    (count > 0).then(|| {
        Diagnostic::note(
            "icmp-unknown",
            format!("{count} ICMP edges were observed, which NetworkPolicies cannot name"),
        )
        .value("edges", count)
        .hint(
            "whether isolated pods may be pinged differs between network plugins: try it \
                before you rely on it",
        )
    })
}

/// Exclusions that no policy can fulfil.
fn contradictions(judge: &Judge<'_>, rows: &[Row<'_>]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for row in rows {
        let Some(decision) = judge.decision(row.edge).filter(|d| d.choice == Choice::Exclude)
        else {
            continue;
        };
        let message = match (&row.verdict, judge.general_rule(row.workload, row.direction)) {
            (Verdict::Kept(Kept::OwnNode { .. }), _) => {
                format!(
                    "{} is excluded, but traffic from a pod's own node is always allowed",
                    row.edge.key
                )
            }
            (_, rule @ (GeneralRule::AllowAll | GeneralRule::Unmanaged)) => {
                format!(
                    "{} is excluded, but the {} rule of {} is {rule:?}",
                    row.edge.key, row.direction, row.workload
                )
            }
            (_, rule @ GeneralRule::AllowNamespace)
                if row.peer().namespace() == Some(&row.workload.namespace) =>
            {
                format!(
                    "{} is excluded, but the {} rule of {} is {rule:?}",
                    row.edge.key, row.direction, row.workload
                )
            }
            _ => continue,
        };
        found.push(
            Diagnostic::warning("exclusion-contradicts-rule", message)
                .at(decision.origin.clone())
                .value("edge", &row.edge.key)
                .value("direction", row.direction)
                .value("workload", row.workload)
                .hint(
                    "NetworkPolicies only allow: set the general rule to Observed and include \
                    what is needed",
                ),
        );
    }
    found
}

/// Policies that select the pods of another workload too.
fn shared_selectors(judge: &Judge<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for workload in judge.scope.workloads(judge.inventory) {
        let Ok(selector) = judge.selection.pods(workload) else { continue };
        let shares = |other: &&Workload| {
            other.reference.namespace == workload.reference.namespace
                && other.reference != workload.reference
                && !other.host_network
                && selector.matches(&other.template_labels)
        };
        let others: Vec<String> = judge
            .inventory
            .workloads()
            .iter()
            .filter(shares)
            .map(|w| w.reference.to_string())
            .collect();
        if !others.is_empty() {
            let others = others.join(", ");
            let message = format!("its policy also selects the pods of {others}");
            found.push(
                Diagnostic::warning("selector-shared", message)
                    .at(workload.origin.clone())
                    .about(workload.reference.to_string())
                    .value("workload", &workload.reference)
                    .value("others", others)
                    .hint(
                        "give each workload a label of its own, or add one that tells them apart to \
                         spec.labels.include of the review",
                    ),
            );
        }
    }
    found
}

fn no_dns(judge: &Judge<'_>) -> Option<Diagnostic> {
    let isolates = |rule| !matches!(rule, GeneralRule::Unmanaged | GeneralRule::AllowAll);
    let needed = judge
        .scope
        .workloads(judge.inventory)
        .any(|w| isolates(judge.general_rule(&w.reference, Direction::Egress)));
    (needed && judge.dns.is_empty()).then(|| {
        Diagnostic::warning(
            "no-dns-found",
            "egress is isolated, and no DNS server was found to allow",
        )
        .hint(
            "add the Service and pods of the cluster's DNS to the cluster input, or allow \
                its addresses with a CIDR rule on port 53",
        )
    })
}

/// Entries of the review that speak of nothing that exists.
fn unused_entries(judge: &Judge<'_>, edges: &[Edge]) -> Vec<Diagnostic> {
    let review = judge.review;
    let nothing = |origin: &Origin, message: String, hint: &str| {
        Diagnostic::warning("review-entry-matches-nothing", message).at(origin.clone()).hint(hint)
    };
    let known = |workload: &WorkloadRef| judge.inventory.workload(workload).is_some();
    let spelling = "check namespace, kind and name; kinds are spelled as in Kubernetes";
    let mut found = Vec::new();
    for rules in review.workloads.iter().filter(|rules| !known(&rules.workload)) {
        let message = format!("there is no workload {}", rules.workload);
        let finding = nothing(&rules.origin, message, spelling);
        found.push(finding.value("workload", &rules.workload));
    }
    for rule in &review.cidr_rules {
        if let Some(workload) = rule.workload.as_ref().filter(|w| !known(w)) {
            let message = format!("there is no workload {workload}");
            let finding = nothing(&rule.origin, message, spelling);
            found.push(finding.value("workload", workload));
        }
    }
    // Included entries that were not observed are the planner's to judge: they may name a connection to come.
    let excludes = |d: &&EdgeDecision| d.choice == Choice::Exclude;
    for decision in review.edges.iter().filter(excludes) {
        if !edges.iter().any(|edge| decides(decision, edge)) {
            let message = "this excluded edge was not observed".to_owned();
            found.push(nothing(
                &decision.origin,
                message,
                "list the observed edges with: ringfence edges",
            ));
        }
    }
    for alias in &review.aliases {
        if !edges.iter().any(|e| {
            [&e.key.source, &e.key.destination]
                .into_iter()
                .any(|p| matches!(p, Peer::Alias(name) if *name == alias.name))
        }) {
            let message = format!("no observed address belongs to alias {}", alias.name);
            let hint = "list the unresolved addresses with: ringfence edges";
            found.push(nothing(&alias.origin, message, hint).value("alias", &alias.name));
        }
    }
    let namespaces = judge.inventory.namespaces();
    for key in &review.labels.namespace {
        if !namespaces.iter().any(|n| n.labels.get(key).is_some()) {
            found.push(
                Diagnostic::warning(
                    "review-entry-matches-nothing",
                    format!("no namespace carries the label {key}"),
                )
                .value("namespaceLabel", key)
                .hint("see spec.labels.namespace of the review"),
            );
        }
    }
    let workloads = judge.inventory.workloads();
    for key in review.labels.include.iter().chain(&review.labels.exclude) {
        if !workloads.iter().any(|w| w.template_labels.get(key).is_some()) {
            found.push(
                Diagnostic::warning(
                    "review-entry-matches-nothing",
                    format!("no workload carries the label {key}"),
                )
                .value("workloadLabel", key)
                .hint("see spec.labels of the review"),
            );
        }
    }
    found
}
