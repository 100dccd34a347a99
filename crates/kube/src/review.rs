//! The review file: people's decisions over edges, in Kubernetes style.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ringfence_model::review::{
    Alias, Choice, CidrRule, ClusterCidrs, EdgeDecision, GeneralRule, GeneralRules, LabelChoice,
    PeerPattern, Review, WorkloadRules,
};
use ringfence_model::{
    AddressClass, Cidr, Diagnostic, Direction, IpBlock, L4, Name, Origin, Peer, PortTarget,
    Protocol, ServiceRef, WorkloadKind, WorkloadRef,
};
use serde::Deserialize;

use crate::de::{Lined, from_node};
use crate::document::documents;
use crate::fault::Fault;
use crate::json::{self, Piece};
use crate::node::{Node, Value};
use crate::object::{check_key, cidr, ip};
use crate::port;
use crate::source;
use crate::strings::Strings;
use crate::yaml;

mod wire;
mod write;

pub use wire::schema;
use wire::{
    AliasWire, ChoiceWire, CidrRuleWire, ClusterWire, DirectionWire, EdgeWire, FileWire,
    GeneralRuleWire, LabelsWire, PeerWire, ProtocolWire, RulesWire, WorkloadRulesWire,
    WorkloadWire,
};
pub use write::yaml;

/// Reads the review in a file, or on standard input for `-`. Fails with every fault that was found.
pub fn path(path: &Path) -> Result<Review, Vec<Diagnostic>> {
    let (name, read) = if path.as_os_str() == "-" {
        ("<stdin>".to_owned(), source::read(std::io::stdin().lock()))
    } else {
        (path.display().to_string(), source::file(path))
    };
    match read {
        Ok(bytes) => self::bytes(&name, &bytes),
        Err(error) => {
            let finding = Diagnostic::error("unreadable", error.to_string());
            Err(vec![finding.at(Origin::new(name, 0))])
        }
    }
}

/// Reads the review in `bytes`, which came from `name`. Fails with every fault that was found.
pub fn bytes(name: &str, bytes: &[u8]) -> Result<Review, Vec<Diagnostic>> {
    read(name, bytes, Extent::Whole)
}

/// Reads a part of a review: the aliases that it speaks of may be defined in another part.
pub fn part(name: &str, bytes: &[u8]) -> Result<Review, Vec<Diagnostic>> {
    read(name, bytes, Extent::Part)
}

/// How much of a review a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// All of it.
    Whole,
    /// Some sections.
    Part,
}

fn read(name: &str, bytes: &[u8], extent: Extent) -> Result<Review, Vec<Diagnostic>> {
    let file = Origin::new(name, 0);
    let mut reader =
        Reader { file: &file, extent, strings: Strings::default(), faults: Vec::new() };
    let review = reader.file(bytes);
    if reader.faults.is_empty() {
        return Ok(review);
    }
    let mut faults = reader.faults;
    faults.sort_by_key(|fault| fault.line);
    Err(faults.into_iter().map(|fault| fault.report("bad-review", &file, Some("Review"))).collect())
}

