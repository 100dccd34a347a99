//! What the review makes of each observed edge: kept, cut, or nothing a policy can say.

use std::collections::BTreeSet;

use ringfence_inventory::{Inventory, Workload};
use ringfence_model::review::{Choice, EdgeDecision, GeneralRule, PeerPattern, Review};
use ringfence_model::{
    Direction, Edge, EdgeKey, L4, Name, Nature, Origin, Peer, ServicePortRef, WorkloadRef,
};

use crate::dns::DnsServers;
use crate::scope::Scope;
use crate::selection::{Selection, Unselectable};
use crate::verdict::{Cut, Kept, Verdict};

/// One line of the ingress or egress table of a workload.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The workload whose table it is.
    pub workload: &'a WorkloadRef,
    /// Which table.
    pub direction: Direction,
    /// What was observed.
    pub edge: &'a Edge,
    /// What becomes of it.
    pub verdict: Verdict,
}

impl Row<'_> {
    /// The other end.
    pub fn peer(&self) -> &Peer {
        match self.direction {
            Direction::Ingress => &self.edge.key.source,
            Direction::Egress => &self.edge.key.destination,
        }
    }
}

/// Judges edges under a review.
pub(crate) struct Judge<'a> {
    pub(crate) inventory: &'a Inventory,
    pub(crate) review: &'a Review,
    pub(crate) scope: &'a Scope,
    pub(crate) selection: Selection<'a>,
    pub(crate) dns: DnsServers,
    /// The namespaces and directions for which one policy speaks for all pods.
    pub(crate) whole_namespaces: BTreeSet<(Name, Direction)>,
}

