//! `ringfence edges`.

use ringfence_advise::{Case, Row, Scope, Verdict, plan};
use ringfence_inventory::Inventory;
use ringfence_model::{Direction, Evidence, L4, Peer, ServiceRef};
use ringfence_views::explain::{kind_name, some_of};
use serde::Serialize;

use crate::Outcome;
use crate::args::{EdgesArgs, TrafficArgs, WorkloadPattern};
use crate::input::{inhabited, scope, traffic};
use crate::output::{print, table};

/// The ingress and egress tables of a scope.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tables {
    ingress: Vec<Line>,
    egress: Vec<Line>,
}

/// One line of a table.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    /// Whose table it is: a workload, or a Service.
    entity: String,
    peer: String,
    peer_kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_namespace: Option<String>,
    /// Internal, External or Unknown, for unresolved addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    address_class: Option<String>,
    protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Service ports dialled, `namespace/name:port`.
    services: Vec<String>,
    connections: u64,
    denied: u64,
    refused: u64,
    first_seen: String,
    last_seen: String,
    /// `allowed`, `forbidden` or `unknown`, under the review.
    verdict: &'static str,
    reason: String,
}

/// Prints the tables.
pub(crate) fn run(args: &EdgesArgs) -> anyhow::Result<Outcome> {
    let traffic = traffic(&args.traffic)?;
    let inventory = &traffic.inventory;
    let entity = Entity::of(args);
    let scope = match &entity {
        Entity::Services(pattern) => {
            refuse_unknown_service(inventory, &args.traffic, pattern.as_ref())?;
            scope(inventory, &args.traffic, None)?
        }
        Entity::Workloads(pattern) => {
            let scope = scope(inventory, &args.traffic, pattern.as_ref())?;
            match &args.kind {
                Some(kind) => {
                    let kind = Some(kind_name(kind).as_str().into());
                    inhabited(inventory, Scope { kind, ..scope })?
                }
                None => scope,
            }
        }
    };
    let case = Case { inventory, edges: &traffic.edges, review: &traffic.review, scope: &scope };
    let plan = plan(case);
    crate::output::report(&plan.diagnostics);
    let lines = |direction| {
        let rows = plan.rows.iter().filter(|row| row.direction == direction);
        rows.flat_map(|row| entity.names(inventory, row).into_iter().map(|name| line(name, row)))
            .collect()
    };
    let mut tables =
        Tables { ingress: lines(Direction::Ingress), egress: lines(Direction::Egress) };
    tables.ingress.sort_by(|a: &Line, b| a.entity.cmp(&b.entity));
    tables.egress.sort_by(|a: &Line, b| a.entity.cmp(&b.entity));
    print(args.output, &tables, text)?;
    Ok(Outcome::Fine)
}

/// Fails when no Service has the name asked for.
fn refuse_unknown_service(
    inventory: &Inventory,
    args: &TrafficArgs,
    pattern: Option<&WorkloadPattern>,
) -> anyhow::Result<()> {
    let in_scope = |service: &&ServiceRef| {
        args.namespace.as_ref().is_none_or(|namespace| *namespace == service.namespace)
    };
    let services = || inventory.services().iter().map(|s| &s.reference).filter(in_scope);
    if let Some(pattern) = pattern
        && !services().any(|service| service.name == pattern.name)
    {
        anyhow::bail!(
            "there is no Service {}\n  hint: the Services are: {}",
            pattern.name,
            some_of(services())
        );
    }
    Ok(())
}

/// What the tables are grouped by.
enum Entity {
    Workloads(Option<WorkloadPattern>),
    Services(Option<WorkloadPattern>),
}

impl Entity {
    fn of(args: &EdgesArgs) -> Self {
        let by_service = args.kind.as_deref().is_some_and(|kind| kind_name(kind) == "Service");
        match &args.workload {
            Some(pattern) if pattern.kind == "Service" => Self::Services(Some(pattern.clone())),
            None if by_service => Self::Services(None),
            pattern => Self::Workloads(pattern.clone()),
        }
    }