struct Reader<'f> {
    file: &'f Origin,
    extent: Extent,
    strings: Strings,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    /// What it returns counts only while there are no faults.
    fn file(&mut self, bytes: &[u8]) -> Review {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.faults.push(Fault::new(0, "the text is not UTF-8"));
            return Review::default();
        };
        let nodes: Result<Vec<_>, Fault> = if source::is_json(bytes) && json_like(text) {
            json::parse(Piece { text, line: 1 }).map(|node| vec![node])
        } else {
            let pieces = documents(bytes).into_iter();
            let pieces = pieces.filter_map(|(b, line)| Some((std::str::from_utf8(b).ok()?, line)));
            pieces.filter_map(|(text, line)| yaml::parse(text, line).transpose()).collect()
        };
        let nodes = match nodes {
            Ok(nodes) => nodes.into_iter().filter(|n| !n.is_null()).collect::<Vec<_>>(),
            Err(fault) => {
                self.faults.push(fault);
                return Review::default();
            }
        };
        match nodes.as_slice() {
            [node] => self.review(node),
            [] => {
                let hint = "it begins with apiVersion: ringfence.dev/v1alpha1 and kind: Review";
                self.faults.push(Fault::new(0, "the file holds no review").hint(hint));
                Review::default()
            }
            [_, second, ..] => {
                let fault = Fault::new(second.line, "a second document; a review is one document");
                self.faults.push(fault);
                Review::default()
            }
        }
    }

    fn review(&mut self, node: &Node<'_>) -> Review {
        // The sections of the spec are read one by one below, so that each tells its own faults.
        let mut head = node.clone();
        let mut spec = Node::plain(node.line, "");
        if let Value::Map(entries) = &mut head.value
            && let Some((_, found)) = entries.iter_mut().find(|(key, _)| key.text == "spec")
        {
            spec = std::mem::replace(found, Node { line: found.line, value: Value::Map(vec![]) });
        }
        match from_node::<FileWire>(&head) {
            Ok(FileWire { api_version: _, kind: _, metadata, spec: _ }) => {
                let name = metadata.name;
                self.take(self::name(&name).map_err(|f| f.inside("metadata.name", name.line)));
            }
            Err(fault) => self.faults.push(fault),
        }
        if let Value::Map(entries) = &spec.value {
            for (key, _) in entries.iter().filter(|(key, _)| !wire::SECTIONS.contains(&&*key.text))
            {
                let fault = <Fault as serde::de::Error>::unknown_field(&key.text, &wire::SECTIONS);
                self.faults.push(fault.inside("spec", key.line));
            }
        } else if !spec.is_null() {
            self.faults.push(Fault::new(spec.line, "expected a mapping").inside("spec", 0));
        }
        let review = Review {
            rules: self.section::<RulesWire>(&spec, "rules").into(),
            workloads: self
                .entries(&spec, "workloads", |_, wire, origin| workload_rules(wire, origin)),
            edges: self.entries(&spec, "edges", Self::edge),
            cidr_rules: self.entries(&spec, "cidrRules", Self::cidr_rule),
            aliases: self.entries(&spec, "aliases", Self::alias),
            labels: self.labels(&spec),
            cluster: self.cluster(&spec),
        };
        self.check_names(&review);
        review
    }

    /// Keeps the value, or the fault.
    fn take<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.faults.push(fault)).ok()
    }

    fn section<'n, T: Deserialize<'n> + Default>(&mut self, spec: &'n Node<'n>, key: &str) -> T {
        let Some(node) = spec.get(key) else { return T::default() };
        let section = from_node(node).map_err(|f| f.inside(&format!("spec.{key}"), node.line));
        self.take(section).unwrap_or_default()
    }

    /// Reads the entries of a list, each for itself.
    fn entries<'n, W: Deserialize<'n>, T>(
        &mut self,
        spec: &'n Node<'n>,
        key: &str,
        read: impl Fn(&mut Self, W, Origin) -> Result<T, Fault>,
    ) -> Vec<T> {
        let Some(node) = spec.get(key) else { return Vec::new() };
        let Value::Seq(items) = &node.value else {
            let fault = Fault::new(node.line, "expected a list").inside(&format!("spec.{key}"), 0);
            self.faults.push(fault);
            return Vec::new();
        };
        let mut out = Vec::with_capacity(items.len());
        for (n, item) in items.iter().enumerate() {
            let entry = from_node(item).and_then(|wire| read(self, wire, self.file.at(item.line)));
            let entry = entry.map_err(|f| f.inside(&format!("spec.{key}[{n}]"), item.line));
            out.extend(self.take(entry));
        }
        out
    }

    fn edge(&mut self, wire: EdgeWire, origin: Origin) -> Result<EdgeDecision, Fault> {
        let EdgeWire { choice, source, destination, protocol, port } = wire;
        let mut side = |field: &str, peer: Option<PeerWire>| match peer {
            None => Ok(PeerPattern::Any),
            Some(peer) => self.pattern(peer).map_err(|f| f.inside(field, 0)),
        };
        Ok(EdgeDecision {
            choice: match choice {
                ChoiceWire::Include => Choice::Include,
                ChoiceWire::Exclude => Choice::Exclude,
            },
            source: side("source", source)?,
            destination: side("destination", destination)?,
            l4: l4(protocol, port)?,
            origin,
        })
    }

    fn pattern(&mut self, wire: PeerWire) -> Result<PeerPattern, Fault> {
        Ok(match wire {
            PeerWire::Any {} => PeerPattern::Any,
            PeerWire::Namespace(text) => PeerPattern::Namespace(name(&text)?),
            PeerWire::Workload(wire) => PeerPattern::Peer(Peer::Workload(workload(&wire)?)),
            PeerWire::Service(wire) => PeerPattern::Peer(Peer::Service(ServiceRef {
                namespace: name(&wire.namespace)?,
                name: name(&wire.name)?,
            })),
            PeerWire::Node(text) => PeerPattern::Peer(Peer::Node(name(&text)?)),
            PeerWire::Host(text) => PeerPattern::Peer(Peer::Host(name(&text)?)),
            PeerWire::Alias(text) => {
                PeerPattern::Peer(Peer::Alias(self.strings.share(name(&text)?.as_str())))
            }
            // The class is not part of the choice.
            PeerWire::Address(text) => {
                PeerPattern::Peer(Peer::Address(ip(&text.as_ref())?, AddressClass::Unknown))
            }
            PeerWire::Cidr(text) => PeerPattern::Cidr(cidr(&text.as_ref())?),
        })
    }

    fn cidr_rule(&mut self, wire: CidrRuleWire, origin: Origin) -> Result<CidrRule, Fault> {
        let CidrRuleWire { direction, workload, cidr: text, except, ports } = wire;
        let direction = match direction {
            DirectionWire::Ingress => Direction::Ingress,
            DirectionWire::Egress => Direction::Egress,
        };
        let except_line = except.first().map_or(0, |e| e.line);
        let except = cidrs(&except).map_err(|f| f.inside("except", 0))?;
        let block =
            cidr(&text.as_ref()).map_err(|f| f.inside("cidr", text.line)).and_then(|cidr| {
                let block = IpBlock::new(cidr, except);
                block.map_err(|e| Fault::new(except_line, e.to_string()).inside("except", 0))
            })?;
        let mut good = Vec::with_capacity(ports.len());
        for (n, Lined { line, value }) in ports.into_iter().enumerate() {
            let inside = |f: Fault| f.inside(&format!("ports[{n}]"), line);
            let port = value.as_policy_port().read(&mut self.strings).map_err(inside)?;
            if matches!(port.target, PortTarget::Named(_)) {
                let message = "a port name means other numbers on other pods: write the number";
                return Err(inside(Fault::new(line, message)));
            }
            good.push(port);
        }
        Ok(CidrRule {
            direction,
            workload: workload
                .map(|wire| self::workload(&wire).map_err(|f| f.inside("workload", 0)))
                .transpose()?,
            block,
            ports: good,
            origin,
        })
    }

    fn alias(&mut self, wire: AliasWire, origin: Origin) -> Result<Alias, Fault> {
        let AliasWire { name: text, addresses, allowed } = wire;
        if addresses.is_empty() {
            return Err(Fault::new(0, "an alias without addresses"));
        }
        let cidrs = addresses.iter().map(|text| match ip(&text.as_ref()) {
            Ok(ip) => Ok(Cidr::host(ip)),
            Err(_) => cidr(&text.as_ref()).map_err(|f| f.inside("addresses", text.line)),
        });
        Ok(Alias {
            cidrs: cidrs.collect::<Result<_, _>>()?,
            name: self
                .strings
                .share(name(&text).map_err(|f| f.inside("name", text.line))?.as_str()),
            allowed,
            origin,
        })
    }

    fn labels(&mut self, spec: &Node<'_>) -> LabelChoice {
        let LabelsWire { include, exclude, namespace } = self.section(spec, "labels");
        let mut keys = |field: &str, keys: Vec<Lined<String>>| -> BTreeSet<Arc<str>> {
            let field = format!("spec.labels.{field}");
            let mut good = BTreeSet::new();
            for key in keys {
                let checked = check_key(&key.value).map_err(|f| f.inside(&field, key.line));
                if self.take(checked).is_some() {
                    good.insert(self.strings.share(&key.value));
                }
            }
            good
        };
        LabelChoice {
            include: keys("include", include),
            exclude: keys("exclude", exclude),
            namespace: keys("namespace", namespace),
        }
    }

    fn cluster(&mut self, spec: &Node<'_>) -> ClusterCidrs {
        let ClusterWire { pod_cidrs, service_cidrs, processes } = self.section(spec, "cluster");
        let mut read = |field: &str, texts: Vec<Lined<String>>| {
            let field = format!("spec.cluster.{field}");
            let each = texts.iter().filter_map(|text| {
                self.take(cidr(&text.as_ref()).map_err(|f| f.inside(&field, text.line)))
            });
            each.collect()
        };
        ClusterCidrs {
            pods: read("podCIDRs", pod_cidrs),
            services: read("serviceCIDRs", service_cidrs),
            processes: processes.iter().map(|process| self.strings.share(process)).collect(),
        }
    }

    /// Names must lead somewhere, and to one thing.
    fn check_names(&mut self, review: &Review) {
        let mut aliases = BTreeSet::new();
        for alias in &review.aliases {
            if !aliases.insert(&alias.name) {
                let message = format!("the alias {:?} is defined twice", alias.name);
                self.faults.push(Fault::new(alias.origin.line, message));
            }
        }
        for edge in &review.edges {
            for side in [&edge.source, &edge.destination] {
                if self.extent == Extent::Whole
                    && let PeerPattern::Peer(Peer::Alias(alias)) = side
                    && !aliases.contains(alias)
                {
                    let fault =
                        Fault::new(edge.origin.line, format!("no alias is named {alias:?}"));
                    self.faults.push(fault.hint("define it under spec.aliases"));
                }
            }
        }
        let mut workloads = BTreeSet::new();
        for rules in &review.workloads {
            if !workloads.insert(&rules.workload) {
                let message = format!("the rules of {} stand twice", rules.workload);
                self.faults.push(Fault::new(rules.origin.line, message));
            }
        }
    }
}

