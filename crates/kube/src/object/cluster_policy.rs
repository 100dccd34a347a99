//! Cluster-wide policies: `ClusterNetworkPolicy`, and the older kinds, which read as it. As in a `NetworkPolicy`,
//! nothing is passed over but the kinds of peers that only a later version knows.

mod v1alpha1;
mod v1alpha2;

use std::fmt;

use ringfence_model::{
    Action, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPolicyKind, ClusterPort, ClusterPorts,
    ClusterRule, Diagnostic, Direction, PortRange, Selector, Tier,
};
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Context;
use super::meta::Meta;
use super::node::cidr;
use super::policy;
use super::selector::SelectorWire;
use crate::de::Lined;
use crate::fault::{Fault, shown};
use crate::node::Node as Tree;
use crate::port::port;

/// What the versions of the API set apart.
struct Dialect {
    /// The most rules of a direction, peers of a rule, and ports of a rule.
    most: usize,
    /// The field for ports.
    ports: &'static str,
    /// How the action Accept is spelt.
    accept: &'static str,
    /// Whether `pods` may leave its `namespaceSelector` out, which means all namespaces.
    implies_namespaces: bool,
}

/// The most `networks` or `domainNames` of a peer, in every version.
const MOST_ENTRIES: usize = 25;
/// The most characters of the name of a rule, in every version.
const LONGEST_NAME: usize = 100;
/// The last priority, in every version.
const LAST_PRIORITY: i64 = 1000;

/// A policy of any version, before its contents are checked.
struct Draft<'n> {
    tier: Tier,
    /// `None` where the kind has none.
    priority: Option<Lined<i64>>,
    subject: Lined<SubjectWire<'n>>,
    ingress: Vec<RuleDraft<'n>>,
    egress: Vec<RuleDraft<'n>>,
}

