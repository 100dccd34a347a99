//! `AdminNetworkPolicy` and `BaselineAdminNetworkPolicy` as the last releases of v1alpha1 spell them.

use ringfence_model::{Action, ClusterPort, PortRange, Tier};
use serde::Deserialize;

use super::{Dialect, Draft, PeerWire, RuleDraft, SubjectWire, range};
use crate::de::{Lined, from_node};
use crate::fault::Fault;
use crate::node::Node as Tree;
use crate::port::{check_name, port, protocol};
use crate::strings::Strings;

pub(super) const DIALECT: Dialect =
    Dialect { most: 100, ports: "ports", accept: "Allow", implies_namespaces: false };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdminSpec<'n> {
    priority: Lined<i64>,
    #[serde(borrow)]
    subject: Lined<SubjectWire<'n>>,
    #[serde(borrow, default)]
    ingress: Vec<Lined<IngressRule<'n, AdminAction>>>,
    #[serde(borrow, default)]
    egress: Vec<Lined<EgressRule<'n, AdminAction>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BaselineSpec<'n> {
    #[serde(borrow)]
    subject: Lined<SubjectWire<'n>>,
    #[serde(borrow, default)]
    ingress: Vec<Lined<IngressRule<'n, BaselineAction>>>,
    #[serde(borrow, default)]
    egress: Vec<Lined<EgressRule<'n, BaselineAction>>>,
}

#[derive(Clone, Copy, Deserialize)]
enum AdminAction {
    Allow,
    Deny,
    Pass,
}

/// No tier comes after Baseline to pass to.
#[derive(Clone, Copy, Deserialize)]
enum BaselineAction {
    Allow,
    Deny,
}

impl From<AdminAction> for Action {
    fn from(action: AdminAction) -> Self {
        match action {
            AdminAction::Allow => Self::Accept,
            AdminAction::Deny => Self::Deny,
            AdminAction::Pass => Self::Pass,
        }
    }
}

impl From<BaselineAction> for Action {
    fn from(action: BaselineAction) -> Self {
        match action {
            BaselineAction::Allow => Self::Accept,
            BaselineAction::Deny => Self::Deny,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IngressRule<'n, A> {
    #[serde(borrow, default)]
    name: Option<Lined<&'n str>>,
    action: A,
    #[serde(borrow, default)]
    from: Vec<Lined<PeerWire<'n>>>,
    #[serde(borrow, default)]
    ports: Option<Vec<Lined<PortWire<'n>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EgressRule<'n, A> {
    #[serde(borrow, default)]
    name: Option<Lined<&'n str>>,
    action: A,
    #[serde(borrow, default)]
    to: Vec<Lined<PeerWire<'n>>>,
    #[serde(borrow, default)]
    ports: Option<Vec<Lined<PortWire<'n>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum PortWire<'n> {
    #[serde(borrow)]
    PortNumber(NumberWire<'n>),
    #[serde(borrow)]
    NamedPort(&'n str),
    #[serde(borrow)]
    PortRange(RangeWire<'n>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NumberWire<'n> {
    #[serde(borrow, default)]
    protocol: Option<Lined<&'n str>>,
    port: Lined<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeWire<'n> {
    #[serde(borrow, default)]
    protocol: Option<Lined<&'n str>>,
    start: Lined<i64>,
    end: Lined<i64>,
}

pub(super) fn admin<'n>(spec: &'n Tree<'n>, strings: &mut Strings) -> Result<Draft<'n>, Fault> {
    let AdminSpec { priority, subject, ingress, egress } = from_node(spec)?;
    Ok(Draft {
        tier: Tier::Admin,
        priority: Some(priority),
        subject,
        ingress: ingress_rules(ingress, strings),
        egress: egress_rules(egress, strings),
    })
}

pub(super) fn baseline<'n>(spec: &'n Tree<'n>, strings: &mut Strings) -> Result<Draft<'n>, Fault> {
    let BaselineSpec { subject, ingress, egress } = from_node(spec)?;
    Ok(Draft {
        tier: Tier::Baseline,
        priority: None,
        subject,
        ingress: ingress_rules(ingress, strings),
        egress: egress_rules(egress, strings),
    })
}

fn ingress_rules<'n, A: Into<Action>>(
    rules: Vec<Lined<IngressRule<'n, A>>>,
    strings: &mut Strings,
) -> Vec<RuleDraft<'n>> {
    let read = |Lined { line, value: IngressRule { name, action, from, ports } }| RuleDraft {
        line,
        name,
        action: A::into(action),
        peers: from,
        ports: read_ports(ports, strings),
    };
    rules.into_iter().map(read).collect()
}

fn egress_rules<'n, A: Into<Action>>(
    rules: Vec<Lined<EgressRule<'n, A>>>,
    strings: &mut Strings,
) -> Vec<RuleDraft<'n>> {
    let read = |Lined { line, value: EgressRule { name, action, to, ports } }| RuleDraft {
        line,
        name,
        action: A::into(action),
        peers: to,
        ports: read_ports(ports, strings),
    };
    rules.into_iter().map(read).collect()
}

fn read_ports(
    ports: Option<Vec<Lined<PortWire<'_>>>>,
    strings: &mut Strings,
) -> Option<Vec<Lined<Result<ClusterPort, Fault>>>> {
    let read =
        |Lined { line, value }: Lined<PortWire<'_>>| Lined { line, value: value.read(strings) };
    ports.map(|ports| ports.into_iter().map(read).collect())
}

impl PortWire<'_> {
    fn read(self, strings: &mut Strings) -> Result<ClusterPort, Fault> {
        match self {
            Self::PortNumber(NumberWire { protocol: wire, port: number }) => {
                let read = || {
                    let number = port(number).map_err(|f| f.inside("port", number.line))?;
                    Ok(ClusterPort::Numbers(protocol(wire)?, PortRange::single(number)))
                };
                read().map_err(|fault: Fault| fault.inside("portNumber", 0))
            }
            Self::NamedPort(name) => {
                check_name(name).map_err(|fault| fault.inside("namedPort", 0))?;
                Ok(ClusterPort::Named(strings.share(name), None))
            }
            Self::PortRange(RangeWire { protocol: wire, start, end }) => {
                let read = || Ok(ClusterPort::Numbers(protocol(wire)?, range(start, end)?));
                read().map_err(|fault: Fault| fault.inside("portRange", 0))
            }
        }
    }
}
