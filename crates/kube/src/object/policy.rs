//! `NetworkPolicies`. Nothing in a policy is passed over: a misspelt field would open or close what was not meant.

use ringfence_model::{
    Diagnostic, Direction, IpBlock, NamespaceScope, NetworkPolicy, PeerMatch, Peers, Ports, Rule,
    Selector,
};
use serde::Deserialize;

use super::Context;
use super::meta::Meta;
use super::node::cidr;
use super::selector::SelectorWire;
use crate::de::{Lined, from_node};
use crate::fault::Fault;
use crate::node::{Node as Tree, Value};
use crate::port::PolicyPort;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec<'n> {
    #[serde(borrow, default)]
    pod_selector: Option<Lined<SelectorWire<'n>>>,
    #[serde(borrow, default)]
    ingress: Vec<Lined<IngressRule<'n>>>,
    #[serde(borrow, default)]
    egress: Vec<Lined<EgressRule<'n>>>,
    #[serde(default)]
    policy_types: Vec<PolicyType>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
enum PolicyType {
    Ingress,
    Egress,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IngressRule<'n> {
    #[serde(borrow, default)]
    from: Vec<Lined<PeerWire<'n>>>,
    #[serde(borrow, default)]
    ports: Vec<Lined<PolicyPort<'n>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EgressRule<'n> {
    #[serde(borrow, default)]
    to: Vec<Lined<PeerWire<'n>>>,
    #[serde(borrow, default)]
    ports: Vec<Lined<PolicyPort<'n>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PeerWire<'n> {
    #[serde(borrow, default)]
    pod_selector: Option<Lined<SelectorWire<'n>>>,
    #[serde(borrow, default)]
    namespace_selector: Option<Lined<SelectorWire<'n>>>,
    #[serde(borrow, default)]
    ip_block: Option<Lined<IpBlockWire<'n>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IpBlockWire<'n> {
    #[serde(borrow)]
    cidr: Lined<&'n str>,
    #[serde(borrow, default)]
    except: Vec<Lined<&'n str>>,
}

/// The fields of a policy at its top; `status` was part of the API of `NetworkPolicy` for a while.
const FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// The `spec` of a policy of any kind; what else stands at its top is a fault.
pub(super) fn spec<'t, 'n>(tree: &'t Tree<'n>, faults: &mut Vec<Fault>) -> Option<&'t Tree<'n>> {
    if let Value::Map(entries) = &tree.value {
        let unknown = entries.iter().filter(|(key, _)| !FIELDS.contains(&&*key.text));
        faults.extend(unknown.map(|(key, _)| {
            Fault::new(key.line, format!("unknown field {:?}", key.text))
                .hint("rules stand under spec")
        }));
    }
    let spec = tree.get("spec");
    if spec.is_none() {
        faults.push(Fault::new(tree.line, "spec is missing"));
    }
    spec
}

pub(super) fn read(
    tree: &Tree<'_>,
    meta: Meta,
    cx: &mut Context<'_>,
) -> Result<NetworkPolicy, Vec<Fault>> {
    let mut faults = Vec::new();
    let Some(spec) = spec(tree, &mut faults) else { return Err(faults) };
    let Spec { pod_selector, ingress, egress, policy_types } = match from_node::<Spec<'_>>(spec) {
        Ok(spec) => spec,
        Err(fault) => {
            faults.push(fault.inside("spec", spec.line));
            return Err(faults);
        }
    };
    let pod_selector = match pod_selector {
        // The API takes a missing selector as the empty one.
        None => Selector::everything(),
        Some(Lined { line, value }) => value.read(cx).unwrap_or_else(|fault| {
            faults.push(fault.inside("spec.podSelector", line));
            Selector::everything()
        }),
    };
    // SetDefaults_NetworkPolicy: Ingress always, Egress only when there are egress rules.
    let isolates = |direction| {
        if policy_types.is_empty() {
            direction == PolicyType::Ingress || !egress.is_empty()
        } else {
            policy_types.contains(&direction)
        }
    };
    let (for_ingress, for_egress) = (isolates(PolicyType::Ingress), isolates(PolicyType::Egress));
    let mut rules = |direction: Direction, applies: bool, wires: Vec<RuleWire<'_>>| {
        let mut rules = Vec::with_capacity(wires.len());
        let field = if direction == Direction::Ingress { "ingress" } else { "egress" };
        if let (false, Some(first)) = (applies, wires.first()) {
            let message = format!(
                "spec.{field} has rules, but policyTypes leaves {direction} out, so they do nothing"
            );
            let finding = Diagnostic::warning("rules-without-type", message)
                .at(cx.origin.at(first.line))
                .hint(format!("add {direction} to policyTypes, or remove the rules"));
            cx.findings.push(finding);
        }
        for (n, wire) in wires.into_iter().enumerate() {
            rules.push(wire.read(&format!("spec.{field}[{n}]"), cx, &mut faults));
        }
        applies.then_some(rules)
    };
    let ingress = ingress.into_iter().map(|Lined { line, value: IngressRule { from, ports } }| {
        RuleWire { line, peers_field: "from", peers: from, ports }
    });
    let egress = egress.into_iter().map(|Lined { line, value: EgressRule { to, ports } }| {
        RuleWire { line, peers_field: "to", peers: to, ports }
    });
    let ingress = rules(Direction::Ingress, for_ingress, ingress.collect());
    let egress = rules(Direction::Egress, for_egress, egress.collect());
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(NetworkPolicy {
        namespace: meta.namespace,
        name: meta.name,
        origin: cx.origin.clone(),
        pod_selector,
        ingress,
        egress,
    })
}

struct RuleWire<'n> {
    line: u32,
    peers_field: &'static str,
    peers: Vec<Lined<PeerWire<'n>>>,
    ports: Vec<Lined<PolicyPort<'n>>>,
}

