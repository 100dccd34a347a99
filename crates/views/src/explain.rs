//! Which rules decide a connection, and what would help a denied one.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ringfence_advise::{
    AssumptionCode, LackCode, Mend, NearMiss as Miss, RemedyCode, Said, Say, World,
};
use ringfence_inventory::Inventory;
use ringfence_model::{
    Direction, Name, NameError, NetError, Port, Protocol, WorkloadKind, WorkloadRef,
};
use ringfence_policy::{Connection, End, Judgement, PodIx};
use serde::Serialize;

/// The verdicts, one for each kind of pods at either end.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Explanation {
    /// Whether every one is allowed.
    pub allowed: bool,
    /// The connections.
    pub connections: Vec<Explained>,
}

/// One connection.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Explained {
    /// What it is, in words.
    pub connection: String,
    /// Whether both ends let it pass.
    pub allowed: bool,
    /// What the policies of the client say.
    pub egress: Side,
    /// What the policies of the server say.
    pub ingress: Side,
    /// Open points of the specification that the verdict depends on, with the answers of the profile.
    pub assumptions: Vec<Said<AssumptionCode>>,
}

/// What one end says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = ExplainedSide))]
pub struct Side {
    /// Whether it lets the connection pass.
    pub allowed: bool,
    /// Its verdict.
    pub verdict: Said<EndVerdict>,
    /// The rules that allow it, or the policies that deny it, with file and line.
    pub because: Vec<String>,
    /// Of a denied end, the rules that came nearest to allowing it, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near_misses: Vec<NearMiss>,
    /// Of a denied end, changes that would make it allow the connection, the smallest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<Remedy>,
}

/// What the policies of one end say about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum EndVerdict {
    /// Policies do not apply to this end.
    NotSubject,
    /// No policy isolates it.
    NotIsolated,
    /// Always allowed from the pod's own node.
    OwnNode,
    /// A pod always reaches itself.
    SelfTraffic,
    /// Allowed by the rules in `because`.
    Allowed,
    /// Accepted by the rule of a cluster-wide policy in `because`.
    ClusterAccepted,
    /// Denied by the rule of a cluster-wide policy in `because`.
    ClusterDenied,
    /// Isolated by the policies in `because`, and none of their rules matches.
    Denied,
}

impl EndVerdict {
    const fn of(judgement: &Judgement) -> Self {
        match judgement {
            Judgement::NotSubject => Self::NotSubject,
            Judgement::NotIsolated => Self::NotIsolated,
            Judgement::OwnNode => Self::OwnNode,
            Judgement::SelfTraffic => Self::SelfTraffic,
            Judgement::Allowed(_) => Self::Allowed,
            Judgement::ClusterAccepted(_) => Self::ClusterAccepted,
            Judgement::ClusterDenied(_) => Self::ClusterDenied,
            Judgement::Denied(_) => Self::Denied,
        }
    }
}

impl fmt::Display for EndVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSubject => "policies do not apply to this end",
            Self::NotIsolated => "no policy isolates it",
            Self::OwnNode => "always allowed from the pod's own node",
            Self::SelfTraffic => "a pod always reaches itself",
            Self::Allowed => "allowed by",
            Self::ClusterAccepted => "accepted by a cluster-wide policy",
            Self::ClusterDenied => "denied by a cluster-wide policy",
            Self::Denied => "denied: isolated by these policies, and none of their rules matches",
        })
    }
}

impl Say for EndVerdict {
    type Code = Self;

    fn code(&self) -> Self {
        *self
    }
}

/// A rule that does not match.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NearMiss {
    /// The rule, with file and line.
    pub rule: String,
    /// The parts that match.
    pub matches: Vec<&'static str>,
    /// What the others need.
    pub needs: Vec<Said<LackCode>>,
}

/// A change that would allow the connection at this end.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Remedy {
    /// What to do.
    pub change: Said<RemedyCode>,
    /// What it opens beside the connection.
    pub also_opens: Vec<String>,
    /// What it closes.
    pub also_closes: Vec<String>,
}

/// Why a text does not name the end of a connection.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// Not the name of a Kubernetes object.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A node that is not there.
    #[error("there is no node {0} with addresses in the cluster input")]
    Node(Name),
    /// A pod that is not there.
    #[error("there is no running pod {0}; a workload is NAMESPACE/KIND/NAME")]
    Pod(String),
    /// A workload that is not there.
    #[error(
        "there is no workload {0} with pods that policies apply to\n  hint: the workloads of namespace {1} are: {2}"
    )]
    Workload(WorkloadRef, String, String),
    /// None of the forms.
    #[error("{0:?} is neither an address, NAMESPACE/POD, NAMESPACE/KIND/NAME nor Node/NAME")]
    Form(String),
}

/// Why a text is not a port with its protocol.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The protocol.
    #[error(transparent)]
    Protocol(#[from] NetError),
    /// The number.
    #[error("{0:?} is not a port number: write 8080 or UDP/53")]
    Number(String),
}

