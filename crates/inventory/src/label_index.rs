//! Which objects of a namespace a selector matches, without looking at all of them.

use std::collections::HashMap;

use ringfence_model::{Labels, Name, Operator, Requirement, Selector};

/// Labelled things by namespace and label. Items are numbered in the order given.
pub(crate) struct LabelIndex<'a> {
    labels: Vec<&'a Labels>,
    by_namespace: HashMap<&'a Name, Vec<usize>>,
    by_label: HashMap<(&'a Name, &'a str, &'a str), Vec<usize>>,
}

impl<'a> LabelIndex<'a> {
    pub(crate) fn new(items: impl Iterator<Item = (&'a Name, &'a Labels)>) -> Self {
        let mut index =
            Self { labels: Vec::new(), by_namespace: HashMap::new(), by_label: HashMap::new() };
        for (n, (namespace, labels)) in items.enumerate() {
            index.labels.push(labels);
            index.by_namespace.entry(namespace).or_default().push(n);
            for (key, value) in labels.iter() {
                index.by_label.entry((namespace, key, value)).or_default().push(n);
            }
        }
        index
    }

    /// The items of the namespace that the selector matches, in order.
    pub(crate) fn matching(&self, namespace: &Name, selector: &Selector) -> Vec<usize> {
        let everything = || self.by_namespace.get(namespace).cloned().unwrap_or_default();
        let mut found = selector
            .requirements()
            .iter()
            .filter_map(|requirement| self.candidates(namespace, requirement))
            .min_by_key(Vec::len)
            .unwrap_or_else(everything);
        found.retain(|&n| selector.matches(self.labels[n]));
        found.sort_unstable();
        found
    }

    /// All items that could fulfil the requirement, when the index can tell.
    fn candidates(&self, namespace: &Name, requirement: &Requirement) -> Option<Vec<usize>> {
        let Operator::In(values) = &requirement.operator else { return None };
        let key = &*requirement.key;
        let lists = values.iter().filter_map(|value| self.by_label.get(&(namespace, key, value)));
        Some(lists.flatten().copied().collect())
    }
}

#[cfg(test)]
#[path = "label_index_tests.rs"]
mod tests;
