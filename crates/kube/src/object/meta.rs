//! `metadata`, which all kinds share.

use std::fmt;

use ringfence_model::object::OwnerRef;
use ringfence_model::{Labels, Name, Timestamp, WorkloadKind};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Context, Kind};
use crate::de::{Lined, from_node};
use crate::fault::Fault;
use crate::node::Node as Tree;

/// `metadata` of an object.
pub(super) struct Meta {
    pub(super) name: Name,
    /// `default` when the file names none, as kubectl would apply it.
    pub(super) namespace: Name,
    pub(super) labels: Labels,
    pub(super) annotations: Vec<(String, Lined<String>)>,
    /// The controlling owner.
    pub(super) owner: Option<OwnerRef>,
    pub(super) created: Option<Timestamp>,
    /// Whether an API server has seen the object.
    pub(super) stored: bool,
}

#[derive(Deserialize)]
struct Wire<'n> {
    #[serde(borrow, default)]
    metadata: MetaWire<'n>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MetaWire<'n> {
    #[serde(borrow)]
    name: Option<Lined<&'n str>>,
    #[serde(borrow)]
    namespace: Option<Lined<&'n str>>,
    #[serde(borrow)]
    labels: Pairs<'n>,
    #[serde(borrow)]
    annotations: Pairs<'n>,
    #[serde(borrow)]
    owner_references: Vec<OwnerWire<'n>>,
    creation_timestamp: Option<Lined<&'n str>>,
    uid: Option<&'n str>,
    resource_version: Option<&'n str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnerWire<'n> {
    api_version: &'n str,
    kind: &'n str,
    name: Lined<&'n str>,
    #[serde(default)]
    controller: Option<bool>,
}

/// A `map[string]string` in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Pairs<'n>(pub(super) Vec<(&'n str, Lined<&'n str>)>);

impl<'de: 'n, 'n> Deserialize<'de> for Pairs<'n> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

impl Pairs<'_> {
    pub(super) fn labels(&self, cx: &mut Context<'_>) -> Labels {
        self.0.iter().map(|(k, v)| (cx.strings.share(k), cx.strings.share(v.value))).collect()
    }
}

/// Reads `metadata`. An object without a name, such as one with `generateName` only, cannot be told from others.
pub(super) fn read(tree: &Tree<'_>, cx: &mut Context<'_>) -> Result<Meta, Fault> {
    let Wire { metadata } = from_node(tree)?;
    let MetaWire {
        name,
        namespace,
        labels,
        annotations,
        owner_references,
        creation_timestamp,
        uid,
        resource_version,
    } = metadata;
    let name = name.ok_or_else(|| Fault::new(tree.line, "metadata.name is missing"))?;
    let in_field = |field: &'static str, line| move |fault: Fault| fault.inside(field, line);
    let namespace = namespace.filter(|n| !n.value.is_empty());
    Ok(Meta {
        name: cx.name(name.value).map_err(in_field("metadata.name", name.line))?,
        namespace: match namespace {
            Some(n) => cx.name(n.value).map_err(in_field("metadata.namespace", n.line))?,
            None => cx.name("default")?,
        },
        labels: labels.labels(cx),
        annotations: annotations
            .0
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Lined { line: v.line, value: v.value.to_owned() }))
            .collect(),
        owner: owner(&owner_references, cx)?,
        created: creation_timestamp
            .map(|t| timestamp(t).map_err(in_field("metadata.creationTimestamp", t.line)))
            .transpose()?,
        stored: uid.is_some() || resource_version.is_some(),
    })
}

/// The owner with `controller: true`. The mirror pod of a static pod is "owned" by its Node, which controls nothing.
fn owner(owners: &[OwnerWire<'_>], cx: &mut Context<'_>) -> Result<Option<OwnerRef>, Fault> {
    let Some(OwnerWire { api_version, kind, name, .. }) =
        owners.iter().find(|o| o.controller == Some(true))
    else {
        return Ok(None);
    };
    let kind = match Kind::of(api_version, kind) {
        Some(Kind::Node) => return Ok(None),
        Some(_) => WorkloadKind::from(*kind),
        None => WorkloadKind::Custom(cx.strings.share(kind)),
    };
    let name =
        cx.name(name.value).map_err(|f| f.inside("metadata.ownerReferences.name", name.line))?;
    Ok(Some(OwnerRef { kind, name }))
}

/// An RFC 3339 time.
pub(super) fn timestamp(text: Lined<&str>) -> Result<Timestamp, Fault> {
    let fault = || {
        Fault::new(
            text.line,
            format!("{:?} is not a time such as 2026-01-31T01:00:00Z", text.value),
        )
    };
    let parsed: jiff::Timestamp = text.value.parse().map_err(|_| fault())?;
    i64::try_from(parsed.as_nanosecond()).map(Timestamp::from_nanos).map_err(|_| fault())
}
