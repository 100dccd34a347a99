//! `ringfence explain`.

use std::fmt::Write as _;

use ringfence_advise::{Mend, NearMiss, World};
use ringfence_model::{Direction, Port, Protocol};
use ringfence_policy::{Connection, Judgement};
use serde::Serialize;

use crate::Outcome;
use crate::args::ExplainArgs;
use crate::entity::ends;
use crate::input::{Policies, cluster, policies, refuse_second_stdin};
use crate::output::print;

/// The verdicts, one for each kind of pods at either end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// Whether every one is allowed.
    allowed: bool,
    connections: Vec<Explained>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    connection: String,
    allowed: bool,
    egress: Side,
    ingress: Side,
    /// Open points of the specification that the verdict depends on, with the answers of the profile.
    assumptions: Vec<String>,
}

/// What one end says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Side {
    allowed: bool,
    verdict: &'static str,
    /// The rules that allow it, or the policies that deny it, with file and line.
    because: Vec<String>,
    /// Of a denied end, the rules that came nearest to allowing it, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    near_misses: Vec<Near>,
    /// Of a denied end, changes that would make it allow the connection, the smallest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remedies: Vec<Remedy>,
}

/// A rule that does not match.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Near {
    rule: String,
    /// The parts that match.
    matches: Vec<&'static str>,
    /// What the others need.
    needs: Vec<String>,
}

/// A change that would allow the connection at this end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Remedy {
    change: String,
    /// What it opens beside the connection.
    also_opens: Vec<String>,
    also_closes: Vec<String>,
}

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
    let mut connections: Vec<(Connection, Explained)> = Vec::new();
    for &source in &sources {
        for &destination in &destinations {
            if source == destination && sources.len() > 1 {
                continue;
            }
            let connection = Connection { source, destination, protocol, port };
            connections.push((connection, explain(&world, &connection)));
        }
    }
    // Pods that policies treat alike have the same answer: one speaks for all.
    let mut seen = std::collections::BTreeSet::new();
    connections.retain(|(_, c)| {
        seen.insert((c.egress.because.clone(), c.ingress.because.clone(), c.allowed))
    });
    let connections: Vec<Explained> = connections
        .into_iter()
        .map(|(connection, mut explained)| {
            explained.egress.advise(&world, Direction::Egress, &connection);
            explained.ingress.advise(&world, Direction::Ingress, &connection);
            explained
        })
        .collect();
    let answer = Answer { allowed: connections.iter().all(|c| c.allowed), connections };
    print(args.output, &answer, text)?;
    Ok(if answer.allowed { Outcome::Fine } else { Outcome::Finding })
}

/// `8080`, `UDP/53` or `53/udp`; TCP when no protocol is named.
fn port(text: &str) -> anyhow::Result<(Protocol, Port)> {
    let (protocol, port) = match text.split_once('/') {
        Some((a, b)) if a.parse::<u16>().is_ok() => (b, a),
        Some((a, b)) => (a, b),
        None => ("TCP", text),
    };
    let protocol: Protocol = protocol.to_ascii_uppercase().parse()?;
    let port: Port = port
        .parse()
        .map_err(|_| anyhow::anyhow!("{port:?} is not a port number: write 8080 or UDP/53"))?;
    Ok((protocol, port))
}

fn explain(world: &World<'_>, connection: &Connection) -> Explained {
    let decision = world.set().decide(connection);
    let side = |direction| {
        let judgement = decision.judgement(direction);
        Side {
            allowed: judgement.allowed(),
            verdict: match judgement {
                Judgement::NotSubject => "policies do not apply to this end",
                Judgement::NotIsolated => "no policy isolates it",
                Judgement::OwnNode => "always allowed from the pod's own node",
                Judgement::SelfTraffic => "a pod always reaches itself",
                Judgement::Allowed(_) => "allowed by",
                Judgement::ClusterAccepted(_) => "accepted by a cluster-wide policy",
                Judgement::ClusterDenied(_) => "denied by a cluster-wide policy",
                Judgement::Denied(_) => {
                    "denied: isolated by these policies, and none of their rules matches"
                }
            },
            because: match judgement {
                Judgement::Allowed(items) => {
                    let mut rules: Vec<String> =
                        items.iter().map(|item| world.describe_rule(*item)).collect();
                    rules.dedup();
                    rules
                }
                Judgement::ClusterAccepted(rule) | Judgement::ClusterDenied(rule) => {
                    vec![world.describe_cluster_rule(*rule)]
                }
                Judgement::Denied(_) => world.isolating(direction, connection),
                _ => Vec::new(),
            },
            near_misses: Vec::new(),
            remedies: Vec::new(),
        }
    };
    Explained {
        connection: world.show(connection),
        allowed: decision.allowed(),
        egress: side(Direction::Egress),
        ingress: side(Direction::Ingress),
        assumptions: decision.assumptions.iter().map(ToString::to_string).collect(),
    }
}

impl Side {
    /// Adds what came near, and what would help. Both are costly, and asked for only once a connection is shown.
    fn advise(&mut self, world: &World<'_>, direction: Direction, connection: &Connection) {
        if self.allowed {
            return;
        }
        let misses = world.near_misses(direction, connection).into_iter();
        self.near_misses =
            misses.map(|NearMiss { rule, matches, needs }| Near { rule, matches, needs }).collect();
        let mends = world.mends(direction, connection).into_iter();
        self.remedies = mends
            .map(|Mend { change, opens, closes }| Remedy {
                change,
                also_opens: opens,
                also_closes: closes,
            })
            .collect();
    }
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
        let _ = writeln!(text, "           {matches}{}", near.needs.join("; "));
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

fn text(answer: &Answer) -> String {
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
