//! Labels and label selectors.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// The labels of an object, sorted by key. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// No labels.
    pub fn empty() -> Self {
        Self(Arc::default())
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    /// Keys and values in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<str>)> {
        self.0.iter().map(|(k, v)| (k, v))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The labels whose key passes.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(k, _)| keep(k)).cloned().collect())
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

/// The last value of a repeated key wins, as in a JSON object.
impl<K: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(labels: I) -> Self {
        let sorted: std::collections::BTreeMap<Arc<str>, Arc<str>> =
            labels.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self(sorted.into_iter().collect())
    }
}

/// `{key=value, ...}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (n, (key, value)) in self.iter().enumerate() {
            write!(f, "{}{key}={value}", if n == 0 { "" } else { ", " })?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a [`Requirement`] asks of the value of its key
/// (`k8s.io/apimachinery` `LabelSelectorOperator`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// The key is there with one of these values.
    In(BTreeSet<Arc<str>>),
    /// The key is missing, or its value is none of these.
    NotIn(BTreeSet<Arc<str>>),
    /// The key is there.
    Exists,
    /// The key is missing.
    DoesNotExist,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// The label key.
    pub key: Arc<str>,
    /// The condition.
    pub operator: Operator,
}

impl Requirement {
    /// `key=value`.
    pub fn equals(key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        Self { key: key.into(), operator: Operator::In(BTreeSet::from([value.into()])) }
    }

    /// Whether the labels fulfil it.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|v| values.contains(v)),
            Operator::NotIn(values) => value.is_none_or(|v| !values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |values: &BTreeSet<Arc<str>>| values.iter().map(|v| &**v).collect::<Vec<_>>().join(",");
        match &self.operator {
            Operator::In(values) if values.len() == 1 => write!(f, "{}={}", self.key, list(values)),
            Operator::In(values) => write!(f, "{} in ({})", self.key, list(values)),
            Operator::NotIn(values) => write!(f, "{} notin ({})", self.key, list(values)),
            Operator::Exists => write!(f, "{}", self.key),
            Operator::DoesNotExist => write!(f, "!{}", self.key),
        }
    }
}

/// A label selector: all requirements hold. Without requirements it matches everything
/// ("An empty label selector matches all objects", `metav1.LabelSelector`).
///
/// `matchLabels` entries are kept as `In` with one value, to which the API defines them equal.
/// Requirements are sorted and distinct, so that equal selectors compare equal. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(Arc<[Requirement]>);

impl Selector {
    /// Matches every object.
    pub fn everything() -> Self {
        Self(Arc::default())
    }

    /// Matches objects that carry all these labels.
    pub fn labels(labels: &Labels) -> Self {
        labels.iter().map(|(k, v)| Requirement::equals(Arc::clone(k), Arc::clone(v))).collect()
    }

    /// Whether it has no requirement and so matches every object.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// The requirements, sorted.
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// Whether the labels fulfil every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|r| r.matches(labels))
    }
}

impl FromIterator<Requirement> for Selector {
    fn from_iter<I: IntoIterator<Item = Requirement>>(requirements: I) -> Self {
        let set: BTreeSet<Requirement> = requirements.into_iter().collect();
        Self(set.into_iter().collect())
    }
}

/// `a=b,c in (d,e)`, or `<all>` for the empty selector.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything() {
            return f.write_str("<all>");
        }
        for (n, requirement) in self.0.iter().enumerate() {
            write!(f, "{}{requirement}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[&str]) -> BTreeSet<Arc<str>> {
        values.iter().map(|v| Arc::from(*v)).collect()
    }

    #[test]
    fn operators_on_present_and_missing_keys() {
        let labels: Labels = [("tier", "web")].into_iter().collect();
        let cases = [
            ("tier", Operator::In(values(&["web", "api"])), true),
            ("tier", Operator::In(values(&["api"])), false),
            ("other", Operator::In(values(&["web"])), false),
            ("tier", Operator::NotIn(values(&["web"])), false),
            ("tier", Operator::NotIn(values(&["api"])), true),
            // "NotIn and DoesNotExist match a missing key" (labels.Requirement.Matches).
            ("other", Operator::NotIn(values(&["web"])), true),
            ("tier", Operator::Exists, true),
            ("other", Operator::Exists, false),
            ("tier", Operator::DoesNotExist, false),
            ("other", Operator::DoesNotExist, true),
        ];
        for (key, operator, expected) in cases {
            let requirement = Requirement { key: key.into(), operator };
            assert_eq!(requirement.matches(&labels), expected, "{requirement}");
        }
        assert!(Selector::everything().matches(&Labels::empty()));
    }
}