/// JSON that happens to be broken is better judged as JSON than as YAML in flow style.
fn json_like(text: &str) -> bool {
    json::parse(Piece { text, line: 1 }).is_ok() || yaml::parse(text, 1).is_err()
}

fn name(text: &Lined<String>) -> Result<Name, Fault> {
    Name::new(text.value.as_str()).map_err(|e| Fault::new(text.line, e.to_string()))
}

fn workload(wire: &WorkloadWire) -> Result<WorkloadRef, Fault> {
    let WorkloadWire { namespace, kind, name } = wire;
    if kind.is_empty() {
        return Err(Fault::new(0, "the kind is empty"));
    }
    Ok(WorkloadRef {
        namespace: self::name(namespace).map_err(|f| f.inside("namespace", namespace.line))?,
        kind: WorkloadKind::from(kind.as_str()),
        name: self::name(name).map_err(|f| f.inside("name", name.line))?,
    })
}

fn workload_rules(wire: WorkloadRulesWire, origin: Origin) -> Result<WorkloadRules, Fault> {
    let WorkloadRulesWire { workload, ingress, egress } = wire;
    if ingress.is_none() && egress.is_none() {
        return Err(Fault::new(0, "neither ingress nor egress is set"));
    }
    Ok(WorkloadRules {
        workload: self::workload(&workload).map_err(|f| f.inside("workload", 0))?,
        ingress: ingress.map(Into::into),
        egress: egress.map(Into::into),
        origin,
    })
}

