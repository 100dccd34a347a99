//! Naming the rules behind a decision, with file and line.

use ringfence_model::{Direction, NetworkPolicy, Origin};
use ringfence_policy::{ClusterRuleRef, Connection, Decision, Judgement, PolicyIx, RuleRef};

use crate::witness::World;

impl World<'_> {
    /// The policies that isolate an end and do not allow the connection, or the rule that denies it.
    pub fn denying(&self, decision: &Decision) -> Vec<String> {
        let deniers = |judgement: &Judgement| match judgement {
            Judgement::Denied(policies) => {
                policies.iter().map(|p| self.describe_policy(*p)).collect()
            }
            Judgement::ClusterDenied(rule) => vec![self.describe_cluster_rule(*rule)],
            _ => Vec::new(),
        };
        [&decision.egress, &decision.ingress].into_iter().flat_map(deniers).collect()
    }

    /// The policies that isolate the end that a direction is about.
    pub fn isolating(&self, direction: Direction, connection: &Connection) -> Vec<String> {
        let end = match direction {
            Direction::Ingress => connection.destination,
            Direction::Egress => connection.source,
        };
        self.set().isolating(direction, end).iter().map(|p| self.describe_policy(*p)).collect()
    }

    /// What lets a connection pass: rules, or the lack of any policy.
    pub fn allowing(&self, decision: &Decision) -> Vec<String> {
        let mut reasons: Vec<String> =
            Direction::BOTH.iter().flat_map(|d| self.reasons(*d, decision.judgement(*d))).collect();
        reasons.sort();
        reasons.dedup();
        reasons
    }

    /// What lets a connection pass at one end; nothing when it does not pass.
    pub fn reasons(&self, direction: Direction, judgement: &Judgement) -> Vec<String> {
        match judgement {
            Judgement::Allowed(items) => {
                items.iter().map(|item| self.describe_rule(*item)).collect()
            }
            Judgement::NotIsolated => vec![format!("no policy isolates the pod for {direction}")],
            Judgement::OwnNode => {
                vec!["traffic from a pod's own node is always allowed".to_owned()]
            }
            Judgement::SelfTraffic => vec!["a pod always reaches itself".to_owned()],
            Judgement::ClusterAccepted(rule) => vec![self.describe_cluster_rule(*rule)],
            Judgement::NotSubject | Judgement::ClusterDenied(_) | Judgement::Denied(_) => {
                Vec::new()
            }
        }
    }

    /// `ClusterNetworkPolicy tenants (Admin, priority 10) egress[1] Deny (policies.yaml:20)`.
    pub fn describe_cluster_rule(&self, item: ClusterRuleRef) -> String {
        let list = list(item.direction);
        let found = self.set().cluster_policies().get(item.policy.place());
        let Some((policy, rule)) =
            found.and_then(|p| Some((p, p.rules(item.direction).get(item.rule as usize)?)))
        else {
            return format!("a cluster-wide policy {list}[{}]", item.rule);
        };
        format!(
            "{} {policy} ({}, priority {}) {list}[{}] {} ({})",
            policy.kind, policy.tier, policy.priority, item.rule, rule.action, rule.origin
        )
    }

    fn describe_policy(&self, policy: PolicyIx) -> String {
        let policy = self.set().policy(policy);
        format!("NetworkPolicy {policy} ({})", policy.origin)
    }

    /// `NetworkPolicy shop/web egress[0] (policies.yaml:12)`, counted from 0 like the API's own field paths.
    pub fn describe_rule(&self, item: RuleRef) -> String {
        let policy = self.set().policy(item.policy);
        let origin = self.set().rule(item).map_or(&policy.origin, |rule| &rule.origin);
        rule_name(policy, item.direction, item.rule as usize, origin)
    }
}

/// `NetworkPolicy shop/web egress[0] (policies.yaml:12)`.
pub(crate) fn rule_name(
    policy: &NetworkPolicy,
    direction: Direction,
    rule: usize,
    origin: &Origin,
) -> String {
    format!("NetworkPolicy {policy} {}[{rule}] ({origin})", list(direction))
}

fn list(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}