/// A rule of any version.
struct RuleDraft<'n> {
    line: u32,
    name: Option<Lined<&'n str>>,
    action: Action,
    peers: Vec<Lined<PeerWire<'n>>>,
    /// `None` when the field is missing.
    ports: Option<Vec<Lined<Result<ClusterPort, Fault>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum SubjectWire<'n> {
    #[serde(borrow)]
    Namespaces(SelectorWire<'n>),
    #[serde(borrow)]
    Pods(PodsWire<'n>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PodsWire<'n> {
    #[serde(borrow, default)]
    namespace_selector: Option<Lined<SelectorWire<'n>>>,
    #[serde(borrow, default)]
    pod_selector: Option<Lined<SelectorWire<'n>>>,
}

/// The fields of a peer. The API wants exactly one, and asks to fail closed when it is none that is known.
struct PeerWire<'n>(Vec<PeerField<'n>>);

enum PeerField<'n> {
    Namespaces(SelectorWire<'n>),
    Pods(PodsWire<'n>),
    Nodes(SelectorWire<'n>),
    Networks(Vec<Lined<&'n str>>),
    DomainNames(Vec<Lined<&'n str>>),
    Unknown(&'n str),
}

const PEERS: &[&str] = &["namespaces", "pods", "nodes", "networks", "domainNames"];

impl<'de: 'n, 'n> Deserialize<'de> for PeerWire<'n> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PeerVisitor;
        impl<'de> Visitor<'de> for PeerVisitor {
            type Value = PeerWire<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a peer")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PeerWire<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_key::<&'de str>()? {
                    fields.push(match field {
                        "namespaces" => PeerField::Namespaces(map.next_value()?),
                        "pods" => PeerField::Pods(map.next_value()?),
                        "nodes" => PeerField::Nodes(map.next_value()?),
                        "networks" => PeerField::Networks(map.next_value()?),
                        "domainNames" => PeerField::DomainNames(map.next_value()?),
                        unknown => {
                            map.next_value::<IgnoredAny>()?;
                            PeerField::Unknown(unknown)
                        }
                    });
                }
                Ok(PeerWire(fields))
            }
        }
        deserializer.deserialize_struct("", PEERS, PeerVisitor)
    }
}

/// Reads a policy. All faults that can be told apart are returned together.
pub(super) fn read(
    kind: ClusterPolicyKind,
    tree: &Tree<'_>,
    meta: Meta,
    cx: &mut Context<'_>,
) -> Result<ClusterPolicy, Vec<Fault>> {
    let mut faults = Vec::new();
    if kind == ClusterPolicyKind::BaselineAdminNetworkPolicy && meta.name.as_str() != "default" {
        let message = format!("metadata.name: {:?} is not \"default\"", meta.name.as_str());
        faults.push(
            Fault::new(tree.line, message)
                .hint("a cluster has one BaselineAdminNetworkPolicy at most, of that name"),
        );
    }
    let Some(spec) = policy::spec(tree, &mut faults) else { return Err(faults) };
    let (dialect, draft) = match kind {
        ClusterPolicyKind::ClusterNetworkPolicy => {
            (&v1alpha2::DIALECT, v1alpha2::draft(spec, cx.strings))
        }
        ClusterPolicyKind::AdminNetworkPolicy => {
            (&v1alpha1::DIALECT, v1alpha1::admin(spec, cx.strings))
        }
        ClusterPolicyKind::BaselineAdminNetworkPolicy => {
            (&v1alpha1::DIALECT, v1alpha1::baseline(spec, cx.strings))
        }
    };
    let Draft { tier, priority, subject, ingress, egress } = match draft {
        Ok(draft) => draft,
        Err(fault) => {
            faults.push(fault.inside("spec", spec.line));
            return Err(faults);
        }
    };
    let priority = priority.map_or(Ok(0), |priority| {
        let in_range = (0..=LAST_PRIORITY).contains(&priority.value);
        u16::try_from(priority.value).ok().filter(|_| in_range).ok_or_else(|| {
            let message = format!("{} is not between 0 and {LAST_PRIORITY}", priority.value);
            Fault::new(priority.line, message).inside("spec.priority", priority.line)
        })
    });
    let subject_line = subject.line;
    let subject = subject.value.read(dialect, cx);
    let subject = subject.map_err(|fault| fault.inside("spec.subject", subject_line));
    let mut rules = |direction, list: &str, drafts: Vec<RuleDraft<'_>>| -> Vec<ClusterRule> {
        let path = format!("spec.{list}");
        if let Some(first) = drafts.first() {
            faults.extend(too_many(drafts.len(), dialect.most, &path, first.line));
        }
        let rules = drafts.into_iter().enumerate().map(|(n, draft)| {
            let place = Place { path: format!("{path}[{n}]"), direction, dialect };
            draft.read(&place, cx, &mut faults)
        });
        rules.collect()
    };
    let ingress = rules(Direction::Ingress, "ingress", ingress);
    let egress = rules(Direction::Egress, "egress", egress);
    match (priority, subject) {
        (Ok(priority), Ok(subject)) if faults.is_empty() => Ok(ClusterPolicy {
            kind,
            name: meta.name,
            origin: cx.origin.clone(),
            tier,
            priority,
            subject,
            ingress,
            egress,
        }),
        (priority, subject) => {
            let head = priority.err().into_iter().chain(subject.err());
            Err(head.chain(faults).collect())
        }
    }
}

fn too_many(count: usize, most: usize, path: &str, line: u32) -> Option<Fault> {
    (count > most).then(|| {
        Fault::new(line, format!("has {count} entries, and the API takes {most} at most"))
            .inside(path, line)
    })
}

/// Where a rule stands.
struct Place<'d> {
    /// Such as `spec.ingress[0]`.
    path: String,
    direction: Direction,
    dialect: &'d Dialect,
}