impl<'a> Judge<'a> {
    /// The tables of every workload in scope, sorted by workload, direction and edge.
    pub(crate) fn rows(&self, edges: &'a [Edge]) -> Vec<Row<'a>> {
        let mut rows: Vec<Row<'a>> = edges
            .iter()
            .flat_map(|edge| {
                [(Direction::Ingress, &edge.key.destination), (Direction::Egress, &edge.key.source)]
                    .into_iter()
                    .filter_map(|(direction, end)| {
                        let workload = end.workload().filter(|w| self.scope.contains(w))?;
                        let verdict = self.verdict(workload, direction, edge);
                        Some(Row { workload, direction, edge, verdict })
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        rows.sort_by(|a, b| {
            (a.workload, a.direction, &a.edge.key).cmp(&(b.workload, b.direction, &b.edge.key))
        });
        forbid_at_both_ends(&mut rows);
        rows
    }

    /// The general rule of a workload in a direction.
    pub(crate) fn general_rule(&self, workload: &WorkloadRef, direction: Direction) -> GeneralRule {
        // The last entry for a workload wins, as a later line of a file overrides an earlier one.
        let own = self.review.workloads.iter().rev().filter(|rules| rules.workload == *workload);
        let mut own = own.filter_map(|rules| match direction {
            Direction::Ingress => rules.ingress,
            Direction::Egress => rules.egress,
        });
        own.next().unwrap_or_else(|| self.review.rules.get(direction))
    }

    /// The decision about an edge; of several, the last entry of the review.
    pub(crate) fn decision(&self, edge: &Edge) -> Option<&'a EdgeDecision> {
        self.decision_about(&edge.key, &edge.services)
    }

    /// The decision about an edge that may not have been observed.
    pub(crate) fn decision_about(
        &self,
        key: &EdgeKey,
        services: &[ServicePortRef],
    ) -> Option<&'a EdgeDecision> {
        self.review.edges.iter().rev().find(|decision| speaks_of_edge(decision, key, services))
    }

    fn verdict(&self, workload: &WorkloadRef, direction: Direction, edge: &Edge) -> Verdict {
        let L4::Port(_, port) = edge.key.l4 else { return Verdict::Unknown };
        if edge.key.nature == Nature::OwnNode && direction == Direction::Ingress {
            let found = self.inventory.workload(workload);
            let probe = found.is_some_and(|workload| workload.spec.probe_ports.contains(&port));
            return Verdict::Kept(Kept::OwnNode { probe });
        }
        let rule = self.general_rule(workload, direction);
        let decision = self.decision(edge);
        if let Some(decision) = decision.filter(|decision| decision.choice == Choice::Exclude) {
            return Verdict::Cut(Cut::Excluded(decision.origin.clone()));
        }
        let own = self.own_policy(workload);
        let isolated = match &own {
            Ok(()) => true,
            Err(Unselectable::HostNetwork | Unselectable::NotInInput) => false,
            // The policy of the namespace isolates it all the same.
            Err(_) => self.is_whole_namespace(&workload.namespace, direction),
        };
        if rule == GeneralRule::Unmanaged || !isolated {
            return Verdict::Kept(Kept::Unmanaged);
        }
        let peer = match direction {
            Direction::Ingress => &edge.key.source,
            Direction::Egress => &edge.key.destination,
        };
        let same_namespace = peer.namespace() == Some(&workload.namespace);
        if rule == GeneralRule::AllowAll || rule == GeneralRule::AllowNamespace && same_namespace {
            return Verdict::Kept(Kept::GeneralRule(rule));
        }
        if let Some(decision) = decision {
            return match own.and_then(|()| self.selectable(&workload.namespace, peer)) {
                Ok(()) => Verdict::Kept(Kept::Included(decision.origin.clone())),
                Err(why) => Verdict::Cut(Cut::Unselectable(why)),
            };
        }
        if direction == Direction::Egress && self.dns.serves(&edge.key) {
            return Verdict::Kept(Kept::Dns);
        }
        let named = own.is_ok().then_some(workload);
        if let Some(origin) = self.cidr_rule(named, direction, peer, edge.key.l4) {
            return Verdict::Kept(Kept::CidrRule(origin));
        }
        if edge.evidence.accepted() == 0 {
            return Verdict::Cut(Cut::NeverAccepted);
        }
        if rule != GeneralRule::Observed {
            return Verdict::Cut(Cut::GeneralRule(rule));
        }
        if !self.is_known(peer) {
            return Verdict::Cut(Cut::Unresolved);
        }
        match self.selectable(&workload.namespace, peer) {
            Ok(()) => Verdict::Kept(Kept::Observed),
            Err(why) => Verdict::Cut(Cut::Unselectable(why)),
        }
    }

    /// Whether the peer goes into a policy without a decision of its own.
    fn is_known(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Workload(_) | Peer::Node(_) | Peer::Host(_) => true,
            Peer::Alias(name) => {
                self.review.aliases.iter().any(|alias| alias.name == *name && alias.allowed)
            }
            Peer::Service(_) | Peer::Address(..) => false,
        }
    }

    /// Whether a policy of its own can be written for a workload.
    fn own_policy(&self, workload: &WorkloadRef) -> Result<(), Unselectable> {
        let workload = self.inventory.workload(workload).ok_or(Unselectable::NotInInput)?;
        self.selection.pods(workload).map(drop)
    }

    /// Whether one policy speaks for all pods of a namespace in a direction.
    pub(crate) fn is_whole_namespace(&self, namespace: &Name, direction: Direction) -> bool {
        self.whole_namespaces.contains(&(namespace.clone(), direction))
    }

    /// Whether a policy in `home` can name the peer.
    pub(crate) fn selectable(&self, home: &Name, peer: &Peer) -> Result<(), Unselectable> {
        match peer {
            Peer::Workload(peer) => {
                let peer: &Workload =
                    self.inventory.workload(peer).ok_or(Unselectable::NotInInput)?;
                self.selection.workload_peer(home, peer).map(drop)
            }
            Peer::Node(node) if self.inventory.node_addresses(node).is_empty() => {
                Err(Unselectable::NotInInput)
            }
            Peer::Host(host) if self.inventory.host_addresses(host).next().is_none() => {
                Err(Unselectable::AddressesNotKnown)
            }
            Peer::Service(_) => Err(Unselectable::NotInInput),
            Peer::Node(_) | Peer::Host(_) | Peer::Alias(_) | Peer::Address(..) => Ok(()),
        }
    }

    /// The CIDR rule that covers an edge: one for every workload, or for the one named.
    fn cidr_rule(
        &self,
        workload: Option<&WorkloadRef>,
        direction: Direction,
        peer: &Peer,
        l4: L4,
    ) -> Option<Origin> {
        let (Peer::Address(ip, _), L4::Port(protocol, port)) = (peer, l4) else { return None };
        let covering = |rule: &&ringfence_model::review::CidrRule| {
            rule.direction == direction
                && (rule.workload.is_none() || rule.workload.as_ref() == workload)
                && rule.block.contains(*ip)
                && crate::need::declared_ports(&rule.ports).contains(protocol, port)
        };
        self.review.cidr_rules.iter().find(covering).map(|rule| rule.origin.clone())
    }
}

/// Whether a decision speaks of an edge.
pub fn decides(decision: &EdgeDecision, edge: &Edge) -> bool {
    speaks_of_edge(decision, &edge.key, &edge.services)
}

fn speaks_of_edge(decision: &EdgeDecision, key: &EdgeKey, services: &[ServicePortRef]) -> bool {
    let EdgeKey { source, destination, l4, nature: _ } = key;
    let service = |peer: &Peer| match peer {
        Peer::Service(wanted) => services.iter().any(|s| s.service == *wanted),
        _ => false,
    };
    let reaches = match &decision.destination {
        PeerPattern::Peer(peer) if service(peer) => true,
        pattern => speaks_of(pattern, destination),
    };
    reaches && speaks_of(&decision.source, source) && decision.l4.is_none_or(|wanted| wanted == *l4)
}

fn speaks_of(pattern: &PeerPattern, peer: &Peer) -> bool {
    match (pattern, peer) {
        (PeerPattern::Any, _) => true,
        (PeerPattern::Namespace(namespace), peer) => peer.namespace() == Some(namespace),
        (PeerPattern::Peer(Peer::Address(wanted, _)), Peer::Address(ip, _)) => wanted == ip,
        (PeerPattern::Peer(wanted), peer) => wanted == peer,
        (PeerPattern::Cidr(cidr), Peer::Address(ip, _)) => cidr.contains(*ip),
        (PeerPattern::Cidr(_), _) => false,
    }
}

/// A connection needs both ends, so an edge that one table cuts is of no use in the other.
fn forbid_at_both_ends(rows: &mut [Row<'_>]) {
    let cut: std::collections::HashSet<&EdgeKey> = rows
        .iter()
        .filter(|row| matches!(row.verdict, Verdict::Cut(_)))
        .map(|row| &row.edge.key)
        .collect();
    for row in rows {
        if matches!(row.verdict, Verdict::Kept(_)) && cut.contains(&row.edge.key) {
            row.verdict = Verdict::Cut(Cut::OtherEnd);
        }
    }
}
