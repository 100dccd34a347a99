//! A certificate in plain words.

use std::fmt::Write as _;

use ringfence_advise::{Certificate, Readiness};

use crate::output::count;

/// From this estimate on, that the next connection of a workload is on an edge not seen yet, people are told.
const NOTABLE_PROBABILITY: f64 = 0.01;

/// The certificate as people read it first.
pub(crate) fn summary(certificate: &Certificate) -> String {
    let c = certificate;
    let edges = |n| count(n, "edge", "edges");
    let mut text = format!(
        "\n{}: {} for {}\n",
        c.outcome,
        count(c.policies.len(), "policy", "policies"),
        c.scope
    );
    let mut line = |topic: &str, what: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {topic:<10} {what}");
    };
    for failure in &c.failures {
        line("FAILED", &failure.to_string().replace('\n', "\n             "));
    }
    if let Some(window) = &c.window {
        line("observed", &format!("{} to {} ({} hours)", window.first, window.last, window.hours));
    } else {
        line("observed", "nothing: what is not allowed by a rule of the review is cut");
    }
    line("kept", &format!("{}, each checked in both directions", edges(c.kept.len())));
    line("cut", &edges(c.cut.len()));
    for edge in c.cut.iter().filter(|edge| edge.accepted > 0) {
        let seen = count(
            usize::try_from(edge.accepted).unwrap_or(usize::MAX),
            "connection",
            "connections",
        );
        line(
            "",
            &format!(
                "{} -> {} {}, {seen}: {}",
                edge.source, edge.destination, edge.port, edge.reason
            ),
        );
    }
    line("changed", &format!("{} judged differently than now", edges(c.changes.len())));
    for (cause, entries) in c.slack_by_cause() {
        line("slack", &format!("{cause}: {entries}"));
    }
    for readiness in &c.readiness {
        let said = readiness_of(readiness);
        if !said.is_empty() {
            line("readiness", &format!("{}: {}", readiness.workload, said.join("; ")));
        }
    }
    let connections = count(c.checks.connections, "connection", "connections");
    line(
        "checked",
        &format!("{connections}, and that each of {} rule items is needed", c.checks.needed_items),
    );
    text
}

fn readiness_of(readiness: &Readiness) -> Vec<String> {
    let mut said: Vec<String> = readiness.gaps.iter().map(ToString::to_string).collect();
    if let Some(probability) = readiness.unseen_probability.filter(|p| *p >= NOTABLE_PROBABILITY) {
        said.push(format!(
            "the next connection is on an edge not seen yet with a probability of about {:.0}%",
            probability * 100.0
        ));
    }
    said
}