impl RuleWire<'_> {
    /// Reads a rule; what it returns counts only while there are no faults.
    fn read(self, path: &str, cx: &mut Context<'_>, faults: &mut Vec<Fault>) -> Rule {
        let Self { line, peers_field, peers, ports } = self;
        let (any_peer, any_port) = (peers.is_empty(), ports.is_empty());
        let mut good_peers = Vec::with_capacity(peers.len());
        for (n, Lined { line, value }) in peers.into_iter().enumerate() {
            match value.read(cx) {
                Ok(peer) => good_peers.push(peer),
                Err(f) => faults.push(f.inside(&format!("{path}.{peers_field}[{n}]"), line)),
            }
        }
        let mut good_ports = Vec::with_capacity(ports.len());
        for (n, Lined { line, value }) in ports.into_iter().enumerate() {
            match value.read(cx.strings) {
                Ok(port) => good_ports.push(port),
                Err(f) => faults.push(f.inside(&format!("{path}.ports[{n}]"), line)),
            }
        }
        Rule {
            origin: cx.origin.at(line),
            peers: if any_peer { Peers::Any } else { Peers::Only(good_peers) },
            ports: if any_port { Ports::Any } else { Ports::Only(good_ports) },
        }
    }
}

impl PeerWire<'_> {
    fn read(self, cx: &mut Context<'_>) -> Result<PeerMatch, Fault> {
        let Self { pod_selector, namespace_selector, ip_block } = self;
        let mut selector = |field: &str, wire: Option<Lined<SelectorWire<'_>>>| {
            wire.map(|Lined { line, value }| value.read(cx).map_err(|f| f.inside(field, line)))
                .transpose()
        };
        let pods = selector("podSelector", pod_selector)?;
        let namespaces = selector("namespaceSelector", namespace_selector)?;
        match (pods, namespaces, ip_block) {
            (None, None, Some(Lined { line, value })) => {
                value.read().map(PeerMatch::IpBlock).map_err(|f| f.inside("ipBlock", line))
            }
            (None, None, None) => Err(Fault::new(0, "the peer is empty").hint(
                "name podSelector, namespaceSelector or ipBlock; to allow everyone, leave the whole list out",
            )),
            (_, _, Some(_)) => Err(Fault::new(0, "ipBlock excludes the selectors in one peer")
                .hint("make two peers of it")),
            (pods, namespaces, None) => Ok(PeerMatch::Pods {
                namespaces: namespaces.map_or(NamespaceScope::Own, NamespaceScope::Matching),
                pods: pods.unwrap_or_else(Selector::everything),
            }),
        }
    }
}

impl IpBlockWire<'_> {
    fn read(self) -> Result<IpBlock, Fault> {
        let Self { cidr: text, except } = self;
        let block = cidr(&text).map_err(|f| f.inside("cidr", text.line))?;
        let line = except.first().map_or(0, |e| e.line);
        let except = except
            .iter()
            .enumerate()
            .map(|(n, e)| cidr(e).map_err(|f| f.inside(&format!("except[{n}]"), e.line)))
            .collect::<Result<_, _>>()?;
        IpBlock::new(block, except).map_err(|e| Fault::new(line, e.to_string()))
    }
}
