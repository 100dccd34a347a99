//! `ringfence explain`.

use std::fmt::Write as _;

use ringfence_advise::World;
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
    let mut connections: Vec<Explained> = Vec::new();
    for &source in &sources {
        for &destination in &destinations {
            if source == destination && sources.len() > 1 {
                continue;
            }
            connections.push(explain(&world, &Connection { source, destination, protocol, port }));
        }
    }
    // Pods that policies treat alike have the same answer: one speaks for all.
    let mut seen = std::collections::BTreeSet::new();
    connections
        .retain(|c| seen.insert((c.egress.because.clone(), c.ingress.because.clone(), c.allowed)));
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
        }
        for assumption in &c.assumptions {
            let _ = writeln!(text, "  assumed  {assumption}");
        }
    }
    text
}