impl RuleDraft<'_> {
    /// Reads a rule; what it returns counts only while there are no faults.
    fn read(self, place: &Place<'_>, cx: &mut Context<'_>, faults: &mut Vec<Fault>) -> ClusterRule {
        let Self { line, name, action, peers, ports } = self;
        let Place { path, direction, dialect } = place;
        if let Some(name) = name
            && name.value.chars().count() > LONGEST_NAME
        {
            let fault = Fault::new(0, format!("has more than {LONGEST_NAME} characters"));
            faults.push(fault.inside(&format!("{path}.name"), name.line));
        }
        let field = match direction {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        };
        let peers_path = format!("{path}.{field}");
        if peers.is_empty() {
            let fault = Fault::new(line, "names no peer").inside(&peers_path, line);
            faults.push(fault.hint("for all pods write namespaces: {}"));
        }
        faults.extend(too_many(peers.len(), dialect.most, &peers_path, line));
        let mut good_peers = Vec::with_capacity(peers.len());
        for (n, Lined { line, value }) in peers.into_iter().enumerate() {
            let path = format!("{peers_path}[{n}]");
            match value.read(&path, line, action, place, cx) {
                Ok(peer) => good_peers.push(peer),
                Err(fault) => faults.push(fault.inside(&path, line)),
            }
        }
        let ports_path = format!("{path}.{}", dialect.ports);
        let ports = ports.map(|ports| {
            if ports.is_empty() {
                let fault = Fault::new(line, "is empty").inside(&ports_path, line);
                faults.push(fault.hint("for all traffic leave it out"));
            }
            faults.extend(too_many(ports.len(), dialect.most, &ports_path, line));
            let mut good = Vec::with_capacity(ports.len());
            for (n, Lined { line, value }) in ports.into_iter().enumerate() {
                match value {
                    Ok(port) => good.push(port),
                    Err(fault) => faults.push(fault.inside(&format!("{ports_path}[{n}]"), line)),
                }
            }
            good
        });
        let names_a_port = |port: &ClusterPort| matches!(port, ClusterPort::Named(..));
        let has_no_names =
            |peer: &ClusterPeer| !matches!(peer, ClusterPeer::Pods(_) | ClusterPeer::Unknown);
        if ports.iter().flatten().any(names_a_port) && good_peers.iter().any(has_no_names) {
            let message =
                "a port name stands beside peers that are no pods, which have no port names";
            faults.push(Fault::new(line, message).inside(path, line).hint("make two rules of it"));
        }
        ClusterRule {
            name: name.filter(|name| !name.value.is_empty()).map(|n| cx.strings.share(n.value)),
            origin: cx.origin.at(line),
            action,
            peers: good_peers,
            ports: ports.map_or(ClusterPorts::Any, ClusterPorts::Only),
        }
    }
}

impl SubjectWire<'_> {
    fn read(self, dialect: &Dialect, cx: &mut Context<'_>) -> Result<ClusterPods, Fault> {
        match self {
            Self::Namespaces(selector) => namespaces(selector, cx),
            Self::Pods(pods) => pods.read(dialect, cx),
        }
    }
}

fn namespaces(selector: SelectorWire<'_>, cx: &mut Context<'_>) -> Result<ClusterPods, Fault> {
    let namespaces = selector.read(cx).map_err(|fault| fault.inside("namespaces", 0))?;
    Ok(ClusterPods { namespaces, pods: Selector::everything() })
}

impl PodsWire<'_> {
    fn read(self, dialect: &Dialect, cx: &mut Context<'_>) -> Result<ClusterPods, Fault> {
        let Self { namespace_selector, pod_selector } = self;
        let mut selector = |field: &str, wire: Option<Lined<SelectorWire<'_>>>, implied: bool| {
            match wire {
                Some(Lined { line, value }) => value.read(cx).map_err(|f| f.inside(field, line)),
                None if implied => Ok(Selector::everything()),
                None => Err(Fault::new(0, format!("{field} is missing"))
                    .hint(format!("for all write {field}: {{}}"))),
            }
            .map_err(|fault| fault.inside("pods", 0))
        };
        Ok(ClusterPods {
            namespaces: selector(
                "namespaceSelector",
                namespace_selector,
                dialect.implies_namespaces,
            )?,
            pods: selector("podSelector", pod_selector, false)?,
        })
    }
}

