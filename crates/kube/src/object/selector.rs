//! `metav1.LabelSelector`.

use std::collections::BTreeSet;

use ringfence_model::{Labels, Operator, Requirement, Selector};
use serde::Deserialize;

use super::Context;
use super::meta::Pairs;
use crate::de::Lined;
use crate::fault::Fault;

/// A selector as the API spells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SelectorWire<'n> {
    #[serde(borrow, default)]
    match_labels: Pairs<'n>,
    #[serde(borrow, default)]
    match_expressions: Vec<Lined<RequirementWire<'n>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequirementWire<'n> {
    #[serde(borrow)]
    key: &'n str,
    operator: OperatorWire,
    #[serde(borrow, default)]
    values: Vec<&'n str>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum OperatorWire {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl SelectorWire<'_> {
    /// Checks the selector as `ValidateLabelSelector` does.
    pub(super) fn read(self, cx: &mut Context<'_>) -> Result<Selector, Fault> {
        let Self { match_labels, match_expressions } = self;
        let labels = match_labels.0.into_iter().map(|(key, Lined { line, value })| {
            check_key(key)
                .and_then(|()| check_value(value))
                .map_err(|fault| fault.inside("matchLabels", line))?;
            Ok(Requirement::equals(cx.strings.share(key), cx.strings.share(value)))
        });
        let mut requirements = labels.collect::<Result<Vec<_>, Fault>>()?;
        for (n, Lined { line, value }) in match_expressions.into_iter().enumerate() {
            let requirement = value
                .read(cx)
                .map_err(|fault| fault.inside(&format!("matchExpressions[{n}]"), line))?;
            requirements.push(requirement);
        }
        Ok(requirements.into_iter().collect())
    }
}

impl RequirementWire<'_> {
    fn read(self, cx: &mut Context<'_>) -> Result<Requirement, Fault> {
        let Self { key, operator, values } = self;
        check_key(key)?;
        values.iter().try_for_each(|value| check_value(value))?;
        let empty = values.is_empty();
        let values: BTreeSet<_> = values.into_iter().map(|v| cx.strings.share(v)).collect();
        let operator = match (operator, empty) {
            (OperatorWire::In, false) => Operator::In(values),
            (OperatorWire::NotIn, false) => Operator::NotIn(values),
            (OperatorWire::Exists, true) => Operator::Exists,
            (OperatorWire::DoesNotExist, true) => Operator::DoesNotExist,
            (OperatorWire::In | OperatorWire::NotIn, true) => {
                return Err(Fault::new(0, format!("{operator:?} needs values")));
            }
            (OperatorWire::Exists | OperatorWire::DoesNotExist, false) => {
                return Err(Fault::new(0, format!("{operator:?} takes no values")));
            }
        };
        Ok(Requirement { key: cx.strings.share(key), operator })
    }
}

/// The selector of a Service: equal labels only, and none of them means that somebody else manages its endpoints.
pub(super) fn of_labels(labels: &Labels) -> Option<Selector> {
    (!labels.is_empty()).then(|| Selector::labels(labels))
}

/// A label key: an optional DNS subdomain prefix and '/', then a name (`IsQualifiedName`).
pub(crate) fn check_key(key: &str) -> Result<(), Fault> {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(p, n)| (Some(p), n));
    let prefix_ok = prefix.is_none_or(|p| ringfence_model::Name::new(p).is_ok());
    if prefix_ok && !name.is_empty() && is_label_text(name) {
        Ok(())
    } else {
        let hint = "a key is a name of at most 63 letters, digits, '-', '_' or '.', with an optional DNS prefix and '/'";
        Err(Fault::new(0, format!("{key:?} is not a label key")).hint(hint))
    }
}

/// A label value (`IsValidLabelValue`).
pub(crate) fn check_value(value: &str) -> Result<(), Fault> {
    if is_label_text(value) {
        return Ok(());
    }
    let hint = "a value is at most 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit";
    Err(Fault::new(0, format!("{value:?} is not a label value")).hint(hint))
}

fn is_label_text(text: &str) -> bool {
    let outer = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && outer(bytes.first())
        && outer(bytes.last())
}
