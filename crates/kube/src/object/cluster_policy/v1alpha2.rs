//! `ClusterNetworkPolicy` as v1alpha2 spells it; v1beta1 spells it the same.

use ringfence_model::{Action, ClusterPort, PortRange, Protocol, Tier};
use serde::Deserialize;

use super::{Dialect, Draft, PeerWire, RuleDraft, SubjectWire, range};
use crate::de::{Lined, from_node};
use crate::fault::Fault;
use crate::node::Node as Tree;
use crate::port::{check_name, port};
use crate::strings::Strings;

pub(super) const DIALECT: Dialect =
    Dialect { most: 25, ports: "protocols", accept: "Accept", implies_namespaces: true };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec<'n> {
    tier: TierWire,
    priority: Lined<i64>,
    #[serde(borrow)]
    subject: Lined<SubjectWire<'n>>,
    #[serde(borrow, default)]
    ingress: Vec<Lined<IngressRule<'n>>>,
    #[serde(borrow, default)]
    egress: Vec<Lined<EgressRule<'n>>>,
}

#[derive(Clone, Copy, Deserialize)]
enum TierWire {
    Admin,
    Baseline,
}

#[derive(Clone, Copy, Deserialize)]
enum ActionWire {
    Accept,
    Deny,
    Pass,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IngressRule<'n> {
    #[serde(borrow, default)]
    name: Option<Lined<&'n str>>,
    action: ActionWire,
    #[serde(borrow, default)]
    from: Vec<Lined<PeerWire<'n>>>,
    #[serde(borrow, default)]
    protocols: Option<Vec<Lined<ProtocolWire<'n>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EgressRule<'n> {
    #[serde(borrow, default)]
    name: Option<Lined<&'n str>>,
    action: ActionWire,
    #[serde(borrow, default)]
    to: Vec<Lined<PeerWire<'n>>>,
    #[serde(borrow, default)]
    protocols: Option<Vec<Lined<ProtocolWire<'n>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum ProtocolWire<'n> {
    Tcp(L4Wire),
    Udp(L4Wire),
    Sctp(L4Wire),
    DestinationNamedPort(#[serde(borrow)] &'n str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct L4Wire {
    #[serde(default)]
    destination_port: Option<Lined<PortWire>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum PortWire {
    Number(Lined<i64>),
    Range(Lined<RangeWire>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeWire {
    start: Lined<i64>,
    end: Lined<i64>,
}

pub(super) fn draft<'n>(spec: &'n Tree<'n>, strings: &mut Strings) -> Result<Draft<'n>, Fault> {
    let Spec { tier, priority, subject, ingress, egress } = from_node(spec)?;
    let ingress = ingress.into_iter().map(|Lined { line, value }| {
        let IngressRule { name, action, from, protocols } = value;
        rule(line, name, action, from, protocols, strings)
    });
    let ingress = ingress.collect();
    let egress = egress.into_iter().map(|Lined { line, value }| {
        let EgressRule { name, action, to, protocols } = value;
        rule(line, name, action, to, protocols, strings)
    });
    Ok(Draft {
        tier: match tier {
            TierWire::Admin => Tier::Admin,
            TierWire::Baseline => Tier::Baseline,
        },
        priority: Some(priority),
        subject,
        ingress,
        egress: egress.collect(),
    })
}

fn rule<'n>(
    line: u32,
    name: Option<Lined<&'n str>>,
    action: ActionWire,
    peers: Vec<Lined<PeerWire<'n>>>,
    protocols: Option<Vec<Lined<ProtocolWire<'n>>>>,
    strings: &mut Strings,
) -> RuleDraft<'n> {
    let action = match action {
        ActionWire::Accept => Action::Accept,
        ActionWire::Deny => Action::Deny,
        ActionWire::Pass => Action::Pass,
    };
    let mut read =
        |Lined { line, value }: Lined<ProtocolWire<'n>>| Lined { line, value: value.read(strings) };
    let ports = protocols.map(|protocols| protocols.into_iter().map(&mut read).collect());
    RuleDraft { line, name, action, peers, ports }
}

impl ProtocolWire<'_> {
    fn read(self, strings: &mut Strings) -> Result<ClusterPort, Fault> {
        let numbers = |protocol, field, wire: L4Wire| {
            let range = wire.read().map_err(|fault| fault.inside(field, 0))?;
            Ok(ClusterPort::Numbers(protocol, range))
        };
        match self {
            Self::Tcp(wire) => numbers(Protocol::Tcp, "tcp", wire),
            Self::Udp(wire) => numbers(Protocol::Udp, "udp", wire),
            Self::Sctp(wire) => numbers(Protocol::Sctp, "sctp", wire),
            Self::DestinationNamedPort(name) => {
                check_name(name).map_err(|fault| fault.inside("destinationNamedPort", 0))?;
                Ok(ClusterPort::Named(strings.share(name), None))
            }
        }
    }
}

impl L4Wire {
    fn read(self) -> Result<PortRange, Fault> {
        let Some(Lined { line, value }) = self.destination_port else {
            return Err(Fault::new(0, "destinationPort is missing")
                .hint("for every port write destinationPort: {range: {start: 1, end: 65535}}"));
        };
        let read = || match value {
            PortWire::Number(number) => {
                port(number).map(PortRange::single).map_err(|f| f.inside("number", number.line))
            }
            PortWire::Range(Lined { line, value: RangeWire { start, end } }) => {
                let read = range(start, end).and_then(|range| {
                    let fault = || Fault::new(start.line, "start and end are equal");
                    let hint = "for one port write number";
                    if range.first() < range.last() { Ok(range) } else { Err(fault().hint(hint)) }
                });
                read.map_err(|fault| fault.inside("range", line))
            }
        };
        read().map_err(|fault| fault.inside("destinationPort", line))
    }
}
