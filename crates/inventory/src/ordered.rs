//! The objects in a fixed order, each once.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use ringfence_model::object::{Namespace, Objects, Pod};
use ringfence_model::{
    ClusterPolicy, ClusterPolicyKind, Diagnostic, Labels, Name, Origin, PodRef, Tier, Timestamp,
};

use crate::owners;

/// The label that the API server sets on every Namespace since Kubernetes 1.22.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// How many names a message lists before it says how many more there are.
const NAMES_IN_MESSAGE: usize = 8;

/// Sorts every list by name. Of an object that was read more than once the last reading stays, as if the files
/// had been applied in that order.
pub(crate) fn ordered(mut objects: Objects, diagnostics: &mut Vec<Diagnostic>) -> Objects {
    let mut repeated = Repeated::default();
    repeated.drop(&mut objects.namespaces, |o| (o.name.clone(), "Namespace"), |o| &o.origin);
    repeated.drop(&mut objects.nodes, |o| (o.name.clone(), "Node"), |o| &o.origin);
    let earlier = earlier_lives(&mut objects.pods);
    repeated.drop(&mut objects.pods, |o| (o.reference.clone(), "Pod"), |o| &o.origin);
    objects.pods.extend(earlier);
    objects.pods.sort_by(|a, b| a.reference.cmp(&b.reference));
    repeated.drop(&mut objects.controllers, |o| (owners::reference(o), ""), |o| &o.origin);
    repeated.drop(&mut objects.services, |o| (o.reference.clone(), "Service"), |o| &o.origin);
    repeated.drop(
        &mut objects.policies,
        |o| (PolicyName(o.namespace.clone(), o.name.clone()), "NetworkPolicy"),
        |o| &o.origin,
    );
    repeated.drop(
        &mut objects.cluster_policies,
        |o| (ClusterPolicyName(o.kind, o.name.clone()), ""),
        |o| &o.origin,
    );
    repeated.drop(&mut objects.hosts, |o| (o.name.clone(), "Host"), |o| &o.origin);
    objects.cluster_policies.sort_by(|a, b| precedence(a).cmp(&precedence(b)));
    objects.endpoints.sort_by(|a, b| (&a.service, &a.addresses).cmp(&(&b.service, &b.addresses)));
    if let Some((subject, origin)) = repeated.first {
        diagnostics.push(
            Diagnostic::warning(
                "object-repeated",
                format!(
                    "{} objects were read more than once; the last reading of each counts",
                    repeated.count
                ),
            )
            .at(origin)
            .about(subject)
            .value("count", repeated.count)
            .hint("give each object once, from one dump"),
        );
    }
    objects
}

/// Takes out the pods that ended at a known moment and started before another of their name: the pods of a
/// `StatefulSet` have one name after the other, and each is a pod of its own.
fn earlier_lives(pods: &mut Vec<Pod>) -> Vec<Pod> {
    let has_ended = |pod: &Pod| pod.phase.is_terminated() && pod.ended.is_some();
    let ended = pods.iter().filter(|pod| has_ended(pod));
    let mut last: HashMap<PodRef, Timestamp> =
        ended.map(|pod| (pod.reference.clone(), Timestamp::MIN)).collect();
    for pod in pods.iter() {
        if let (Some(last), Some(started)) = (last.get_mut(&pod.reference), pod.started) {
            *last = started.max(*last);
        }
    }
    let is_earlier = |pod: &mut Pod| {
        let last = last.get(&pod.reference);
        let before = pod.started.zip(last).is_some_and(|(started, last)| started < *last);
        before && has_ended(pod)
    };
    let mut earlier: Vec<Pod> = pods.extract_if(.., is_earlier).collect();
    earlier.sort_by(|a, b| (&a.reference, a.started).cmp(&(&b.reference, b.started)));
    earlier.dedup_by(|a, b| (&a.reference, a.started) == (&b.reference, b.started));
    earlier
}

/// The order in which cluster-wide policies count; names and kinds stand in where the API leaves it open.
fn precedence(policy: &ClusterPolicy) -> (Tier, u16, &Name, ClusterPolicyKind) {
    (policy.tier, policy.priority, &policy.name, policy.kind)
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PolicyName(Name, Name);

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, self.1)
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ClusterPolicyName(ClusterPolicyKind, Name);

impl fmt::Display for ClusterPolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

#[derive(Default)]
struct Repeated {
    count: usize,
    first: Option<(String, Origin)>,
}

impl Repeated {
    fn drop<T, K: Ord + fmt::Display>(
        &mut self,
        items: &mut Vec<T>,
        key: impl Fn(&T) -> (K, &'static str),
        origin: impl Fn(&T) -> &Origin,
    ) {
        // Later readings first, so that they are the ones that stay.
        items.reverse();
        items.sort_by_cached_key(&key);
        items.dedup_by(|dropped, kept| {
            let (name, kind) = key(kept);
            let same = key(dropped).0 == name;
            if same {
                self.count += 1;
                self.first.get_or_insert_with(|| {
                    (format!("{kind} {name}").trim().to_owned(), origin(dropped).clone())
                });
            }
            same
        });
    }
}

/// Adds the namespaces that objects live in but no Namespace object describes, with the one label that every
/// namespace has.
pub(crate) fn add_mentioned_namespaces(objects: &mut Objects, diagnostics: &mut Vec<Diagnostic>) {
    let known: BTreeSet<Name> = objects.namespaces.iter().map(|n| n.name.clone()).collect();
    let mut missing: Vec<Namespace> = Vec::new();
    {
        let pods = objects.pods.iter().map(|o| (&o.reference.namespace, &o.origin));
        let controllers = objects.controllers.iter().map(|o| (&o.namespace, &o.origin));
        let services = objects.services.iter().map(|o| (&o.reference.namespace, &o.origin));
        let policies = objects.policies.iter().map(|o| (&o.namespace, &o.origin));
        let mut seen = BTreeSet::new();
        for (name, origin) in controllers.chain(pods).chain(services).chain(policies) {
            if !known.contains(name) && seen.insert(name) {
                missing.push(Namespace {
                    name: name.clone(),
                    labels: Labels::from_iter([(NAMESPACE_NAME, name.as_str())]),
                    origin: origin.clone(),
                });
            }
        }
    }
    missing.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(first) = missing.first() {
        diagnostics.push(
            Diagnostic::warning(
                "namespace-not-described",
                format!(
                    "the input has objects in namespaces but not the Namespaces themselves: {}",
                    listed(missing.iter().map(|n| &n.name))
                ),
            )
            .at(first.origin.clone())
            .value("namespaces", listed(missing.iter().map(|n| &n.name)))
            .hint(
                "they count as having no label but kubernetes.io/metadata.name; add the output of \
                 kubectl get namespaces -o yaml",
            ),
        );
    }
    objects.namespaces.append(&mut missing);
    objects.namespaces.sort_by(|a, b| a.name.cmp(&b.name));
}

/// `a, b, c and 5 more`.
pub(crate) fn listed<T: fmt::Display>(names: impl ExactSizeIterator<Item = T>) -> String {
    let more = names.len().saturating_sub(NAMES_IN_MESSAGE);
    let first: Vec<String> = names.take(NAMES_IN_MESSAGE).map(|name| name.to_string()).collect();
    let list = first.join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}

#[cfg(test)]
#[path = "ordered_tests.rs"]
mod tests;