fn cidrs(texts: &[Lined<String>]) -> Result<Vec<Cidr>, Fault> {
    texts.iter().map(|text| cidr(&text.as_ref())).collect()
}

/// Neither means any; a port alone is TCP. ICMP has no ports, and a transport protocol needs one.
fn l4(
    protocol: Option<Lined<ProtocolWire>>,
    number: Option<Lined<i64>>,
) -> Result<Option<L4>, Fault> {
    let number = number
        .map(|n| port::port(n).map(|p| (n.line, p)).map_err(|f| f.inside("port", n.line)))
        .transpose()?;
    let transport = |protocol, line| match number {
        Some((_, port)) => Ok(Some(L4::Port(protocol, port))),
        None => Err(Fault::new(line, "the protocol needs a port")
            .hint("leave the protocol out for every protocol and port")),
    };
    let icmp = |l4| match number {
        None => Ok(Some(l4)),
        Some((line, _)) => Err(Fault::new(line, "ICMP has no ports")),
    };
    match protocol {
        None => Ok(number.map(|(_, port)| L4::Port(Protocol::Tcp, port))),
        Some(Lined { line, value: ProtocolWire::Tcp }) => transport(Protocol::Tcp, line),
        Some(Lined { line, value: ProtocolWire::Udp }) => transport(Protocol::Udp, line),
        Some(Lined { line, value: ProtocolWire::Sctp }) => transport(Protocol::Sctp, line),
        Some(Lined { value: ProtocolWire::Icmp, .. }) => icmp(L4::Icmp),
        Some(Lined { value: ProtocolWire::IcmpV6, .. }) => icmp(L4::IcmpV6),
    }
}

impl From<GeneralRuleWire> for GeneralRule {
    fn from(wire: GeneralRuleWire) -> Self {
        match wire {
            GeneralRuleWire::Observed => Self::Observed,
            GeneralRuleWire::BlockAll => Self::BlockAll,
            GeneralRuleWire::AllowNamespace => Self::AllowNamespace,
            GeneralRuleWire::AllowAll => Self::AllowAll,
            GeneralRuleWire::Unmanaged => Self::Unmanaged,
        }
    }
}

impl From<RulesWire> for GeneralRules {
    fn from(RulesWire { ingress, egress }: RulesWire) -> Self {
        Self { ingress: ingress.into(), egress: egress.into() }
    }
}
