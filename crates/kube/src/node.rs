//! A document as a tree whose every node knows its line: what YAML and JSON have in common.

use std::borrow::Cow;
use std::collections::HashSet;

/// A value and the line where it begins, counted from 1 in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node<'a> {
    pub(crate) line: u32,
    pub(crate) value: Value<'a>,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// An unquoted scalar, whose spelling says what it is.
    Plain(Cow<'a, str>),
    /// A string: quoted, a block scalar, or a JSON string.
    Text(Cow<'a, str>),
    /// A sequence.
    Seq(Vec<Node<'a>>),
    /// A mapping.
    Map(Entries<'a>),
    /// A part that nothing here reads ([`unread`]).
    Unread,
}

/// The entries of a mapping in the order of the file, without repeated keys.
pub(crate) type Entries<'a> = Vec<(Key<'a>, Node<'a>)>;

/// The key of a mapping entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    pub(crate) line: u32,
    pub(crate) text: Cow<'a, str>,
}

/// What the spelling of a plain scalar means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
}

/// How deep documents may be nested. Objects of the API, custom resource definitions included, stay far below.
pub(crate) const MAX_DEPTH: usize = 100;

impl<'a> Node<'a> {
    pub(crate) fn plain(line: u32, text: impl Into<Cow<'a, str>>) -> Self {
        Self { line, value: Value::Plain(text.into()) }
    }

    /// The entry of a mapping; `None` also for an explicit null, which the API treats as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(k, _)| k.text == key).map(|(_, value)| value).filter(|v| !v.is_null())
    }

    /// The string that the node holds, if it holds one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Plain(text) => match resolve(text) {
                Scalar::Text(text) => Some(text),
                _ => None,
            },
            Value::Seq(_) | Value::Map(_) | Value::Unread => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Plain(text) if resolve(text) == Scalar::Null)
    }
}

/// What a plain scalar means to the YAML reader of kubectl (`sigs.k8s.io/yaml`, YAML 1.1 spellings): there
/// `yes` is a boolean and `1e3` a number, and neither is accepted where the API wants a string.
pub(crate) fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            return Scalar::Bool(false);
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Scalar::Text(text);
    }
    number(text).unwrap_or(Scalar::Text(text))
}

fn number(text: &str) -> Option<Scalar<'_>> {
    let digits: Cow<'_, str> =
        if text.contains('_') { text.replace('_', "").into() } else { text.into() };
    let (negative, magnitude) = match digits.as_bytes().first()? {
        b'-' => (true, &digits[1..]),
        b'+' => (false, &digits[1..]),
        _ => (false, &digits[..]),
    };
    let based = |prefix: &[&str], radix| {
        let rest = prefix.iter().find_map(|p| magnitude.strip_prefix(p))?;
        let value = i64::from_str_radix(rest, radix).ok().filter(|v| *v >= 0)?;
        Some(Scalar::Int(if negative { -value } else { value }))
    };
    if let Some(int) = based(&["0x", "0X"], 16)
        .or_else(|| based(&["0b", "0B"], 2))
        .or_else(|| based(&["0o", "0O"], 8))
    {
        return Some(int);
    }
    if magnitude.bytes().all(|b| b.is_ascii_digit()) {
        // YAML 1.1: a leading zero means octal.
        if magnitude.len() > 1
            && let Some(int) = based(&["0"], 8)
        {
            return Some(int);
        }
        if let Ok(int) = digits.parse() {
            return Some(Scalar::Int(int));
        }
    }
    let float = magnitude.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && magnitude.bytes().any(|b| b.is_ascii_digit())
        && magnitude
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if float { digits.parse().ok().map(Scalar::Float) } else { None }
}

/// The key that stands twice in a mapping, if one does.
pub(crate) fn repeated<'k, 'a>(entries: &'k [(Key<'a>, Node<'a>)]) -> Option<&'k Key<'a>> {
    if entries.len() <= 12 {
        let before = |n: usize| entries[..n].iter().any(|(k, _)| k.text == entries[n].0.text);
        return (1..entries.len()).find(|n| before(*n)).map(|n| &entries[n].0);
    }
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().map(|(key, _)| key).find(|key| !seen.insert(&*key.text))
}

/// Whether nothing here reads the entry `key` of the mapping that stands under the key `parent` (empty at the top
/// of an object). These parts are the greater half of a dump; user-chosen keys, such as those of labels, stand
/// under parents that are not named here.
pub(crate) fn unread(parent: &str, key: &str) -> bool {
    match parent {
        "" => matches!(key, "data" | "binaryData" | "stringData"),
        "metadata" => key == "managedFields",
        "annotations" => key == "kubectl.kubernetes.io/last-applied-configuration",
        "spec" => matches!(
            key,
            "affinity"
                | "imagePullSecrets"
                | "securityContext"
                | "tolerations"
                | "topologySpreadConstraints"
                | "versions"
                | "volumeClaimTemplates"
                | "volumes"
        ),
        "containers" | "initContainers" => matches!(
            key,
            "env" | "envFrom" | "lifecycle" | "resources" | "securityContext" | "volumeMounts"
        ),
        "status" => {
            matches!(key, "allocatable" | "capacity" | "conditions" | "images" | "nodeInfo")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_kubectl_reads() {
        let cases = [
            ("~", Scalar::Null),
            ("null", Scalar::Null),
            ("nUll", Scalar::Text("nUll")),
            ("yes", Scalar::Bool(true)),
            ("Off", Scalar::Bool(false)),
            ("80", Scalar::Int(80)),
            ("-1", Scalar::Int(-1)),
            ("0x1F", Scalar::Int(31)),
            ("0o17", Scalar::Int(15)),
            ("017", Scalar::Int(15)),
            ("1_000", Scalar::Int(1000)),
            ("1e3", Scalar::Float(1000.0)),
            ("1.5", Scalar::Float(1.5)),
            (".5", Scalar::Float(0.5)),
            ("1.2.3", Scalar::Text("1.2.3")),
            ("10.0.0.1", Scalar::Text("10.0.0.1")),
            ("-", Scalar::Text("-")),
            (".", Scalar::Text(".")),
            ("1a", Scalar::Text("1a")),
            ("0x", Scalar::Text("0x")),
            ("+-1", Scalar::Text("+-1")),
            ("0x-1", Scalar::Text("0x-1")),
            ("2026-01-31T01:00:00Z", Scalar::Text("2026-01-31T01:00:00Z")),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }
}
