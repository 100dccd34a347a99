//! Findings about cluster-wide policies.

use ringfence_model::{ClusterPolicy, Diagnostic, Direction};

use super::{EQUAL_PRIORITY, Lint, SELECTS_NOTHING, diagnostic};
use crate::index::{ClusterPolicyIx, index};
use crate::policy_set::PolicySet;

pub(super) fn findings(set: &PolicySet) -> Vec<Diagnostic> {
    let tiers = &set.tiers;
    let mut found = Vec::new();
    for (n, policy) in tiers.policies.iter().enumerate() {
        if tiers.removed.contains(&ClusterPolicyIx::new(index(n))) {
            continue;
        }
        let subjects = &tiers.subjects[n];
        if subjects.is_empty() && set.cluster.present().next().is_some() {
            let message = format!(
                "subject matches no pod: pods {} of the namespaces {}",
                policy.subject.pods, policy.subject.namespaces
            );
            found.push(
                about(SELECTS_NOTHING, policy, message)
                    .value("pods", &policy.subject.pods)
                    .value("namespaces", &policy.subject.namespaces)
                    .hint("compare with the labels of the pods and namespaces that are meant"),
            );
        }
        let rival = tiers.policies[..n].iter().zip(&tiers.subjects).find(|(other, theirs)| {
            (other.tier, other.priority) == (policy.tier, policy.priority)
                && Direction::BOTH
                    .into_iter()
                    .any(|d| !other.rules(d).is_empty() && !policy.rules(d).is_empty())
                && subjects.iter().any(|end| theirs.binary_search(end).is_ok())
        });
        if let Some((other, _)) = rival {
            let message = format!(
                "has priority {} of the {} tier, as has {other}, for some of the same pods: which comes first is undefined",
                policy.priority, policy.tier
            );
            found.push(
                about(EQUAL_PRIORITY, policy, message)
                    .value("priority", policy.priority)
                    .value("tier", policy.tier)
                    .value("other", other)
                    .hint("give every policy of a tier its own priority"),
            );
        }
    }
    found
}

fn about(lint: Lint, policy: &ClusterPolicy, message: String) -> Diagnostic {
    diagnostic(lint, message)
        .at(policy.origin.clone())
        .about(format!("ClusterNetworkPolicy {policy}"))
        .value("policy", policy)
}
