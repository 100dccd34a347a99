//! What one version of a review says otherwise than another.

use std::collections::BTreeMap;

use ringfence_advise::{Said, values};
use ringfence_model::review::{
    Choice, CidrRule, EdgeDecision, GeneralRule, PeerPattern, Review, WorkloadRules,
};
use ringfence_model::{Direction, Values, WorkloadRef};
use serde::Serialize;
use utoipa::ToSchema;

/// One thing that changed between two versions of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeCode {
    /// The general rule of `direction` is `rule` now.
    GeneralRule,
    /// The rule of `direction` of `workload` is `rule` now, or without it the general one.
    WorkloadRule,
    /// `edge` is included now.
    EdgeIncluded,
    /// `edge` is excluded now.
    EdgeExcluded,
    /// Nothing is decided about `edge` any more.
    DecisionCleared,
    /// There is a new CIDR rule: `cidr` in `direction`.
    CidrRuleAdded,
    /// A CIDR rule has gone: `cidr` in `direction`.
    CidrRuleRemoved,
    /// `alias` is new, or stands for something else.
    AliasSet,
    /// `alias` has gone.
    AliasRemoved,
    /// Other labels go into selectors.
    Labels,
    /// The address space of the cluster is another.
    Ranges,
}

/// What `after` says otherwise than `before`, wherever its entries stand.
pub(crate) fn changes(before: &Review, after: &Review) -> Vec<Said<ChangeCode>> {
    let mut found = Vec::new();
    for direction in Direction::BOTH {
        let rule = after.rules.get(direction);
        if before.rules.get(direction) != rule {
            found.push(Said {
                code: ChangeCode::GeneralRule,
                values: values([("direction", &direction), ("rule", &format_args!("{rule:?}"))]),
                text: format!("the general {direction} rule is {rule:?}"),
            });
        }
    }
    workload_rules(&before.workloads, &after.workloads, &mut found);
    decisions(&before.edges, &after.edges, &mut found);
    let lacks = |rules: &[CidrRule], rule: &CidrRule| !rules.iter().any(|other| same(other, rule));
    for rule in after.cidr_rules.iter().filter(|rule| lacks(&before.cidr_rules, rule)) {
        found.push(cidr_rule(ChangeCode::CidrRuleAdded, "new", rule));
    }
    for rule in before.cidr_rules.iter().filter(|rule| lacks(&after.cidr_rules, rule)) {
        found.push(cidr_rule(ChangeCode::CidrRuleRemoved, "gone", rule));
    }
    let named = |review: &Review| -> BTreeMap<String, _> {
        let aliases = review.aliases.iter().cloned();
        aliases.map(|alias| (alias.name.to_string(), (alias.cidrs, alias.allowed))).collect()
    };
    let (old, new) = (named(before), named(after));
    let alias = |code, name: &String, what| Said {
        code,
        values: values([("alias", name)]),
        text: format!("alias {name} {what}"),
    };
    for (name, alias_now) in &new {
        if old.get(name) != Some(alias_now) {
            found.push(alias(ChangeCode::AliasSet, name, "is new or stands for something else"));
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        found.push(alias(ChangeCode::AliasRemoved, name, "is gone"));
    }
    let plain = |code, text: &str| Said { code, values: Values::new(), text: text.to_owned() };
    if before.labels != after.labels {
        found.push(plain(ChangeCode::Labels, "other labels go into selectors"));
    }
    if before.cluster != after.cluster {
        found.push(plain(ChangeCode::Ranges, "the address space of the cluster is another"));
    }
    found
}

/// Whether two rules say the same, wherever they stand.
pub(crate) fn same(a: &CidrRule, b: &CidrRule) -> bool {
    (a.direction, &a.workload, &a.block, &a.ports) == (b.direction, &b.workload, &b.block, &b.ports)
}

fn cidr_rule(code: ChangeCode, word: &str, rule: &CidrRule) -> Said<ChangeCode> {
    let cidr = rule.block.cidr();
    Said {
        code,
        values: values([("direction", &rule.direction), ("cidr", &cidr)]),
        text: format!("the {} rule for {cidr} is {word}", rule.direction),
    }
}

fn workload_rules(
    before: &[WorkloadRules],
    after: &[WorkloadRules],
    found: &mut Vec<Said<ChangeCode>>,
) {
    type Rules<'a> = BTreeMap<(&'a WorkloadRef, Direction), GeneralRule>;
    fn rules(all: &[WorkloadRules]) -> Rules<'_> {
        let of = |rules: &'_ WorkloadRules| {
            [(Direction::Ingress, rules.ingress), (Direction::Egress, rules.egress)]
        };
        let each = all
            .iter()
            .flat_map(|rules| of(rules).map(|(way, rule)| ((&rules.workload, way), rule)));
        each.filter_map(|(of, rule)| Some((of, rule?))).collect()
    }
    let (before, after) = (rules(before), rules(after));
    for (&(workload, direction), rule) in &after {
        if before.get(&(workload, direction)) != Some(rule) {
            let rule = format!("{rule:?}");
            found.push(Said {
                code: ChangeCode::WorkloadRule,
                values: values([
                    ("workload", workload),
                    ("direction", &direction),
                    ("rule", &rule),
                ]),
                text: format!("the {direction} rule of {workload} is {rule}"),
            });
        }
    }
    for &(workload, direction) in before.keys().filter(|of| !after.contains_key(*of)) {
        found.push(Said {
            code: ChangeCode::WorkloadRule,
            values: values([("workload", workload), ("direction", &direction)]),
            text: format!("the {direction} rule of {workload} is the general one"),
        });
    }
}

fn decisions(before: &[EdgeDecision], after: &[EdgeDecision], found: &mut Vec<Said<ChangeCode>>) {
    // Of several about one edge, the last counts.
    let decided = |all: &[EdgeDecision]| -> BTreeMap<String, Choice> {
        all.iter().map(|decision| (edge(decision), decision.choice)).collect()
    };
    let (before, after) = (decided(before), decided(after));
    for (edge, choice) in &after {
        if before.get(edge) != Some(choice) {
            let (code, word) = match choice {
                Choice::Include => (ChangeCode::EdgeIncluded, "included"),
                Choice::Exclude => (ChangeCode::EdgeExcluded, "excluded"),
            };
            let text = format!("{edge} is {word}");
            found.push(Said { code, values: values([("edge", edge)]), text });
        }
    }
    for edge in before.keys().filter(|edge| !after.contains_key(*edge)) {
        found.push(Said {
            code: ChangeCode::DecisionCleared,
            values: values([("edge", edge)]),
            text: format!("nothing is decided about {edge} any more"),
        });
    }
}

/// `shop/Deployment/web -> shop/Deployment/orders TCP/8081`.
fn edge(decision: &EdgeDecision) -> String {
    let end = |pattern: &PeerPattern| match pattern {
        PeerPattern::Any => "any".to_owned(),
        PeerPattern::Namespace(name) => format!("{name}/*"),
        PeerPattern::Peer(peer) => peer.to_string(),
        PeerPattern::Cidr(cidr) => cidr.to_string(),
    };
    let port = decision.l4.map(|l4| format!(" {l4}")).unwrap_or_default();
    format!("{} -> {}{port}", end(&decision.source), end(&decision.destination))
}
