//! `ringfence check`.

use std::collections::HashMap;

use ringfence_advise::{Case, Checked, Passes, Verdict, World, check, plan};
use ringfence_model::EdgeKey;
use serde::Serialize;

use crate::Outcome;
use crate::args::CheckArgs;
use crate::input::{Policies, policies, refuse_second_stdin, scope, traffic};
use crate::output::{print, report, table};

/// What the policies make of every edge in scope.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// Needed edges that would be cut.
    needed_and_cut: usize,
    edges: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    source: String,
    destination: String,
    port: String,
    connections: u64,
    /// Whether the applications need it: accepted, and not left out by the review.
    needed: bool,
    /// Why it is not needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<String>,
    /// `allowed`, `denied`, `partly` or `unknown`.
    verdict: Passes,
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<String>,
    because: Vec<String>,
}

/// Judges the edges of the scope. Without a review, every accepted edge is needed.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Outcome> {
    refuse_second_stdin(
        args.traffic.cluster.iter().chain(&args.traffic.flows).chain(&args.policies),
    )?;
    let traffic = traffic(&args.traffic)?;
    let scope = scope(&traffic.inventory, &args.traffic, args.workload.as_ref())?;
    let Policies { network, cluster_wide } = policies(&traffic.inventory, &args.policies)?;
    let case = Case {
        inventory: &traffic.inventory,
        edges: &traffic.edges,
        review: &traffic.review,
        scope: &scope,
    };
    let plan = plan(case);
    if args.traffic.review.is_some() {
        report(&plan.diagnostics);
    }
    let mut left_out: HashMap<&EdgeKey, String> = HashMap::new();
    for row in &plan.rows {
        if let (Verdict::Cut(why), true) = (&row.verdict, args.traffic.review.is_some()) {
            left_out.insert(&row.edge.key, why.to_string());
        }
    }
    let profile = &args.traffic.profile.profile.1;
    let world = World::new(&traffic.inventory, &traffic.review, &network, &cluster_wide, profile);
    let in_scope: std::collections::HashSet<&EdgeKey> =
        plan.rows.iter().map(|row| &row.edge.key).collect();
    let edges: Vec<Line> = check(&world, &traffic.edges)
        .into_iter()
        .filter(|checked| in_scope.contains(&checked.edge.key))
        .map(|checked| line(checked, &left_out))
        .collect();
    let needed_and_cut = edges
        .iter()
        .filter(|line| line.needed && matches!(line.verdict, Passes::None | Passes::Some))
        .count();
    print(args.output, &Answer { needed_and_cut, edges }, text)?;
    Ok(if needed_and_cut == 0 { Outcome::Fine } else { Outcome::Finding })
}

fn line(checked: Checked<'_>, left_out: &HashMap<&EdgeKey, String>) -> Line {
    let Checked { edge, passes, example, because } = checked;
    let why = if edge.evidence.accepted() == 0 {
        Some("every attempt was denied or refused".to_owned())
    } else {
        left_out.get(&edge.key).cloned()
    };
    Line {
        source: edge.key.source.to_string(),
        destination: edge.key.destination.to_string(),
        port: edge.key.l4.to_string(),
        connections: edge.evidence.accepted(),
        needed: why.is_none(),
        left_out: why,
        verdict: passes,
        example,
        because,
    }
}

fn text(answer: &Answer) -> String {
    let header = ["VERDICT", "SOURCE", "DESTINATION", "PORT", "CONNECTIONS", "NEEDED", "BECAUSE"];
    let row = |line: &Line| {
        [
            line.verdict.to_string(),
            line.source.clone(),
            line.destination.clone(),
            line.port.clone(),
            line.connections.to_string(),
            line.left_out.as_ref().map_or_else(|| "yes".to_owned(), |why| format!("no: {why}")),
            line.because.first().cloned().unwrap_or_default(),
        ]
    };
    let rest = match answer.needed_and_cut {
        0 => "no needed edge would be cut".to_owned(),
        1 => "1 needed edge would be cut".to_owned(),
        n => format!("{n} needed edges would be cut"),
    };
    format!("{}\n{rest}\n", table(header, answer.edges.iter().map(row)))
}
