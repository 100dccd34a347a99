//! `ringfence explain`.

use std::fmt::Write as _;

use ringfence_advise::World;
use ringfence_views::explain::{Explanation, Side, ends, explain, port};

use crate::Outcome;
use crate::args::ExplainArgs;
use crate::input::{Policies, cluster, policies, refuse_second_stdin};
use crate::output::print;

/// Explains one connection.
pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<Outcome> {
    refuse_second_stdin(args.cluster.iter().chain(&args.policies))?;
    let inventory = cluster(&args.cluster)?;
    let Policies { network, cluster_wide } = policies(&inventory, &args.policies)?;
    let review = ringfence_model::review::Review::default();
    let world = World::new(&inventory, &review, &network, &cluster_wide, &args.profile.profile.1);
    let (protocol, port) = port(&args.port)?;
    let sources = ends(&world, &inventory, &args.source)?;
    let destinations = ends(&world, &inventory, &args.destination)?;
    let answer = explain(&world, &sources, &destinations, protocol, port);
    print(args.output, &answer, text)?;
    Ok(if answer.allowed { Outcome::Fine } else { Outcome::Finding })
}

/// So many are shown to people.
const SHOWN: usize = 3;

fn denial(text: &mut String, side: &Side) {
    for (n, near) in side.near_misses.iter().take(SHOWN).enumerate() {
        let word = if n == 0 { "nearest" } else { "then" };
        let _ = writeln!(text, "  {word:<8} {}", near.rule);
        let matches = match near.matches[..] {
            [] => String::new(),
            ["ports"] => "ports match, ".to_owned(),
            [one] => format!("{one} matches, "),
            _ => format!("{} match, ", near.matches.join(" and ")),
        };
        let needs: Vec<String> = near.needs.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "           {matches}{}", needs.join("; "));
    }
    for (n, change) in side.remedies.iter().enumerate() {
        let _ = writeln!(text, "  {:<8} {}", if n == 0 { "to allow" } else { "or" }, change.change);
        for (word, list) in [("opens", &change.also_opens), ("closes", &change.also_closes)] {
            for line in list.iter().take(SHOWN) {
                let _ = writeln!(text, "           also {word} {line}");
            }
            if list.len() > SHOWN {
                let _ = writeln!(text, "           and {word} {} more", list.len() - SHOWN);
            }
        }
        if change.also_opens.is_empty() && change.also_closes.is_empty() {
            text.push_str("           and nothing else\n");
        }
    }
}

fn text(answer: &Explanation) -> String {
    let mut text = String::new();
    for c in &answer.connections {
        let verdict = if c.allowed { "ALLOWED" } else { "DENIED" };
        let _ = writeln!(text, "{verdict}: {}", c.connection);
        for (name, side) in [("egress", &c.egress), ("ingress", &c.ingress)] {
            let _ = writeln!(text, "  {name:<8} {}", side.verdict);
            for because in &side.because {
                let _ = writeln!(text, "           {because}");
            }
            denial(&mut text, side);
        }
        for assumption in &c.assumptions {
            let _ = writeln!(text, "  assumed  {assumption}");
        }
    }
    text
}