impl PeerWire<'_> {
    fn read(
        self,
        path: &str,
        line: u32,
        action: Action,
        place: &Place<'_>,
        cx: &mut Context<'_>,
    ) -> Result<ClusterPeer, Fault> {
        let Self(mut fields) = self;
        if fields.len() > 1 {
            return Err(Fault::new(0, "a peer has exactly one field").hint("make several of it"));
        }
        let Some(field) = fields.pop() else {
            cx.findings.push(unknown_peer(None, path, action).at(cx.origin.at(line)));
            return Ok(ClusterPeer::Unknown);
        };
        let outside = |field: &str| match place.direction {
            Direction::Egress => Ok(()),
            Direction::Ingress => {
                Err(Fault::new(0, format!("{field} may stand in egress rules only")))
            }
        };
        match field {
            PeerField::Namespaces(selector) => namespaces(selector, cx).map(ClusterPeer::Pods),
            PeerField::Pods(pods) => pods.read(place.dialect, cx).map(ClusterPeer::Pods),
            PeerField::Nodes(selector) => {
                outside("nodes")?;
                let nodes = selector.read(cx).map_err(|fault| fault.inside("nodes", 0))?;
                Ok(ClusterPeer::Nodes(nodes))
            }
            PeerField::Networks(networks) => {
                outside("networks")?;
                let networks = entries("networks", &networks, cidr)?;
                Ok(ClusterPeer::Networks(networks))
            }
            PeerField::DomainNames(names) => {
                outside("domainNames")?;
                if action != Action::Accept {
                    let accept = place.dialect.accept;
                    let message = format!("domainNames may stand in {accept} rules only");
                    return Err(Fault::new(0, message));
                }
                let names = entries("domainNames", &names, |name| {
                    check_domain(name).map(|()| cx.strings.share(name.value))
                })?;
                Ok(ClusterPeer::DomainNames(names))
            }
            PeerField::Unknown(field) => {
                cx.findings.push(unknown_peer(Some(field), path, action).at(cx.origin.at(line)));
                Ok(ClusterPeer::Unknown)
            }
        }
    }
}

/// The entries of `networks` or `domainNames`: 1 to 25.
fn entries<T>(
    field: &str,
    wires: &[Lined<&str>],
    mut read: impl FnMut(&Lined<&str>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    if wires.is_empty() {
        return Err(Fault::new(0, "is empty").inside(field, 0));
    }
    if let Some(fault) = too_many(wires.len(), MOST_ENTRIES, field, 0) {
        return Err(fault);
    }
    let entries = wires.iter().enumerate();
    entries
        .map(|(n, wire)| {
            read(wire).map_err(|fault| fault.inside(&format!("{field}[{n}]"), wire.line))
        })
        .collect()
}

/// "For Accept rules, fail closed means: treat the rule as matching no traffic. For Deny and Pass rules: treat the
/// rule as a Deny all rule" (`ClusterNetworkPolicyIngressPeer`).
fn unknown_peer(field: Option<&str>, path: &str, action: Action) -> Diagnostic {
    let (what, hint) = match field {
        Some(field) => {
            let fault = Fault::unknown_field(field, PEERS);
            (fault.message, fault.hint)
        }
        None => (
            "the peer has no field".to_owned(),
            Some(
                "a server drops the fields that it does not know: look at the file it came from"
                    .into(),
            ),
        ),
    };
    let effect = match action {
        Action::Accept => "matches nothing",
        Action::Deny | Action::Pass => "denies everything",
    };
    let message = format!("{path}: {what}, so the whole rule fails closed and {effect}");
    let mut finding = Diagnostic::warning("unknown-peer", shown(&message));
    finding.hint = hint.as_deref().map(shown);
    finding
}

/// Two labels or more of letters, digits, '-' and '_', with `*.` before them for all names below (`DomainName`).
fn check_domain(name: &Lined<&str>) -> Result<(), Fault> {
    let text = name.value.strip_prefix("*.").unwrap_or(name.value);
    let text = text.strip_suffix('.').unwrap_or(text);
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| {
        label.bytes().all(inner)
            && label.starts_with(|c: char| c.is_ascii_alphanumeric())
            && label.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    if text.contains('.') && text.split('.').all(label) {
        return Ok(());
    }
    let message =
        format!("{:?} is not a domain name such as example.org or *.example.org", name.value);
    Err(Fault::new(name.line, message))
}

/// Ports from `start` to `end`, both included.
fn range(start: Lined<i64>, end: Lined<i64>) -> Result<PortRange, Fault> {
    let first = port(start).map_err(|fault| fault.inside("start", start.line))?;
    let last = port(end).map_err(|fault| fault.inside("end", end.line))?;
    PortRange::new(first, last)
        .map_err(|_| Fault::new(start.line, format!("start {first} is above end {last}")))
}