    /// The entities that a row belongs to: its workload; or, into a workload, the Services that were dialled, and
    /// out of one, the Services that it backs.
    fn names(&self, inventory: &Inventory, row: &Row<'_>) -> Vec<String> {
        let Self::Services(pattern) = self else { return vec![row.workload.to_string()] };
        let mut services: Vec<&ServiceRef> = match row.direction {
            Direction::Ingress => row.edge.services.iter().map(|s| &s.service).collect(),
            Direction::Egress => {
                inventory.workload(row.workload).map_or_else(Vec::new, |workload| {
                    workload
                        .services
                        .iter()
                        .filter_map(|&n| Some(&inventory.services().get(n)?.reference))
                        .collect()
                })
            }
        };
        services.sort();
        services.dedup();
        services
            .retain(|service| pattern.as_ref().is_none_or(|pattern| pattern.name == service.name));
        services.into_iter().map(|s| format!("{}/Service/{}", s.namespace, s.name)).collect()
    }
}

fn line(entity: String, row: &Row<'_>) -> Line {
    let peer = row.peer();
    let (peer_kind, address_class) = match peer {
        Peer::Workload(workload) => (workload.kind.to_string(), None),
        Peer::Service(_) => ("Service".to_owned(), None),
        Peer::Node(_) => ("Node".to_owned(), None),
        Peer::Host(_) => ("Host".to_owned(), None),
        Peer::Alias(_) => ("Alias".to_owned(), None),
        Peer::Address(_, class) => ("Address".to_owned(), Some(class.to_string())),
    };
    let (protocol, port) = match row.edge.key.l4 {
        L4::Port(protocol, port) => (protocol.to_string(), Some(port.get())),
        icmp @ (L4::Icmp | L4::IcmpV6) => (icmp.to_string(), None),
    };
    let reason = row.verdict.to_string();
    let verdict = match &row.verdict {
        Verdict::Kept(_) => "allowed",
        Verdict::Cut(_) => "forbidden",
        Verdict::Unknown => "unknown",
    };
    let Evidence { first_seen, last_seen, dropped, refused, .. } = row.edge.evidence;
    Line {
        entity,
        peer: peer.to_string(),
        peer_kind,
        peer_namespace: peer.namespace().map(ToString::to_string),
        address_class,
        protocol,
        port,
        services: row.edge.services.iter().map(ToString::to_string).collect(),
        connections: row.edge.evidence.accepted(),
        denied: dropped,
        refused,
        first_seen: first_seen.to_string(),
        last_seen: last_seen.to_string(),
        verdict,
        reason,
    }
}

fn text(tables: &Tables) -> String {
    format!(
        "INGRESS\n{}\nEGRESS\n{}",
        section(&tables.ingress, "FROM"),
        section(&tables.egress, "TO")
    )
}

fn section(lines: &[Line], peer: &str) -> String {
    let header = [
        "ENTITY",
        peer,
        "PORT",
        "SERVICE",
        "CONNECTIONS",
        "DENIED",
        "REFUSED",
        "FIRST SEEN",
        "LAST SEEN",
        "VERDICT",
    ];
    let row = |line: &Line| {
        let class =
            line.address_class.as_ref().map(|class| format!(" ({class})")).unwrap_or_default();
        let port = line
            .port
            .map_or_else(|| line.protocol.clone(), |port| format!("{}/{port}", line.protocol));
        [
            line.entity.clone(),
            format!("{}{class}", line.peer),
            port,
            line.services.join(","),
            line.connections.to_string(),
            line.denied.to_string(),
            line.refused.to_string(),
            line.first_seen.clone(),
            line.last_seen.clone(),
            format!("{}: {}", line.verdict, line.reason),
        ]
    };
    if lines.is_empty() { "no edges\n".to_owned() } else { table(header, lines.iter().map(row)) }
}