/// `8080`, `UDP/53` or `53/udp`; TCP when no protocol is named.
pub fn port(text: &str) -> Result<(Protocol, Port), PortError> {
    let (protocol, port) = match text.split_once('/') {
        Some((a, b)) if a.parse::<u16>().is_ok() => (b, a),
        Some((a, b)) => (a, b),
        None => ("TCP", text),
    };
    let protocol: Protocol = protocol.to_ascii_uppercase().parse()?;
    let port: Port = port.parse().map_err(|_| PortError::Number(port.to_owned()))?;
    Ok((protocol, port))
}

/// A kind as Kubernetes spells it, from any of kubectl's spellings.
pub fn kind_name(kind: &str) -> String {
    match kind.to_ascii_lowercase().as_str() {
        "deployment" | "deployments" | "deploy" => "Deployment",
        "daemonset" | "daemonsets" | "ds" => "DaemonSet",
        "statefulset" | "statefulsets" | "sts" => "StatefulSet",
        "cronjob" | "cronjobs" | "cj" => "CronJob",
        "job" | "jobs" => "Job",
        "replicaset" | "replicasets" | "rs" => "ReplicaSet",
        "pod" | "pods" | "po" => "Pod",
        "service" | "services" | "svc" => "Service",
        _ => kind,
    }
    .to_owned()
}

/// The ends that a text means: an address, `NAMESPACE/POD`, every kind of pod of `NAMESPACE/KIND/NAME`, or the
/// addresses of `Node/NAME`.
pub fn ends(world: &World<'_>, inventory: &Inventory, text: &str) -> Result<Vec<End>, EndError> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(vec![world.set().end(ip)]);
    }
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        ["Node", name] => {
            let name = name.parse::<Name>()?;
            let addresses = inventory.node_addresses(&name);
            if addresses.is_empty() {
                return Err(EndError::Node(name));
            }
            Ok(addresses.iter().map(|ip| world.set().end(*ip)).collect())
        }
        [namespace, pod] => {
            let place = (0u32..).zip(inventory.pods()).find(|(_, p)| {
                p.reference.namespace.as_str() == namespace && p.reference.name.as_str() == pod
            });
            let (place, _) = place.ok_or_else(|| EndError::Pod(text.to_owned()))?;
            Ok(vec![End::Pod(PodIx::new(place))])
        }
        [namespace, kind, name] => {
            let reference = WorkloadRef {
                namespace: namespace.parse::<Name>()?,
                kind: WorkloadKind::from(kind_name(kind).as_str()),
                name: name.parse::<Name>()?,
            };
            let pods = world.pods(&reference);
            if pods.is_empty() {
                let here = inventory.workloads().iter().map(|w| &w.reference);
                let known = some_of(here.filter(|w| w.namespace == reference.namespace));
                return Err(EndError::Workload(reference, namespace.to_owned(), known));
            }
            Ok(pods.iter().map(|pod| End::Pod(*pod)).collect())
        }
        _ => Err(EndError::Form(text.to_owned())),
    }
}

/// A few of many names, for a hint.
pub fn some_of<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 20;
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    match names.len() {
        0 => "none".to_owned(),
        n if n <= SHOWN => names.join(", "),
        n => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
    }
}

/// Explains the connections from any of the sources to any of the destinations.
pub fn explain(
    world: &World<'_>,
    sources: &[End],
    destinations: &[End],
    protocol: Protocol,
    port: Port,
) -> Explanation {
    let mut connections: Vec<(Connection, Explained)> = Vec::new();
    for &source in sources {
        for &destination in destinations {
            if source == destination && sources.len() > 1 {
                continue;
            }
            let connection = Connection { source, destination, protocol, port };
            connections.push((connection, explained(world, &connection)));
        }
    }
    // Pods that policies treat alike have the same answer: one speaks for all.
    let mut seen = BTreeSet::new();
    connections.retain(|(_, c)| {
        seen.insert((c.egress.because.clone(), c.ingress.because.clone(), c.allowed))
    });
    let connections: Vec<Explained> = connections
        .into_iter()
        .map(|(connection, mut explained)| {
            explained.egress.advise(world, Direction::Egress, &connection);
            explained.ingress.advise(world, Direction::Ingress, &connection);
            explained
        })
        .collect();
    Explanation { allowed: connections.iter().all(|c| c.allowed), connections }
}

fn explained(world: &World<'_>, connection: &Connection) -> Explained {
    let decision = world.set().decide(connection);
    let side = |direction| {
        let judgement = decision.judgement(direction);
        Side {
            allowed: judgement.allowed(),
            verdict: EndVerdict::of(judgement).said(),
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
        assumptions: decision.assumptions.iter().map(Say::said).collect(),
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
            misses.map(|Miss { rule, matches, needs }| NearMiss { rule, matches, needs }).collect();
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
