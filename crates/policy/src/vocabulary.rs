//! The labels that selectors can tell apart, and finding objects by them.

use std::sync::Arc;

use foldhash::HashMap;
use ringfence_model::{Labels, Operator, Requirement, Selector};

use crate::index::index;

/// Stands for every value of a key that no selector mentions: they all behave alike.
const OTHER: u32 = u32::MAX;

/// The keys and values that a set of selectors mentions, numbered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vocabulary {
    keys: HashMap<Arc<str>, Key>,
    fresh: FreshLabels,
}

/// What a vocabulary has learnt lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct FreshLabels {
    /// Keys.
    pub(crate) keys: Vec<Arc<str>>,
    /// Values of keys that were known, with the number of the key.
    pub(crate) values: Vec<FreshValue>,
}

/// A value that a vocabulary has learnt lately.
#[derive(Clone, Debug)]
pub(crate) struct FreshValue {
    pub(crate) key: Arc<str>,
    /// The number of the key.
    pub(crate) id: u32,
    pub(crate) value: Arc<str>,
}

impl FreshLabels {
    /// Whether pods with these labels may be in one class with others that a new word tells apart from them.
    pub(crate) fn may_divide(&self, projection: &Projection) -> bool {
        let has_other = |id| projection.binary_search(&(id, OTHER)).is_ok();
        !self.keys.is_empty() || self.values.iter().any(|fresh| has_other(fresh.id))
    }

    /// Whether the labels carry a new word.
    pub(crate) fn name(&self, labels: &Labels) -> bool {
        self.keys.iter().any(|key| labels.get(key).is_some())
            || self.values.iter().any(|fresh| labels.get(&fresh.key) == Some(&*fresh.value))
    }
}

#[derive(Clone, Debug)]
struct Key {
    id: u32,
    values: HashMap<Arc<str>, u32>,
}

/// Labels as far as the selectors of a vocabulary can tell them apart: (key, value), sorted.
pub(crate) type Projection = Box<[(u32, u32)]>;

impl Vocabulary {
    pub(crate) fn learn(&mut self, selector: &Selector) {
        for requirement in selector.requirements() {
            let id = index(self.keys.len());
            let key = self.keys.entry(Arc::clone(&requirement.key)).or_insert_with_key(|key| {
                self.fresh.keys.push(Arc::clone(key));
                Key { id, values: HashMap::default() }
            });
            match &requirement.operator {
                Operator::In(values) | Operator::NotIn(values) => {
                    for value in values {
                        let value_id = index(key.values.len());
                        key.values.entry(Arc::clone(value)).or_insert_with_key(|value| {
                            if key.id != id {
                                self.fresh.values.push(FreshValue {
                                    key: Arc::clone(&requirement.key),
                                    id: key.id,
                                    value: Arc::clone(value),
                                });
                            }
                            value_id
                        });
                    }
                }
                Operator::Exists | Operator::DoesNotExist => {}
            }
        }
    }

    /// What was learnt since the last time.
    pub(crate) fn take_fresh(&mut self) -> FreshLabels {
        std::mem::take(&mut self.fresh)
    }

    pub(crate) fn project(&self, labels: &Labels) -> Projection {
        let mut projection: Vec<(u32, u32)> = labels
            .iter()
            .filter_map(|(key, value)| {
                let key = self.keys.get(key)?;
                Some((key.id, key.values.get(value).copied().unwrap_or(OTHER)))
            })
            .collect();
        projection.sort_unstable();
        projection.into()
    }

    /// Translates a requirement. A key or value that was never learned stays unknown, and no projection has it.
    fn translate(&self, requirement: &Requirement) -> Condition {
        let key = self.keys.get(&requirement.key);
        let ids = |values: &std::collections::BTreeSet<Arc<str>>| {
            values.iter().filter_map(|v| key?.values.get(v).copied()).collect()
        };
        Condition {
            key: key.map_or(OTHER, |k| k.id),
            test: match &requirement.operator {
                Operator::In(values) => Test::In(ids(values)),
                Operator::NotIn(values) => Test::NotIn(ids(values)),
                Operator::Exists => Test::Exists,
                Operator::DoesNotExist => Test::DoesNotExist,
            },
        }
    }
}

struct Condition {
    key: u32,
    test: Test,
}

enum Test {
    In(Vec<u32>),
    NotIn(Vec<u32>),
    Exists,
    DoesNotExist,
}

impl Condition {
    fn holds(&self, projection: &[(u32, u32)]) -> bool {
        let value = projection
            .binary_search_by_key(&self.key, |(key, _)| *key)
            .ok()
            .and_then(|at| projection.get(at))
            .map(|(_, value)| *value);
        match &self.test {
            Test::In(values) => value.is_some_and(|v| values.contains(&v)),
            Test::NotIn(values) => value.is_none_or(|v| !values.contains(&v)),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
        }
    }
}

/// Objects by their labels, so that a selector looks at few of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelIndex {
    projections: Vec<Projection>,
    by_key: HashMap<u32, Vec<u32>>,
    by_value: HashMap<(u32, u32), Vec<u32>>,
}

impl LabelIndex {
    pub(crate) fn new(projections: Vec<Projection>) -> Self {
        let mut by_key: HashMap<u32, Vec<u32>> = HashMap::default();
        let mut by_value: HashMap<(u32, u32), Vec<u32>> = HashMap::default();
        for (object, projection) in projections.iter().enumerate() {
            for &(key, value) in projection {
                by_key.entry(key).or_default().push(index(object));
                by_value.entry((key, value)).or_default().push(index(object));
            }
        }
        Self { projections, by_key, by_value }
    }

    /// The objects among `within`, which is sorted, that the selector matches, sorted.
    pub(crate) fn select(
        &self,
        vocabulary: &Vocabulary,
        selector: &Selector,
        within: &[u32],
    ) -> Vec<u32> {
        let conditions: Vec<Condition> =
            selector.requirements().iter().map(|r| vocabulary.translate(r)).collect();
        let matches = |object: &u32| {
            let projection = &self.projections[*object as usize];
            conditions.iter().all(|c| c.holds(projection))
        };
        let shortest = conditions
            .iter()
            .filter_map(|c| self.candidates(c))
            .min_by_key(|lists| lists.iter().map(|l| l.len()).sum::<usize>());
        match shortest {
            Some(lists) if lists.iter().map(|l| l.len()).sum::<usize>() < within.len() => {
                let mut found: Vec<u32> = lists
                    .into_iter()
                    .flatten()
                    .copied()
                    .filter(|o| matches(o) && within.binary_search(o).is_ok())
                    .collect();
                found.sort_unstable();
                found
            }
            _ => within.iter().copied().filter(matches).collect(),
        }
    }

    /// Disjoint lists that hold every object fulfilling the condition; `None` when it holds without the key too.
    fn candidates(&self, condition: &Condition) -> Option<Vec<&[u32]>> {
        let key = condition.key;
        match &condition.test {
            Test::In(values) => Some(
                values
                    .iter()
                    .filter_map(|v| self.by_value.get(&(key, *v)).map(Vec::as_slice))
                    .collect(),
            ),
            Test::Exists => Some(self.by_key.get(&key).map(Vec::as_slice).into_iter().collect()),
            Test::NotIn(_) | Test::DoesNotExist => None,
        }
    }
}
